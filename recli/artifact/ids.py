"""Texts as arrays: their UTF-8, one after the other, and where each begins. What comes from a file is not trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recli.errors import Exit, RecliError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray


def pack_ids(ids: pl.Series) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The UTF-8 of all ids, one after the other, and the n + 1 offsets between them."""
    offsets = np.zeros(len(ids) + 1, np.int64)
    np.cumsum(ids.str.len_bytes().to_numpy(), out=offsets[1:])
    return np.frombuffer((ids.str.join("")[0] or "").encode(), np.uint8), offsets


def unpack_ids(text: NDArray[Any], offsets: NDArray[Any]) -> pl.Series:
    """The ids that `pack_ids` took apart.

    Raises:
        RecliError: the parts are no vocabulary: not UTF-8, not in order, an id twice (exit 3).
    """
    import polars as pl
    import pyarrow as pa

    sound = text.dtype == np.uint8 and offsets.dtype == np.int64 and text.ndim == offsets.ndim == 1
    if not (sound and len(offsets) and offsets[0] == 0 and offsets[-1] == len(text) and (np.diff(offsets) >= 0).all()):
        raise RecliError(Exit.DATA, "is no vocabulary: the offsets do not follow on each other")
    buffers = (pa.py_buffer(np.ascontiguousarray(part)) for part in (offsets, text))
    array = pa.LargeStringArray.from_buffers(len(offsets) - 1, *buffers)
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        raise RecliError(Exit.DATA, f"is no vocabulary: {error}") from error
    ids = pl.Series(pl.from_arrow(array))
    if ids.n_unique() != len(ids):
        raise RecliError(Exit.DATA, "is no vocabulary: an id is there twice")
    return ids
