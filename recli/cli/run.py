"""recli run."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recli.cli import evaluate, recommend, split, train
from recli.cli import options as opt
from recli.cli.bound import bound, command_line, grouped, names_of, text
from recli.cli.console import Console, default_signals
from recli.cli.judging import judging
from recli.errors import Exit, RecliError

if TYPE_CHECKING:
    from recli.pipeline.config import Plan

EXAMPLE = "Example: recli run ml-100k.yaml --dry-run"
CONTEXT = {"ignore_unknown_options": True}  # RecBole's --key=value come among the files
COMMANDS: dict[str, ModuleType] = {"split": split, "train": train, "recommend": recommend, "evaluate": evaluate}


@opt.takes()
def command(
    console: Console,
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="CONFIG.yaml", help="Files of YAML, and RecBole's --key=value.")
    ] = None,
    config_files: Annotated[
        str | None, typer.Option("--config_files", metavar="'A.yaml B.yaml'", help="More of them, as RecBole has it.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="M", help="RecBole: the model.")] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", metavar="NAME", help="RecBole: the data set.")] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output-dir", metavar="DIR", help="Where everything is written.")
    ] = Path(),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, as commands, and do none.")
    ] = False,
    asserted: Annotated[
        list[str] | None,
        typer.Option("--assert", metavar="'M@K>=X'", help="Exit 1 where it does not hold; may be repeated."),
    ] = None,
    force: Annotated[bool, typer.Option("-f", "--force", help="Do all the work, even where it is up to date.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is no artifact of its kind.")
    ] = False,
    as_json: opt.Json = False,
) -> None:
    """Do a whole pipeline that a file describes: split, train, recommend, evaluate.

    Each step is the command of that name: it writes the same file, and does nothing where that is up to date. The file
    is recli's own, or one of RecBole's as it is (a later file goes before an earlier one, and --key=value before all);
    what RecBole's keys say that is not done here is told, a line each. A key of recli's own is an option of a command:

    \b
    data: ml-100k.inter            # or a mapping: path, and how it is read
    split: {strategy: ratio, ratios: [0.8, 0.1, 0.1], user-kcore: 5}
    train:                         # a model, or a list of them
      - ease
      - {model: als, params: {embedding_size: 64}}
    recommend: {k: 20}             # left out: the model itself is evaluated
    evaluate: {metrics: [ndcg@10, recall@10], assert: [ndcg@10>=0.3]}
    seed: 2020                     # of every command

    Networks log to TensorBoard in the folder tensorboard/ beside the rest. The metrics are printed at the end.
    """
    given = {"model": model, "dataset": dataset}
    plan = _plan(console, inputs or [], config_files, {name: value for name, value in given.items() if value})
    for warning in plan.warnings:
        console.note(f"warning: {warning}")
    if not plan.progress:
        os.environ["RECLI_NO_PROGRESS"] = "1"
    run = Pipeline.of(plan, console, output, dry_run=dry_run, force=force, overwrite=overwrite)
    judged = run(asserted or [])
    if dry_run:
        sys.stdout.write("".join(f"{line}\n" for line in run.lines))
        sys.stdout.flush()
        return
    documents = {name: next(iter(one.documents.values())) for name, one in judged.items()}
    evaluate.print_documents(documents, as_json)
    held = [one.holds(console) for one in judged.values()]
    if not all(held):
        raise typer.Exit(Exit.VERDICT)


def _plan(console: Console, given: Sequence[str], config_files: str | None, named: dict[str, str]) -> "Plan":
    """What the files and the command line say together."""
    assignments = [text for text in given if text.startswith("-")]
    files = [text for text in given if not text.startswith("-")] + (config_files or "").split()
    paths = [Path(file) for file in files]
    if not (files or assignments or named):
        paths = opt.inputs_of(console, None)
    from recli.pipeline.config import assignments_of, open_plan

    overrides = assignments_of(assignments)
    paths += [Path(file) for file in overrides.pop("config_files", "").split()]
    options = {name: names_of(module.command) for name, module in COMMANDS.items()}
    options["data"] = names_of(opt.source) | names_of(split.companions)
    return open_plan(paths, {**named, **overrides}, options)


class _Into(opt.Making):
    """Where a step of a pipeline writes: its folder. Its paths are not printed."""

    def __init__(self, output: Any, path: str | None, to_stream: bool) -> None:
        super().__init__(path, output.force, output.overwrite)
        self._output, self._to_stream = output, to_stream

    @property
    def to_stream(self) -> bool:
        """Whether no path is to be printed."""
        return self._to_stream

    def output(self, console: Console) -> Any:
        """That of the pipeline, whatever the command."""
        default_signals()
        return self._output


@dataclass(frozen=True, kw_only=True)
class Files:
    """What a step has made; ``due`` where a dry run only says so: ``paths`` are None where nobody knows their names."""

    paths: list[Path] | None
    due: bool = False


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The steps of a plan, one after the other; ``lines`` are what a dry run says of them."""

    plan: "Plan"
    console: Console
    output: Any  # of every step
    made: list[Path]  # what the step at hand has written, or found
    lines: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, plan: "Plan", console: Console, folder: Path, *, dry_run: bool, force: bool, overwrite: bool
    ) -> "Pipeline":
        """The steps, and one output for all of them."""
        from recli.pipeline.step import Output

        made: list[Path] = []

        @dataclass(frozen=True, kw_only=True)
        class Noted(Output):
            def claim(self, target: Path) -> None:
                super().claim(target)
                made.append(target)

        if not dry_run:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RecliError(Exit.IO, (error.strerror or "cannot be made").lower(), where=folder) from error
        output = Noted(
            folder=folder,
            dry_run=dry_run,
            force=force,
            overwrite=overwrite,
            note=console.detail if dry_run else console.note,
            detail=console.detail,
            progress=console.progress,
        )
        lines = [f"cd {folder}"] if dry_run and folder != Path() else []
        return cls(plan=plan, console=console, output=output, made=made, lines=lines)

    def __call__(self, asserted: list[str]) -> "dict[str, evaluate.Judged]":
        """Do it all; the metrics of each model by its name."""
        self._check()
        plan, judged = self.plan, {}
        rows = Files(paths=[] if plan.data is None else [plan.data])
        if plan.split is not None:
            rows = self._step("split", plan.split, rows)
        own = _listed(plan.evaluate.get("assert"))
        names = [str(one["model"]).lower() for one in plan.train]
        for name, options in zip(names, plan.train, strict=True):
            models = self._step("train", self._logged(options), rows)
            lists = models if plan.recommend is None else self._step("recommend", plan.recommend, models)
            one = self._evaluate({**plan.evaluate, "assert": [*own, *asserted]}, lists)
            if one is not None:
                judged[name if names.count(name) == 1 else str((models.paths or [Path(name)])[0])] = one
        return judged

    def _check(self) -> None:
        """Refuse what no step could do, before the first is done."""
        from recli.model import configure, parse
        from recli.models import catalog

        plan = self.plan
        groups: dict[str, Callable[..., Any]]
        groups = {"split": split.strategy, "recommend": recommend.request, "evaluate": judging}
        for name, options in (("split", plan.split), ("recommend", plan.recommend), ("evaluate", plan.evaluate)):
            if options is not None:
                with self._located(name):
                    grouped(groups[name], bound(COMMANDS[name].command, options))
        for options in plan.train:
            with self._located("train"):
                chosen = catalog.resolve(str(options["model"]))
                given = parse(bound(train.command, options)["param"] or ())
                configure(chosen.cls, {**chosen.preset, **given})

    @contextmanager
    def _located(self, name: str) -> Iterator[None]:
        """Say where in the file stands what a command will not have."""
        try:
            yield
        except RecliError as error:
            where = self.plan.where(name, error.message)
            if error.code is not Exit.USAGE or error.where is not None or where is None:
                raise
            raise RecliError(error.code, error.message, where=where, hint=error.hint) from error

    def _logged(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """The options of train, with a log for TensorBoard where the model keeps one."""
        from recli.cli.logs import is_installed
        from recli.models import catalog

        takes = getattr(catalog.resolve(str(options["model"])).cls, "takes", ())
        if "training" not in takes or "tensorboard" in options or not is_installed():
            return options
        logged = {**options, "tensorboard": self.output.folder / "tensorboard"}
        from recli.pipeline.training import OF_LISTS, VALID_METRIC

        task = catalog.resolve(str(options["model"])).task
        first = str(options.get("valid_metric") or VALID_METRIC.get(task, OF_LISTS))
        if first.lower() != "none" and task not in VALID_METRIC:
            logged["valid_metric"] = ",".join(dict.fromkeys([first, *self._metrics_of_lists()]))
        return logged

    def _metrics_of_lists(self) -> list[str]:
        """What evaluate is asked for, as far as a validation can tell it."""
        from recli.metrics import METRICS, parse
        from recli.metrics.dialects import DIALECTS
        from recli.pipeline.evaluate.asked import LISTS

        usual = [f"{name}@10" for name in LISTS]
        asked = str(self.plan.evaluate.get("dialect") or "recli")
        wanted = parse(text(self.plan.evaluate.get("metrics") or usual), DIALECTS.get(asked, METRICS))
        known = [one for one in wanted if one.name in METRICS and not one.candidates]
        return [str(one) for one in known if METRICS[one.name].kind == "ranking"]

    def _step(self, name: str, options: Mapping[str, Any], inputs: Files) -> Files:
        """One command on the files before it."""
        into = _Into(self.output, None, to_stream=True)

        def do(values: dict[str, Any]) -> None:
            values["inputs"] = [str(path) for path in inputs.paths or ()] or None
            COMMANDS[name].command.call(self.console, values, making=into)

        return self._done(name, options, inputs, do)

    def _evaluate(self, options: Mapping[str, Any], inputs: Files) -> "evaluate.Judged | None":
        """The metrics, written; None where a dry run finds them due."""
        found: list[evaluate.Judged] = []
        into = _Into(self.output, "{name}{fold}", to_stream=False)

        def do(values: dict[str, Any]) -> None:
            request = replace(grouped(recommend.request, values), source=grouped(opt.source, values))
            asked = grouped(judging, values)
            asked = replace(asked, by=tuple(values["by"] or ()), request=request, strict=values["strict"])
            judge = evaluate.Judge.of(asked, values["asserted"], values["baseline"], values["max_drop"])
            files = inputs.paths or []
            tables = evaluate.tables_of(values["per_user"], into, len(files))
            rows = None if tables is None else replace(tables.output(self.console), dry_run=self.output.dry_run)
            found.append(judge(files, into, self.output, rows))

        self._done("evaluate", options, inputs, do)
        return found[0] if found else None

    def _done(
        self, name: str, options: Mapping[str, Any], inputs: Files, do: Callable[[dict[str, Any]], None]
    ) -> Files:
        """Do a step, or say that it is due."""
        from recli.pipeline.step import Due

        self.made.clear()
        command = COMMANDS[name].command
        with self._located(name):
            values = bound(command, options)
            line = command_line(name, command, options, inputs.paths, self.output.folder)
            if inputs.due:
                if inputs.paths is None:  # a pipe from the line before
                    self.lines[-1] += " |"
                self.lines.append(f"due         {line}")
                return Files(paths=None, due=True)
            try:
                do(values)
            except Due as due:
                self.lines.append(f"due         {line}")
                # What train writes is called after what it reads, which is not there yet; of folds this is the first.
                target = Path(str(due.target).replace(".fold1.", ".fold*."))
                return Files(paths=[target] if name == "split" else None, due=True)
        self.lines.append(f"up to date  {line}")
        return Files(paths=[path for path in self.made if name != "train" or _is_model(path)])


def _is_model(path: Path) -> bool:
    """Whether a file that train has claimed is the model, and no checkpoint."""
    from recli.artifact import find

    found = find(path) if path.exists() else None
    return found is not None and found.header.kind == "model"


def _listed(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [] if given is None else [given]
