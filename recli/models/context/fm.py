"""FM: a factorisation machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recli.training.parameters import Context

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class FM(Context):
    """A weight for each value, and a row, whose products with the other fields' are what two values do together.

    Rendle 2010, "Factorization machines" (ICDM), eq. 1; the sum over pairs as in lemma 3.1.
    """


def build(sizes: Sequence[int], slots: Sequence[int], embedding_size: int) -> nn.Module:
    """The weights and rows."""
    from torch import nn

    from recli.training.fields import Table

    return nn.ModuleDict({"table": Table(sizes, slots, embedding_size)})


def scores(network: Any, rows: Tensor, weights: Tensor) -> Tensor:
    """The weights and the products of all pairs of fields (n,)."""
    from recli.training.fields import bi_interaction

    return network["table"].total(weights) + bi_interaction(rows).sum(1)
