"""TREC's runs and qrels."""

import gzip
import io

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recli.errors import Exit, RecliError
from recli.sources import Options, detect, files, kind, kind_of, name_of, read, read_all, read_stream, streams, trec
from recli.sources.delimited import BLANKS

RUN = "2 Q0 d9 1 14.5 bm25\n2 Q0 d7 2 -3e-2 bm25\n1 Q0 d9 1 7 bm25\n"
RUN_ROWS = [("2", "d9", 14.5), ("2", "d7", -0.03), ("1", "d9", 7.0)]
QRELS = "2 0 d9 1\n1 0 d7 -2\n007 0 d9 0\n"
QRELS_ROWS = [("2", "d9", 1.0), ("1", "d7", -2.0), ("007", "d9", 0.0)]
TREC = Options(format="trec")
SKIP = Options(format="trec", bad_rows="skip")


def test_a_run(put):
    path = put("bm25.run", RUN)
    table = read(path)
    assert table.frame.rows() == RUN_ROWS
    assert table.frame.schema == {"user_id": pl.String, "item_id": pl.String, "score": pl.Float64}
    assert table.types == {"user_id": "token", "item_id": "token", "score": "float"}
    assert (table.kind, table.originals, table.skipped, table.files) == ("inter", {}, 0, (path,))


def test_qrels(put):
    table = read(put("a.qrels", QRELS))
    assert table.frame.rows() == QRELS_ROWS
    assert table.types == {"user_id": "token", "item_id": "token", "rating": "float"}
    assert (table.kind, table.originals) == ("inter", {})


@pytest.mark.parametrize("text", [
    RUN.replace(" ", "\t"), RUN.replace(" ", "  "), RUN.replace(" ", " \t   "), RUN.replace("\n", "\r\n"),
    RUN.replace("\n", " \t\r\n"), RUN.replace("\n", "\r \n"), "\t " + RUN.replace("\n", "  \n  ").rstrip(" "),
    RUN.removesuffix("\n"), RUN.removesuffix("\n") + " \t", RUN.removesuffix("\n") + "\r", "\ufeff" + RUN,
    RUN.replace("2 Q0", "2\tQ0"), RUN.replace("bm25", 'b"m25'),
])  # fmt: skip
def test_any_blanks_separate(put, text):
    assert read(put("a.run", text)).frame.rows() == RUN_ROWS


@pytest.mark.parametrize("name", ["a.b.run", "a.b.trec", "a.b.qrels", "a.b.qrel"])
@pytest.mark.parametrize(("suffix", "compress"), [
    ("", bytes), (".gz", gzip.compress), (".zst", lambda data: pa.compress(data, codec="zstd", asbytes=True)),
])  # fmt: skip
def test_names(put, name, suffix, compress):
    for text, rows in ((RUN, RUN_ROWS), (QRELS, QRELS_ROWS)):  # the fields tell which it is, not the name
        path = put(name + suffix, compress(text.encode()))
        assert (detect(path), kind_of(path.name), kind(path), name_of(path)) == ("trec", "inter", "inter", "a.b")
        assert files(path) == (path,)
        assert read(path).frame.rows() == rows


def test_it_is_interactions_whatever_its_name(put):
    for name in ("input.bm25", "a.user", "a.user.csv"):
        path = put(name, RUN)
        assert (read(path, TREC).kind, kind(path, TREC)) == ("inter", "inter")
    assert kind_of("a.user.run") == "inter"


def test_a_folder_names_no_run(put, refused):
    folder = put("runs/a.run", RUN).parent
    assert refused(folder, Exit.USAGE, "name a file in it", format="trec") == "runs: a folder is not trec"


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_stream(compress):
    table = read_stream(io.BytesIO(compress(RUN.encode())), TREC)
    assert (table.frame.rows(), table.files, table.kind) == (RUN_ROWS, (), "inter")
    with pytest.raises(RecliError, match=r"^stdin:2: expected 4 fields, found 1$"):
        read_stream(io.BytesIO(b"1 0 d 1\nx\n"), TREC)


