"""Paired and unpaired comparison against scipy, golden values and their own laws."""

import math
from dataclasses import asdict, replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from recli.metrics import significance
from recli.metrics.significance import flipped_sums, holm, paired, resampled_means, unpaired

values = st.floats(0, 1).map(lambda value: round(value, 2))
pairs = st.lists(st.tuples(values, values), min_size=1, max_size=30).map(lambda rows: np.array(rows).T)


def some(n, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.random(n)
    return a, np.clip(a + rng.normal(0.02, 0.1, n), 0, 1)


def test_golden_values():
    """Student's sleep data: the extra hours of ten patients under two drugs."""
    one = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    two = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    result = paired(two, one)
    assert result.difference == pytest.approx(1.58)
    assert result.p_t == pytest.approx(0.002833, abs=5e-7)
    assert result.effect == pytest.approx(1.58 / 1.2299955, rel=1e-6)
    assert (result.wins, result.ties, result.losses, result.users, result.dropped) == (9, 1, 0, 10, 0)
    # Of the 1,024 choices of signs, those 4 have as large a sum: all alike, but for the tie's.
    assert result.p_randomization == pytest.approx(4 / 1024, abs=0.002)
    assert 0.8 < result.low < 1.0
    assert 2.2 < result.high < 2.5


@pytest.mark.parametrize("n", [5, 40, 500])
def test_scipy_agrees(n):
    a, b = some(n)
    result = paired(b, a)
    assert result.p_t == pytest.approx(stats.ttest_rel(b, a).pvalue, rel=1e-9)
    interval = stats.bootstrap((b - a,), np.mean, method="percentile", n_resamples=9999, rng=1).confidence_interval
    width = interval.high - interval.low
    assert [result.low, result.high] == pytest.approx(list(interval), abs=0.06 * width)
    p = stats.permutation_test(
        (b - a,),
        lambda d, axis: d.mean(axis=axis),
        permutation_type="samples",
        n_resamples=9999,
        vectorized=True,
        rng=1,
    ).pvalue
    assert result.p_randomization == pytest.approx(p, abs=0.015)


def test_the_interval_of_different_users():
    a, b = some(300)[0], some(200, seed=1)[1]
    result = unpaired(b, a)
    assert result.difference == pytest.approx(b.mean() - a.mean())
    interval = stats.ttest_ind(b, a, equal_var=False).confidence_interval()
    assert [result.low, result.high] == pytest.approx(list(interval), abs=0.004)
    assert unpaired(b, a) == result
    assert (result.users_a, result.users_b) == (200, 300)


def test_the_interval_covers_the_truth():
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(200):
        differences = rng.normal(0.1, 1, 60)
        result = paired(differences, np.zeros(60), resamples=500)
        inside += result.low <= 0.1 <= result.high
    assert 180 <= inside <= 199


@given(pairs)
@settings(deadline=None)
def test_laws_of_pairs(pair):
    a, b = pair
    result, turned = paired(a, b, resamples=400), paired(b, a, resamples=400)
    assert result.users == result.wins + result.ties + result.losses == len(a)
    assert result.difference == pytest.approx(result.mean_a - result.mean_b, abs=1e-12)
    assert turned.difference == pytest.approx(-result.difference, abs=1e-15)
    assert (turned.wins, turned.losses) == (result.losses, result.wins)
    assert turned.p_randomization == pytest.approx(result.p_randomization)
    assert turned.p_t == pytest.approx(result.p_t, nan_ok=True)
    assert 0 < result.p_randomization <= 1
    assert math.isnan(result.p_t) or 0 <= result.p_t <= 1
    assert (a - b).min() - 1e-12 <= result.low <= result.high <= (a - b).max() + 1e-12
    assert paired(a, b, resamples=400) == result or math.isnan(result.p_t)
    narrower = paired(a, b, resamples=400, confidence=0.5)
    assert result.low <= narrower.low <= narrower.high <= result.high


@given(pairs)
@settings(deadline=None)
def test_nan_is_dropped_and_counted(pair):
    a, b = pair
    hole = np.array([np.nan, 0.5])
    bare, holed = paired(a, b, resamples=50), paired(np.append(a, hole), np.append(b, hole[::-1]), resamples=50)
    np.testing.assert_equal(asdict(holed), asdict(replace(bare, dropped=2)))
    apart = unpaired(np.append(a, np.nan), b, resamples=50)
    np.testing.assert_equal(asdict(apart), asdict(replace(unpaired(a, b, resamples=50), dropped=1)))


def test_equal_results_do_not_differ():
    a = some(50)[0]
    result = paired(a, a)
    assert (result.difference, result.low, result.high, result.ties) == (0, 0, 0, 50)
    assert result.p_randomization == 1
    assert math.isnan(result.p_t)
    assert math.isnan(result.effect)
    shifted = paired(a + 0.1, a)  # differences that rounding alone sets apart
    assert math.isnan(shifted.p_t)
    assert shifted.p_randomization < 0.001


def test_one_user_and_none():
    nothing = np.array([])
    assert math.isnan(paired(nothing, nothing).difference)
    assert math.isnan(paired(nothing, nothing).p_randomization)
    assert math.isnan(unpaired(nothing, np.array([1.0])).low)
    one = paired(np.array([1.0]), np.array([0.0]))
    assert (one.difference, one.low, one.high, one.p_randomization) == (1, 1, 1, 1)
    assert math.isnan(one.p_t)


def test_both_ways_to_resample_draw_from_the_same():
    """Values that are few are counted, others drawn."""
    rng = np.random.default_rng(0)
    few = rng.integers(0, 3, 600) / 2
    many = few + rng.random(600) * 1e-9
    for sample in (few, many):
        means = resampled_means(sample, 4000, np.random.default_rng(1))
        assert means.mean() == pytest.approx(few.mean(), abs=0.003)
        assert means.std() == pytest.approx(few.std() / math.sqrt(600), rel=0.05)


def test_flips_are_every_choice_of_signs():
    values = np.array([1.0, 2.0, 4.0, 0.0, 8.0])
    sums = flipped_sums(values, 20_000, np.random.default_rng(0))
    every = sorted(float(np.dot(signs, [1, 2, 4, 8])) for signs in product([-1, 1], repeat=4))
    found, counts = np.unique(sums, return_counts=True)
    assert found.tolist() == every
    assert counts.min() > 20_000 / 16 * 0.85


def test_memory_does_not_grow_with_the_resamples(monkeypatch):
    a, b = some(101)
    monkeypatch.setattr(significance, "DRAWS", 64)
    result = paired(a, b, resamples=300)
    assert result.low < result.difference < result.high
    assert 0 < result.p_randomization <= 1


def test_holm_golden_value():
    """Four hypotheses, as in the article of Wikipedia on the method."""
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_array_equal(holm([np.nan, 0.02, 0.04]), [np.nan, 0.04, 0.04])
    assert holm([]).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_laws_of_holm(p):
    raw, adjusted = np.array(p), holm(p)
    assert (adjusted >= raw).all()
    assert (adjusted <= np.minimum(1, len(p) * raw)).all()
    order = np.argsort(raw, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    np.testing.assert_array_equal(holm(raw[::-1]), adjusted[::-1])
