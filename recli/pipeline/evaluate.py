"""evaluate: lists, or a model, against the rows that were held out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from recli.artifact import Artifact, load
from recli.artifact.file import Document
from recli.errors import Exit, RecliError
from recli.interactions import encode, order_within, vocabulary
from recli.metrics import METRICS, Wanted
from recli.metrics.ranking import gains_of, ideal_of
from recli.pipeline import recommend as lists_of
from recli.pipeline.events import Events, Source, check_parent, open_events, parent_path
from recli.pipeline.names import stem
from recli.pipeline.recommend import Request
from recli.pipeline.step import Input, Output, Product, Step, perform
from recli.schema import ITEM, USER

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is relevant to whom, in the codes of a universe of items.

    ``relevant`` (n,) counts every held-out item of a user, ``warm`` those that stand in train (None where train is
    not at hand); ``indptr`` and ``item`` hold the codes.
    """

    users: pl.Series
    indptr: "NDArray[np.int64]"
    item: "NDArray[np.int32]"
    relevant: "NDArray[np.int64]"
    warm: "NDArray[np.int64] | None"


@dataclass(frozen=True, kw_only=True)
class Result:
    """Metrics of one input: the document, and the values by user."""

    document: dict[str, Any]
    per_user: pl.DataFrame


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What to evaluate and how: the metrics, the truth, and, for a model, what `recommend` takes."""

    metrics: Sequence[Wanted]
    truth: Path | None = None
    request: Request = field(default_factory=Request)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An evaluation that has not been done yet: the step that names it, and the work."""

    step: Step
    measure: Callable[[], Result]

    def once(self) -> "Plan":
        """The same, with the work done at most once however often it is asked for."""
        return replace(self, measure=cache(self.measure))


def plan(path: Path, asked: Asked, output: Output) -> Plan:
    """How to evaluate lists, or a model.

    Raises:
        RecliError: the input is neither (exit 3), or a cut-off is deeper than its lists (exit 2).
    """
    artifact = load(path)
    if artifact.header.kind == "model":
        return _plan_model(artifact, asked, output)
    if artifact.header.kind == "recs":
        return _plan_lists(artifact, asked, output)
    hint = "evaluate takes recommendations or a model"
    raise RecliError(
        Exit.DATA, f"is neither recommendations nor a model but {artifact.header.kind}", where=path, hint=hint
    )


def write(plan: Plan, output: Output) -> Path:
    """The metrics as an artifact: found where it is up to date, else made."""

    def work() -> Product:
        document = plan.measure().document
        values = ", ".join(f"{name} {entry['value']:.4f}" for name, entry in document["metrics"].items())
        return Product(payload=Document(document), summary=values)

    return perform(plan.step, output, work)


def write_per_user(plan: Plan, output: Output) -> Path:
    """The values by user, as a table."""

    def work() -> Product:
        frame = plan.measure().per_user
        return Product(payload=frame, summary=f"{frame.height:,} users")

    return perform(replace(plan.step, kind="per-user", suffix=".users.parquet"), output, work)


def _plan_model(artifact: Artifact, asked: Asked, output: Output) -> Plan:
    request = replace(asked.request, k=max(wanted.k for wanted in asked.metrics))
    events = lists_of.training_events(artifact, request)
    phase = lists_of.resolve_phase(request, events)
    facts = {"phase": phase, "candidates": "all", "seen": "allowed" if request.allow_seen else "masked"}

    def work() -> Result:
        held_out = _held_out(events, phase, asked, artifact.path)
        model = lists_of.open_model(artifact, events)
        lists = lists_of.rank(model, request, phase, output)
        # Items that the model never saw have codes too, above its own: they are relevant and never listed.
        strangers = vocabulary(held_out.filter(~pl.col(ITEM).is_in(model.items.implode()))[ITEM])
        truth = truth_of(held_out, pl.concat([model.items, strangers]), events.part("train"))
        return measure(_rows_for(truth.users, lists.users, lists.codes), truth, asked.metrics, facts)

    inputs = [*lists_of.inputs_of(artifact, events, request), *_truth_inputs(asked)]
    params = facts | lists_of.choice_params(request)
    return Plan(step=_step(artifact, asked, params, inputs, [lists_of.scorer_module(artifact)]), measure=work)


def _plan_lists(artifact: Artifact, asked: Asked, output: Output) -> Plan:
    more = artifact.header.more
    for wanted in asked.metrics:
        if wanted.k > more["k"]:
            message = f"holds lists of {more['k']}, too short for {wanted}"
            raise RecliError(Exit.USAGE, message, where=artifact.path, hint=f"recli recommend -k {wanted.k}")
    events = _split_of(artifact, asked)
    facts = {"phase": more["phase"], "candidates": "all", "seen": more["seen"]}

    def work() -> Result:
        held_out = _held_out(events, more["phase"], asked, artifact.path)
        frame = artifact.frame()
        items = vocabulary(pl.concat([frame[ITEM], held_out[ITEM]]))
        truth = truth_of(held_out, items, None if events is None else events.part("train"))
        codes = _codes(frame, truth.users, items, artifact.path)
        strangers = frame[USER].n_unique() - int((codes >= 0).any(axis=1).sum())
        if strangers:
            output.detail(f"{strangers:,} users of the lists have no held-out row and do not count")
        return measure(codes, truth, asked.metrics, facts)

    inputs = [Input(role="recs", path=artifact.path, sha256=artifact.digest), *_truth_inputs(asked)]
    if events is not None:
        inputs += [item for item in events.inputs if item.role == "split"]
    return Plan(step=_step(artifact, asked, facts, inputs, []), measure=work)


