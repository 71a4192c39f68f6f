"""`recli.training.perceptron.rectified` against torch's own operations, there and back."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from recli.kernels import products
from recli.training.perceptron import WIDEST, rectified

# Rows and widths: as NeuMF's, more rows than a sum of gradients has, no multiple of anything, single numbers.
SHAPES = [(70, [128, 128, 64]), (67, [70, 100, 25]), (1100, [20, 30]), (65, [10, 7, 70, 3]), (1, [1, 1, 1]),
          (0, [4, 3])]  # fmt: skip


def given(n: int, widths: list[int]) -> tuple[Tensor, list[nn.Linear]]:
    torch.manual_seed(3)
    return torch.randn(n, widths[0], requires_grad=True), [nn.Linear(*sizes) for sizes in pairwise(widths)]


def plainly(x: Tensor, layers: list[nn.Linear]) -> Tensor:
    for layer in layers:
        x = layer(x).relu()
    return x


def with_gradients(made: Tensor, x: Tensor, layers: list[nn.Linear]) -> list[Tensor]:
    """What was made, and the gradients for one that differs from number to number."""
    torch.manual_seed(4)
    wanted = [x, *(number for layer in layers for number in (layer.weight, layer.bias))]
    return [made, *torch.autograd.grad(made, wanted, torch.randn_like(made))]


@pytest.mark.parametrize("panel", [16, 64])
@pytest.mark.parametrize(("n", "widths"), SHAPES)
def test_it_is_products_and_relu(n: int, widths: list[int], panel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # of this processor, and of those with narrower registers
    monkeypatch.setattr(products, "PANEL", panel)
    monkeypatch.setattr(products, "UNIT", min(16, panel // 2))
    x, layers = given(n, widths)
    made = rectified(x, layers, 0)
    assert made.grad_fn is not None
    assert made.grad_fn.next_functions[0][0].name() == "_RectifiedBackward"
    for found, expected in zip(
        with_gradients(made, x, layers), with_gradients(plainly(x, layers), x, layers), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_rows_may_have_any_shape() -> None:
    x, layers = given(30, [8, 5])
    torch.testing.assert_close(rectified(x.view(5, 2, 3, 8), layers, 0), plainly(x, layers).view(5, 2, 3, 5))


@pytest.mark.parametrize("share", [0, 0.3])
def test_a_last_layer_is_a_product_alone(share: float) -> None:
    x, layers = given(200, [70, 100, 40, 3])
    out = layers.pop()
    torch.manual_seed(5)
    found = rectified(x, layers, share, out)
    torch.manual_seed(5)
    expected = out(rectified(x, layers, share))
    every = [*layers, out]
    for one, other in zip(with_gradients(found, x, every), with_gradients(expected, x, every), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_dropout_is_the_same_on_the_way_back() -> None:
    """Where all weights are those of the identity, what is left of a positive number is its factor times the number."""
    x, layers = given(300, [100, 100, 100])
    with torch.no_grad():
        x.abs_().add_(0.1)
        for layer in layers:
            layer.weight.copy_(torch.eye(100))
            layer.bias.zero_()
    made = rectified(x, layers, 0.25)
    (factor,) = torch.autograd.grad(made.sum(), x)
    torch.testing.assert_close(factor * x, made)
    assert set(factor.mul(9 / 16).round(decimals=4).unique().tolist()) == {0, 1}  # 1 / .75 from each of two layers
    assert (factor > 0).float().mean() == pytest.approx(9 / 16, abs=0.01)  # 30,000 of them: a deviation of 0.003
    assert len({(row > 0).numpy().tobytes() for row in factor}) == 300
    kept = rectified(x.detach(), layers[:1], 0.25) > 0, rectified(x.detach(), layers[:1], 0.25) > 0
    assert (kept[0] != kept[1]).float().mean() == pytest.approx(2 * 0.25 * 0.75, abs=0.02)


def test_threads_change_nothing() -> None:
    x, layers = given(2100, [40, 70, 20])
    found = []
    for threads in (1, 2, 3):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        torch.manual_seed(5)
        try:
            made = with_gradients(rectified(x, layers, 0.1), x, layers)
            found.append([one.detach().numpy().tobytes() for one in made])
        finally:
            torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("share", [0, 0.5])
def test_what_is_no_number_stays_none(share: float) -> None:
    x, layers = given(200, [6, 9, 5])
    with torch.no_grad():
        x[7] = torch.nan
        made = rectified(x, layers, share)
    assert made[7].isnan().all()
    assert not made[:7].isnan().any()


def test_wide_layers_are_torchs() -> None:
    x, layers = given(9, [4, WIDEST + 1])
    made = rectified(x, layers, 0)
    assert made.grad_fn is not None
    assert made.grad_fn.name() == "ReluBackward0"
    torch.testing.assert_close(made, plainly(x, layers))
