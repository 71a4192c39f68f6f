"""The options that say what is measured and against what: evaluate's and compare's."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recli.cli import options as opt
from recli.errors import Exit, RecliError

if TYPE_CHECKING:
    from recli.pipeline.evaluate import Asked
    from recli.pipeline.events import Source

GAINS = ("binary", "linear", "exponential")
TRUTH = ("format", "sep", "user", "item", "rating", "time")


def judging(
    metrics: Annotated[
        str | None, typer.Option("--metrics", metavar="M@K,...", help="What to measure; recli metrics lists them.")
    ] = None,
    dialect: Annotated[
        str, typer.Option("--dialect", metavar="NAME", help="By another library's definitions: recbole, ranx, ...")
    ] = "recli",
    truth: Annotated[
        Path | None, typer.Option("--truth", metavar="FILE", help="The held-out rows, if not the split's.")
    ] = None,
    truth_cols: Annotated[
        str | None,
        typer.Option("--truth-cols", metavar="user=COL,...", help=f"How the truth is read: {', '.join(TRUTH)}."),
    ] = None,
    train: Annotated[
        Path | None, typer.Option("--train", metavar="FILE", help="What another program's lists were trained on.")
    ] = None,
    relevant: Annotated[
        str | None, typer.Option("--relevant", metavar="'rating>=4'", help="Which held-out rows count. [all]")
    ] = None,
    gain: Annotated[
        str | None,
        typer.Option("--gain", metavar="|".join(GAINS), help="What a relevant row is worth, by its rating. [binary]"),
    ] = None,
    candidates: Annotated[
        str,
        typer.Option("--candidates", metavar="all|labeled|sampled:N[:popularity]|FILE", help="What a model ranks."),
    ] = "all",
    features: Annotated[
        str | None, typer.Option("--features", metavar="COL,...", help="Item columns for diversity and calibration.")
    ] = None,
    user_table: Annotated[
        Path | None, typer.Option("--user-table", metavar="FILE", help="The users' table, if not the split's.")
    ] = None,
    item_table: Annotated[
        Path | None, typer.Option("--item-table", metavar="FILE", help="The items' table, if not the split's.")
    ] = None,
    score_col: Annotated[
        str | None, typer.Option("--score-col", metavar="COL", help="Another program's column of scores.")
    ] = None,
    rank_col: Annotated[str | None, typer.Option("--rank-col", metavar="COL", help="Its column of ranks.")] = None,
    query_col: Annotated[
        str | None, typer.Option("--query-col", metavar="COL", help="Its column of queries, if a user has several.")
    ] = None,
    seed: opt.Seed = 2020,
) -> "Asked":
    """What is measured, and what is right."""
    from recli.metrics import METRICS, parse
    from recli.metrics.dialects import DIALECTS
    from recli.pipeline.evaluate import Asked, Candidates, Condition, Relevance

    table = METRICS if dialect == "recli" else DIALECTS[opt.choice("--dialect", dialect, ("recli", *DIALECTS))]
    if opt.choice("--gain", gain or "binary", GAINS) != "binary" and dialect in ("recbole", "implicit", "rectools"):
        raise RecliError(Exit.USAGE, f"{dialect} knows no graded relevance", hint="leave out --gain")
    columns = {"score": score_col, "rank": rank_col, "query": query_col}
    companions = {"user": user_table, "item": item_table}
    return Asked(
        metrics=parse(metrics, table) if metrics is not None else [],
        table=table,
        dialect=dialect,
        truth=truth,
        truth_source=None if truth_cols is None else _source(truth_cols),
        train=train,
        relevance=Relevance(condition=None if relevant is None else Condition.parse(relevant), gain=gain or "binary"),
        gain_is_open=gain is None,
        candidates=Candidates.parse(candidates, seed),
        columns={name: column for name, column in columns.items() if column is not None},
        features=tuple(name for name in (features or "").split(",") if name),
        companions={role: path for role, path in companions.items() if path is not None},
    )


def _source(text: str) -> "Source":
    """``user=uid,item=iid,format=csv``: how the truth is read, where it is not as the lists are."""
    from recli.pipeline.events import Source
    from recli.sources import Options

    given: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise RecliError(Exit.USAGE, f"--truth-cols takes NAME=VALUE, not {part!r}", hint="such as user=uid")
        opt.choice("--truth-cols", name, TRUTH)
        given[name if name in ("format", "sep") else f"{name}_col"] = value
    return Source(options=Options(**given))
