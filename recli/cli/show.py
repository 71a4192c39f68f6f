"""recli show."""

import json
import shutil
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recli.cli import options as opt
from recli.cli.console import Console, print_table, printable
from recli.errors import Exit, RecliError

if TYPE_CHECKING:
    from recli.artifact import Artifact
    from recli.pipeline.matrix import Matrix

EXAMPLE = "Example: recli show ml-100k.ease.recs.parquet"


@opt.takes()
def command(
    console: Console,
    inputs: opt.Inputs = None,
    rows: Annotated[
        int | None, typer.Option("-n", "--rows", min=0, metavar="N", help="How many rows to print. [10; matrix: 50]")
    ] = None,
    matrix: Annotated[
        bool | None,
        typer.Option("--matrix/--no-matrix", help="Ratings as users by items. [predicted ones of 50 items or fewer]"),
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """Look into an artifact: what it is, what made it from what, and its first rows.

    Predicted ratings are shown among those that are known, marked with a star.
    """
    paths = opt.inputs_of(console, inputs)
    from recli.artifact import load
    from recli.pipeline.lineage import lineage

    for path in paths:
        artifact = load(path)
        if as_json:
            document = {"path": str(path), "sha256": artifact.digest, **artifact.header.document()}
            if matrix:
                document["matrix"] = _whole(artifact)
            sys.stdout.write(json.dumps(document, indent=1) + "\n")
            continue
        facts = [("file", str(path)), ("sha256", artifact.digest), *_facts(artifact)]
        facts += [("from", f"{'  ' * node.depth}{node.role}: {node.path} ({node.state})") for node in lineage(artifact)]
        width = max(len(name) for name, _ in facts)
        sys.stdout.write("".join(f"{name:<{width}}  {printable(text)}\n" for name, text in facts))
        _content(console, artifact, rows, matrix)
    sys.stdout.flush()


def _facts(artifact: "Artifact") -> list[tuple[str, str]]:
    header = artifact.header
    facts = [("kind", header.kind), ("made by", f"recli {header.recli} {header.command}")]
    facts += [(name, _text(value)) for name, value in header.params.items()]
    return facts + [(name, _text(value)) for name, value in header.more.items() if name not in header.params]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _content(console: Console, artifact: "Artifact", rows: int | None, matrix: bool | None) -> None:
    """The first rows of a table, a matrix of ratings, the shapes of a model's arrays, the values of a result."""
    from recli.pipeline.matrix import WIDEST, is_small, matrix_of

    if matrix or (matrix is None and rows != 0 and is_small(artifact)):
        found = matrix_of(artifact, WIDEST if rows is None else rows, WIDEST)
        if found.lacking is not None:
            console.note(found.lacking)
        _print_matrix(found, artifact.header.more.get("model", ""))
        return
    if artifact.header.kind == "metrics":
        table = [(name, entry["value"], entry["users"]) for name, entry in artifact.document["metrics"].items()]
        print_table(("metric", "value", "users"), table)
    elif artifact.header.kind == "model":
        table = [(name, str(array.dtype), "x".join(map(str, array.shape))) for name, array in artifact.arrays.items()]
        print_table(("array", "type", "shape"), table)
    elif rows != 0:
        frame = artifact.frame().head(10 if rows is None else rows)
        cells = [[" ".join(map(str, cell)) if isinstance(cell, list) else cell for cell in row] for row in frame.rows()]
        print_table(frame.columns, cells)


def _whole(artifact: "Artifact") -> dict[str, Any]:
    """The matrix as JSON takes it.

    Raises:
        RecliError: it has too many items to be looked at (exit 2).
    """
    from recli.pipeline.matrix import WIDEST, matrix_of

    found = matrix_of(artifact, None, WIDEST)
    if found.n_items > WIDEST:
        message = f"a matrix of {found.n_items:,} items is wider than {WIDEST}"
        raise RecliError(Exit.USAGE, message, where=artifact.path, hint="recli convert --to csv writes a row a rating")
    return found.document() | ({} if found.lacking is None else {"lacking": found.lacking})


def _print_matrix(matrix: "Matrix", model: str) -> None:
    """Users by items, what was predicted with a star; then what the star means, and what is left out."""
    rows = [[_cell(matrix, user, item) for item in matrix.items] for user in matrix.users]
    items, users = len(matrix.items), len(matrix.users)
    if sys.stdout.isatty():
        widths = [max(map(len, (name, *cells))) + 2 for name, *cells in zip(matrix.items, *rows, strict=True)]
        room = shutil.get_terminal_size().columns - max(map(len, ("user_id", *matrix.users)), default=0)
        items = max(1, sum(sum(widths[: place + 1]) <= room for place in range(items)))
        _draw(matrix, rows, items)
    else:
        print_table(
            ["user_id", *matrix.items], [[user, *cells] for user, cells in zip(matrix.users, rows, strict=True)]
        )
    if matrix.predicted:
        sys.stdout.write(f"* predicted by {model}\n")
    if items < matrix.n_items or users < matrix.n_users:
        sys.stdout.write(f"cut: {items} of {matrix.n_items:,} items, {users} of {matrix.n_users:,} users (-n N)\n")


def _cell(matrix: "Matrix", user: str, item: str) -> str:
    if (predicted := matrix.predicted.get((user, item))) is not None:
        return f"{predicted:.2f}*"
    known = matrix.known.get((user, item))
    return "" if known is None else f"{known:.15g}"


def _draw(matrix: "Matrix", rows: list[list[str]], items: int) -> None:
    """The first so many items, on a terminal."""
    from rich.console import Console as RichConsole
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("user_id", no_wrap=True)
    for item in matrix.items[:items]:
        table.add_column(printable(item), justify="right", no_wrap=True)
    for user, cells in zip(matrix.users, rows, strict=True):
        drawn = (Text(cell, "bold cyan" if cell.endswith("*") else "") for cell in cells[:items])
        table.add_row(printable(user), *drawn)
    RichConsole(soft_wrap=False, highlight=False, markup=False).print(table)
