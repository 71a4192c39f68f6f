"""JSON lines: types by the JSON, columns by the union of keys, bad lines named."""

import io
import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recli.errors import Exit, RecliError
from recli.sources import Options, Table, jsonl, read, read_stream


def from_text(text: str, **options: object) -> Table:
    return read_stream(io.BytesIO(text.encode()), Options(**({"format": "jsonl"} | options)))


def test_types_follow_the_json():
    table = from_text(
        '{"user": 7, "item": "007", "rating": 5, "price": 4.0, "n": 3, "ok": true, "text": "1.5", "half": "x"}\n'
        '{"item": "NA", "user": 123456789012345678901234567890, "rating": "4.5", "price": 3, "half": 1.5}\r\n'
    )
    assert table.types == {
        "user_id": "token", "item_id": "token", "rating": "float", "price": "float", "n": "token", "ok": "token",
        "text": "token", "half": "token",
    }  # fmt: skip
    assert table.frame.row(0) == ("7", "007", 5.0, 4.0, "3", "true", "1.5", "x")
    assert table.frame.row(1) == ("123456789012345678901234567890", "NA", 4.5, 3.0, "", "", "", "1.5")
    assert table.originals == {"user_id": "user", "item_id": "item"}


def test_lists_and_objects():
    table = from_text(
        '{"user_id": "u", "item_id": "i", "tags": "a b", "v": [1, 2.5], "o": {"é": [1.50, null, "x"], "b": {}}}\n'
        '{"user_id": "u", "item_id": "j", "tags": ["c", 3, null], "v": [], "w": [1, 2]}\n'
    )
    assert table.types["tags"] == table.types["w"] == "token_seq"
    assert table.types["v"] == "float_seq"
    assert table.frame["tags"].to_list() == [["a b"], ["c", "3"]]
    assert table.frame["v"].to_list() == [[1.0, 2.5], []]
    assert table.frame["w"].to_list() == [[], ["1", "2"]]
    assert table.frame["o"].to_list() == ['{"é": [1.50, null, "x"], "b": {}}', ""]


def test_types_can_be_given():
    text = '{"user": 1, "item": 2, "n": 3, "p": 4.50, "s": "a b", "r": "1 2"}\n'
    table = from_text(text, types={"n": "float", "p": "token", "s": "token_seq", "r": "float_seq"})
    assert table.frame.row(0) == ("1", "2", 3.0, "4.50", ["a", "b"], [1.0, 2.0])


def test_batches_may_differ(monkeypatch):
    monkeypatch.setattr(jsonl, "BATCH", 2)
    rows = [{"user": str(i), "item": "i", **({"late": i} if i > 2 else {}), "l": [str(i)] if i == 4 else str(i)}
            for i in range(7)]  # fmt: skip
    table = from_text("".join(json.dumps(row) + "\n" for row in rows))
    assert table.frame["late"].to_list() == ["", "", "", "3", "4", "5", "6"]
    assert table.frame["l"].to_list() == [[str(i)] for i in range(7)]


BAD_ROWS = {
    "not json": ("{'user': 1}", "not valid JSON: Expecting property name enclosed in double quotes (column 2)"),
    "cut": ('{"user": 1, "item"', "not valid JSON: Expecting ':' delimiter (column 19)"),
    "two": ('{"user": 1} {}', "not valid JSON: Extra data (column 13)"),
    "array": ("[1, 2]", "not a JSON object"),
    "blank": ("", "blank line"),
    "twice": ('{"user": 1, "item": 2, "user": 3}', "key 'user' is there twice"),
    "nan": ('{"user": 1, "item": 2, "rating": NaN}', "NaN is not a number"),
    "infinity": ('{"user": 1, "item": 2, "rating": -Infinity}', "-Infinity is not a number"),
    "deep": ('{"user": ' + "[" * 100_000 + "]" * 100_000 + "}", "not valid JSON: nested too deeply"),
    "half a character": ('{"user": "\\ud800", "item": 2}', "not valid UTF-8"),
    "no item": ('{"user": 1, "rating": 2}', "item is blank"),
    "blank user": ('{"user": " ", "item": 1, "rating": 2}', "user is blank"),
    "null rating": ('{"user": 1, "item": 2, "rating": null}', "rating is empty"),
    "empty rating": ('{"user": 1, "item": 2, "rating": ""}', "rating is empty"),
    "text": ('{"user": 1, "item": 2, "rating": "good"}', "rating: 'good' is not a number"),
    "overflow": ('{"user": 1, "item": 2, "rating": 1e400}', "rating: '1e400' is too large"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_line_is_named(put, refused, name):
    row, message = BAD_ROWS[name]
    good = '{"user": "u", "item": "i", "rating": 1}'
    path = put("a.jsonl", f"{good}\n{row}\n{good}\n")
    assert refused(path, hint="--bad-rows skip") == f"a.jsonl:2: {message}"
    table = read(path, Options(bad_rows="skip"))
    assert (table.frame.height, table.skipped) == (2, 1)


def test_line_numbers_behind_skipped_lines(put, refused):
    assert (
        refused(put("a.jsonl", b'{"user": 1, "item": 2}\n{"user": "\xff", "item": 2}\n'))
        == "a.jsonl:2: not valid UTF-8"
    )
    assert refused(put("a.jsonl", '{"user": [1], "item": 2}\n')) == (
        "a.jsonl: column user holds lists, not single values of type token"
    )
    assert refused(put("a.jsonl", '{"a": 1}\n'), hint="--user-col") == "a.jsonl: no column user_id"
    assert refused(put("a.jsonl", "")) == "a.jsonl: the file is empty: no rows"
    assert "twice" in refused(put("a.user.jsonl", '{"user": 1}\n{"user": 1}\n'))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.lists(st.dictionaries(st.sampled_from(["user", "item", "rating", "a", "b", ""]), JSON), min_size=1, max_size=4)
)
@settings(max_examples=300, deadline=None)
def test_any_json_is_read_or_refused(rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    for bad_rows in ("error", "skip"):
        try:
            table = from_text(text, bad_rows=bad_rows)
        except RecliError as error:
            assert error.code in (Exit.DATA, Exit.USAGE)
        else:
            assert set(table.frame.dtypes) <= {pl.String, pl.Float64, pl.List(pl.String), pl.List(pl.Float64)}
            assert sum(table.frame.select(pl.col(pl.String, pl.List).null_count()).row(0)) == 0


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_anything_is_read_or_refused(content):
    try:
        read_stream(io.BytesIO(content), Options(format="jsonl"))
    except RecliError as error:
        assert error.code == Exit.DATA
