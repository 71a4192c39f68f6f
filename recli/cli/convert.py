"""recli convert."""

from typing import TYPE_CHECKING, Annotated

import typer

from recli.cli import options as opt
from recli.cli.console import Console

if TYPE_CHECKING:
    from recli.pipeline.events import Source

EXAMPLE = "Example: recli convert ratings.csv --user-col user --item-col movie"
TO = ("parquet", "atomic", "csv", "tsv", "libfm")


@opt.takes(opt.making, opt.source)
def command(
    console: Console,
    making: opt.Making,
    source: "Source",
    inputs: opt.Inputs = None,
    to: Annotated[str, typer.Option("--to", metavar="|".join(TO), help="What to write.")] = "parquet",
) -> None:
    """Turn any source into a table of recli's, or a table into text.

    Reads atomic files, MovieLens' own, CSV, TSV, JSON lines, Parquet, adjacency lists, pairs and sessions, plain or
    compressed; a folder or an archive gives one table for each of its files. - is data on stdin.

    libfm, of LibFM and LibSVM, has lines of target index:value …: the target is the rating, the first index the user,
    the second the item (or --user-col index3), the others are columns index3, index4, …, or one of sequences where
    lines differ in length. Written again they are the same lines; of any other table each token gets an index.

    -o '{name}.{part}.csv' writes a file for each part of a split; in libfm they share their indices.
    """
    opt.choice("--to", to, TO)
    paths = opt.inputs_of(console, inputs, making.path)
    from recli.pipeline.convert import convert

    if making.to_stream and to == "parquet" and making.path == "-":
        to = "tsv"
    out = making.output(console)
    parts = making.path is not None and "{part}" in making.path  # of several tables the interactions are printed
    opt.map_over(paths, making, lambda path: convert(path, source, to, out)[: None if parts else 1])
