"""recli split."""

from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recli.cli import options as opt
from recli.cli.console import Console
from recli.errors import Exit, RecliError
from recli.schema import PARTS

if TYPE_CHECKING:
    from recli.pipeline.events import Source
    from recli.pipeline.filter import Filters
    from recli.pipeline.split import Sessions, Strategy

EXAMPLE = "Example: recli split ml-100k.inter --strategy leave-one-out --order time"
STRATEGIES = ("ratio", "leave-one-out", "time", "kfold", "given")
LEAVE = ("valid_and_test", "valid_only", "test_only")
OPTIONS = {
    "ratio": ("ratios", "group-by", "order", "dialect"),
    "leave-one-out": ("leave", "order", "dialect"),
    "time": ("at",),
    "kfold": ("folds", "group-by"),
    "given": (),
}


def strategy(
    strategy: Annotated[str, typer.Option("--strategy", metavar="|".join(STRATEGIES), help="How to split.")] = "ratio",
    ratios: Annotated[
        str | None, typer.Option("--ratios", help="ratio: shares of train, valid, test. [0.8,0.1,0.1]")
    ] = None,
    group_by: Annotated[
        str | None, typer.Option("--group-by", metavar="user|none", help="ratio, kfold: within whom. [user]")
    ] = None,
    order: Annotated[
        str | None, typer.Option("--order", metavar="random|time", help="What is first is train. [leave-one-out: time]")
    ] = None,
    leave: Annotated[
        str | None, typer.Option("--leave", metavar="|".join(LEAVE), help=f"leave-one-out: what of. [{LEAVE[0]}]")
    ] = None,
    folds: Annotated[
        int | None, typer.Option("--folds", min=2, metavar="N", help="kfold: into how many, each a split. [5]")
    ] = None,
    at: Annotated[str | None, typer.Option("--at", help="time: the cuts, quantiles or dates, such as 0.8,0.9.")] = None,
    dialect: Annotated[
        str | None, typer.Option("--dialect", metavar="recli|recbole", help="recbole: its very rows. [recli]")
    ] = None,
    session_gap: Annotated[
        str | None, typer.Option("--session-gap", metavar="30m", help="A longer pause begins a new session.")
    ] = None,
    session_col: Annotated[
        str | None, typer.Option("--session-col", metavar="COL", help="The column that tells a user's sessions apart.")
    ] = None,
    threshold: Annotated[
        str | None,
        typer.Option(
            "--threshold", metavar="COL=X", help="A label for a column: 1 from X up, else 0; the column goes."
        ),
    ] = None,
    seed: opt.Seed = 2020,
) -> "Strategy":
    """The options that say which row is train, valid or test, and what its label is."""
    from recli.labels import parse_threshold
    from recli.pipeline.split import Strategy

    opt.choice("--strategy", strategy, STRATEGIES)
    given = {"ratios": ratios, "group-by": group_by, "order": order, "leave": leave, "at": at, "dialect": dialect}
    given |= {"folds": None if folds is None else str(folds)}
    for name, value in given.items():
        if value is not None and name not in OPTIONS[strategy]:
            others = " or ".join(other for other, names in OPTIONS.items() if name in names)
            raise RecliError(Exit.USAGE, f"--{name} says nothing to --strategy {strategy}", hint=f"it is for {others}")
    of_rows: dict[str, Any] = {
        "sessions": _sessions(strategy, session_gap, session_col),
        "threshold": None if threshold is None else parse_threshold(threshold),
    }
    if strategy in ("ratio", "leave-one-out"):
        return Strategy(name=strategy, params=_by_order(strategy, given, seed), **of_rows)
    if strategy == "kfold":
        chosen = {"folds": folds or 5, "group_by": _group_by(group_by), "seed": seed}
        return Strategy(name=strategy, params=chosen, **of_rows)
    if strategy == "time" and at is None:
        hint = "--at 0.8,0.9 or --at 2020-01-01,2020-02-01"
        raise RecliError(Exit.USAGE, "--strategy time needs its cuts", hint=hint)
    return Strategy(name=strategy, params={} if at is None else {"at": at.split(",")}, **of_rows)


def _sessions(strategy: str, gap: str | None, column: str | None) -> "Sessions":
    """What is a session, if anything is."""
    from recli.pipeline.split import Sessions
    from recli.pipeline.weighing import seconds

    if gap is not None and column is not None:
        raise RecliError(Exit.USAGE, "--session-gap and --session-col contradict each other", hint="leave one out")
    if (gap or column) and strategy not in ("ratio", "leave-one-out", "time"):
        raise RecliError(Exit.USAGE, f"--strategy {strategy} knows no sessions", hint="ratio, leave-one-out or time")
    return Sessions(gap=None if gap is None else seconds("--session-gap", gap), column=column)


