"""The leak guard: what makes a figure better than the model is."""

from collections.abc import Iterator

import polars as pl

from recli.pipeline.events import Events
from recli.schema import ITEM, TIME, USER

PAIR = [USER, ITEM]


def repeated(held_out: pl.DataFrame, trained: pl.DataFrame) -> Iterator[str]:
    """Held-out rows that the model was fitted on: of the same time too, since a user may come back to an item."""
    timed = TIME in held_out.columns and held_out.schema[TIME] == trained.schema.get(TIME)
    row = [*PAIR, TIME] if timed else PAIR
    count = _found(held_out.select(row), trained.select(row))
    if count:
        yield f"{count:,} of {held_out.height:,} held-out rows stand in what the model was trained on"


def _found(rows: pl.DataFrame, among: pl.DataFrame) -> int:
    """How many of the rows stand among others; their hashes first, which settles it where there is none."""
    likely = rows.filter(rows.hash_rows(seed=1).is_in(among.hash_rows(seed=1).implode()))
    return likely.join(among, on=rows.columns, how="semi").height if likely.height else 0


def listed(lists: pl.DataFrame, seen: pl.DataFrame) -> Iterator[str]:
    """Recommended items that their users had in training."""
    count = _found(lists.select(PAIR), seen.select(PAIR))
    if count:
        yield f"{count:,} of {lists.height:,} recommended items were seen by their users in training"


def younger(held_out: pl.DataFrame, trained: pl.DataFrame, events: Events | None) -> Iterator[str]:
    """Rows of training that are not older than the first held-out row of a split by time."""
    by_time = events is not None and events.artifact is not None
    by_time = by_time and events.artifact.header.params.get("strategy") == "time"  # type: ignore[union-attr]
    if not by_time or TIME not in trained.columns or TIME not in held_out.columns:
        return
    count = int((trained[TIME] >= held_out[TIME].min()).sum())
    if count:
        yield f"{count:,} of {trained.height:,} rows of training are not older than the cut of the split by time"
