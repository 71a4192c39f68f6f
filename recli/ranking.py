"""Mask what was seen, take the k best, break ties: the only top-k there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from recli.errors import Exit, RecliError
from recli.memory import reserve
from recli.scorers import Products

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recli.interactions import Queries
    from recli.scorers import Floats, Ints, Longs, Scorer

    Bools = NDArray[np.bool_]

QUERIES = 256  # scored at once, or fewer where that would be more than so many bytes:
BYTES = 24 << 20  # a block that the processor's cache can hold, and that malloc does not give back in between
LEAST = 16  # but so many in any case
MANY = 8192  # where their scores are never written down


def top_k(
    scorer: Scorer,
    queries: Queries,
    k: int,
    *,
    seen: tuple[Longs, Ints] | None = None,
    allowed: Bools | None = None,
    candidates: tuple[Longs, Ints] | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> tuple[Ints, Floats]:
    """The k best items of each query: codes, int32 (queries, k), and scores, float32 (queries, k), best first.

    Of equal scores the lower code comes first. What is not to be listed: the items ``seen = (indptr, items)`` of a
    query, where ``allowed`` (items,) is false, whatever is not among the ``candidates = (indptr, items)`` of a query,
    where there are such, and what the scorer cannot score. A short list ends in (-1, -inf).
    Memory for a block of queries is all that is used beside the result.

    Raises:
        RecliError: a score is NaN (exit 3).
    """
    if k < 1:
        raise RecliError(Exit.USAGE, f"k must be at least 1, not {k}")
    n_items = scorer.score(queries[:0]).shape[1]
    width = min(k, n_items)
    codes, best = np.full((len(queries), width), -1, np.int32), np.full((len(queries), width), -np.inf, np.float32)
    indptr, items = (np.zeros(len(queries) + 1, np.int64), np.empty(0, np.int32)) if seen is None else seen
    mask = np.empty(0, np.bool_) if allowed is None else allowed
    if len(indptr) != len(queries) + 1 or len(mask) not in (0, n_items):
        raise ValueError(f"seen has {len(indptr) - 1} rows and allowed {len(mask)} items")
    if candidates is None and isinstance(scorer, Products):
        size, rank = MANY, _by_products(scorer, queries, mask)
    else:
        size, rank = (
            max(LEAST, min(QUERIES, BYTES // (4 * max(n_items, 1)))),
            _by_scores(scorer, queries, mask, candidates),
        )
    for start in range(0, len(queries), size):
        block = slice(start, start + size)
        sound = rank(block, indptr[start : start + size + 1], items, codes[block], best[block])
        if not sound.all():
            raise RecliError(Exit.DATA, "the model gives NaN for a score", hint="recli check looks into the file")
        progress(min(start + size, len(queries)), len(queries), "users")
    short = ((0, 0), (0, k - width))
    return np.pad(codes, short, constant_values=-1), np.pad(best, short, constant_values=-np.inf)


def _by_scores(
    scorer: Scorer, queries: Queries, allowed: Bools, candidates: tuple[Longs, Ints] | None
) -> Callable[[slice, Longs, Ints, Ints, Floats], Bools]:
    """Lists of a block of queries whose scores are all written down; returns which are without NaN."""
    from recli.kernels import topk

    def rank(block: slice, indptr: Longs, seen: Ints, codes: Ints, best: Floats) -> Bools:
        scores = scorer.score(queries[block])
        if candidates is not None:
            scores = _only(scores, candidates[0][block.start : block.stop + 1], candidates[1])
        return topk.top_k(scores, indptr, seen, allowed, codes, best)

    return rank


def _by_products(
    scorer: Products, queries: Queries, allowed: Bools
) -> Callable[[slice, Longs, Ints, Ints, Floats], Bools]:
    """The same for scores that are products: they are made and compared on the way, and never written down."""
    from recli.kernels import topk

    reserve(scorer.item.nbytes, f"the rows of {len(scorer.item):,} items", "a smaller embedding_size takes less")
    tiles = topk.Tiles.of(scorer.item, scorer.bias, allowed)

    def rank(block: slice, indptr: Longs, seen: Ints, codes: Ints, best: Floats) -> Bools:
        rows, cannot = scorer.rows(queries[block])
        rows[cannot] = 0
        sound = topk.top_k_products(rows, tiles, indptr, seen, codes, best)
        level = scorer.level(queries[block])
        if level is not None:
            best += level[:, np.newaxis]
        codes[cannot], best[cannot] = -1, -np.inf
        return sound

    return rank


def _only(scores: Floats, indptr: Longs, items: Ints) -> Floats:
    """The scores of some items of each row, and -inf for all others."""
    row = np.repeat(np.arange(len(scores)), np.diff(indptr))
    item = items[indptr[0] : indptr[-1]]
    kept = np.full_like(scores, -np.inf)
    kept[row, item] = scores[row, item]
    return kept
