"""recli evaluate."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recli.cli import options as opt
from recli.cli.console import Console, print_paths, print_table, printable
from recli.cli.judging import judging
from recli.cli.recommend import request
from recli.errors import Exit, RecliError

if TYPE_CHECKING:
    from recli.metrics import Assertion
    from recli.pipeline.evaluate import Asked, Plan
    from recli.pipeline.events import Source
    from recli.pipeline.gate import Gate, Verdict
    from recli.pipeline.recommend import Request
    from recli.pipeline.step import Output

EXAMPLE = "Example: recli evaluate ml-100k.ease.recs.parquet --metrics ndcg@10,mrr@10 --assert 'ndcg@10>=0.30'"


@opt.takes(judging, request, opt.making, opt.source)
def command(
    console: Console,
    judging: "Asked",
    request: "Request",
    making: opt.Making,
    source: "Source",
    inputs: opt.Inputs = None,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", metavar="GROUPS", help="user.COL, item.COL, user-activity, item-popularity."),
    ] = None,
    asserted: Annotated[
        list[str] | None,
        typer.Option("--assert", metavar="'M@K>=X'", help="Exit 1 where it does not hold; may be repeated."),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", metavar="FILE", help="Metrics of before, written by -o.")
    ] = None,
    max_drop: Annotated[
        str, typer.Option("--max-drop", metavar="X|X%", help="Exit 1 where a metric fell by more than that. [0]")
    ] = "0",
    per_user: Annotated[
        Path | None, typer.Option("--per-user", metavar="FILE", help="Write the values of every user.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse what leaks from the truth into train.")] = False,
    as_json: opt.Json = False,
) -> None:
    """Measure lists, predictions, or a model, against the rows that were held out.

    What another program made is a table with a user, an item and a rank or a score; --truth names what to hold it to.
    A model takes all of recommend's options. The result is a table on a terminal, TSV on a pipe, or JSON; -o writes it.
    Several inputs are the folds of one split: the mean over them and their standard deviation are shown, and --assert
    and --baseline judge the mean. -o and --per-user then write a file for each input, and hold {fold} or {name}; with
    -o the inputs may be any, and each is judged if they are no folds.
    """
    from dataclasses import replace

    judging = replace(judging, by=tuple(by or ()), request=replace(request, source=source), strict=strict)
    judge = Judge.of(judging, asserted, baseline, max_drop)
    paths = opt.inputs_of(console, inputs, making.path)
    tables = tables_of(per_user, making, len(paths))
    out = making.output(console)
    rows = None if tables is None else tables.output(console)
    judged = judge(paths, making, out, rows)
    if making.path is None:
        print_documents({"": next(iter(judged.documents.values()))}, as_json)
    elif not making.to_stream:
        print_paths(judged.paths)
    if not judged.holds(console):
        raise typer.Exit(Exit.VERDICT)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What was measured, by input (of folds the mean over them), and what is held against it."""

    documents: "dict[Path, dict[str, Any]]"
    paths: list[Any]
    assertions: "list[Assertion]"
    verdicts: "dict[Path, list[Verdict]]"

    def holds(self, console: Console) -> bool:
        """Whether every assertion holds and nothing dropped; each is said."""
        held = [_holds(path, one, self, console) for path, one in self.documents.items()]
        return all(held)


@dataclass(frozen=True, kw_only=True)
class Judge:
    """What to measure, and what the values must satisfy."""

    asked: "Asked"
    assertions: "list[Assertion]"
    gate: "Gate | None"

    @classmethod
    def of(cls, asked: "Asked", asserted: list[str] | None, baseline: Path | None, max_drop: str) -> "Judge":
        """As the options say."""
        from dataclasses import replace

        from recli.metrics import parse_assertion
        from recli.pipeline.gate import open_gate

        assertions = [parse_assertion(text, asked.table) for text in asserted or ()]
        gate = None if baseline is None else open_gate(baseline, max_drop, asked.table)
        if gate is None and max_drop != "0":
            hint = "--baseline names the metrics of before"
            raise RecliError(Exit.USAGE, "--max-drop is from a --baseline", hint=hint)
        if gate is not None and not asked.metrics:
            asked = replace(asked, metrics=gate.metrics)
        asked = replace(
            asked,
            also=[assertion.metric for assertion in assertions],
            also_read=[] if baseline is None else [baseline],
        )
        return cls(asked=asked, assertions=assertions, gate=gate)

    def __call__(self, paths: list[Path], making: opt.Making, out: "Output", rows: "Output | None") -> Judged:
        """Measure every input, written where that is asked for."""
        folds = _folds(paths, making, self.asked.by)
        found = opt.each(paths, lambda path: _measured(path, self.asked, making, out, rows))
        documents = dict(zip(paths, found, strict=True))
        if folds:
            documents = {Path(f"mean of {len(folds)} folds"): _averaged(documents, folds)}
        # What a baseline is not fit for is said before anything is printed.
        verdicts = {path: self.gate.verdicts(one, path) for path, one in documents.items()} if self.gate else {}
        made = [document.get("path") for document in found]
        return Judged(documents=documents, paths=made, assertions=self.assertions, verdicts=verdicts)


def tables_of(per_user: Path | None, making: opt.Making, inputs: int) -> opt.Making | None:
    """Where the values of every user go, if they are written."""
    if per_user is None:
        return None
    if str(per_user) == "-":
        raise RecliError(Exit.USAGE, "--per-user takes a file", hint="stdout is for the metrics")
    opt.names_each("--per-user", str(per_user), inputs)
    return opt.Making(str(per_user), making.force, making.overwrite)


