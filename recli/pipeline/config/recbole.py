"""RecBole's YAML, as it is: the same rows, the same definitions, and a line about each key that is not carried out.

What is read is data: a Python literal in a string (``"{'distribution': 'uniform'}"``, ``"None"``) is parsed as one and
never run. Source: RecBole 1.2.1, `recbole/config/configurator.py` and `recbole/properties`.
"""

import ast
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from recli.errors import Exit, RecliError, nearest
from recli.models import catalog
from recli.pipeline.config import columns, keys, rows
from recli.pipeline.config.document import Document, text
from recli.pipeline.config.plan import Plan

FILTERS = ("dedup", "range", "only", "user_kcore", "item_kcore")
NEGATIVES = {
    "distribution": "neg_sampling",
    "sample_num": "train_neg_sample_num",
    "alpha": "neg_exponent",
    "dynamic": "neg_dynamic",
    "candidate_num": "neg_candidate_num",
}


def literal(name: str, value: Any) -> Any:
    """A value as RecBole would have it: a string that is a Python literal is that, as data.

    >>> literal("train_neg_sample_args", "None"), literal("learning_rate", "1e-3"), literal("data_path", "1")
    (None, 0.001, '1')
    """
    if not isinstance(value, str) or name in keys.TEXT:
        return value
    if value in ("true", "false"):
        return value == "true"
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def assignments_of(assignments: Sequence[str]) -> dict[str, str]:
    """``--key=value`` as on RecBole's command line.

    Raises:
        RecliError: another form, or a key twice (exit 2).
    """
    values: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.removeprefix("--").partition("=")
        if not equals or not name:
            raise RecliError(Exit.USAGE, f"there is no option {assignment!r}", hint="RecBole's keys are --key=value")
        if name in values:
            raise RecliError(Exit.USAGE, f"--{name} is there twice", hint="leave one of them out")
        values[name] = value
    return values


def plan(document: Document, options: Mapping[str, Collection[str]]) -> Plan:
    """The pipeline that a configuration of RecBole describes; ``options`` are those that each command has.

    Raises:
        RecliError: no model or data set is named, a model that recli has not, or a value of another form (exit 2);
            no such data set (exit 4).
    """
    config = Config(document)
    chosen = _model(config)
    task = chosen.task
    of_fields = "fields" in getattr(chosen.cls, "takes", ())
    if of_fields and Path(text(config.take("dataset"))).name == "ml-100k":  # which RecBole has a file of its own for
        config.document = document.over(Document(values=keys.FIELDS_OF_ML_100K))
    eval_args = _eval_args(config, task)
    stem = rows.dataset(config)
    split = rows.split(config, eval_args, stem)
    evaluate = _evaluate(config, task, eval_args)
    labels = _labels(config, task, evaluate)
    evaluate |= labels.get("evaluate", {})
    train = _train(config, chosen, options["train"], eval_args)
    if of_fields:
        train |= columns.fields(config, rows.dataset(config))
    if evaluate.get("allow_seen") and "valid_metric" in train:
        train["allow_seen"] = True
    source = rows.source(config, stem)
    given = rows.given_parts(config, stem)
    if given and any(name in split for name in FILTERS):
        config.warn("benchmark_filename", "leaves the rows as they are, in RecBole too: no filter is applied")
    for role in ("user", "item"):
        if role in getattr(chosen.cls, "takes", ()) and not of_fields and rows.leaves_out(config, role):
            config.warn("load_col", f"leaves out .{role}, but {chosen.name} reads it where it is there")
    seed = _whole(config, "seed", 2020)
    progress = config.take("show_progress", True) is not False
    if config.take("reproducibility") is False:
        config.warn("reproducibility", "is ignored: the same seed gives the same bytes, always")
    _leave(config, chosen)
    return Plan(
        data=None if given else rows.interactions(stem),
        split={**source, **labels.get("split", {}), **(given or {**split, "seed": seed})},
        train=[{**train, "seed": seed}],
        evaluate={**evaluate, "seed": seed},
        document=document,
        warnings=config.told(),
        progress=progress,
    )


@dataclass
class Config:
    """What a file says, key by key: which were asked for, and what is to be said of them."""

    document: Document
    warnings: list[tuple[str, str]] = field(default_factory=list)  # the key, and the line about it
    taken: set[str] = field(default_factory=set)

    def __contains__(self, name: str) -> bool:
        return name in self.document.values

    def take(self, name: str, default: Any = None) -> Any:
        """A value, which is then dealt with; ``default`` where the file is silent."""
        self.taken.add(name)
        return literal(name, self.document.values[name]) if name in self else default

    @property
    def left(self) -> list[str]:
        """The keys that nobody asked for."""
        return [name for name in self.document.values if name not in self.taken]

    def warn(self, name: str, why: str) -> None:
        """Say that a key is not carried out as it stands: one line, once."""
        self.taken.add(name)
        where = self.document.where(name)
        line = (name, f"{where}: {name} {why}" if where else f"{name} {why}")
        if line not in self.warnings:
            self.warnings.append(line)

    def told(self) -> list[str]:
        """The lines, in the order of the file."""
        order = {name: place for place, name in enumerate(self.document.values)}
        return [line for _, line in sorted(self.warnings, key=lambda one: order.get(one[0], -1))]

    def error(self, name: str, message: str, hint: str | None = None) -> RecliError:
        """What is wrong with a key (exit 2), where it stands."""
        return RecliError(Exit.USAGE, message, where=self.document.where(name) or f"--{name}", hint=hint)


