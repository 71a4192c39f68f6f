"""recli evaluate."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recli.cli import options as opt
from recli.cli.console import Console, print_paths, print_table
from recli.cli.recommend import request
from recli.errors import Exit, RecliError

if TYPE_CHECKING:
    from recli.metrics import Assertion
    from recli.pipeline.evaluate import Plan
    from recli.pipeline.events import Source
    from recli.pipeline.recommend import Request
    from recli.pipeline.step import Output

EXAMPLE = "Example: recli evaluate ml-100k.ease.recs.parquet --metrics ndcg@10,mrr@10 --assert 'ndcg@10>=0.30'"
DEFAULT = ("recall", "mrr", "ndcg", "hit", "precision")  # at 10


@opt.takes(request, opt.making, opt.source)
def command(
    console: Console,
    request: "Request",
    making: opt.Making,
    source: "Source",
    inputs: opt.Inputs = None,
    metrics: Annotated[
        str | None, typer.Option("--metrics", metavar="M@K,...", help="What to measure; recli metrics lists them.")
    ] = None,
    dialect: Annotated[
        str, typer.Option("--dialect", metavar="NAME", help="By another library's definitions: recbole, ranx, ...")
    ] = "recli",
    truth: Annotated[
        Path | None, typer.Option("--truth", metavar="FILE", help="The held-out rows, if not the split's.")
    ] = None,
    asserted: Annotated[
        list[str] | None,
        typer.Option("--assert", metavar="'M@K>=X'", help="Exit 1 where it does not hold; may be repeated."),
    ] = None,
    per_user: Annotated[
        Path | None, typer.Option("--per-user", metavar="FILE", help="Write the values of every user.")
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """Measure lists, or a model, against the rows that were held out.

    Lists of another program are a table with a user, an item and a rank or a score; --truth names what to hold them to.
    A model takes all of recommend's options. The result is a table on a terminal, TSV on a pipe, or JSON; -o writes it.
    """
    from dataclasses import replace

    from recli.metrics import METRICS, parse, parse_assertion
    from recli.metrics.dialects import DIALECTS

    table = METRICS if dialect == "recli" else DIALECTS[opt.choice("--dialect", dialect, ("recli", *DIALECTS))]
    assertions = [parse_assertion(text, table) for text in asserted or ()]
    chosen = metrics or ",".join(f"{name}@10" for name in DEFAULT if name in table)
    wanted = parse(",".join([chosen, *(str(assertion.metric) for assertion in assertions)]), table)
    paths = opt.inputs_of(console, inputs, making.path)
    if per_user is not None and str(per_user) == "-":
        raise RecliError(Exit.USAGE, "--per-user takes a file", hint="stdout is for the metrics")
    from recli.pipeline.evaluate import Asked, plan, write_per_user

    asked = Asked(metrics=wanted, table=table, dialect=dialect, truth=truth, request=replace(request, source=source))
    out = making.output(console)
    tables = opt.Making(None if per_user is None else str(per_user), making.force, making.overwrite).output(console)
    documents = {}
    for path in paths:
        planned = plan(path, asked, out)
        if per_user is not None:
            write_per_user(planned, tables)
        documents[path] = _document(planned, making, out)
    if making.path is None:
        _print(documents, as_json)
    elif not making.to_stream:
        print_paths(document["path"] for document in documents.values())
    _verdict(documents, assertions, console)


def _document(chosen: "Plan", making: opt.Making, out: "Output") -> dict[str, Any]:
    """The metrics of one input, written where that was asked for."""
    from recli.artifact import load
    from recli.pipeline.evaluate import write

    if making.path is None:
        return {"header": chosen.step.describe(), **chosen.result.document}
    path = write(chosen, out)
    return {"path": path, **(chosen.result.document if making.to_stream else load(path).document)}


def _print(documents: dict[Path, dict[str, Any]], as_json: bool) -> None:
    if as_json:
        values = list(documents.values())
        one = values[0] if len(values) == 1 else {"results": values}
        sys.stdout.write(json.dumps(one, indent=1, allow_nan=False) + "\n")
        sys.stdout.flush()
        return
    several = len(documents) > 1
    columns = [*(["input"] if several else []), "metric", "value", "warm", "users", "no_list"]
    counted = ("value", "warm", "users", "users_without_list")
    rows = [
        [*([str(path)] if several else []), name, *(entry[fact] for fact in counted)]
        for path, document in documents.items()
        for name, entry in document["metrics"].items()
    ]
    print_table(columns, rows, lambda cell: f"{cell:.4f}" if isinstance(cell, float) else f"{cell}")


def _verdict(documents: dict[Path, dict[str, Any]], assertions: "list[Assertion]", console: Console) -> None:
    failed = False
    for path, document in documents.items():
        for assertion in assertions:
            value = document["metrics"][str(assertion.metric)]["value"]
            said = f"{assertion.metric} is {value}"
            if value is not None and assertion.holds(value):
                console.note(f"assertion holds: {said}, {assertion.op} {assertion.bound:g}")
            else:
                failed = True
                bound = f"not {assertion.op} {assertion.bound:g}"
                sys.stderr.write(f"recli: assertion failed: {path}: {said}, {bound}\n")
    if failed:
        raise typer.Exit(Exit.VERDICT)
