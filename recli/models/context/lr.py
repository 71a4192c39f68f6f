"""LR: logistic regression on fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recli.training.parameters import Context

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class LR(Context):
    """A weight for each value of each field, and a bias: their sum is the log-odds of a click.

    Richardson, Dominowska & Ragno 2007, "Predicting clicks: estimating the click-through rate for new ads" (WWW),
    eq. 3 and 4. With a rating for a target it is linear regression. ``embedding_size`` says nothing here.
    """


def build(sizes: Sequence[int], slots: Sequence[int], embedding_size: int) -> nn.Module:
    """The weights."""
    from torch import nn

    from recli.training.fields import Table

    return nn.ModuleDict({"table": Table(sizes, slots, 0)})


def scores(network: Any, rows: Tensor, weights: Tensor) -> Tensor:
    """The sum of the weights (n,)."""
    return network["table"].total(weights)
