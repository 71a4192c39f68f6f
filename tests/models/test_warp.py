"""WARP against the same steps in plain Python, and that it learns."""

from math import floor, log, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recli.errors import Exit, RecliError
from recli.kernels import strata
from recli.model import Run
from recli.models.factor.warp import WARP
from tests.checks import tiny

MASK = (1 << 64) - 1


def splitmix(state: int) -> int:
    """The number of a state of the counter (Steele, Lea & Flood 2014)."""
    z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    return ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK


class Plain:
    """LightFM's steps, one number after the other."""

    def __init__(self, model: WARP, events: csr_matrix, seed: int) -> None:
        self.model, self.events, self.rng = model, events, np.random.default_rng(seed)
        width = model.embedding_size
        self.rows = [(self.rng.random((n, width), np.float32) - np.float32(0.5)) / width for n in events.shape]
        self.rows = [rows.astype(np.float64) for rows in self.rows]
        self.bias = np.zeros(events.shape[1])
        self.squares = [np.ones_like(rows) for rows in self.rows]
        self.bias_squares = np.ones_like(self.bias)

    def epoch(self) -> None:
        dealt = self.rng.permutation(self.events.shape[1]).astype(np.int32)
        seed = int(self.rng.integers(2**62))

        def meet(pairs: NDArray[np.int32], places: slice, state: np.uint64) -> float:
            number, block = int(state), dealt[places]
            for u, place in pairs.tolist():
                number = self.pull(u, int(dealt[place]), block, number)
            return 0.0

        strata.epoch(self.events, strata.user_blocks(self.events), dealt, seed, meet)

    def score(self, u: int, i: int) -> float:
        return float(self.rows[0][u] @ self.rows[1][i] + self.bias[i])

    def pull(self, u: int, i: int, block: NDArray[np.int32], state: int) -> int:
        mine, items = set(self.events[u].indices.tolist()), self.events.shape[1]
        before = self.score(u, i)
        for sampled in range(1, self.model.max_sampled + 1):
            state = (state + 0x9E3779B97F4A7C15) & MASK
            j = int(block[(splitmix(state) >> 32) * len(block) >> 32])
            if j not in mine and self.score(u, j) > before - 1:
                self.step(u, i, j, log(max(1, floor((items - 1) / sampled))))
                break
        return state

    def step(self, u: int, i: int, j: int, loss: float) -> None:
        (users, items), reg = self.rows, self.model.reg_weight
        gradients = [
            (users[u], self.squares[0][u], loss * (items[j] - items[i]) + reg * users[u]),
            (items[i], self.squares[1][i], -loss * users[u] + reg * items[i]),
            (items[j], self.squares[1][j], loss * users[u] + reg * items[j]),
        ]
        for row, squares, gradient in gradients:
            squares += gradient**2
            row -= self.model.learning_rate * gradient / np.sqrt(squares)
        for item, gradient in ((i, -loss), (j, loss)):
            self.bias_squares[item] += gradient**2
            self.bias[item] -= self.model.learning_rate * gradient / sqrt(self.bias_squares[item])


@pytest.mark.parametrize(
    "model",
    [WARP(embedding_size=8, epochs=2), WARP(embedding_size=3, epochs=2, max_sampled=3, reg_weight=0.0)],
    ids=str,
)
def test_steps(model: WARP) -> None:
    scorer, plain = model.fit(tiny(), Run(seed=4)), Plain(model, tiny().matrix, 4)
    for _ in range(model.epochs):
        plain.epoch()
    for ours, expected in ((scorer.user, plain.rows[0]), (scorer.item, plain.rows[1]), (scorer.bias, plain.bias)):
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)


def test_what_stands_too_low_becomes_rare() -> None:
    notes: list[str] = []
    run = Run(progress=lambda done, total, note: notes.append(note))
    WARP(embedding_size=8, epochs=30, reg_weight=0.0).fit(tiny(), run)
    found = [float(note.removeprefix("too low ")) for note in notes]
    assert found[0] > 0.9
    assert found[-1] < 0.6


def test_divergence_is_said() -> None:
    with pytest.raises(RecliError, match="infinite or NaN") as caught:
        WARP(learning_rate=1e30).fit(tiny(), Run())
    assert caught.value.code is Exit.DIVERGED
    assert caught.value.hint == "lower learning_rate=1e+30"
