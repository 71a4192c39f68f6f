"""recli show."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recli.cli import options as opt
from recli.cli.console import Console, print_table, printable

if TYPE_CHECKING:
    from recli.artifact import Artifact

EXAMPLE = "Example: recli show ml-100k.ease.recs.parquet"


@opt.takes()
def command(
    console: Console,
    inputs: opt.Inputs = None,
    rows: Annotated[
        int, typer.Option("-n", "--rows", min=0, metavar="N", help="How many rows of a table to print.")
    ] = 10,
    as_json: opt.Json = False,
) -> None:
    """Look into an artifact: what it is, what made it from what, and its first rows."""
    paths = opt.inputs_of(console, inputs)
    from recli.artifact import load
    from recli.pipeline.lineage import lineage

    for path in paths:
        artifact = load(path)
        if as_json:
            document = {"path": str(path), "sha256": artifact.digest, **artifact.header.document()}
            sys.stdout.write(json.dumps(document, indent=1) + "\n")
            continue
        facts = [("file", str(path)), ("sha256", artifact.digest), *_facts(artifact)]
        facts += [("from", f"{'  ' * node.depth}{node.role}: {node.path} ({node.state})") for node in lineage(artifact)]
        width = max(len(name) for name, _ in facts)
        sys.stdout.write("".join(f"{name:<{width}}  {printable(text)}\n" for name, text in facts))
        _content(artifact, rows)
    sys.stdout.flush()


def _facts(artifact: "Artifact") -> list[tuple[str, str]]:
    header = artifact.header
    facts = [("kind", header.kind), ("made by", f"recli {header.recli} {header.command}")]
    facts += [(name, _text(value)) for name, value in header.params.items()]
    return facts + [(name, _text(value)) for name, value in header.more.items() if name not in header.params]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _content(artifact: "Artifact", rows: int) -> None:
    """The first rows of a table, the shapes of a model's arrays, the values of a result."""
    if artifact.header.kind == "metrics":
        table = [(name, entry["value"], entry["users"]) for name, entry in artifact.document["metrics"].items()]
        print_table(("metric", "value", "users"), table)
    elif artifact.header.kind == "model":
        table = [(name, str(array.dtype), "x".join(map(str, array.shape))) for name, array in artifact.arrays.items()]
        print_table(("array", "type", "shape"), table)
    elif rows:
        frame = artifact.frame().head(rows)
        cells = [[" ".join(map(str, cell)) if isinstance(cell, list) else cell for cell in row] for row in frame.rows()]
        print_table(frame.columns, cells)
