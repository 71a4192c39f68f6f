"""recli convert."""

from typing import TYPE_CHECKING, Annotated

import typer

from recli.cli import options as opt
from recli.cli.console import Console

if TYPE_CHECKING:
    from recli.pipeline.events import Source

EXAMPLE = "Example: recli convert ratings.csv --user-col user --item-col movie"


@opt.takes(opt.making, opt.source)
def command(
    console: Console,
    making: opt.Making,
    source: "Source",
    inputs: opt.Inputs = None,
    to: Annotated[str, typer.Option("--to", metavar="parquet|atomic|csv|tsv", help="What to write.")] = "parquet",
) -> None:
    """Turn any source into a table of recli's, or a table into text.

    Reads atomic files, MovieLens' own, CSV, TSV, JSON lines, Parquet, adjacency lists, pairs and sessions, plain or
    compressed; a folder or an archive gives one table for each of its files. - is data on stdin.
    """
    opt.choice("--to", to, ("parquet", "atomic", "csv", "tsv"))
    paths = opt.inputs_of(console, inputs, making.path)
    from recli.pipeline.convert import convert

    if making.to_stream and to == "parquet" and making.path == "-":
        to = "tsv"
    out = making.output(console)
    opt.map_over(paths, making, lambda path: convert(path, source, to, out)[0])
