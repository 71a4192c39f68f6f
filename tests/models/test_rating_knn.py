"""Neighbours of ratings against hand, a plain implementation and Surprise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recli.errors import Exit, RecliError
from recli.interactions import Interactions, Queries, encode, order_within
from recli.kernels import pairwise, ratingknn, threads
from recli.metrics.rating import mae, rmse
from recli.model import Run
from recli.models.rating.baseline import Baseline
from recli.models.rating.knn import KNN
from recli.models.store import pack, unpack
from recli.ranking import top_k
from recli.sources import read
from tests.checks import tiny
from tests.models.test_baseline import as_listed

Doubles = NDArray[np.float64]

FOUR = [("a", "x", 5), ("a", "y", 3), ("a", "z", 1), ("b", "x", 4), ("b", "y", 2)]
FOUR += [("c", "x", 1), ("c", "y", 3), ("c", "z", 5), ("d", "z", 2)]


def four() -> Interactions:
    """Users a to d, items x to z, in this order; the mean is 26/9."""
    return as_listed(pl.DataFrame(FOUR, schema=["user_id", "item_id", "rating"], orient="row"))


def queries(users: NDArray[np.int32]) -> Queries:
    return Queries(user=users, indptr=np.zeros(len(users) + 1, np.int64), item=np.empty(0, np.int32))


def asked(model: KNN, user: str, item: str) -> float:
    data = four()
    users, items = (encode(pl.Series([name]), ids) for name, ids in ((user, data.users), (item, data.items)))
    return float(model.fit(data, Run()).score_pairs(queries(users), items)[0])


@pytest.mark.parametrize(
    ("measure", "ab", "ac", "ad", "bc", "cd"),
    [
        ("msd", 1 / 2, 3 / 35, 1 / 2, 1 / 6, 1 / 10),
        ("cosine", 26 / 680**0.5, 19 / 35, 1, 10 / 200**0.5, 1),
        ("pearson", 1, -1, 0, -1, 0),
    ],
)
def test_similarities_by_hand(measure: str, ab: float, ac: float, ad: float, bc: float, cd: float) -> None:
    data = four()
    assert data.rating is not None
    ratings = csr_matrix((data.rating.astype(np.float64), data.item, data.indptr), (4, 3))
    expected = [[1, ab, ac, ad], [ab, 1, bc, 0], [ac, bc, 1, cd], [ad, 0, cd, 1]]
    np.testing.assert_allclose(pairwise.compare(ratings, measure), expected, rtol=1e-6)
    one_is_not_enough = [[1, ab, ac, 0], [ab, 1, bc, 0], [ac, bc, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(pairwise.compare(ratings, measure, least=2), one_is_not_enough, rtol=1e-6)


def test_the_cosine_around_the_baseline_by_hand() -> None:
    """With biases held at nothing a rating is compared with the mean of all; a and b: 19, 1, and 10, -8 ninths."""
    model = KNN(similarity="pearson_baseline", shrink=1.0, reg_u=1e15, reg_i=1e15)
    ab = (19 * 10 - 8) / ((19**2 + 1) * (10**2 + 8**2)) ** 0.5 * (1 / 2)
    ac = (-19 * 17 + 1 - 17 * 19) / ((19**2 + 1 + 17**2) ** 2) ** 0.5 * (2 / 3)
    bc = (-10 * 17 - 8) / ((10**2 + 8**2) * (17**2 + 1)) ** 0.5 * (1 / 2)
    expected = [[1, ab, ac, 0], [ab, 1, bc, 0], [ac, bc, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(model.fit(four(), Run()).similarity, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("normalization", "rating"),
    [
        ("none", 2),  # (1/2 × 1 + 1/6 × 5) / (2/3): d is like b in nothing
        ("mean", 2),  # 3 + (1/2 × -2 + 1/6 × 2) / (2/3)
        ("zscore", 3 - (3 / 8) ** 0.5),  # the same, a's and c's deviations being the root of 8/3, and b's 1
        ("baseline", 17 / 9),  # 8/3 + (1/2 × -16/9 + 1/6 × 20/9) / (2/3), of biases 1/9, 0 and 1/9
    ],
)
def test_what_b_gives_z_by_hand(normalization: str, rating: float) -> None:
    assert asked(KNN(normalization=normalization, epochs=1, reg_u=0.0, reg_i=0.0), "b", "z") == pytest.approx(rating)


def test_only_the_nearest_count_and_too_few_are_none() -> None:
    assert asked(KNN(), "d", "x") == pytest.approx(13 / 3)  # (1/2 × 5 + 1/10 × 1) / (6/10)
    assert asked(KNN(k=1), "d", "x") == 5
    assert asked(KNN(min_k=3), "d", "x") == -np.inf
    assert asked(KNN(min_k=3, normalization="mean"), "d", "x") == 2
    assert asked(KNN(min_support=2, normalization="mean"), "d", "x") == 2


def test_items_similar_to_what_the_user_has_rated_by_hand() -> None:
    """x and y: differences of 2, 2 and -2, so 1/5; y and z: 2 and -2, so 1/5 too; x and z: 4 and -4, so 1/17."""
    scorer = KNN(user_based=False).fit(four(), Run())
    expected = [[1, 1 / 5, 1 / 17], [1 / 5, 1, 1 / 5], [1 / 17, 1 / 5, 1]]
    np.testing.assert_allclose(scorer.similarity, expected, rtol=1e-6)
    assert asked(KNN(user_based=False), "b", "z") == pytest.approx((4 / 17 + 2 / 5) / (1 / 17 + 1 / 5))
    assert asked(KNN(user_based=False, k=1), "b", "z") == 2
    means = KNN(user_based=False, normalization="mean")
    assert asked(means, "b", "z") == pytest.approx(8 / 3 + ((4 - 10 / 3) / 17 + (2 - 8 / 3) / 5) / (1 / 17 + 1 / 5))


@pytest.mark.parametrize("user_based", [True, False])
def test_of_strangers_only_the_baseline_says_something(user_based: bool) -> None:
    users, items = np.array([-1, 0, -1], np.int32), np.array([0, -1, -1], np.int32)
    for normalization in ("none", "mean", "zscore"):
        scorer = KNN(normalization=normalization, user_based=user_based).fit(four(), Run())
        assert (scorer.score_pairs(queries(users), items) == -np.inf).all()
        assert (scorer.score(queries(users[:1])) == -np.inf).all()
    scorer, biases = (model.fit(four(), Run()) for model in (KNN(normalization="baseline"), Baseline()))
    expected = biases.score_pairs(queries(users), items)
    np.testing.assert_allclose(scorer.score_pairs(queries(users), items), expected, rtol=1e-6)


def events(data: Interactions) -> list[tuple[int, int, float]]:
    assert data.rating is not None
    user = np.repeat(np.arange(data.n_users), np.diff(data.indptr))
    return list(zip(user.tolist(), data.item.tolist(), data.rating.tolist(), strict=True))


def similarity(of: list[tuple[int, int, float]], rest: list[float], n: int, model: KNN) -> Doubles:
    """Of all pairs of the first of the triples, one pair of ratings of the same thing after the other."""
    common: dict[tuple[int, int], list[tuple[float, float]]] = {}
    baseline = model.similarity == "pearson_baseline"
    for (x, y, r), e in zip(of, rest, strict=True):
        for (x2, y2, r2), e2 in zip(of, rest, strict=True):
            if y == y2:
                common.setdefault((x, x2), []).append((e, e2) if baseline else (r, r2))
    result = np.zeros((n, n))
    for (x, x2), pairs in common.items():
        a, b = np.array(pairs).T
        if len(a) < max(model.min_support, 2 if baseline else 1):
            continue
        if model.similarity == "msd":
            result[x, x2] = 1 / (1 + np.mean((a - b) ** 2))
        elif model.similarity == "pearson":
            both, of_a, of_b = (len(a) * (v @ w) - v.sum() * w.sum() for v, w in ((a, b), (a, a), (b, b)))  # exact
            result[x, x2] = both / np.sqrt(of_a * of_b) if of_a * of_b > 0 else 0
        else:
            result[x, x2] = a @ b / np.sqrt((a @ a) * (b @ b))
            result[x, x2] *= (len(a) - 1) / (len(a) - 1 + model.shrink) if baseline else 1
    np.fill_diagonal(result, 1)
    return result.astype(np.float32).astype(np.float64)


def plain(data: Interactions, model: KNN) -> Doubles:
    """All predictions (users, items) by the docstring's formulas, for one user and one item at a time."""
    biases = Baseline().fit(data, Run())
    b = np.float64(biases.mean) + biases.user[:, np.newaxis].astype(np.float64) + biases.item
    given = events(data)
    rest = [r - b[u, i] for u, i, r in given]
    of = given if model.user_based else [(i, u, r) for u, i, r in given]
    n = data.n_users if model.user_based else data.n_items
    alike = similarity(of, rest, n, model)
    rated: list[list[float]] = [[r for x, _, r in of if x == code] for code in range(n)]
    m = [np.mean(rs) for rs in rated]
    d = [np.std(rs) or np.std([r for _, _, r in of]) for rs in rated]
    result = np.zeros((data.n_users, data.n_items))
    for u in range(data.n_users):
        for i in range(data.n_items):
            x, y = (u, i) if model.user_based else (i, u)
            near = sorted((-alike[x, v], v, r, e) for (v, w, r), e in zip(of, rest, strict=True) if w == y)[: model.k]
            kept = [(-s, v, r, e) for s, v, r, e in near if s < 0]
            weight = sum(s for s, _, _, _ in kept) if len(kept) >= model.min_k else np.inf
            result[u, i] = {
                "none": -np.inf if weight == np.inf else sum(s * r for s, _, r, _ in kept) / weight,
                "mean": m[x] + sum(s * (r - m[v]) for s, v, r, _ in kept) / weight,
                "zscore": m[x] + d[x] * sum(s * (r - m[v]) / d[v] for s, v, r, _ in kept) / weight,
                "baseline": b[u, i] + sum(s * e for s, _, _, e in kept) / weight,
            }[model.normalization]
    return result


