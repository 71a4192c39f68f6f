"""Made-up events of MovieLens-20M's shape: 138,493 users × 26,744 items, 20 million distinct pairs, skewed as it is."""

import numba
import numpy as np
import polars as pl

USERS, ITEMS, ROWS = 138_493, 26_744, 20_000_000
LEAST, MEDIAN, MEAN, MOST = 20, 68, 144.4, 9_254  # events of a user in MovieLens-20M; the most popular item has 67,310


def pairs(rows: int = ROWS, seed: int = 2020) -> tuple[np.ndarray, np.ndarray]:
    """Users and items, int64 (rows,), the pairs distinct and sorted by user; fewer rows are fewer users."""
    rng = np.random.default_rng(seed)
    users = max(100, USERS * rows // ROWS)
    # A log-normal above the least, of the original's median and mean.
    scale = np.sqrt(2 * np.log((MEAN - LEAST) / (MEDIAN - LEAST)))
    wanted = np.minimum(LEAST + rng.lognormal(np.log(MEDIAN - LEAST), scale, users), MOST)
    counts = np.diff(np.round(np.append(0, np.cumsum(wanted)) * rows / wanted.sum()).astype(np.int64))
    # Zipf and Mandelbrot's law: a flat head, then a fall.
    weight = 1 / (np.arange(ITEMS) + 250.0) ** 2.1
    edges = np.cumsum(weight / weight.sum())
    places = np.searchsorted(edges, (np.arange(1 << 16) + 0.5) / (1 << 16))  # where to begin to look
    return np.repeat(np.arange(users), counts), _draw(counts, edges, places, rng)


@numba.njit(cache=True)
def _draw(counts: np.ndarray, edges: np.ndarray, places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distinct items for each user, one after the other."""
    items, owner, at = np.empty(counts.sum(), np.int64), np.full(len(edges), -1, np.int64), 0
    for user in range(len(counts)):
        for _ in range(counts[user]):
            while True:
                share = rng.random()
                item = places[int(share * len(places))]
                while item > 0 and edges[item - 1] > share:
                    item -= 1
                while item < len(edges) - 1 and edges[item] < share:
                    item += 1
                if owner[item] != user:
                    break
            owner[item] = user
            items[at] = item
            at += 1
    return items


def events(rows: int = ROWS, seed: int = 2020) -> pl.DataFrame:
    """The pairs, in a random order of time, with ids as text, ratings and timestamps."""
    rng = np.random.default_rng(seed + 1)
    user, item = pairs(rows, seed)
    order = rng.permutation(rows)
    return pl.DataFrame(
        {
            "user_id": pl.Series(user[order] + 1).cast(pl.String),
            "item_id": pl.Series(item[order] + 1).cast(pl.String),
            "rating": rng.integers(1, 11, rows) / 2,
            "timestamp": np.sort(rng.integers(789_652_004, 1_427_784_002, rows)).astype(np.float64),
        }
    )
