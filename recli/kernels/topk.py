"""The k best of every row: of scores that are given, and of products that are made on the way."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recli.kernels import aligned, fixed, kernel, part, spread
from recli.kernels.heap import replace, sort
from recli.kernels.vector import WIDE, above, load, lowest, plus, store, zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Fixed = NDArray[np.void]

BLOCK = 64  # scores compared with the worst of the list at once; a block with none above it is skipped
TILE = 32  # items whose products with a user are two registers of AVX-512
EIGHT = 8  # users whose products with a tile all of its 32 registers hold
PANEL = 1 << 19  # bytes of items that a processor's second cache holds beside the rest
GROUPS = 16  # eights of users that a panel is kept for


def top_k(
    scores: Floats, indptr: Longs, seen: Ints, allowed: NDArray[np.bool_], codes: Ints, best: Floats
) -> NDArray[np.bool_]:
    """Fill ``codes`` and ``best`` (rows, k), all (-1, -inf), with the best of ``scores`` (rows, n), best first.

    ``scores`` is overwritten with -inf at the codes ``seen[indptr[row]:indptr[row + 1]]`` and where ``allowed`` (n,)
    is false (of length 0: everything is allowed). -inf is never listed. Returns which rows are without NaN.
    """
    sound = np.zeros(len(scores), np.bool_)
    spread(partial(_top_k, scores, indptr, seen, allowed, codes, best, sound), len(scores))
    return sound


class Tiles(NamedTuple):
    """The rows of items and their biases, so laid out that a tile of items is multiplied at once."""

    items: Floats  # (tiles × width, TILE): of a tile and a number in the row, the items
    bias: Floats  # (tiles, TILE); -inf where there is no item, or none that may be listed

    @classmethod
    def of(cls, items: Floats, bias: Floats | None, allowed: NDArray[np.bool_]) -> Tiles:
        """From rows (items, width); ``allowed`` as in `top_k`."""
        n, width = items.shape
        tiles = -(-n // TILE)
        laid, added = aligned(tiles * width, TILE), aligned(tiles, TILE)
        whole = n // TILE
        laid.reshape(tiles, width, TILE)[:whole] = items[: whole * TILE].reshape(whole, TILE, width).transpose(0, 2, 1)
        laid.reshape(tiles, width, TILE)[whole:, :, : n % TILE] = items[whole * TILE :].T
        flat = added.reshape(-1)
        flat[:n], flat[n:] = 0 if bias is None else bias, -np.inf
        if len(allowed):
            flat[:n][~allowed] = -np.inf
        return cls(items=laid, bias=added)


def top_k_products(
    users: Floats, tiles: Tiles, indptr: Longs, seen: Ints, codes: Ints, best: Floats
) -> NDArray[np.bool_]:
    """The same as `top_k`, of the products of ``users`` (rows, width) with the items of ``tiles``, and their biases.

    The scores are never written down: a tile of them is compared with the worst of each list while it is in registers.
    A product is summed in the order of the row, so that it depends on nothing but the two rows.
    """
    rows, width = users.shape
    eights = -(-rows // EIGHT)
    filled = np.zeros((eights * EIGHT, width), np.float32)
    filled[:rows] = users
    sound = np.ones(rows, np.bool_)
    given = (filled, *tiles, indptr, seen, codes, best, sound, fixed(TILE), fixed(TILE // 2))
    spread(partial(_top_k_products, *given), eights)
    return sound


@part
def _scan(row: Floats, codes: Ints, best: Floats) -> bool:
    """The best of ``row`` into the heap of ``codes`` and ``best``, all (-1, -inf). False where there is a NaN."""
    worst = best[0]
    for start in range(0, len(row), BLOCK):
        block = row[start : start + BLOCK]
        above = np.int32(0)
        for score in block:
            above += np.int32(not score <= worst)  # NaN counts too
        if above == 0:
            continue
        for at in range(len(block)):
            if not block[at] <= worst:
                if block[at] != block[at]:
                    return False
                replace(codes, best, len(codes), start + at, block[at])
                worst = best[0]
    return True


@kernel
def _top_k(
    scores: Floats,
    indptr: Longs,
    seen: Ints,
    allowed: NDArray[np.bool_],
    codes: Ints,
    best: Floats,
    sound: NDArray[np.bool_],
    start: int,
    stop: int,
) -> None:
    n = scores.shape[1]
    for r in range(start, stop):
        row = scores[r]
        for code in seen[indptr[r] : indptr[r + 1]]:
            if 0 <= code < n:
                row[code] = -np.inf
        for code in range(len(allowed)):
            if not allowed[code]:
                row[code] = -np.inf
        sound[r] = _scan(row, codes[r], best[r])
        sort(codes[r], best[r])


@part
def _multiply(users: Floats, at: int, items: Floats, tile: int, found: Floats, fixed: Fixed, half: Fixed) -> None:
    """``found`` (8, 32): the products of eight users from ``at`` on with the items of a tile."""
    if WIDE:
        _multiply_whole(users, at, items, tile, found, fixed)
    else:
        _multiply_quarters(users, at, items, tile, found, half)


@part
def _multiply_whole(users: Floats, at: int, items: Floats, tile: int, found: Floats, fixed: Fixed) -> None:
    """The same by all of them at once."""
    width = users.shape[1]
    a = b = c = d = e = g = h = i = zeros(fixed)
    for f in range(width):
        item = load(items, tile * width + f, fixed)
        a, b = plus(a, users[at, f], item), plus(b, users[at + 1, f], item)
        c, d = plus(c, users[at + 2, f], item), plus(d, users[at + 3, f], item)
        e, g = plus(e, users[at + 4, f], item), plus(g, users[at + 5, f], item)
        h, i = plus(h, users[at + 6, f], item), plus(i, users[at + 7, f], item)
    store(found, 0, a)
    store(found, 1, b)
    store(found, 2, c)
    store(found, 3, d)
    store(found, 4, e)
    store(found, 5, g)
    store(found, 6, h)
    store(found, 7, i)


@part
def _multiply_quarters(users: Floats, at: int, items: Floats, tile: int, found: Floats, half: Fixed) -> None:
    """The same by four users and half a tile, which is what 16 registers of 8 numbers hold."""
    width = users.shape[1]
    for side in range(2):
        for r in range(0, EIGHT, 4):
            a = b = c = d = zeros(half)
            for f in range(width):
                item = load(items, 2 * (tile * width + f) + side, half)
                a, b = plus(a, users[at + r, f], item), plus(b, users[at + r + 1, f], item)
                c, d = plus(c, users[at + r + 2, f], item), plus(d, users[at + r + 3, f], item)
            store(found, 2 * r + side, a)
            store(found, 2 * r + 2 + side, b)
            store(found, 2 * r + 4 + side, c)
            store(found, 2 * r + 6 + side, d)


@part
def _by_panel(indptr: Longs, seen: Ints, low: int, high: int, span: int, ends: Longs, had: Ints) -> None:
    """What the users from ``low`` to ``high`` have seen, by panels of ``span`` items, counted without comparing.

    ``had`` (n, 2) gets the user's place and the item's in its panel; those of panel p end at ``ends[p]`` (panels,).
    """
    ends[:] = 0
    last = span * len(ends)
    for code in seen[indptr[low] : indptr[high]]:
        if 0 <= code < last:
            ends[code // span] += 1
    total = 0
    for p in range(len(ends)):  # for now where a panel begins
        total, ends[p] = total + ends[p], total
    for r in range(low, high):
        for code in seen[indptr[r] : indptr[r + 1]]:
            if 0 <= code < last:
                p = code // span
                had[ends[p], 0], had[ends[p], 1] = r - low, code - p * span
                ends[p] += 1


@part
def _take(bits: np.uint64, scores: Floats, first: int, codes: Ints, best: Floats) -> bool:
    """Those of a tile's scores whose bit is set into a heap. False where one is NaN."""
    while bits != 0:
        lane = lowest(bits)
        bits &= bits - np.uint64(1)
        score = scores[lane]
        if score != score:
            return False
        if score > best[0]:
            replace(codes, best, len(codes), first + lane, score)
    return True


