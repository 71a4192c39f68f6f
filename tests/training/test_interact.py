"""`recli.training.fields.interact` against torch's own operations, there and back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recli.kernels import products
from recli.training.fields import interact

# (n, width, before, fields, rows, kept, told): more rows than a panel, more numbers, more pairs than a block, few.
SHAPES = [(37, 10, 7, 7, 100, 50, 50), (5, 3, 70, 2, 9, 9, 9), (13, 70, 3, 5, 20, 0, 20), (6, 1, 4, 3, 5, 2, 5),
          (1, 2, 3, 2, 4, 1, 4), (1, 1, 1, 1, 1, 0, 1)]  # fmt: skip


def plainly(x: Tensor, start: Tensor, layer: nn.Linear, kept: int, told: int) -> tuple[Tensor, Tensor]:
    """Lian et al. 2018, eq. 6: every product by itself."""
    made = torch.einsum("ndi,ndj,sij->nds", x, start, layer.weight.view(-1, x.shape[2], start.shape[2])) + layer.bias
    made = made.relu()
    return made[..., :kept], made[..., made.shape[2] - told :].sum(1)


def given(n: int, width: int, before: int, fields: int, rows: int) -> tuple[Tensor, Tensor, nn.Linear]:
    torch.manual_seed(3)
    x = torch.randn(n, width, before + 5)[..., :before]  # a part of wider rows
    start = torch.randn(n, fields, width).transpose(1, 2)  # as a table has them
    return x.requires_grad_(), start.requires_grad_(), nn.Linear(before * fields, rows)


def all_of(function: Any, x: Tensor, start: Tensor, layer: nn.Linear, kept: int, told: int) -> list[Tensor]:
    """The two results and the gradients, for gradients that differ from number to number."""
    made = function(x, start, layer, kept, told)
    torch.manual_seed(4)
    wanted = (x, start, layer.weight, layer.bias)
    return [*made, *torch.autograd.grad(made, wanted, [torch.randn_like(one) for one in made])]


@pytest.mark.parametrize("panel", [16, 64])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_eq_6(shape: tuple[int, ...], panel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # of this processor, and of those with narrower registers
    monkeypatch.setattr(products, "PANEL", panel)
    monkeypatch.setattr(products, "UNIT", min(16, panel // 2))
    *sizes, kept, told = shape
    x, start, layer = given(*sizes)
    for found, expected in zip(
        all_of(interact, x, start, layer, kept, told), all_of(plainly, x, start, layer, kept, told), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_row_may_be_both() -> None:
    _, start, layer = given(6, 1, 3, 3, 5)
    for found, expected in zip(
        all_of(interact, start, start, layer, 5, 5), all_of(plainly, start, start, layer, 5, 5), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_threads_change_nothing() -> None:
    x, start, layer = given(300, 10, 6, 7, 40)
    found = []
    for threads in (1, 2, 3):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            found.append([one.detach().numpy().tobytes() for one in all_of(interact, x, start, layer, 20, 20)])
        finally:
            torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_what_is_no_number_stays_none() -> None:
    x, start, layer = given(4, 2, 3, 2, 5)
    with torch.no_grad():
        x[1, 0, 0] = torch.nan
        made, total = interact(x, start, layer, 5, 5)
    assert made[1, 0].isnan().all()
    assert total[1].isnan().all()
    assert made[[0, 2, 3]].isfinite().all()
