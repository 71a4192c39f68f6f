"""predict: a model and pairs in, the pairs with a score out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError
from recli.interactions import encode
from recli.memory import reserve
from recli.pipeline.audience import keys, numbered
from recli.pipeline.events import Events, open_events
from recli.pipeline.folds import Fold
from recli.pipeline.names import stem
from recli.pipeline.recommend import Request, Task, audience_of, load_model, open_model, open_task
from recli.pipeline.step import Output, Product, Step, perform
from recli.schema import ITEM, LABEL, QUERY, RATING, SCORE, TIME, USER

if TYPE_CHECKING:
    from numpy.typing import NDArray

EVENTS = 1 << 24  # of histories scored at a time
PAIR = 80  # bytes that a pair takes: its ids, its codes and its score, and what is beside them while they are made
# What stands for a rating where there is something that the model does not know.
FALLBACKS: Final = {
    "unknown_user": "were rated from the item alone: the user is unknown",
    "unknown_item": "were rated from the user alone: the item is unknown",
    "unknown_both": "got the mean rating: user and item are unknown",
    "cannot": "got the mean rating: the model cannot tell",
}


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The pairs with a column ``score``, null where the model cannot.

    ``fallen`` counts the pairs by what was not known of them, as in ``FALLBACKS``.
    """

    frame: pl.DataFrame
    fallen: Mapping[str, int] = field(default_factory=dict)

    @property
    def fallbacks(self) -> int:
        """How many got the mean rating alone."""
        return self.fallen.get("unknown_both", 0) + self.fallen.get("cannot", 0)


def predict(path: Path, pairs: Path | None, request: Request, output: Output, *, missing: bool = False) -> Path:
    """The scores of pairs, given, held out or, if ``missing``, all that the model was not fitted on, as an artifact."""
    if missing and (pairs is not None or request.rolling or request.history is not None):
        message = "--all takes every pair that the model was not fitted on"
        raise RecliError(Exit.USAGE, message, hint="leave out --pairs, --rolling and --history")
    task = open_task(load_model(path), request)
    given = None if pairs is None else open_events(pairs, request.source).of_interactions()
    if given is None and not missing and task.phase not in ("valid", "test"):
        others = "" if task.given else ", --all takes those without a rating, --phase the rows of a split"
        hint = f"--pairs names a file of pairs{others}"
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
            **({"all": True} if missing else {}),
            **request.source.params(),
        },
        defaults={"phase": "test"},
        unnamed=tuple(request.source.params()),
        inputs=[*task.inputs, *more],
        modules=["recli.pipeline.predict", task.scorer_module],
        fold=Fold.of(task.artifact.header),
    )
    if "-" in (str(pairs), str(request.history)):  # what comes from stdin has no digest to know it again by
        output = replace(output, force=True)
    return perform(step, output, lambda: _product(task, given, output, missing=missing))


def pairs_of(task: Task, given: Events | None) -> pl.DataFrame:
    """The pairs to score, with what is known of them: those given, or the rows that the phase holds out."""
    rows = given.part("train", "valid", "test") if given is not None else task.events.part(task.phase)
    if task.request.rolling:
        if given is not None:
            raise RecliError(Exit.USAGE, "--rolling takes the pairs from the split", hint="leave out the file of pairs")
        rows = numbered(rows)
    # Without rolling queries a column called so is not what numbers them.
    kept = (USER, *((QUERY,) if task.request.rolling else ()), ITEM, RATING, LABEL, TIME, *task.context)
    return rows.select(name for name in dict.fromkeys(kept) if name in rows.columns)