BAD_RUN = [
    (b"2 Q0 d9 1 14.5", "expected 6 fields, found 5"), (b"2 0 d9 1", "expected 6 fields, found 4"),
    (b"2 Q0 d9 1 14.5 my tag", "expected 6 fields, found 7"),
    (b"", "blank line"), (b" \t", "blank line"), (b"\r", "blank line"),
    (b"2 Q0 d\xff 1 14.5 t", "not valid UTF-8"), (b"2 Q0 d9 1 14.5 \xff", "not valid UTF-8"),
    ("\u3000 Q0 d9 1 14.5 t".encode(), "user_id is blank"), ("2 Q0 \xa0 1 14.5 t".encode(), "item_id is blank"),
    (b"2 Q0 d9 first 14.5 t", "rank: 'first' is not a number"), (b"2 Q0 d9 1.5 1 t", "rank: '1.5' is not an integer"),
    (b"2 Q0 d9 1 high t", "score: 'high' is not a number"), (b"2 Q0 d9 1 nan t", "score: 'nan' is not a number"),
    (b"2 Q0 d9 1 -inf t", "score: '-inf' is not a number"), (b"2 Q0 d9 1 1e999 t", "score: '1e999' is too large"),
]  # fmt: skip
BAD_QRELS = [
    (b"2 0 d9", "expected 4 fields, found 3"), (b"2 Q0 d9 1 14.5 t", "expected 4 fields, found 6"),
    (b"", "blank line"), (b"2 0 \xff 1", "not valid UTF-8"), ("2 0 \u2003 1".encode(), "item_id is blank"),
    (b"2 0 d9 yes", "rating: 'yes' is not a number"), (b"2 0 d9 0.5", "rating: '0.5' is not an integer"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "row", "message"), [
    *((RUN, *case) for case in BAD_RUN), *((QRELS, *case) for case in BAD_QRELS),
])  # fmt: skip
def test_bad_rows(put, refused, text, row, message):
    lines = text.encode().splitlines()
    path = put("a.trec", b"\n".join([*lines[:2], row, lines[2], row]) + b"\n")
    assert refused(path, hint="--bad-rows skip") == f"a.trec:3: {message}"
    table = read(path, SKIP)
    assert (table.frame.rows(), table.skipped) == (RUN_ROWS if text == RUN else QRELS_ROWS, 2)


@pytest.mark.parametrize("batch", [1, 2, 100])
@pytest.mark.parametrize("block", [8, 64, 1 << 24])
def test_lines_are_numbered_over_blocks(put, refused, monkeypatch, block, batch):
    monkeypatch.setattr(streams, "BLOCK", block)
    monkeypatch.setattr(trec, "BATCH", batch)
    path = put("a.run", RUN + "x\n" + RUN + "2 Q0 d9 0.5 1 t\n" + RUN)
    assert refused(path) == "a.run:4: expected 6 fields, found 1"
    table = read(path, SKIP)
    assert (table.frame.rows(), table.skipped) == (RUN_ROWS * 3, 2)
    assert refused(put("a.run", RUN * 3 + "2 Q0 d9 0.5 1 t\nx\n")) == "a.run:10: rank: '0.5' is not an integer"


@pytest.mark.parametrize(("line", "fields"), [
    ("", 0), ("q", 1), ("q 0 d", 3), ("q 0 d 1 2", 5), ("q Q0 d 1 2 my tag", 7), ("  \t", 0),
])  # fmt: skip
def test_the_first_line_tells_which(put, refused, line, fields):
    path = put("a.run", f"{line}\n{RUN}")
    for bad_rows in ("error", "skip"):
        for hint in ("qid Q0 docno rank score tag", "qid 0 docno rel"):
            assert refused(path, hint=hint, bad_rows=bad_rows) == f"a.run:1: expected 6 or 4 fields, found {fields}"


def test_the_first_line_may_be_wrong(put, refused):
    path = put("a.run", "qid Q0 docno rank score tag\n" + RUN)
    assert refused(path) == "a.run:1: rank: 'rank' is not a number"
    assert read(path, SKIP).frame.rows() == RUN_ROWS
    assert read(put("a.run", b"2 Q0 \xff 1 1 t\n" + RUN.encode()), SKIP).frame.rows() == RUN_ROWS


