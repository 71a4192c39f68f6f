"""A matrix of ratings: what is a cell, what is missing, what is an id, and what is refused."""

import gzip
import io

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recli.errors import Exit, RecliError
from recli.sources import Options, read, read_stream, streams

TEXTBOOK = [[5, 3, None, 1], [4, None, None, 1], [1, 1, None, 5], [None, 1, 5, 4]]
RATED = [(f"{u}", f"{i}", r) for u, row in enumerate(TEXTBOOK, 1) for i, r in enumerate(row, 1) if r is not None]


def text(rows, sep=",", missing="", end="\n"):
    """A matrix as somebody might have written it."""
    return end.join(sep.join(missing if cell is None else f"{cell:g}" for cell in row) for row in rows) + end


def rows(path, **options):
    return read(path, Options(format="matrix", **options)).frame.rows()


@pytest.mark.parametrize("missing", ["-1", "0", "99", "NA", "nan", "?", "n.a.", "x"])
@pytest.mark.parametrize("sep", [",", "\t", " ", "  \t ", ", "])
def test_cells_and_what_is_missing(put, sep, missing):
    table = read(put("m.txt", text(TEXTBOOK, sep, missing)), Options(format="matrix", missing=missing))
    assert table.frame.rows() == RATED
    assert table.types == {"user_id": "token", "item_id": "token", "rating": "float"}
    assert table.kind == "inter"


@pytest.mark.parametrize("sep", [",", "\t", ";", "::"])
def test_empty_cells_are_missing(put, sep):
    assert rows(put("m.txt", text(TEXTBOOK, sep, end="\r\n")), sep=None if sep in ",\t" else sep) == RATED


def test_numbers_stand_for_what_is_missing_however_they_are_written(put):
    """As numpy.savetxt writes them."""
    lines = "\n".join(" ".join(f"{-1 if cell is None else cell:.18e}" for cell in row) for row in TEXTBOOK)
    assert rows(put("m.txt", lines), missing="-1") == RATED


def test_the_scale_may_be_any(put):
    assert rows(put("m.csv", "-9.75,0,,.5\n+3,1e1,-1,7.\n")) == [
        ("1", "1", -9.75), ("1", "2", 0), ("1", "4", 0.5), ("2", "1", 3), ("2", "2", 10), ("2", "3", -1), ("2", "4", 7),
    ]  # fmt: skip


@pytest.mark.parametrize("corner", ["", "user", "user_id", "User ID", "userId", '""', "uid"])
def test_the_first_line_and_column_are_ids(put, corner):
    path = put("m.csv", f'{corner},i1,"the, film",007\nann, 5,,3\n"bob, b.",NA,2,\n')
    assert rows(path) == [("ann", "i1", 5), ("ann", "007", 3), ("bob, b.", "the, film", 2)]


def test_ids_of_white_space_need_a_name_in_the_corner(put):
    assert rows(put("m.txt", "user  a b\n 7    1 ?\nu2   2 3\n")) == [("7", "a", 1), ("u2", "a", 2), ("u2", "b", 3)]


@pytest.mark.parametrize("numbers", ["1,2,3", "0,1,2"])
def test_an_empty_corner_beside_a_count_is_a_header(put, numbers):
    found = rows(put("m.csv", f",{numbers}\n8,1,,5\n9,4,2,\n"))
    assert [(user, rating) for user, _, rating in found] == [("8", 1), ("8", 5), ("9", 4), ("9", 2)]
    assert {item for _, item, _ in found} == set(numbers.split(","))


def test_an_empty_corner_beside_another_empty_cell_is_a_rating_that_is_missing(put):
    assert rows(put("m.csv", ",3,\n5,,2\n")) == [("1", "2", 3), ("2", "1", 5), ("2", "3", 2)]


def test_what_could_be_ids_or_ratings_has_to_be_said(put, refused):
    path = put("m.csv", ",3,4\n5,,2\n")
    message = "m.csv:1: numbers beside an empty corner could be ids or ratings"
    assert refused(path, Exit.USAGE, format="matrix", hint="--no-header") == message
    assert rows(path, header=True) == [("5", "4", 2)]
    assert rows(path, header=False) == [("1", "2", 3), ("1", "3", 4), ("2", "1", 5), ("2", "3", 2)]
    assert rows(put("n.csv", "7,3,4\n5,,2\n"), header=True) == [("5", "4", 2)]


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: pa.compress(data, "zstd", asbytes=True)])
def test_compressed_and_with_a_mark(put, pack):
    assert rows(put("m.csv.x", pack(b"\xef\xbb\xbf" + text(TEXTBOOK).encode()))) == RATED


def test_blocks_change_nothing(put, monkeypatch):
    path = put("m.csv", "user,a,b\n" + "".join(f"u{n},{n},{n % 7 or ''}\n" for n in range(500)))
    usual = rows(path)
    monkeypatch.setattr(streams, "BLOCK", 100)
    assert rows(path) == usual and len(usual) == 1000 - 72


