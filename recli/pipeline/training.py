"""What is asked of a network's training beside its parameters: device, validation, early stopping, checkpoints."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recli import __version__
from recli.artifact import Header, Parent, find, guard, load, save
from recli.errors import Exit, RecliError
from recli.interactions import Interactions
from recli.model import Run
from recli.pipeline.events import Events
from recli.pipeline.step import Input, Output

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recli.scorers import Scorer

VALID_METRIC = {"ctr": "auc", "rating": "rmse"}  # by task; of the others
OF_LISTS = "ndcg@10"


@dataclass(frozen=True, kw_only=True)
class Training:
    """The options of `train` that only networks take; None where nothing was said.

    ``valid_metric`` may be several with commas, or "none"; ``time_budget`` is in seconds; ``checkpoint`` may hold
    ``{name}`` and ``{fold}``.
    """

    device: str | None = None
    valid_metric: str | None = None
    patience: int | None = None
    eval_every: int | None = None
    time_budget: float | None = None
    checkpoint: Path | None = None
    checkpoint_every: int | None = None
    resume: bool | None = None
    allow_seen: bool | None = None

    def given(self) -> list[str]:
        """The options that were given."""
        return [f"--{f.name.replace('_', '-')}" for f in fields(self) if getattr(self, f.name) is not None]

    def metrics(self, events: Events, fit_on: tuple[str, ...], task: str) -> list[str]:
        """The metrics to validate by; none where there is no valid part, or the model is fitted on it."""
        start, stop = events.rows.get("valid", (0, 0))
        text = (self.valid_metric or VALID_METRIC.get(task, OF_LISTS)).strip().lower()
        if text == "none" or start == stop or "valid" in fit_on:
            return []
        # By name, here and below: the code of a model that is not validated does not include that of the metrics.
        return [str(one) for one in import_module("recli.pipeline.validation").parse_metrics(text, task)]

    def params(self, metrics: list[str]) -> dict[str, Any]:
        """What the result depends on: part of a step's parameters. Metrics after the first are logged only."""
        asked: dict[str, Any] = {"valid_metric": "none"} if self.valid_metric == "none" else {}
        if metrics:
            asked = {"valid_metric": metrics[0], "patience": self.patience or 10, "eval_every": self.eval_every or 1}
            asked |= {"valid_seen": "allowed"} if self.allow_seen else {}
        return asked | ({} if self.time_budget is None else {"time_budget": self.time_budget})

    def on_device(self) -> str:
        """The device to train on.

        Raises:
            RecliError: there is none of that name, or no torch (exit 2).
        """
        try:
            return str(import_module("recli.training.session").resolve(self.device or "auto"))
        except ImportError as error:
            raise RecliError(Exit.USAGE, "networks need torch", hint="pip install 'recli[torch]'") from error


HOW_LONG = ("time_budget", "patience")  # of a training that goes on, these may be others: what was done is the same


def defaults_of(task: str) -> dict[str, Any]:
    """What is done where nothing was said."""
    return {"valid_metric": VALID_METRIC.get(task, OF_LISTS), "patience": 10, "eval_every": 1}


def modules(metrics: list[str]) -> list[str]:
    """The modules that run beside the model's own."""
    return ["recli.pipeline.validation"] if metrics else []


def prepared(
    run: Run,
    training: Training,
    events: Events,
    data: Interactions,
    metrics: list[str],
    kept: "CheckpointFile | None",
    output: Output,
    what: tuple[str, Any],
) -> tuple[Run, dict[str, Any]]:
    """The run with all that is asked for, and what training says of itself in the end: filled when it is done.

    ``what`` is the task and the model.

    What `Run.log` is told of ``valid`` it hears under the metric's own name, and with its own sign; beside it stand the
    other metrics.
    """
    done: dict[str, Any] = {}
    if not metrics:
        output.note(
            "not validated, so all epochs are run" + ("" if "valid" in events.rows else ": there is no valid part")
        )
        return replace(run, checkpoint=kept, time_budget=training.time_budget, finished=done.update), done
    validator = import_module("recli.pipeline.validation").validator(
        events, data, ",".join(metrics), *what, allow_seen=bool(training.allow_seen)
    )
    first, sign = metrics[0], float(validator.sign)
    latest: dict[str, float] = {}

    def validate(scorer: "Scorer") -> float:
        latest.update(validator(scorer))
        return latest[first] * sign

    def named(values: Mapping[str, float]) -> dict[str, float]:
        return {first if name == "valid" else name: v * sign if name == "valid" else v for name, v in values.items()}

    def log(epoch: int, values: Mapping[str, float]) -> None:
        run.log(epoch, {**named(values), **(latest if "valid" in values else {})})

    return replace(
        run,
        validate=validate,
        patience=training.patience or 10,
        eval_every=training.eval_every or 1,
        time_budget=training.time_budget,
        checkpoint=kept,
        log=log,
        finished=lambda facts: done.update(named(facts)),
    ), done


