"""Co-clustering, against hand, its paper written down, and Surprise."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recli.errors import Exit, RecliError
from recli.interactions import Interactions, Queries, encode
from recli.metrics.rating import mae, rmse
from recli.model import Run
from recli.models.rating.coclustering import CoClustering, CoClusters
from recli.sources import read
from tests.checks import tiny
from tests.models.test_baseline import as_listed, ratings


def nobody(user: list[int]) -> Queries:
    none = {"indptr": np.zeros(len(user) + 1, np.int64), "item": np.empty(0, np.int32)}
    return Queries(user=np.array(user, np.int32), **none)


def by_hand() -> CoClusters:
    """Two users and three items, in a cluster of users and two of items; the mean of all is 3.5."""
    return CoClusters(
        user=np.array([3, 4], np.float32),
        item=np.array([2, 4, 0], np.float32),
        user_cluster=np.array([0, 0], np.int32),
        item_cluster=np.array([1, 0, -1], np.int32),
        joint=np.array([[-3, -3.5, 0], [0, 0, 3.5]], np.float32),
    )


def test_means_and_clusters_make_a_rating() -> None:
    assert by_hand().score(nobody([0, 1])).tolist() == [[1.5, 4.0, 3.0], [2.5, 5.0, 4.0]]


def test_who_is_not_known_is_rated_by_the_means_of_what_is() -> None:
    queries = nobody([1, -1, 1, -1, -1])
    pairs = by_hand().score_pairs(queries, np.array([0, 0, -1, -1, 2], np.int32))
    assert pairs.tolist() == [2.5, 2.0, 4.0, 3.5, 3.5]
    assert by_hand().score(queries)[1].tolist() == [2.0, 4.0, 3.5]


def two_kinds() -> pl.DataFrame:
    """Users of one kind give 5 to items of their kind and 1 to the others; one rating in seven is left out."""
    pairs = [(u, i) for u in range(20) for i in range(20) if (u + 3 * i) % 7]
    rows = [(f"u{u}", f"i{i}", 5.0 if (u + i) % 2 == 0 else 1.0) for u, i in pairs]
    return pl.DataFrame(rows, schema=["user_id", "item_id", "rating"], orient="row")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_kinds_are_found(seed: int) -> None:
    """Also where a third cluster is to spare: each holds users of one kind, and what is left out is told."""
    data = Interactions.of(two_kinds())
    scorer = CoClustering().fit(data, Run(seed=seed))
    users, items = (np.array([int(name[1:]) % 2 for name in ids]) for ids in (data.users, data.items))
    truth = np.where(users[:, np.newaxis] == items, 5, 1)
    np.testing.assert_allclose(scorer.score(data.queries()), truth, atol=0.3)
    for cluster in np.unique(scorer.user_cluster):
        assert len(np.unique(users[scorer.user_cluster == cluster])) == 1


def one_by_one(data: Interactions, model: CoClustering, seed: int) -> np.ndarray:
    """The docstring, for one user and one item at a time: users × items."""
    events = ratings(data)
    all_mean = sum(r for _, _, r in events) / len(events)

    def mean(values: list[float]) -> float:
        return sum(values) / len(values) if values else all_mean

    of_user = [mean([r for v, _, r in events if v == u]) for u in range(data.n_users)]
    of_item = [mean([r for _, j, r in events if j == i]) for i in range(data.n_items)]
    rng = np.random.default_rng(seed)
    g, h = (rng.integers(k, size=n).tolist() for k, n in ((3, data.n_users), (3, data.n_items)))

    def means() -> tuple[list[float], list[float], list[list[float]]]:
        return (
            [mean([r for u, _, r in events if g[u] == a]) for a in range(3)],
            [mean([r for _, i, r in events if h[i] == b]) for b in range(3)],
            [[mean([r for u, i, r in events if g[u] == a and h[i] == b]) for b in range(3)] for a in range(3)],
        )

    for _ in range(model.epochs):
        rows, columns, both = means()

        def guess(u: int, i: int, a: int, b: int) -> float:
            return both[a][b] + of_user[u] - rows[a] + of_item[i] - columns[b]  # noqa: B023

        for u in range(data.n_users):
            own = [(i, r) for v, i, r in events if v == u]
            g[u] = int(np.argmin([sum((r - guess(u, i, a, h[i])) ** 2 for i, r in own) for a in range(3)]))
        for i in range(data.n_items):
            own = [(u, r) for u, j, r in events if j == i]
            h[i] = int(np.argmin([sum((r - guess(u, i, g[u], b)) ** 2 for u, r in own) for b in range(3)]))
    rows, columns, both = means()
    return np.array(
        [
            [both[g[u]][h[i]] + of_user[u] - rows[g[u]] + of_item[i] - columns[h[i]] for i in range(data.n_items)]
            for u in range(data.n_users)
        ]
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_one_user_and_one_item_after_the_other(seed: int) -> None:
    model = CoClustering(epochs=3)
    scores = model.fit(tiny(), Run(seed=seed)).score(tiny().queries())
    np.testing.assert_allclose(scores, one_by_one(tiny(), model, seed), rtol=1e-5)


def test_who_has_rated_nothing_is_not_known() -> None:
    events = two_kinds()
    users = pl.DataFrame({"user_id": [*events["user_id"].unique(), "idle"]})
    items = pl.DataFrame({"item_id": [*events["item_id"].unique(), "new"]})
    data = Interactions.of(events, {"user": users, "item": items})
    scorer = CoClustering().fit(data, Run())
    idle, new = encode(pl.Series(["idle"]), data.users), encode(pl.Series(["new"]), data.items)
    assert scorer.score_pairs(nobody([int(idle[0]), 0]), new).tolist() == pytest.approx(
        [events["rating"].mean(), scorer.user[0]]
    )


def test_without_ratings_there_is_nothing_to_learn() -> None:
    data = Interactions.of(pl.DataFrame({"user_id": ["a"], "item_id": ["x"]}))
    with pytest.raises(RecliError, match="no rating") as caught:
        CoClustering().fit(data, Run())
    assert caught.value.code == Exit.DATA


class Legacy:
    """numpy's generator of old, which Surprise starts from, under the names of the new one."""

    def __init__(self, seed: int) -> None:
        self.state = np.random.RandomState(seed)

    def integers(self, high: int, size: int) -> np.ndarray:
        return self.state.randint(high, size=size)

    def random(self, size: tuple[int, ...]) -> np.ndarray:
        return self.state.uniform(size=size)