def once() -> Interactions:
    """The tiny set without its repeated ratings, of which the nearer is not defined."""
    data = tiny()
    user = np.repeat(np.arange(data.n_users), np.diff(data.indptr))
    _, first = np.unique(user * data.n_items + data.item, return_index=True)
    first.sort()
    assert data.rating is not None
    indptr = np.append(0, np.cumsum(np.bincount(user[first], minlength=data.n_users)))
    return replace(data, indptr=indptr, item=data.item[first], rating=data.rating[first], time=None)


@pytest.mark.parametrize("user_based", [True, False])
@pytest.mark.parametrize("measure", ["msd", "cosine", "pearson", "pearson_baseline"])
@pytest.mark.parametrize("normalization", ["none", "mean", "zscore", "baseline"])
def test_one_pair_after_the_other(normalization: str, measure: str, user_based: bool) -> None:
    model = KNN(normalization=normalization, similarity=measure, user_based=user_based, k=3, min_k=2, shrink=2.0)
    data = once()
    expected = plain(data, model)
    with threads(2):
        scorer = model.fit(data, Run(threads=2))
        scores = scorer.score(data.queries())
        users, items = (codes.ravel().astype(np.int32) for codes in np.indices(scores.shape))
        pairs = scorer.score_pairs(queries(users), items)
    np.testing.assert_allclose(scores, expected, rtol=2e-5)
    np.testing.assert_allclose(pairs, expected.ravel(), rtol=2e-5)