@dataclass(frozen=True, kw_only=True)
class CheckpointFile:
    """The state of a training as an artifact of the kind ``checkpoint``: what is trained, on what, by which version.

    ``params`` and ``inputs`` are those of the model; ``time_budget`` is not compared.
    """

    path: Path
    every: int
    resume: bool
    params: Mapping[str, Any]
    inputs: list[Input]
    note: Callable[[str], None]

    @classmethod
    def of(
        cls, training: Training, events: Events, params: Mapping[str, Any], inputs: list[Input], output: Output
    ) -> "CheckpointFile | None":
        """The checkpoint that is asked for, if one is.

        Raises:
            RecliError: it cannot or must not be written (exit 2, 4); options without --checkpoint (exit 2).
        """
        if training.checkpoint is None:
            if training.resume or training.checkpoint_every:
                raise RecliError(Exit.USAGE, "--resume and --checkpoint-every need --checkpoint FILE.npz")
            return None
        fold = "" if events.fold is None else str(events.fold.number)
        path = Path(str(training.checkpoint).replace("{name}", events.name).replace("{fold}", fold))
        guard(path, [item.path for item in inputs])
        output.claim(path)
        found = find(path) if path.exists() and not output.overwrite else None
        if path.exists() and not output.overwrite and (found is None or found.header.kind != "checkpoint"):
            hint = "--overwrite replaces it, --checkpoint names another file"
            raise RecliError(Exit.USAGE, "is there already, and is no checkpoint", where=path, hint=hint)
        params = _lasting(params)
        every, resume = training.checkpoint_every or 1, bool(training.resume)
        return cls(path=path, every=every, resume=resume, params=params, inputs=inputs, note=output.note)

    def load(self) -> "tuple[dict[str, NDArray[Any]], dict[str, Any]] | None":
        """The state to go on from.

        Raises:
            RecliError: it is of another training, with the difference (exit 2), or damaged (exit 3).
        """
        if not self.resume:
            return None
        if not self.path.exists():
            self.note(f"{self.path}: no checkpoint yet, so training begins at the beginning")
            return None
        artifact = load(self.path)
        self._same(artifact.header)
        state = dict(artifact.header.more["state"])
        self.note(f"{self.path}: going on after {state['epoch']} epochs and {state['step']} steps")
        return artifact.arrays, state

    def save(self, arrays: "Mapping[str, NDArray[Any]]", meta: Mapping[str, Any]) -> None:
        """Write it in place of the one before, whole or not at all."""
        folder = Path(os.path.realpath(self.path)).parent
        parents = tuple(
            Parent(role=item.role, path=os.path.relpath(item.path.resolve(), folder), sha256=item.sha256)
            for item in self.inputs
        )
        more = {"state": dict(meta), "torch": version("torch")}
        header = Header(kind="checkpoint", command="train", params=self.params, parents=parents, more=more)
        save(self.path, header, dict(arrays))

    def _same(self, header: Header) -> None:
        """Refuse the checkpoint of another training."""
        ours = {**self.params, "recli": __version__, "torch": version("torch")}
        ours |= {f"the {item.role}": item.sha256[:12] for item in self.inputs}
        theirs = {**_lasting(header.params), "recli": header.recli, "torch": header.more.get("torch")}
        theirs |= {f"the {parent.role}": parent.sha256[:12] for parent in header.parents}
        absent = "nothing"
        differences = [
            f"{name.removeprefix('p.')} is {ours.get(name, absent)} here and {theirs.get(name, absent)} there"
            for name in sorted(ours.keys() | theirs.keys())
            if _plain(ours.get(name, absent)) != _plain(theirs.get(name, absent))
        ]
        if differences:
            message = f"is the checkpoint of another training: {'; '.join(differences)}"
            raise RecliError(Exit.USAGE, message, where=self.path, hint="without --resume training begins anew")


def _lasting(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name not in HOW_LONG}


def _plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value
