"""split: interactions in, the same with a column ``split`` out."""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recli import labels, sessions, sources, splits
from recli.errors import Exit, RecliError
from recli.labels import Threshold
from recli.pipeline.events import Events, Source, open_events, table_header
from recli.pipeline.filter import Filters
from recli.pipeline.folds import Fold
from recli.pipeline.step import Output, Product, Step, perform
from recli.schema import LABEL, PARTS, SPLIT
from recli.sources.names import bare, is_pattern

if TYPE_CHECKING:
    import polars as pl

DEFAULTS: Final[Mapping[str, Any]] = {
    "strategy": "ratio",
    "ratios": [0.8, 0.1, 0.1],
    "group_by": "user",
    "order": "random",
    "seed": 2020,
    "dialect": "recli",
}
_FOLD: Final = re.compile(r"u([1-5])\.(base|test)")  # GroupLens' five; ua and ub are other splits
_GIVEN: Final = {"base": "train", "test": "test"}
OF_FOLDS: Final[Mapping[str, Any]] = {"strategy": "kfold", "folds": 5, "group_by": "user", "seed": 2020}


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """What is a session, and then stands for the user: no pause above ``gap`` seconds, or the same ``column``."""

    gap: float | None = None
    column: str | None = None

    def params(self) -> dict[str, Any]:
        """What of it was asked for."""
        named = {"session_gap": self.gap, "session_col": self.column}
        return {name: value for name, value in named.items() if value is not None}

    def cut(self, events: "pl.DataFrame") -> "pl.DataFrame":
        """The events with their sessions for users, if there are to be such."""
        if self.gap is not None:
            return sessions.by_gap(events, self.gap)
        return events if self.column is None else sessions.by_column(events, self.column)


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """How to split: the name and its parameters, the sessions that are split, and what makes a row's label 1."""

    name: str = "ratio"
    params: Mapping[str, Any] = field(default_factory=dict)
    sessions: Sessions = field(default_factory=Sessions)
    threshold: Threshold | None = None

    def all_params(self) -> dict[str, Any]:
        """Those of the name, and what else was asked for."""
        asked = {} if self.threshold is None else {"threshold": str(self.threshold)}
        return {"strategy": self.name, **self.params, **self.sessions.params(), **asked}

    def label(self, events: "pl.DataFrame", ids: splits.Ids, note: Callable[[str], None]) -> "pl.Series":
        """train, valid, test or null for every row; sessions are not parted where the whole table is cut at once."""
        if self.sessions.params() and (self.name == "time" or self.params.get("group_by") == "none"):
            return sessions.whole(events, lambda ends: self._label(ends, splits.Ids.of(ends), note))
        return self._label(events, ids, note)

    def _label(self, events: "pl.DataFrame", ids: splits.Ids, note: Callable[[str], None]) -> "pl.Series":
        if self.name == "ratio":
            return splits.ratio(events, ids=ids, **self.params)
        if self.name == "leave-one-out":
            return splits.leave_one_out(events, ids=ids, **self.params)
        cut = splits.by_time(events, **self.params)
        moments = " and ".join(splits.moment(time, cut.unit) for time in cut.cuts)
        note(f"timestamps are read as {cut.unit}; cut at {moments}")
        return cut.split


def split(path: Path, source: Source, chosen: Filters, strategy: Strategy, output: Output) -> Path:
    """The interactions of ``path``, filtered and labelled."""
    events = _unsplit(path, source)

    def work() -> Product:
        frame = _filtered(events, chosen, output, strategy.sessions)
        ids = splits.Ids.of(frame)
        parts = strategy.label(frame, ids, output.note)
        return _materialise(events.table, frame, ids, parts, output, strategy.threshold)

    return perform(_step(events, strategy, chosen.params()), output, work)


def split_folds(path: Path, source: Source, chosen: Filters, strategy: Strategy, output: Output) -> list[Path]:
    """The interactions of ``path``, filtered, once for each fold, which is test in it and train in the others."""
    events = _unsplit(path, source)

    @cache
    def drawn() -> "tuple[pl.DataFrame, splits.Ids, list[pl.Series]]":
        frame = _filtered(events, chosen, output)
        ids = splits.Ids.of(frame)
        return frame, ids, splits.kfold(frame, ids=ids, **strategy.params)

    def work(number: int, said: Output) -> Product:
        frame, ids, folds = drawn()
        return _materialise(events.table, frame, ids, folds[number - 1], said, strategy.threshold)

    numbers = range(1, strategy.params["folds"] + 1)
    steps = ((number, _step(events, strategy, chosen.params(), number)) for number in numbers)
    return _perform_folds(steps, output, work)


