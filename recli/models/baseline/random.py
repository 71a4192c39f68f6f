"""Random lists: the floor of every metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recli.interactions import Interactions, Queries
    from recli.model import Run
    from recli.scorers import Floats, Ints

    Hashes = NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class HashScores:
    """Uniform on [0, 1), a function of the seed, the user and the item alone."""

    seed: int
    n_items: int

    def score(self, queries: Queries) -> Floats:
        """A row a query; all unknown users share one."""
        items = np.arange(self.n_items, dtype=np.uint64)
        return _uniform(_mixed(self._users(queries)[:, np.newaxis] + items))

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """The same numbers, for pairs."""
        return _uniform(_mixed(self._users(queries) + items.astype(np.uint64)))

    def _users(self, queries: Queries) -> Hashes:
        seed = _mixed(np.array([self.seed]).astype(np.uint64))
        return _mixed(seed + queries.user.astype(np.uint64))


def _mixed(z: Hashes) -> Hashes:
    """A pseudo-random number for each number: the output step of splitmix64."""
    z = (z + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z


def _uniform(z: Hashes) -> Floats:
    """The upper 24 bits, as many as a float32 holds."""
    return (z >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)


@dataclass(frozen=True, kw_only=True)
class Random:
    """Every item in a random order of the user's own, the same whenever it is asked for.

    The order is by a hash, splitmix64 of Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators"
    (OOPSLA), Fig. 16, so it depends neither on the batch nor on the library's generator.
    """

    def fit(self, data: Interactions, run: Run) -> HashScores:
        """Nothing to learn."""
        return HashScores(seed=run.seed, n_items=data.n_items)
