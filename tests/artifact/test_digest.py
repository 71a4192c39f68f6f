"""Nothing but the whole, unchanged file is ever read: every truncation and every changed byte is noticed."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recli.artifact import Header, Parent, find, load, save
from recli.artifact.file import Document
from recli.errors import Exit, RecliError

HEADER = Header(
    kind="inter",
    command="convert",
    params={"format": "atomic", "k": 3},
    parents=(Parent(role="source", path="x.inter", sha256="0" * 64),),
    key="abc",
    more={"rows": {"train": [0, 2], "test": [2, 3]}},
)
PAYLOADS = {
    "table.parquet": pl.DataFrame({"user_id": ["a", "b", "007"], "rating": [1.0, 2.5, 3.0]}),
    "model.npz": {
        "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
        "scale": np.array(2.0),
        "none": np.zeros((0, 3)),
    },
    "metrics.json": Document(metrics={"ndcg@10": {"value": 0.25}}),
}


@pytest.fixture(params=sorted(PAYLOADS))
def artifact(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    save(path, HEADER, PAYLOADS[request.param])
    return path


def test_what_is_saved_is_loaded(artifact: Path) -> None:
    loaded = load(artifact)
    assert loaded.header == HEADER
    expected = PAYLOADS[artifact.name]
    if isinstance(expected, pl.DataFrame):
        assert loaded.frame().equals(expected)
        assert loaded.frame("test").equals(expected[2:])
    elif isinstance(expected, Document):
        assert loaded.document == expected
    else:
        assert loaded.arrays.keys() == expected.keys()
        for name, array in expected.items():
            assert loaded.arrays[name].dtype == array.dtype
            np.testing.assert_array_equal(loaded.arrays[name], array, strict=True)
            assert not loaded.arrays[name].flags.writeable


def test_the_same_content_gives_the_same_bytes(artifact: Path, tmp_path: Path) -> None:
    again = tmp_path / f"again-{artifact.name}"
    save(again, HEADER, PAYLOADS[artifact.name])
    assert again.read_bytes() == artifact.read_bytes()


def test_every_truncation_is_noticed(artifact: Path) -> None:
    data = artifact.read_bytes()
    for length in range(len(data)):
        artifact.write_bytes(data[:length])
        with pytest.raises(RecliError) as error:
            load(artifact)
        assert error.value.code is Exit.DATA, length


def test_every_changed_byte_is_noticed(artifact: Path) -> None:
    data = bytearray(artifact.read_bytes())
    for position in range(len(data)):
        for flip in (0x01, 0x80, 0xFF):
            data[position] ^= flip
            artifact.write_bytes(data)
            data[position] ^= flip
            with pytest.raises(RecliError) as error:
                load(artifact)
            assert error.value.code is Exit.DATA, position


def test_what_is_appended_is_noticed(artifact: Path) -> None:
    with artifact.open("ab") as file:
        file.write(b"\n")
    with pytest.raises(RecliError):
        load(artifact)


def test_a_file_of_another_program_is_none_of_ours(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.parquet"
    PAYLOADS["table.parquet"].write_parquet(foreign)
    assert find(foreign) is None
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"header": {"digest": "x"}}))
    assert find(other) is None
    np.savez(tmp_path / "other.npz", a=np.arange(3))
    assert find(tmp_path / "other.npz") is None


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "new.json"
    save(path, Header(kind="metrics", command="evaluate", more={}), Document())
    from recli.artifact import file, header

    newer = Header(kind="metrics", command="evaluate", format=header.FORMAT + 1, recli="9.0")
    with pytest.raises(RecliError, match=r"9\.0"):
        file.save(path, newer, Document())
    assert load(path).header.format == header.FORMAT  # and the old file is still there


def test_a_missing_file_offers_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "ratings.npz").write_bytes(b"")
    with pytest.raises(RecliError) as error:
        load(tmp_path / "rating.npz")
    assert error.value.code is Exit.IO
    assert "ratings.npz" in (error.value.hint or "")