# RMSE and MAE of CoClustering(random_state=0) on GroupLens' folds u1 to u5 of MovieLens-100K: printed by Surprise
# 1.1.5.
SURPRISE = [
    (0.965444, 0.754663), (0.967029, 0.754926), (0.962105, 0.753912), (0.963003, 0.754181), (0.956958, 0.753503),
]  # fmt: skip


@pytest.mark.shared
@pytest.mark.parametrize("fold", [1, 2, 3, 4, 5])
def test_surprises_figures_from_its_start(fold: int, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the mean of all for an unknown item, as Surprise has it, where the paper has the user's mean."""
    monkeypatch.setattr(np.random, "default_rng", Legacy)
    train, test = (read(shared / "ml-100k-folds" / f"u{fold}.{part}").frame for part in ("base", "test"))
    data, truth = as_listed(train), test["rating"].to_numpy()
    user, item = encode(test["user_id"], data.users), encode(test["item_id"], data.items)
    scores = CoClustering().fit(data, Run(seed=0)).score_pairs(nobody(user.tolist()), item)
    scores[item < 0] = train["rating"].mean()
    clipped = np.clip(scores, 1, 5).astype(np.float64)
    assert (rmse(clipped, truth), mae(clipped, truth)) == pytest.approx(SURPRISE[fold - 1], abs=2e-6)
