"""BPR: it learns, threads do not show, it says when it diverges."""

import numpy as np
import polars as pl
import pytest

from recli.errors import Exit, RecliError
from recli.interactions import Interactions
from recli.model import Run
from recli.models.factor.bpr import BPR


def groups(n_users: int, n_items: int, events: int) -> Interactions:
    """Users and items of four tastes."""
    rng = np.random.default_rng(0)
    user = rng.integers(n_users, size=events)
    item = rng.integers(n_items // 4, size=events) * 4 + user % 4
    return Interactions.of(pl.DataFrame({"user_id": user.astype(str), "item_id": item.astype(str)}))


def test_the_wrong_order_becomes_rare() -> None:
    notes: list[str] = []
    run = Run(progress=lambda done, total, note: notes.append(note))
    BPR(embedding_size=8, epochs=30).fit(groups(200, 400, 6000), run)
    wrong = [float(note.removeprefix("wrong order ")) for note in notes]
    assert len(wrong) == 30
    assert 0.3 < wrong[0] < 0.6
    assert wrong[-1] < 0.15


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_do_not_show(threads: int) -> None:
    data = groups(300, 500, 9000)  # eight blocks
    one, many = (BPR(embedding_size=8, epochs=5).fit(data, Run(threads=n)) for n in (1, threads))
    assert one.user.tobytes() == many.user.tobytes()
    assert one.item.tobytes() == many.item.tobytes()


def test_divergence_is_said() -> None:
    with pytest.raises(RecliError, match=r"infinite or NaN in epoch \d+") as caught:
        BPR(learning_rate=1e20, reg_weight=1.0).fit(groups(50, 100, 900), Run())
    assert caught.value.code == Exit.DIVERGED
    assert caught.value.hint == "lower learning_rate=1e+20"


def test_a_user_who_has_everything_and_a_single_item() -> None:
    everything = pl.DataFrame({"user_id": ["a"] * 4 + ["b"], "item_id": ["1", "2", "3", "4", "1"]})
    one = pl.DataFrame({"user_id": ["a", "b"], "item_id": ["1", "1"]})
    for events in (everything, one):
        scorer = BPR(epochs=3).fit(Interactions.of(events), Run(threads=2))
        assert np.isfinite(scorer.user).all()
