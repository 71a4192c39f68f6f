"""An artifact as a file: sealed with its own sha256 when written, verified when read."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias

from recli.artifact import parquet
from recli.artifact.commit import commit
from recli.artifact.header import Header
from recli.errors import Exit, RecliError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

Payload: TypeAlias = Any  # a polars DataFrame, a mapping of names to numpy arrays, or a `Document`

_JSON: Final = b'{\n "header": {\n  "digest": "'
_ZIP: Final = b"PK\x03\x04"
_ZEROS: Final = b"0" * 64


class Document(dict[str, Any]):
    """A payload that is written as JSON."""


@dataclass(frozen=True)
class Artifact:
    """A verified file: its header, its digest, and the bytes they were read from."""

    path: Path
    header: Header
    digest: str
    data: bytes

    def frame(self, part: str | None = None) -> "pl.DataFrame":
        """The table, or one part of a split, read without the others."""
        rows = None if part is None else self.header.more["rows"][part]
        try:
            return parquet.read(self.data, rows)
        except ValueError as error:
            raise RecliError(Exit.DATA, f"cannot be read: {error}", where=self.path) from error

    @cached_property
    def arrays(self) -> dict[str, "NDArray[Any]"]:
        """The arrays of a model, read-only."""
        from recli.artifact import npz

        try:
            return npz.read(self.data)[1]
        except ValueError as error:
            raise RecliError(Exit.DATA, f"cannot be read: {error}", where=self.path) from error

    @cached_property
    def document(self) -> dict[str, Any]:
        """The JSON document without its header."""
        document: dict[str, Any] = json.loads(self.data)
        document.pop("header")
        return document


def save(target: Path, header: Header, payload: Payload) -> str:
    """Write an artifact atomically and return its digest.

    Raises:
        OSError: it cannot be written; the target is as it was.
    """
    digest = ""

    def write(out: IO[bytes]) -> None:
        nonlocal digest
        _write(out, header.document(), payload)
        digest = _seal(out)

    def check(path: Path) -> None:
        if load(path).digest != digest:
            raise OSError(f"{path}: what was read back is not what was written")

    commit(target, write, check)
    return digest


def _write(out: IO[bytes], header: dict[str, Any], payload: Any) -> None:
    if isinstance(payload, Document):
        out.write(_text({"header": {"digest": "0" * 64, **header}, **payload}).encode())
    elif isinstance(payload, Mapping):
        from recli.artifact import npz

        npz.write(out, header, payload)
    else:
        parquet.write(out, header, payload)


def _text(document: Mapping[str, Any]) -> str:
    """The document as JSON, for people; but a value that holds nothing but columns has a column a line."""
    parts = []
    for name, value in document.items():
        if isinstance(value, Mapping) and value and all(isinstance(column, list) for column in value.values()):
            lines = [f"  {json.dumps(key)}: {json.dumps(column, allow_nan=False)}" for key, column in value.items()]
            text = "{\n" + ",\n".join(lines) + "\n }"
        else:
            text = json.dumps(value, indent=1, allow_nan=False).replace("\n", "\n ")
        parts.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _seal(out: IO[bytes]) -> str:
    """Put the digest of the file, taken with zeros in its place, into that place."""
    out.seek(0)
    data = out.read()
    found = _locate(data)
    assert found is not None and data[found[0] : found[0] + 64] == _ZEROS
    digest = sha256(data).hexdigest()
    out.seek(found[0])
    out.write(digest.encode())
    return digest


def find(path: Path) -> Artifact | None:
    """The artifact at ``path``, verified; None where the file is none of ours.

    Raises:
        RecliError: it cannot be read (exit 4), or it is one of ours and damaged or newer than this version (exit 3).
    """
    data = _read_ours(path)
    found = _locate(data)
    if found is None:
        return None
    offset, document = found
    stated = data[offset : offset + 64]
    view = memoryview(data)
    total = sha256(view[:offset])
    total.update(_ZEROS)
    total.update(view[offset + 64 :])
    if total.hexdigest().encode() != stated:
        message = f"damaged: its content has the sha256 {total.hexdigest()}, its header says {stated.decode('latin-1')}"
        raise RecliError(Exit.DATA, message, where=path, hint="make it again, or copy it again")
    return Artifact(path, Header.of(_header(data) if document is None else document, path), stated.decode(), data)


def load(path: Path) -> Artifact:
    """The artifact at ``path``, verified.

    Raises:
        RecliError: as `find`, and where the file is none of ours (exit 3).
    """
    artifact = find(path)
    if artifact is None:
        raise RecliError(Exit.DATA, "is not an artifact of recli, or is cut short", where=path)
    return artifact


def _read_ours(path: Path) -> bytes:
    """The bytes of a file that looks like one of ours by its ends; none of any other, which may be large.

    Raises:
        RecliError: no such file, with the nearest name in its folder, or not readable (exit 4).
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(_JSON))
            size = file.seek(0, os.SEEK_END)
            if head.startswith(parquet.MAGIC):
                file.seek(max(size - 8, 0))
                file.seek(max(size - 8 - int.from_bytes(file.read(8)[:4], "little"), 0))
                ours = parquet.KEY in file.read()
            else:
                ours = head.startswith((_JSON, _ZIP))
            file.seek(0)
            return file.read() if ours else b""
    except FileNotFoundError:
        from difflib import get_close_matches

        siblings = os.listdir(path.parent) if path.parent.is_dir() else []  # noqa: PTH208 -- names, not paths
        near = get_close_matches(path.name, siblings, n=1)
        hint = f"did you mean {path.parent / near[0]}?" if near else None
        raise RecliError(Exit.IO, "no such file", where=path, hint=hint) from None
    except OSError as error:
        raise RecliError(Exit.IO, os.strerror(error.errno or 5).lower(), where=path) from error


def _locate(data: bytes) -> tuple[int, Any] | None:
    """Where the digest stands, and the header where finding the one meant reading the other."""
    if data.startswith(_JSON):
        return len(_JSON), None
    if data.startswith(_ZIP) and data[-66:-64] == b"\x40\x00":  # a zip whose comment has 64 bytes
        return len(data) - 64, None
    return parquet.locate(data)


def _header(data: bytes) -> Any:
    try:
        if data.startswith(_JSON):
            return json.loads(data)["header"]
        from recli.artifact import npz

        return npz.read(data)[0]
    except (ValueError, KeyError, TypeError):
        return None
