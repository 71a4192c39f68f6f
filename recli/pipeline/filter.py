"""filter: interactions in, fewer of them out; what else leaves rows out takes the same filters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recli import filters
from recli.errors import Exit, RecliError
from recli.pipeline.companions import companion
from recli.pipeline.events import Events, Source, open_events, table_header
from recli.pipeline.step import Output, Product, Step, perform

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What is left out before anything else is done."""

    dedup: str | None = None
    ranges: Sequence[str] = ()
    only: Sequence[str] = ()
    min_rating: float | None = None
    user_kcore: int | str = 0
    item_kcore: int | str = 0

    def params(self) -> dict[str, Any]:
        """What of it is not the default."""
        plain = Filters()
        given = {name: value for name, value in vars(self).items() if value != getattr(plain, name)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}

    def apply(self, frame: "pl.DataFrame", events: Events, note: Callable[[str], None]) -> "pl.DataFrame":
        """The rows of ``frame`` that stay; ``events`` tell whose tables are beside. What each removed is said.

        Raises:
            RecliError: as the filters do; a filter by a table of users or items that is not there (exit 3).
        """

        def beside(role: str) -> "pl.DataFrame":
            table = companion(role, events, None)
            if table is None:
                hint = f"{role}.… is a column of NAME.{role}, which is looked for there"
                raise RecliError(Exit.DATA, f"has no table of {role}s beside it", where=events.path, hint=hint)
            return table.table.frame

        left, removed = filters.apply(
            frame,
            keep=self.dedup,  # type: ignore[arg-type]  # the filter checks it
            ranges=[filters.parse_range(text) for text in self.ranges],
            only=[filters.parse_only(text) for text in self.only],
            least=self.min_rating,
            user=filters.parse_core(self.user_kcore),
            item=filters.parse_core(self.item_kcore),
            beside=beside,
        )
        for name, count in removed.items():
            if count:
                note(f"{name} removed {count:,} rows")
        return left


def filter_table(path: Path, source: Source, chosen: Filters, output: Output) -> Path:
    """The rows of a table that pass the filters, as a table."""
    events = open_events(path, source).of_interactions()
    if events.is_split:
        hint = "filter before split, or give split the same flags"
        raise RecliError(Exit.DATA, "is split already", where=path, hint=hint)

    def work() -> Product:
        table = events.table
        frame = chosen.apply(table.frame, events, output.note)
        more = table_header(table) | {"row_count": frame.height}
        return Product(payload=frame, more=more, summary=f"{frame.height:,} of {table.frame.height:,} rows")

    step = Step(
        command="filter",
        kind="inter",
        name=events.name,
        suffix=".inter.parquet",
        params=chosen.params() | source.params(),
        inputs=events.inputs,
        unnamed=tuple(source.params()),
        modules=["recli.pipeline.filter"],
    )
    return perform(step, output, work)
