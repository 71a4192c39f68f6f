"""Layers of our own."""

import pytest
import torch
from torch.nn import functional as F

from recli.training.batches import Histories
from recli.training.layers import OfHistory, dropout


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_dropout_leaves_out_its_share_anywhere_and_keeps_the_mean(share: float) -> None:
    torch.manual_seed(1)
    found = dropout(torch.ones(40_000, 5), share)
    assert torch.unique(found).tolist() == pytest.approx([0, 1 / (1 - share)], rel=1e-3)
    # Each of the four places that share a random number, and the fifth, in which they begin anew.
    assert (found == 0).float().mean(0).tolist() == pytest.approx([share] * 5, abs=0.01)
    assert (found.flatten()[: 4 * 50_000].view(-1, 4) == 0).float().mean(0).tolist() == pytest.approx(
        [share] * 4, abs=0.01
    )


def test_without_a_share_nothing_is_drawn() -> None:
    before, x = torch.get_rng_state(), torch.ones(3)
    assert dropout(x, 0.0) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_leaves_out_the_same_places_of_the_gradient_whatever_the_threads() -> None:
    made = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        x = torch.rand(90, 5000, requires_grad=True)
        found = dropout(x, 0.3)
        [gradient] = torch.autograd.grad(found.sum(), [x])
        torch.testing.assert_close(found, x * gradient)
        made.append(found.detach())
    assert torch.equal(*made)
    assert not torch.equal(dropout(x, 0.3), found)


def test_a_layer_of_histories_is_a_linear_one_of_their_rows() -> None:
    torch.manual_seed(1)
    layer = OfHistory(6, 9)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    histories = Histories(indptr=torch.tensor([0, 2, 2, 5]), item=torch.tensor([1, 0, 4, 2, 3], dtype=torch.int32))
    number = torch.tensor([0.5, 2.0, 1.0, 0.0, -1.0])
    dense = torch.zeros(3, 6).index_put((histories.row, histories.item.long()), number)
    weight, parameters = torch.randn(3, 9), [layer.weight, layer.bias]
    found = torch.autograd.grad((layer(histories, number) * weight).sum(), parameters)
    expected = torch.autograd.grad((F.linear(dense, layer.weight.T, layer.bias) * weight).sum(), parameters)
    torch.testing.assert_close(layer(histories, number), F.linear(dense, layer.weight.T, layer.bias))
    torch.testing.assert_close(found, expected)