def _step(
    artifact: Artifact, asked: Asked, facts: Mapping[str, Any], inputs: Sequence[Input], modules: Sequence[str]
) -> Step:
    return Step(
        command="evaluate",
        kind="metrics",
        name=stem(artifact.path),
        suffix=".metrics.json",
        params={"metrics": [str(wanted) for wanted in asked.metrics], **facts},
        unnamed=("metrics", "phase", "candidates", "seen"),
        inputs=inputs,
        modules=["recli.pipeline.evaluate", *modules],
    )


def _split_of(artifact: Artifact, asked: Asked) -> Events | None:
    """The split behind the lists: to find the truth, and to tell what is warm."""
    path = parent_path(artifact, "split", asked.request.split)
    if path is None or not path.exists():
        return None
    events = open_events(path, Source())
    check_parent(artifact.header, "split", events.inputs[0].sha256, path, "--split names the file it was made from")
    return events


def _held_out(events: Events | None, phase: str, asked: Asked, where: Path) -> pl.DataFrame:
    """The rows that are the truth: a file's, or those of the phase."""
    if asked.truth is not None:
        given = open_events(asked.truth, asked.request.source)
        is_split = given.artifact is not None and given.artifact.header.kind == "split"
        return given.part(phase) if is_split else given.part("train")
    if events is None:
        raise RecliError(Exit.DATA, "the split it was made from is not there", where=where, hint="--truth or --split")
    if phase == "all":
        raise RecliError(Exit.USAGE, "phase all holds nothing out", where=where, hint="--truth names the held-out rows")
    return events.part(phase)


def _truth_inputs(asked: Asked) -> list[Input]:
    if asked.truth is None:
        return []
    given = open_events(asked.truth, asked.request.source)
    return [Input(role="truth", path=item.path, sha256=item.sha256) for item in given.inputs[:1]]


def truth_of(held_out: pl.DataFrame, items: pl.Series, train: pl.DataFrame | None) -> Truth:
    """The held-out rows by user, each item once; ``items`` has to hold every one of theirs."""
    distinct = held_out.select(USER, ITEM).unique(maintain_order=True)
    users = distinct[USER].unique(maintain_order=True)
    user, item = encode(distinct[USER], users), encode(distinct[ITEM], items)
    indptr, rows = order_within(user, item, len(users))
    warm = None
    if train is not None:
        known = distinct[ITEM].is_in(train[ITEM].unique().implode()).to_numpy()
        warm = np.bincount(user[known], minlength=len(users)).astype(np.int64)
    return Truth(users=users, indptr=indptr, item=item[rows], relevant=np.diff(indptr), warm=warm)


def _codes(frame: pl.DataFrame, users: pl.Series, items: pl.Series, where: Path) -> "NDArray[np.int32]":
    """Lists as codes (users, depth), -1 where a list is short or a user has none."""
    user = encode(frame[USER], users)
    rank = frame["rank"].to_numpy()
    kept = user >= 0
    if len(rank) and rank.min() < 1:
        raise RecliError(Exit.DATA, "ranks start at 1", where=where)
    codes = np.full((len(users), int(rank.max(initial=1))), -1, np.int32)
    codes[user[kept], rank[kept] - 1] = encode(frame[ITEM], items)[kept]
    if frame.select(USER, "rank").is_duplicated().any() or frame.select(USER, ITEM).is_duplicated().any():
        raise RecliError(Exit.DATA, "a user has an item, or a rank, twice", where=where)
    return codes


def _rows_for(users: pl.Series, listed: pl.Series, codes: "NDArray[np.int32]") -> "NDArray[np.int32]":
    """The lists of ``users``, in their order; all -1 for one who has none."""
    row = encode(users, listed)
    chosen = codes[row]
    chosen[row < 0] = -1
    return chosen


def measure(codes: "NDArray[np.int32]", truth: Truth, metrics: Sequence[Wanted], facts: Mapping[str, Any]) -> Result:
    """Every metric over the users with a held-out row; a user without a list counts, with 0."""
    depth = max(max(wanted.k for wanted in metrics), codes.shape[1])
    codes = np.pad(codes, ((0, 0), (0, depth - codes.shape[1])), constant_values=-1)
    gains = gains_of(codes, truth.indptr, truth.item)
    listed = (codes >= 0).sum(axis=1)
    per_user, values = {}, {}
    for wanted in metrics:
        metric = METRICS[wanted.name]
        name = str(wanted)
        by_user = metric.function(gains, ideal_of(truth.relevant, depth), listed, truth.relevant, wanted.k)
        per_user[name] = by_user
        warm = None
        if truth.warm is not None:
            warm = _mean(metric.function(gains, ideal_of(truth.warm, depth), listed, truth.warm, wanted.k))
        values[name] = {
            "value": _mean(by_user),
            "warm": warm,
            "definition": metric.definition,
            "larger_is_better": metric.larger_is_better,
            "users": len(truth.users),
            "users_without_list": int((listed == 0).sum()),
            "population": "users with at least one held-out row",
            **facts,
        }
    frame = pl.DataFrame({USER: truth.users, **per_user})
    return Result(document={"metrics": values}, per_user=frame)


def _mean(values: "NDArray[np.float64]") -> float | None:
    """The mean over the users for whom the metric is defined; None (null in JSON) where there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else None
