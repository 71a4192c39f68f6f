"""Fields: columns of users, items and events as rows of one table, learned from train."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from recli.artifact.ids import pack_ids, unpack_ids
from recli.coding import Coding
from recli.errors import Exit, RecliError, nearest
from recli.kernels.fields import by_rows
from recli.schema import KEYS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Parts = Callable[[], Iterator[tuple[pl.Series, Longs]]]

ROLES: Final = ("user", "item", "inter")


def of_words(values: pl.Series, of: Ints, missing: int) -> Ints:
    """What stands ``of`` (words,) each of an Enum's words, for its values (n,)."""
    rows: Ints = pl.Series(of, dtype=pl.Int32).gather(values.to_physical()).fill_null(missing).to_numpy()
    return rows


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field: a column of a table by ``role`` (user, item, inter), and the rows that stand for its values.

    ``how`` is "id" (the user or the item itself), "token", "number", "edges" or "log". Row 0 of its ``size`` is what is
    unknown, rare or missing; a number has only one row. ``slots`` is how many parts it has at most; ``learned`` is
    the vocabulary, the edges between the buckets, the values that logarithms take, or none.
    """

    name: str
    role: str
    how: str
    size: int
    slots: int = 1
    sequence: bool = False
    learned: pl.Series | Doubles | None = None
    scale: tuple[float, float, float] = (0.0, 1.0, 0.0)  # the least, the width, and what stands for a missing one

    def encode(self, values: pl.Series) -> tuple[Ints, Floats | None]:
        """Rows of the values (n, slots), from 0, and what each counts, None where it is 1."""
        n = len(values)
        if self.how == "number":
            number = values.list.mean() if values.dtype.is_nested() else values
            scaled = self._scaled(number.cast(pl.Float64).fill_null(self.scale[2]).to_numpy())
            return np.zeros((n, 1), np.int32), scaled.astype(np.float32)[:, np.newaxis]
        if not self.sequence:
            return self._rows(values)[:, np.newaxis], None
        parts = values.list.head(self.slots)
        lengths = parts.list.len().fill_null(0).to_numpy().astype(np.int64)
        row = np.repeat(np.arange(n), lengths)
        place = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        codes, counts = np.zeros((n, self.slots), np.int32), np.zeros((n, self.slots), np.float32)
        filled = parts.filter(pl.Series(lengths > 0)).explode() if len(row) else values.clear()
        if len(row):
            codes[row, place], counts[row, place] = self._rows(filled), (1 / lengths[row]).astype(np.float32)
        return codes, counts

    def _rows(self, values: pl.Series) -> Ints:
        """The row of each value (n,)."""
        if isinstance(values.dtype, pl.Enum):
            return of_words(values, self._rows(values.dtype.categories), 0)
        if isinstance(self.learned, pl.Series):
            found = values.cast(pl.String).cast(pl.Enum(self.learned), strict=False).to_physical()
            return (found.cast(pl.Int64).fill_null(-1) + 1).cast(pl.Int32).to_numpy()
        assert self.learned is not None
        missing, numbers = values.is_null().to_numpy(), self._scaled(values.cast(pl.Float64).fill_null(0).to_numpy())
        if self.how == "edges":
            rows = np.searchsorted(self.learned, numbers, side="right") + 1
        else:
            keys = _logarithms(numbers)
            place = np.minimum(np.searchsorted(self.learned, keys), len(self.learned) - 1)
            rows = np.where(self.learned[place] == keys, place + 1, 0)
        return np.where(missing, 0, rows).astype(np.int32)

    def _scaled(self, numbers: Doubles) -> Doubles:
        low, width, _ = self.scale
        return (numbers - low) / width


@dataclass(frozen=True, kw_only=True)
class Coded:
    """Fields of n users, items or events: ``codes`` (n, slots) int32, rows of one table for all fields; ``values``
    (n, slots) float32 is what each counts, None where all count 1.
    """

    codes: Ints
    values: Floats | None = None

    @classmethod
    def joined(cls, parts: Sequence[Coded]) -> Coded:
        """Several of the same fields, one after the other."""
        codes, counted = [part.codes for part in parts], [part.values for part in parts if part.values is not None]
        return cls(codes=np.concatenate(codes), values=np.concatenate(counted) if counted else None)

    def take(self, rows: NDArray[np.integer[Any]] | slice | None) -> Coded:
        """Those of some rows, or of all."""
        if rows is None:
            return self
        return Coded(codes=self.codes[rows], values=None if self.values is None else self.values[rows])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """By name, as `Coded` takes them."""
        return {name: array for name, array in vars(self).items() if array is not None}


@dataclass(frozen=True, kw_only=True)
class Held:
    """The columns of a table: their types, their values, and in how many train rows each value stands (0: in none).

    A column of numbers may come in parts. ``counts`` are those of the rows of the users or items.
    """

    schema: Mapping[str, pl.DataType]
    column: Callable[[str], Iterator[tuple[pl.Series, Longs]]]
    counts: Longs

    @classmethod
    def of(cls, table: pl.DataFrame, counts: Longs) -> Held:
        """A table in memory."""
        return cls(schema=table.schema, column=lambda name: iter([(table[name], counts)]), counts=counts)


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """What turns columns into fields, learned from train: the fields of users first, then of items, then of events."""

    fields: tuple[Field, ...]

    @classmethod
    def fit(cls, tables: Mapping[str, Held], coding: Coding) -> Encoder:
        """From the columns by role.

        Raises:
            RecliError: a named column is not there, or cannot become what it is to (exit 2).
        """
        there = {name for table in tables.values() for name in table.schema} - set(KEYS.values())
        for name in sorted(coding.named() - there):
            raise RecliError(Exit.USAGE, f"there is no column {name} to make a field of", hint=nearest(name, there))
        found = []
        for role in ROLES:
            table = tables[role]
            if role in KEYS:
                size = 1 + int((table.counts >= coding.min_count).sum())
                found.append(Field(name=KEYS[role], role=role, how="id", size=size))
            for name, dtype in table.schema.items():
                how = None if name == KEYS.get(role) else coding.of(name, dtype)
                if how is not None:
                    found.append(_fitted(name, role, how, dtype, partial(table.column, name), coding))
        return cls(fields=tuple(found))

    @property
    def rows(self) -> int:
        """The rows of the table that all fields share."""
        return sum(one.size for one in self.fields)

    @property
    def slots(self) -> list[int]:
        """The slots of each field."""
        return [one.slots for one in self.fields]

    def of(self, role: str) -> list[Field]:
        """The fields of a role."""
        return [one for one in self.fields if one.role == role]

    def span(self, role: str) -> tuple[int, int]:
        """The first field of a role, and the one behind its last."""
        first = sum(len(self.of(other)) for other in ROLES[: ROLES.index(role)])
        return first, first + len(self.of(role))

    def encode(self, role: str, table: pl.DataFrame | None, n: int, own: Ints | None = None) -> Coded:
        """The fields of n rows; a column that is not there is missing everywhere. ``own`` are the ids' rows."""
        first, at, shape = 0, 0, (sum(one.slots for one in self.of(role)), n)
        codes, values = np.empty(shape, np.int32), None
        for one in self.fields:
            if one.role == role:
                if one.how == "id":
                    made: Any = np.zeros((n, 1), np.int32) if own is None else own[:, np.newaxis], None
                elif table is None or one.name not in table.columns:
                    made = one.encode(pl.Series([None], dtype=_dtype(one)).extend_constant(None, n - 1) if n else
                                      pl.Series([], dtype=_dtype(one)))  # fmt: skip
                else:
                    made = one.encode(table[one.name])
                of = slice(at, at + one.slots)
                np.add(made[0].T, np.int32(first), out=codes[of])
                if made[1] is not None:
                    values = np.ones(shape, np.float32) if values is None else values
                    values[of] = made[1].T
                at += one.slots
            first += one.size
        return Coded(codes=by_rows(codes), values=None if values is None else by_rows(values))

    def check(self, role: str, coded: Coded, n: int) -> None:
        """Whether these can be the fields of n rows.

        Raises:
            ValueError: they are of another shape, or a code is no row of its field.
        """
        own, first = self.of(role), sum(one.size for one in self.fields[: self.span(role)[0]])
        slots = [one.slots for one in own]
        low = np.repeat(first + np.cumsum([0, *(one.size for one in own)])[:-1], slots)
        codes, values = coded.codes, coded.values
        if codes.dtype != np.int32 or codes.shape != (n, sum(slots)):
            raise ValueError(f"the fields of the {role}s are not int32 {(n, sum(slots))}")
        if not ((codes >= low) & (codes < low + np.repeat([one.size for one in own], slots))).all():
            raise ValueError(f"a field of the {role}s lies outside")
        if values is not None and (values.dtype != np.float32 or values.shape != codes.shape):
            raise ValueError(f"the values of the {role}s are not float32 {codes.shape}")

    def pack(self) -> tuple[dict[str, NDArray[Any]], str]:
        """What was learned by the number of the field, as arrays, and the rest as JSON."""
        arrays: dict[str, NDArray[Any]] = {}
        for place, one in enumerate(self.fields):
            if isinstance(one.learned, pl.Series):
                arrays[f"{place}.text"], arrays[f"{place}.offsets"] = pack_ids(one.learned)
            elif one.learned is not None:
                arrays[f"{place}.numbers"] = one.learned
        rest = [{n: v for n, v in vars(one).items() if n != "learned"} for one in self.fields]
        return arrays, json.dumps(rest)

    @classmethod
    def unpack(cls, arrays: Mapping[str, NDArray[Any]], rest: str) -> Encoder:
        """What `pack` took apart.

        Raises:
            ValueError: the parts are no fields.
        """
        found = []
        for place, one in enumerate(json.loads(rest)):
            learned: Any = arrays.get(f"{place}.numbers")
            if f"{place}.text" in arrays:
                learned = unpack_ids(arrays[f"{place}.text"], arrays[f"{place}.offsets"])
            made = Field(**{**one, "scale": tuple(one["scale"])}, learned=learned)
            if made.slots < 1 or made.size < 1 + (0 if learned is None else len(learned)) or made.role not in ROLES:
                raise ValueError(f"the field {made.name} has too few rows")
            found.append(made)
        if [one.role for one in found] != sorted((one.role for one in found), key=ROLES.index):
            raise ValueError("the fields are not in order")
        return cls(fields=tuple(found))


