"""Metrics by group: ``--by user.gender``, ``--by item.genre``, ``--by user-activity``, ``--by item-popularity``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError, nearest
from recli.metrics import Metric, Wanted
from recli.pipeline.evaluate.truth import Truth
from recli.schema import QUERY, USER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]

MOST: Final = 50  # groups; a column with more values is an id or a title
NONE: Final = "(none)"
PARTS: Final = 4  # numbers are grouped by quarters


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Users or items in groups: whether each belongs to the group of a label; one may belong to several.

    ``of`` a user: a mask over the truth's rows; of an item: over the truth's items.
    """

    name: str
    of: Literal["user", "item"]
    groups: Mapping[str, "Bools"]


def by_group(
    part: Slice,
    codes: "Ints",
    truth: Truth,
    metrics: Sequence[Wanted],
    table: Mapping[str, Metric],
    values_of: Callable[..., Mapping[Wanted, Any]],
) -> dict[Wanted, dict[str, Any]]:
    """Every metric by group: its value, how many users (and queries) it is of, and the gap between the groups.

    A group of items keeps the lists as they are and counts its own items alone as relevant, so that only ranking
    metrics have values by it.
    """
    wanted = [one for one in metrics if part.of == "user" or table[one.name].kind == "ranking"]
    found: dict[Wanted, dict[str, Any]] = {one: {} for one in wanted}
    rows = truth.rows
    for label, mask in part.groups.items():
        if part.of == "item":
            relevant, lists, facts = truth.all.only(mask), codes, truth.facts
        else:
            relevant, lists, facts = truth.all.rows(mask), codes[mask], truth.facts
            if facts.history_indptr is not None and facts.history_items is not None:
                indptr, items = _rows(facts.history_indptr, facts.history_items, mask)
                facts = replace(facts, history_indptr=indptr, history_items=items)
        counted = (rows if part.of == "item" else rows.filter(mask)).filter(relevant.counts > 0)
        counts = {"users": counted[USER].n_unique()} | ({"queries": counted.height} if QUERY in rows.columns else {})
        for one, value in values_of(lists, relevant, facts, wanted, table).items():
            found[one][label] = {"value": value.value if counted.height else None, **counts}
    return {one: {"groups": groups, "gap": gap(groups)} for one, groups in found.items()}


def gap(groups: Mapping[str, Mapping[str, Any]]) -> float | None:
    """The largest value less the smallest."""
    values = [group["value"] for group in groups.values() if group["value"] is not None]
    return max(values) - min(values) if values else None


def _rows(indptr: "Longs", items: "Ints", mask: "Bools") -> "tuple[Longs, Ints]":
    lengths = np.diff(indptr)
    return np.append(0, np.cumsum(lengths[mask])), items[np.repeat(mask, lengths)]


def of_counts(name: str, of: Literal["user", "item"], counts: "Longs") -> Slice:
    """Groups by how often users or items stand in train: users in quarters, items in thirds of train's rows.

    Who never stands there is ``cold``.
    """
    if of == "item":
        order = np.argsort(-counts, kind="stable")
        share = np.empty(len(counts))
        share[order] = (np.cumsum(counts[order]) - counts[order]) / max(counts.sum(), 1)
        cuts = {"head": share < 1 / 3, "middle": (share >= 1 / 3) & (share < 2 / 3), "tail": share >= 2 / 3}
        groups = {label: mask & (counts > 0) for label, mask in cuts.items()}
        groups = {label: mask for label, mask in groups.items() if mask.any()}
        ranges = _ranges([counts[mask] for mask in groups.values()])
        groups = {f"{label} ({a})": mask for (label, mask), a in zip(groups.items(), ranges, strict=True)}
    else:
        groups = _quarters(np.where(counts > 0, counts.astype(np.float64), np.nan))
        groups.pop(NONE, None)
    if (counts == 0).any():
        groups["cold"] = counts == 0
    return Slice(name=name, of=of, groups=groups)


def of_column(name: str, of: Literal["user", "item"], ids: pl.Series, table: pl.DataFrame, key: str) -> Slice:
    """Groups by a column of the users' or the items' table: a group a value, numbers in quarters.

    Raises:
        RecliError: there is no such column, or it has too many values to be groups (exit 2).
    """
    column = name.partition(".")[2]
    if column not in table.columns or column == key:
        columns = [one for one in table.columns if one != key]
        raise RecliError(Exit.USAGE, f"--by {name}: no such column", hint=nearest(column, columns))
    values = ids.to_frame(key).join(
        table.select(key, column).unique(key, keep="first"), on=key, how="left", maintain_order="left"
    )[column]
    if values.dtype.is_numeric():
        return Slice(name=name, of=of, groups=_quarters(values.cast(pl.Float64).fill_null(float("nan")).to_numpy()))
    lists = values.to_frame().with_row_index("row")
    if values.dtype.is_nested():
        lists = lists.explode(column, empty_as_null=True).with_columns(pl.col(column).cast(pl.String))
    lists = lists.with_columns(pl.col(column).fill_null("").replace("", NONE))
    labels = lists[column].unique().sort().to_list()
    if len(labels) > MOST:
        hint = f"a column of at most {MOST} values makes groups"
        raise RecliError(Exit.USAGE, f"--by {name}: {len(labels):,} different values", hint=hint)
    groups = {}
    for label in labels:
        groups[str(label)] = mask = np.zeros(len(ids), np.bool_)
        mask[lists.filter(pl.col(column) == label)["row"].to_numpy()] = True
    return Slice(name=name, of=of, groups=groups)


def _quarters(values: "NDArray[np.float64]") -> "dict[str, Bools]":
    """Four groups of about equal size, equal numbers together; those without a number apart."""
    known = ~np.isnan(values)
    edges = (
        np.unique(np.quantile(values[known], np.linspace(0, 1, PARTS + 1)[1:-1], method="lower"))
        if known.any()
        else np.empty(0)
    )
    place = np.searchsorted(edges, np.where(known, values, np.inf), side="left")
    masks = [known & (place == at) for at in range(len(edges) + 1)]
    masks = [mask for mask in masks if mask.any()]
    groups = dict(zip(_ranges([values[mask] for mask in masks]), masks, strict=True))
    if not known.all():
        groups[NONE] = ~known
    return groups


def _ranges(parts: "Sequence[NDArray[Any]]") -> list[str]:
    """From where to where the numbers of each part go, in as many digits as it takes to tell them apart."""
    ends = [(float(values.min()), float(values.max())) for values in parts]
    distinct = {end for both in ends for end in both}
    digits = next(n for n in (6, 12, 17) if n == 17 or len({f"{end:.{n}g}" for end in distinct}) == len(distinct))
    return [f"{low:.{digits}g}" if low == high else f"{low:.{digits}g}-{high:.{digits}g}" for low, high in ends]
