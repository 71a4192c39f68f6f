"""Foreign Parquet: integer ids as text, clocks as seconds, several files as one, damage found."""

import datetime
import io
import random
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recli.errors import Exit, RecliError
from recli.sources import Options, Table, detect, files, read, read_all, read_stream


def from_frame(columns: dict[str, object] | pl.DataFrame, **options: object) -> Table:
    out = io.BytesIO()
    pl.DataFrame(columns).write_parquet(out)
    return read_stream(io.BytesIO(out.getvalue()), Options(format="parquet", **options))


def test_integer_ids_become_text():
    frame = pl.DataFrame(
        {"userId": [7, 2**63 - 1], "item": [255, 0], "rating": [4, 5], "genre": [1, None]},
        schema={"userId": pl.Int64, "item": pl.UInt8, "rating": pl.Int16, "genre": pl.Int32},
    )
    table = from_frame(frame)
    assert table.frame.rows() == [("7", "255", 4.0, "1"), ("9223372036854775807", "0", 5.0, "")]
    assert table.dtypes == {"user_id": "Int64", "item_id": "UInt8", "rating": "Int16", "genre": "Int32"}
    assert table.originals == {"user_id": "userId", "item_id": "item"}
    for column, dtype in table.dtypes.items():
        assert getattr(pl, dtype) == frame.schema[table.originals.get(column, column)]


def test_every_kind_of_column():
    moment = datetime.datetime(2020, 1, 1, 0, 0, 1, 500_000, tzinfo=datetime.UTC)
    table = from_frame(pl.DataFrame({
        "user_id": pl.Series(["007"], dtype=pl.Categorical),
        "item_id": pl.Series(["a"], dtype=pl.Enum(["a", "b"])),
        "timestamp": [moment],
        "label": [True],
        "price": pl.Series([Decimal("1.25")], dtype=pl.Decimal(10, 2)),
        "f": pl.Series([0.5], dtype=pl.Float32),
        "missing": pl.Series([None], dtype=pl.Float64),
        "day": [datetime.date(2020, 1, 2)],
        "ok": [False],
        "tags": [["a", None, "b"]],
        "codes": [[1, 2]],
        "emb": [[1.5, 2.0]],
        "fixed": pl.Series([[1.0, 2.0]], dtype=pl.Array(pl.Float32, 2)),
        "nothing": pl.Series([None], dtype=pl.Null),
        "empty": pl.Series([None], dtype=pl.List(pl.String)),
    }))  # fmt: skip
    assert table.frame.row(0) == (
        "007", "a", moment.timestamp(), 1.0, 1.25, 0.5, None, "2020-01-02", "false", ["a", "b"], ["1", "2"],
        [1.5, 2.0], [1.0, 2.0], "", [],
    )  # fmt: skip
    assert table.types["price"] == table.types["missing"] == "float"
    assert table.types["emb"] == table.types["fixed"] == "float_seq"
    assert table.types["codes"] == "token_seq"
    assert set(table.frame.dtypes) == {pl.String, pl.Float64, pl.List(pl.String), pl.List(pl.Float64)}


