"""recli metrics."""

import json
import sys
from inspect import getdoc
from typing import Annotated

import typer

from recli.cli import options as opt
from recli.cli.console import Console, print_table
from recli.errors import Exit, RecliError, nearest

EXAMPLE = "Example: recli metrics ndcg"


@opt.takes()
def command(
    console: Console,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A metric to explain.")] = None,
    as_json: opt.Json = False,
) -> None:
    """List the metrics, or explain one: its formula and what is counted."""
    from recli.metrics import METRICS

    if name is None:
        if as_json:
            listed = [{"name": n, "definition": m.definition, "summary": m.summary} for n, m in METRICS.items()]
            sys.stdout.write(json.dumps(listed, indent=1) + "\n")
        else:
            print_table(("metric", "definition", "summary"), [(n, m.definition, m.summary) for n, m in METRICS.items()])
        return
    if name.lower() not in METRICS:
        raise RecliError(Exit.USAGE, f"there is no metric {name!r}", hint=nearest(name, METRICS))
    metric = METRICS[name.lower()]
    sys.stdout.write(
        f"{metric.name}: {metric.summary}\n\n{getdoc(metric.function)}\n\ndefinition: {metric.definition}\n"
    )
