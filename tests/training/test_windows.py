"""Windows: every event that another follows once an epoch, in order, and the ends of histories."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recli.training.windows import Sequences

CPU = torch.device("cpu")


def sequences(lengths: list[int]) -> Sequences:
    """Row r holds 1000 r, 1000 r + 1, …: what follows an item is the item plus 1."""
    item = np.concatenate(
        [np.arange(n, dtype=np.int32) + 1000 * r for r, n in enumerate(lengths)] + [np.empty(0, "i4")]
    )
    user = np.arange(len(lengths), dtype=np.int32)
    return Sequences.from_arrays(np.append(0, np.cumsum(lengths)), item, user, CPU)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=20), st.integers(1, 12), st.integers(1, 60))
def test_every_event_with_a_successor_is_trained_on_once(lengths: list[int], places: int, size: int) -> None:
    found = []
    for (window,) in sequences(lengths).epoch(places, size):
        items = window.item.flatten()[window.at]
        assert window.item.shape[1] <= places
        assert (window.target == items + 1).all()
        assert (items // 1000 == window.user.repeat_interleave(window.length)).all()
        assert (window.there.sum(1) == window.length).all()
        starts = window.item[:, :1] + torch.arange(window.item.shape[1])  # in order, without a gap
        assert (window.item == starts)[window.there].all()
        assert len(window.target) < size + places
        found += items.tolist()
    assert sorted(found) == [1000 * r + place for r, n in enumerate(lengths) for place in range(n - 1)]


def test_a_long_history_is_cut_anew_in_every_epoch_and_a_short_one_never() -> None:
    torch.manual_seed(1)
    firsts = {tuple(sorted(int(w.item[0, 0]) for (w,) in sequences([101]).epoch(10, 10))) for _ in range(40)}
    assert len(firsts) == 10
    assert all(len(list(sequences([11]).epoch(10, 10))) == 1 for _ in range(40))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=20), st.integers(1, 12), st.integers(1, 60))
def test_of_recent_events_each_row_has_its_last(lengths: list[int], places: int, size: int) -> None:
    found = []
    for (window,) in sequences(lengths).epoch(places, size, recent=True):
        assert (window.target == window.item.flatten()[window.at] + 1).all()
        found += window.target.tolist()
    assert sorted(found) == [1000 * r + place for r, n in enumerate(lengths) for place in range(max(1, n - places), n)]


def test_batches_hold_hardly_any_padding() -> None:
    rng = np.random.default_rng(2)
    lengths = rng.integers(2, 400, 600).tolist()
    windows = [window for (window,) in sequences(lengths).epoch(50, 1000)]
    assert sum(len(w.target) for w in windows) / sum(w.item.numel() for w in windows) > 0.95


@pytest.mark.parametrize(("places", "expected"), [(3, [[4, 5, 6], [1000, 1001, 1000]]), (9, None)])
def test_the_end_of_a_history(places: int, expected: list[list[int]] | None) -> None:
    window = sequences([7, 2]).ends(torch.tensor([0, 1]), places)
    assert window.length.tolist() == [min(7, places), 2]
    if expected:
        assert window.item.tolist() == expected
    assert not len(window.target)