def _model(config: Config) -> catalog.Chosen:
    name = config.take("model")
    if name is None:
        raise RecliError(Exit.USAGE, "no model is named", hint="model: EASE in the file, or --model EASE")
    known = keys.MODELS.get(text(name).lower(), text(name))
    try:
        return catalog.resolve(known)
    except RecliError as error:
        raise config.error("model", error.message, error.hint) from error


def _eval_args(config: Config, task: str) -> dict[str, Any]:
    """How the rows are split and what is ranked; RecBole puts what a file says in place of a task's own."""
    given = config.take("eval_args")
    if given is None:
        return {**keys.USUAL_EVAL_ARGS, **keys.EVAL_ARGS.get(task, {})}
    if not isinstance(given, Mapping):
        raise config.error("eval_args", f"eval_args are a mapping, not {given!r}", "such as eval_args: {order: TO}")
    for name in given:
        if name not in keys.USUAL_EVAL_ARGS:
            raise config.error("eval_args", f"eval_args has no {name!r}", nearest(str(name), keys.USUAL_EVAL_ARGS))
    return {**keys.USUAL_EVAL_ARGS, **{name: literal(name, value) for name, value in given.items()}}


def _evaluate(config: Config, task: str, eval_args: Mapping[str, Any]) -> dict[str, Any]:
    """The options of evaluate: the metrics at each cut-off, by RecBole's definitions, and what is ranked."""
    from recli.metrics.dialects import DIALECTS

    names = _several(config, "metrics", keys.USUAL_METRICS.get(task, keys.RANKING_METRICS))
    cutoffs = _several(config, "topk", [10])
    table = DIALECTS["recbole"]
    wanted: list[str] = []
    for name in names:
        known = _metric(config, "metrics", name)
        wanted += [f"{known}@{text(k)}" for k in cutoffs] if table[known].takes_cutoff else [known]
    chosen: dict[str, Any] = {"metrics": ",".join(wanted), "dialect": "recbole"}
    pairs = all(table[name.partition("@")[0]].kind == "pairs" for name in wanted)
    chosen |= _candidates(config, eval_args["mode"], pairs)
    if config.take("repeatable", task == "sequential"):
        chosen["allow_seen"] = True
    return chosen


