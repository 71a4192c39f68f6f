"""Reliability diagrams: bins by hand, scikit-learn's curve, and what the order of the pairs must not change."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from recli.metrics.reliability import ece, reliability

SCORES = np.array([0.05, 0.1, 0.11, 0.3, 0.9, 1.0])
TRUTH = np.array([0.0, 1.0, 0.0, 1.0, 1.0, 1.0])
pairs = st.lists(st.tuples(st.integers(0, 20).map(lambda n: n / 20) | st.floats(0, 1), st.booleans()), min_size=1)


def test_bins_of_equal_width_by_hand():
    """(0, 0.1] has the first two, (0.1, 0.2] the third, (0.2, 0.3] the fourth, (0.8, 0.9] and (0.9, 1] one each."""
    found = reliability(SCORES, TRUTH)
    assert found.pairs.tolist() == [2, 1, 1, 1, 1]
    assert found.predicted == pytest.approx([0.075, 0.11, 0.3, 0.9, 1.0])
    assert found.observed.tolist() == [0.5, 0.0, 1.0, 1.0, 1.0]
    assert ece(SCORES, TRUTH) == pytest.approx((2 * 0.425 + 0.11 + 0.7 + 0.1) / 6)


def test_bins_of_equal_count_by_hand():
    found = reliability(SCORES, TRUTH, equal="count", bins=3)
    assert found.pairs.tolist() == [2, 2, 2]
    assert found.predicted == pytest.approx([0.075, 0.205, 0.95])
    tied = reliability(np.array([0.2, 0.2, 0.2, 0.7]), np.array([0, 1, 1, 1.0]), equal="count", bins=2)
    assert (tied.pairs.tolist(), tied.observed.tolist()) == ([3, 1], [pytest.approx(2 / 3), 1.0])


@pytest.mark.parametrize("bins", [5, 10, 15])
def test_the_curve_is_scikit_learns(bins: int):
    scores = np.random.default_rng(bins).uniform(size=500)
    truth = (np.random.default_rng(1).uniform(size=500) < scores**2).astype(float)
    found = reliability(scores, truth, bins=bins)
    observed, predicted = calibration_curve(truth, scores, n_bins=bins, strategy="uniform")
    assert np.allclose(found.observed, observed) and np.allclose(found.predicted, predicted)
    assert reliability(scores, truth, bins=bins, equal="count").pairs.tolist() == pytest.approx(
        [500 / bins] * bins, abs=1
    )


@given(pairs, st.sampled_from(["width", "count"]), st.randoms())
def test_every_pair_is_in_one_bin_whatever_their_order(rows, equal, dice):
    scores, truth = np.array(rows, float).T
    found = reliability(scores, truth, equal=equal)
    assert found.pairs.sum() == len(rows) and 1 <= len(found.pairs) <= 10
    assert (found.pairs * found.predicted).sum() == pytest.approx(scores.sum())
    assert (found.pairs * found.observed).sum() == pytest.approx(truth.sum())
    assert (np.diff(found.predicted) > 0).all()
    dice.shuffle(rows)
    again = reliability(*np.array(rows, float).T, equal=equal)
    assert again.pairs.tolist() == found.pairs.tolist() and again.observed.tolist() == found.observed.tolist()


def test_what_is_kept_has_no_error_and_none_has_no_value():
    assert ece(np.array([0.0, 1.0, 0.5, 0.5]), np.array([0.0, 1.0, 0.0, 1.0])) == 0
    assert math.isnan(ece(np.empty(0), np.empty(0)))
    assert not len(reliability(np.empty(0), np.empty(0), equal="count").pairs)
