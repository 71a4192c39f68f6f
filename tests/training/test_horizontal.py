"""Horizontal filters against torch's convolutions."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recli.kernels import products
from recli.training.horizontal import horizontal

# Windows, events, width, heights and filters of each: as Caser's, longer than filters are high, no multiples, one each.
SHAPES = [(5, 50, 64, 50, 8), (3, 12, 10, 5, 3), (9, 4, 70, 7, 9), (1, 1, 1, 1, 1), (4, 3, 2, 6, 1)]


def given(n: int, events: int, width: int, heights: int, some: int) -> tuple[Tensor, list[nn.Conv1d]]:
    torch.manual_seed(3)
    rows = torch.randn(n, events, width, requires_grad=True)
    return rows, [nn.Conv1d(width, some, height) for height in range(1, heights + 1)]


def plainly(rows: Tensor, filters: list[nn.Conv1d]) -> Tensor:
    """For each event the greatest within the last rows, which a history that is shorter has zeros before."""
    places, made = len(filters), []
    image = F.pad(rows, (0, 0, places - 1, 0)).transpose(1, 2)
    for end in range(rows.shape[1]):
        within = image[:, :, end : end + places]
        made.append(torch.cat([one(within).relu().amax(2) for one in filters], 1))
    return torch.stack(made, 1)


def with_gradients(made: Tensor, rows: Tensor, filters: list[nn.Conv1d]) -> list[Tensor]:
    torch.manual_seed(4)
    numbers = [rows, *(one.weight for one in filters), *(one.bias for one in filters if one.bias is not None)]
    return [made, *torch.autograd.grad(made, numbers, torch.randn_like(made))]


@pytest.mark.parametrize("panel", [16, 64])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_greatest_of_convolutions(
    shape: tuple[int, int, int, int, int], panel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # of this processor, and of those with narrower registers
    monkeypatch.setattr(products, "PANEL", panel)
    monkeypatch.setattr(products, "UNIT", min(16, panel // 2))
    rows, filters = given(*shape)
    made = horizontal(rows, filters)
    assert made.grad_fn is not None
    assert made.grad_fn.name() == "_HorizontalBackward"
    found, expected = (with_gradients(one, rows, filters) for one in (made, plainly(rows, filters)))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_on_other_devices_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, filters = given(*SHAPES[1])
    expected = horizontal(rows, filters)
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda _: True)  # not a kernel's, as on other devices
    torch.testing.assert_close(horizontal(rows, filters), expected, rtol=1e-4, atol=1e-4)


def test_threads_change_nothing() -> None:
    rows, filters = given(11, 20, 33, 9, 4)
    found = []
    for threads in (1, 2, 3):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            made = with_gradients(horizontal(rows, filters), rows, filters)
            found.append([one.detach().numpy().tobytes() for one in made])
        finally:
            torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_what_is_no_number_stays_none() -> None:
    rows, filters = given(*SHAPES[1])
    with torch.no_grad():
        rows[1, 6] = torch.nan
        made = horizontal(rows, filters)
    assert made[1, 6:11].isnan().all()
    assert not made[0].isnan().any()
    assert not made[2].isnan().any()
