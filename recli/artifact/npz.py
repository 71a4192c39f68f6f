"""`.npz` without pickle: stored zip members, no time stamps, every declared size checked before it is believed."""

import json
import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import IO, Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

HEADER: Final = "__header__"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip entry can hold: no time at all
_ALIGN: Final = 64
_MEMBERS: Final = 10_000


def write(out: IO[bytes], header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the header and the arrays; the last 64 bytes, the zip comment, are left for the digest.

    Raises:
        ValueError: an array of Python objects.
    """
    text = np.frombuffer(json.dumps(header, ensure_ascii=True, allow_nan=False).encode(), np.uint8)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, array in {HEADER: text, **arrays}.items():
            if array.dtype.hasobject:
                raise ValueError(f"{name} is an array of Python objects")
            _write_array(archive, out.tell(), name, np.asarray(array, order="C"))
        archive.comment = b"0" * 64


def _write_array(archive: zipfile.ZipFile, offset: int, name: str, array: NDArray[Any]) -> None:
    info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
    info.external_attr = 0o644 << 16
    large = array.nbytes > 1 << 30
    # Padding, as zipalign does it, so that a reader can use the arrays where they lie.
    padding = -(offset + 30 + len(info.filename) + (20 if large else 0) + 4) % _ALIGN
    info.extra = struct.pack("<HH", 0xD935, padding) + bytes(padding)
    with archive.open(info, "w", force_zip64=large) as member:
        npy.write_array_header_1_0(member, npy.header_data_from_array_1_0(array))
        member.write(array.reshape(-1).view(np.uint8).data)


def read(data: bytes) -> tuple[Any, dict[str, NDArray[Any]]]:
    """The header and the arrays of a file's bytes, the arrays read-only views into them. Nothing is allocated.

    Raises:
        ValueError: the file is not what `write` writes.
    """
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > _MEMBERS:
                raise ValueError(f"{len(members)} members")
            for info in members:
                name = info.filename.removesuffix(".npy")
                if name in arrays or info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
                    raise ValueError(f"member {info.filename!r} is doubled or compressed")
                arrays[name] = _array(data, info)
        header = json.loads(arrays.pop(HEADER).tobytes())
    except (zipfile.BadZipFile, KeyError, EOFError, struct.error, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"not a model file: {error}") from error
    return header, arrays


def _array(data: bytes, info: zipfile.ZipInfo) -> NDArray[Any]:
    """The array of one member: its declared shape has to fill the member exactly."""
    name_length, extra_length = struct.unpack_from("<HH", data, info.header_offset + 26)
    start = info.header_offset + 30 + name_length + extra_length
    stop = start + info.file_size
    if info.header_offset < 0 or stop > len(data):
        raise ValueError(f"member {info.filename!r} reaches beyond the file")
    head = BytesIO(data[start : min(stop, start + 20_000)])
    if npy.read_magic(head) != (1, 0):
        raise ValueError(f"member {info.filename!r} is not .npy 1.0")
    shape, fortran, dtype = npy.read_array_header_1_0(head)
    count = 1
    for length in shape:
        count *= length
    body = start + head.tell()
    if dtype.hasobject or fortran or min(shape, default=0) < 0 or count * dtype.itemsize != stop - body:
        raise ValueError(f"member {info.filename!r} declares {dtype} {shape}, which is not what it holds")
    return np.frombuffer(data, dtype, count, body).reshape(shape)
