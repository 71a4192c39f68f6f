"""EASE: linear regression of every item on all others, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from recli.errors import Exit, RecliError
from recli.memory import reserve
from recli.model import param
from recli.scorers import ItemWeights

if TYPE_CHECKING:
    from recli.interactions import Interactions
    from recli.model import Run
    from recli.scorers import Floats

PEAK = 2.5  # matrices at once, while it is inverted
BLOCK = 16_000  # rows; scipy's Cholesky factorisation crashes somewhere beyond 23,170, where the matrix has 2^31 bytes


@dataclass(frozen=True, kw_only=True)
class EASE:
    """The item-item matrix of least squared error that may not use an item to predict itself.

    Steck 2019, "Embarrassingly shallow autoencoders for sparse data" (WWW), eq. 8: with P = (X'X + reg_weight I)^-1,

        B_ij = -P_ij / P_jj,  B_jj = 0,  score = history × B.

    In float32, as RecBole does.
    """

    reg_weight: float = param(250.0, "regularisation: more pulls all weights towards zero", above=0)

    def fit(self, data: Interactions, run: Run) -> ItemWeights:
        """Count which items go together, and invert."""
        from recli.kernels import history, threads

        n = data.n_items
        reserve(PEAK * 4 * n * n, f"the {n:,} × {n:,} matrix", "--item-kcore leaves rare items out of a split")
        gram = np.zeros((n, n), np.float32)
        with threads(run.threads):
            history.times_sparse(data.matrix.tocsc().T, data.matrix, gram)
        gram[np.diag_indices(n)] += self.reg_weight
        weights = inverse(gram)
        weights /= -weights.diagonal()
        np.fill_diagonal(weights, 0)
        return ItemWeights(weights=weights)


def inverse(a: Floats, block: int = BLOCK) -> Floats:
    """The inverse of a symmetric positive definite matrix, in its own memory and at most as much again."""
    if len(a) <= block:
        a[:] = _small_inverse(a)
        return a
    cuts = np.linspace(0, len(a), max(4, -(-len(a) // block)) + 1).astype(int).tolist()
    spans = [slice(start, stop) for start, stop in pairwise(cuts)]
    for k in spans:  # Sweep one block after the other; of ``a``, what is below the blocks' diagonal counts.
        pivot = _small_inverse(a[k, k].copy())
        column = np.concatenate([a[k, : k.start].T, np.zeros_like(pivot), a[k.stop :, k]])
        swept = column @ pivot
        for i in spans:
            if i != k:
                a[i, : i.stop] -= swept[i] @ column[: i.stop].T
        a[k, : k.start], a[k, k], a[k.stop :, k] = swept[: k.start].T, -pivot, swept[k.stop :]
    np.negative(a, out=a)
    _mirror(a)
    return a


def _small_inverse(a: Floats) -> Floats:
    """The same by LAPACK, which overwrites ``a``."""
    from scipy.linalg import lapack

    factor, failed = lapack.spotrf(a.T, overwrite_a=True, clean=False)
    half, _ = lapack.spotri(factor, overwrite_c=True)
    if failed:
        raise RecliError(Exit.DIVERGED, "the matrix cannot be inverted in float32", hint="raise reg_weight")
    lower: Floats = half.T
    _mirror(lower)
    return lower


def _mirror(a: Floats, block: int = 1024) -> None:
    """Copy the lower half to the upper one."""
    for at in range(0, len(a), block):
        span = slice(at, at + block)
        a[:at, span] = a[span, :at].T
        a[span, span] = np.tril(a[span, span]) + np.tril(a[span, span], -1).T