@pytest.mark.parametrize(("line", "message", "hint"), [
    ("3,4", "expected 3 cells, found 2", "separated by a comma: --sep"),
    ("3,4,5,1", "expected 3 cells, found 4", "--bad-rows skip"),
    ("3,four,5", "item 2: 'four' is not a number", "--missing"),
    ("3,,inf", "item 3: 'inf' is not a number", "--missing"),
    ("1_0,,2", "item 1: '1_0' is not a number", "--missing"),
    ("٣,,2", "item 1: '٣' is not a number", "--missing"),
    ("3,1e999,2", "item 2: '1e999' is too large", "--missing"),
    ("", "blank line", "--bad-rows skip"),
    ('3,"4,1', "a quoted cell is not closed", "--bad-rows skip"),
    (b"3,\xff,2", "not valid UTF-8", "--bad-rows skip"),
])  # fmt: skip
def test_a_line_that_is_wrong(put, refused, line, message, hint):
    line = line if isinstance(line, bytes) else line.encode()
    path = put("m.csv", b"1,2,3\n" + line + b"\n4,5,6\n")
    assert refused(path, format="matrix", hint=hint) == f"m.csv:2: {message}"
    table = read(path, Options(format="matrix", bad_rows="skip"))
    assert table.skipped == 1
    assert [user for user, item, _ in table.frame.iter_rows() if item == "1"] == ["1", "3"]  # numbered by the line


@pytest.mark.parametrize(("content", "message", "hint"), [
    ("user,a,b,a\nu,1,2,3\n", "m.csv:1: item 'a' is there twice", "--no-header"),
    ("user,a,,b\nu,1,2,3\n", "m.csv:1: the item's id in cell 3 is blank", "--no-header"),
    ("user\nu\n", "m.csv:1: the header names no item", "--sep"),
    ("user,a\nu,1\nv,2\nu,3\n", "m.csv:4: user 'u' is there twice, first at m.csv:2", "skip keeps the first"),
    ("user,a\n,1\n", "m.csv:2: the user's id is blank", "--bad-rows skip"),
    ("\n1,2\n", "m.csv:1: blank line", ""),
    ("", "m.csv: the file is empty: no rows", ""),
    ("user,a\n", "m.csv: no cell holds a rating", "--missing"),
    ("?,NA\n,nan\n", "m.csv: no cell holds a rating", "--missing"),
])  # fmt: skip
def test_a_matrix_that_is_wrong(put, refused, content, message, hint):
    found = refused(put("m.csv", content), format="matrix", hint=hint)
    assert found.replace(str(put("x", "").parent) + "/", "") == message


def test_the_first_of_a_user_stands_where_bad_rows_are_skipped(put):
    assert rows(put("m.csv", "user,a\nu,1\nv,2\nu,3\n"), bad_rows="skip") == [("u", "a", 1), ("v", "a", 2)]


def test_options_that_do_not_fit(put, refused):
    path = put("m.csv", "1,2\n")
    refused(path, Exit.USAGE, format="matrix", user_col="u")
    for option in ({"missing": "-1"}, {"header": True}):
        with pytest.raises(RecliError) as caught:
            Options(format="csv", **option)
        assert caught.value.code is Exit.USAGE and "--format matrix" in str(caught.value.hint)


ratings = st.one_of(st.none(), st.integers(-5, 5).filter(lambda n: n != -1), st.sampled_from([0.5, 3.25, -2.5]))
grids = st.integers(1, 5).flatmap(lambda width: st.lists(st.lists(ratings, min_size=width, max_size=width), min_size=1))


@given(grids, st.sampled_from([",", "\t", " "]), st.booleans())
def test_every_rating_is_in_its_place(grid, sep, named):
    content = text(grid, sep, "-1")
    users = [f"u{n}" if named else str(n) for n in range(1, len(grid) + 1)]
    items = [f"i{n}" if named else str(n) for n in range(1, len(grid[0]) + 1)]
    if named:
        lines = (f"{user}{sep}{line}" for user, line in zip(users, content.splitlines(), strict=True))
        content = "\n".join([sep.join(["user", *items]), *lines])
    expected = [(u, i, r) for u, row in zip(users, grid, strict=True) for i, r in zip(items, row, strict=True)]
    expected = [row for row in expected if row[2] is not None]
    options = Options(format="matrix", missing="-1")
    if expected:
        assert read_stream(io.BytesIO(content.encode()), options).frame.rows() == expected
    else:
        with pytest.raises(RecliError):
            read_stream(io.BytesIO(content.encode()), options)


@given(
    st.one_of(st.binary(max_size=100), st.text('0123456789.-,\t" u\nNA?', max_size=60).map(str.encode)),
    st.sampled_from(["error", "skip"]),
    st.sampled_from([None, "-1", "x"]),
)
@settings(max_examples=400, deadline=None)
def test_anything_is_read_or_refused(content, bad_rows, missing):
    try:
        read_stream(io.BytesIO(content), Options(format="matrix", bad_rows=bad_rows, missing=missing))
    except RecliError as error:
        assert error.code in (Exit.DATA, Exit.USAGE)
        assert error.code is Exit.DATA or "ids or ratings" in error.message
