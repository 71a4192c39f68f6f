"""Whether a difference between two results is more than chance, and how large it is.

Pure functions of the values by user (float64). The unit is the user: what is said holds for users like these, not for
another training seed. Chance enters by ``seed``; the same seed gives the same figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Doubles = NDArray[np.float64]

SEED = 2020
RESAMPLES = 10_000
DRAWS = 1 << 20  # drawn at a time: memory does not grow with users × resamples


@dataclass(frozen=True, kw_only=True)
class Paired:
    """What sets result a apart from result b on the same users; ``difference`` is a − b.

    ``users`` have a value in both; ``dropped`` lack one. ``low`` to ``high`` is the bootstrap interval of the mean
    difference. ``p_t`` and ``p_randomization`` are two-sided. ``effect`` is Cohen's d_z, the mean difference in units
    of the differences' standard deviation. In ``wins`` a is larger, in ``losses`` b. What is undefined is NaN.
    """

    users: int
    dropped: int
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    p_t: float
    p_randomization: float
    effect: float
    wins: int
    ties: int
    losses: int


@dataclass(frozen=True, kw_only=True)
class Unpaired:
    """How the means of different users differ: ``difference`` is mean a − mean b, with its bootstrap interval."""

    users_a: int
    users_b: int
    dropped: int
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float


def paired(a: Doubles, b: Doubles, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = SEED) -> Paired:
    """Compare two results user by user; pairs with a NaN are dropped and counted.

    The interval is the percentile bootstrap over users (Efron and Tibshirani 1993, chapter 13), the t test is
    Student's for paired samples, the randomisation test flips the sign of each user's difference (Fisher 1935; Smucker
    et al., CIKM 2007) and counts the one at hand among the flips.
    """
    assert a.shape == b.shape, "paired values belong to the same users"
    known = ~(np.isnan(a) | np.isnan(b))
    a, b = a[known], b[known]
    differences = a - b
    bootstrap, flips = np.random.default_rng(seed).spawn(2)
    low, high = _percentiles(resampled_means(differences, resamples, bootstrap), confidence)
    p_t, effect = _t_test(differences)
    return Paired(
        users=len(a),
        dropped=int((~known).sum()),
        mean_a=_mean(a),
        mean_b=_mean(b),
        difference=_mean(differences),
        low=low,
        high=high,
        p_t=p_t,
        p_randomization=_randomization_test(differences, resamples, flips),
        effect=effect,
        wins=int((differences > 0).sum()),
        ties=int((differences == 0).sum()),
        losses=int((differences < 0).sum()),
    )


def unpaired(
    a: Doubles, b: Doubles, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = SEED
) -> Unpaired:
    """Compare the means of two results on different users; the percentile bootstrap resamples each on its own.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13.
    """
    dropped = int(np.isnan(a).sum() + np.isnan(b).sum())
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    for_a, for_b = np.random.default_rng(seed).spawn(2)
    means = resampled_means(a, resamples, for_a) - resampled_means(b, resamples, for_b)
    low, high = _percentiles(means, confidence)
    mean_a, mean_b = _mean(a), _mean(b)
    return Unpaired(
        users_a=len(a),
        users_b=len(b),
        dropped=dropped,
        mean_a=mean_a,
        mean_b=mean_b,
        difference=mean_a - mean_b,
        low=low,
        high=high,
    )


def holm(p_values: ArrayLike) -> Doubles:
    """p values adjusted for their number: reject those at or below α, and the chance of any false one is at most α.

    The m values ascending, p_(i) becomes the largest of (m − j + 1) p_(j) over j ≤ i, at most 1. NaN stays, and does
    not count.

    Source: Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    p = np.asarray(p_values, np.float64)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1.0)
    return adjusted


def resampled_means(values: Doubles, resamples: int, rng: np.random.Generator) -> Doubles:
    """The means of that many samples of the same size, drawn with replacement; NaN where there are no values."""
    n = len(values)
    if n == 0:
        return np.full(resamples, np.nan)
    distinct, counts = np.unique(values, return_counts=True)
    sums = np.empty(resamples)
    if len(distinct) * 16 <= n:  # metrics of short lists have few values: then count each instead of drawing all
        step = DRAWS // len(distinct) + 1
        for start in range(0, resamples, step):
            sample = rng.multinomial(n, counts / n, min(step, resamples - start))
            sums[start : start + step] = (sample * distinct).sum(axis=1)
    else:
        worth = values[values != 0]  # and differences are often 0: how many are not is one draw
        for i, size in enumerate(rng.binomial(n, len(worth) / n, resamples)):
            sums[i] = worth.take(rng.integers(0, len(worth), size)).sum()
    return sums / n


def flipped_sums(values: Doubles, resamples: int, rng: np.random.Generator) -> Doubles:
    """The sums of the values under that many random choices of their signs."""
    values = values[values != 0]
    eights = np.pad(values, (0, -len(values) % 8)).reshape(-1, 8)
    signs = 1.0 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    sums = np.zeros(resamples)
    step = DRAWS // resamples + 1
    for start in range(0, len(eights), step):
        # One random byte signs eight values: their sum is looked up among the 256 there are.
        table = (eights[start : start + step, None, :] * signs).sum(axis=2)
        first = 256 * np.arange(len(table))
        sums += table.ravel().take(rng.integers(0, 256, (resamples, len(table)), np.uint8) + first).sum(axis=1)
    return sums


def _randomization_test(differences: Doubles, resamples: int, rng: np.random.Generator) -> float:
    if len(differences) == 0:
        return float("nan")
    observed = abs(differences.sum())
    rounding = 1e-12 * np.abs(differences).sum()
    as_far = np.abs(flipped_sums(differences, resamples, rng)) >= observed - rounding
    return float((as_far.sum() + 1) / (resamples + 1))


def _t_test(differences: Doubles) -> tuple[float, float]:
    """p and Cohen's d_z, NaN where the differences do not vary."""
    n = len(differences)
    spread = differences.std(ddof=1) if n > 1 else 0.0
    if spread <= 1e-12 * np.abs(differences).max(initial=0.0):  # what rounding leaves of equal differences
        return float("nan"), float("nan")
    from scipy.special import stdtr  # what scipy.stats computes it from, in a fifth of the time to import

    effect = float(differences.mean() / spread)
    return float(2 * stdtr(n - 1, -abs(effect) * np.sqrt(n))), effect


def _percentiles(means: Doubles, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _mean(values: Doubles) -> float:
    return float(values.mean()) if len(values) else float("nan")