def missing_pairs(task: Task) -> pl.DataFrame:
    """Every pair of the model's users and items that it was not fitted on, users and items as they first appear.

    Raises:
        RecliError: they would take more memory than there is (exit 5), or there is none (exit 3).
    """
    own = open_model(task.artifact)[:2]
    fitted = task.events.part(*task.artifact.header.more["fit_on"])
    shape = (len(own[0]), len(own[1]))
    what = f"{shape[0]:,} × {shape[1]:,} pairs"
    reserve(PAIR * shape[0] * shape[1], what, "--pairs names those that are wanted")
    # A model knows more than the table's where a companion does.
    users, items = (pl.concat([fitted[ids.name], ids]).unique(maintain_order=True) for ids in own)
    open_ = np.ones(shape, np.bool_)
    open_[encode(fitted[USER], users), encode(fitted[ITEM], items)] = False
    user, item = np.nonzero(open_)
    if not len(user):
        raise RecliError(Exit.DATA, "every user has every item: no pair is missing", where=task.events.path)
    return pl.DataFrame({USER: users.gather(user), ITEM: items.gather(item)})


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
    time = pairs[TIME].cast(pl.Float64).to_numpy() if TIME in pairs.columns else None
    context = pairs.select(name for name in task.context if name in pairs.columns)
    scores = np.empty(len(row), np.float32)
    ends = np.cumsum((audience.stop - audience.start)[row])
    first = 0
    while first < len(row):
        last = int(np.searchsorted(ends, (ends[first - 1] if first else 0) + EVENTS, side="right"))
        block = slice(first, max(last, first + 1))
        queries = replace(
            audience.queries(row[block]), at=None if time is None else time[block], context=context[block]
        )
        scores[block] = scorer.score_pairs(queries, item[block])
        output.progress(block.stop, len(row), "pairs")
        first = block.stop
    # Of a user who is not known there may be a history, given by hand, that the model rates from.
    historyless = (audience.stop == audience.start)[row]
    return _settled(task, pairs, scores, audience.user[row] < 0, item < 0, historyless)


def _settled(
    task: Task,
    pairs: pl.DataFrame,
    scores: "NDArray[np.float32]",
    new_user: "NDArray[np.bool_]",
    new_item: "NDArray[np.bool_]",
    historyless: "NDArray[np.bool_]",
) -> Predictions:
    """The pairs with their scores; of a model of ratings the mean rating counts as such also where it is its own."""
    cannot = np.isneginf(scores)
    scale = task.artifact.header.more.get("rating")
    if scale is None:
        return Predictions(frame=pairs.with_columns(pl.Series(SCORE, scores).set(pl.Series(cannot), None)))
    scores[cannot] = scale["mean"]
    both = new_user & new_item
    fallen = {
        "unknown_user": new_user & ~new_item & ~cannot & historyless,
        "unknown_item": new_item & ~new_user & ~cannot,
        "unknown_both": both & (scores == np.float32(scale["mean"])),
        "cannot": cannot & ~both,
    }
    clipped = np.clip(scores, scale["low"], scale["high"])
    counts = {name: int(np.count_nonzero(which)) for name, which in fallen.items()}
    return Predictions(frame=pairs.with_columns(pl.Series(SCORE, clipped)), fallen=counts)


def _product(task: Task, given: Events | None, output: Output, *, missing: bool) -> Product:
    pairs = missing_pairs(task) if missing else pairs_of(task, given)
    if pairs.is_empty():
        raise RecliError(Exit.DATA, "holds no pair", where=task.events.path if given is None else given.path)
    if lost := [name for name in task.context if name not in pairs.columns]:
        output.note(f"the pairs have no {', '.join(lost)}, which counts as unknown")
    found = score(task, pairs, output)
    unscored = found.frame[SCORE].null_count()
    header = task.artifact.header.more
    more = {
        "phase": "all" if missing else task.phase if given is None else "given",
        "model": header["model"],
        "task": header["task"],
        "fit_on": header["fit_on"],
        "pairs": pairs.height,
        "fallbacks": found.fallbacks,
        "fallen": dict(found.fallen),
        "unscored": unscored,
    }
    for kind, count in found.fallen.items():
        if count:
            output.note(f"{count:,} of {pairs.height:,} pairs {FALLBACKS[kind]}")
    if unscored:
        output.note(f"{unscored:,} of {pairs.height:,} pairs have no score: the user or the item is unknown")
    frame = found.frame.drop((name for name in task.context if name != TIME), strict=False)
    return Product(payload=frame, more=more, summary=f"{pairs.height:,} predictions")