def _folds(paths: list[Path], making: opt.Making, by: Sequence[str]) -> list[int]:
    """The numbers of the folds that are averaged; none for one input, or where -o writes unlike ones, each as it is."""
    if len(paths) == 1:
        return []
    from recli.pipeline.folds import numbers

    try:
        found = numbers(paths)
    except RecliError as error:
        if making.path is None or error.code is not Exit.USAGE:
            raise
        return []
    if by and making.path is None:
        raise RecliError(Exit.USAGE, "--by is of one fold", hint="-o '{name}.metrics.json' writes each fold's")
    return found


def _averaged(documents: dict[Path, dict[str, Any]], folds: list[int]) -> dict[str, Any]:
    """The mean over the folds as one input's result."""
    from recli.pipeline.folds import averaged

    headers = [document.get("header", {"params": {}, "parents": []}) for document in documents.values()]
    found = averaged(dict(zip(folds, documents.values(), strict=True)))
    parents = [parent for header in headers for parent in header["parents"]]
    params = [header["params"].items() for header in headers]
    agreed = {name: value for name, value in params[0] if all((name, value) in other for other in params)}
    return {"header": {**headers[0], "params": agreed, "parents": parents}, **found, "per_user": {}}


def _measured(path: Path, asked: "Asked", making: opt.Making, out: "Output", rows: "Output | None") -> dict[str, Any]:
    """The metrics of one input, written where that was asked for; with every user's values, which are not printed."""
    from recli.pipeline.evaluate import plan, refuse, write_per_user

    planned = plan(path, asked, out)
    document = _document(planned, making, out, asked.strict)
    for leak in document["leaks"]:
        out.note(f"warning: {path}: {leak}")
    if asked.strict:
        refuse(document["leaks"], path)
    if rows is not None:
        write_per_user(planned, rows)
    return document


def _document(chosen: "Plan", making: opt.Making, out: "Output", strict: bool) -> dict[str, Any]:
    from recli.artifact import load
    from recli.pipeline.evaluate import columns_of, write

    if making.path is None:
        return {"header": chosen.step.describe(), **chosen.result.document, "per_user": columns_of(chosen.result)}
    path = write(chosen, out, strict=strict)
    if making.to_stream:
        return {"path": path, **chosen.result.document, "per_user": columns_of(chosen.result)}
    return {"path": path, **load(path).document}


def print_documents(documents: Mapping[str, dict[str, Any]], as_json: bool) -> None:
    """The metrics of one input, or of several by name, as a table or as one JSON document."""
    if as_json:
        shown = {name: _shown(document) for name, document in documents.items()}
        whole = next(iter(shown.values())) if len(shown) == 1 else {"models": shown}
        sys.stdout.write(json.dumps(whole, indent=1, allow_nan=False) + "\n")
        sys.stdout.flush()
        return
    rows = [
        {**({"model": name} if len(documents) > 1 else {}), "metric": metric, **row}
        for name, document in documents.items()
        for metric, entry in document["metrics"].items()
        for row in _rows(entry)
    ]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    order = ["model", "metric", "group", "value", "user_mean", "warm", "users", "queries", "pairs", "no_list"]
    columns.sort(key=[*order, "mean", "deviation", "folds"].index)
    cells = [[row.get(column) for column in columns] for row in rows]
    print_table(columns, cells, lambda cell: f"{cell:.4f}" if isinstance(cell, float) else f"{cell}")


def _shown(document: dict[str, Any]) -> dict[str, Any]:
    """What JSON holds of a result: all but the values of every user."""
    shown = {key: value for key, value in document.items() if key not in ("per_user", "path")}
    return {"path": str(document["path"]), **shown} if "path" in document else shown


def _rows(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """What the table shows of a metric: itself, and a row for every group; over folds the mean and its deviation."""
    if "folds" in entry:
        return [{"mean": entry["value"], "deviation": entry["deviation"], "folds": len(entry["folds"])}]
    shown = {name: entry[name] for name in ("value", "user_mean", "warm", "users", "queries", "pairs") if name in entry}
    empty = entry.get("users_without_list", entry.get("queries_without_list"))
    rows = [shown | ({} if empty is None else {"no_list": empty})]
    for name, part in entry.get("by", {}).items():
        for label, group in part["groups"].items():
            rows.append({"group": f"{name}={label}", **group})
        rows.append({"group": f"{name}: gap", "value": part["gap"]})
    return rows


def _holds(path: Path, document: dict[str, Any], judged: Judged, console: Console) -> bool:
    """Whether what is asserted of one input holds; each is said."""
    failed = []
    for assertion in judged.assertions:
        value = document["metrics"][str(assertion.metric)]["value"]
        said = f"{assertion.metric} is {value}"
        if value is not None and assertion.holds(value):
            console.note(f"assertion holds: {said}, {assertion.op} {assertion.bound:g}")
        else:
            failed.append(f"{said}, not {assertion.op} {assertion.bound:g}")
    for verdict in judged.verdicts.get(path, ()):
        if verdict.holds:
            console.note(f"no drop: {verdict.said}")
        else:
            failed.append(verdict.said)
    for said in failed:
        sys.stderr.write(f"recli: assertion failed: {printable(str(path))}: {said}\n")
    return not failed
