"""The candidates' kernel: what it draws, that nothing but ids and seed decides it, and how often each item comes."""

from itertools import combinations
from math import log1p
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from recli.kernels import candidates, threads

Array = np.ndarray[Any, Any]
WORD = 2**64


def digests(count: int, seed: int) -> Array:
    return np.random.default_rng(seed).integers(0, WORD - 1, count, np.uint64, endpoint=True)


def lists(rows: list[list[int]]) -> tuple[Array, Array]:
    """``indptr`` and ``excluded``."""
    indptr = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return indptr, np.array([code for row in rows for code in row], np.int32)


def sample(user: Array, item: Array, n: int, *, weight: Array | None = None, without: Any = None, seed: int = 1) -> Any:
    return candidates.sample(user, item, weight, *lists(without or [[]] * len(user)), n, seed)


def mix(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


def by_the_rule(
    user: Array, item: Array, n: int, weight: Array | None, without: list[list[int]], seed: int
) -> list[list[int]]:
    """The same in plain Python: every key, sorted."""
    masks = [int(mask) for mask in np.random.SeedSequence(seed).generate_state(2, np.uint64)]
    rows = []
    for u, barred in zip(user.tolist(), without, strict=True):
        keys = []
        for code, i in enumerate(item.tolist()):
            w = 1.0 if weight is None else weight[code]
            if w > 0 and code not in barred:
                v = (mix(mix(u ^ masks[0]) ^ mix(i ^ masks[1])) >> 11) / 2**53
                keys.append((-log1p(-v) / w, i, code))
        best = sorted(code for *_, code in sorted(keys)[:n])
        rows.append(best + [-1] * (n - len(best)))
    return rows


def assert_frequent(counts: Array, expected: Array, freedom: int, scale: float = 1.0) -> None:
    """Chi-square, neither too far off nor too near; ``scale`` is the variance of a count over what is expected."""
    statistic = ((counts - expected) ** 2 / expected).sum() / scale
    assert 0.001 < chi2.cdf(statistic, freedom) < 0.999


ids = st.one_of(st.integers(0, 3), st.integers(0, WORD - 1))  # few at times, so that there are ties
weights = st.sampled_from([0.0, 1e-150, 0.3, 1.0, 7.0, 1e100])


@given(
    user=st.lists(ids, max_size=4),
    items=st.lists(st.tuples(ids, weights), max_size=12),
    uniform=st.booleans(),
    without=st.lists(st.lists(st.integers(0, 11), max_size=14), min_size=4, max_size=4),
    n=st.integers(0, 14),
    seed=st.integers(0, 2**70),
)
def test_it_is_the_rule(
    user: list[int],
    items: list[tuple[int, float]],
    uniform: bool,
    without: list[list[int]],
    n: int,
    seed: int,
) -> None:
    users, item = np.array(user, np.uint64), np.array([i for i, _ in items], np.uint64)
    weight = None if uniform else np.array([w for _, w in items], np.float64)
    barred = [[code for code in row if code < len(items)] for row in without[: len(user)]]
    drawn = sample(users, item, n, weight=weight, without=barred, seed=seed)
    assert drawn.dtype == np.int32 and drawn.shape == (len(user), n)
    assert drawn.tolist() == by_the_rule(users, item, n, weight, barred, seed)


@pytest.mark.parametrize("skew", [None, 1.0, 3.0, 40.0])
@pytest.mark.parametrize("n", [1, 5, 40])
def test_limits_do_not_show(skew: float | None, n: int) -> None:
    """Where there are items enough for the limits to leave most of them out, and queries for which they are too low."""
    rng, size = np.random.default_rng(2), 700
    user, item = digests(24, 3), digests(size, 4)
    weight = None if skew is None else rng.permutation(np.arange(1.0, size + 1) ** -skew)
    order = np.arange(size) if weight is None else np.argsort(-weight)
    without = [order[: size * q // 24].tolist() for q in range(22)] + [
        order[:-n].tolist(),
        order[: 1 - n or size].tolist(),
    ]
    bounds, limits = candidates._bounds(np.ones(size) if weight is None else weight, n)
    assert len(bounds) == len(limits) > (1 if skew != 40 else 0)
    assert (np.diff(limits.astype(np.int64), axis=0) >= 0).all()
    drawn = sample(user, item, n, weight=weight, without=without)
    assert drawn.tolist() == by_the_rule(user, item, n, weight, without, 1)


@pytest.fixture(scope="module")
def case() -> dict[str, Any]:
    rng = np.random.default_rng(5)
    weight = rng.integers(0, 50, 900).astype(np.float64)
    without = [rng.integers(0, 900, rng.integers(0, 300)).tolist() for _ in range(150)]
    return {"user": digests(150, 6), "item": digests(900, 7), "weight": weight, "without": without, "n": 20}


def test_distinct_ascending_and_never_excluded(case: dict[str, Any]) -> None:
    for weight in (case["weight"], None):
        drawn = sample(**{**case, "weight": weight})
        assert (np.diff(drawn, axis=1) > 0).all() and drawn.min() >= 0 and drawn.max() < 900
        for row, barred in zip(drawn.tolist(), case["without"], strict=True):
            assert not set(row) & set(barred)
            assert weight is None or (weight[row] > 0).all()


def test_the_order_of_queries_and_of_items_does_not_show(case: dict[str, Any]) -> None:
    rng, drawn = np.random.default_rng(8), sample(**case)
    queries = rng.permutation(150)
    there = sample(**{**case, "user": case["user"][queries], "without": [case["without"][q] for q in queries]})
    np.testing.assert_array_equal(there, drawn[queries])
    items = rng.permutation(900)  # old code by new code
    new = np.argsort(items)
    without = [new[row].tolist() for row in case["without"]]
    moved = sample(**{**case, "item": case["item"][items], "weight": case["weight"][items], "without": without})
    np.testing.assert_array_equal(np.sort(items[moved], axis=1), drawn)


def test_the_batch_and_the_threads_do_not_show(case: dict[str, Any]) -> None:
    with threads(1):
        drawn = sample(**case)
    with threads(2):
        np.testing.assert_array_equal(sample(**case), drawn)
    for q in (0, 77, 149):
        alone = sample(**{**case, "user": case["user"][q : q + 1], "without": [case["without"][q]]})
        np.testing.assert_array_equal(alone[0], drawn[q])


def test_another_seed_or_user_gives_others(case: dict[str, Any]) -> None:
    drawn = sample(**case)
    assert (sample(**case, seed=2) != drawn).any(axis=1).all()
    assert len(np.unique(sample(case["user"], case["item"], 20), axis=0)) == 150


def test_no_weights_are_equal_weights(case: dict[str, Any]) -> None:
    equal = sample(**{**case, "weight": None})
    for weight in (1.0, 0.1, 1e-310, 1e308):
        np.testing.assert_array_equal(sample(**{**case, "weight": np.full(900, weight)}), equal)


def test_more_items_are_the_same_draw_and_more() -> None:
    """The keys are the pairs' own: with fewer wanted, or with items left out, those that stay are drawn still."""
    user, item = digests(50, 9), digests(400, 10)
    ten = sample(user, item, 10)
    for few, many in zip(sample(user, item, 4).tolist(), ten.tolist(), strict=True):
        assert set(few) < set(many)
    for half, many in zip(sample(user, item[:200], 10).tolist(), ten.tolist(), strict=True):
        assert {code for code in many if code < 200} <= set(half)


def test_all_that_there_are_and_then_minus_one() -> None:
    item, weight = digests(4, 11), np.array([1.0, 0.0, 2.0, 3.0])
    without = [[], [2, 2, 0], [3, 1, 0, 2], [-1, 4, 99]]
    drawn = sample(digests(4, 12), item, 5, weight=weight, without=without)
    assert drawn.tolist() == [[0, 2, 3, -1, -1], [3, -1, -1, -1, -1], [-1] * 5, [0, 2, 3, -1, -1]]


def test_nothing_to_draw_or_to_draw_from() -> None:
    user, item, none = digests(3, 13), digests(5, 14), np.empty(0, np.uint64)
    assert sample(none, item, 4).shape == (0, 4)
    assert sample(user, item, 0).shape == (3, 0)
    assert sample(user, none, 2).tolist() == sample(user, item, 2, weight=np.zeros(5)).tolist() == [[-1, -1]] * 3


def test_equal_weights_are_drawn_equally_often() -> None:
    size, n, queries = 250, 10, 6000
    drawn = sample(digests(queries, 15), digests(size, 16), n)
    counts, expected = np.bincount(drawn.ravel(), minlength=size), np.full(size, n * queries / size)
    assert_frequent(counts, expected, size - 1, (size - n) / (size - 1))


def test_the_first_is_drawn_in_proportion_to_weight() -> None:
    weight = np.r_[0.0, np.arange(1.0, 200.0) ** -1.2, 0.0]
    drawn = sample(digests(40_000, 17), digests(201, 18), 1, weight=weight)
    counts = np.bincount(drawn.ravel(), minlength=201)
    assert counts[0] == counts[-1] == 0
    kept = weight > 0
    assert_frequent(counts[kept], 40_000 * weight[kept] / weight.sum(), 198)


def test_two_are_drawn_as_one_after_the_other() -> None:
    share = np.array([1.0, 2.0, 3.0, 5.0]) / 11
    drawn = sample(digests(30_000, 19), digests(4, 20), 2, weight=share)
    pairs = list(combinations(range(4), 2))
    chance = [share[a] * share[b] * (1 / (1 - share[a]) + 1 / (1 - share[b])) for a, b in pairs]
    counts = np.array([(drawn == pair).all(axis=1).sum() for pair in pairs])
    assert_frequent(counts, 30_000 * np.array(chance), 5)


@pytest.mark.parametrize("seed", [0, 1, WORD - 0x9E3779B97F4A7C15])
def test_consecutive_ids_and_users_called_like_items_are_no_special_case(seed: int) -> None:
    """Digests are pseudo-random, and yet nothing depends on it."""
    same = np.arange(600, dtype=np.uint64)
    drawn = sample(same, same, 6, seed=seed)
    assert_frequent(np.bincount(drawn.ravel(), minlength=600), np.full(600, 6.0), 599, 594 / 599)
    met = np.zeros((600, 600), bool)
    met[same[:, None], drawn] = True
    assert np.trace(met) < 18  # 6 on average
    assert np.triu(met & met.T, 1).sum() < 36  # pairs that draw each other; 18 on average
