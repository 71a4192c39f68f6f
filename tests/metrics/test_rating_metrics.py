"""Metrics of pairs against scikit-learn, golden values and their own laws."""

import math

import numpy as np
import pytest
import sklearn.metrics as theirs
from hypothesis import given
from hypothesis import strategies as st

from recli.metrics import METRICS
from recli.metrics.rating import auc, auc_by_user, gauc, logloss, mae, mse, r2, rmse

PAIRS = [metric for metric in METRICS.values() if metric.kind == "pairs"]

numbers = st.floats(-5, 5).map(lambda value: round(value, 3))
ratings = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=30).map(lambda pairs: np.array(pairs).T)
# Few distinct scores, so that there are ties.
clicks = st.lists(
    st.tuples(st.integers(1, 9).map(lambda tenths: tenths / 10), st.booleans(), st.integers(0, 3)),
    min_size=1,
    max_size=40,
)


def columns(clicks):
    scores, labels, users = zip(*clicks, strict=True)
    return np.array(scores), np.array(labels, float), np.array(users)


def test_golden_values():
    scores, truth = np.array([3.0, 5.0, 2.0, 4.0]), np.array([4.0, 5.0, 1.0, 2.0])
    expected = {"mse": 6 / 4, "rmse": math.sqrt(6 / 4), "mae": 4 / 4, "r2": 1 - 6 / 10}
    for metric in PAIRS:
        if metric.name in expected:
            assert metric.function(scores, truth, None) == pytest.approx(expected[metric.name], rel=1e-14)


def test_golden_values_of_labels():
    # User 0: 0.9+ 0.5- 0.5+ 0.1-, of four pairs three and a half right; user 1: 0.2+ 0.8-, wrong; user 2: one label.
    scores = np.array([0.9, 0.5, 0.5, 0.1, 0.2, 0.8, 0.6])
    labels = np.array([1.0, 0, 1, 0, 1, 0, 1])
    users = np.array([0, 0, 0, 0, 1, 1, 2])
    by_user = auc_by_user(scores, labels, users, 3)
    np.testing.assert_array_equal(by_user.auc, [3.5 / 4, 0, np.nan])
    np.testing.assert_array_equal(by_user.positives, [2, 1, 1])
    np.testing.assert_array_equal(by_user.negatives, [2, 1, 0])
    assert gauc(scores, labels, users) == pytest.approx((2 * 0.875 + 1 * 0) / 3)
    assert gauc(scores, labels, users, "pairs") == pytest.approx((4 * 0.875 + 2 * 0) / 6)
    assert gauc(scores, labels, users, "none") == pytest.approx(0.875 / 2)
    assert auc(scores, labels, users) == pytest.approx(theirs.roc_auc_score(labels, scores))
    assert logloss(np.array([0.25, 0.5]), np.array([1.0, 0.0])) == pytest.approx(1.5 * math.log(2))
    # The edge of the clip, on both sides.
    assert logloss(np.array([0.0, 1.0]), np.array([1.0, 0.0])) == pytest.approx(-math.log(1e-15), rel=1e-3)
    assert logloss(np.array([0.0, 1.0]), np.array([0.0, 1.0])) == pytest.approx(0, abs=1e-14)


@given(ratings)
def test_scikit_learn_agrees_on_ratings(pairs):
    scores, truth = pairs
    assert mse(scores, truth) == pytest.approx(theirs.mean_squared_error(truth, scores), rel=1e-9, abs=1e-12)
    assert rmse(scores, truth) == pytest.approx(theirs.root_mean_squared_error(truth, scores), rel=1e-9, abs=1e-12)
    assert mae(scores, truth) == pytest.approx(theirs.mean_absolute_error(truth, scores), rel=1e-9, abs=1e-12)
    if np.ptp(truth) > 0:
        assert r2(scores, truth) == pytest.approx(theirs.r2_score(truth, scores), rel=1e-6, abs=1e-9)


@given(clicks)
def test_scikit_learn_agrees_on_labels(clicks):
    scores, labels, users = columns(clicks)
    assert logloss(scores, labels) == pytest.approx(theirs.log_loss(labels, scores, labels=[0, 1]), rel=1e-9)
    if len(set(labels)) == 2:
        assert auc(scores, labels) == pytest.approx(theirs.roc_auc_score(labels, scores), rel=1e-9)
    else:
        assert math.isnan(auc(scores, labels))
    by_user = auc_by_user(scores, labels, users, 4)
    for user in range(4):
        own = users == user
        if len(set(labels[own])) == 2:
            assert by_user.auc[user] == pytest.approx(theirs.roc_auc_score(labels[own], scores[own]), rel=1e-9)
        else:
            assert math.isnan(by_user.auc[user])


@given(clicks, st.randoms())
def test_the_order_of_pairs_does_not_matter(clicks, random):
    before = columns(clicks)
    random.shuffle(clicks)
    after = columns(clicks)
    for metric in PAIRS:
        assert metric.function(*after) == pytest.approx(metric.function(*before), rel=1e-9, abs=1e-12, nan_ok=True)


@given(clicks)
def test_only_the_order_of_scores_matters_to_auc(clicks):
    scores, labels, users = columns(clicks)
    for function in (auc, gauc):
        value = function(scores, labels, users)
        assert function(3 * scores + 1, labels, users) == pytest.approx(value, nan_ok=True)
        assert function(-scores, labels, users) == pytest.approx(1 - value, nan_ok=True)
        assert math.isnan(value) or 0 <= value <= 1


@given(ratings)
def test_the_truth_itself_is_perfect_and_its_mean_explains_nothing(pairs):
    _, truth = pairs
    assert mse(truth, truth) == rmse(truth, truth) == mae(truth, truth) == 0
    if np.ptp(truth) > 0:
        assert r2(truth, truth) == 1
        assert r2(np.full(len(truth), truth.mean()), truth) == pytest.approx(0, abs=1e-9)
    assert mae(*pairs) <= rmse(*pairs) * (1 + 1e-12)


def test_nothing_is_not_a_number():
    nothing = np.array([])
    for metric in PAIRS:
        assert math.isnan(metric.function(nothing, nothing, nothing.astype(int)))
    assert math.isnan(r2(np.array([1.0, 2.0]), np.array([3.0, 3.0])))


def test_a_full_ranking_is_pairs_too():
    """Two users' scores of five items, of which some are relevant."""
    scores = np.array([[0.9, 0.8, 0.1, 0.2, 0.3], [0.1, 0.2, 0.3, 0.4, 0.5]])
    relevant = np.array([[1, 0, 1, 0, 0], [0, 0, 0, 0, 1]])
    users = np.repeat([0, 1], 5)
    by_user = auc_by_user(scores.ravel(), relevant.ravel().astype(float), users, 2)
    np.testing.assert_allclose(by_user.auc, [3 / 6, 1])
