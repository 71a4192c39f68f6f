"""Which column is which: the source's own names to canonical names, and the type of each column."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

import polars as pl

from recli.errors import Exit, RecliError, nearest
from recli.schema import FLOATS, IDS, ITEM, RATING, REQUIRED, TIME, USER, Type
from recli.sources.table import Options, Table, shown

# What files that are not atomic call them, compared without case, spaces, hyphens and underscores.
WELL_KNOWN: Final[dict[str, frozenset[str]]] = {
    USER: frozenset({"userid", "user", "uid", "useridx", "reviewerid", "customerid", "visitorid", "memberid"}),
    ITEM: frozenset({"itemid", "item", "iid", "itemidx", "movieid", "productid", "asin", "parentasin", "bookid"}),
    RATING: frozenset({"rating", "score", "stars", "overall"}),
    TIME: frozenset({"timestamp", "time", "ts", "unixtime", "unixreviewtime"}),
}
# The roles that a kind of table has. In other tables a name such as "score" is nobody's but its own.
ROLES: Final[dict[str, tuple[str, ...]]] = {
    "inter": (USER, ITEM, RATING, TIME),
    "user": (USER,),
    "item": (ITEM,),
    "link": (ITEM,),
}
COLUMN_FLAGS: Final = {USER: "--user-col", ITEM: "--item-col", RATING: "--rating-col", TIME: "--time-col"}


CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
MANY: Final = 20  # columns; a hint does not list more


class Column(NamedTuple):
    """One column: the source's name, the canonical name, the type, and whether every row must have a value.

    A type of None is told by the values, once they are read: decimals are floats, all else tokens.
    """

    name: str
    canonical: str
    type: Type | None
    needed: bool


def plan(
    names: Sequence[str],
    *,
    kind: str,
    options: Options,
    where: str,
    given: Mapping[str, Type] | None = None,
    guess: bool = False,
) -> tuple[Column, ...]:
    """The columns of a table of ``kind`` whose source calls them ``names``.

    ``given`` are the types that the source itself states, by its names; ``guess`` recognises names such as userId.
    Raises RecliError (DATA) for a name that is missing, empty or there twice, (USAGE) for an option that does not fit.
    """
    _check_names(names, where)
    canonical = _canonical_names(names, kind, options, where, guess=guess)
    missing = [column for column in REQUIRED.get(kind, ()) if column not in canonical.values()]
    if missing:
        flag = f"; {COLUMN_FLAGS[missing[0]]} NAME says which it is" if missing[0] in COLUMN_FLAGS else ""
        others = ", ".join(names) if len(names) <= MANY else f"{', '.join(names[:MANY])}, …"
        hint = f"the columns are: {others}{flag}"
        raise RecliError(Exit.DATA, f"no column {missing[0]}", hint=hint, where=where)
    columns = []
    for name in names:
        type_ = _type(name, canonical[name], options, where, (given or {}).get(name))
        needed = canonical[name] in IDS or (kind == "inter" and type_ == "float")
        columns.append(Column(name, canonical[name], type_, needed))
    return tuple(columns)


def renamed(columns: Sequence[Column]) -> dict[str, str]:
    """``Table.originals``: canonical to the source's name, where they differ."""
    return {column.canonical: column.name for column in columns if column.canonical != column.name}


def check_types(options: Options, tables: Collection[Table]) -> None:
    """Refuse (USAGE) a column in ``options.types`` that none of the tables read has."""
    known = {name for table in tables for name in (*table.types, *table.originals.values())}
    for name in options.types:
        if name not in known:
            raise RecliError(Exit.USAGE, f"--types: no column {name}", hint=nearest(name, known))


def inferred(frame: pl.DataFrame, columns: Sequence[Column]) -> tuple[pl.DataFrame, dict[str, Type]]:
    """Give every column of text without a type its own: float if all are numbers and one has a point, else token."""
    types: dict[str, Type] = {}
    for column in columns:
        numbers = _numbers(frame[column.canonical]) if column.type is None else None
        if numbers is not None:
            frame = frame.with_columns(numbers)
        types[column.canonical] = column.type or ("token" if numbers is None else "float")
    return frame, types


def _numbers(texts: pl.Series) -> pl.Series | None:
    if not texts.str.contains(".", literal=True).any():
        return None
    filled = texts != ""
    numbers = texts.cast(pl.Float64, strict=False)
    return numbers if (numbers.is_finite().fill_null(False) == filled).all() else None


def _check_names(names: Sequence[str], where: str) -> None:
    seen: set[str] = set()
    for position, name in enumerate(names, 1):
        if not name.strip():
            raise RecliError(Exit.DATA, f"column {position} has no name in the header", where=where)
        if CONTROL.search(name):
            raise RecliError(Exit.DATA, f"column {position} is called {shown(name)}: not a name", where=where)
        if name in seen:
            raise RecliError(Exit.DATA, f"column {shown(name)} is there twice", where=where)
        seen.add(name)


def _canonical_names(names: Sequence[str], kind: str, options: Options, where: str, *, guess: bool) -> dict[str, str]:
    """Source name to canonical name, for every column."""
    roles = ROLES.get(kind, ())
    canonical = {name: name for name in names}
    for role, flag in COLUMN_FLAGS.items():
        wanted = options.named.get(role)
        if wanted is not None and wanted not in names and role in roles:
            hint = nearest(wanted, names)
            raise RecliError(Exit.USAGE, f"{flag} {wanted}: no such column", hint=hint, where=where)
        if wanted is None and guess and role in roles and role not in names:
            wanted = _well_known(names, role, set(options.named.values()), where)
        if wanted in canonical:
            canonical[wanted] = role
    for name, role in canonical.items():
        if name != role and canonical.get(role) == role:
            message = f"{COLUMN_FLAGS[role]} {name}: another column is already called {role}"
            raise RecliError(Exit.USAGE, message, where=where)
    return canonical


def _well_known(names: Sequence[str], role: str, taken: set[str], where: str) -> str | None:
    plain = {name: name.lower().replace("_", "").replace("-", "").replace(" ", "") for name in names}
    found = [name for name in names if plain[name] in WELL_KNOWN[role] and name not in taken]
    if len(found) > 1:
        hint = f"{COLUMN_FLAGS[role]} NAME says which it is"
        raise RecliError(Exit.USAGE, f"{' and '.join(found)} could each be {role}", hint=hint, where=where)
    return found[0] if found else None


def _type(name: str, canonical: str, options: Options, where: str, given: Type | None) -> Type | None:
    fixed: Type | None = "token" if canonical in IDS else "float" if canonical in FLOATS else None
    wanted = options.types.get(canonical, options.types.get(name))
    if fixed is not None and wanted not in (None, fixed):
        raise RecliError(Exit.USAGE, f"--types {name}={wanted}: {canonical} is always a {fixed}", where=where)
    if fixed is not None and given not in (None, fixed):
        hint = f"write {name}:{fixed}"
        raise RecliError(Exit.DATA, f"{canonical} must be a {fixed}, not a {given}", hint=hint, where=where)
    return wanted or given or fixed
