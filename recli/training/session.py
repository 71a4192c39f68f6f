"""Where a network is trained: the device, the threads, and chance from one seed."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from recli.errors import Exit, RecliError

if TYPE_CHECKING:
    from recli.model import Run


def _same_products() -> None:
    """Have MKL add up a product's numbers in one order, however many threads there are, on Intel's processors.

    Elsewhere it does, or has no such mode. It looks at its first product, so this is asked for before; what the
    environment says already stands. No network was seen to be slower for it.
    """
    processors = Path("/proc/cpuinfo")
    branch = torch.backends.cpu.get_cpu_capability()
    if branch in ("AVX2", "AVX512") and processors.exists() and "GenuineIntel" in processors.read_text():
        os.environ.setdefault("MKL_CBWR", f"{branch},STRICT")


_same_products()


@contextmanager
def scoring() -> Iterator[None]:
    """No gradients, and products as while a network is trained: a value of its validation is that of its evaluation."""
    with torch.inference_mode(), quick_products():
        yield


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

    Afterwards all is as it was.
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
            with quick_products():
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


@contextmanager
def quick_products() -> Iterator[None]:
    """Have products of float32 made by oneDNN where that rounds nothing: MKL's take twice as long on other makes.

    torch hands them over only as products that may be rounded to bfloat16: whether they are is tried first.
    """
    products = getattr(torch.backends.mkldnn, "matmul", None)  # from torch 2.9 on
    if products is None or not torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        yield
        return
    before = products.fp32_precision
    products.fp32_precision = "bf16"
    try:
        if not _is_exact():
            products.fp32_precision = before
        yield
    finally:
        products.fp32_precision = before


@cache
def _is_exact() -> bool:
    """Whether a product is made of numbers as they are: bfloat16 has no 1 + 2^-12."""
    x = torch.full((256, 256), 1 + 2**-12)
    return bool(((x @ x)[0] - 256 * (1 + 2**-12) ** 2).abs().max() < 1e-3)


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
