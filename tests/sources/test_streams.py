"""Compression, stdin, and what the system refuses."""

import gzip
import io
import os
import threading

import pyarrow as pa
import pytest

from recli.errors import Exit, RecliError
from recli.sources import Options, detect, files, name_of, read, read_stream, streams

TEXT = b"user_id:token\titem_id:token\n" + b"".join(b"u%d\ti%d\n" % (i, i) for i in range(5000))


def zstd(data: bytes) -> bytes:
    return pa.compress(data, codec="zstd", asbytes=True)


CODECS = {".gz": gzip.compress, ".zst": zstd}


@pytest.mark.parametrize("suffix", CODECS)
def test_members_are_read_to_the_last(put, suffix):
    compress = CODECS[suffix]
    half = TEXT.index(b"\n", len(TEXT) // 2) - 3  # in the middle of a line
    for content in (compress(TEXT), compress(TEXT[:half]) + compress(TEXT[half:])):
        path = put(f"a.inter{suffix}", content)
        assert (detect(path), name_of(path)) == ("atomic", "a")
        table = read(path)
        assert (table.frame.height, table.files) == (5000, (path,))
        assert read_stream(io.BytesIO(content), Options(format="atomic")).frame.equals(table.frame)
    assert read(put("named.inter", compress(TEXT))).frame.height == 5000  # the bytes tell, not the name


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("damage", ["cut", "cut in second", "flip", "garbage"])
def test_damage_is_refused(put, refused, suffix, damage):
    whole = CODECS[suffix](TEXT)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    content = {
        "cut": whole[:-5], "cut in second": whole + whole[:-5], "flip": bytes(flipped), "garbage": whole + b"garbage",
    }[damage]  # fmt: skip
    message = refused(put(f"a.inter{suffix}", content))
    # A flipped bit may spoil the text itself before the checksum at the end can be seen.
    assert "damaged" in message or damage == "flip"


def test_a_bomb_without_a_newline_ends(put, refused, monkeypatch):
    monkeypatch.setattr(streams, "MAX_LINE", 1 << 20)
    monkeypatch.setattr(streams, "BLOCK", 1 << 18)
    assert "longer than 1 MiB" in refused(put("a.x.gz", gzip.compress(b"a:token\n" + b"x" * (1 << 24))))


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd])
def test_a_pipe_that_cannot_seek(compress):
    reader, writer = os.pipe()

    def feed() -> None:
        with os.fdopen(writer, "wb") as out:
            out.write(compress(TEXT))

    thread = threading.Thread(target=feed)
    thread.start()
    with os.fdopen(reader, "rb", buffering=0) as stream:
        table = read_stream(stream, Options(format="atomic"))
    thread.join()
    assert (table.frame.height, table.files, table.kind) == (5000, (), "inter")


def test_stdin_needs_a_format():
    for format_ in (None, "movielens"):
        with pytest.raises(RecliError) as caught:
            read_stream(io.BytesIO(TEXT), Options(format=format_))
        assert caught.value.code == Exit.USAGE
    with pytest.raises(RecliError, match=r"^stdin:3: expected 2 fields, found 1$"):
        read_stream(io.BytesIO(b"user,item\n1,2\n3\n"), Options(format="csv"))
    with pytest.raises(RecliError, match=r"^stdin: the file is empty: no rows$"):
        read_stream(io.BytesIO(b""), Options(format="csv"))


def test_no_such_file(put, refused, tmp_path):
    put("ml-100k.inter", TEXT)
    assert refused(tmp_path / "ml-100k.intr", Exit.IO, "ml-100k.inter?") == "ml-100k.intr: no such file"
    assert refused(tmp_path / "else.csv", Exit.IO, format="csv") == "else.csv: no such file"
    assert refused(tmp_path / "no" / "a.csv", Exit.IO) == "a.csv: no such file"
    with pytest.raises(RecliError, match="no such file"):
        files(tmp_path / "else.csv", Options(format="csv"))
    assert refused(tmp_path / "none.zip", Exit.IO) == "none.zip: no such file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission_for_others(put, refused):
    path = put("a.inter", TEXT)
    path.chmod(0)
    assert refused(path, Exit.IO) == "a.inter: cannot be read: Permission denied"


def test_no_permission(put, refused, monkeypatch):
    path = put("a.inter", TEXT)

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", forbidden)
    assert refused(path, Exit.IO) == "a.inter: cannot be read: Permission denied"


def test_a_folder_where_a_file_belongs(tmp_path, refused):
    (tmp_path / "a.csv").mkdir()
    assert refused(tmp_path / "a.csv", Exit.USAGE, format="csv") == "a.csv: a folder is not csv"
