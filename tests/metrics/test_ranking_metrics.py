"""Ranking metrics against golden values, a naive computation, ranx and their own laws."""

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recli.metrics import METRICS
from recli.metrics.ranking import gains_of, ideal_of, ndcg

RANKING = [metric for metric in METRICS.values() if metric.kind == "ranking"]
GOLDEN = Path(__file__).parents[1] / "golden" / "four_lists.json"

# A user: a list of distinct codes, and a set of relevant ones, of 12 items.
codes = st.integers(0, 11)
users = st.lists(st.tuples(st.lists(codes, unique=True, max_size=8), st.sets(codes)), min_size=1, max_size=12)


def arrays(users, depth):
    """The arguments of a metric, but for k."""
    lists = np.full((len(users), depth), -1, np.int32)
    for row, (listed, _) in zip(lists, users, strict=True):
        row[: len(listed)] = listed
    relevant = np.array([len(truth) for _, truth in users])
    indptr = np.append(0, np.cumsum(relevant))
    items = np.array([item for _, truth in users for item in sorted(truth)], np.int32)
    gains = gains_of(lists, indptr, items)
    return gains, ideal_of(relevant, depth), (lists >= 0).sum(axis=1), relevant


def naive(name, listed, truth, k):
    """One user's value, by the letter of the definition."""
    if not truth:
        return math.nan
    hits = [place for place, item in enumerate(listed[:k], 1) if item in truth]
    match name:
        case "hit":
            return 1.0 if hits else 0.0
        case "recall":
            return len(hits) / len(truth)
        case "precision":
            return len(hits) / k
        case "mrr":
            return 1 / hits[0] if hits else 0.0
        case "map":
            return sum(n / place for n, place in enumerate(hits, 1)) / min(k, len(truth))
        case "ndcg":
            best = sum(1 / math.log2(place + 1) for place in range(1, min(k, len(truth)) + 1))
            return sum(1 / math.log2(place + 1) for place in hits) / best
    raise AssertionError(f"{name} has no naive computation")


def test_recboles_values_on_four_lists():
    golden = json.loads(GOLDEN.read_text())
    letters = {letter: code for code, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
    four = [
        ([letters[item] for item in golden["lists"][user]], {letters[item] for item in golden["relevant"][user]})
        for user in golden["lists"]
    ]
    values = {metric.name: metric.function(*arrays(four, 5), 5).mean() for metric in RANKING}
    assert values == pytest.approx(golden["values"], abs=5e-5)


@given(users, st.integers(1, 8))
def test_every_metric_equals_its_definition(users, k):
    for metric in RANKING:
        expected = [naive(metric.name, listed, truth, k) for listed, truth in users]
        np.testing.assert_allclose(metric.function(*arrays(users, 8), k), expected, rtol=1e-12)


@given(users, st.integers(1, 8))
def test_values_lie_between_0_and_1_and_the_best_list_has_1(users, k):
    gains, ideal, listed, relevant = arrays(users, 8)
    for metric in RANKING:
        values = metric.function(gains, ideal, listed, relevant, k)
        assert values.dtype == np.float64
        assert (np.isnan(values) == (relevant == 0)).all()
        assert ((values >= 0) & (values <= 1))[relevant > 0].all()
        if metric.name not in ("recall", "precision"):  # which k < R, or k > R, keep below 1
            best = metric.function(ideal, ideal, listed, relevant, k)
            np.testing.assert_allclose(best[relevant > 0], 1.0, rtol=1e-12)


@given(users, st.integers(1, 7))
def test_hit_recall_and_mrr_never_fall_as_k_grows(users, k):
    for name in ("hit", "recall", "mrr"):
        shorter, longer = (METRICS[name].function(*arrays(users, 8), cut) for cut in (k, k + 1))
        assert (shorter <= longer)[~np.isnan(shorter)].all()


@given(users, st.integers(1, 8), st.randoms())
def test_a_user_has_the_same_value_in_any_company(users, k, random):
    order = list(range(len(users)))
    random.shuffle(order)
    for metric in RANKING:
        values = metric.function(*arrays(users, 8), k)
        shuffled = metric.function(*arrays([users[i] for i in order], 8), k)
        alone = np.concatenate([metric.function(*arrays([user], 8), k) for user in users])
        np.testing.assert_array_equal(shuffled, values[order])
        np.testing.assert_array_equal(alone, values)


@pytest.mark.slow  # ranx compiles for several seconds
@settings(deadline=None)
@given(users, st.integers(1, 8))
def test_ranx_agrees(users, k):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"ranx|numba|ir_datasets")
        warnings.filterwarnings("ignore", message="unsafe cast from uint64 to int64")
        from ranx import Qrels, Run, evaluate

        # ranx knows no empty list and no user without relevant items; it compiles anew for every width of an id.
        known = [(listed, truth) for listed, truth in users if listed and truth]
        if not known:
            return
        qrels = Qrels({f"u{u:02}": {f"i{i:02}": 1 for i in truth} for u, (_, truth) in enumerate(known)})
        run = Run(
            {f"u{u:02}": {f"i{i:02}": float(-n) for n, i in enumerate(listed)} for u, (listed, _) in enumerate(known)}
        )
        names = {"hit": "hit_rate"}
        theirs = evaluate(
            qrels, run, [f"{names.get(m.name, m.name)}@{k}" for m in RANKING], return_mean=False, make_comparable=True
        )
    relevant = np.array([len(truth) for _, truth in known])
    for metric, values in zip(RANKING, theirs.values(), strict=True):
        ours = metric.function(*arrays(known, 8), k)
        # ranx divides MAP by R.
        scale = np.minimum(relevant, k) / relevant if metric.name == "map" else 1.0
        np.testing.assert_allclose(ours * scale, values, rtol=1e-9, err_msg=metric.name)


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


def test_ndcg_takes_graded_gains():
    gains, ideal = np.array([[1.0, 0.0, 3.0]]), np.array([[3.0, 1.0, 0.0]])
    value = ndcg(gains, ideal, np.array([3]), np.array([2]), 3)
    assert value == pytest.approx((1 + 3 / 2) / (3 + 1 / math.log2(3)))


def test_lists_shorter_than_the_cut_off_are_refused():
    for metric in RANKING:
        with pytest.raises(AssertionError, match="pad them"):
            metric.function(*arrays([([0], {0})], 3), 4)
