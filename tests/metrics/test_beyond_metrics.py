"""Metrics beyond accuracy against golden values, a naive computation and their own laws."""

import math
from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recli.metrics import METRICS
from recli.metrics.beyond import Facts
from tests.metrics.lists import N_ITEMS, matrix

LISTS = {name: metric for name, metric in METRICS.items() if metric.kind == "lists"}
BY_USER = [name for name, metric in LISTS.items() if metric.per_user]
COLD = N_ITEMS  # a code that train does not know
WIDTH = 6

lists = st.lists(st.lists(st.integers(0, COLD), unique=True, max_size=WIDTH), min_size=1, max_size=8)
counts = st.lists(st.integers(1, 9), min_size=N_ITEMS, max_size=N_ITEMS).map(np.array)
tables = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).integers(0, 3, (N_ITEMS, 4)).astype(np.float64)
)


@st.composite
def worlds(draw):
    """Lists, and facts that every metric finds enough in."""
    given = draw(lists)
    histories = [sorted(draw(st.sets(st.integers(0, N_ITEMS - 1)))) for _ in given]
    return matrix(given, WIDTH), Facts(
        popularity=draw(counts),
        n_users=9,
        features=draw(tables),
        categories=draw(tables),
        history_indptr=np.append(0, np.cumsum([len(history) for history in histories])),
        history_items=np.array([item for history in histories for item in history], np.int32),
        gains=np.random.default_rng(draw(st.integers(0, 99))).integers(0, 2, (len(given), WIDTH)).astype(float),
    )


def values(name, items, facts):
    return np.atleast_1d(LISTS[name].function(items, facts))


# Golden values


def test_rectools_documentation():
    """The examples of its MeanInvUserFreq, AvgRecPopularity and Serendipity."""
    reco = matrix([[2], [1, 2], [0, 1]], 3)
    facts = Facts(popularity=np.array([3, 1, 0]), n_users=3)
    np.testing.assert_allclose(values("novelty", reco[:, :1], facts), [1.5849625, 1.5849625, 0])
    np.testing.assert_allclose(values("novelty", reco, facts), [1.5849625, 1.5849625, 0.79248125])

    reco = matrix([[0, 1], [2, 0, 1], [2, 1]], 3)
    facts = Facts(popularity=np.array([3, 2, 1]), n_users=3)
    np.testing.assert_allclose(values("popularity", reco[:, :1], facts), [3, 1, 1])
    np.testing.assert_allclose(values("popularity", reco, facts), [2.5, 2, 1.5])

    reco = matrix([[0, 1], [1, 2], [2], [1, 2]], 2)
    facts = Facts(popularity=np.array([3, 2, 0, 0]), gains=np.array([[1, 1], [1, 1], [0, 0], [1, 0]]))
    np.testing.assert_allclose(values("serendipity", reco[:, :1], facts), [0, 0.25, 0, 0.25])
    np.testing.assert_allclose(values("serendipity", reco, facts), [0, 0.5, 0, 0.125])


def test_golden_values_of_concentration():
    # 4 items; listed 3, 1, 0 and 0 times.
    items, facts = matrix([[0, 1], [0], [], [0]], 2), Facts(popularity=np.array([5, 4, 3, 2]), n_users=5)
    assert values("item-coverage", items, facts) == 2 / 4
    np.testing.assert_array_equal(values("user-coverage", items, facts), [1, 1, 0, 1])
    assert values("gini", items, facts) == pytest.approx((1 * 1 + 3 * 3) / (4 * 4))
    assert values("entropy", items, facts) == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    np.testing.assert_array_equal(values("tail", matrix([[3, 1], [0]], 2), facts), [0.5, 0])


