"""recli train."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recli.cli import options as opt
from recli.cli.console import Console

if TYPE_CHECKING:
    from recli.pipeline.events import Source

EXAMPLE = "Example: recli train ml-100k.split.parquet --model ease -p reg_weight=500"
FIT_ON = {"train": ("train",), "train,valid": ("train", "valid"), "all": ("train", "valid", "test")}


@opt.takes(opt.making, opt.source)
def command(
    console: Console,
    making: opt.Making,
    source: "Source",
    model: Annotated[
        str, typer.Option("--model", metavar="M", help="A model (recli models lists them), or FILE.py:CLASS.")
    ],
    inputs: opt.Inputs = None,
    param: Annotated[
        list[str] | None, typer.Option("-p", "--param", metavar="KEY=VALUE", help="A hyper-parameter; may be repeated.")
    ] = None,
    fit_on: Annotated[str, typer.Option("--fit-on", metavar="|".join(FIT_ON), help="The parts to fit on.")] = "train",
    weight: Annotated[
        str | None,
        typer.Option("--weight", metavar="COL|VALUE=X,...", help="What an event weighs: a column, or worth of values."),
    ] = None,
    half_life: Annotated[
        str | None, typer.Option("--half-life", metavar="30d", help="An event weighs half, so long before the newest.")
    ] = None,
    init: Annotated[
        Path | None, typer.Option("--init", metavar="OLD.npz", help="Start from the rows of an older model.")
    ] = None,
    user_table: Annotated[
        Path | None, typer.Option("--user-table", metavar="FILE", help="The users' table, if not the split's.")
    ] = None,
    item_table: Annotated[
        Path | None, typer.Option("--item-table", metavar="FILE", help="The items' table, if not the split's.")
    ] = None,
    seed: opt.Seed = 2020,
) -> None:
    """Fit one model on the train part of a split, or on a whole table.

    recli models NAME lists the parameters that -p sets. --weight COL takes a column of numbers, --weight
    COL:view=1,buy=5 words, each for so much; without COL: the one column that has them. An event's weight is what the
    model counts it for; those of a user and an item add up. What recommend --history gives weighs by the same column
    where it has it, else 1, and is not aged.
    """
    from recli.models import catalog

    catalog.find(model)
    opt.choice("--fit-on", fit_on, tuple(FIT_ON))
    paths = opt.inputs_of(console, inputs, making.path)
    from dataclasses import replace

    from recli.model import Run, parse
    from recli.pipeline.train import train
    from recli.pipeline.weighing import Weighing

    tables = {"user": user_table, "item": item_table}
    source = replace(source, companions={role: file for role, file in tables.items() if file is not None})
    weighing = Weighing.parse(weight, half_life)
    run = Run(seed=seed, threads=opt.thread_count(), progress=console.progress)
    given, out = parse(param or ()), making.output(console)
    how: dict[str, Any] = {"fit_on": FIT_ON[fit_on], "weighing": weighing, "init": init}
    opt.map_over(paths, making, lambda path: train(path, source, model, given, run, out, **how))
