"""What fitting yields: frozen dataclasses of arrays and scalars that score queries. No torch.

An array's field says its shape with `shaped`; what is saved to a file or comes from one is held to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from recli.errors import Exit, RecliError
from recli.fields import Coded, Encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from recli.interactions import Queries

    Weights: TypeAlias = Mapping[str, NDArray[Any]]

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]

# Rows of a matrix product are padded to a multiple of this: BLAS takes another route for a single row (a product of a
# matrix and a vector), and a query's score must not depend on what stands beside it.
ROWS = 16
PAIRS = 2048  # whose rows are multiplied at a time, as these stay in the cache


class Scorer(Protocol):
    """Scores every item, or given pairs, for a batch of queries. Higher is better; -inf means "cannot"; never NaN."""

    def score(self, queries: Queries) -> Floats:
        """Scores, float32 (queries, items): a new array that the caller may write into."""
        ...

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """Scores of one item a query, float32 (queries,); the item -1 is one that is not known."""
        ...


@runtime_checkable
class Products(Protocol):
    """A scorer whose score is a row of the query times the item's row, plus the item's bias where there is one."""

    @property
    def item(self) -> Floats:
        """The items' rows (items, width)."""
        ...

    @property
    def bias(self) -> Floats | None:
        """The items' biases (items,)."""
        ...

    def rows(self, queries: Queries) -> tuple[Floats, NDArray[np.bool_]]:
        """The row of each query (queries, width), and which queries cannot be scored."""
        ...

    def level(self, queries: Queries) -> Floats | None:
        """What is added to all scores of a query (queries,), where anything is."""
        ...


def shaped(shape: str, *, default: Any = MISSING, dtype: type[np.generic] = np.float32) -> Any:
    """A field that holds an array of a shape such as ``"items width"``; equal names are equal lengths."""
    return field(default=default, metadata={"shape": tuple(shape.split()), "dtype": np.dtype(dtype)})


def length(name: str) -> Any:
    """A field that holds the length which ``name`` stands for, such as "items", where no array has it."""
    return field(metadata={"length": name})


def dimensions(scorer: Any) -> dict[str, int]:
    """The length that each name of a scorer's `shaped` and `length` fields stands for.

    Raises:
        ValueError: an array is of another type, or does not fit the others.
    """
    lengths: dict[str, int] = {}
    for f in fields(scorer):
        array = getattr(scorer, f.name)
        if "length" in f.metadata:
            lengths[f.metadata["length"]] = array
        if "shape" not in f.metadata or array is None:
            continue
        names, dtype = f.metadata["shape"], f.metadata["dtype"]
        if getattr(array, "dtype", None) != dtype or len(array.shape) != len(names):
            raise ValueError(f"{f.name} must be {dtype} ({', '.join(names)})")
        for name, length in zip(names, array.shape, strict=True):
            if lengths.setdefault(name, length) != length:
                raise ValueError(f"{f.name} has {length} {name}, not {lengths[name]}")
    return lengths


@dataclass(frozen=True, kw_only=True)
class ItemScores:
    """The same scores for everybody: popularity and its like."""

    item: Floats = shaped("items")

    def score(self, queries: Queries) -> Floats:
        """The one row, for each query."""
        return np.tile(self.item, (len(queries), 1))

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """The items' scores."""
        return np.where(items >= 0, self.item[items], np.float32(-np.inf))


@dataclass(frozen=True, kw_only=True)
class ItemWeights:
    """A history times an item-item matrix: score of j = sum of ``weights[i, j]`` over the distinct i of the history.

    ``weights`` is dense or csr. An empty history cannot be scored.
    """

    weights: Floats | csr_matrix = shaped("items items")

    def score(self, queries: Queries) -> Floats:
        """One sum of rows of the matrix a query."""
        from recli.kernels import history

        n_items = self.weights.shape[0]
        past = queries.matrix(n_items)
        scores = np.zeros((len(queries), n_items), np.float32)
        if isinstance(self.weights, np.ndarray):
            history.times_dense(past, self.weights, scores)
        else:
            history.times_sparse(past, self.weights, scores)
        scores[queries.lengths == 0] = -np.inf
        return scores

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """The sum of the entries that a pair needs, and of no others."""
        past = queries.matrix(self.weights.shape[0])
        query = np.repeat(np.arange(len(queries)), np.diff(past.indptr))
        parts = entries(self.weights, past.indices, items[query])
        scores = np.bincount(query, parts, len(queries)).astype(np.float32)
        scores[(queries.lengths == 0) | (items < 0)] = -np.inf
        return scores


def entries(matrix: Floats | csr_matrix, rows: Ints, columns: Ints) -> NDArray[np.float64]:
    """The entries of a dense or csr matrix at places given by row and column; of none, scipy would make a matrix."""
    return np.asarray(matrix[rows, columns] if len(rows) else [], np.float64).reshape(-1)


def unit(matrix: csr_matrix) -> csr_matrix:
    """Its rows, each divided by its length; a row of nothing stays."""
    sizes = np.diff(matrix.indptr)
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    scaled = matrix.copy()
    scaled.data = (matrix.data / np.repeat(np.maximum(lengths, np.finfo(np.float32).tiny), sizes)).astype(np.float32)
    return scaled