def _by_order(strategy: str, given: dict[str, str | None], seed: int) -> dict[str, Any]:
    """The parameters of the strategies that put the rows into an order and cut it."""
    usual = "random" if strategy == "ratio" else "time"
    order = opt.choice("--order", given["order"] or usual, ("random", "time"))
    chosen: dict[str, Any] = {
        "order": order,
        "dialect": opt.choice("--dialect", given["dialect"] or "recli", ("recli", "recbole")),
    }
    if order == "random":
        chosen["seed"] = seed
    if strategy == "leave-one-out":
        return chosen | {"leave": opt.choice("--leave", given["leave"] or LEAVE[0], LEAVE)}
    ratios = _numbers(given["ratios"] or "0.8,0.1,0.1")
    return chosen | {"ratios": ratios, "group_by": _group_by(given["group-by"])}


def _group_by(given: str | None) -> str:
    return opt.choice("--group-by", given or "user", ("user", "none"))


def _numbers(text: str) -> list[float]:
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = [nan]
    if not all(map(isfinite, numbers)):
        raise RecliError(Exit.USAGE, f"--ratios takes numbers such as 0.8,0.1,0.1, not {text!r}")
    return numbers


def companions(
    user_table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The users' table, if not beside the input.")
    ] = None,
    item_table: Annotated[Path | None, typer.Option(metavar="FILE", help="The items' table.")] = None,
    kg_table: Annotated[Path | None, typer.Option(metavar="FILE", help="The knowledge graph.")] = None,
    link_table: Annotated[Path | None, typer.Option(metavar="FILE", help="Which item is which entity.")] = None,
) -> dict[str, Path]:
    """The companion tables that were named."""
    given = {"user": user_table, "item": item_table, "kg": kg_table, "link": link_table}
    return {role: path for role, path in given.items() if path is not None}


def given(
    train: Annotated[Path | None, typer.Option(metavar="FILE", help="given: the train part.")] = None,
    valid: Annotated[Path | None, typer.Option(metavar="FILE", help="given: the validation part.")] = None,
    test: Annotated[Path | None, typer.Option(metavar="FILE", help="given: the test part.")] = None,
) -> dict[str, Path]:
    """The files that already are the parts."""
    files = zip(PARTS, (train, valid, test), strict=True)
    return {part: path for part, path in files if path is not None}


@opt.takes(strategy, given, opt.filters, companions, opt.making, opt.source)
def command(
    console: Console,
    strategy: "Strategy",
    given: dict[str, Path],
    filters: "Filters",
    companions: dict[str, Path],
    making: opt.Making,
    source: "Source",
    inputs: opt.Inputs = None,
) -> None:
    """Label every interaction as train, valid or test.

    By default 8:1:1 within each user, at random. The file written holds the interactions, filtered if asked, with a
    column that says where each belongs; what leaks from test into train is told on stderr. kfold writes a file for each
    fold, which is test in it and train in the others; given reads GroupLens' five, u1.base and u1.test and so on, from
    a folder. With --session-gap or --session-col a session stands for the user, and time and --group-by none put whole
    sessions into a part, by their last event. --threshold rating=4 writes a column label, which models of clicks learn.
    """
    from dataclasses import replace

    from recli.pipeline import split as steps

    source = replace(source, companions=companions)
    out = making.output(console)
    if given and strategy.name != "given":
        raise RecliError(Exit.USAGE, "--train, --valid and --test are parts", hint="--strategy given reads them")
    if strategy.name == "given" and (given or not inputs):
        if "train" not in given or len(given) < 2 or inputs:
            message = "--strategy given takes --train and --test (and --valid), and no other input"
            raise RecliError(Exit.USAGE, message, hint="or a folder of GroupLens' folds, u1.base to u5.test")
        threshold = strategy.threshold
        opt.map_over([given["train"]], making, lambda _: steps.split_given(given, source, filters, out, threshold))
        return
    if strategy.name in ("kfold", "given") and making.path is not None and "{fold}" not in making.path:
        raise RecliError(Exit.USAGE, "-o names one file for several folds", hint="put {fold} into it, their number")
    paths = opt.inputs_of(console, inputs, making.path)
    if strategy.name == "given":
        threshold = strategy.threshold
        opt.map_over(paths[:1], making, lambda _: steps.split_given_folds(paths, source, filters, out, threshold))
        return
    one = steps.split_folds if strategy.name == "kfold" else steps.split
    opt.map_over(paths, making, lambda path: one(path, source, filters, strategy, out))