@pytest.mark.parametrize("k", [1, 7, 40, 300])
@pytest.mark.parametrize("digits", [1, 7])
def test_the_nearest_of_many_are_those_that_come_first_when_sorted(digits: int, k: int) -> None:
    """Similarities of a digit are full of ties, and a third of all is not above 0."""
    rng = np.random.default_rng(1)
    alike = rng.uniform(-0.5, 1, (30, 400)).round(digits).astype(np.float32)
    rated = rng.random((50, 400)) < np.linspace(0, 1, 50)[:, np.newaxis]
    raters = csr_matrix(np.where(rated, rng.integers(1, 6, rated.shape), 0).astype(np.float32))
    x, y = (codes.ravel().astype(np.int32) for codes in np.indices((30, 50)))
    expected = np.full((30, 50), -1.0)
    for i, j in np.ndindex(30, 50):
        near = sorted((-float(alike[i, v]), v) for v in raters[j].indices if alike[i, v] > 0)[:k]
        if len(near) >= 3:
            expected[i, j] = np.average([raters[j, v] for _, v in near], weights=[-s for s, _ in near])
    with threads(1):
        found = ratingknn.means(alike, raters, x, y, k, 3, -1.0)
    np.testing.assert_allclose(found, expected.ravel(), rtol=1e-6)
    with threads(3):
        mixed = rng.permutation(len(x))
        assert ratingknn.means(alike, raters, x[mixed], y[mixed], k, 3, -1.0).tobytes() == found[mixed].tobytes()