@dataclass(frozen=True, kw_only=True)
class Factors:
    """User row times item row, plus the item's bias where there is one.

    A user who is not known, or whose history was replaced, gets the row that `fold` makes of the history. Where it
    makes none, such a user cannot be scored, and a replaced history changes nothing.
    """

    user: Floats = shaped("users width")
    item: Floats = shaped("items width")
    bias: Floats | None = shaped("items", default=None)

    def fold(self, queries: Queries) -> Floats | None:
        """The rows of users with these histories (queries, width); None where that cannot be."""
        return None

    def level(self, queries: Queries) -> Floats | None:
        """Nothing is added to all scores of a query."""
        return None

    def score(self, queries: Queries) -> Floats:
        """One matrix product."""
        rows, cannot = self.rows(queries)
        padded = np.zeros((-(-len(rows) // ROWS) * ROWS, rows.shape[1]), np.float32)
        padded[: len(rows)] = rows
        scores: Floats = (padded @ self.item.T)[: len(rows)]
        if self.bias is not None:
            scores += self.bias
        scores[cannot] = -np.inf
        return scores

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """One dot product a pair."""
        scores = np.empty(len(queries), np.float32)
        for start in range(0, len(queries), PAIRS):
            block = slice(start, start + PAIRS)
            scores[block] = self.pairs(queries[block], items[block])
        return scores

    def pairs(self, queries: Queries, items: Ints) -> Floats:
        """The scores of a block of pairs."""
        rows, cannot = self.rows(queries)
        scores: Floats = np.einsum("qf,qf->q", rows, self.item[items])
        if self.bias is not None:
            scores += self.bias[items]
        scores[cannot | (items < 0)] = -np.inf
        return scores

    def rows(self, queries: Queries) -> tuple[Floats, NDArray[np.bool_]]:
        """The row of each query (queries, width), and which queries have none."""
        rows, unknown = self.user[queries.user], queries.user < 0
        strangers = np.flatnonzero(unknown | queries.replaced)
        folded = self.fold(queries.take(strangers)) if len(strangers) else None
        if folded is None:
            return rows, unknown
        rows[strangers] = folded
        return rows, (unknown | queries.replaced) & (queries.lengths == 0)


@dataclass(frozen=True, kw_only=True)
class Ratings(Factors):
    """The mean rating, plus the bias of the user, plus the item's, plus user row times item row: a rating.

    Who is not known, user or item, has a bias of 0 and a row of zeros, so every pair has a score. A history says what
    was rated but not how, so a replaced one changes nothing.
    """

    mean: float
    user_bias: Floats | None = shaped("users", default=None)

    def level(self, queries: Queries) -> Floats:
        """The mean rating of each query's user, were all items alike."""
        biases = 0 if self.user_bias is None else _or_zero(self.user_bias, queries.user)
        return np.full(len(queries), self.mean, np.float32) + biases

    def rows(self, queries: Queries) -> tuple[Floats, NDArray[np.bool_]]:
        """The users' rows, those of strangers zeros; every query can be scored."""
        return _or_zero(self.user, queries.user), np.zeros(len(queries), np.bool_)

    def score(self, queries: Queries) -> Floats:
        """One matrix product."""
        return super().score(queries) + self.level(queries)[:, np.newaxis]

    def pairs(self, queries: Queries, items: Ints) -> Floats:
        """The scores of a block of pairs; the item may be -1 too."""
        scores: Floats = np.einsum("qf,qf->q", self.rows(queries)[0], _or_zero(self.item, items))
        if self.bias is not None:
            scores += _or_zero(self.bias, items)
        return scores + self.level(queries)


def _or_zero(rows: Floats, codes: Ints) -> Floats:
    """The rows, or numbers, at ``codes``, in a new array; those of -1 are zero."""
    taken: Floats = rows[codes]
    taken[codes < 0] = 0
    return taken


@dataclass(frozen=True, kw_only=True)
class Fielded:
    """What a scorer of fields keeps: ``fields`` and ``learned`` are an `Encoder`, as it packs itself.

    ``user`` and ``item`` are the `Coded` fields of each user and item, by the names of its arrays; the last row is that
    of whoever is not known, so that every pair has a score.
    """

    fields: str
    learned: Weights
    user: Weights
    item: Weights
    n_users: int = length("users")
    n_items: int = length("items")

    @property
    def context(self) -> list[str]:
        """The columns of an event, beside its ids, that fields are made of."""
        return [one["name"] for one in json.loads(self.fields) if one["role"] == "inter"]

    @cached_property
    def encoder(self) -> Encoder:
        """The fields, once it is certain that codes are rows of theirs: the kernels do not look.

        Raises:
            RecliError: they are not (exit 3).
        """
        try:
            encoder = Encoder.unpack(self.learned, self.fields)
            for role, n in (("user", self.n_users), ("item", self.n_items)):
                encoder.check(role, self._coded(role), n + 1)
        except (ValueError, TypeError, KeyError) as error:
            raise RecliError(Exit.DATA, f"is no scorer: {error}") from error
        return encoder

    def _coded(self, role: str) -> Coded:
        return Coded(**(self.user if role == "user" else self.item))

    @contextmanager
    def together(self) -> Iterator[Callable[[], None]]:
        """Inside, threads may score pairs side by side; each calls first what this yields."""
        yield lambda: None

    def parts(self, queries: Queries, items: Ints) -> list[Coded]:
        """The fields of the queries' users, of items, and of the queries' occasions."""
        encoder = self.encoder
        beside = encoder.encode("inter", queries.context, len(queries))
        return [self._coded("user").take(queries.user), self._coded("item").take(items), beside]
