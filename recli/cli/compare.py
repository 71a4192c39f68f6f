"""recli compare."""

import json
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recli.cli import options as opt
from recli.cli.console import Console, print_table
from recli.cli.judging import judging
from recli.cli.recommend import request
from recli.errors import Exit, RecliError

if TYPE_CHECKING:
    from recli.pipeline.compare import Comparison
    from recli.pipeline.evaluate import Asked
    from recli.pipeline.events import Source
    from recli.pipeline.recommend import Request

EXAMPLE = "Example: recli compare ml-100k.pop.recs.parquet ml-100k.ease.recs.parquet --metrics ndcg@10,recall@10"
LIKELY = 0.05  # below it a difference gets a star
COLUMNS = (
    "metric",
    "input",
    "value",
    "deviation",
    "difference",
    "low",
    "high",
    "p",
    "effect",
    "wins",
    "ties",
    "losses",
)


@opt.takes(judging, request, opt.source)
def command(
    console: Console,
    judging: "Asked",
    request: "Request",
    source: "Source",
    inputs: opt.Inputs = None,
    different: Annotated[
        bool, typer.Option("--allow-different", help="Compare even other rows, candidates or definitions.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse what only gets a warning.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="A table for a README: inputs by metrics.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="The same for a paper, with booktabs.")] = False,
    as_json: opt.Json = False,
) -> None:
    """Put results side by side: metrics files, per-user files, lists, or models. The first is the reference.

    Users are paired where all are held to the same rows: mean difference, 95 % bootstrap interval, p of a
    randomisation test (and of a paired t test, in the JSON) with Holm's correction over all of them, Cohen's d_z, and
    for how many users it is better, the same, or worse. Metrics files need the values by user that -o keeps. The folds
    of one split, by one model, are one input: the mean over them and its standard deviation, and a user's mean over
    them; a metric that has no values by user, such as rmse, is paired by fold.
    """
    from dataclasses import replace

    if markdown + latex + as_json > 1:
        raise RecliError(Exit.USAGE, "a result has one form", hint="one of --json, --markdown, --latex")
    paths = opt.inputs_of(console, inputs)
    if len(paths) < 2:
        raise RecliError(Exit.USAGE, "one result cannot be compared", hint="name two or more")
    from recli.pipeline.compare import compare

    out = opt.Making(None, False, False).output(console)
    asked = replace(judging, request=replace(request, source=source))
    found = compare(paths, asked, out, different=different, strict=strict)
    for warning in found.warnings:
        console.note(f"warning: {warning}")
    if as_json:
        sys.stdout.write(json.dumps(found.document(), indent=1, allow_nan=False) + "\n")
    elif markdown or latex:
        sys.stdout.write(_latex(found) if latex else _markdown(found))
    else:
        _print(found)
    sys.stdout.flush()


def _print(found: "Comparison") -> None:
    over_folds = any("deviation" in row for row in found.metrics)
    columns = [column for column in COLUMNS if over_folds or column != "deviation"]
    rows = [[_cell(row, column) for column in columns] for row in found.metrics]
    for row in found.overlap:
        others = [None] * (len(columns) - 3)
        rows += [[name, row["input"], _cell(row, name), *others] for name in row if name != "input"]
    print_table(columns, rows, lambda cell: f"{cell:.4f}" if isinstance(cell, float) else f"{cell}")


def _cell(row: dict[str, Any], column: str) -> Any:
    value = row.get("p_randomization_holm" if column == "p" else column)
    return None if isinstance(value, float) and value != value else value


def _pivot(found: "Comparison", bold: str, escaped: Callable[[str], str], between: str) -> tuple[list[list[str]], str]:
    """Inputs by metrics, the best of each metric in bold, a star where the difference is likely none of chance."""
    metrics = list(dict.fromkeys(row["metric"] for row in found.metrics))
    cells = {(row["input"], row["metric"]): row for row in found.metrics}
    best = {metric: _best([row for row in found.metrics if row["metric"] == metric]) for metric in metrics}
    lines = [["", *map(escaped, metrics)]]
    for name in found.inputs:
        line = [escaped(name)]
        for metric in metrics:
            row = cells[name, metric]
            text = "" if row["value"] is None else f"{row['value']:.4f}"
            if text and row.get("deviation") is not None:
                text += f" {between} {row['deviation']:.4f}"
            star = "*" if row.get("p_randomization_holm", 1.0) < LIKELY else ""
            line.append((bold % text if text and row["value"] == best[metric] else text) + escaped(star))
        lines.append(line)
    by_fold = any("paired_folds" in row for row in found.metrics)
    unit = "user, or by fold where there is none by user" if by_fold else "user"
    note = f"* p < {LIKELY} against {found.reference}: randomisation test by {unit}, Holm over all differences."
    return lines, note


def _best(rows: list[dict[str, Any]]) -> float | None:
    values = [row["value"] for row in rows if row["value"] is not None]
    return (max if rows[0]["larger_is_better"] else min)(values, default=None)


def _markdown(found: "Comparison") -> str:
    (head, *body), note = _pivot(found, "**%s**", _plain, "±")
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{_plain(note)}\n"


def _latex(found: "Comparison") -> str:
    lines, note = _pivot(found, r"\textbf{%s}", _escaped, r"$\pm$")
    rows = [" & ".join(line) + r" \\" for line in lines]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{l{'r' * (len(lines[0]) - 1)}}}",
            r"\toprule",
            rows[0],
            r"\midrule",
            *rows[1:],
            r"\bottomrule",
            r"\end{tabular}",
            f"% {note}",
            "",
        ]
    )


def _plain(text: str) -> str:
    """As Markdown shows it letter by letter."""
    return re.sub(r"([\\*_|`])", r"\\\1", text)


def _escaped(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(letter, f"\\{letter}" if letter in "&%$#_{}" else letter) for letter in text)
