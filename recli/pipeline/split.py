"""split and filter: interactions in, the same with a column ``split``, or fewer of them, out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recli import filters, sources, splits
from recli.errors import Exit, RecliError
from recli.pipeline.events import Events, Source, open_events, table_header
from recli.pipeline.step import Output, Product, Step, perform
from recli.schema import PARTS, SPLIT

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


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What is left out before anything else is done."""

    dedup: str | None = None
    ranges: Sequence[str] = ()
    min_rating: float | None = None
    user_kcore: int = 0
    item_kcore: int = 0

    def params(self) -> dict[str, Any]:
        """What of it is not the default."""
        plain = Filters()
        given = {name: value for name, value in vars(self).items() if value != getattr(plain, name)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}

    def apply(self, events: "pl.DataFrame") -> tuple["pl.DataFrame", dict[str, int]]:
        """The rows that stay, and how many each filter removed."""
        return filters.apply(
            events,
            keep=self.dedup,  # type: ignore[arg-type]  # the filter checks it
            ranges=[filters.parse_range(text) for text in self.ranges],
            least=self.min_rating,
            user=self.user_kcore,
            item=self.item_kcore,
        )


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """How to split: the name and the parameters that belong to it."""

    name: str = "ratio"
    params: Mapping[str, Any] = field(default_factory=dict)

    def label(self, events: "pl.DataFrame", ids: splits.Ids, note: Callable[[str], None]) -> "pl.Series":
        """train, valid, test or null for every row."""
        if self.name == "ratio":
            return splits.ratio(events, ids=ids, **self.params)
        if self.name == "leave-one-out":
            return splits.leave_one_out(events, ids=ids, **self.params)
        cut = splits.by_time(events, **self.params)
        moments = " and ".join(splits.moment(time, cut.unit) for time in cut.cuts)
        note(f"timestamps are read as {cut.unit}; cut at {moments}")
        return cut.split


def filter_table(path: Path, source: Source, chosen: Filters, output: Output) -> Path:
    """The rows of a table that pass the filters, as a table."""
    events = open_events(path, source).of_interactions()
    if events.is_split:
        hint = "filter before split, or give split the same flags"
        raise RecliError(Exit.DATA, "is split already", where=path, hint=hint)

    def work() -> Product:
        table = events.table
        frame, removed = chosen.apply(table.frame)
        _say_removed(removed, output.note)
        return Product(
            payload=frame, more=_header(table, frame), summary=f"{frame.height:,} of {table.frame.height:,} rows"
        )

    step = Step(
        command="filter",
        kind="inter",
        name=events.name,
        suffix=".inter.parquet",
        params=chosen.params() | source.params(),
        inputs=events.inputs,
        unnamed=tuple(source.params()),
        modules=["recli.pipeline.split"],
    )
    return perform(step, output, work)


def split(path: Path, source: Source, chosen: Filters, strategy: Strategy, output: Output) -> Path:
    """The interactions of ``path``, filtered and labelled."""
    events = open_events(path, source).of_interactions()
    if events.is_split:
        raise RecliError(Exit.DATA, "is split already", where=path, hint="split the table that it was made from")

    def work() -> Product:
        table = events.table
        _say_skipped(table, output.note)
        frame, removed = chosen.apply(table.frame)
        _say_removed(removed, output.note)
        ids = splits.Ids.of(frame)
        return _materialise(table, frame, ids, strategy.label(frame, ids, output.note), output)

    return perform(_step(events, strategy, chosen.params()), output, work)


def split_given(files: Mapping[str, Path], source: Source, chosen: Filters, output: Output) -> Path:
    """Files that already are the parts of a split."""
    parts = {part: open_events(path, source).of_interactions() for part, path in files.items()}
    inputs = tuple(item for events in parts.values() for item in events.inputs)
    first = next(iter(parts.values()))
    events = Events(path=first.path, source=source, artifact=None, inputs=tuple(dict.fromkeys(inputs)))

    def work() -> Product:
        import polars as pl

        frames = {part: events.table.frame for part, events in parts.items()}
        labels = pl.concat([pl.repeat(part, len(frame), eager=True) for part, frame in frames.items()])
        frame = pl.concat(frames.values(), how="diagonal").with_columns(labels.cast(splits.LABELS).alias(SPLIT))
        frame, removed = chosen.apply(frame)
        _say_removed(removed, output.note)
        return _materialise(first.table, frame.drop(SPLIT), splits.Ids.of(frame), frame[SPLIT], output)

    strategy = Strategy(name="given", params={"parts": list(files)})
    return perform(_step(events, strategy, chosen.params()), output, work)


def _step(events: Events, strategy: Strategy, filtered: Mapping[str, Any]) -> Step:
    read = events.source.params()
    return Step(
        command="split",
        kind="split",
        name=events.name,
        suffix=".split.parquet",
        params={"strategy": strategy.name, **strategy.params, **filtered, **read},
        defaults=DEFAULTS,
        unnamed=tuple(read),
        inputs=events.inputs,
        modules=["recli.pipeline.split"],
    )


def _materialise(
    table: sources.Table, frame: "pl.DataFrame", ids: splits.Ids, labels: "pl.Series", output: Output
) -> Product:
    """The one writer of splits: rows grouped by part, each part in the order it came in."""
    import polars as pl

    _say_leaks(splits.leaks(frame, labels, ids), output.note)
    labelled = frame.with_columns(labels.alias(SPLIT))
    parts = [labelled.filter(pl.col(SPLIT) == part) for part in PARTS]
    rows, start = {}, 0
    for part, rows_of_part in zip(PARTS, parts, strict=True):
        rows[part] = (start, start + rows_of_part.height)
        start += rows_of_part.height
    together = pl.concat(parts)
    counts = ", ".join(f"{part} {stop - begin:,}" for part, (begin, stop) in rows.items())
    return Product(payload=together, more=_header(table, together) | {"rows": rows}, summary=counts)


def _header(table: sources.Table, frame: "pl.DataFrame") -> dict[str, Any]:
    return table_header(table) | {"row_count": frame.height}


def _say_skipped(table: sources.Table, note: Callable[[str], None]) -> None:
    if table.skipped:
        note(f"{table.skipped:,} bad rows left out")


def _say_removed(removed: Mapping[str, int], note: Callable[[str], None]) -> None:
    for name, count in removed.items():
        if count:
            note(f"{name} removed {count:,} rows")


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