def test_golden_value_of_calibration():
    """Steck's example: 70 romance and 30 action films watched, only romance recommended."""
    romance, action = np.arange(70), np.arange(70, 100)
    facts = Facts(
        categories=csr_matrix((np.ones(100), (np.arange(100), np.repeat([0, 1], [70, 30])))),
        history_indptr=np.array([0, 100, 200]),
        history_items=np.tile(np.append(romance, action), 2).astype(np.int32),
    )
    lists = np.stack([romance[:10], np.append(romance[:7], action[:3])]).astype(np.int32)
    expected = 0.7 * math.log(0.7 / (0.99 + 0.007)) + 0.3 * math.log(0.3 / 0.003)
    np.testing.assert_allclose(values("calibration", lists, facts), [expected, 0], atol=1e-12)


def test_golden_value_of_diversity():
    features = np.array([[1, 0], [0, 2], [3, 3], [5, 0], [0, 0]])
    lists = matrix([[0, 1], [0, 3], [0, 2], [0, 1, 2], [0], [0, 4], [4, 9]], 3)
    near = 1 - math.sqrt(0.5)
    expected = [1, 0, near, (1 + 2 * near) / 3, math.nan, 1, 1]
    for form in (features, csr_matrix(features)):
        np.testing.assert_allclose(values("diversity", lists, Facts(features=form)), expected, atol=1e-12)


# Laws


def naive(name, row, u, items, facts):
    """One user's value, by the letter of the definition."""
    n, listed = N_ITEMS, [item for item in row if item >= 0]
    count = [*facts.popularity.tolist(), 0]
    if not listed:
        return math.nan
    if name == "popularity":
        return np.mean([count[item] for item in listed])
    if name == "tail":
        return np.mean([item == min(range(n), key=lambda other: (count[other], other)) for item in listed])
    if name == "novelty":
        return np.mean([-math.log2(max(count[item], 1) / facts.n_users) for item in listed])
    if name == "serendipity":
        places = {level: place for place, level in enumerate(sorted(set(count[:-1]), reverse=True), 1)}
        expected = [(n + 1 - places[count[item]]) / n if item < n else 0 for item in listed]
        found = [(n + 1 - place) / n for place in range(1, len(listed) + 1)]
        hits = facts.gains[u] > 0
        return np.mean([max(p - q, 0) * hit for p, q, hit in zip(found, expected, hits, strict=False)])
    if name == "diversity":
        vectors = [facts.features[item] if item < n else np.zeros(4) for item in listed]
        norms = [np.linalg.norm(vector) or 1 for vector in vectors]
        unit = [vector / norm for vector, norm in zip(vectors, norms, strict=True)]
        return np.mean([1 - a @ b for a, b in combinations(unit, 2)]) if len(unit) > 1 else math.nan
    history = facts.history_items[facts.history_indptr[u] : facts.history_indptr[u + 1]]
    p, q = (distribution(chosen, facts.categories) for chosen in (history, listed))
    if p is None or q is None:
        return math.nan
    return sum(a * math.log(a / (0.99 * b + 0.01 * a)) for a, b in zip(p, q, strict=True) if a > 0)


def distribution(items, categories):
    rows = [categories[item] / categories[item].sum() for item in items if item < N_ITEMS and categories[item].any()]
    return np.mean(rows, axis=0) if rows else None


@given(worlds())
def test_every_metric_by_user_equals_its_definition(world):
    items, facts = world
    for name in set(BY_USER) - {"user-coverage"}:
        expected = [naive(name, row, u, items, facts) for u, row in enumerate(items.tolist())]
        np.testing.assert_allclose(values(name, items, facts), expected, rtol=1e-9, atol=1e-9, err_msg=name)


