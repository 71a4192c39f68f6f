"""Our recurrent units against torch's, and their gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor

from recli.kernels import products
from recli.training import recurrent
from recli.training.recurrent import GRU


def given(n: int, places: int, width: int, size: int) -> tuple[Tensor, Tensor, Any]:
    torch.manual_seed(4)
    return torch.randn(n, places, width), torch.randn(n, places, size), GRU(width, size)


def all_of(layer: Any, x: Tensor, weight: Tensor) -> list[Tensor]:
    """The states, and the gradients for one that differs from number to number."""
    x = x.clone().requires_grad_()
    states = layer(x)
    states = states[0] if isinstance(states, tuple) else states
    return [states, *torch.autograd.grad((states * weight).sum(), [x, *layer.parameters()])]


# Fewer rows than are multiplied at a time, more, more states than a panel has columns, one of everything, nothing.
@pytest.mark.parametrize("shape", [(3, 6, 5, 7), (11, 4, 8, 70), (6, 9, 3, 128), (1, 1, 1, 1), (0, 3, 2, 4)])
@pytest.mark.parametrize(("units", "panel"), [("_Near", 16), ("_Near", 64), ("_Units", 64)])  # the last: other devices'
def test_states_and_gradients_are_those_of_torch(
    shape: tuple[int, ...], units: str, panel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recurrent, "_Near", getattr(recurrent, units))
    # of this processor, and of those with narrower registers
    monkeypatch.setattr(products, "PANEL", panel)
    monkeypatch.setattr(products, "UNIT", min(16, panel // 2))
    x, weight, ours = given(*shape)
    found = all_of(ours, x, weight)
    if not len(x):
        assert [len(one) for one in found[:2]] == [0, 0]  # torch's takes no such batch
        return
    theirs = torch.nn.GRU(*shape[2:], bias=False, batch_first=True)
    theirs.load_state_dict({"weight_ih_l0": ours.read.detach(), "weight_hh_l0": ours.keep.detach()})
    for one, other in zip(found, all_of(theirs, x, weight), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_threads_change_nothing() -> None:
    x, weight, layer = given(41, 5, 16, 24)
    found = []
    for threads in (1, 2, 3):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            states, to_x, *_ = all_of(layer, x, weight)
            found.append((states.detach().numpy().tobytes(), to_x.numpy().tobytes()))
        finally:
            torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_what_is_no_number_stays_none() -> None:
    x, _, layer = given(6, 4, 3, 5)
    x[2, 1] = torch.nan
    states = layer(x)
    assert states[2, 1:].isnan().all()
    assert not states[2, 0].isnan().any()
    assert not states[[0, 1, 3, 4, 5]].isnan().any()
