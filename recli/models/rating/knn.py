"""Nearest neighbours: a mean of what similar users say of an item, or of what a user says of similar items."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from recli.memory import reserve
from recli.model import param
from recli.models.rating.baseline import Baseline
from recli.models.rating.ratings import ratings_of
from recli.scorers import shaped

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from recli.interactions import Interactions, Queries
    from recli.model import Run
    from recli.scorers import Floats, Ints

    Doubles = NDArray[np.float64]

PEAK: Final = 2.5  # matrices at once, from the first to the file that is written
NOISE: Final = 1e-9  # a deviation so small is none
SIMILARITIES: Final = ("msd", "cosine", "pearson", "pearson_baseline")


@dataclass(frozen=True, kw_only=True)
class Neighbors:
    """The level of a pair, plus a mean over the nearest who rated, weighted by similarity.

    ``ratings`` are the training ratings, normalised; ``user`` and ``item`` add up to the level, with ``mean``. Of whom
    nothing is known, user or item, the level cannot be told either (-inf), but for the normalization ``baseline``,
    where they have a bias of 0. Fewer than ``min_k`` neighbours are none: what is left is the level, and with the
    normalization ``none`` nothing. A replaced history changes nothing.
    """

    ratings: csr_matrix = shaped("users items")
    user: Floats = shaped("users")
    item: Floats = shaped("items")
    mean: float
    normalization: str
    k: int
    min_k: int

    def score(self, queries: Queries) -> Floats:
        """Each user with each item."""
        n, n_items = len(queries), len(self.item)
        users, items = np.repeat(queries.user, n_items), np.tile(np.arange(n_items, dtype=np.int32), n)
        return self._pairs(users, items).reshape(n, n_items)

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """A mean and two levels."""
        return self._pairs(queries.user, items)

    def _pairs(self, users: Ints, items: Ints) -> Floats:
        """Users and items may be -1."""
        level = np.float32(self.mean) + self._level(self.user, users) + self._level(self.item, items)
        return self.above(users, items) + level

    def _level(self, values: Floats, codes: Ints) -> Floats:
        """The values of users, or of items, at ``codes``; what a stranger has is put last."""
        stranger = np.float32(0 if self.normalization == "baseline" else -np.inf)
        return np.append(values, stranger)[codes]

    def above(self, users: Ints, items: Ints) -> Floats:
        """By how much the rating of each pair is above the level (pairs,): who the neighbours are decides."""
        raise NotImplementedError

    def means(self, similarity: Floats, raters: csr_matrix, x: Ints, y: Ints) -> Floats:
        """Of the raters in row ``y`` of ``raters`` those nearest to ``x`` (pairs,)."""
        from recli.kernels import ratingknn

        nothing = -np.inf if self.normalization == "none" else 0.0
        return ratingknn.means(similarity, raters, x, y, self.k, self.min_k, nothing)


@dataclass(frozen=True, kw_only=True)
class UserNeighbors(Neighbors):
    """Neighbours are users; the mean over them is multiplied by the user's ``scale``. The scorer holds all ratings."""

    similarity: Floats = shaped("users users")
    scale: Floats = shaped("users")

    @cached_property
    def by_item(self) -> csr_matrix:
        """Items × users: the ratings by item."""
        return self.ratings.tocsc().T

    def above(self, users: Ints, items: Ints) -> Floats:
        """The nearest of those who have rated the item."""
        return self.means(self.similarity, self.by_item, users, items) * self.scale[users]


@dataclass(frozen=True, kw_only=True)
class ItemNeighbors(Neighbors):
    """Neighbours are items; the mean over them is multiplied by the item's ``scale``. The scorer holds all ratings."""

    similarity: Floats = shaped("items items")
    scale: Floats = shaped("items")

    def above(self, users: Ints, items: Ints) -> Floats:
        """The nearest of those that the user has rated."""
        return self.means(self.similarity, self.ratings, items, users) * self.scale[items]


