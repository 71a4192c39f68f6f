"""What other libraries mean by the same names: a dialect is another table of metrics.

A dialect names only what its library has, and takes from recli's table what is the same there. Where the library's
users differ, the population says so; where it averages otherwise, the weight does. Values are never rounded.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recli.metrics import METRICS, Metric
from recli.metrics.beyond import Facts, entropy, gini_index, listings
from recli.metrics.ranking import defined, discounts, hits, precisions, weighed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]


def precision_of_list(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """Σ h_i / min(k, L), L the length of the list: shorter lists are not held to k. An empty list has 0.

    Source: LensKit 2025.8, `Precision`.
    """
    return defined(hits(gains, k).sum(axis=1) / np.clip(listed, 1, k), relevant)


def recall_within_reach(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """Σ h_i / min(k, R): the share of what k places could hold.

    Source: LensKit 2025.8, `Recall`; implicit 0.7.3, the "precision" of `ranking_metrics_at_k`.
    """
    return defined(hits(gains, k).sum(axis=1) / reach(relevant, k), relevant)


def average_precision_of_all(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """Σ h_i · precision@i / R: relevant items out of the list's reach count as missed.

    Source: trec_eval, `map_cut`; ranx 0.3, `map`; RecTools 0.17, `MAP`; recommenders 1.2.1, `map`.
    """
    return defined(precisions(gains, k) / np.maximum(relevant, 1), relevant)


def average_precision_of_list(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """Σ h_i · precision@i / min(k, R, L), L the length of the list. An empty list has 0.

    Source: LensKit 2025.8, `AveragePrecision`.
    """
    return defined(precisions(gains, k) / np.clip(np.minimum(relevant, listed), 1, k), relevant)


def ndcg_of_full_list(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """Σ h_i / log2(i + 1), divided by Σ 1 / log2(i + 1): the ideal has k items even where R < k. Gains are binary.

    Source: RecTools 0.17, `NDCG` with its default `divide_by_achievable=False`.
    """
    weights = discounts(k)
    return defined(weighed(hits(gains, k), weights) / weights.sum(), relevant)


def ndcg_of_clipped_places(gains: Doubles, ideal: Doubles, listed: Longs, relevant: Longs, k: int) -> Doubles:
    """Σ g_i / log2(max(i, 2)), divided by the same sum of the ideal list: the first two places weigh the same.

    Source: LensKit 2025.8, `NDCG` with its default `LogRankWeight`; Järvelin and Kekäläinen, TOIS 2002, for base 2.
    """
    weights = 1 / np.log2(np.maximum(np.arange(1, k + 1), 2))
    best = weighed(ideal[:, :k], weights)
    return defined(weighed(gains[:, :k], weights) / np.where(best > 0, best, 1.0), relevant)


def reach(relevant: Longs, k: int) -> Doubles:
    """min(k, R), at least 1."""
    return np.clip(relevant, 1, k).astype(np.float64)


def item_coverage_with_padding(items: Ints, facts: Facts) -> float:
    """Distinct items in all lists together / (n + 1): RecBole counts the padding among the items.

    Larger is better.

    Source: RecBole 1.2.1, `ItemCoverage`.
    """
    counts = listings(items, facts)
    return float(np.count_nonzero(counts) / (len(counts) + 1))


def gini_with_padding(items: Ints, facts: Facts) -> float:
    """The Gini index of the listings of n + 1 items, the padding among them, which is never listed.

    Smaller is better.

    Source: RecBole 1.2.1, `GiniIndex`.
    """
    return gini_index(np.append(listings(items, facts), 0))


def entropy_per_item(items: Ints, facts: Facts) -> float:
    """−Σ p_i ln p_i / the number of distinct items listed, which the formula in RecBole's documentation lacks.

    Larger is better.

    Source: RecBole 1.2.1, `ShannonEntropy` as it is computed.
    """
    distinct = len(np.unique(items[items >= 0]))
    return entropy(items, facts) / distinct if distinct else float("nan")


def _same(*names: str, **changes: Any) -> list[Metric]:
    return [replace(METRICS[name], **changes) for name in names]


def _other(name: str, function: Any, definition: str, source: str, **changes: Any) -> Metric:
    """A metric that has another meaning there; what is not said is as in recli."""
    metric = METRICS[changes.pop("like", name)]
    return replace(metric, name=name, function=function, definition=definition, source=source, **changes)


MAP_OF_ALL: Final = (average_precision_of_all, "map/binary/denominator=R")

_TABLES: Final[dict[str, list[Metric]]] = {
    "recbole": [
        *_same("hit", "recall", "precision", "mrr", "map", "ndcg", "popularity", "tail"),
        *_same("rmse", "mae", "auc", "gauc", "logloss"),
        _other(
            "item-coverage", item_coverage_with_padding, "item-coverage/denominator=n+1", "RecBole 1.2.1 ItemCoverage"
        ),
        _other("gini", gini_with_padding, "gini/universe=n+1", "RecBole 1.2.1 GiniIndex"),
        _other("entropy", entropy_per_item, "entropy/nats/denominator=distinct", "RecBole 1.2.1 ShannonEntropy"),
    ],
    "implicit": [
        _other(
            "precision",
            recall_within_reach,
            "precision/binary/ratio-of-sums/denominator=min(k,R)",
            "implicit 0.7.3 ranking_metrics_at_k",
            weight=reach,
        ),
        *_same("map", "ndcg", source="implicit 0.7.3 ranking_metrics_at_k"),
    ],
    "lenskit": [
        *_same("hit", "mrr", source="LensKit 2025.8"),
        _other("ndcg", ndcg_of_clipped_places, "ndcg/binary/log2(max(i,2))/ideal=min(k,R)", "LensKit 2025.8 NDCG"),
        _other("recall", recall_within_reach, "recall/binary/denominator=min(k,R)", "LensKit 2025.8 Recall"),
        _other(
            "precision",
            precision_of_list,
            "precision/binary/denominator=min(k,L)",
            "LensKit 2025.8 Precision",
            population="listed",
        ),
        _other(
            "map",
            average_precision_of_list,
            "map/binary/denominator=min(k,R,L)",
            "LensKit 2025.8 AveragePrecision",
            population="listed",
        ),
    ],
    "rectools": [
        *_same("hit", "precision", "recall", "mrr", source="RecTools 0.17"),
        _other("map", *MAP_OF_ALL, "RecTools 0.17 MAP"),
        _other("ndcg", ndcg_of_full_list, "ndcg/binary/log2/ideal=k", "RecTools 0.17 NDCG", graded=False),
    ],
    "ranx": [
        *_same("hit", "precision", "recall", "mrr", "ndcg", "f1", source="ranx 0.3"),
        _other("map", *MAP_OF_ALL, "ranx 0.3 map"),
    ],
    "recommenders": [
        *_same("precision", "recall", "map", source="recommenders 1.2.1", population="listed"),
        _other("map-r", *MAP_OF_ALL, "recommenders 1.2.1 map", like="map", population="listed"),
        *_same("ndcg", source="recommenders 1.2.1 ndcg_at_k"),
    ],
    # trec_eval leaves out who is not in the run (without its -c), and counts who is judged and has nothing relevant.
    "trec": [
        *_same("hit", "precision", "recall", "mrr", "ndcg", source="trec_eval 9", population="judged"),
        _other("map", *MAP_OF_ALL, "trec_eval 9 map_cut", population="judged"),
    ],
}

DIALECTS: Final[dict[str, dict[str, Metric]]] = {
    name: {metric.name: metric for metric in metrics} for name, metrics in _TABLES.items()
}
