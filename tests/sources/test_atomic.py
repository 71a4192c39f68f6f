"""Atomic files: what is read, what is refused and where, and that the quick and the precise pass agree."""

import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recli.errors import Exit, RecliError
from recli.sources import Options, Table, read, read_all, read_stream, streams, write
from recli.sources.columns import Column
from recli.sources.delimited import Layout, parse_quickly, read_precisely
from recli.sources.streams import Block

INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"


def test_types_and_ids_stay_what_they_are(put):
    path = put("a.inter", INTER + '007\tNA\t4.5\t881250949\n7\tnull\t-3e2\t0\n7.0\t"x\t.5\t1\n1e3\tNaN\t5.\t+2\n')
    table = read(path)
    assert table.kind == "inter"
    assert table.types == {"user_id": "token", "item_id": "token", "rating": "float", "timestamp": "float"}
    assert table.frame.schema == {
        "user_id": pl.String, "item_id": pl.String, "rating": pl.Float64, "timestamp": pl.Float64
    }  # fmt: skip
    assert table.frame["user_id"].to_list() == ["007", "7", "7.0", "1e3"]
    assert table.frame["item_id"].to_list() == ["NA", "null", '"x', "NaN"]
    assert table.frame["rating"].to_list() == [4.5, -300.0, 0.5, 5.0]
    assert (table.originals, table.dtypes, table.skipped, table.files) == ({}, {}, 0, (path,))


@pytest.mark.parametrize("content", [
    b"\xef\xbb\xbfuser_id:token\titem_id:token\n1\t2\n",
    b"user_id:token\titem_id:token\r\n1\t2\r\n",
    b"user_id:token\titem_id:token\n1\t2",
    b"\xef\xbb\xbfuser_id:token\titem_id:token\r\n1\t2",
])  # fmt: skip
def test_byte_order_mark_crlf_and_no_final_newline(put, content):
    assert read(put("a.inter", content)).frame.rows() == [("1", "2")]


def test_sequences_lose_empty_parts(put):
    path = put("a.item", "item_id:token\tclass:token_seq\temb:float_seq\n1\t a  b \t1 -2.5\n2\t\t\n")
    table = read(path)
    assert table.frame["class"].to_list() == [["a", "b"], []]
    assert table.frame["emb"].to_list() == [[1.0, -2.5], []]
    assert table.frame.schema["emb"] == pl.List(pl.Float64)
    other = put("b.item", "item_id:token\tclass:token_seq\n1\ta b|c\n")
    assert read(other, Options(seq_separator="|")).frame["class"].to_list() == [["a b", "c"]]


def test_empty_cells_outside_interactions(put):
    table = read(put("a.user", "user_id:token\tage:float\tcity:token\n1\t\t\n2\t30\tRome\n"))
    assert table.frame.rows() == [("1", None, ""), ("2", 30.0, "Rome")]


@pytest.mark.parametrize("sep", ["::", ",", "|", ", ", "é"])
def test_other_separators(put, sep):
    path = put("a.inter", f"user_id:token{sep}item_id:token{sep}rating:float\n1{sep}a:b{sep}2\n3{sep}c{sep}4\n")
    assert read(path, Options(sep=sep)).frame.rows() == [("1", "a:b", 2.0), ("3", "c", 4.0)]


def test_columns_are_renamed_and_retyped(put):
    path = put("a.inter", "uid:token\tasin:token\tstars:float\tn:token\n1\t2\t3\t4\n")
    options = Options(user_col="uid", item_col="asin", rating_col="stars", types={"n": "float"})
    table = read(path, options)
    assert table.frame.rows() == [("1", "2", 3.0, 4.0)]
    assert table.originals == {"user_id": "uid", "item_id": "asin", "rating": "stars"}
    assert table.types == {"user_id": "token", "item_id": "token", "rating": "float", "n": "float"}
    # a .user file has no item, so that naming one for the whole data set is no mistake there
    assert read(put("a.user", "uid:token\n1\n"), options).frame.columns == ["user_id"]


