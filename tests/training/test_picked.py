"""Scores of some items, by the kernel and by torch: values, gradients, any number of threads."""

import pytest
import torch
from torch.nn import functional as F

from recli.training.picked import picked


def given(width: int, n: int = 50, n_items: int = 30, number: int = 7) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(width)
    codes = torch.randint(n_items, (n, number), dtype=torch.int32)
    return torch.randn(n, width), torch.randn(n_items, width), torch.randn(n_items), codes, torch.randn(n, number)


@pytest.mark.parametrize("width", [1, 8, 50, 64, 130])  # the last is wider than the kernel takes
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("number", [1, 7])
def test_values_and_gradients_are_those_of_the_products(width: int, biased: bool, number: int) -> None:
    rows, items, bias, codes, slope = given(width, number=number)
    found = []
    for fused in (True, False):
        r, i, b = (x.clone().requires_grad_() for x in (rows, items, bias))
        if fused:
            value = picked(r, i, b if biased else None, codes)
        else:
            value = torch.einsum("nw,nkw->nk", r, F.embedding(codes, i)) + (b[codes.long()] if biased else 0)
        (value * slope).sum().backward()
        found.append([value, r.grad, i.grad, *([b.grad] if biased else [])])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_threads_do_not_show() -> None:
    rows, items, bias, codes, slope = given(64, n=999)
    made = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            r, i, b = (x.clone().requires_grad_() for x in (rows, items, bias))
            value = picked(r, i, b, codes)
            (value * slope).sum().backward()
            made.append([x.detach().numpy().tobytes() for x in (value, r.grad, i.grad, b.grad)])
    finally:
        torch.set_num_threads(before)
    assert made[0] == made[1]


def test_rows_that_are_no_own_memory_and_none_at_all() -> None:
    rows, items, _, codes, _ = given(8)
    wide = torch.cat([rows, rows], 1)[:, :8]
    torch.testing.assert_close(picked(wide, items, None, codes), picked(rows, items, None, codes))
    assert picked(rows[:0], items, None, codes[:0]).shape == (0, 7)
