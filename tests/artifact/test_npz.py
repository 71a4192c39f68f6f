"""Hostile `.npz`: whatever a header declares, nothing is unpickled and nothing is allocated for it."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from recli.artifact import npz


def write(arrays: dict[str, np.ndarray]) -> bytes:
    out = io.BytesIO()
    npz.write(out, {"kind": "model"}, arrays)
    return out.getvalue()


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def member(array: np.ndarray, **header: object) -> bytes:
    """An `.npy` whose header may lie."""
    out = io.BytesIO()
    fields = np.lib.format.header_data_from_array_1_0(array) | header
    np.lib.format.write_array_header_1_0(out, fields)
    out.write(array.tobytes())
    return out.getvalue()


HEADER = {"__header__.npy": member(np.frombuffer(b"{}", np.uint8))}


def test_numpy_reads_what_we_write(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(write({"a": np.eye(3, dtype=np.float32)}))
    with np.load(path, allow_pickle=False) as loaded:
        np.testing.assert_array_equal(loaded["a"], np.eye(3))


def test_arrays_lie_aligned_in_the_file() -> None:
    data = write({name: np.arange(n, dtype=np.float64) for name, n in (("a", 1), ("long-name", 5), ("c", 7))})
    base = np.frombuffer(data, np.uint8).ctypes.data
    for array in npz.read(data)[1].values():
        assert (array.ctypes.data - base) % 64 == 0


def test_objects_are_refused_on_both_sides(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="objects"):
        write({"a": np.array([{}])})
    path = tmp_path / "evil.npz"
    np.savez(path, __header__=np.frombuffer(b"{}", np.uint8), a=np.array([print], dtype=object))
    with pytest.raises(ValueError):
        npz.read(path.read_bytes())


@pytest.mark.parametrize(
    "members",
    [
        {"a.npy": member(np.zeros(4), shape=(10**13,))},
        {"a.npy": member(np.zeros(4), shape=(-4,))},
        {"a.npy": member(np.zeros(4), shape=(3,))},
        {"a.npy": member(np.zeros(4), shape=(2, 2), fortran_order=True)},
        {"a.npy": member(np.zeros(4), descr="|O")},
        {"a.npy": member(np.zeros(4))[:-1]},
        {"a.npy": b"\x93NUMPY\x03\x00" + bytes(200)},
        {"a.npy": b"not an array"},
        {"a.npy": b""},
    ],
    ids=["huge", "negative", "short", "fortran", "object", "cut", "version", "text", "empty"],
)
def test_a_lying_member_is_refused(members: dict[str, bytes]) -> None:
    with pytest.raises(ValueError):
        npz.read(zipped(HEADER | members))


def test_a_compressed_member_is_refused() -> None:
    bomb = zipped(HEADER | {"a.npy": member(np.zeros(10**6))}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="compressed"):
        npz.read(bomb)


def test_a_member_beyond_the_file_is_refused() -> None:
    data = bytearray(zipped(HEADER | {"a.npy": member(np.zeros(4))}))
    directory = data.rfind(b"PK\x01\x02")
    struct.pack_into("<I", data, directory + 20, 10**9)  # compressed size
    struct.pack_into("<I", data, directory + 24, 10**9)  # size
    with pytest.raises(ValueError):
        npz.read(bytes(data))


def test_no_header_is_refused() -> None:
    with pytest.raises(ValueError):
        npz.read(zipped({"a.npy": member(np.zeros(4))}))
