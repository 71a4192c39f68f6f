"""recli models."""

import json
import sys
from typing import Annotated

import typer

from recli.cli import options as opt
from recli.cli.console import Console, print_table
from recli.models import catalog

EXAMPLE = "Example: recli models als"


@opt.takes()
def command(
    console: Console,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A model to explain.")] = None,
    as_json: opt.Json = False,
) -> None:
    """List the models, or explain one: what it does and what -p sets."""
    if name is None:
        if as_json:
            listed = [{"name": n, "task": e.task, "summary": e.summary} for n, e in catalog.CATALOG.items()]
            sys.stdout.write(json.dumps(listed, indent=1) + "\n")
            return
        print_table(("model", "task", "summary"), [(n, e.task, e.summary) for n, e in catalog.CATALOG.items()])
        return
    from dataclasses import fields
    from inspect import getdoc

    chosen = catalog.resolve(name)
    rows = [
        (field.name, json.dumps(chosen.preset.get(field.name, field.default)), field.metadata["doc"])
        for field in fields(chosen.cls)
    ]
    if as_json:
        parameters = [{"name": n, "default": json.loads(d), "doc": doc} for n, d, doc in rows]
        document = {"name": chosen.name, "task": chosen.task, "doc": getdoc(chosen.cls), "parameters": parameters}
        sys.stdout.write(json.dumps(document, indent=1) + "\n")
        return
    sys.stdout.write(f"{chosen.name} ({chosen.task})\n\n{getdoc(chosen.cls)}\n\n")
    print_table(("parameter", "default", "meaning"), rows)
