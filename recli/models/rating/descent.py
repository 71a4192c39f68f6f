"""What the models that go down the gradient of the squared error share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recli.errors import Exit, RecliError

if TYPE_CHECKING:
    from recli.model import Run
    from recli.scorers import Floats


def first_rows(rng: np.random.Generator, n: int, width: int) -> Floats:
    """Normal numbers of deviation 0.1 (n, width), and zeros beside them up to a power of two.

    Registers are that wide, and steps leave the zeros what they are: 100 numbers as 128 take half the time.
    """
    from recli.kernels import aligned

    rows = aligned(n, max(16, 1 << (width - 1).bit_length()))
    rows[:, :width] = rng.normal(0, 0.1, (n, width))
    return rows


def end_epoch(run: Run, epoch: int, epochs: int, squared: float, hint: str) -> None:
    """Tell of the mean ``squared`` error in an epoch.

    Raises:
        RecliError: it is infinite or NaN (exit 6); ``hint`` says what to change.
    """
    if not np.isfinite(squared):
        raise RecliError(Exit.DIVERGED, f"the rows became infinite or NaN in epoch {epoch}", hint=hint)
    run.progress(epoch + 1, epochs, f"rmse {np.sqrt(squared):.4f}")


def learned(rows: Floats, width: int, hint: str) -> Floats:
    """The rows (n, width) without the zeros beside them.

    Raises:
        RecliError: a number is infinite or NaN (exit 6).
    """
    if not np.isfinite(rows).all():
        raise RecliError(Exit.DIVERGED, "the rows became infinite or NaN in the last epoch", hint=hint)
    return np.ascontiguousarray(rows[:, :width])