def split_given(
    files: Mapping[str, Path], source: Source, chosen: Filters, output: Output, threshold: Threshold | None = None
) -> Path:
    """Files that already are the parts of a split."""
    parts = {part: open_events(path, source).of_interactions() for part, path in files.items()}
    strategy = Strategy(name="given", params={"parts": list(files)}, threshold=threshold)
    step = _step(_together(next(iter(files.values())), parts), strategy, chosen.params())
    return perform(step, output, lambda: _joined(parts, chosen, output, threshold))


def split_given_folds(
    paths: Sequence[Path], source: Source, chosen: Filters, output: Output, threshold: Threshold | None = None
) -> list[Path]:
    """GroupLens' own folds, ``u1.base`` and ``u1.test`` and so on, in a folder, of a pattern, or named one by one."""
    folds = {
        number: {part: open_events(file, source).of_interactions() for part, file in files.items()}
        for number, files in sorted(_fold_files(paths).items())
    }
    digests = [item.sha256 for parts in folds.values() for events in parts.values() for item in events.inputs]
    params = {"parts": ["train", "test"], "folds": len(folds), "files": sha256("".join(digests).encode()).hexdigest()}
    strategy = Strategy(name="given", params=params, threshold=threshold)
    folder = next(iter(folds.values()))["train"].path.parent
    steps = ((n, _step(_together(folder, parts), strategy, chosen.params(), n)) for n, parts in folds.items())
    return _perform_folds(steps, output, lambda number, said: _joined(folds[number], chosen, said, threshold))


def _fold_files(paths: Sequence[Path]) -> dict[int, dict[str, Path]]:
    """The files by fold and part; ``ua.base`` and ``ub.base`` are of none.

    Raises:
        RecliError: no fold, or one of them twice (exit 2); half of one (exit 3); no such file (exit 4).
    """
    found: dict[int, dict[str, Path]] = {}
    for file in (file for path in paths for file in _listed(path)):
        name = _FOLD.fullmatch(bare(file.name))
        if name is None:
            continue
        other = found.setdefault(int(name[1]), {}).setdefault(_GIVEN[name[2]], file)
        if other != file:
            raise RecliError(Exit.USAGE, f"is the same part of a fold as {other}", where=file)
    if not found:
        hint = "u1.base, u1.test and so on; --train and --test name the parts of one split"
        raise RecliError(Exit.USAGE, "holds no folds", where=paths[0], hint=hint)
    for files in found.values():
        if len(files) == 1:
            raise RecliError(Exit.DATA, "is half of a fold: .base and .test make one", where=next(iter(files.values())))
    return found


def _listed(path: Path) -> list[Path]:
    """The files that a path stands for: in a folder, of a pattern, or itself."""
    if path.is_dir():
        return sorted(path.iterdir())
    if is_pattern(path):
        return sorted(path.parent.glob(path.name))
    if not path.exists():
        raise RecliError(Exit.IO, "no such file", where=path)
    return [path]


def _unsplit(path: Path, source: Source) -> Events:
    """Interactions that are to be split.

    Raises:
        RecliError: they are (exit 3).
    """
    events = open_events(path, source).of_interactions()
    if events.is_split:
        raise RecliError(Exit.DATA, "is split already", where=path, hint="split the table that it was made from")
    return events


def _filtered(
    events: Events,
    chosen: Filters,
    output: Output,
    within: Sessions | None = None,
) -> "pl.DataFrame":
    """The rows, of sessions where they are asked for, that pass the filters; what was left out is said."""
    _say_skipped(events.table, output.note)
    cut = events.table.frame if within is None else within.cut(events.table.frame)
    return chosen.apply(cut, events, output.note)


def _together(path: Path, parts: Mapping[str, Events]) -> Events:
    """Files that are read as one: by the name of ``path``."""
    inputs = dict.fromkeys(item for events in parts.values() for item in events.inputs)
    return Events(path=path, source=next(iter(parts.values())).source, artifact=None, inputs=tuple(inputs))


def _joined(parts: Mapping[str, Events], chosen: Filters, output: Output, threshold: Threshold | None) -> Product:
    """The rows of files that already are the parts, filtered together."""
    import polars as pl

    tables = {part: events.table for part, events in parts.items()}
    part = pl.concat([pl.repeat(name, len(table.frame), eager=True) for name, table in tables.items()])
    frame = pl.concat([table.frame for table in tables.values()], how="diagonal")
    labelled = frame.with_columns(part.cast(splits.LABELS).alias(SPLIT))
    frame = chosen.apply(labelled, next(iter(parts.values())), output.note)
    first = next(iter(tables.values()))
    return _materialise(first, frame.drop(SPLIT), splits.Ids.of(frame), frame[SPLIT], output, threshold)