def test_no_rows(put, refused):
    assert refused(put("a.run", "")) == "a.run: the file is empty: no rows"
    assert refused(put("a.run", "\ufeff")) == "a.run: no rows"
    assert refused(put("a.run", "1 Q0 d x 1 t\n"), bad_rows="skip") == "a.run: no rows: all 1 were left out"


def test_rows_stay_as_they_are(put):
    """Neither ranks that disagree nor a document that is there twice are the source's business."""
    table = read(put("a.run", "1 Q0 b 9 1 t\n1 Q0 a 0 2 t\n1 x b -1 3 u\n1 Q0 b 2.0 1 t\n"))
    assert table.frame.rows() == [("1", "b", 1.0), ("1", "a", 2.0), ("1", "b", 3.0), ("1", "b", 1.0)]


def test_options(put, refused):
    path = put("a.run", RUN)
    rated = read(path, Options(rating_col="score"))
    assert (rated.frame.columns, rated.originals) == (["user_id", "item_id", "rating"], {"rating": "score"})
    assert rated.frame.rows() == RUN_ROWS
    assert refused(path, Exit.USAGE, types={"score": "token"}) == "a.run: --types score=token: score is always a float"
    refused(path, Exit.USAGE, user_col="qid")
    with pytest.raises(RecliError, match="no column rank"):
        read_all(path, Options(types={"rank": "float"}))
    spaced = put("b.run", "u 1,Q0,a  b,1,2,my tag\r\nu 1,Q0,c,2,-0.5,t\n")
    assert read(spaced, Options(sep=",")).frame.rows() == [("u 1", "a  b", 2.0), ("u 1", "c", -0.5)]
    refused(put("b.run", "u,Q0,a,1,2,t\nu,Q0,,1,2,t\n"), sep=",")


IDS = st.text(st.characters(codec="utf-8", exclude_characters=BLANKS), min_size=1, max_size=8)
GAPS = st.text(" \t", min_size=1, max_size=3)
EDGES = st.text(" \t", max_size=2)
SCORES = st.floats(allow_nan=False, allow_infinity=False)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_what_is_written_is_read(data):
    run = data.draw(st.booleans())
    gaps, edges = data.draw(st.sampled_from([(st.just(" "), st.just("")), (GAPS, EDGES)]))
    value = SCORES if run else st.integers(-5, 5).map(float)
    rows = data.draw(st.lists(st.tuples(IDS, IDS, value), min_size=1, max_size=6))
    text = ""
    for user, item, number in rows:
        fields = [user, "Q0", item, "1", repr(number), "tag"] if run else [user, "0", item, f"{number:.0f}"]
        text += data.draw(edges) + fields[0] + "".join(data.draw(gaps) + field for field in fields[1:])
        text += data.draw(edges) + data.draw(st.sampled_from(["\n", "\r\n"]))
    assert read_stream(io.BytesIO(b"\xef\xbb\xbf" + text.encode()), TREC).frame.rows() == rows


PIECES = st.sampled_from(
    [
        b"q",
        b" ",
        b"  ",
        b"\t",
        b"\n",
        b"\r",
        b"1",
        b"-1",
        b".5",
        b"1e3",
        b"inf",
        b"\xff",
        b'"',
        b" 0 d 1\n",
        b"q 0 d +1\n",
    ]
)


@given(st.lists(PIECES, max_size=12).map(b"".join), st.sampled_from(["", "q 0 d 1\n", "q Q0 d 1 2 t\n"]))
@settings(max_examples=500, deadline=None)
def test_both_passes_are_one(content, first):
    """Line by line, and all at once: the same rows, or a refusal."""
    data = first.encode() + content
    found = []
    for quick in (trec.parse_quickly, lambda *_: None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trec, "parse_quickly", quick)
            for bad_rows in ("error", "skip"):
                try:
                    table = read_stream(io.BytesIO(data), Options(format="trec", bad_rows=bad_rows))
                    found.append((table.frame.rows(), table.skipped))
                except RecliError as error:
                    assert error.code == Exit.DATA
                    found.append(str(error))
    assert found[:2] == found[2:]