@dataclass(frozen=True, kw_only=True)
class KNN:
    """A rating is what the k nearest neighbours among the raters say on average, each as much as they are similar.

    Resnick, Iacovou, Suchak, Bergstrom & Riedl 1994, "GroupLens: an open architecture for collaborative filtering of
    netnews" (CSCW), and, with items for users, Sarwar, Karypis, Konstan & Riedl 2001, "Item-based collaborative
    filtering recommendation algorithms" (WWW). With v the k raters of item i most similar to user u, s_uv above 0,

        none      r_ui = sum of s_uv r_vi / sum of s_uv,
        mean      r_ui = m_u + sum of s_uv (r_vi - m_v) / sum of s_uv,
        zscore    r_ui = m_u + d_u sum of s_uv (r_vi - m_v) / d_v / sum of s_uv,
        baseline  r_ui = b_ui + sum of s_uv (r_vi - b_vi) / sum of s_uv,

    m and d the mean and the deviation of a user's ratings (of all, where that is 0), b those of
    `recli.models.rating.baseline` (Koren 2010, eq. 3). Similarities are over the n items that both have rated: msd is
    1 / (1 + the mean squared difference); cosine and pearson are of the ratings; pearson_baseline is the cosine of
    r - b times (n - 1) / (n - 1 + shrink), and 0 for n = 1 (Koren 2010, eq. 2). Without ``user_based`` the same holds
    with users and items exchanged.

    These are Surprise's `KNNBasic`, `KNNWithMeans`, `KNNWithZScore` and `KNNBaseline`, with its defaults: a user who
    has rated the item is a neighbour of their own. But of equally similar raters the nearer is the one with the lower
    code, there the one who comes first in the file. Where a user has rated an item twice, both ratings count.
    """

    normalization: str = param("none", "what is taken off a rating", one_of=("none", "mean", "zscore", "baseline"))
    similarity: str = param("msd", "how two are compared", one_of=SIMILARITIES)
    user_based: bool = param(True, "whether neighbours are users, and not items")
    k: int = param(40, "nearest neighbours that count", least=1)
    min_k: int = param(1, "fewer neighbours than these are none", least=1)
    min_support: int = param(1, "a similarity over fewer ratings is 0", least=1)
    shrink: float = param(100.0, "pearson_baseline: damps similarities over few ratings", least=0)
    solver: str = param("als", "how the biases of the baseline are found", one_of=("als", "sgd"))
    epochs: int = param(0, "of the baseline; 0 is 10 for als and 20 for sgd", least=0)
    reg_u: float = param(15.0, "als: ratings of the mean that are added to each user's", least=0)
    reg_i: float = param(10.0, "als: ratings of the mean that are added to each item's", least=0)
    learning_rate: float = param(0.005, "sgd: size of a step", above=0)
    reg_weight: float = param(0.02, "sgd: regularisation of the biases in each step", least=0)

    def fit(self, data: Interactions, run: Run) -> UserNeighbors | ItemNeighbors:
        """Compare all with all, and normalise the ratings.

        Raises:
            RecliError: there are no ratings (exit 3); the similarities do not fit into memory (exit 5).
        """
        from scipy.sparse import csr_matrix

        shape, values = (data.n_users, data.n_items), ratings_of(data).astype(np.float64)
        own, n = ("users", shape[0]) if self.user_based else ("items", shape[1])
        hint = f"user_based={str(not self.user_based).lower()} compares the others, which may be fewer"
        reserve(PEAK * 4 * n * n, f"the similarities of {n:,} {own}", hint)
        ratings = csr_matrix((values, data.item, data.indptr), shape).tocsc().tocsr()  # which sorts them, stably
        user, item = np.repeat(np.arange(shape[0], dtype=np.int32), np.diff(ratings.indptr)), ratings.indices
        levels: list[Doubles | Floats] = [np.zeros(length) for length in shape]
        rest, mean, scale = ratings.data, 0.0, np.ones(n)
        if "baseline" in (self.normalization, self.similarity.removeprefix("pearson_")):
            biases = self._baseline().fit(data, run)
            rest = ratings.data - (biases.mean + biases.user[user].astype(np.float64) + biases.item[item])
        similarity = self._compare(ratings, rest, run)
        if self.normalization == "baseline":
            mean, levels = biases.mean, [biases.user, biases.item]
        else:
            rest, own_level, scale = self._normalized(ratings.data, user if self.user_based else item, n)
            levels[0 if self.user_based else 1] = own_level
            for level, codes in zip(levels, (user, item), strict=True):
                level[np.bincount(codes, minlength=len(level)) == 0] = -np.inf
        ratings.data = rest.astype(np.float32)
        return (UserNeighbors if self.user_based else ItemNeighbors)(
            ratings=ratings,
            user=levels[0].astype(np.float32),
            item=levels[1].astype(np.float32),
            mean=mean,
            normalization=self.normalization,
            k=self.k,
            min_k=self.min_k,
            similarity=similarity,
            scale=scale.astype(np.float32),
        )

    def _baseline(self) -> Baseline:
        return Baseline(**{field.name: getattr(self, field.name) for field in fields(Baseline)})

    def _compare(self, ratings: csr_matrix, rest: Doubles, run: Run) -> Floats:
        """The similarities; ``rest`` (n,) is what the baseline leaves of the ratings, in their order."""
        from recli.kernels import pairwise, threads

        damped = self.similarity == "pearson_baseline"
        least, shrink = (max(2, self.min_support), self.shrink) if damped else (self.min_support, 0.0)
        compared = ratings.copy()
        compared.data = rest if damped else ratings.data
        with threads(run.threads):
            measure = "cosine" if damped else self.similarity
            return pairwise.compare(compared if self.user_based else compared.tocsc().T, measure, least, shrink)

    def _normalized(self, values: Doubles, of: Ints, n: int) -> tuple[Doubles, Doubles, Doubles]:
        """The ratings normalised, and the level and the scale (n,) of those ``of`` whom they are."""
        if self.normalization == "none":
            return values, np.zeros(n), np.ones(n)
        count = np.maximum(np.bincount(of, minlength=n), 1)
        level = np.bincount(of, values, n) / count
        rest = values - level[of]
        if self.normalization == "mean":
            return rest, level, np.ones(n)
        scale = np.sqrt(np.bincount(of, rest**2, n) / count)
        scale[scale <= NOISE] = values.std() if values.std() > NOISE else 1.0
        return rest / scale[of], level, scale