@given(worlds())
def test_the_metrics_of_all_lists_equal_their_definitions(world):
    items, facts = world
    listed = Counter(items[items >= 0].tolist())
    total = sum(listed.values())
    known = [listed[item] for item in range(N_ITEMS)]
    pairs = sum(abs(a - b) for a in known for b in known)
    expected = {
        "item-coverage": sum(n > 0 for n in known) / N_ITEMS,
        "gini": pairs / (2 * N_ITEMS * sum(known)) if sum(known) else math.nan,
        "entropy": sum(-n / total * math.log(n / total) for n in listed.values()) if total else math.nan,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(values(name, items, facts), value, rtol=1e-9, atol=1e-12, err_msg=name)


@given(worlds())
def test_bounds_and_nan(world):
    items, facts = world
    empty = (items < 0).all(axis=1)
    most = {
        "popularity": facts.popularity.max(),
        "novelty": math.log2(facts.n_users),
        "calibration": -math.log(0.01),
        "entropy": math.log(N_ITEMS + 1),
        "diversity": 2,
    }
    for name, metric in LISTS.items():
        result = values(name, items, facts)
        assert result.dtype == np.float64
        known = result[~np.isnan(result)]
        assert ((known >= 0) & (known <= most.get(name, 1) * (1 + 1e-12))).all(), name
        if metric.per_user and name != "user-coverage":
            assert np.isnan(result[empty]).all()


@given(worlds(), st.randoms())
def test_the_order_of_users_does_not_matter(world, random):
    items, facts = world
    order = list(range(len(items)))
    random.shuffle(order)
    history = [facts.history_items[a:b] for a, b in zip(facts.history_indptr, facts.history_indptr[1:], strict=False)]
    moved = replace(
        facts,
        gains=facts.gains[order],
        history_indptr=np.append(0, np.cumsum([len(history[u]) for u in order])),
        history_items=np.concatenate([history[u] for u in order]),
    )
    for name in LISTS:
        before, after = values(name, items, facts), values(name, items[order], moved)
        np.testing.assert_allclose(after, before[order] if name in BY_USER else before, rtol=1e-12, err_msg=name)


@given(worlds())
def test_the_order_of_a_list_matters_to_serendipity_alone(world):
    items, facts = world
    backwards = matrix([[item for item in row[::-1] if item >= 0] for row in items.tolist()], WIDTH)
    for name in set(LISTS) - {"serendipity"}:
        np.testing.assert_allclose(
            values(name, backwards, facts), values(name, items, facts), rtol=1e-9, atol=1e-12, err_msg=name
        )


@given(st.integers(2, 30), st.integers(1, 5))
def test_the_extremes_of_concentration(n, times):
    facts = Facts(popularity=np.ones(n, np.int64), n_users=n)
    alike = np.tile(np.arange(n, dtype=np.int32)[:, None], (times, 1))
    assert values("gini", alike, facts) == pytest.approx(0, abs=1e-12)
    assert values("entropy", alike, facts) == pytest.approx(math.log(n))
    assert values("item-coverage", alike, facts) == 1
    one = np.zeros((n, 1), np.int32)
    assert values("gini", one, facts) == pytest.approx((n - 1) / n)
    assert values("entropy", one, facts) == 0


@given(worlds())
def test_a_list_like_the_history_is_calibrated(world):
    _, facts = world
    rows = [facts.history_items[a:b] for a, b in zip(facts.history_indptr, facts.history_indptr[1:], strict=False)]
    alike = values("calibration", matrix([list(row) for row in rows], N_ITEMS), facts)
    np.testing.assert_allclose(alike[~np.isnan(alike)], 0, atol=1e-12)


def test_no_lists_at_all():
    facts = Facts(popularity=np.array([1, 2]), n_users=2)
    for items in (np.full((3, 2), -1, np.int32), np.empty((0, 2), np.int32)):
        assert values("item-coverage", items, facts) == 0
        assert np.isnan(values("gini", items, facts))
        assert np.isnan(values("entropy", items, facts))


@pytest.mark.parametrize("name", [name for name, metric in LISTS.items() if metric.needs])
def test_what_a_metric_needs_it_asks_for(name):
    items = np.zeros((1, 2), np.int32)
    with pytest.raises(AssertionError, match=f"({'|'.join(LISTS[name].needs)}) is needed"):
        LISTS[name].function(items, Facts())


@pytest.mark.parametrize("name", [name for name, metric in LISTS.items() if not metric.needs])
def test_the_others_need_nothing(name):
    assert np.isfinite(values(name, np.zeros((1, 2), np.int32), Facts())).all()
