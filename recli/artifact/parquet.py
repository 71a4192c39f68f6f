"""Parquet with the header in the key-value metadata, under ``recli``; polars writes and reads the table itself."""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import polars as pl

MAGIC: Final = b"PAR1"
# How Thrift's compact protocol writes the key of a pair, and announces its value.
KEY: Final = b"\x18\x05recli\x18"
_DIGEST: Final = b'{"digest": "'


def write(out: IO[bytes], header: Mapping[str, Any], frame: "pl.DataFrame") -> None:
    """Write the table; the digest's place in the header is left as 64 zeros."""
    text = json.dumps({"digest": "0" * 64, **header}, ensure_ascii=True, allow_nan=False)
    frame.write_parquet(out, metadata={"recli": text}, compression="zstd", compression_level=1)


def locate(data: bytes) -> tuple[int, Any] | None:
    """Where the digest stands in a file's bytes, and the header; None where the file is not one of ours.

    Read without polars, so that looking at a header costs no import. The pairs are the last but one thing in the
    footer, and JSON has no control characters, so the last occurrence of the key is the key.
    """
    if len(data) < 12 or data[:4] != MAGIC or data[-4:] != MAGIC:
        return None
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    found = data.rfind(KEY, max(footer, 0))
    if found < 0:
        return None
    length, start = _varint(data, found + len(KEY))
    text = data[start : start + length]
    try:
        header = json.loads(text)
    except ValueError:
        return None
    if not text.startswith(_DIGEST) or not isinstance(header, dict):
        return None
    return start + len(_DIGEST), header


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number and the position after it."""
    value = shift = 0
    while at < len(data) and shift < 63:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    return value, at


def read(data: bytes, rows: tuple[int, int] | None = None) -> "pl.DataFrame":
    """The table, or the rows from ``rows[0]`` to ``rows[1]`` without reading the others.

    Raises:
        ValueError: polars cannot read it.
    """
    import polars as pl

    try:
        if rows is None:
            return pl.read_parquet(BytesIO(data))
        return pl.scan_parquet(data).slice(rows[0], rows[1] - rows[0]).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise ValueError(str(error).splitlines()[0]) from error
