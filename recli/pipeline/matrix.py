"""Ratings as a matrix of users and items: those that are known, and those that were predicted."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from recli.artifact import Artifact, load
from recli.errors import Exit, RecliError
from recli.pipeline.events import Source, check_parent, open_events, parent_path
from recli.pipeline.recommend import Request, open_task
from recli.schema import ITEM, PARTS, QUERY, RATING, SCORE, USER

WIDEST: Final = 50  # items that are shown side by side
DIGITS: Final = re.compile(r"(\d+)", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """``known`` and ``predicted`` are by (user, item); the users and items of either are in natural order, 2 before 10.

    ``lacking`` says why the known ratings are not there, where they should be.
    """

    users: list[str]
    items: list[str]
    known: dict[tuple[str, str], float]
    predicted: dict[tuple[str, str], float]
    n_users: int
    n_items: int
    lacking: str | None = None

    def document(self) -> dict[str, Any]:
        """As JSON takes it: a row for each user, null where there is nothing."""
        both = {"known": self.known, "predicted": self.predicted}
        rows = {name: [[of.get((u, i)) for i in self.items] for u in self.users] for name, of in both.items()}
        return {"users": self.users, "items": self.items, **rows}


def is_small(artifact: Artifact) -> bool:
    """Whether it holds predicted ratings, one a pair, of no more items than are shown side by side."""
    if artifact.header.kind != "preds" or artifact.header.more.get("task") != "rating":
        return False
    frame = artifact.frame()
    return QUERY not in frame.columns and frame[ITEM].n_unique() <= WIDEST


def matrix_of(artifact: Artifact, most_users: int | None, most_items: int | None) -> Matrix:
    """The ratings of a table or a split, or predictions and the ratings behind them; of the first users and items.

    Of several ratings of a pair the last one stands; where one is both known and predicted, the prediction.

    Raises:
        RecliError: it holds no ratings, or several predictions a pair (exit 3).
    """
    lacking, predicted = None, pl.DataFrame(schema={USER: pl.String, ITEM: pl.String, RATING: pl.Float64})
    if artifact.header.kind == "preds":
        predicted = _predicted(artifact)
        try:
            known = _behind(artifact)
        except RecliError as error:
            known, lacking = predicted.clear(), f"the known ratings are left out: {error}"
    elif artifact.header.kind in ("inter", "split"):
        known = open_events(Path(artifact.path), Source()).part(*PARTS)
    else:
        raise RecliError(Exit.DATA, f"holds no ratings but {artifact.header.kind}", where=artifact.path)
    if RATING not in known.columns:
        raise RecliError(Exit.DATA, "holds no ratings", where=artifact.path)
    frames = (known.select(USER, ITEM, RATING), predicted)
    users, items = (_natural(pl.concat([frame[name] for frame in frames])) for name in (USER, ITEM))
    shown = pl.col(USER).is_in(users[:most_users]) & pl.col(ITEM).is_in(items[:most_items])
    cells = [{(user, item): value for user, item, value in frame.filter(shown).iter_rows()} for frame in frames]
    return Matrix(
        users=users[:most_users],
        items=items[:most_items],
        known=cells[0],
        predicted=cells[1],
        n_users=len(users),
        n_items=len(items),
        lacking=lacking,
    )


def _predicted(artifact: Artifact) -> pl.DataFrame:
    frame = artifact.frame()
    if QUERY in frame.columns:
        raise RecliError(Exit.DATA, "holds several predictions of a pair", where=artifact.path)
    return frame.select(USER, ITEM, pl.col(SCORE).cast(pl.Float64).alias(RATING)).drop_nulls()


def _behind(artifact: Artifact) -> pl.DataFrame:
    """The ratings of the table that the model behind some predictions was trained on."""
    path = parent_path(artifact, "model")
    if path is None:
        raise RecliError(Exit.DATA, "names no model", where=artifact.path)
    model = load(path)
    check_parent(artifact.header, "model", model.digest, path, "recli predict makes them anew")
    return open_task(model, Request()).events.part(*PARTS)


def _natural(ids: pl.Series) -> list[str]:
    """The distinct ids, with the numbers in them by their size."""
    return sorted(ids.unique(), key=_parts)


def _parts(identity: str) -> tuple[list[tuple[int, str]], str]:
    # A number is ordered by its length without zeros, then by its digits: as by its size, however long it is.
    found = DIGITS.split(identity)
    parts = [(len(part.lstrip("0")), part.lstrip("0")) if place % 2 else (0, part) for place, part in enumerate(found)]
    return parts, identity
