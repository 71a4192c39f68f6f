"""Formats without a header: adjacency lists and pairs in time order."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recli.errors import Exit, RecliError
from recli.sources import Options, read, read_stream


def test_adjacency(put):
    path = put("train.txt", "7 1 2\t3\r\n007  9 \n8\n7 1")
    table = read(path, Options(format="adjacency"))
    assert table.frame.rows() == [("7", "1"), ("7", "2"), ("7", "3"), ("007", "9"), ("7", "1")]
    assert table.types == {"user_id": "token", "item_id": "token"}
    commas = read(put("a.txt", "u,1 a,2\n"), Options(format="adjacency", sep=","))
    assert commas.frame.rows() == [("u", "1 a"), ("u", "2")]


@pytest.mark.parametrize(("row", "message"), [
    (b"", "blank line"), (b"  ", "blank line"), (b"1 \xff", "not valid UTF-8"),
    ("1 \u3000 2".encode(), "an id is blank"),
])  # fmt: skip
def test_adjacency_refuses(put, refused, row, message):
    path = put("train.txt", b"1 2\n" + row + b"\n3 4\n")
    assert refused(path, format="adjacency", hint="--bad-rows skip") == f"train.txt:2: {message}"
    table = read(path, Options(format="adjacency", bad_rows="skip"))
    assert (table.frame["user_id"].to_list(), table.skipped) == (["1", "3"], 1)


def test_users_without_items_are_no_rows(put, refused):
    assert refused(put("train.txt", "1\n2\n"), format="adjacency") == "train.txt: no rows"


@pytest.mark.parametrize("text", ["1 a\n2 b\n1 c\n", "1\ta\n2\tb\n1\tc", "1  a\r\n2\tb \r\n1 c\r\n"])
def test_pairs_keep_their_order(put, text):
    table = read(put("log.txt", text), Options(format="pairs"))
    assert table.frame.rows() == [("1", "a", 0.0), ("2", "b", 0.0), ("1", "c", 1.0)]
    assert table.types == {"user_id": "token", "item_id": "token", "position": "float"}


@pytest.mark.parametrize(("row", "message"), [
    ("1 2 3", "expected 2 fields, found 3"), ("1 2 3 4", "expected 2 fields, found 4"),
    ("1", "expected 2 fields, found 1"),
    ("", "blank line"), ("1\t2\t3", "expected 2 fields, found 3"),
])  # fmt: skip
def test_pairs_refuse(put, refused, row, message):
    path = put("log.txt", f"1 2\n{row}\n1 3\n")
    assert refused(path, format="pairs", hint="--format tsv") == f"log.txt:2: {message}"
    table = read(path, Options(format="pairs", bad_rows="skip"))
    assert (table.frame["position"].to_list(), table.skipped) == ([0.0, 1.0], 1)


def test_columns_cannot_be_named_without_a_header(put, refused):
    refused(put("log.txt", "1 2\n"), Exit.USAGE, format="pairs", user_col="u")


@given(
    st.binary(max_size=200),
    st.sampled_from(["adjacency", "pairs", "sessions", "prefix"]),
    st.sampled_from(["error", "skip"]),
)
@settings(max_examples=300, deadline=None)
def test_anything_is_read_or_refused(content, format_, bad_rows):
    try:
        read_stream(io.BytesIO(content), Options(format=format_, bad_rows=bad_rows))
    except RecliError as error:
        assert error.code == Exit.DATA


@pytest.mark.shared
def test_real_data(shared):
    for name, rows in (("train", 810_128), ("test", 217_242)):
        table = read(shared / "gowalla" / f"{name}.txt", Options(format="adjacency"))
        assert table.frame.height == rows
        assert table.frame["user_id"].n_unique() == 29_858
    table = read(shared / "sasrec-ml-1m" / "ml-1m.txt", Options(format="pairs"))
    assert table.frame.height == 999_611
    ranked = read(shared / "ml-1m" / "ml-1m.inter")  # its timestamp is the rank within the user, from 1
    ours = table.frame.group_by("user_id").len()["len"].sort()
    assert ours.equals(ranked.frame.group_by("user_id").len()["len"].sort())
    sessions = read(shared / "yoochoose1_64" / "train_sessions.txt", Options(format="sessions"))
    assert sessions.frame["user_id"].n_unique() == 116_167
    prefixes = read(shared / "yoochoose1_64" / "test_prefix_target.tsv", Options(format="prefix"))
    assert prefixes.frame["user_id"].n_unique() == 55_898
    assert table.frame["position"].sum() == (ranked.frame["timestamp"] - 1).sum()


def test_sessions_and_prefixes_keep_their_order_and_do_not_share_users(put):
    table = read(put("train.txt", "7 1 7\n2\n"), Options(format="sessions"))
    assert table.frame.rows() == [("s1", "7", 0.0), ("s1", "1", 1.0), ("s1", "7", 2.0), ("s2", "2", 0.0)]
    assert table.types == {"user_id": "token", "item_id": "token", "position": "float"}
    table = read(put("test.tsv", "7 1\t7\r\n2\t1\n"), Options(format="prefix"))
    rows = [("p1", "7", 0.0), ("p1", "1", 1.0), ("p1", "7", 2.0), ("p2", "2", 0.0), ("p2", "1", 1.0)]
    assert table.frame.rows() == rows


@pytest.mark.parametrize(("format_", "row", "message"), [
    ("sessions", b"", "blank line"), ("sessions", b"\xff", "not valid UTF-8"), ("prefix", b" ", "blank line"),
    ("prefix", b"1 2", "a prefix, a tab and an item are expected, not 0 tabs"),
    ("prefix", b"1\t2\t3", "a prefix, a tab and an item are expected, not 2 tabs"),
    ("prefix", b"1\t2 3", "a prefix of at least one item and one item after the tab are expected"),
    ("prefix", b"\t3", "a prefix of at least one item and one item after the tab are expected"),
])  # fmt: skip
def test_sessions_refuse(put, refused, format_, row, message):
    path = put("log.txt", b"1\t2\n" + row + b"\n3\t4\n" if format_ == "prefix" else b"1 2\n" + row + b"\n3 4\n")
    assert refused(path, format=format_, hint="--bad-rows skip") == f"log.txt:2: {message}"
    table = read(path, Options(format=format_, bad_rows="skip"))
    assert (table.frame["user_id"].unique().len(), table.skipped) == (2, 1)