BAD_ROWS = {
    "long": ("1\t2\t3\t4\t5", "expected 4 fields, found 5"),
    "short": ("1\t2\t3", "expected 4 fields, found 3"),
    "trailing separator": ("1\t2\t3\t4\t", "expected 4 fields, found 5"),
    "another separator": ("1::2::3::4", "expected 4 fields, found 1"),
    "blank line": ("", "blank line"),
    "spaces only": ("   ", "expected 4 fields, found 1"),
    "empty user": ("\t2\t3\t4", "user_id is blank"),
    "blank item": ("1\t \u3000\t3\t4", "item_id is blank"),
    "text": ("1\t2\tgood\t4", "rating: 'good' is not a number"),
    "comma": ("1\t2\t4,5\t4", "rating: '4,5' is not a number"),
    "nan": ("1\t2\tnan\t4", "rating: 'nan' is not a number"),
    "NaN": ("1\t2\tNaN\t4", "rating: 'NaN' is not a number"),
    "infinity": ("1\t2\t3\t-inf", "timestamp: '-inf' is not a number"),
    "overflow": ("1\t2\t1e400\t4", "rating: '1e400' is too large"),
    "underscore": ("1\t2\t1_000\t4", "rating: '1_000' is not a number"),
    "hexadecimal": ("1\t2\t0x1F\t4", "rating: '0x1F' is not a number"),
    "empty rating": ("1\t2\t\t4", "rating is empty"),
    "empty time": ("1\t2\t3\t", "timestamp is empty"),
    "blank time": ("1\t2\t3\t ", "timestamp is empty"),
    "date": ("1\t2\t3\t2020-01-01", "timestamp: '2020-01-01' is not a number"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_bad_row_is_named(put, refused, name, end):
    row, message = BAD_ROWS[name]
    rows = ["u1\ti1\t1\t1", "u2\ti2\t2\t2", row, "u3\ti3\t3\t3", row]
    path = put("a.inter", INTER + end.join(rows) + end)
    assert refused(path, hint="--bad-rows skip leaves such rows out") == f"a.inter:4: {message}"
    table = read(path, Options(bad_rows="skip"))
    assert table.frame["user_id"].to_list() == ["u1", "u2", "u3"]
    assert table.skipped == 2


@pytest.mark.parametrize("row", [b"1\t\xff\t3\t4", b"1\t2\t3\t4\xc3", b"\xed\xa0\x80\t2\t3\t4"])
def test_bad_utf8_is_named(put, refused, row):
    path = put("a.inter", INTER.encode() + "é\t2\t3\t4\n".encode() + row + b"\n")
    assert refused(path) == "a.inter:3: not valid UTF-8"
    assert read(path, Options(bad_rows="skip")).skipped == 1


def test_long_and_short_rows_that_balance(put, refused):
    path = put("a.inter", INTER + "1\t2\t3\t4\t5\n1\t2\t3\n")
    assert refused(path) == "a.inter:2: expected 4 fields, found 5"


def test_short_row_of_tokens_is_not_an_empty_token(put, refused):
    path = put("a.item", "item_id:token\ttitle:token\n1\t\n2\n")
    assert refused(path) == "a.item:3: expected 2 fields, found 1"


def test_blank_line_in_a_table_of_one_column(put, refused):
    assert refused(put("a.user", "user_id:token\n1\n\n2\n")) == "a.user:3: blank line"
    assert refused(put("a.x", "n:float\n1\n\n2\n")) == "a.x:3: blank line"


def test_bad_part_of_a_sequence(put, refused):
    path = put("a.item", "item_id:token\temb:float_seq\n1\t1 2\n2\t1 x\n")
    assert refused(path) == "a.item:3: emb: 'x' is not a number"


def test_blank_ids_of_other_tables(put, refused):
    assert refused(put("a.kg", "head_id:token\trelation_id:token\ttail_id:token\na\t\tb\n")) == (
        "a.kg:2: relation_id is blank"
    )
    assert refused(put("a.link", "item_id:token\tentity_id:token\na\t \n")) == "a.link:2: entity_id is blank"


def test_described_twice(put, refused):
    path = put("a.user", "user_id:token\tage:token\n1\t20\n2\t30\n1\t40\n")
    assert refused(path, hint="keeps the first") == f"a.user:4: user_id '1' is there twice, first at {path}:2"
    table = read(path, Options(bad_rows="skip"))
    assert table.frame.rows() == [("1", "20"), ("2", "30")]
    assert table.skipped == 1


HEADERS = {
    "no type": ("user_id:token\titem_id\n", "header cell 'item_id' is not field:type"),
    "two colons": ("user_id:token\titem_id:token:x\n", "header cell 'item_id:token:x' is not field:type"),
    "other separator": ("user_id:token,item_id:token\n", "header cell 'user_id:token,item_id:token' is not field:type"),
    "unknown type": ("user_id:token\titem_id:tokn\n", "unknown type 'tokn' of field 'item_id'"),
    "no name": ("user_id:token\t:token\n", "column 2 has no name in the header"),
    "missing": ("1\t2\t3\n", "the first line is not a header of field:type"),
    "control": ("user_id:token\titem\x1b_id:token\n", "column 2 is called 'item\\x1b_id': not a name"),
    "twice": ("user_id:token\titem_id:token\tuser_id:float\n", "column 'user_id' is there twice"),
    "no item": ("user_id:token\tx:token\n", "no column item_id"),
    "id of numbers": ("user_id:token\titem_id:float\n", "item_id must be a token, not a float"),
    "rating of text": ("user_id:token\titem_id:token\trating:token\n", "rating must be a float, not a token"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_bad_header(put, refused, name):
    header, message = HEADERS[name]
    assert refused(put("a.inter", header + "1\t2\n")) == f"a.inter:1: {message}"


def test_header_hints(put, refused):
    refused(put("a.inter", "user_id:token\titem_id:tokn\n"), hint="did you mean token")
    refused(put("a.inter", "user_id:token,item_id:token\n"), hint="--sep")
    refused(put("a.inter", "user_id:token\tiid:token\n"), hint="--item-col NAME")
    refused(put("a.inter", "1\t2\n"), hint="--format csv")
    refused(put("a.inter", "user_id:token\tmovie:token\n1\t2\n"), Exit.USAGE, "did you mean movie", item_col="moive")


def test_options_that_do_not_fit(put, refused):
    path = put("a.inter", INTER + "1\t2\t3\t4\n")
    refused(path, Exit.USAGE, item_col="rating")  # an item_id is there already
    refused(path, Exit.USAGE, sep=" ")
    refused(path, Exit.USAGE, types={"user_id": "float"})
    refused(path, Exit.USAGE, types={"rating": "token"})
    for wrong in ({"format": "atomc"}, {"sep": ""}, {"seq_separator": "\n"}, {"types": {"a": "int"}}):
        with pytest.raises(RecliError) as caught:
            Options(**wrong)
        assert caught.value.code == Exit.USAGE
    with pytest.raises(RecliError, match="no column agee"):
        read_all(path, Options(types={"agee": "float"}))


@pytest.mark.parametrize(("content", "message"), [
    (b"", "a.inter: the file is empty: no rows"),
    (INTER.encode(), "a.inter: no rows"),
    ("user_id:token\n".encode("utf-16"), "a.inter: the text is UTF-16, not UTF-8"),
    (b"user_id:token\titem_\xff:token\n", "a.inter:1: the header is not valid UTF-8"),
])  # fmt: skip
def test_nothing_to_read(put, refused, content, message):
    assert refused(put("a.inter", content)) == message


def test_every_row_skipped(put, refused):
    path = put("a.inter", INTER + "1\n2\n")
    assert refused(path, bad_rows="skip") == "a.inter: no rows: all 2 were left out"


def test_any_suffix(put):
    table = read(put("a.ent", "ent_id:token\temb:float_seq\nx\t1 2\n"))
    assert (table.kind, table.frame.rows()) == ("ent", [("x", [1.0, 2.0])])


# ---- blocks: everything above must hold wherever a block happens to end


@pytest.fixture
def tiny_blocks(monkeypatch):
    monkeypatch.setattr(streams, "BLOCK", 50)


def test_line_numbers_across_blocks(put, refused, tiny_blocks):
    rows = [f"u{i}\ti{i}\t{i}\t{i}\n" for i in range(1000)]
    table = read(put("a.inter", INTER + "".join(rows)))
    assert table.frame["user_id"].to_list() == [f"u{i}" for i in range(1000)]
    for at in (0, 499, 999):
        broken = [*rows[:at], "u\ti\tx\t1\n", *rows[at + 1 :]]
        path = put("b.inter", INTER + "".join(broken))
        assert refused(path) == f"b.inter:{at + 2}: rating: 'x' is not a number"
        assert read(path, Options(bad_rows="skip")).frame.height == 999
    duplicated = "user_id:token\n" + "".join(f"user number {i}\n" for i in [*range(500), 7])
    path = put("a.user", duplicated)
    assert refused(path) == f"a.user:502: user_id 'user number 7' is there twice, first at {path}:9"


def test_a_byte_order_mark_is_text_inside_a_file(put, tiny_blocks):
    users = ["\ufeff" + "u" * n for n in range(1, 60)]
    path = put("a.inter", "user_id:token\titem_id:token\n" + "".join(f"{user}\ti\n" for user in users))
    assert read(path).frame["user_id"].to_list() == users


def test_a_line_has_a_limit(put, refused, monkeypatch, tiny_blocks):
    monkeypatch.setattr(streams, "MAX_LINE", 1000)
    assert "longer than" in refused(put("a.inter", INTER + "1\t2\t3\t4\n" + "x" * 5000))


# ---- properties

LAYOUT_TYPES = st.sampled_from(["token", "float", "token_seq", "float_seq"])
CELL = st.one_of(
    st.sampled_from(
        ["", " ", "1", "007", "-2.5", " 3", "3 ", "nan", "inf", "1e400", "1 2", "a  b", '"', "\r", "\ufeff"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\t\n"), max_size=4),
    st.floats().map(repr),
)


@given(
    types=st.lists(LAYOUT_TYPES, min_size=1, max_size=4),
    needed=st.lists(st.booleans(), min_size=4, max_size=4),
    lines=st.lists(st.lists(CELL, min_size=0, max_size=5).map("\t".join), min_size=1, max_size=5),
    regular=st.booleans(),
    end=st.sampled_from(["", "\n", "\r\n"]),
    data=st.data(),
)
@settings(max_examples=400, deadline=None)
def test_quick_pass_equals_precise_pass(types, needed, lines, regular, end, data):
    if regular:
        row = st.lists(CELL, min_size=len(types), max_size=len(types)).map("\t".join)
        lines = data.draw(st.lists(row, min_size=1, max_size=5))
    columns = tuple(Column(f"c{i}", f"c{i}", t, n) for i, (t, n) in enumerate(zip(types, needed, strict=False)))
    text = ((end or "\n").join(lines) + end).encode()
    if not text:
        return
    block = Block(1, text.count(b"\n") + (not text.endswith(b"\n")), text)
    layout = Layout(columns=columns, sep="\t")
    quick = parse_quickly(block, layout, "x")
    if quick is not None:
        (precise,) = read_precisely([block], layout, "x", skip=False)
        assert quick.frame.equals(precise.frame, null_equal=True)
        assert quick.frame.schema == precise.frame.schema
        assert [list(lines) for _, lines in quick.spots] == [precise.spots[0][1]]


ID = st.text(st.characters(codec="utf-8", exclude_characters="\t\n\r"), min_size=1, max_size=8).filter(str.strip)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@given(
    rows=st.lists(st.tuples(ID, ID, NUMBERS, st.lists(NUMBERS, max_size=3)), min_size=1, max_size=6),
    words=st.lists(st.lists(ID.filter(lambda text: " " not in text), max_size=3), min_size=6, max_size=6),
)
@settings(max_examples=200, deadline=None)
def test_round_trip(rows, words):
    frame = pl.DataFrame(rows, schema={
        "user_id": pl.String, "item_id": pl.String, "x": pl.Float64, "emb": pl.List(pl.Float64)
    }, orient="row").with_columns(pl.Series("words", words[: len(rows)], dtype=pl.List(pl.String)))  # fmt: skip
    types = {"user_id": "token", "item_id": "token", "x": "float", "emb": "float_seq", "words": "token_seq"}
    table = Table(kind="inter", frame=frame, types=types, originals={}, dtypes={}, files=())
    out = io.BytesIO()
    write(table, "atomic", out)
    again = read_stream(io.BytesIO(out.getvalue()), Options(format="atomic"))
    assert again.frame.equals(frame, null_equal=True)
    assert again.types == types


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_anything_is_read_or_refused(content):
    for content_ in (content, INTER.encode() + content):
        for bad_rows in ("error", "skip"):
            try:
                read_stream(io.BytesIO(content_), Options(format="atomic", bad_rows=bad_rows))
            except RecliError as error:
                assert error.code == Exit.DATA
                assert "\n" not in str(error)


# ---- the real thing


@pytest.mark.shared
def test_real_data_sets(shared: Path):
    tables = {table.kind: table for table in read_all(shared / "ml-100k")}
    assert list(tables) == ["inter", "item", "kg", "link", "user"]
    heights = {kind: table.frame.height for kind, table in tables.items()}
    assert heights == {"inter": 100_000, "item": 1682, "kg": 91_631, "link": 1598, "user": 943}
    assert tables["inter"].frame["user_id"].n_unique() == 943
    assert tables["inter"].frame["item_id"].n_unique() == 1682
    assert tables["inter"].frame["rating"].sum() == 352_986
    ml_1m = {table.kind: table.frame.height for table in read_all(shared / "ml-1m")}
    assert ml_1m == {"inter": 999_611, "item": 3881, "user": 6040}
    assert read(shared / "ml-1m" / "ml-1m-ratings.inter").frame.height == 1_000_209


@pytest.mark.shared
def test_real_data_sets_are_written_back_exactly(shared: Path):
    for name in ("ml-100k.inter", "ml-100k.user", "ml-100k.item", "ml-100k.kg", "ml-100k.link"):
        path = shared / "ml-100k" / name
        out = io.BytesIO()
        write(read(path), "atomic", out)
        assert out.getvalue().rstrip() == path.read_bytes().replace(b"\r\n", b"\n").rstrip()
