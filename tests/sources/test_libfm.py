"""LibFM's and LibSVM's lines: what is a user, an item and a column, what is refused, and what comes back as it was."""

import gzip
import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_svmlight_file

from recli.errors import Exit, RecliError
from recli.sources import Options, Table, kind, read, read_stream, streams, write
from recli.sources.delimited import decimal

FRAPPE = """-1 451:1 4149:1 5041:1 5046:1 5053:1 5055:1 5058:1 5060:1 5069:1 5149:1
1 0:1 957:1 5039:1 5049:1 5054:1 5055:1 5058:1 5060:1 5069:1 5149:1
"""
RAGGED = "4.5 1:1 7:1 9:0.5 12:2\n-3 2:1 7:1\n0.25 1:1 8:1 9:0.001\n"


def table(text: str, **options: object) -> Table:
    return read_stream(io.BytesIO(text.encode()), Options(format="libfm", **options))


def again(source: Table) -> str:
    out = io.BytesIO()
    write(source, "libfm", out)
    return out.getvalue().decode()


# What is read


def test_lines_of_one_length_are_columns():
    """Two lines of Frappe as its authors have it."""
    found = table(FRAPPE)
    assert found.frame.columns == ["user_id", "item_id", "rating", *(f"index{place}" for place in range(3, 11))]
    assert found.frame.row(0) == ("451", "4149", -1.0, "5041", "5046", "5053", "5055", "5058", "5060", "5069", "5149")
    assert found.types == {name: "float" if name == "rating" else "token" for name in found.frame.columns}
    assert (found.kind, found.originals) == ("inter", {"user_id": "index1", "item_id": "index2"})


def test_lines_of_several_lengths_have_a_sequence():
    found = table(RAGGED)
    assert found.frame.to_dict(as_series=False) == {
        "user_id": ["1", "2", "1"],
        "item_id": ["7", "7", "8"],
        "rating": [4.5, -3.0, 0.25],
        "indices": [["9", "12"], [], ["9"]],
        "values": [[0.5, 2.0], [], [0.001]],
    }
    assert (found.types["indices"], found.types["values"]) == ("token_seq", "float_seq")
    assert "values" not in table("1 1:1 2:1 3:1\n0 1:1 2:1\n").frame.columns


def test_a_value_other_than_one_has_a_column():
    found = table("1 1:1 2:0.5 3:7\n0 4:1 2:1 3:1\n").frame
    assert found.select("value2", "index3", "value3").rows() == [(0.5, "3", 7.0), (1.0, "3", 1.0)]
    assert "value1" not in found.columns


def test_other_places_may_be_user_and_item():
    found = table(RAGGED.replace("-3 2:1 7:1", "-3 2:1 7:1 5:1"), user_col="index3", item_col="index1")
    assert found.frame["user_id"].to_list() == ["9", "5", "9"] and found.frame["item_id"].to_list() == ["1", "2", "1"]
    assert found.frame["indices"].to_list() == [["7", "12"], ["7"], ["8"]]
    assert found.frame["value3"].to_list() == [0.5, 1.0, 0.001]
    with pytest.raises(RecliError, match="--user-col index3: no such column") as caught:
        table(RAGGED, user_col="index3")
    assert caught.value.code is Exit.USAGE


def test_blanks_zeros_and_ends_of_lines_say_nothing():
    assert table("1\t01:1.0  2:+1e0 \r\n0 3:1 4:.5\r\n").frame.rows() == [("1", "2", 1.0, 1.0), ("3", "4", 0.0, 0.5)]


def test_a_name_says_the_format(put):
    for name in ("a.libfm", "a.svm", "a.libsvm", "a.svmlight", "a.libfm.gz"):
        data = FRAPPE.encode()
        path = put(name, gzip.compress(data) if name.endswith("gz") else data)
        assert read(path).frame.height == 2 and kind(path) == "inter"


def test_blocks_do_not_show(put, monkeypatch):
    text = "".join(f"{n} {n}:1 {n + 1}:1 {'3:1' if n % 2 else ''}\n" for n in range(200))
    whole = read(put("a.libfm", text)).frame
    monkeypatch.setattr(streams, "BLOCK", 64)
    assert read(put("a.libfm", text)).frame.equals(whole)


