"""What a metric is, and the values of ranking metrics by user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from recli.metrics.gains import Judged, judge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]

# What a metric is computed from: lists and what is relevant, lists and facts about the items, or pairs with a score.
Kind = Literal["ranking", "lists", "pairs"]
Need = Literal["train", "features", "categories", "history", "gains", "users"]
Population = Literal["relevant", "listed", "judged", "pairs"]

POPULATIONS: Final[dict[Population, str]] = {
    "relevant": "users with a relevant item; who has no list counts",
    "listed": "users with a relevant item and a list",
    "judged": "users with a judged item and a list; who has nothing relevant counts, with 0",
    "pairs": "labelled pairs",
}

PLACES = 1 << 18  # places of lists in a block: memory does not grow with the users


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What a metric is called, how it is computed and what exactly it means.

    ``function`` takes, by ``kind``: ``(gains, ideal, listed, relevant, k)`` for "ranking" (see `ranking`),
    ``(items, facts)`` for "lists" (see `beyond`), ``(scores, truth, users)`` for "pairs" (see `rating`).
    ``definition`` says in one word what else goes by the same name: gain, discount and denominator.
    ``needs`` names what must be at hand beside the lists or pairs. Where ``per_user``, the function returns a value
    for every user, NaN outside the population, and the metric is their mean; else it returns the metric.
    ``weight`` says how much a user counts in that mean, from (relevant, k): a ratio of sums is such a mean.
    ``graded`` says that it tells one gain above 0 from another.
    """

    name: str
    function: Callable[..., Any]
    definition: str
    summary: str
    source: str
    kind: Kind = "ranking"
    larger_is_better: bool = True
    needs: tuple[Need, ...] = ()
    per_user: bool = True
    population: Population = "relevant"
    weight: Callable[[Longs, int], Doubles] | None = None
    graded: bool = False

    @property
    def takes_cutoff(self) -> bool:
        """Whether it is written with an ``@k``."""
        return self.kind != "pairs"

    def defined_by(self, gain: str = "binary") -> str:
        """The definition, where the gain is the one of `gains.GAINS` with that name."""
        return self.definition.replace("/binary/", f"/{gain}/") if self.graded else self.definition

    def by_user(self, judged: Judged, k: int) -> Doubles:
        """The values (users,) of a ranking metric, NaN for those outside its population."""
        values: Doubles = self.function(*judged, k)
        if self.population == "judged":
            values = np.where(judged.relevant > 0, values, 0.0)
        return np.where(judged.listed > 0, values, np.nan) if self.population in ("listed", "judged") else values

    def mean(self, values: Doubles, relevant: Longs, k: int) -> float:
        """The metric of all users from their values, which may be NaN; NaN where all are."""
        counted = ~np.isnan(values)
        weights = np.ones(len(values)) if self.weight is None else self.weight(relevant, k)
        total = weights[counted].sum()
        return float((values[counted] * weights[counted]).sum() / total) if total else float("nan")


def by_user(
    metrics: Sequence[tuple[Metric, int]],
    lists: Ints,
    truth_indptr: Longs,
    truth_items: Ints,
    truth_gains: Doubles | None = None,
) -> list[Doubles]:
    """The values (users,) of ranking metrics, each at its cut-off, NaN for those outside its population.

    ``lists`` and the truth are as `gains.gains_of` takes them. Users stream through in blocks.
    """
    deepest = max(k for _, k in metrics)
    values = [np.empty(len(lists)) for _ in metrics]
    step = PLACES // deepest + 1
    for start in range(0, len(lists), step):
        block = slice(start, start + step)
        indptr = truth_indptr[start : start + step + 1]
        rows = slice(int(indptr[0]), int(indptr[-1]))
        gains = None if truth_gains is None else truth_gains[rows]
        judged = judge(lists[block], indptr - indptr[0], truth_items[rows], gains, depth=deepest)
        for (metric, k), column in zip(metrics, values, strict=True):
            column[block] = metric.by_user(judged, k)
    return values
