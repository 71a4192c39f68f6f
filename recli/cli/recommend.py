"""recli recommend."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recli.cli import options as opt
from recli.cli.console import Console

if TYPE_CHECKING:
    from recli.pipeline.events import Source
    from recli.pipeline.recommend import Request

EXAMPLE = "Example: recli recommend ml-100k.ease.npz -k 20 --users 196,186"
PHASES = ("valid", "test", "all")


def request(
    phase: Annotated[
        str | None,
        typer.Option("--phase", metavar="|".join(PHASES), help="For whom, and what is seen. [test, else all]"),
    ] = None,
    users: Annotated[str | None, typer.Option("--users", metavar="ID,...|@FILE", help="Only these users.")] = None,
    history: Annotated[
        Path | None, typer.Option("--history", metavar="FILE", help="Other histories, for the users that it names.")
    ] = None,
    items: Annotated[str | None, typer.Option("--items", metavar="ID,...|@FILE", help="Recommend only these.")] = None,
    exclude: Annotated[str | None, typer.Option("--exclude", metavar="ID,...|@FILE", help="Never these.")] = None,
    allow_seen: Annotated[bool, typer.Option("--allow-seen", help="Also what the user has already.")] = False,
    rolling: Annotated[
        bool, typer.Option("--rolling", help="A query for every held-out row, with the history before it.")
    ] = False,
    split: Annotated[Path | None, typer.Option("--split", metavar="FILE", help="The split, if it was moved.")] = None,
) -> "Request":
    """The options that say to whom what is recommended."""
    from recli.pipeline.recommend import Request

    given = [opt.ids_of(*pair) for pair in (("--users", users), ("--items", items), ("--exclude", exclude))]
    return Request(
        phase=None if phase is None else opt.choice("--phase", phase, PHASES),
        users=given[0],
        history=history,
        items=given[1],
        exclude=given[2] or (),
        files=[ids.file for ids in given if ids is not None and ids.file is not None],
        allow_seen=allow_seen,
        rolling=rolling,
        split=split,
    )


@opt.takes(request, opt.making, opt.source)
def command(
    console: Console,
    request: "Request",
    making: opt.Making,
    source: "Source",
    inputs: opt.Inputs = None,
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="The length of the lists.")] = 10,
) -> None:
    """List the k best items for every user.

    For test (the default) the users are those with a test row, and what they have in train and valid is left out; for
    valid likewise with train; for all everybody, and everything they have. --history serves users the model has never
    seen, where the model can.
    """
    from dataclasses import replace

    paths = opt.inputs_of(console, inputs, making.path)
    from recli.pipeline.recommend import recommend

    asked = replace(request, k=k, source=source)
    out = making.output(console)
    opt.map_over(paths, making, lambda path: recommend(path, asked, out))
