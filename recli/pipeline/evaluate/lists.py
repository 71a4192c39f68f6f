"""Lists, recli's or anybody's, as codes beside a truth."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError, nearest
from recli.interactions import digest64, encode
from recli.pipeline.audience import keys
from recli.pipeline.evaluate.measure import Ranked
from recli.pipeline.evaluate.truth import Truth
from recli.schema import ITEM, QUERY, RATING, SCORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Longs = NDArray[np.int64]

RANK = "rank"


def named(
    frame: pl.DataFrame,
    columns: Mapping[str, str],
    where: Path,
    *,
    originals: Mapping[str, str] | None = None,
    rated: bool = False,
) -> pl.DataFrame:
    """Another program's lists or predictions, with the columns that options name called ``score``, ``rank``, ``query``.

    A source that finds a column called score, and no rating, takes it for the rating; unless what the scores are held
    to stands beside them (``rated``), that is the score. ``originals`` says what the source renamed.

    Raises:
        RecliError: there is no such column (exit 2), or what should be a number is none (exit 3).
    """
    called = {theirs: ours for ours, theirs in (originals or {}).items()}
    for ours, given in columns.items():
        theirs = given if given in frame.columns else called.get(given, given)
        if theirs not in frame.columns:
            hint = nearest(theirs, frame.columns)
            raise RecliError(Exit.USAGE, f"--{ours}-col {given}: no such column", where=where, hint=hint)
        if theirs != ours:
            frame = frame.drop(ours, strict=False).rename({theirs: ours})
    if SCORE in columns and RANK not in columns:
        frame = frame.drop(RANK, strict=False)  # who names the scores wants to have the order by them
    was_score = (originals or {}).get(RATING, "").lower() == SCORE
    if SCORE not in frame.columns and RATING in frame.columns and (was_score or not rated):
        frame = frame.rename({RATING: SCORE})
    for name in (RANK, SCORE, QUERY):
        if name in frame.columns:
            frame = frame.with_columns(_numbers(frame[name], where))
    return frame


def _numbers(column: pl.Series, where: Path) -> pl.Series:
    whole = column.name == QUERY
    numbers = column.cast(pl.Float64, strict=False)
    wrong = numbers.is_null() | numbers.is_nan()
    if whole:
        wrong |= (numbers != numbers.floor()) | ~numbers.is_between(-(2**31), 2**31 - 1)
    if wrong.any():
        bad = column[int(wrong.arg_max() or 0)]
        message = f"{column.name} {bad!r} is no {'whole ' if whole else ''}number"
        raise RecliError(Exit.DATA, message, where=where)
    return numbers.cast(pl.Int32) if whole else numbers


def ranked(frame: pl.DataFrame, truth: Truth, depth: int, where: Path, *, descending_ids: bool = False) -> Ranked:
    """Lists beside the truth, the best ``depth`` of each: by rank, else by score, highest first, else as they stand.

    Equal scores go by the code of the item, as everywhere, or by descending ids, as in trec_eval, which keeps scores
    in single precision.

    Raises:
        RecliError: a user has an item, or a rank, twice (exit 3).
    """
    row = encode(keys(frame), truth.keys)
    kept = np.flatnonzero(row >= 0)
    row, item = row[kept], encode(frame[ITEM], truth.items)[kept]
    scores = frame[SCORE].to_numpy()[kept].astype(np.float64) if SCORE in frame.columns else None
    if scores is not None and descending_ids:
        scores = scores.astype(np.float32).astype(np.float64)
    place = frame[RANK].to_numpy()[kept] if RANK in frame.columns else None if scores is None else -scores
    if not _in_order(row, place):
        tie = _tie_order(truth.items, descending=descending_ids)
        order = np.lexsort((*(() if place is None else (tie[item], place)), row))
        row, item = row[order], item[order]
        place, scores = None if place is None else place[order], None if scores is None else scores[order]
    starts = np.flatnonzero(np.append(True, row[1:] != row[:-1])[: len(row)])
    at = np.arange(len(row)) - np.repeat(starts, np.diff(np.append(starts, len(row))))
    width = min(int(at.max(initial=0)) + 1, depth)
    shown = at < width
    codes = np.full((truth.rows.height, width), -1, np.int32)
    codes[row[shown], at[shown]] = item[shown]
    again = RANK in frame.columns and place is not None and ((np.diff(place) == 0) & (np.diff(row) == 0)).any()
    if again or _repeated(row, item, len(truth.items)):
        raise RecliError(Exit.DATA, "a user has an item, or a rank, twice", where=where)
    uncounted = frame.height - len(row)
    if scores is None:
        return Ranked(codes=codes, uncounted=uncounted)
    best = np.full(codes.shape, -np.inf)
    best[row[shown], at[shown]] = scores[shown]
    return Ranked(codes=codes, scores=best, uncounted=uncounted)


def _in_order(row: "NDArray[np.int32]", place: "Doubles | None") -> bool:
    """Whether a user's rows stand together and the places ascend without ties, so that nothing is to be sorted."""
    new = row[1:] != row[:-1]
    together = len(row) == 0 or int(new.sum()) + 1 == int(np.count_nonzero(np.bincount(row)))
    return together and (place is None or bool((new | (np.diff(place) > 0)).all()))


def _tie_order(items: pl.Series, *, descending: bool) -> "Longs":
    """The place of each item among equals."""
    if descending:
        return np.asarray(-items.rank("ordinal").to_numpy().astype(np.int64))
    digests = np.fromiter(map(digest64, items), np.uint64, len(items))
    order = np.empty(len(items), np.int64)
    order[np.argsort(digests, kind="stable")] = np.arange(len(items))
    return order


def _repeated(row: "NDArray[np.int32]", item: "NDArray[np.int32]", n_items: int) -> bool:
    flat = np.sort(row.astype(np.int64) * n_items + item)
    return bool((flat[1:] == flat[:-1]).any())
