"""Kernels on the threads of torch, which go on asking for work a while after a product and so hold the processors."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

from recli.kernels import lender, threads


@contextmanager
def on_threads_of_torch() -> Iterator[None]:
    """Kernels inside run on as many threads as torch uses, and on its own where its OpenMP lends them."""
    before = lender.set(_openmp())
    try:
        with threads(torch.get_num_threads()):
            yield
    finally:
        lender.reset(before)


def arrays(*tensors: Tensor) -> list[Any]:
    """What kernels take: the numbers of tensors, as they lie."""
    return [tensor.detach().numpy() for tensor in tensors]


@cache
def _openmp() -> int | None:
    """Where GOMP_parallel is of the OpenMP that torch has loaded: GCC's, or one that has GCC's entry too."""
    found = ctypes.CDLL(torch._C.__file__)  # its symbols are those of what it was linked with
    return ctypes.cast(found.GOMP_parallel, ctypes.c_void_p).value if hasattr(found, "GOMP_parallel") else None