# What is refused


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "blank line"),
        (" \t", "blank line"),
        ("x 1:1 2:1", "the target 'x' is not a number"),
        ("nan 1:1 2:1", "the target 'nan' is not a number"),
        ("1:1 2:1 3:1", "the target '1:1' is not a number"),
        ("1e999 1:1 2:1", "a number is too large"),
        ("1 1:1 2", "'2' is not index:value, the index a whole number"),
        ("1 1:1 -2:1", "'-2:1' is not index:value"),
        ("1 a:1 2:1", "'a:1' is not index:value"),
        ("1 1.5:1 2:1", "'1.5:1' is not index:value"),
        ("1 qid:3 2:1", "'qid:3' is not index:value"),
        ("1 1:1 2:", "'2:' is not index:value"),
        ("1 1:1 2:3:1", "index 2: '3:1' is not a number"),
        ("1 1:1 2:inf", "index 2: 'inf' is not a number"),
        ("1 1:1 2:1e999", "a number is too large"),
        ("1 1:1 99999999999999999999:1", "'99999999999999999999:1' is not index:value"),
        ("1 1:1", "expected 2 entries or more, the user's and the item's, found 1"),
        ("1", "expected 2 entries or more, the user's and the item's, found 0"),
        (b"1 1:1 2:\xff", "not valid UTF-8"),
    ],
)
def test_the_line_that_is_wrong(put, refused, line, message):
    wrong = line if isinstance(line, bytes) else line.encode()
    path = put("a.libfm", b"1 1:1 2:1\n" + wrong + b"\n0 3:1 4:1\n")
    assert refused(path, hint="--bad-rows skip").startswith(f"a.libfm:2: {message}")
    skipped = read(path, Options(bad_rows="skip"))
    assert (skipped.frame["user_id"].to_list(), skipped.skipped) == (["1", "3"], 1)


def test_nothing_is_left(put, refused):
    assert refused(put("a.libfm", "1\n"), bad_rows="skip") == "a.libfm: no rows: all 1 were left out"
    assert refused(put("b.libfm", "")) == "b.libfm: the file is empty: no rows"
    assert refused(put("c.libfm", b"\xef\xbb\xbf")) == "c.libfm: no rows"


# What is written


def test_real_lines_come_back_byte_by_byte():
    assert again(table(FRAPPE)) == FRAPPE and again(table(RAGGED)) == RAGGED


numbers = st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0)
entries = st.lists(
    st.tuples(st.integers(0, 30) | st.integers(0, 10**17), st.just(1.0) | numbers), min_size=2, max_size=5
)
lines = st.lists(st.tuples(numbers, entries), min_size=1, max_size=6)


def spelled(number: float) -> str:
    return str(pl.Series([number]).to_frame("x").select(decimal(pl.col("x"))).item())


def text(rows) -> str:
    pairs = [" ".join([spelled(y), *(f"{i}:{spelled(v)}" for i, v in row)]) for y, row in rows]
    return "".join(f"{line}\n" for line in pairs)


@given(lines, st.permutations([1, 2]))
def test_any_lines_come_back(rows, ids):
    """Whatever their lengths and values, and whichever places are the ids."""
    whole = text(rows)
    found = table(whole, user_col=f"index{ids[0]}", item_col=f"index{ids[1]}")
    assert again(found) == whole
    back = table(again(found), user_col=f"index{ids[0]}", item_col=f"index{ids[1]}")
    assert back.frame.equals(found.frame)


@given(
    st.lists(st.tuples(numbers, st.lists(st.tuples(st.integers(0, 9), numbers), min_size=4, max_size=4)), min_size=1)
)
def test_lines_of_one_length_come_back(rows):
    assert again(table(text(rows), user_col="index4", item_col="index2")) == text(rows)


def test_labels_are_the_target_where_there_are_some():
    found = table(FRAPPE)
    frame = found.frame.drop("rating").with_columns(label=pl.Series([0.0, 1.0]), split=pl.lit("train"))
    labelled = Table(kind="inter", frame=frame, types={}, originals=found.originals, dtypes={}, files=())
    assert again(labelled) == FRAPPE.replace("-1", "0", 1)


def other(columns: dict[str, list[object]], **schema: pl.DataType) -> Table:
    return Table(
        kind="inter", frame=pl.DataFrame(columns, schema_overrides=schema), types={}, originals={}, dtypes={}, files=()
    )


