"""CSV and TSV: names, quotes, types, and the same strictness as for atomic files."""

import csv
import io

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recli.errors import Exit, RecliError
from recli.sources import Options, Table, quoting, read, read_stream, streams, write
from recli.sources.columns import Column
from recli.sources.delimited import Layout, parse_quickly, read_precisely
from recli.sources.streams import Block


def from_text(text: str, **options: object) -> Table:
    return read_stream(io.BytesIO(text.encode()), Options(**({"format": "csv"} | options)))


@pytest.mark.parametrize("header", [
    "user_id,item_id,rating,timestamp", "userId,movieId,rating,timestamp", "User,Item,score,time", "uid,iid,stars,ts",
    "reviewerID,asin,overall,unixReviewTime", "user-id,product_id,rating,time",
])  # fmt: skip
def test_well_known_names(header):
    table = from_text(f"{header}\n007,NA,4.5,1\n")
    assert table.frame.columns == ["user_id", "item_id", "rating", "timestamp"]
    assert table.frame.rows() == [("007", "NA", 4.5, 1.0)]
    assert [table.originals.get(name, name) for name in table.frame.columns] == header.split(",")


def test_named_columns_win():
    text = "who,what,item,rating,stars\n1,2,3,4,5\n"
    table = from_text(text, user_col="who", item_col="what")
    assert table.frame.columns == ["user_id", "item_id", "item", "rating", "stars"]
    assert table.originals == {"user_id": "who", "item_id": "what"}


def test_types_follow_the_values():
    table = from_text("user,item,n,price,gap,text,mixed,label\n1,2,3,4.5,,a,1.5,1\n1,3,4,5,-.5,b,x,0\n")
    assert table.types == {
        "user_id": "token", "item_id": "token", "n": "token", "price": "float", "gap": "float", "text": "token",
        "mixed": "token", "label": "float",
    }  # fmt: skip
    assert table.frame.row(0) == ("1", "2", "3", 4.5, None, "a", "1.5", 1.0)
    assert table.frame.row(1) == ("1", "3", "4", 5.0, -0.5, "b", "x", 0.0)


def test_types_can_be_given():
    types = {"n": "float", "price": "token", "tags": "token_seq", "v": "float_seq"}
    table = from_text("user,item,n,price,tags,v\n1,2,3,4.50,a|b,1|2\n", types=types, seq_separator="|")
    assert table.frame.row(0) == ("1", "2", 3.0, "4.50", ["a", "b"], [1.0, 2.0])


def test_quotes():
    table = from_text('user,item,title\n1,"a,b","say ""hi"""\r\n2,c,"two\nlines"\r\n3,d,""\n')
    assert table.frame.rows() == [("1", "a,b", 'say "hi"'), ("2", "c", "two\nlines"), ("3", "d", "")]


def test_quoted_header():
    assert from_text('"user","item","a,b"\n1,2,3\n').frame.columns == ["user_id", "item_id", "a,b"]


def test_a_quote_inside_a_field_is_text():
    assert from_text('user,item\n1,5" disk\n').frame.rows() == [("1", '5" disk')]


def test_tsv_has_no_quotes():
    table = from_text('user\titem\n1\t"a\n2\tb"\n', format="tsv")
    assert table.frame.rows() == [("1", '"a'), ("2", 'b"')]


@pytest.mark.parametrize("sep", [";", "|", "\t", "é"])
def test_other_separators(sep):
    assert from_text(f"user{sep}item\n1{sep}2\n", sep=sep).frame.rows() == [("1", "2")]


def test_kind_follows_the_name(put):
    assert read(put("a.user.csv", "user,age\n1,20\n")).kind == "user"
    table = read(put("films.csv", "id,title\n1,x\n"), Options(kind="item", item_col="id"))
    assert (table.kind, table.frame.columns) == ("item", ["item_id", "title"])


BAD_ROWS = {
    "long": ("1,2,3,4,5", "expected 4 fields, found 5"),
    "short": ("1,2,3", "expected 4 fields, found 3"),
    "blank line": ("", "blank line"),
    "blank id": ("1, ,3,4", "item is blank"),
    "text": ("1,2,good,4", "rating: 'good' is not a number"),
    "nan": ("1,2,NaN,4", "rating: 'NaN' is not a number"),
    "empty": ("1,2,,4", "rating is empty"),
    "quote": ('1,"2"x,3,4', "not valid CSV: ',' expected after '\"'"),
    "quoted blank": ('1,"",3,4', "item is blank"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
@pytest.mark.parametrize("before", ["u,i,1,1\n", '"u\nu",i,1,1\n'])
def test_bad_row_is_named(put, refused, name, before):
    row, message = BAD_ROWS[name]
    path = put("a.csv", f"user,item,rating,time\n{before}{row}\nv,j,2,2\n")
    line = 2 + before.count("\n")
    assert refused(path, hint="--bad-rows skip") == f"a.csv:{line}: {message}"
    table = read(path, Options(bad_rows="skip"))
    assert table.frame["item_id"].to_list() == ["i", "j"]
    assert table.skipped == 1


def test_an_open_quote_is_never_skipped(put, refused):
    path = put("a.csv", 'user,item\n1,2\n3,"4\n5,6\n')
    assert refused(path) == "a.csv:3: a quoted field is never closed"
    assert refused(path, bad_rows="skip") == "a.csv:3: a quoted field is never closed"


def test_bad_utf8_is_named(put, refused):
    assert refused(put("a.csv", b"user,item\n1,2\n\xff,3\n")) == "a.csv:3: not valid UTF-8"
    assert refused(put("a.csv", b'user,item\n"1",2\n\xff,3\n')) == "a.csv:3: not valid UTF-8"


@pytest.mark.parametrize(("header", "message", "hint"), [
    ("user,item,user", "column 'user' is there twice", ""),
    (",user,item", "column 1 has no name in the header", ""),
    ("a,b,c", "no column user_id", "the columns are: a, b, c; --user-col NAME"),
    ("user,b,c", "no column item_id", "--item-col NAME"),
    ('"user,item', "the header is not valid CSV: unexpected end of data", ""),
])  # fmt: skip
def test_bad_header(put, refused, header, message, hint):
    assert refused(put("a.csv", f"{header}\n1,2,3\n"), hint=hint) == f"a.csv:1: {message}"


def test_names_that_could_be_either(put, refused):
    path = put("a.csv", "userId,uid,item\n1,2,3\n")
    assert refused(path, Exit.USAGE, "--user-col NAME") == "a.csv:1: userId and uid could each be user_id"
    assert read(path, Options(user_col="uid")).frame.columns == ["userId", "user_id", "item_id"]
    refused(path, Exit.USAGE, "did you mean uid", user_col="uidd")
    refused(put("b.csv", "a,user_id,item\n1,2,3\n"), Exit.USAGE, user_col="a")
    refused(path, Exit.USAGE, "tsv", sep="::", user_col="uid")


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "a.csv: the file is empty: no rows"), (b"user,item\n", "a.csv: no rows")]
)
def test_nothing_to_read(put, refused, content, message):
    assert refused(put("a.csv", content)) == message