def _dtype(one: Field) -> pl.DataType:
    inner = pl.Float64() if one.how in ("number", "edges", "log") else pl.String()
    return pl.List(inner) if one.sequence else inner


def _fitted(name: str, role: str, how: str, dtype: pl.DataType, parts: Parts, coding: Coding) -> Field:
    """A field as train has it."""
    kind, _, number = how.partition(":")
    sequence = dtype.is_nested()
    inner: Any = dtype.inner if isinstance(dtype, pl.List) else dtype
    numbers = kind in ("number", "bucket", "quantile", "log")
    if (kind == "first" and (not sequence or inner.is_numeric())) or (numbers and not inner.is_numeric()):
        holds = f"{'sequences of ' if sequence else ''}{'numbers' if inner.is_numeric() else 'tokens'}"
        raise RecliError(Exit.USAGE, f"{name} holds {holds}, and cannot become {how!r}")
    lengths = (values.list.len().max() for values, _ in parts()) if sequence and kind != "number" else ()
    longest = max([1, *(int(length or 0) for length in lengths)])  # type: ignore[arg-type]
    slots = min(int(number), longest) if kind == "first" else longest
    made: dict[str, Any] = {"name": name, "role": role, "slots": slots, "sequence": sequence and kind != "number"}
    if kind in ("token", "first"):
        least = int(number) if kind == "token" and number else coding.min_count
        known = _vocabulary(*next(parts()), least, slots)
        return Field(**made, how="token", size=1 + len(known), learned=known)
    return _of_numbers(made, kind, int(number or 0), parts, name in coding.normalize or "all" in coding.normalize)


