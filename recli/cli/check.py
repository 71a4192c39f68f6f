"""recli check."""

import sys

import typer

from recli.cli import options as opt
from recli.cli.console import Console, printable
from recli.errors import Exit, RecliError

EXAMPLE = "Example: recli check *.parquet *.npz"


@opt.takes()
def command(console: Console, inputs: opt.Inputs = None) -> None:
    """Verify artifacts: their own digests, and those of every file they were made from.

    A line for each file, and exit 1 where one is damaged, changed since, or missing.
    """
    paths = opt.inputs_of(console, inputs)
    from recli.artifact import load
    from recli.pipeline.lineage import lineage

    sound = True
    told = set()
    for path in paths:
        try:
            artifact = load(path)
        except RecliError as error:
            sound = False
            _say("damaged" if error.code is Exit.DATA else "missing", str(error))
            continue
        _say("ok", str(path))
        for node in lineage(artifact):
            sound &= node.state == "ok"
            if (node.path, node.state) not in told:
                told.add((node.path, node.state))
                _say(node.state, f"{node.path} ({node.role} of {path})")
    if not sound:
        raise typer.Exit(Exit.VERDICT)


def _say(state: str, text: str) -> None:
    sys.stdout.write(f"{state}\t{printable(text)}\n")
    sys.stdout.flush()
