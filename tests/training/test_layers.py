"""Layers of our own."""

import pytest
import torch

from recli.training.layers import dropout


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
