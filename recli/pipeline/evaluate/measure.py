"""The metrics of lists of codes against a truth: what `evaluate` does once everything is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from recli.memory import reserve
from recli.metrics import Metric, Wanted
from recli.metrics.beyond import Facts
from recli.metrics.gains import gains_of
from recli.metrics.metric import POPULATIONS, by_user
from recli.pipeline.evaluate.slices import Slice, by_group
from recli.pipeline.evaluate.truth import Relevant, Truth, fingerprint
from recli.pipeline.recommend import PLACE, ties
from recli.schema import QUERY, USER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """The lists of the truth's rows: ``codes`` and, where they are known, ``scores`` (rows, depth).

    They may go on below the deepest cut-off. ``tied`` is the share of lists tied at their end, where that was noted;
    ``uncounted`` are the rows that no list of the truth's rows holds.
    """

    codes: "Ints"
    scores: "Floats | Doubles | None" = None
    tied: float | None = None
    uncounted: int = 0

    def ties_at(self, k: int) -> float | None:
        """The share of lists that are tied at the cut; None where that cannot be told."""
        if self.scores is not None and self.codes.shape[1] > k:
            return ties(self.codes, self.scores, k)
        return self.tied if self.codes.shape[1] == k else None


@dataclass(frozen=True, kw_only=True)
class Result:
    """Metrics of one input: the document, the values by user, and, of lists, their codes and the items' ids by code."""

    document: dict[str, Any]
    per_user: pl.DataFrame
    codes: "Ints | None" = None
    items: pl.Series | None = None


@dataclass(frozen=True, kw_only=True)
class Value:
    """A metric of all rows, and by row where it has such values."""

    value: float | None
    by_row: "Doubles | None" = None


def measure(
    ranked: Ranked,
    truth: Truth,
    metrics: Sequence[Wanted],
    table: Mapping[str, Metric],
    facts: Mapping[str, Any],
    slices: Sequence[Slice] = (),
) -> Result:
    """Every metric over the rows with a relevant item; one without a list counts, with 0.

    ``warm`` beside a value is the metric over the items that stand in train, and the rows that have such. With queries
    the value is the mean over them, and ``user_mean`` the mean of the users' means.
    """
    depth = max((wanted.k or 1 for wanted in metrics), default=1)
    reserve(
        PLACE * depth * truth.rows.height, f"{truth.rows.height:,} lists of {depth:,}", "a smaller cut-off takes less"
    )
    values = values_of(ranked.codes, truth.all, truth.facts, metrics, table)
    ranking = [wanted for wanted in metrics if table[wanted.name].kind == "ranking"]
    warm = _warm(ranked.codes, truth, ranking, table, values)
    counts = _counts(ranked, truth)
    owner = truth.rows[USER] if QUERY in truth.rows.columns else None
    entries = {}
    for wanted, value in values.items():
        metric = table[wanted.name]
        entries[str(wanted)] = {
            "value": value.value,
            "warm": None if warm is None or wanted not in warm else warm[wanted].value,
            **({} if owner is None else {"user_mean": _user_mean(value.by_row, owner)}),
            "definition": metric.defined_by(facts.get("gain", "binary")),
            "larger_is_better": metric.larger_is_better,
            **counts,
            "population": POPULATIONS[metric.population],
            "ties": ranked.ties_at(wanted.k or 1),
            **facts,
        }
    for part in slices:
        for wanted, groups in by_group(part, ranked.codes, truth, metrics, table, values_of).items():
            entries[str(wanted)].setdefault("by", {})[part.name] = groups
    rows = {str(wanted): value.by_row for wanted, value in values.items() if value.by_row is not None}
    return Result(
        document={"truth": fingerprint(truth), "metrics": entries},
        per_user=truth.rows.with_columns(pl.Series(name, column) for name, column in rows.items()),
        codes=ranked.codes,
        items=truth.items,
    )


def values_of(
    codes: "Ints", relevant: Relevant, facts: Facts, metrics: Sequence[Wanted], table: Mapping[str, Metric]
) -> dict[Wanted, Value]:
    """Every metric of lists (rows, depth) whose relevant items are ``relevant``, in the order of ``metrics``."""
    counts = relevant.counts
    ranking = [wanted for wanted in metrics if table[wanted.name].kind == "ranking"]
    found: dict[Wanted, Value] = {}
    if ranking:
        cut = [(table[wanted.name], wanted.k or 1) for wanted in ranking]
        columns = by_user(cut, codes, relevant.indptr, relevant.item, relevant.gain)
        for wanted, (metric, k), column in zip(ranking, cut, columns, strict=True):
            found[wanted] = Value(value=number(metric.mean(column, counts, k)), by_row=column)
    others = [wanted for wanted in metrics if table[wanted.name].kind == "lists"]
    if any("gains" in table[wanted.name].needs for wanted in others):
        facts = replace(facts, gains=gains_of(codes, relevant.indptr, relevant.item))
    for wanted in others:
        metric, k = table[wanted.name], wanted.k or 1
        value = metric.function(codes[:, :k], facts)
        if metric.per_user:
            found[wanted] = Value(value=number(metric.mean(value, counts, k)), by_row=value)
        else:
            found[wanted] = Value(value=number(float(value)))
    return {wanted: found[wanted] for wanted in metrics}


def number(value: float) -> float | None:
    """None (null in JSON) where a metric is not defined."""
    return None if np.isnan(value) else value


def _warm(
    codes: "Ints",
    truth: Truth,
    metrics: Sequence[Wanted],
    table: Mapping[str, Metric],
    values: Mapping[Wanted, Value],
) -> Mapping[Wanted, Value] | None:
    if truth.warm is None or truth.warm is truth.all:
        return None if truth.warm is None else {wanted: values[wanted] for wanted in metrics}
    return values_of(codes, truth.warm, truth.facts, metrics, table)


def _counts(ranked: Ranked, truth: Truth) -> dict[str, Any]:
    """How many users (and queries) the metrics are of, and how many of them have no list, or nothing warm."""
    empty = int((ranked.codes < 0).all(axis=1).sum())
    warm = None if truth.warm is None else int((truth.warm.counts > 0).sum())
    if QUERY not in truth.rows.columns:
        counts = {"users": truth.rows.height, "users_without_list": empty, "warm_users": warm}
    else:
        users = truth.rows[USER].n_unique()
        counts = {"users": users, "queries": truth.rows.height, "queries_without_list": empty, "warm_queries": warm}
    return counts | {"users_without_relevant": truth.unjudged}


def _user_mean(by_row: "Doubles | None", owner: pl.Series) -> float | None:
    if by_row is None:
        return None
    frame = pl.DataFrame({USER: owner, "value": by_row}).filter(pl.col("value").is_not_nan())
    mean = frame.group_by(USER).agg(pl.col("value").mean())["value"].sort().mean()
    return None if mean is None else float(mean)  # type: ignore[arg-type]
