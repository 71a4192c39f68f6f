"""What a model of ratings learns from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recli.errors import Exit, RecliError
from recli.interactions import order_within

if TYPE_CHECKING:
    from recli.interactions import Interactions
    from recli.scorers import Floats, Ints, Longs


def ratings_of(data: Interactions) -> Floats:
    """The rating of each event, float32 (n,).

    Raises:
        RecliError: there are none, or one is missing (exit 3).
    """
    if data.rating is None:
        hint = "--rating-col says which column holds it, where the source is read"
        raise RecliError(Exit.DATA, "the table has no rating to learn from", hint=hint)
    if not np.isfinite(data.rating).all():
        hint = "recli filter --range 'rating=LOW,HIGH' keeps the others"
        raise RecliError(Exit.DATA, "a rating is missing, or infinite", hint=hint)
    return data.rating


def by_item(data: Interactions) -> tuple[Longs, Ints, Longs]:
    """The events by item: the bounds of each item's (n_items + 1,), and each one's user (n,) and place in data (n,)."""
    indptr, order = order_within(data.item, None, data.n_items)
    user = np.repeat(np.arange(data.n_users, dtype=np.int32), np.diff(data.indptr))
    return indptr, user[order], order
