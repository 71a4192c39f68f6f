"""recli similar."""

import json
import sys
from typing import Annotated

import typer

from recli.cli import options as opt
from recli.cli.console import Console, print_table
from recli.errors import Exit, RecliError

EXAMPLE = "Example: recli similar ml-100k.ease.npz --items 50,181 -k 5"


@opt.takes(opt.making)
def command(
    console: Console,
    making: opt.Making,
    inputs: opt.Inputs = None,
    items: Annotated[
        str | None, typer.Option("--items", metavar="ID,...|@FILE", help="Find the items nearest to these.")
    ] = None,
    users: Annotated[
        str | None, typer.Option("--users", metavar="ID,...|@FILE", help="Find the users nearest to these.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="How many neighbours.")] = 10,
    each: Annotated[bool, typer.Option("--each", help="Neighbours of each on its own, not of all as one set.")] = False,
    as_json: opt.Json = False,
) -> None:
    """Find what is nearest to an item, or what completes a set of items (a basket); or the users nearest to users.

    By the model's own weights between items where it has such, else by the cosine of its vectors. The result is a table
    on a terminal, TSV on a pipe, or JSON; -o writes it.
    """
    if (items is None) == (users is None):
        raise RecliError(Exit.USAGE, "--items or --users says whose neighbours", hint="--items 50,181")
    ids = opt.ids_of("--items", items) or opt.ids_of("--users", users) or opt.Ids()
    paths = opt.inputs_of(console, inputs, making.path)
    from recli.pipeline.recommend import load_model
    from recli.pipeline.similar import Wish, neighbours, similar

    files = [ids.file] if ids.file is not None else []
    wish = Wish(ids=ids, of="items" if items is not None else "users", k=k, each=each, files=files)
    if making.path is not None:
        out = making.output(console)
        opt.map_over(paths, making, lambda path: similar(path, wish, out))
        return
    if len(paths) > 1:
        raise RecliError(Exit.USAGE, "one model at a time", hint="-o '{name}.similar.parquet' writes a file for each")
    frame = neighbours(load_model(paths[0]), wish)
    if as_json:
        sys.stdout.write(json.dumps(frame.to_dicts(), indent=1) + "\n")
        sys.stdout.flush()
    else:
        print_table(frame.columns, frame.rows(), lambda cell: f"{cell:.4f}" if isinstance(cell, float) else f"{cell}")