@pytest.mark.parametrize("user_based", [True, False])
def test_what_comes_from_a_file_needs_no_other_kernel(user_based: bool) -> None:
    """Its arrays are read-only."""
    data = once()
    scorer = KNN(user_based=user_based).fit(data, Run())
    scores = scorer.score(data.queries())
    compiled = len(ratingknn._means.made)  # type: ignore[attr-defined]
    arrays, meta = pack(scorer)
    for array in arrays.values():
        array.flags.writeable = False
    loaded = unpack(arrays, meta)
    assert loaded.score(data.queries()).tobytes() == scores.tobytes()
    assert loaded.score_pairs(queries(np.array([0], np.int32)), np.array([0], np.int32)) == scores[0, 0]
    assert len(ratingknn._means.made) == compiled  # type: ignore[attr-defined]


@pytest.mark.parametrize("measure", ["msd", "cosine", "pearson", "pearson_baseline"])
def test_a_repeated_rating_counts_twice(measure: str) -> None:
    model = KNN(similarity=measure, normalization="mean", k=1000)
    np.testing.assert_allclose(model.fit(tiny(), Run()).score(tiny().queries()), plain(tiny(), model), rtol=2e-5)


def test_the_order_of_the_file_does_not_matter() -> None:
    frame = pl.DataFrame(FOUR, schema=["user_id", "item_id", "rating"], orient="row")
    frame = frame.with_columns(pl.col("rating").cast(pl.Float64))
    for user_based in (True, False):
        model = KNN(k=1, user_based=user_based)
        first, other = (model.fit(data, Run()) for data in map(Interactions.of, (frame, frame.reverse())))
        everybody = queries(np.arange(4, dtype=np.int32))
        assert first.score(everybody).tobytes() == other.score(everybody).tobytes()


def test_lists_leave_out_what_cannot_be_predicted() -> None:
    scorer = KNN(similarity="pearson").fit(four(), Run())
    codes, _ = top_k(scorer, queries(np.array([1], np.int32)), 3)  # a is like b; c is the opposite; nobody is like d
    assert codes.tolist() == [[0, 1, 2]]
    codes, _ = top_k(scorer, queries(np.array([3], np.int32)), 3)
    assert codes.tolist() == [[2, -1, -1]]


def test_without_ratings_or_memory_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecliError, match="no rating") as caught:
        KNN().fit(Interactions.of(pl.DataFrame({"user_id": ["a"], "item_id": ["x"]})), Run())
    assert caught.value.code == Exit.DATA
    monkeypatch.setenv("RECLI_MAX_MEMORY", "100B")
    with pytest.raises(RecliError, match="the similarities of 4 users would take") as caught:
        KNN().fit(four(), Run())
    assert (caught.value.code, caught.value.hint) == (
        Exit.MEMORY,
        "user_based=false compares the others, which may be fewer",
    )


