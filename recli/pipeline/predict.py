"""predict: a model and pairs in, the pairs with a score out."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError
from recli.interactions import encode
from recli.pipeline.audience import keys, numbered
from recli.pipeline.events import Events, open_events
from recli.pipeline.names import stem
from recli.pipeline.recommend import Request, Task, audience_of, load_model, open_model, open_task
from recli.pipeline.step import Output, Product, Step, perform
from recli.schema import ITEM, LABEL, QUERY, RATING, SCORE, TIME, USER

if TYPE_CHECKING:
    from numpy.typing import NDArray

EVENTS = 1 << 24  # of histories scored at a time


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The pairs with a column ``score``, null where the model cannot; ``fallbacks`` got the mean rating alone."""

    frame: pl.DataFrame
    fallbacks: int = 0


def predict(path: Path, pairs: Path | None, request: Request, output: Output) -> Path:
    """The scores of pairs, given or held out, as an artifact."""
    task = open_task(load_model(path), request)
    given = None if pairs is None else open_events(pairs, request.source).of_interactions()
    if given is None and task.phase not in ("valid", "test"):
        hint = "--pairs names a file of pairs" + ("" if task.given else ", or --phase the rows of a split")
        raise RecliError(Exit.USAGE, "there is no held-out row to predict", where=task.events.path, hint=hint)
    more = [] if given is None else given.inputs_as("pairs")
    histories = [] if task.given is None else [item.sha256 for item in task.given.inputs_as("history")]
    step = Step(
        command="predict",
        kind="preds",
        name=stem(path),
        suffix=".preds.parquet",
        params={
            "phase": task.phase,
            **({"history": "rolling"} if request.rolling else {}),
            **({"history": histories} if histories else {}),
            **({"pairs": [item.sha256 for item in more]} if given is not None else {}),
            **request.source.params(),
        },
        defaults={"phase": "test"},
        unnamed=tuple(request.source.params()),
        inputs=[*task.inputs, *more],
        modules=["recli.pipeline.predict", task.scorer_module],
    )
    if "-" in (str(pairs), str(request.history)):  # what comes from stdin has no digest to know it again by
        output = replace(output, force=True)
    return perform(step, output, lambda: _product(task, given, output))


def pairs_of(task: Task, given: Events | None) -> pl.DataFrame:
    """The pairs to score, with what is known of them: those given, or the rows that the phase holds out."""
    rows = given.part("train", "valid", "test") if given is not None else task.events.part(task.phase)
    if task.request.rolling:
        if given is not None:
            raise RecliError(Exit.USAGE, "--rolling takes the pairs from the split", hint="leave out the file of pairs")
        rows = numbered(rows)
    # Without rolling queries a column called so is not what numbers them.
    kept = (USER, *((QUERY,) if task.request.rolling else ()), ITEM, RATING, LABEL, TIME)
    return rows.select(name for name in kept if name in rows.columns)


def score(task: Task, pairs: pl.DataFrame, output: Output) -> Predictions:
    """The score of every pair, from the history that the model would recommend from.

    A model of ratings is kept to the scale it was trained on, and where it cannot tell, the mean rating stands.
    """
    users, items, scorer = open_model(task.artifact)
    audience = audience_of(task, users, items, wanted=None if task.request.rolling else pairs[USER].unique())
    row = encode(keys(pairs), keys(audience.rows)).astype(np.int64)
    if (row < 0).any():
        stranger = pairs[USER][int((row < 0).argmax())]
        raise RecliError(Exit.DATA, f"no history is given for user {stranger}", hint="--history has to name every user")
    item = encode(pairs[ITEM], items)
    scores = np.empty(len(row), np.float32)
    ends = np.cumsum((audience.stop - audience.start)[row])
    first = 0
    while first < len(row):
        last = int(np.searchsorted(ends, (ends[first - 1] if first else 0) + EVENTS, side="right"))
        block = slice(first, max(last, first + 1))
        scores[block] = scorer.score_pairs(audience.queries(row[block]), item[block])
        output.progress(block.stop, len(row), "pairs")
        first = block.stop
    return _settled(task, pairs, scores, (audience.user[row] < 0) & (item < 0))


def _settled(
    task: Task, pairs: pl.DataFrame, scores: "NDArray[np.float32]", unknown: "NDArray[np.bool_]"
) -> Predictions:
    """The pairs with their scores; of a model of ratings the mean rating counts as such also where it is its own."""
    cannot = np.isneginf(scores)
    scale = task.artifact.header.more.get("rating")
    if scale is None:
        return Predictions(frame=pairs.with_columns(pl.Series(SCORE, scores).set(pl.Series(cannot), None)))
    scores[cannot] = scale["mean"]
    fallbacks = cannot | (unknown & (scores == np.float32(scale["mean"])))
    clipped = np.clip(scores, scale["low"], scale["high"])
    return Predictions(frame=pairs.with_columns(pl.Series(SCORE, clipped)), fallbacks=int(fallbacks.sum()))


def _product(task: Task, given: Events | None, output: Output) -> Product:
    pairs = pairs_of(task, given)
    if pairs.is_empty():
        raise RecliError(Exit.DATA, "holds no pair", where=task.events.path if given is None else given.path)
    found = score(task, pairs, output)
    unscored = found.frame[SCORE].null_count()
    header = task.artifact.header.more
    more = {
        "phase": task.phase if given is None else "given",
        "model": header["model"],
        "task": header["task"],
        "fit_on": header["fit_on"],
        "pairs": pairs.height,
        "fallbacks": found.fallbacks,
        "unscored": unscored,
    }
    if found.fallbacks:
        output.note(f"{found.fallbacks:,} of {pairs.height:,} pairs got the mean rating: user and item are unknown")
    if unscored:
        output.note(f"{unscored:,} of {pairs.height:,} pairs have no score: the user or the item is unknown")
    return Product(payload=found.frame, more=more, summary=f"{pairs.height:,} predictions")