def _perform_folds(
    steps: Iterable[tuple[int, Step]], output: Output, work: Callable[[int, Output], Product]
) -> list[Path]:
    """One artifact a fold, said in one line; what leaks is said of the first that is made, with -v of each."""
    started = time.perf_counter()
    quiet = replace(output, note=output.detail)
    made: list[Mapping[str, tuple[int, int]]] = []

    def one(number: int) -> Product:
        loud = output if not made else quiet
        product = work(number, replace(loud, note=lambda text: loud.note(f"fold {number}: {text}")))
        made.append(product.more["rows"])
        return product

    paths = [perform(step, quiet, partial(one, number)) for number, step in steps]
    first, last = paths[0], paths[-1]
    if made:
        sizes = {part: [stop - start for start, stop in (rows[part] for rows in made)] for part in PARTS}
        shown = ", ".join(f"{part} {_between(of_part)}" for part, of_part in sizes.items())
        output.note(f"{first} to {last.name}: {shown}, {time.perf_counter() - started:.2f} s")
    else:
        output.note(f"{first} to {last.name}: up to date")
    return paths


def _between(sizes: Sequence[int]) -> str:
    least, most = min(sizes), max(sizes)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _step(events: Events, strategy: Strategy, filtered: Mapping[str, Any], number: int | None = None) -> Step:
    read = events.source.params()
    folded = {} if number is None else {"fold": number}
    return Step(
        command="split",
        kind="split",
        name=events.name,
        suffix=".split.parquet" if number is None else f".fold{number}.split.parquet",
        params={**strategy.all_params(), **folded, **filtered, **read},
        defaults=OF_FOLDS if strategy.name == "kfold" else DEFAULTS,
        unnamed=(*read, "fold", "files"),
        inputs=events.inputs,
        modules=["recli.pipeline.split"],
        fold=None if number is None else Fold(number=number),
    )


def _materialise(
    table: sources.Table,
    frame: "pl.DataFrame",
    ids: splits.Ids,
    part: "pl.Series",
    output: Output,
    threshold: Threshold | None,
) -> Product:
    """The one writer of splits: rows grouped by part, each part in the order it came in."""
    import polars as pl

    with ThreadPoolExecutor(1) as pool:
        leaks = pool.submit(splits.leaks, frame, part, ids)
        if threshold is not None:
            frame = labels.label(frame, threshold)
            table = _labelled(table, frame)
        labelled = frame.with_columns(part.alias(SPLIT))
        parts = [labelled.filter(pl.col(SPLIT) == name) for name in PARTS]
    _say_leaks(leaks.result(), output.note)
    rows, start = {}, 0
    for name, rows_of_part in zip(PARTS, parts, strict=True):
        rows[name] = (start, start + rows_of_part.height)
        start += rows_of_part.height
    together = pl.concat(parts)
    if threshold is not None:
        output.note(f"label: 1 in {together[LABEL].sum():,.0f} of {together.height:,} rows, by {threshold}")
    counts = ", ".join(f"{name} {stop - begin:,}" for name, (begin, stop) in rows.items())
    more = table_header(table) | {"row_count": together.height, "rows": rows}
    return Product(payload=together, more=more, summary=counts)


def _labelled(table: sources.Table, frame: "pl.DataFrame") -> sources.Table:
    """What is known of the columns of ``frame``, in which a label has taken the place of a column of the table."""
    there = frame.columns
    return replace(
        table,
        types={**{name: kind for name, kind in table.types.items() if name in there}, LABEL: "float"},
        originals={name: theirs for name, theirs in table.originals.items() if name in there},
        dtypes={name: dtype for name, dtype in table.dtypes.items() if name in there},
    )


def _say_skipped(table: sources.Table, note: Callable[[str], None]) -> None:
    if table.skipped:
        note(f"{table.skipped:,} bad rows left out")


def _say_leaks(leaks: splits.Leaks, note: Callable[[str], None]) -> None:
    """What test gives away to train, and what it asks for that train never saw."""
    users = ", ".join(f"{part} {count:,}" for part, count in leaks.users.items())
    note(f"users: {users}")
    if leaks.late is not None and leaks.late > 0:
        note(f"leak: {leaks.late:.1%} of the test rows are older than a train row")
    if leaks.cold_users or leaks.cold_items:
        items = f"{leaks.cold_items:,} items ({leaks.cold_item_share:.1%})"
        note(
            f"cold: {leaks.cold_users:,} users ({leaks.cold_user_share:.1%}) and {items} of test are absent from train"
        )
