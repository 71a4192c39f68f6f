"""Metrics of lists beyond accuracy: coverage, concentration, popularity, novelty, diversity, calibration.

Each is a pure function of ``items`` (users, k) int32, the lists cut at k as item codes, -1 where a list has ended, and
of `Facts`. Those by user return float64 (users,), NaN where the list, or what else they need, is empty; a metric is
their mean. The others return one number for all lists together, NaN where there is nothing listed.

Below, L is the user's list, |L| its length (not k), n the number of items and N of users in train, and n_i how many
of those users have item i. The universe is the items of train; an item of a list that is not among them is cold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Bools = NDArray[np.bool_]
    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Matrix: TypeAlias = Doubles | csr_matrix

Given = TypeVar("Given")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known beside the lists; `Metric.needs` names what a metric cannot do without.

    - train: ``popularity`` (n,) int64, how many users of train have each item, which also sets the universe: the codes
      0…n − 1; and ``n_users``, N.
    - ``features`` (n, any) dense or CSR: an item's features.
    - ``categories`` (n, any) dense or CSR, not negative: an item's categories; rows are scaled to sum to 1.
    - history: the items that the user of each row had in train, as the CSR pair ``history_indptr`` (users + 1,) and
      ``history_items``.
    - ``gains`` (users, depth), depth ≥ k: what the item at each place is worth to the user, above 0 where relevant.
    """

    popularity: Longs | None = None
    n_users: int = 0
    features: Matrix | None = None
    categories: Matrix | None = None
    history_indptr: Longs | None = None
    history_items: Ints | None = None
    gains: Doubles | None = None


def item_coverage(items: Ints, facts: Facts) -> float:
    """Distinct items of train in all lists together / n. Larger is better, 0 to 1.

    Source: Ge et al., Beyond accuracy: evaluating recommender systems by coverage and serendipity, RecSys 2010.
    RecBole divides by n + 1.
    """
    counts = listings(items, facts)
    return float(np.count_nonzero(counts) / len(counts))


def user_coverage(items: Ints, facts: Facts) -> Doubles:
    """1 where the user's list holds an item, else 0. Larger is better, 0 to 1. Universe: the users asked for.

    Source: Gunawardana and Shani, Recommender Systems Handbook, 2015, section 8.3.2.
    """
    return np.where((items >= 0).any(axis=1), 1.0, 0.0)


def gini(items: Ints, facts: Facts) -> float:
    """Σ_i (2i − n − 1) c_(i) / (n Σ c), c_(i) the listings of each item of train, ascending: how unequal they are.

    0 where all are listed alike, near 1 where one takes all. Smaller is better. An item never listed counts, with 0.

    Source: RecBole 1.2.1, `GiniIndex` (with n + 1); Gunawardana and Shani, 2015, section 8.3.2.
    """
    return gini_index(listings(items, facts))


def gini_index(counts: Longs) -> float:
    """The Gini index of counts, 0 to 1; NaN where all are 0."""
    n, total = len(counts), counts.sum()
    if total == 0:
        return float("nan")
    return float(((2 * np.arange(1, n + 1) - n - 1) * np.sort(counts)).sum() / (n * total))


def entropy(items: Ints, facts: Facts) -> float:
    """−Σ_i p_i ln p_i, p_i item i's share of all listings: how evenly they spread, in nats. Larger is better.

    At most the logarithm of the number of distinct items. Universe: the items listed, cold ones included. RecBole
    divides it by the number of distinct items.

    Source: Shannon 1948; the formula in the documentation of RecBole 1.2.1, `ShannonEntropy`.
    """
    _, counts = np.unique(items[items >= 0], return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum()) if len(counts) else float("nan")


def popularity(items: Ints, facts: Facts) -> Doubles:
    """Σ_{i ∈ L} n_i / |L|: how many users of train have an item of the list, on average. Smaller is better. Cold: 0.

    Source: Yin et al., Challenging the long tail recommendation, VLDB 2012; RecBole 1.2.1, `AveragePopularity`.
    """
    return _mean_over_list(items, given(facts.popularity, "train").astype(np.float64), cold=0.0)


def tail(items: Ints, facts: Facts, share: float = 0.1) -> Doubles:
    """The share of L that is in the tail: the ⌊n · 0.1⌋ (at least 1) least popular items. Larger is better, 0 to 1.

    Among equally popular items the lower codes are in it. Cold items are not.

    Source: RecBole 1.2.1, `TailPercentage` with its default `tail_ratio`.
    """
    counts = given(facts.popularity, "train")
    least = np.argsort(counts, kind="stable")[: max(int(len(counts) * share), 1)]
    in_tail = np.zeros(len(counts))
    in_tail[least] = 1.0
    return _mean_over_list(items, in_tail, cold=0.0)


def novelty(items: Ints, facts: Facts) -> Doubles:
    """−Σ_{i ∈ L} log2(n_i / N) / |L|: mean inverse user frequency. Larger is better. Cold: as if one user had it.

    Source: Zhou et al., Solving the apparent diversity-accuracy dilemma, PNAS 2010; RecTools, `MeanInvUserFreq`.
    """
    counts = np.maximum(given(facts.popularity, "train"), 1)
    return _mean_over_list(items, -np.log2(counts / facts.n_users), cold=float(np.log2(facts.n_users)))


