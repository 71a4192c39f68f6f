"""recli train."""

from typing import TYPE_CHECKING, Annotated

import typer

from recli.cli import options as opt
from recli.cli.console import Console, print_paths

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
    seed: opt.Seed = 2020,
) -> None:
    """Fit one model on the train part of a split, or on a whole table.

    recli models NAME lists the parameters that -p sets.
    """
    from recli.models import catalog

    catalog.find(model)
    opt.choice("--fit-on", fit_on, tuple(FIT_ON))
    paths = opt.inputs_of(console, inputs, making.path)
    from recli.model import Run, parse
    from recli.pipeline.train import train

    run = Run(seed=seed, threads=opt.thread_count(), progress=console.progress)
    given, out = parse(param or ()), making.output(console)
    made = [train(path, source, model, given, run, out, fit_on=FIT_ON[fit_on]) for path in paths]
    if not making.to_stream:
        print_paths(made)
