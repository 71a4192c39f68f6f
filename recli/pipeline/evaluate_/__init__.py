"""evaluate: lists, or a model, against the rows that were held out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from recli.artifact import Artifact, find
from recli.artifact.file import Document
from recli.errors import Exit, RecliError
from recli.interactions import encode, vocabulary
from recli.metrics import Metric, Wanted
from recli.pipeline.events import Events, Source, check_parent, open_events, parent_path
from recli.pipeline.measure import Result, deepest, measure, truth_of
from recli.pipeline.names import stem
from recli.pipeline.recommend import Request, open_task, rank
from recli.pipeline.step import Input, Output, Product, Step, perform
from recli.schema import ITEM, RATING, USER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What to evaluate and how: the metrics, the truth, and, for a model, what `recommend` takes."""

    metrics: Sequence[Wanted]
    table: Mapping[str, Metric]  # recli's, or a dialect's
    dialect: str = "recli"
    truth: Path | None = None
    request: Request = field(default_factory=Request)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An evaluation that has not been done yet: the step that names it, and the work, done when first asked for."""

    step: Step
    work: Callable[[], Result]

    @cached_property
    def result(self) -> Result:
        """What was measured."""
        return self.work()


def plan(path: Path, asked: Asked, output: Output) -> Plan:
    """How to evaluate lists, recli's or anybody's, or a model.

    Raises:
        RecliError: the input is neither (exit 3), a cut-off is deeper than recli's lists, or there is no truth for
            anybody's (exit 2).
    """
    artifact = find(path)
    truth = None if asked.truth is None else open_events(asked.truth, asked.request.source).of_interactions()
    if artifact is None:
        return _plan_foreign(path, asked, truth, output)
    if artifact.header.kind == "model":
        return _plan_model(artifact, asked, truth, output)
    if artifact.header.kind == "recs":
        return _plan_lists(artifact, asked, truth, output)
    message = f"is neither recommendations nor a model but {artifact.header.kind}"
    raise RecliError(Exit.DATA, message, where=path, hint="evaluate takes recommendations or a model")


def write(plan: Plan, output: Output) -> Path:
    """The metrics as an artifact: found where it is up to date, else made."""

    def work() -> Product:
        metrics = plan.result.document["metrics"]
        values = ", ".join(f"{name} {entry['value']:.4f}" for name, entry in metrics.items())
        return Product(payload=Document(plan.result.document), summary=values)

    return perform(plan.step, output, work)


def write_per_user(plan: Plan, output: Output) -> Path:
    """The values by user, as a table."""

    def work() -> Product:
        frame = plan.result.per_user
        return Product(payload=frame, summary=f"{frame.height:,} users")

    return perform(replace(plan.step, kind="per-user", suffix=".users.parquet"), output, work)


def _plan_model(artifact: Artifact, asked: Asked, given: Events | None, output: Output) -> Plan:
    request = replace(asked.request, k=deepest(asked.metrics))
    task = open_task(artifact, request)

    def work() -> Result:
        held_out = _held_out(task.events, task.phase, given, artifact.path)
        lists = rank(task, output)
        if request.users is not None or request.history is not None:
            held_out = _not_empty(held_out.filter(pl.col(USER).is_in(lists.users.implode())), artifact.path)
        # Items that the model never saw have codes too, above its own: they are relevant and never listed.
        strangers = vocabulary(held_out.filter(~pl.col(ITEM).is_in(lists.items.implode()))[ITEM])
        truth = truth_of(held_out, lists.items, strangers, task.events.part("train"))
        row = encode(truth.users, lists.users)
        codes = np.where((row >= 0)[:, None], lists.codes[row], np.int32(-1))
        return measure(codes, truth, asked.metrics, asked.table, task.facts)

    params = {**task.facts, **request.choices(), **request.source.params()}
    inputs = [*task.inputs, *_as_truth(given)]
    step = _step(artifact.path, asked, params, inputs, [task.scorer_module])
    return Plan(step=replace(step, also_read=request.files), work=work)


def _plan_lists(artifact: Artifact, asked: Asked, given: Events | None, output: Output) -> Plan:
    more, request = artifact.header.more, asked.request
    for wanted in asked.metrics:
        if wanted.k is not None and wanted.k > more["k"]:
            message = f"holds lists of {more['k']}, too short for {wanted}"
            raise RecliError(Exit.USAGE, message, where=artifact.path, hint=f"recli recommend -k {wanted.k}")
    if request.phase not in (None, more["phase"]) or request.choices() or request.history or request.allow_seen:
        hint = "such options are for recommend, or for evaluate with a model"
        raise RecliError(Exit.USAGE, f"holds lists made for phase {more['phase']}", where=artifact.path, hint=hint)
    events = _split_of(artifact, asked)
    facts = {name: more[name] for name in ("phase", "candidates", "seen")}

    def work() -> Result:
        held_out = _held_out(events, more["phase"], given, artifact.path)
        return _of_lists(artifact.frame(), artifact.path, held_out, events, asked, facts, output)

    inputs = [Input(role="recs", path=artifact.path, sha256=artifact.digest), *_as_truth(given)]
    if events is not None:
        inputs += [item for item in events.inputs if item.role == "split"]
    return Plan(step=_step(artifact.path, asked, {**facts, **request.source.params()}, inputs, []), work=work)


def _plan_foreign(path: Path, asked: Asked, given: Events | None, output: Output) -> Plan:
    """Lists that another program made: a table with a user, an item and, where there is one, a rank or a score."""
    if given is None:
        hint = "--truth names the held-out rows"
        raise RecliError(Exit.USAGE, "are lists of another program, which name no truth", where=path, hint=hint)
    request = asked.request
    if request.phase or request.choices() or request.history or request.allow_seen or request.split:
        raise RecliError(Exit.USAGE, "such options are for a model, and these are lists", where=path)
    lists = open_events(path, request.source).of_interactions()
    facts = {"phase": "given", "candidates": "unknown", "seen": "unknown"}

    def work() -> Result:
        frame = _ranked(lists.table.frame, path)
        return _of_lists(frame, path, _held_out(None, "given", given, path), None, asked, facts, output)

    inputs = [*lists.inputs_as("recs"), *_as_truth(given)]
    return Plan(step=_step(path, asked, {**facts, **request.source.params()}, inputs, []), work=work)


def _ranked(frame: pl.DataFrame, where: Path) -> pl.DataFrame:
    """The lists with ranks 1, 2, …: by their column rank, else by score, the highest first, else as the rows stand.

    Equal scores go by the code of the item, as everywhere.
    """
    in_order = pl.int_range(1, pl.len() + 1).over(USER)
    # A source that finds a column score takes it for the rating.
    found = next((name for name in ("rank", "score", RATING) if name in frame.columns), None)
    if found is None:
        return frame.select(USER, ITEM, rank=in_order)
    number = frame[found].cast(pl.Float64, strict=False)
    wrong = number.is_null() | number.is_nan()
    if wrong.any():
        bad = frame[found][int(wrong.arg_max() or 0)]
        raise RecliError(Exit.DATA, f"{found} {bad!r} is no number", where=where)
    place = number if found == "rank" else -number
    code = pl.Series(encode(frame[ITEM], vocabulary(frame[ITEM])))
    ordered = frame.select(USER, ITEM).with_columns(place=place, code=code).sort("place", "code", maintain_order=True)
    return ordered.select(USER, ITEM, rank=in_order)


def _of_lists(
    frame: pl.DataFrame,
    where: Path,
    held_out: pl.DataFrame,
    events: Events | None,
    asked: Asked,
    facts: Mapping[str, Any],
    output: Output,
) -> Result:
    """Lists with ranks against the held-out rows; ``events`` is the split behind them, where it is known."""
    train = None if events is None else events.part("train")
    known = vocabulary((held_out if train is None else train)[ITEM])
    named = pl.concat([frame[ITEM], held_out[ITEM]])
    strangers = vocabulary(named.filter(~named.is_in(known.implode())))
    truth = truth_of(held_out, known, strangers, train)
    codes = _codes(frame, truth.users, pl.concat([known, strangers]), where)
    uncounted = frame[USER].n_unique() - int((codes >= 0).any(axis=1).sum())
    if uncounted:
        output.detail(f"{uncounted:,} users of the lists have no held-out row and do not count")
    return measure(codes, truth, asked.metrics, asked.table, facts)


def _step(path: Path, asked: Asked, params: Mapping[str, Any], inputs: Sequence[Input], modules: Sequence[str]) -> Step:
    return Step(
        command="evaluate",
        kind="metrics",
        name=stem(path),
        suffix=".metrics.json",
        params={"metrics": [str(wanted) for wanted in asked.metrics], "dialect": asked.dialect, **params},
        inputs=inputs,
        modules=["recli.pipeline.evaluate", *modules],
    )


def _split_of(artifact: Artifact, asked: Asked) -> Events | None:
    """The split behind the lists: to find the truth, and to tell what is warm. A given truth does without."""
    path = parent_path(artifact, "split", asked.request.split)
    if path is None or not path.exists():
        if path is not None and (asked.truth is None or asked.request.split is not None):
            hint = "--truth or --split names the file"
            raise RecliError(Exit.IO, "the split behind the lists is not there", where=path, hint=hint)
        return None
    events = open_events(path, Source())
    check_parent(artifact.header, "split", events.inputs[0].sha256, path, "--split names the file it was made from")
    return events


def _held_out(events: Events | None, phase: str, given: Events | None, where: Path) -> pl.DataFrame:
    """The rows that are the truth: those of a file (of a split, its part of the phase), or those of the phase.

    Raises:
        RecliError: the phase holds nothing out (exit 2), or there is no such row (exit 3).
    """
    if given is not None:
        return _not_empty(given.part(phase if given.is_split else "train"), given.path)
    if events is None or phase not in ("valid", "test"):
        raise RecliError(
            Exit.USAGE, "nothing was held out from these lists", where=where, hint="--truth names the rows"
        )
    return _not_empty(events.part(phase), events.path)


def _not_empty(held_out: pl.DataFrame, where: Path) -> pl.DataFrame:
    if held_out.is_empty():
        raise RecliError(Exit.DATA, "holds no row that is held out from these lists", where=where)
    return held_out


def _as_truth(given: Events | None) -> list[Input]:
    return [] if given is None else given.inputs_as("truth")


def _codes(frame: pl.DataFrame, users: pl.Series, items: pl.Series, where: Path) -> "Ints":
    """Lists as codes (users, depth), -1 where a list is short or a user has none."""
    user = encode(frame[USER], users)
    rank = frame["rank"].to_numpy()
    if rank.min(initial=1) < 1:
        raise RecliError(Exit.DATA, "ranks start at 1", where=where)
    if frame.select(USER, "rank").is_duplicated().any() or frame.select(USER, ITEM).is_duplicated().any():
        raise RecliError(Exit.DATA, "a user has an item, or a rank, twice", where=where)
    kept = user >= 0
    codes = np.full((len(users), int(rank.max(initial=1))), -1, np.int32)
    codes[user[kept], rank[kept] - 1] = encode(frame[ITEM], items)[kept]
    return codes
