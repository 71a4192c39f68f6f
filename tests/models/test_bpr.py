"""BPR: its steps in numpy, its negatives; it learns, threads do not show, it says when it diverges."""

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from recli.errors import Exit, RecliError
from recli.interactions import Interactions
from recli.kernels import bpr, strata
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


@pytest.mark.parametrize("sampling", ["uniform", "popularity"])
def test_threads_do_not_show_in_either_sampling(sampling: str) -> None:
    data = groups(300, 500, 9000)
    one, two = (BPR(embedding_size=8, epochs=3, neg_sampling=sampling).fit(data, Run(threads=n)) for n in (1, 2))
    assert one.item.tobytes() == two.item.tobytes()


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 3.0])
def test_the_table_draws_by_weight(exponent: float) -> None:
    """A place is drawn first and kept with its share, or drawn as another's substitute: together, by weight."""
    rng = np.random.default_rng(0)
    weight, dealt = rng.integers(1, 50, 97).astype(float) ** exponent, rng.permutation(97).astype(np.int32)
    own, other = bpr._table(weight, dealt, 3)
    for block in strata.item_blocks(97, 3):
        n, expected = len(dealt[block]), weight[dealt[block]] / weight[dealt[block]].sum()
        drawn = (own[block] + np.bincount(other[block], 1 - own[block], n)) / n
        np.testing.assert_allclose(drawn, expected, atol=1e-6)


def test_popular_items_are_negatives_more_often() -> None:
    """User u has item u alone. At learning rate 1 and regularisation 0, what left its place was drawn as a negative."""
    n = 640
    events = csr_matrix((np.ones(64, np.float32), np.arange(64), np.arange(65)), shape=(64, n))
    moved = np.zeros(n)
    for seed in range(40):
        weight = np.where(np.arange(n) % 10 == 0, 9.0, 1.0)
        user, item = np.ones((64, 4), np.float32), np.zeros((n, 4), np.float32)
        dealt = np.random.default_rng(seed).permutation(n).astype(np.int32)
        bpr.epoch(
            events,
            np.linspace(0, 64, 9).astype(np.int64),
            user,
            item,
            weight,
            dealt,
            candidates=1,
            seed=seed,
            rate=1.0,
            reg=0.0,
        )
        moved += (item < 0).any(1)
    popular, others = moved[70::10].sum(), moved[64:].sum() - moved[70::10].sum()
    assert 0.8 < popular / others < 1.25  # a tenth of the items, of nine times the weight: as often as all others


def test_of_the_candidates_the_one_that_scores_highest_is_the_negative() -> None:
    """Each user's own item scores 1 and item j of the n others j / n: of c candidates the highest is met.

    At learning rate 0 nothing moves, and the mean of s(-x) tells what was met.
    """
    n, users, c = 400, 2000, 7
    events = csr_matrix((np.ones(users, np.float32), np.full(users, n), np.arange(users + 1)), shape=(users, n + 1))
    user, item = np.ones((users, 4), np.float32), np.zeros((n + 1, 4), np.float32)
    item[:, 0] = np.arange(n + 1) / n
    dealt = np.random.default_rng(3).permutation(n + 1).astype(np.int32)
    given = (events, np.array([0, users]), user, item, None, dealt)
    met = np.mean([bpr.epoch(*given, candidates=c, seed=seed, rate=0.0, reg=0.0) for seed in range(3)])
    wrong, share = 1 / (1 + np.exp(1 - np.arange(n) / n)), np.arange(n + 1) / n
    expected = (np.diff(share**c) * wrong).sum()
    assert abs(met - expected) < 0.001
    assert expected - wrong.mean() > 0.05  # what any one of them would give


def test_hard_negatives_are_of_any_number_of_threads() -> None:
    data = groups(300, 500, 9000)
    how = {"embedding_size": 8, "epochs": 3, "neg_dynamic": True, "neg_candidate_num": 5}
    one, two = (BPR(**how).fit(data, Run(threads=n)) for n in (1, 2))
    assert one.item.tobytes() == two.item.tobytes()