def test_blocks_end_anywhere(monkeypatch):
    rows = [(f"u{i}", 'say "x",\nthen' if i % 50 == 49 else f"i{i}") for i in range(300)]
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows([("user", "item"), *rows])
    for size in (7, 64, 1000):
        monkeypatch.setattr(streams, "BLOCK", size)
        assert from_text(out.getvalue()).frame.rows() == rows


CELL = st.one_of(st.sampled_from(["", "1", '"', ",", "\n", "\r", "\r\n", ' "x"', "\ufeff"]), st.text(max_size=4))
CELL = CELL.filter(lambda text: text.isprintable() or text.isascii())


@given(rows=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=5))
@settings(max_examples=300, deadline=None)
def test_reads_what_pythons_csv_writes(rows):
    rows = [(f"u{first}", f"i{second}") for first, second in rows]
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("user", "item"), *rows])
    assert from_text(out.getvalue()).frame.rows() == rows


# Each as it would stand in a file: text, quoted text, and quotes where they do not belong.
RAW = st.one_of(CELL, CELL.map(lambda text: '"' + text.replace('"', '""') + '"'), st.text('",\n\rab', max_size=6))


@given(
    lines=st.lists(st.tuples(RAW, RAW).map(",".join), min_size=1, max_size=5), end=st.sampled_from(["", "\n", "\r\n"])
)
@settings(max_examples=600, deadline=None)
def test_quick_pass_equals_precise_pass(lines, end):
    columns = (Column("a", "a", "token", True), Column("b", "b", "token", False))
    layout = Layout(columns=columns, sep=",", quoted=True)
    text = ((end or "\n").join(lines) + end).encode()
    block = Block(7, text.count(b"\n") + (not text.endswith(b"\n")), text)
    quick = parse_quickly(block, layout, "x")
    if quick is not None:
        (precise,) = read_precisely([block], layout, "x", skip=False)
        assert quick.frame.equals(precise.frame)
        assert [list(lines) for _, lines in quick.spots] == [precise.spots[0][1]]


@given(rows=st.lists(st.tuples(RAW, RAW), min_size=1, max_size=6), size=st.integers(1, 30))
@settings(max_examples=300, deadline=None)
def test_blocks_change_nothing(rows, size):
    text = "user,item\n" + "".join(f"u{first},{second}\n" for first, second in rows)

    def outcome(block: int) -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(streams, "BLOCK", block)
            patch.setattr(quoting, "BLOCK", block)
            try:
                return from_text(text, types={}).frame.rows()
            except RecliError as error:
                return str(error)

    assert outcome(size) == outcome(1 << 24)


@given(rows=st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=5))
@settings(max_examples=300, deadline=None)
def test_round_trip(rows):
    schema = {"user_id": pl.String, "item_id": pl.String, "text": pl.String}
    frame = pl.DataFrame([(f"u{a}", f"i{b}", c) for a, b, c in rows], schema=schema, orient="row")
    types = dict.fromkeys(schema, "token")
    table = Table(kind="inter", frame=frame, types=types, originals={"user_id": "userId"}, dtypes={}, files=())
    out = io.BytesIO()
    write(table, "csv", out)
    assert out.getvalue().startswith(b"userId,item_id,text\n")
    again = read_stream(io.BytesIO(out.getvalue()), Options(format="csv", types={"text": "token"}))
    assert again.frame.equals(frame)


@given(st.binary(max_size=200), st.sampled_from(["csv", "tsv"]), st.sampled_from(["error", "skip"]))
@settings(max_examples=300, deadline=None)
def test_anything_is_read_or_refused(content, format_, bad_rows):
    separator = b"," if format_ == "csv" else b"\t"
    try:
        read_stream(io.BytesIO(b"user" + separator + b"item\n" + content), Options(format=format_, bad_rows=bad_rows))
    except RecliError as error:
        assert error.code == Exit.DATA


@pytest.mark.shared
def test_real_data(shared):
    table = read(shared / "frappe_x1" / "train.csv")
    assert table.frame.height == 202_027
    assert table.originals == {"user_id": "user", "item_id": "item"}
    assert table.types["label"] == "float"
    assert table.types["weather"] == "token"
