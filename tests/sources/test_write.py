"""Tables as text: numbers, names, and the values that a format cannot hold."""

import io

import polars as pl
import pytest

from recli.errors import Exit, RecliError
from recli.sources import Options, Table, read_stream, write

DTYPES = {"token": pl.String, "float": pl.Float64, "token_seq": pl.List(pl.String), "float_seq": pl.List(pl.Float64)}


def table(columns: dict[str, list[object]], kind: str = "inter", **types: str) -> Table:
    types = {name: types.get(name, "token") for name in columns}
    frame = pl.DataFrame(columns, schema={name: DTYPES[type_] for name, type_ in types.items()})
    return Table(kind=kind, frame=frame, types=types, originals={"user_id": "userId"}, dtypes={}, files=())


def written(table: Table, to: str, **options: str) -> str:
    out = io.BytesIO()
    write(table, to, out, **options)
    return out.getvalue().decode()


def test_numbers():
    values = [1.0, -2.0, 4.5, 881250949.0, 1e18, 1e300, 0.1, 1 / 3]
    text = written(table({"n": values}, kind="x", n="float"), "atomic")
    expected = "n:float\n1\n-2\n4.5\n881250949\n1000000000000000000\n1e+300\n0.1\n0.3333333333333333\n"
    assert text == expected
    assert read_stream(io.BytesIO(text.encode()), Options(format="atomic", kind="x")).frame["n"].to_list() == values


def test_formats():
    columns = {"user_id": ["1", "2"], "tags": [["a", "b"], []], "x": [0.5, None], "text": ['a "b", c', ""]}
    wide = table(columns, kind="user", tags="token_seq", x="float")
    atomic = 'user_id:token\ttags:token_seq\tx:float\ttext:token\n1\ta b\t0.5\ta "b", c\n2\t\t\t\n'
    assert written(wide, "atomic") == atomic
    assert written(wide, "tsv", seq_separator="|") == 'userId\ttags\tx\ttext\n1\ta|b\t0.5\ta "b", c\n2\t\t\t\n'
    assert written(wide, "csv") == 'userId,tags,x,text\n1,a b,0.5,"a ""b"", c"\n2,,,\n'
    assert written(wide, "csv", sep=";") == 'userId;tags;x;text\n1;a b;0.5;"a ""b"", c"\n2;;;\n'
    assert written(wide, "atomic", sep="::").startswith("user_id:token::tags:token_seq::")


def test_integer_ids_of_parquet_come_back():
    out = io.BytesIO()
    frame = pl.DataFrame({"uid": [2**63 - 1, 7], "item": [1, 2], "rating": [5, 4]})
    frame.write_parquet(out)
    text = written(read_stream(io.BytesIO(out.getvalue()), Options(format="parquet")), "csv")
    assert pl.read_csv(text.encode()).equals(frame)


@pytest.mark.parametrize(("columns", "options"), [
    ({"user_id": ["a\tb"], "x": ["1"]}, {}),
    ({"user_id": ["a\nb"], "x": ["1"]}, {}),
    ({"user_id": ["a\r"], "x": ["1"]}, {}),
    ({"user_id": ["a,b"], "x": ["1"]}, {"sep": ","}),
    ({"user_id": ["a:"], "x": ["1"]}, {"sep": "::"}),
    ({"x": [""]}, {}),
    ({"x\ty": ["1"], "z": ["1"]}, {}),
    ({"tags": [["a b"]], "x": ["1"]}, {}),
    ({"tags": [[""]], "x": ["1"]}, {}),
    ({"n": [None], "x": ["1"]}, {}),
    ({"n": [float("nan")], "x": ["1"]}, {}),
])  # fmt: skip
def test_what_cannot_be_written_is_refused(columns, options):
    with pytest.raises(RecliError) as caught:
        written(table(columns, tags="token_seq", n="float"), "atomic", **options)
    assert caught.value.code == Exit.DATA


def test_what_makes_no_sense_is_refused():
    for to, options in (("parket", {}), ("csv", {"sep": "::"}), ("csv", {"sep": '"'}), ("tsv", {"sep": " "})):
        with pytest.raises(RecliError) as caught:
            written(table({"user_id": ["1"], "tags": [["a"]]}, tags="token_seq"), to, **options)
        assert caught.value.code == Exit.USAGE


def test_many_rows_are_written_in_slices(monkeypatch):
    monkeypatch.setattr("recli.sources.writing.SLICE", 3)
    text = written(table({"user_id": [str(i) for i in range(10)]}, kind="user"), "tsv")
    assert text.split() == ["userId", *map(str, range(10))]