def _vocabulary(values: pl.Series, counts: Longs, least: int, slots: int) -> pl.Series:
    """The tokens that stand in ``least`` train rows, in order."""
    frame = pl.DataFrame({"value": values, "count": counts}).filter(pl.col("count") > 0)
    if values.dtype.is_nested():
        frame = frame.with_columns(pl.col("value").list.head(slots).list.unique()).explode("value")
    frame = frame.with_columns(pl.col("value").cast(pl.String))
    totals = frame.filter(pl.col("value") != "").group_by("value").agg(pl.col("count").sum())
    return totals.filter(pl.col("count") >= least)["value"].sort()


def _of_numbers(made: dict[str, Any], kind: str, number: int, parts: Parts, scaled: bool) -> Field:
    """A field of numbers: their scale, and the edges or logarithms that they are told apart by."""
    low, high, total, n = inf, -inf, 0.0, 0
    for known in _known(parts, kind):
        low, high = min(low, float(known.min())), max(high, float(known.max()))
        total, n = total + float(known.sum()), n + len(known)
    if not n:
        raise RecliError(Exit.DATA, f"{made['name']} has no number in train to make a field of")
    mean = total / n
    # As in RecBole, what does not vary becomes 1.
    scale = (low, high - low, mean) if high > low else (low - 1, 1.0, low)
    scale = scale if scaled else (0.0, 1.0, mean)
    if kind == "number":
        return Field(**made, how="number", size=1, scale=scale)
    low, high = ((end - scale[0]) / scale[1] for end in (low, high))
    each = ((known - scale[0]) / scale[1] for known in _known(parts, kind))
    if kind == "log":
        keys = np.unique(np.concatenate([np.unique(_logarithms(known)) for known in each]))
        return Field(**made, how="log", size=1 + len(keys), learned=keys, scale=scale)
    if kind == "bucket":
        edges = low + (high + 1e-9 - low) * np.arange(1, number) / number
    else:
        edges = np.unique(np.quantile(np.concatenate([*each]), np.arange(1, number) / number))
    return Field(**made, how="edges", size=2 + len(edges), learned=edges, scale=scale)


def _known(parts: Parts, kind: str) -> Iterator[Doubles]:
    """The numbers in train, part by part."""
    for values, counts in parts():
        flat = values.filter(pl.Series(counts > 0))
        if flat.dtype.is_nested():
            flat = flat.list.mean() if kind == "number" else flat.explode()
        if len(known := flat.drop_nulls().cast(pl.Float64).to_numpy()):
            yield known


def _logarithms(numbers: Doubles) -> Doubles:
    """floor(ln(x)² + 1) above 2, below it the number itself, as RecBole's LD."""
    return np.where(numbers > 2, np.floor(np.log(np.maximum(numbers, 2)) ** 2 + 1), numbers)
