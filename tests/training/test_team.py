"""Kernels on torch's threads."""

import threading

import numpy as np
import pytest
import torch

from recli.kernels import spread
from recli.training.team import on_threads_of_torch


def test_every_piece_is_done_once_on_torchs_threads() -> None:
    torch.set_num_threads(2)
    done, met = np.zeros(1000, np.int64), set()
    both = threading.Barrier(2, timeout=20)

    def work(start: int, stop: int) -> None:
        if threading.get_ident() not in met:
            met.add(threading.get_ident())
            both.wait()
        done[start:stop] += 1

    with on_threads_of_torch():
        spread(work, len(done))
    assert (done == 1).all()
    assert len(met) == 2


def test_what_goes_wrong_in_a_piece_is_raised() -> None:
    torch.set_num_threads(2)

    def work(start: int, stop: int) -> None:
        raise ValueError("so")

    with on_threads_of_torch(), pytest.raises(ValueError, match="so"):
        spread(work, 100)
