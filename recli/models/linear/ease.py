"""EASE: linear regression of every item on all others, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
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

PEAK = 2.5  # matrices at once, from the first to the file that is written
BLOCK = 16_000  # rows; scipy's Cholesky factorisation crashes somewhere beyond 23,170, where the matrix has 2^31 bytes
PANEL = 2048  # columns of a symmetric product at a time


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
    """The inverse of a symmetric positive definite matrix, in its own memory and half as much again.

    By halves, until LAPACK can be trusted with one: with W = A^-1 B and S = C - B'W,

        [A  B]^-1   [A^-1 + W S^-1 W'  -W S^-1]
        [B' C]    = [   -S^-1 W'          S^-1 ],

    which takes no more steps than the whole by LAPACK, and nearly all of them in products of matrices.
    """
    if len(a) <= block:
        a[:] = _small_inverse(a if a.flags.c_contiguous else a.copy())
        return a
    half = len(a) // 2
    upper, corner, lower = a[:half, :half], a[:half, half:], a[half:, half:]
    inverse(upper, block)
    image = upper @ corner
    _subtract(lower, corner.T, image)
    inverse(lower, block)
    np.matmul(image, lower, out=corner)
    np.negative(corner, out=corner)
    _subtract(upper, corner, image.T)
    a[half:, :half] = corner.T
    return a


def _subtract(a: Floats, left: Floats, right: Floats) -> None:
    """a - left right, known to be symmetric: what is above the diagonal is not computed but copied."""
    for start in range(0, len(a), PANEL):
        span = slice(start, start + PANEL)
        a[start:, span] -= left[start:] @ right[:, span]
    _mirror(a)


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