def test_clocks_are_seconds_since_1970_in_utc():
    zoned = datetime.datetime(1970, 1, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
    for moment in (zoned, datetime.datetime(1970, 1, 1, 1), datetime.datetime(1969, 12, 31)):
        expected = (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()
        assert from_frame({"user": ["1"], "item": ["2"], "time": [moment]}).frame["timestamp"].to_list() == [expected]
    day = from_frame({"user": ["1"], "item": ["2"], "when": [datetime.date(1970, 1, 2)]}, time_col="when")
    assert day.frame["timestamp"].to_list() == [86400.0]


def test_types_can_be_given():
    table = from_frame(
        {"user": ["1"], "item": ["2"], "n": [3], "p": [4.5], "s": ["a b"]},
        types={"n": "float", "p": "token", "s": "token_seq"},
    )
    assert table.frame.row(0) == ("1", "2", 3.0, "4.5", ["a", "b"])


BAD = {
    "null id": ({"user": [1, None], "item": [1, 2]}, "stdin: row 2: user is blank"),
    "blank id": ({"user": [1, 2], "item": ["a", " "]}, "stdin: row 2: item is blank"),
    "nan": ({"user": [1, 2], "item": [1, 2], "x": [1.0, float("nan")]}, "stdin: row 2: x: 'nan' is not a number"),
    "infinity": ({"user": [1, 2], "item": [1, 2], "x": [1.0, float("inf")]}, "stdin: row 2: x: 'inf' is not a number"),
    "null rating": ({"user": [1, 2], "item": [1, 2], "rating": [1, None]}, "stdin: row 2: rating is empty"),
    "text": ({"user": [1, 2], "item": [1, 2], "rating": ["1", "x"]}, "stdin: row 2: rating: 'x' is not a number"),
    "decimal id": ({"user": [1.0, 2.0], "item": [1, 2]}, "stdin: user is a Float64, not an id"),
    "nested": ({"user": [1], "item": [1], "s": [{"a": 1}]},
               "stdin: column s is a Struct({'a': Int64}), which no column can hold"),
    "bytes": ({"user": [b"1"], "item": [1]}, "stdin: column user is a Binary, which no column can hold"),
    "list id": ({"user": [[1]], "item": [1]}, "stdin: column user holds lists, not single values of type token"),
    "no user": ({"a": [1]}, "stdin: no column user_id"),
    "no rows": (pl.DataFrame(schema={"user": pl.String, "item": pl.String}), "stdin: no rows"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_values_are_named(name):
    columns, message = BAD[name]
    with pytest.raises(RecliError) as caught:
        from_frame(columns)
    assert str(caught.value) == message
    assert caught.value.code == Exit.DATA
    if "row 2" in message:
        table = from_frame(columns, bad_rows="skip")
        assert (table.frame.height, table.skipped) == (1, 1)


def test_several_files(tmp_path, refused):
    folder = tmp_path / "day"
    folder.mkdir()
    for part in range(3):
        pl.DataFrame({"user": [part], "item": ["x"]}).write_parquet(folder / f"part-{part}.parquet")
    for path in (folder, folder / "part-*.parquet"):
        assert detect(path) == "parquet"
        table = read(path)
        assert table.frame["user_id"].to_list() == ["0", "1", "2"]
        assert table.files == files(path)
        assert [file.name for file in table.files] == ["part-0.parquet", "part-1.parquet", "part-2.parquet"]
    pl.DataFrame({"user": ["a"], "item": ["x"]}).write_parquet(folder / "part-3.parquet")
    assert refused(folder) == (
        f"{folder}/part-3.parquet: not the schema of {folder}/part-0.parquet: column user is a String, not a Int64"
    ).removeprefix(f"{tmp_path}/")
    pl.DataFrame({"user": [1]}).write_parquet(folder / "part-3.parquet")
    assert refused(folder).endswith("its columns are user")
    refused(folder / "none-*.parquet", Exit.IO)
    refused(folder / "part-*.csv", Exit.IO)
    (folder / "a.csv").touch()
    refused(folder / "*.csv", Exit.USAGE)


def test_a_folder_of_tables(tmp_path):
    pl.DataFrame({"user": [1], "item": [2]}).write_parquet(tmp_path / "a.inter.parquet")
    pl.DataFrame({"user": [1], "age": [20]}).write_parquet(tmp_path / "a.user.parquet")
    assert [(table.kind, table.frame.width) for table in read_all(tmp_path)] == [("inter", 2), ("user", 2)]


def test_columns_of_one_name(tmp_path, refused):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["user", "user"]), path)
    assert "column user is there twice" in refused(path)


def test_text_that_is_not_utf8(tmp_path, refused):
    path = tmp_path / "a.parquet"
    text = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    pq.write_table(pa.table({"user": text, "item": [1]}), path)
    assert "not a sound Parquet file" in refused(path)


def test_damaged_files_are_read_or_refused(capfd):
    out = io.BytesIO()
    pl.DataFrame({"user": list(range(50)), "item": ["a", "b"] * 25, "rating": [1.5] * 50}).write_parquet(out)
    whole = out.getvalue()
    rng = random.Random(2020)
    for trial in range(300):
        broken = bytearray(whole[: rng.randrange(len(whole))] if trial % 3 == 0 else whole)
        for _ in range(rng.randrange(1, 4) if broken else 0):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        try:
            read_stream(io.BytesIO(bytes(broken)), Options(format="parquet"))
        except RecliError as error:
            assert error.code in (Exit.DATA, Exit.USAGE)
            assert "\n" not in str(error)
    assert capfd.readouterr().err == ""
