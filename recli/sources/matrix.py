"""A matrix of ratings: a user a line, an item a column. What is empty, NA, NaN or ? is not rated.

The first line and the first column are ids where the first cell, the corner, is a name such as ``user``, or is empty
beside a cell that is no number. Beside numbers alone, 1, 2, 3, … or 0, 1, 2, … aside, an empty corner may as well be a
rating that is missing: ``header`` has to say. Where there are no ids, users and items are numbered 1, 2, 3, …
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import polars as pl

from recli.errors import Exit, RecliError
from recli.schema import ITEM, RATING, USER
from recli.sources.columns import WELL_KNOWN, plan, renamed
from recli.sources.delimited import NUMBER
from recli.sources.streams import Block, Input, open_lines
from recli.sources.table import SKIP_HINT, Options, Rows, Table, shown

MISSING: Final = ("", "na", "nan", "?")
BLANK: Final = " \t"
DECIMAL: Final = "^(" + NUMBER.pattern.replace(r"\d", "[0-9]") + ")$"  # polars' \d takes the digits of every script
SCHEMA: Final = {USER: pl.String(), ITEM: pl.String(), RATING: pl.Float64()}
FEWEST: Final = 3  # numbers in a row that are ids rather than ratings


def read(source: Input, options: Options, kind: str) -> Table:
    """The ratings, line by line; raises RecliError (DATA) naming the line, (USAGE) where what is an id is not plain."""
    columns = plan((USER, ITEM, RATING), kind=kind, options=options, where=source.where)
    with open_lines(source) as text:
        first = Block(1, 1, text.header().encode())
        grid, rest = _grid(first, options, source.where)
        parts = [grid.ratings(block) for block in chain(rest, text.blocks())]
    frame = pl.concat([pl.DataFrame(schema=SCHEMA), *(part.frame for part in parts)], rechunk=False)
    skipped = sum(part.skipped for part in parts)
    if frame.is_empty() and not skipped:
        hint = "without --missing, cells that are empty, NA, NaN or ? are not rated"
        raise RecliError(Exit.DATA, "no cell holds a rating", hint=hint, where=source.where)
    return Table.of(
        Rows(frame, (), skipped),
        kind=kind,
        types={USER: "token", ITEM: "token", RATING: "float"},
        originals=renamed(columns),
        options=options,
        where=source.where,
        files=source.files,
    )


@dataclass(frozen=True, kw_only=True)
class _Grid:
    """What the lines have in common: how cells are separated, the items, and whether the first cell is the user."""

    sep: str | None
    items: pl.Series
    named: bool
    options: Options
    where: str
    users: dict[str, int] = field(default_factory=dict)  # and the line of each, as they are read

    def ratings(self, block: Block) -> Rows:
        """The cells of some lines that are rated; raises RecliError (DATA) for the first line that is wrong."""
        lines = _lines(block)
        cells = _split(lines, self.sep)
        rows = pl.DataFrame({"line": range(block.line, block.line + len(lines)), "cells": cells})
        width = len(self.items) + self.named
        rows = rows.filter((pl.col("cells").list.len() == width).fill_null(False))
        user = pl.col("cells").list.first() if self.named else pl.col("line").cast(pl.String)
        rows = rows.select("line", user.alias(USER), pl.col("cells").list.slice(int(self.named)))
        flat = rows.explode("cells").with_columns(number=pl.col("cells").cast(pl.Float64, strict=False))
        flat = flat.with_columns(self.items.gather(pl.int_range(flat.height, eager=True) % len(self.items)))
        flat = flat.filter(~_is_missing(self.options.missing))
        sound = pl.col("cells").str.contains(DECIMAL) & pl.col("number").is_finite().fill_null(False)
        wrong = flat.filter(~sound)["line"].to_list()
        good = set(rows["line"]).difference(wrong)
        good -= self._strangers(rows, good)
        if len(good) < len(lines) and not self.options.skip:
            line = next(line for line in range(block.line, block.line + len(lines)) if line not in good)
            raise self._fault(line, lines[line - block.line])
        kept = flat.filter(pl.col("line").is_in(list(good))) if len(good) < len(lines) else flat
        return Rows(kept.select(USER, ITEM, pl.col("number").alias(RATING)), (), len(lines) - len(good))

    def _strangers(self, rows: pl.DataFrame, good: set[int]) -> set[int]:
        """The lines whose user has no name, or was there before."""
        if not self.named:
            return set()
        wrong = set()
        for line, user in rows.select("line", USER).iter_rows():
            if line in good and (not user or self.users.setdefault(user, line) != line):
                wrong.add(line)
        return wrong

    def _fault(self, line: int, text: str | None) -> RecliError:
        """What is wrong with a line."""
        hint = SKIP_HINT
        cells = None if text is None else _cells(text, self.sep)
        if text is None:
            message = "not valid UTF-8"
        elif not text.strip(BLANK):
            message = "blank line"
        elif cells is None:
            message = "a quoted cell is not closed"
        elif len(cells) != len(self.items) + self.named:
            taken = {None: "white space", "\t": "a tab", ",": "a comma"}.get(self.sep, shown(self.sep or ""))
            message = f"expected {len(self.items) + self.named} cells, found {len(cells)}"
            hint = f"cells are separated by {taken}: --sep says otherwise; {SKIP_HINT}"
        elif self.named and not cells[0]:
            message = "the user's id is blank"
        elif (wrong := self._wrong(cells[int(self.named) :])) is not None:
            message, hint = wrong, f"--missing names what is no rating, --sep what separates; {SKIP_HINT}"
        else:
            message = f"user {shown(cells[0])} is there twice, first at {self.where}:{self.users[cells[0]]}"
            hint = "--bad-rows skip keeps the first"
        return RecliError(Exit.DATA, message, hint=hint, where=f"{self.where}:{line}")

    def _wrong(self, cells: Sequence[str]) -> str | None:
        for item, cell in zip(self.items, cells, strict=True):
            if not (NUMBER.fullmatch(cell) or _missing(cell, self.options.missing)):
                return f"item {item}: {shown(cell)} is not a number"
            if NUMBER.fullmatch(cell) and not math.isfinite(float(cell)):
                return f"item {item}: {shown(cell)} is too large"
        return None


def _grid(first: Block, options: Options, where: str) -> tuple[_Grid, list[Block]]:
    """What the first line says, and the line itself where it holds ratings and not ids."""
    text = first.data.decode()
    sep = options.sep or next((sep for sep in ("\t", ",") if sep in text), None)
    cells = _cells(text, sep)
    if cells is None:
        raise RecliError(Exit.DATA, "a quoted cell is not closed", where=f"{where}:1")
    if not text.strip(BLANK):
        raise RecliError(
            Exit.DATA, "blank line", hint="the first line says how many cells there are", where=f"{where}:1"
        )
    named = options.header if options.header is not None else _is_header(cells, options.missing, where)
    names = cells[1:] if named else [str(place) for place in range(1, len(cells) + 1)]
    if named:
        _check_ids(names, where)
    grid = _Grid(sep=sep, items=pl.Series(ITEM, names, pl.String), named=named, options=options, where=where)
    return grid, [] if named else [first]


def _is_header(cells: Sequence[str], missing: str | None, where: str) -> bool:
    corner, beside = cells[0], cells[1:]
    if corner:
        return corner.lower().replace("_", "").replace("-", "").replace(" ", "") in WELL_KNOWN[USER]
    if not all(NUMBER.fullmatch(cell) or _missing(cell, missing) for cell in beside):
        return True
    if any(_missing(cell, missing) for cell in beside):
        return False
    counted = ([str(n + start) for n in range(len(beside))] for start in (0, 1))
    if len(beside) >= FEWEST and list(beside) in counted:
        return True
    hint = "--header says that they are ids, --no-header that they are ratings"
    raise RecliError(
        Exit.USAGE, "numbers beside an empty corner could be ids or ratings", hint=hint, where=f"{where}:1"
    )


def _check_ids(names: Sequence[str], where: str) -> None:
    seen: set[str] = set()
    for place, name in enumerate(names, 2):
        if not name or name in seen:
            what = f"item {shown(name)} is there twice" if name else f"the item's id in cell {place} is blank"
            raise RecliError(Exit.DATA, what, hint="--no-header numbers users and items", where=f"{where}:1")
        seen.add(name)
    if not names:
        raise RecliError(Exit.DATA, "the header names no item", hint="--sep says what separates", where=f"{where}:1")


def _lines(block: Block) -> list[str | None]:
    """The lines without their ends; None where one is not valid UTF-8."""
    return [_decoded(line.removesuffix(b"\r")) for line in block.data.removesuffix(b"\n").split(b"\n")]


def _decoded(line: bytes) -> str | None:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None


def _split(lines: Sequence[str | None], sep: str | None) -> pl.Series:
    """The cells of every line, List(String); null where they cannot be told apart."""
    if any(line is not None and ('"' in line or not line) for line in lines):
        cells = [None if line is None else _cells(line, sep) for line in lines]
        return pl.Series(cells, dtype=pl.List(pl.String))
    texts = pl.Series(lines, dtype=pl.String)
    if sep is None:
        texts, sep = texts.str.replace_all("[ \t]+", " ").str.strip_chars(" "), " "
    return texts.str.split(sep).list.eval(pl.element().str.strip_chars(BLANK))


def _cells(line: str, sep: str | None) -> list[str] | None:
    """The same of one line; those of a blank line are none."""
    if sep is None or not line:
        return [cell for cell in line.replace("\t", " ").split(" ") if cell]
    if '"' not in line or len(sep) > 1 or sep == '"':
        return [cell.strip(BLANK) for cell in line.split(sep)]
    try:
        return [
            cell.strip(BLANK) for cell in next(csv.reader([line], delimiter=sep, skipinitialspace=True, strict=True))
        ]
    except csv.Error:
        return None


def _missing(cell: str, given: str | None) -> bool:
    if cell.lower() in MISSING or cell == given:
        return True
    both = given is not None and NUMBER.fullmatch(given) and NUMBER.fullmatch(cell)
    return bool(both) and float(cell) == float(given or "")


def _is_missing(given: str | None) -> pl.Expr:
    """The same of columns ``cells`` and ``number``."""
    missing = pl.col("cells").str.to_lowercase().is_in(MISSING)
    if given is not None:
        missing |= pl.col("cells") == given
        if NUMBER.fullmatch(given):
            missing |= (pl.col("number") == float(given)).fill_null(False)
    return missing
