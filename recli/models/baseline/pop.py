"""Popularity: the most chosen items for everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recli.scorers import ItemScores

if TYPE_CHECKING:
    from recli.interactions import Interactions
    from recli.model import Run


@dataclass(frozen=True, kw_only=True)
class Pop:
    """The score of an item is the number of its users: the baseline that personal lists have to beat.

    TopPop of Cremonesi, Koren & Turrin 2010, "Performance of recommender algorithms on top-N recommendation tasks"
    (RecSys), §3.1. Repeated events of a user count once.
    """

    def fit(self, data: Interactions, run: Run) -> ItemScores:
        """Count."""
        return ItemScores(item=data.popularity.astype(np.float32))
