"""Groups by the laws they keep: who is in which, and what they are called."""

from itertools import pairwise

import numpy as np
import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from recli.pipeline.evaluate.slices import NONE, Slice, of_column, of_counts

numbers = st.floats(-1e9, 1e9) | st.integers(-5, 5).map(float) | st.integers(1234567, 1234580).map(float)


def by_number(values: list[float | None]) -> Slice:
    ids = pl.Series("user_id", [f"u{n}" for n in range(len(values))])
    table = pl.DataFrame({"user_id": ids, "n": pl.Series(values, dtype=pl.Float64)}).sample(fraction=1, shuffle=True)
    return of_column("user.n", "user", ids, table, "user_id")


def together(part: Slice, n: int) -> np.ndarray:
    """Of each how many groups there are: a row a group."""
    return np.array(list(part.groups.values())).reshape(-1, n)


@given(st.lists(numbers | st.none(), min_size=1, max_size=40))
def test_numbers_in_quarters(values: list[float | None]) -> None:
    part = by_number(values)
    masks = together(part, len(values))
    assert (masks.sum(axis=0) == 1).all() and masks.any(axis=1).all()  # each in one, and none of nobody
    known = dict(part.groups)
    missing = known.pop(NONE, np.zeros(len(values), bool))
    assert missing.tolist() == [value is None for value in values]
    assert len(known) <= 4
    held = [[value for value, own in zip(values, mask, strict=True) if own] for mask in known.values()]
    assert all(max(low) < min(high) for low, high in pairwise(held))
    assert all(label for label in known)


@given(st.lists(st.floats(-1e6, 1e6), unique=True, min_size=4, max_size=60))
@example([0.0, 1.0, 2.0, 5e-324])  # between the two least no number lies that could part them
def test_distinct_numbers_make_groups_of_one_size(values: list[float]) -> None:
    sizes = together(by_number(values), len(values)).sum(axis=1)
    assert len(sizes) == 4 and sizes.max() - sizes.min() <= 1


@given(st.integers(0, 20), st.integers(1, 60))
def test_nobody_is_lost_among_large_numbers(start: int, n: int) -> None:
    values = [float(10**15 + start + i) for i in range(n)]
    assert together(by_number(values), n).sum() == n


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40).map(np.array))
def test_items_in_thirds(counts: np.ndarray) -> None:
    """The more popular, the earlier; a group begins where those before have a third, and two thirds, of all rows."""
    groups = of_counts("item-popularity", "item", counts).groups
    kinds = {label.partition(" ")[0]: mask for label, mask in groups.items()}
    assert sum(mask.astype(int) for mask in groups.values()).tolist() == [1] * len(counts)
    assert kinds.get("cold", counts < 0).tolist() == (counts == 0).tolist()
    total, before = counts.sum(), 0
    least = np.inf
    for kind, least_before in (("head", 0), ("middle", 1), ("tail", 2)):
        own = counts[kinds[kind]] if kind in kinds else np.empty(0, int)
        if len(own):
            assert own.max() <= least and 3 * before >= least_before * total
            assert 3 * (before + own.sum() - own.min()) < (least_before + 1) * total
            least, before = own.min(), before + own.sum()


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", ""])), min_size=1, max_size=12))
def test_one_may_belong_to_several(values: list[list[str]]) -> None:
    ids = pl.Series("item_id", [f"i{n}" for n in range(len(values) + 1)])  # the table does not have the last
    table = pl.DataFrame({"item_id": ids[:-1], "tags": pl.Series(values, dtype=pl.List(pl.String))})
    groups = of_column("item.tags", "item", ids, table, "item_id").groups
    found = [{label for label, mask in groups.items() if mask[n]} for n in range(len(ids))]
    assert found == [*({tag or NONE for tag in own} or {NONE} for own in values), {NONE}]
