"""The scorer of ratings: mean, biases and a product, by hand; and its top-k by products."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recli.interactions import Queries
from recli.ranking import top_k
from recli.scorers import Ratings


def asked(*users: int, replaced: bool = False) -> Queries:
    user = np.array(users, np.int32)
    return Queries(user=user, indptr=np.zeros(len(user) + 1, np.int64), item=np.empty(0, np.int32), replaced=replaced)


def small() -> Ratings:
    return Ratings(
        mean=3.5,
        user=np.array([[1, 0], [0.5, -1]], np.float32),
        item=np.array([[2, 1], [0, 4], [-2, 0]], np.float32),
        bias=np.array([0.25, -0.5, 0], np.float32),
        user_bias=np.array([0.5, -1], np.float32),
    )


def test_a_rating_by_hand() -> None:
    # user 0: 4 + (.25 + 2, -.5 + 0, -2); user 1: 2.5 + (.25 + 0, -.5 - 4, -1); a stranger: 3.5 + the items' biases
    expected = [[6.25, 3.5, 2.0], [2.75, -2.0, 1.5], [3.75, 3.0, 3.5]]
    assert small().score(asked(0, 1, -1)).tolist() == expected
    items = np.array([2, 0, 1], np.int32)
    assert small().score_pairs(asked(0, 1, -1), items).tolist() == [2.0, 2.75, 3.0]


def test_an_unknown_item_has_neither_bias_nor_row() -> None:
    assert small().score_pairs(asked(0, 1, -1), np.full(3, -1, np.int32)).tolist() == [4.0, 2.5, 3.5]


def test_a_replaced_history_changes_nothing() -> None:
    assert (small().score(asked(0, -1, replaced=True)) == small().score(asked(0, -1))).all()


def test_without_biases_the_mean_and_the_product_are_left() -> None:
    plain = Ratings(mean=3.0, user=small().user, item=small().item)
    assert plain.score(asked(0, -1)).tolist() == [[5.0, 3.0, 1.0], [3.0, 3.0, 3.0]]
    assert plain.score_pairs(asked(0, -1), np.array([0, -1], np.int32)).tolist() == [5.0, 3.0]


@dataclass(frozen=True)
class ScoresAlone:
    """A scorer that has nothing but scores, so that the top-k cannot go by products."""

    ratings: Ratings

    def score(self, queries: Queries) -> NDArray[np.float32]:
        return self.ratings.score(queries)

    def score_pairs(self, queries: Queries, items: NDArray[np.int32]) -> NDArray[np.float32]:
        return self.ratings.score_pairs(queries, items)


def test_the_top_by_products_is_the_top_by_scores() -> None:
    rng = np.random.default_rng(5)
    shapes = {"user": (70, 24), "item": (900, 24), "bias": 900, "user_bias": 70}
    arrays = {name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    scorer = Ratings(mean=3.5, **arrays)
    queries = asked(*range(70), -1, -1)
    queries = Queries(user=queries.user, indptr=np.arange(73) * 5, item=rng.integers(900, size=360).astype(np.int32))
    for seen in (None, (queries.indptr, queries.item)):
        codes, scores = top_k(scorer, queries, 10, seen=seen)
        others, plain = top_k(ScoresAlone(scorer), queries, 10, seen=seen)
        np.testing.assert_array_equal(codes, others)
        np.testing.assert_allclose(scores, plain, rtol=1e-5, atol=1e-5)