def test_any_table_has_an_index_a_token():
    columns = {
        "user_id": ["u", "v", "u"],
        "item_id": ["u", "b", "c"],
        "rating": [5.0, 1.0, 2.5],
        "timestamp": [9.0, 8.0, 7.0],
        "tags": [["x", "y"], [], ["y", "z"]],
        "price": [0.5, None, 0.0],
        "vector": [[1.0, 0.25], [3.0], []],
        "mood": ["", "u", ""],
        "split": ["train", "train", "test"],
    }
    assert again(other(columns)) == (
        "5 1:1 3:1 6:1 7:1 9:0.5 10:1 11:0.25\n"  # u v | u b c | x y z | price | vector, vector | u
        "1 2:1 4:1 10:3 12:1\n"
        "2.5 1:1 5:1 7:1 8:1 9:0\n"
    )


def test_what_is_written_is_what_scikit_learn_reads(sample: Path, tmp_path: Path):
    """One-hot, by hand, of the sample's users and items."""
    source = read(sample)
    path = tmp_path / "sample.svm"
    with path.open("wb") as out:
        write(source, "libfm", out)
    matrix, target = load_svmlight_file(str(path), zero_based=False)
    users, items = (source.frame[name].unique(maintain_order=True).to_list() for name in ("user_id", "item_id"))
    assert matrix.shape == (source.frame.height, len(users) + len(items)) and matrix.nnz == 2 * source.frame.height
    assert np.array_equal(target, source.frame["rating"].to_numpy())
    hot = [(users.index(u), len(users) + items.index(i)) for u, i in source.frame["user_id", "item_id"].rows()]
    assert np.array_equal(matrix.indices.reshape(-1, 2), hot) and (matrix.data == 1).all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user_id": ["u"], "item_id": ["i"]}, "no label and no rating"),
        ({"user_id": ["u"], "item_id": ["i"], "rating": [None]}, "column rating has an empty number"),
        ({"user_id": ["u"], "item_id": ["i"], "rating": [1.0], "x": [float("inf")]}, "column x has .*infinity"),
    ],
)
def test_what_cannot_be_written(columns, message):
    with pytest.raises(RecliError, match=message) as caught:
        again(other(columns, **({"rating": pl.Float64()} if "rating" in columns else {})))
    assert caught.value.code is Exit.DATA


def test_the_parts_of_a_split_share_their_indices(recli, put):
    rows = [("train", "u", "i", 5), ("train", "v", "j", 1), ("test", "v", "i", 3), ("test", "w", "k", 2)]
    for part in ("train", "test"):
        lines = "".join(f"{u}\t{i}\t{r}\n" for name, u, i, r in rows if name == part)
        put(f"{part}.inter", f"user_id:token\titem_id:token\trating:float\n{lines}")
    recli("split", "--strategy", "given", "--train", "train.inter", "--test", "test.inter", "-o", "s.split.parquet")
    made = recli("convert", "s.split.parquet", "--to", "libfm", "-o", "{name}.{part}.libfm")
    assert (made.returncode, made.stdout) == (0, "s.train.libfm\ns.test.libfm\n"), made.stderr
    assert put("x", "").with_name("s.train.libfm").read_text() == "5 1:1 4:1\n1 2:1 5:1\n"
    assert put("x", "").with_name("s.test.libfm").read_text() == "3 2:1 4:1\n2 3:1 6:1\n"
    recli("convert", "s.split.parquet", "--to", "csv", "-o", "{part}.csv")
    assert put("x", "").with_name("test.csv").read_text() == "user_id,item_id,rating\nv,i,3\nw,k,2\n"
    wrong = recli("convert", "train.inter", "--to", "csv", "-o", "{part}.csv")
    assert wrong.returncode == 2 and "train.inter: is no split, and -o has {part}" in wrong.stderr


def test_the_command_goes_there_and_back(recli, put):
    put("frappe.train.libfm", FRAPPE)
    assert recli("convert", "frappe.train.libfm").stdout == "frappe.train.inter.parquet\n"
    assert recli("convert", "frappe.train.inter.parquet", "--to", "libfm", "-o", "-").stdout == FRAPPE
    made = recli("convert", "frappe.train.inter.parquet", "--to", "libfm", "-o", "again.libfm")
    assert (made.returncode, made.stdout) == (0, "again.libfm\n")
    labelled = recli("split", "frappe.train.libfm", "--strategy", "ratio", "--threshold", "rating=1", "-o", "s.parquet")
    assert "label: 1 in 1 of 2 rows" in labelled.stderr
    wrong = recli("convert", "-", "--format", "libfm", input="1 1:1\n")
    assert wrong.returncode == 3 and "error: stdin:1: expected 2 entries" in wrong.stderr
