"""One JSON object a line. Objects inside objects become their JSON text; lists become sequences."""

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final, TypeAlias

import polars as pl

from recli.errors import Exit, RecliError
from recli.schema import Type
from recli.sources.columns import plan, renamed
from recli.sources.delimited import BATCH
from recli.sources.settle import settle
from recli.sources.streams import Block, Input, LineReader, open_lines
from recli.sources.table import SKIP_HINT, Options, Rows, Table

Cell: TypeAlias = str | list[str | None] | None


class Integer(str):
    """An integer as it was written: ids may have more digits than any machine integer."""

    __slots__ = ()


class Decimal(str):
    """A number with a point or an exponent, as it was written."""

    __slots__ = ()


def read(source: Input, options: Options, kind: str) -> Table:
    """The table in a file of JSON lines; the columns are all keys, in order of first appearance.

    Raises RecliError (DATA) naming the line for what is not an object, a key there twice, or a value not allowed.
    """
    with open_lines(source) as text:
        rows, found = _rows(text, skip=options.skip)
    columns = plan(list(found), kind=kind, options=options, where=source.where, guess=True)
    columns = tuple(c if c.type else c._replace(type=_type(found[c.name])) for c in columns)
    return Table.of(
        settle(rows, columns, options, source.where),
        kind=kind,
        types={c.canonical: c.type or "token" for c in columns},
        originals=renamed(columns),
        options=options,
        where=source.where,
        files=source.files,
    )


def _rows(text: LineReader, *, skip: bool) -> tuple[Rows, dict[str, set[type]]]:
    """The rows as text and lists of text, and the JSON types met in each column (of lists: inside them, too)."""
    found: dict[str, set[type]] = {}
    frames: list[pl.DataFrame] = []
    lines: list[int] = []
    batch: list[dict[str, Cell]] = []
    skipped = 0
    for line, raw in chain.from_iterable(map(_lines, text.blocks())):
        try:
            batch.append(_parse(raw, found))
            lines.append(line)
        except ValueError as error:
            if not skip:
                raise RecliError(Exit.DATA, str(error), hint=SKIP_HINT, where=text.at(line)) from None
            skipped += 1
        if len(batch) == BATCH:
            frames.append(_frame(batch, found))
            batch = []
    frames.append(_frame(batch, found))
    return Rows(_stack(frames, found), ((f"{text.where}:", lines),), skipped), found


def _lines(block: Block) -> Iterator[tuple[int, bytes]]:
    return enumerate(block.data.removesuffix(b"\n").split(b"\n"), block.line)


def _parse(raw: bytes, found: dict[str, set[type]]) -> dict[str, Cell]:
    """The object on a line; raises ValueError, with what is wrong."""
    if not raw.strip():
        raise ValueError("blank line")
    try:
        value = DECODER.decode(raw.decode())
        if not isinstance(value, dict):
            raise ValueError("not a JSON object")
        cells = {key: inner if type(inner) is str else _cell(inner) for key, inner in value.items()}
        if b"\\u" in raw:  # half of a surrogate pair can be written as an escape, but is no character
            json.dumps(cells, ensure_ascii=False).encode()
    except UnicodeError:
        raise ValueError("not valid UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {error.msg} (column {error.colno})") from None
    except RecursionError:
        raise ValueError("not valid JSON: nested too deeply") from None
    for key, inner in value.items():
        if type(inner) is list or type(inner) not in found.get(key, ()):
            _note(inner, found.setdefault(key, set()))
    return cells


def _note(value: Any, types: set[type]) -> None:
    types.add(type(value))
    if type(value) is list:
        types.update(map(type, value))


def _cell(value: Any) -> Cell:
    return [_text(part) for part in value] if type(value) is list else _text(value)


def _text(value: Any) -> str | None:
    """A value as text, numbers as they were written."""
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quote(key)}: {_inner(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inner, value)) + "]"
    return "true" if value else "false"


def _inner(value: Any) -> str:
    """A value inside an object, as JSON."""
    if type(value) is str:
        return _quote(value)
    return _text(value) or "null"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _frame(batch: list[dict[str, Cell]], found: dict[str, set[type]]) -> pl.DataFrame:
    """The objects as columns: List(String) where the batch has a list, else String."""
    series = []
    for key in found:
        cells = [cells.get(key) for cells in batch]
        if list in found[key]:
            lists = [cell if cell is None or isinstance(cell, list) else [cell] for cell in cells]
            series.append(pl.Series(key, lists, dtype=pl.List(pl.String)))
        else:
            series.append(pl.Series(key, cells, dtype=pl.String))
    return pl.DataFrame(series)


def _stack(frames: list[pl.DataFrame], found: dict[str, set[type]]) -> pl.DataFrame:
    """The batches as one frame: earlier ones may lack a column, or have no list in it yet."""
    sequences = [key for key, types in found.items() if list in types]
    level = [
        frame.with_columns(
            pl.when(pl.col(key).is_not_null()).then(pl.concat_list(key)).alias(key)
            for key in sequences
            if frame.schema.get(key) == pl.String
        )
        for frame in frames
    ]
    return pl.concat(level, how="diagonal", rechunk=False)


def _type(found: set[type]) -> Type:
    """Text and integers are tokens, decimals floats."""
    decimal = Decimal in found and found <= {Decimal, Integer, list, type(None)}
    if list in found:
        return "float_seq" if decimal else "token_seq"
    return "float" if decimal else "token"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return unique


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


DECODER: Final = json.JSONDecoder(
    parse_int=Integer, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_unique
)
