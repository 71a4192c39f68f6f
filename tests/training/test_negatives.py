"""Negatives: never what was taken, and in the right numbers."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from scipy.stats import chisquare

from recli.errors import Exit, RecliError
from recli.training.batches import Events, Histories
from recli.training.negatives import Negatives, hardest
from recli.training.parameters import Sampled

CPU = torch.device("cpu")
TAKEN = np.array([[1, 0, 1, 0, 0, 1], [0, 0, 0, 0, 1, 1], [1, 1, 1, 1, 1, 0], [1, 0, 0, 0, 0, 1]], np.float32)


def negatives(**how: Any) -> Negatives:
    torch.manual_seed(3)
    return Negatives.of(csr_matrix(TAKEN), Sampled(**how), CPU)


@pytest.mark.parametrize("how", [{}, {"neg_sampling": "popularity", "neg_exponent": 0.5}])
@pytest.mark.parametrize("number", [1, 3])  # looked up, or noted down
def test_a_negative_was_never_taken(how: dict[str, Any], number: int) -> None:
    user = torch.arange(4, dtype=torch.int32).repeat(500)
    drawn = negatives(**how)(user, number)
    assert drawn.shape == (2000, number)
    assert not TAKEN[user.numpy()[:, None], drawn.numpy()].any()


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_negatives_are_drawn_by_popularity(exponent: float) -> None:
    weight = TAKEN.sum(0).astype(float) ** exponent * (1 - TAKEN[1])
    how = {"neg_sampling": "popularity", "neg_exponent": exponent} if exponent else {}
    drawn = negatives(**how)(torch.full((20_000,), 1, dtype=torch.int32), 1).numpy()
    free = np.flatnonzero(weight)
    counts = np.bincount(drawn.ravel(), minlength=6)[free]
    assert counts.sum() == 20_000
    assert chisquare(counts, 20_000 * weight[free] / weight.sum()).pvalue > 1e-3


def test_negatives_are_drawn_evenly_of_many_items_and_alike_by_any_number_of_threads() -> None:
    rng = np.random.default_rng(5)
    taken = rng.random((30, 2000)) < 0.3
    drawing, user = Negatives.of(csr_matrix(taken.astype(np.float32)), Sampled(), CPU), torch.arange(30).repeat(200)
    made, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            torch.manual_seed(9)
            made.append([drawing(user, number).numpy() for number in (1, 5, 300)])
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*made, strict=True):
        np.testing.assert_array_equal(one, two)
        assert not taken[user.numpy()[:, None], one].any()
    counts = np.bincount(made[0][2].ravel(), minlength=2000)
    share = (~taken / (~taken).sum(1, keepdims=True)).sum(0)
    assert chisquare(counts, counts.sum() * share / share.sum()).pvalue > 1e-3
    again = drawing(user[:9], 5)
    assert not torch.equal(again, drawing(user[:9], 5))


def test_who_took_all_that_anybody_did_gets_what_nobody_took() -> None:
    torch.manual_seed(1)
    matrix = csr_matrix(np.array([[1, 1, 0]], np.float32))
    found = Negatives.of(matrix, Sampled(neg_sampling="popularity"), CPU)(torch.zeros(5, dtype=torch.int32))
    assert (found == 2).all()


def test_the_hardest_candidate_is_taken() -> None:
    candidates = torch.tensor([[[1, 4, 2], [0, 3, 5]]], dtype=torch.int32)
    assert hardest(candidates, lambda items: -(items - 2.2).abs()).tolist() == [[2, 3]]
    assert hardest(candidates[:, :, :1], lambda items: 1 / 0).tolist() == [[1, 0]]


def test_an_epoch_has_every_event_once_and_leaves_out_who_took_everything() -> None:
    torch.manual_seed(1)
    matrix = csr_matrix(np.vstack([TAKEN, np.ones((1, 6), np.float32)]))
    events = Events.of(matrix, Sampled(train_neg_sample_num=2, neg_dynamic=True, neg_candidate_num=3), CPU)
    batches = list(events.epoch(4))
    assert [len(user) for user, _, _ in batches] == [4, 4, 4]
    assert all(drawn.shape == (4, 2, 3) for _, _, drawn in batches)
    seen = sorted((int(u), int(i)) for user, item, _ in batches for u, i in zip(user, item, strict=True))
    assert seen == sorted(zip(*(codes.tolist() for codes in np.nonzero(TAKEN)), strict=True))


def test_nothing_can_be_told_apart_where_all_took_all() -> None:
    with pytest.raises(RecliError) as caught:
        Events.of(csr_matrix(np.ones((2, 3), np.float32)), Sampled(), CPU)
    assert caught.value.code == Exit.DATA


def test_histories_are_taken_in_any_order_and_made_dense() -> None:
    matrix = csr_matrix(TAKEN)
    histories = Histories.of(matrix.indptr.astype(np.int64), matrix.indices, CPU)
    assert (histories[torch.tensor([2, 0])].dense(6).numpy() == TAKEN[[2, 0]]).all()


def test_an_item_that_is_twice_in_a_history_counts_once() -> None:
    histories = Histories(indptr=torch.tensor([0, 3, 3, 4]), item=torch.tensor([5, 1, 5, 0], dtype=torch.int32))
    found = histories.distinct(6)
    assert (found.indptr.tolist(), found.item.tolist()) == ([0, 2, 2, 3], [1, 5, 0])