@kernel
def _top_k_products(
    users: Floats,
    items: Floats,
    bias: Floats,
    indptr: Longs,
    seen: Ints,
    codes: Ints,
    best: Floats,
    sound: NDArray[np.bool_],
    fixed: Fixed,
    half: Fixed,
    start: int,
    stop: int,
) -> None:
    """For the eights of users from ``start`` to ``stop``: some of them at a time, with all panels of the items."""
    rows, tiles, panel = len(codes), len(bias), max(1, PANEL // (4 * TILE * users.shape[1]))
    found, masks = np.empty((EIGHT, TILE), np.float32), np.empty((GROUPS * EIGHT, panel), np.uint64)
    ends = np.empty(-(-tiles // panel), np.int64)
    for group in range(start, stop, GROUPS):
        group_stop = min(group + GROUPS, stop)
        low, high = group * EIGHT, min(group_stop * EIGHT, rows)
        had = np.empty((indptr[high] - indptr[low], 2), np.int32)
        _by_panel(indptr, seen, low, high, panel * TILE, ends, had)
        at = 0
        for p in range(len(ends)):
            masks[: high - low] = 0
            for r, place in had[at : ends[p]]:
                masks[r, place // TILE] |= np.uint64(1) << np.uint64(place % TILE)
            at, first = ends[p], p * panel
            for eight in range(group, group_stop):
                own = eight * EIGHT
                for tile in range(first, min(first + panel, tiles)):
                    _multiply(users, own, items, tile, found, fixed, half)
                    for r in range(own, min(own + EIGHT, rows)):
                        scores = plus(load(found, r - own, fixed), np.float32(1), load(bias, tile, fixed))
                        bits = above(scores, best[r, 0]) & ~masks[r - low, tile - first]
                        if bits != 0:
                            store(found, r - own, scores)
                            if not _take(bits, found[r - own], tile * TILE, codes[r], best[r]):
                                sound[r] = False
        for r in range(low, high):
            sort(codes[r], best[r])
