"""Popularity: the most chosen items for everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.errors import Exit, RecliError
from recli.model import param
from recli.scorers import ItemScores

if TYPE_CHECKING:
    from recli.interactions import Interactions
    from recli.model import Run

DAY: Final = 86_400.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Pop:
    """The score of an item is the number of its users: the baseline that personal lists have to beat.

    TopPop of Cremonesi, Koren & Turrin 2010, "Performance of recommender algorithms on top-N recommendation tasks"
    (RecSys), §3.1. With ``days`` or ``share`` only of its users at the end of the time, and with ``half_life`` each
    user weighs 2^(-age / half_life), the age being that of their last event with the item before the last event of all:
    RecentPop and DecayPop of Ji, Sun, Zhang & Li 2020, "A re-visit of the popularity baseline in recommender systems"
    (SIGIR), with one point in time for all, and a decay that is smooth where theirs is in steps.

    Repeated events of a user count once. The list is the same for everybody, so it stands below all that look at a
    history; and where held-out events are drawn from all of the time, what is popular lately is below what always was.
    """

    days: float = param(0.0, "events of so many last days count; 0: all", least=0)
    share: float = param(0.0, "events of this share of the time, its end, count; 0: all", least=0)
    half_life: float = param(0.0, "days after which a user counts half; 0: all count the same", least=0)

    def fit(self, data: Interactions, run: Run) -> ItemScores:
        """Count."""
        if not (self.days or self.share or self.half_life):
            return ItemScores(item=data.popularity.astype(np.float32))
        if data.time is None:
            hint = "--time-col says which column holds it, where the source is read"
            raise RecliError(Exit.DATA, "the table has no timestamp to tell recent events by", hint=hint)
        user = np.repeat(np.arange(data.n_users), np.diff(data.indptr))
        age = data.time.max() - data.time
        # The events of a user are in time order: the last with an item is the first from behind.
        _, last = np.unique((user * data.n_items + data.item)[::-1], return_index=True)
        last = len(data) - 1 - last
        recent = last[age[last] <= min(self.days * DAY or np.inf, (self.share or 1) * age.max())]
        weight = np.exp2(-age[recent] / (self.half_life * DAY)) if self.half_life else None
        return ItemScores(item=np.bincount(data.item[recent], weight, data.n_items).astype(np.float32))