def serendipity(items: Ints, facts: Facts) -> Doubles:
    """Σ_i max(p_i − q_i, 0) h_i / |L|: relevant items that popularity would not have put there. Larger is better.

    p_i = (n + 1 − i) / n for the item at place i; q_i is the same for its place by popularity in train, equally
    popular items sharing one place; 0 for an item that nobody has. h_i is 1 where it is relevant.

    Source: RecTools, `Serendipity`, after Murakami et al., Metrics for evaluating the serendipity of recommendation
    lists, 2008.
    """
    counts = given(facts.popularity, "train")
    n, k = len(counts), items.shape[1]
    _, level = np.unique(-counts, return_inverse=True)
    expected = _per_item(items, np.where(counts > 0, (n - level) / n, 0.0), cold=0.0)
    surprise = np.maximum((n - np.arange(k)) / n - expected, 0.0)
    return _mean_of_listed(surprise * (given(facts.gains, "gains")[:, :k] > 0), items >= 0)


def diversity(items: Ints, facts: Facts) -> Doubles:
    """Σ_{i ≠ j ∈ L} (1 − cos(x_i, x_j)) / (|L| (|L| − 1)): intra-list diversity, x the features. Larger is better.

    0 where all are alike, 1 where no two share a feature, 2 at most. An item without features (a cold one) is at
    distance 1 from every other. NaN for a list of one.

    Source: Ziegler et al., Improving recommendation lists through topic diversification, WWW 2005; RecTools,
    `IntraListDiversity` (where a list of one has 0).
    """
    features = _csr(given(facts.features, "features"))
    lengths = np.sqrt(features.multiply(features).sum(axis=1).A1)
    unit = _scale_rows(features, lengths)
    lists = _matrix(items, features.shape[0])
    # |Σ x|² holds every pair and the squares, so no pair has to be formed.
    sums = lists @ unit
    pairs = sums.multiply(sums).sum(axis=1).A1 - lists @ (lengths > 0).astype(np.float64)
    size = (items >= 0).sum(axis=1)
    mean = pairs / np.maximum(size * (size - 1), 1)
    return np.where(size > 1, np.clip(1 - mean, 0.0, 2.0), np.nan)


def calibration(items: Ints, facts: Facts, smoothing: float = 0.01) -> Doubles:
    """Σ_g p(g) ln(p(g) / ((1 − α) q(g) + α p(g))), α = 0.01: how far the list strays from the user's tastes.

    p is the mean distribution of categories over the user's items in train, q over the list, every item with the same
    weight; items without a category are left out. Smaller is better; 0 where they are alike, at most −ln α = 4.6.

    Source: Steck, Calibrated recommendations, RecSys 2018, equations 2 to 6.
    """
    categories = _csr(given(facts.categories, "categories"))
    categories = _scale_rows(categories, categories.sum(axis=1).A1)
    indptr, history = given(facts.history_indptr, "history"), given(facts.history_items, "history")
    wanted, has_history = _distribution(_csr_of(indptr, history, categories.shape[0]), categories)
    shown, has_list = _distribution(_matrix(items, categories.shape[0]), categories)
    mixed = (1 - smoothing) * shown + smoothing * wanted
    # Wherever the user's distribution is above 0, the mixed one is.
    surprise = wanted.multiply(mixed.power(-1)).tocsr()
    surprise.data = np.log(surprise.data)
    divergence = wanted.multiply(surprise).sum(axis=1).A1
    # Rounding may leave a little less than nothing.
    return np.where(has_history & has_list, np.maximum(divergence, 0.0), np.nan)


def listings(items: Ints, facts: Facts) -> Longs:
    """How often each item of the universe is listed, (n,)."""
    n = len(given(facts.popularity, "train"))
    return np.bincount(items[(items >= 0) & (items < n)], minlength=n).astype(np.int64)


def given(value: Given | None, need: str) -> Given:
    """The fact, which the caller made sure of."""
    assert value is not None, f"{need} is needed"
    return value


def _mean_over_list(items: Ints, of_item: Doubles, cold: float) -> Doubles:
    return _mean_of_listed(_per_item(items, of_item, cold), items >= 0)


def _per_item(items: Ints, of_item: Doubles, cold: float) -> Doubles:
    """What each listed item has, (users, k); anything where a list has ended."""
    return np.append(of_item, cold)[np.where((items >= 0) & (items < len(of_item)), items, len(of_item))]


def _mean_of_listed(values: Doubles, listed: Bools) -> Doubles:
    size = listed.sum(axis=1)
    return np.where(size > 0, (values * listed).sum(axis=1) / np.maximum(size, 1), np.nan)


def _csr(matrix: Matrix) -> Any:
    from scipy.sparse import csr_matrix

    copy = csr_matrix(matrix, dtype=np.float64, copy=True)
    copy.eliminate_zeros()
    return copy


def _matrix(items: Ints, n: int) -> Any:
    """Lists as a CSR matrix (users, n), without cold items."""
    known = (items >= 0) & (items < n)
    return _csr_of(np.append(0, np.cumsum(known.sum(axis=1))), items[known], n)


def _csr_of(indptr: Longs, items: Ints, n: int) -> Any:
    from scipy.sparse import csr_matrix

    return csr_matrix((np.ones(len(items)), items, indptr), shape=(len(indptr) - 1, n))


def _scale_rows(matrix: Any, divisors: Doubles) -> Any:
    """The rows divided; a row of zeros stays."""
    from scipy.sparse import diags

    return (diags(1 / np.where(divisors > 0, divisors, 1.0)) @ matrix).tocsr()


def _distribution(rows: Any, categories: Any) -> tuple[Any, Bools]:
    """The mean distribution over the items of each row, and whether there is one."""
    sums = (rows @ categories).tocsr()
    totals = sums.sum(axis=1).A1
    return _scale_rows(sums, totals), totals > 0
