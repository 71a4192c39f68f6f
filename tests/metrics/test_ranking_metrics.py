"""Ranking metrics against golden values, a naive computation, ranx and their own laws."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings

from recli.metrics import METRICS
from recli.metrics.gains import judge
from recli.metrics.ranking import ndcg
from tests.metrics.lists import cuts, four_lists, judged, users

RANKING = [metric for metric in METRICS.values() if metric.kind == "ranking"]
# Of the best list, at a k that suits everybody, these are below 1 (recall and precision) or have no such bound.
BOUNDED_BELOW_1 = ("recall", "precision", "f1", "rbp", "dcg")


def naive(name, listed, truth, k):
    """One user's value, by the letter of the definition."""
    if not truth:
        return math.nan
    hits = [place for place, item in enumerate(listed[:k], 1) if item in truth]
    precision, recall, reach = len(hits) / k, len(hits) / len(truth), min(k, len(truth))
    dcg = sum(1 / math.log2(place + 1) for place in hits)
    return {
        "hit": 1.0 if hits else 0.0,
        "recall": recall,
        "precision": precision,
        "f1": 2 * precision * recall / (precision + recall) if hits else 0.0,
        "r-precision": len([place for place in hits if place <= reach]) / reach,
        "mrr": 1 / hits[0] if hits else 0.0,
        "map": sum(n / place for n, place in enumerate(hits, 1)) / reach,
        "dcg": dcg,
        "ndcg": dcg / sum(1 / math.log2(place + 1) for place in range(1, reach + 1)),
        "rbp": sum(0.2 * 0.8 ** (place - 1) for place in hits),
    }[name]


def test_recboles_values_on_four_lists():
    four, golden = four_lists()
    values = {name: METRICS[name].function(*judged(four), 5).mean() for name in golden["values"]}
    assert values == pytest.approx(golden["values"], abs=5e-5)


def test_golden_values_of_the_others():
    # Lists of 5 with hits at 1 and 4 of 12 relevant items, and at 2 of 1.
    two = [([0, 20, 21, 1, 22], set(range(12))), ([20, 0, 21], {0})]
    expected = {
        "f1": [4 / 17, 2 / 6],
        "r-precision": [2 / 5, 0],
        "dcg": [1 + 1 / math.log2(5), 1 / math.log2(3)],
        "rbp": [0.2 * (1 + 0.8**3), 0.2 * 0.8],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(METRICS[name].function(*judged(two), 5), values, rtol=1e-14)


@given(users, cuts)
def test_every_metric_equals_its_definition(users, k):
    for metric in RANKING:
        expected = [naive(metric.name, listed, truth, k) for listed, truth in users]
        np.testing.assert_allclose(metric.function(*judged(users), k), expected, rtol=1e-12)


@given(users, cuts)
def test_values_lie_between_0_and_1_and_the_best_list_has_1(users, k):
    gains, ideal, listed, relevant = judged(users)
    for metric in RANKING:
        values = metric.function(gains, ideal, listed, relevant, k)
        best = metric.function(ideal, ideal, listed, relevant, k)[relevant > 0]
        assert values.dtype == np.float64
        assert (np.isnan(values) == (relevant == 0)).all()
        assert (values[relevant > 0] >= 0).all()
        assert (values[relevant > 0] <= best * (1 + 1e-12)).all()
        if metric.name in BOUNDED_BELOW_1:
            assert metric.name == "dcg" or (best <= 1).all()
        else:
            np.testing.assert_allclose(best, 1.0, rtol=1e-12)


@given(users, cuts)
def test_these_never_fall_as_k_grows(users, k):
    for name in ("hit", "recall", "mrr", "dcg", "rbp"):
        shorter, longer = (METRICS[name].function(*judged(users, 9), cut) for cut in (k, k + 1))
        assert (shorter <= longer + 1e-15)[~np.isnan(shorter)].all()


@given(users, cuts)
def test_a_relevant_item_higher_up_is_never_worse(users, k):
    before = judged(users)
    gains = before.gains.copy()
    gains[:, [0, 1]] = np.sort(gains[:, [0, 1]], axis=1)[:, ::-1]
    for metric in RANKING:
        values = metric.function(*before, k)
        better = metric.function(*before._replace(gains=gains), k)
        assert (better >= values - 1e-15)[~np.isnan(values)].all()


@given(users, cuts)
def test_only_graded_metrics_look_at_the_size_of_a_gain(users, k):
    once = judged(users)
    thrice = once._replace(gains=3 * once.gains, ideal=3 * once.ideal)
    for metric in RANKING:
        values, scaled = metric.function(*once, k), metric.function(*thrice, k)
        if metric.name == "dcg":
            np.testing.assert_allclose(scaled, 3 * values)
        else:
            np.testing.assert_allclose(scaled, values)
        alike = metric.function(*once._replace(gains=3 * once.gains), k)
        assert metric.graded or np.array_equal(alike, values, equal_nan=True)


@given(users, cuts)
def test_a_user_has_the_same_value_in_any_company(users, k):
    order = np.random.default_rng(k).permutation(len(users))
    for metric in RANKING:
        values = metric.function(*judged(users), k)
        shuffled = metric.function(*judged([users[i] for i in order]), k)
        alone = np.concatenate([metric.function(*judged([user]), k) for user in users])
        np.testing.assert_array_equal(shuffled, values[order])
        np.testing.assert_array_equal(alone, values)


@pytest.mark.slow  # ranx compiles for several seconds
@settings(deadline=None)
@given(users, cuts)
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
        names = {"hit": f"hit_rate@{k}"}
        metrics = [m for m in RANKING if m.name not in ("r-precision", "rbp")]  # which have no @k in ranx
        theirs = evaluate(
            qrels, run, [names.get(m.name, f"{m.name}@{k}") for m in metrics], return_mean=False, make_comparable=True
        )
        rbp = evaluate(qrels, run, ["rbp.80"], return_mean=False, make_comparable=True)
    relevant = np.array([len(truth) for _, truth in known])
    for metric, values in zip(metrics, theirs.values(), strict=True):
        ours = metric.function(*judged(known), k)
        # ranx divides MAP by R.
        scale = np.minimum(relevant, k) / relevant if metric.name == "map" else 1.0
        np.testing.assert_allclose(ours * scale, values, rtol=1e-9, err_msg=metric.name)
    np.testing.assert_allclose(METRICS["rbp"].function(*judged(known), 8), rbp, rtol=1e-9)


def test_dcg_and_ndcg_take_graded_gains():
    lists, worth = np.array([[7, 8, 9]], np.int32), np.array([1.0, 3.0])
    graded = judge(lists, np.array([0, 2]), np.array([7, 9], np.int32), worth, depth=3)
    np.testing.assert_array_equal(graded.ideal, [[3, 1, 0]])
    assert METRICS["dcg"].function(*graded, 3) == pytest.approx(1 + 3 / 2)
    assert ndcg(*graded, 3) == pytest.approx((1 + 3 / 2) / (3 + 1 / math.log2(3)))


def test_lists_shorter_than_the_cut_off_are_refused():
    for metric in RANKING:
        with pytest.raises(AssertionError, match="pad them"):
            metric.function(*judged([([0], {0})], 3), 4)
