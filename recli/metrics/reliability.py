"""How well predicted probabilities are kept: in bins of pairs, the mean prediction beside the share that came true.

``scores`` (pairs,) float64 are probabilities, ``truth`` (pairs,) float64 the labels, 1 or 0. Pairs of one score are in
one bin, whatever their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Longs = NDArray[np.int64]

BINS = 10
Equal = Literal["width", "count"]


class Reliability(NamedTuple):
    """A reliability diagram: the bins that are not empty, by rising score; all (bins,)."""

    pairs: Longs
    predicted: Doubles
    observed: Doubles

    @property
    def ece(self) -> float:
        """Σ_b pairs_b |observed_b − predicted_b| / pairs; NaN where there are none."""
        gaps = np.abs(self.observed - self.predicted)
        return float((self.pairs * gaps).sum() / self.pairs.sum()) if len(gaps) else float("nan")


def reliability(scores: Doubles, truth: Doubles, *, equal: Equal = "width", bins: int = BINS) -> Reliability:
    """The diagram with ``bins`` of equal width on (low, high], or of as equal a count as tied scores allow.

    Source: Niculescu-Mizil and Caruana, Predicting good probabilities with supervised learning, ICML 2005 (width);
    Nguyen and O'Connor, Posterior calibration and exploratory analysis, EMNLP 2015 (count).
    """
    steps = np.arange(1, bins)
    edges = steps / bins
    if equal == "count" and len(scores):
        edges = np.unique(np.sort(scores)[-(-steps * len(scores) // bins) - 1])
    place = np.searchsorted(edges, scores, side="left")
    pairs = np.bincount(place, minlength=len(edges) + 1)
    held = pairs > 0
    sums = [np.bincount(place, values, minlength=len(edges) + 1)[held] for values in (scores, truth)]
    return Reliability(pairs[held].astype(np.int64), *(total / pairs[held] for total in sums))


def ece(scores: Doubles, truth: Doubles, users: Longs | None = None) -> float:
    """Expected calibration error: Σ_b pairs_b |observed_b − predicted_b| / pairs, over ten bins of equal width.

    Smaller is better.

    Source: Naeini, Cooper and Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015.
    """
    return reliability(scores, truth).ece
