"""Where a network is trained: the device, the threads, and chance from one seed."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import torch

from recli.errors import Exit, RecliError

if TYPE_CHECKING:
    from recli.model import Run


def resolve(name: str) -> str:
    """The device that ``auto`` means here, or the one named.

    Raises:
        RecliError: there is no such device (exit 2).
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(kind for kind, found in there.items() if found)
    if not there.get(name, False):
        found = ", ".join(kind for kind, yes in there.items() if yes)
        raise RecliError(Exit.USAGE, f"there is no {name} here that torch can use", hint=f"there is: {found}")
    return name


@contextmanager
def session(run: Run) -> Iterator[torch.device]:
    """The device to train on. Inside, torch draws from generators that ``run.seed`` has set, and uses ``run.threads``.

    Afterwards both are as they were.
    """
    _keep_memory()
    device = torch.device(run.device)
    threads = torch.get_num_threads()
    others = [] if device.type == "cpu" else [device]
    kinds = {} if device.type == "cpu" else {"device_type": device.type}
    with torch.random.fork_rng(devices=others if device.type == "cuda" else [], **kinds):
        torch.manual_seed(run.seed)
        torch.set_num_threads(run.threads)
        try:
            yield device
        finally:
            torch.set_num_threads(threads)


def _keep_memory() -> None:
    """Have glibc keep what a step frees for the next, instead of giving it back and getting it anew page by page.

    That took a tenth of the time of a network with large steps. Elsewhere nothing is changed.
    """
    trim_threshold, mmap_threshold = -1, -3  # of malloc.h
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_threshold, 1 << 25)  # the most that it takes
        mallopt(trim_threshold, 1 << 30)


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """The state of every generator that a training draws from, by name, uint8."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state: dict[str, torch.Tensor]) -> None:
    """Go on drawing where `random_state` was taken."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])
    if "mps" in state:
        torch.mps.set_rng_state(state["mps"])
