"""Gains of lists, the ideal list, and values by user in blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recli.metrics import METRICS, metric
from recli.metrics.gains import GAINS, best_of, gains_of, ideal_of, judge
from recli.metrics.metric import by_user
from tests.metrics.lists import cuts, judged, matrix, truth_of, users

grades = st.floats(0.5, 5)


def test_the_gains_of_a_rating():
    ratings = np.array([-1.0, 0.0, 1.0, 3.0])
    assert {name: list(gain(ratings)) for name, gain in GAINS.items()} == {
        "binary": [0, 0, 1, 1],
        "linear": [-1, 0, 1, 3],
        "exponential": [-0.5, 0, 1, 7],
    }


@given(st.lists(st.floats(-5, 5), min_size=2))
def test_a_higher_rating_never_has_a_lower_gain(ratings):
    for gain in GAINS.values():
        assert (np.diff(gain(np.sort(ratings))) >= 0).all()


@given(users, st.data())
def test_gains_of_looks_every_item_up(users, data):
    indptr, items = truth_of(users)
    worth = np.array(data.draw(st.lists(grades, min_size=len(items), max_size=len(items))))
    lists = matrix([listed for listed, _ in users])
    gains, graded = gains_of(lists, indptr, items), gains_of(lists, indptr, items, worth)
    for u, (listed, truth) in enumerate(users):
        by_item = dict(zip(sorted(truth), worth[indptr[u] : indptr[u + 1]], strict=True))
        assert list(graded[u]) == [by_item.get(item, 0) for item in listed] + [0] * (8 - len(listed))
        assert list(gains[u]) == [item in truth for item in listed] + [0] * (8 - len(listed))
    best = best_of(indptr, worth, 5)
    for u in range(len(users)):
        own = sorted(worth[indptr[u] : indptr[u + 1]], reverse=True)[:5]
        assert list(best[u]) == own + [0] * (5 - len(own))


def test_gains_of_no_truth_and_of_items_that_nobody_knows():
    lists = np.array([[0, 1], [-1, -1]], np.int32)
    none = gains_of(lists, np.array([0, 0, 0]), np.array([], np.int32))
    np.testing.assert_array_equal(none, np.zeros((2, 2)))
    # The padding of the second user must not meet the last item of the first.
    full = gains_of(lists, np.array([0, 2, 3]), np.array([1, 2, 0], np.int32))
    np.testing.assert_array_equal(full, [[0, 1], [0, 0]])


def test_gains_of_takes_memory_for_the_lists_only():
    lists = np.arange(10_000, dtype=np.int32).reshape(-1, 10) * 200_000  # 2e9 is the largest code
    gains = gains_of(lists, np.arange(1001), lists[:, 3].copy())
    np.testing.assert_array_equal(gains, np.tile(np.arange(10) == 3, (1000, 1)))


@pytest.mark.parametrize(("items", "message"), [([1, 0], "ascending"), ([1, 1], "distinct"), ([-1, 0], "needs a code")])
def test_gains_of_refuses_a_truth_it_would_get_wrong(items, message):
    with pytest.raises(AssertionError, match=message):
        gains_of(np.array([[0, 1]], np.int32), np.array([0, 2]), np.array(items, np.int32))


def test_gains_of_refuses_what_is_worth_nothing():
    with pytest.raises(AssertionError, match="not relevant"):
        gains_of(np.array([[0, 1]], np.int32), np.array([0, 2]), np.array([0, 1], np.int32), np.array([1.0, 0.0]))


@given(users, cuts)
def test_what_lies_below_the_depth_does_not_matter(users, k):
    deep, cut = judged(users, 8), judged(users, k)
    np.testing.assert_array_equal(cut.gains, deep.gains[:, :k])
    np.testing.assert_array_equal(cut.ideal, ideal_of(deep.relevant, k))
    np.testing.assert_array_equal(cut.listed, np.minimum(deep.listed, k))
    for m in METRICS.values():
        if m.kind == "ranking":
            np.testing.assert_array_equal(m.function(*cut, k), m.function(*deep, k))


def test_short_lists_are_padded():
    narrow = judge(np.array([[3], [-1]], np.int32), np.array([0, 1, 2]), np.array([3, 3], np.int32), depth=3)
    np.testing.assert_array_equal(narrow.gains, [[1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(narrow.listed, [1, 0])


@given(users, cuts)
def test_blocks_give_what_all_users_at_once_give(users, k):
    wanted = [(m, cut) for m in METRICS.values() if m.kind == "ranking" for cut in (1, k)]
    indptr, items = truth_of(users)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metric, "PLACES", 2 * k)
        blocks = by_user(wanted, matrix([listed for listed, _ in users]), indptr, items)
    for (m, cut), values in zip(wanted, blocks, strict=True):
        np.testing.assert_array_equal(values, m.function(*judged(users), cut))