def _labels(config: Config, task: str, evaluate: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The options, by command, that make labels of a column: split writes them in its place, as RecBole does.

    A model of ratings learns from that column, and so it is evaluate that tells which ratings are 1.
    """
    threshold = config.take("threshold")
    if threshold is None:
        return {}
    if not isinstance(threshold, Mapping) or len(threshold) != 1:
        raise config.error("threshold", "threshold is one column and a number", "such as threshold: {rating: 4}")
    [(name, least)] = threshold.items()
    column = rows.column(config, text(name))
    if task != "ctr" and evaluate.get("candidates") != "labeled" and _of_lists(evaluate):
        config.warn("threshold", "is ignored: all held-out rows count in a full ranking, whatever their label")
        return {}
    if task == "rating":
        return {"evaluate": {"relevant": f"{column}>={text(least)}"}}
    return {"split": {"threshold": f"{column}={text(least)}"}}


def _of_lists(evaluate: Mapping[str, Any]) -> bool:
    """Whether a metric is of lists, and not of pairs."""
    from recli.metrics.dialects import DIALECTS

    names = [name.partition("@")[0] for name in evaluate["metrics"].split(",")]
    return any(DIALECTS["recbole"][name].kind != "pairs" for name in names)


def _candidates(config: Config, mode: Any, pairs: bool) -> dict[str, Any]:
    """What is ranked at test, as RecBole's ``mode`` says it: full, labeled, uniN or popN."""
    if isinstance(mode, Mapping):
        if mode.get("valid", mode.get("test")) != mode.get("test"):
            config.warn("eval_args", "mode of valid is ignored: validation ranks all items")
        mode = mode.get("test")
    word = text(mode)
    if word == "full":
        return {}
    if word == "labeled":
        return {} if pairs else {"candidates": "labeled"}
    kind, number = word[:3], word[3:]
    if kind not in ("uni", "pop") or not number.isdigit() or int(number) < 1:
        raise config.error("eval_args", f"mode cannot be {word!r}", "full, labeled, uni100 or pop100")
    config.warn(
        "eval_args", f"mode {word}: as many negatives as RecBole draws, and once for all, but not the same ones"
    )
    return {"candidates": f"sampled:{number}{':popularity' if kind == 'pop' else ''}"}


def _metric(config: Config, key: str, name: Any) -> str:
    """RecBole's name of a metric as recli's."""
    known = keys.METRICS.get(text(name).lower())
    if known is None:
        raise config.error(key, f"there is no metric {text(name)!r}", nearest(text(name), keys.METRICS))
    return known


def _train(
    config: Config, chosen: catalog.Chosen, options: Collection[str], eval_args: Mapping[str, Any]
) -> dict[str, Any]:
    """The options of train: the parameters that the model has, and what is said of how it is trained."""
    known = {one.name for one in fields(chosen.cls)}
    params: dict[str, Any] = {}
    for name in config.left:
        own = keys.PARAMETERS.get(name, name)
        if own in known and name not in ("clip_grad_norm", "train_neg_sample_args"):
            value = config.take(name)
            if value is not None:
                params[own] = value
    params |= _negatives(config, chosen, known)
    clip = config.take("clip_grad_norm")
    if clip is not None and "clip_grad_norm" in known:
        params["clip_grad_norm"] = clip.get("max_norm", 0.0) if isinstance(clip, Mapping) else clip
    elif clip is not None:
        config.warn("clip_grad_norm", f"is ignored: {chosen.name} has no gradient to clip")
    train: dict[str, Any] = {"model": chosen.name, "params": params}
    return train | _stopping(config, chosen, options, eval_args)


def _negatives(config: Config, chosen: catalog.Chosen, known: Collection[str]) -> dict[str, Any]:
    given = config.take("train_neg_sample_args")
    if not isinstance(given, Mapping):
        return {}
    found = {}
    for name, value in given.items():
        if name not in NEGATIVES:
            hint = nearest(str(name), NEGATIVES)
            raise config.error("train_neg_sample_args", f"train_neg_sample_args has no {name!r}", hint)
        if NEGATIVES[name] in known:
            found[NEGATIVES[name]] = literal(name, value)
    if not found.get("neg_dynamic"):
        found.pop("neg_candidate_num", None)  # which is 0 where there are none
    lost = [name for name in given if NEGATIVES[name] not in known]
    if lost:
        config.warn("train_neg_sample_args", f"is ignored in {', '.join(lost)}: {chosen.name} has no such parameter")
    return found


def _stopping(
    config: Config, chosen: catalog.Chosen, options: Collection[str], eval_args: Mapping[str, Any]
) -> dict[str, Any]:
    """When training stops, and where it is done, of a model that is trained so."""
    given = {name: config.take(name) for name in ("valid_metric", "stopping_step", "eval_step", "gpu_id", "use_gpu")}
    cpu = given["gpu_id"] == "" or given["use_gpu"] is False
    if "training" not in getattr(chosen.cls, "takes", ()) or "valid_metric" not in options:
        for name in ("valid_metric", "stopping_step", "eval_step"):
            if name in config:
                config.warn(name, f"is ignored: {chosen.name} does not stop by a validation")
        if not cpu and (given["gpu_id"] is not None or given["use_gpu"]):
            config.warn("gpu_id" if "gpu_id" in config else "use_gpu", f"is ignored: {chosen.name} runs on the CPU")
        return {}
    found: dict[str, Any] = {"device": "cpu"} if cpu else {}
    step = given["eval_step"] if given["eval_step"] is not None else 1
    if not rows.has_valid(eval_args):
        return found
    if step <= 0:
        return {**found, "valid_metric": "none"}
    name, _, k = text(given["valid_metric"] or keys.VALID_METRIC.get(chosen.task, "MRR@10")).partition("@")
    metric = _metric(config, "valid_metric", name)
    found |= {"valid_metric": f"{metric}@{k}" if k else metric, "eval_every": step}
    # RecBole stops when the values that are no better are more than stopping_step, recli when they are patience.
    return found | {"patience": (10 if given["stopping_step"] is None else given["stopping_step"]) + 1}


def _leave(config: Config, chosen: catalog.Chosen) -> None:
    """A line about every key that is left: why it is ignored, or that nobody knows it."""
    config.take("config_files")
    for name in config.left:
        value = literal(name, config.document.values[name])
        if name in keys.IGNORED:
            why, harmless = keys.IGNORED[name]
            if value not in harmless or (isinstance(value, bool) and value is not next(iter(harmless), None)):
                config.warn(name, f"is ignored: {why}")
        elif name in keys.HONOURED:
            if name not in keys.NOTHING or value != keys.NOTHING[name]:
                config.warn(name, f"is ignored: {chosen.name} has no such parameter")
        else:
            own = [one.name for one in fields(chosen.cls)]
            near = nearest(name, [*own, *keys.HONOURED])
            hint = f"; {near}" if near.startswith("did you mean") else ""
            config.warn(name, f"is ignored: it is no parameter of {chosen.name} and no key of RecBole's{hint}")


def _several(config: Config, name: str, usual: Sequence[Any]) -> list[Any]:
    given = config.take(name)
    if given is None:
        return list(usual)
    found = list(given) if isinstance(given, list | tuple) else [given]
    if not found:
        raise config.error(name, f"{name} names nothing")
    return found


def _whole(config: Config, name: str, usual: int) -> int:
    value = config.take(name, usual)
    if not isinstance(value, int) or isinstance(value, bool):
        raise config.error(name, f"{name} takes a whole number, not {value!r}")
    return value