# RMSE and MAE on GroupLens' folds u1 to u5 of MovieLens-100K, predictions clipped to [1, 5], where they are impossible
# the mean: printed by Surprise 1.1.5 (load_from_folds, PredefinedKFold, accuracy), with the defaults of its four kNNs.
SURPRISE = {
    "none": [
        (0.988862, 0.783365), (0.984859, 0.775073), (0.977163, 0.770978), (0.970448, 0.767068), (0.979192, 0.775533),
    ],
    "mean": [
        (0.964911, 0.759368), (0.957139, 0.751078), (0.949867, 0.747361), (0.944777, 0.744393), (0.947041, 0.750483),
    ],
    "zscore": [
        (0.963518, 0.755328), (0.957701, 0.748182), (0.950161, 0.744434), (0.945195, 0.741264), (0.947052, 0.747652),
    ],
    "baseline": [
        (0.941800, 0.741403), (0.934570, 0.732644), (0.929202, 0.731625), (0.925997, 0.730036), (0.929874, 0.736995),
    ],
}  # fmt: skip

# The same on u1 with other similarities; True is for those of users.
OTHERS = {
    "none": {
        ("cosine", True): (1.022922, 0.812763),
        ("pearson", True): (1.020509, 0.811399),
        ("pearson_baseline", True): (1.009758, 0.801478),
        ("cosine", False): (1.049053, 0.827141),
    },
    "mean": {
        ("cosine", True): (0.970313, 0.765384),
        ("pearson", True): (0.964783, 0.754295),
        ("pearson_baseline", True): (0.951377, 0.740499),
        ("cosine", False): (0.954019, 0.748848),
    },
    "zscore": {
        ("cosine", True): (0.968720, 0.761399),
        ("pearson", True): (0.962654, 0.750541),
        ("pearson_baseline", True): (0.949195, 0.736381),
        ("cosine", False): (0.955897, 0.749282),
    },
    "baseline": {
        ("cosine", True): (0.946178, 0.746501),
        ("pearson", True): (0.943917, 0.740876),
        ("pearson_baseline", True): (0.933473, 0.730241),
        ("cosine", False): (0.957828, 0.754034),
    },
}


def figures(model: KNN, data: Interactions, test: pl.DataFrame) -> tuple[float, float]:
    scores = model.fit(data, Run()).score_pairs(
        queries(encode(test["user_id"], data.users)), encode(test["item_id"], data.items)
    )
    assert data.rating is not None
    possible = np.where(np.isneginf(scores), data.rating.mean(dtype=np.float64), scores)
    clipped, truth = np.clip(possible, 1, 5).astype(np.float64), test["rating"].to_numpy()
    return rmse(clipped, truth), mae(clipped, truth)


def fold(shared: Path, n: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    train, test = (read(shared / "ml-100k-folds" / f"u{n}.{part}").frame for part in ("base", "test"))
    return train, test


def numbered(events: pl.DataFrame) -> Interactions:
    """Users and items by number, as the folds are sorted: the order in which Surprise comes upon a pair's raters."""
    users, items = (pl.Series(sorted(set(events[name]), key=int)) for name in ("user_id", "item_id"))
    user, item = encode(events["user_id"], users), encode(events["item_id"], items)
    indptr, rows = order_within(user, None, len(users))
    rating = events["rating"].to_numpy()[rows].astype(np.float32)
    return Interactions(users=users, items=items, indptr=indptr, item=item[rows], rating=rating)


@pytest.mark.shared
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("normalization", SURPRISE)
def test_surprises_figures(normalization: str, n: int, shared: Path) -> None:
    """Equal where of equally similar raters the same are the nearer ones; otherwise to the fourth digit."""
    (train, test), theirs = fold(shared, n), SURPRISE[normalization][n - 1]
    model = KNN(normalization=normalization)
    assert figures(model, numbered(train), test) == pytest.approx(theirs, abs=2e-6)
    assert figures(model, Interactions.of(train), test) == pytest.approx(theirs, abs=3e-4)


@pytest.mark.shared
@pytest.mark.parametrize(("normalization", "measure", "user_based"), [(n, *kind) for n in OTHERS for kind in OTHERS[n]])
def test_surprises_figures_with_other_similarities(
    normalization: str, measure: str, user_based: bool, shared: Path
) -> None:
    """Cosines that are equal are told apart there by the rounding of float64: a few in 100,000."""
    train, test = fold(shared, 1)
    model = KNN(normalization=normalization, similarity=measure, user_based=user_based)
    theirs = OTHERS[normalization][measure, user_based]
    assert figures(model, numbered(train), test) == pytest.approx(theirs, abs=1e-4)
