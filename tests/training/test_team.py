"""Kernels on torch's threads."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from recli.kernels import kernel, lender, spread
from recli.training.team import on_threads_of_torch

PATIENCE = 1 << 30  # looks for another thread, some seconds


@kernel
def _count(done: Any, start: int, stop: int) -> None:
    for at in range(start, stop):
        done[at] += 1


@kernel
def _begun(begun: Any, start: int, stop: int) -> None:
    for at in range(start, stop):
        begun[at] = start


@kernel
def _meet(told: Any, met: Any, patience: int, start: int, stop: int) -> None:
    """Piece 0 and piece 1 each wait until the other has begun."""
    for piece in range(start, stop):
        for look in range(1, patience):
            told[piece] = look
            if told[1 - piece] > 0:
                met[piece] = True
                break


@kernel
def _fail(wanted: int, start: int, stop: int) -> None:
    for at in range(start, stop):
        if at == wanted:
            raise ValueError


@pytest.mark.parametrize(("n", "even"), [(1000, False), (1000, True), (3, False), (1, False), (0, False)])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_piece_is_done_once(n: int, even: bool, threads: int) -> None:
    before, done = torch.get_num_threads(), np.zeros(n, np.int64)
    torch.set_num_threads(threads)
    try:
        with on_threads_of_torch():
            spread(partial(_count, done), n, even=even)
    finally:
        torch.set_num_threads(before)
    assert (done == 1).all()


def test_pieces_are_as_the_entries_want_them() -> None:
    torch.set_num_threads(2)
    begun = np.full(50, -1)
    with on_threads_of_torch():
        spread(partial(_begun, begun), 50, np.arange(51) ** 4)
    assert set(begun) == {0, 36, 43, 47}  # where a quarter, a half and three quarters of 50^4 have been reached


def test_two_threads_are_at_it_at_once() -> None:
    torch.set_num_threads(2)
    told, met = np.zeros(2, np.int64), np.zeros(2, np.bool_)
    with on_threads_of_torch():
        assert lender.get()
        spread(partial(_meet, told, met, PATIENCE), 2, even=True)
    assert met.all()


@pytest.mark.parametrize("wanted", [0, 99])
def test_that_a_piece_failed_is_raised(wanted: int) -> None:
    torch.set_num_threads(2)
    with on_threads_of_torch(), pytest.raises(MemoryError, match="_fail failed in a thread"):
        spread(partial(_fail, wanted), 100)


def test_what_is_no_kernel_runs_on_threads_of_pythons() -> None:
    torch.set_num_threads(2)
    done = np.zeros(100, np.int64)

    def work(start: int, stop: int) -> None:
        done[start:stop] += 1

    with on_threads_of_torch():
        spread(work, len(done))
    assert (done == 1).all()
