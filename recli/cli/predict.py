"""recli predict."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recli.cli import options as opt
from recli.cli.console import Console
from recli.errors import Exit, RecliError

if TYPE_CHECKING:
    from recli.pipeline.events import Source

EXAMPLE = "Example: recli predict ml-100k.baseline.npz --pairs pairs.csv"
PHASES = ("valid", "test")


@opt.takes(opt.making, opt.source)
def command(
    console: Console,
    making: opt.Making,
    source: "Source",
    inputs: opt.Inputs = None,
    pairs: Annotated[
        Path | None, typer.Option("--pairs", metavar="FILE", help="A user and an item a row. [the held-out rows]")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every pair of the model's users and items that it was not fitted on.")
    ] = False,
    phase: Annotated[
        str | None, typer.Option("--phase", metavar="|".join(PHASES), help="Which held-out rows. [test]")
    ] = None,
    history: Annotated[
        Path | None, typer.Option("--history", metavar="FILE", help="Other histories, for the users of --pairs.")
    ] = None,
    rolling: Annotated[
        bool, typer.Option("--rolling", help="Score every held-out row from the history before it.")
    ] = False,
    split: Annotated[Path | None, typer.Option("--split", metavar="FILE", help="The split, if it was moved.")] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="--pairs is a Parquet file, scored by a model of fields group by group.")
    ] = False,
) -> None:
    """Score pairs of a user and an item: those held out, those of a file, or with --all those without a rating.

    A model of ratings keeps to the scale it was trained on. Where it does not know the user it goes by the item alone,
    or the other way about; where it knows neither, or cannot tell, the mean rating stands; stderr says how often. A
    second argument that is no model is taken for the pairs.
    """
    if pairs is None and inputs is not None and len(inputs) == 2 and not inputs[1].endswith(".npz"):
        inputs, pairs = inputs[:1], Path(inputs[1])
    if str(pairs) == "-" and (inputs is None or len(inputs) > 1):
        raise RecliError(Exit.USAGE, "the pairs on stdin are for one model", hint="name it as an argument")
    paths = opt.inputs_of(console, inputs, making.path)
    from recli.pipeline.predict import predict
    from recli.pipeline.recommend import Request

    request = Request(
        phase=None if phase is None else opt.choice("--phase", phase, PHASES),
        history=history,
        rolling=rolling,
        split=split,
        source=source,
    )
    out = making.output(console)
    if stream:
        from recli.pipeline.stream import predict_stream

        if pairs is None:
            raise RecliError(Exit.USAGE, "--stream needs the rows to score", hint="--pairs FILE.parquet")
        opt.map_over(paths, making, lambda path: predict_stream(path, pairs, source, out, opt.thread_count()))
        return
    opt.map_over(paths, making, lambda path: predict(path, pairs, request, out, missing=everything))
