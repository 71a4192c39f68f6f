"""The log of a training: TensorBoard's event files, and lines of JSON.

One value of a tag each epoch: ``train/loss``, ``train/learning_rate`` and, where it was validated, ``valid/ndcg@10``;
the hyper-parameters once. Networks call it; other models tell no more than how far they are.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any, Final

from recli.errors import Exit, RecliError

DEFAULT_SEED: Final = 2020
ENDING: Final = ".recli"  # of our event files, which a new training replaces


@dataclass(frozen=True, kw_only=True)
class Log:
    """What a training is told to keep of its epochs; nothing is opened before the first.

    ``about`` is the model, the seed and so on, ``params`` its hyper-parameters; ``events`` is the folder of
    TensorBoard's run, ``lines`` the file of lines. A training that goes on after its first epoch goes on in the same
    files, and what they say of its epochs is forgotten.
    """

    about: Mapping[str, Any]
    params: Mapping[str, Any]
    events: Path | None = None
    lines: Path | None = None
    _open: list[Any] = field(default_factory=list, repr=False, compare=False)

    def __call__(self, epoch: int, values: Mapping[str, float]) -> None:
        """Write the values of an epoch, counted from 1; they are on disk on return.

        Raises:
            RecliError: a file cannot be written (exit 4).
        """
        named = {_tag(name): float(value) for name, value in values.items()}
        try:
            if not self._open:
                self._begin(epoch)
            for writer in self._open:
                writer.write(epoch, named)
        except OSError as error:
            where = error.filename or self.lines or self.events
            raise RecliError(Exit.IO, (error.strerror or "cannot be written").lower(), where=where) from error

    def _begin(self, epoch: int) -> None:
        if self.events is not None:
            self._open.append(_Events(self.events, epoch, self.about, self.params))
        if self.lines is not None:
            self._open.append(_Lines(self.lines, epoch, self.about, self.params))


class _Lines:
    """``{"model": …, "params": …}``, then ``{"epoch": 1, "train/loss": …}`` and so on; null is no finite number."""

    def __init__(self, file: Path, epoch: int, about: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = self._before(epoch) if epoch > 1 else []
        first = [] if kept else [json.dumps({**about, "params": dict(params)})]
        file.write_text("".join(f"{line}\n" for line in (*first, *kept)), encoding="utf-8")

    def _before(self, epoch: int) -> list[str]:
        """The lines of the epochs before, of a training that is gone on with."""
        kept = []
        for line in self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else ():
            try:
                found = json.loads(line)
            except ValueError:
                continue  # cut short
            if found.get("epoch", 0) < epoch:
                kept.append(line)
        return kept

    def write(self, epoch: int, values: Mapping[str, float]) -> None:
        shown = {name: value if isfinite(value) else None for name, value in values.items()}
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"epoch": epoch, **shown}) + "\n")


class _Events:
    """TensorBoard's event files, by the package's own writer, which needs neither torch nor TensorFlow."""

    def __init__(self, folder: Path, epoch: int, about: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        folder.mkdir(parents=True, exist_ok=True)
        if epoch == 1:
            for old in folder.glob(f"events.out.tfevents.*{ENDING}"):
                old.unlink()
        self.writer = EventFileWriter(str(folder), filename_suffix=ENDING)
        if epoch > 1:
            start = SessionLog(status=SessionLog.START)
            self.writer.add_event(Event(step=epoch, session_log=start))
        else:
            self.writer.add_event(Event(step=0, summary=_hyper_parameters({**about, **params})))
        self.writer.flush()

    def write(self, epoch: int, values: Mapping[str, float]) -> None:
        from time import time

        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        shown = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self.writer.add_event(Event(step=epoch, wall_time=time(), summary=Summary(value=shown)))
        self.writer.flush()


def _hyper_parameters(params: Mapping[str, Any]) -> Any:
    """The summary that TensorBoard's page of hyper-parameters reads."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    start = plugin_data_pb2.SessionStartInfo()
    for name, value in params.items():
        if isinstance(value, bool):
            start.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            start.hparams[name].number_value = value
        else:
            start.hparams[name].string_value = str(value)
    data = plugin_data_pb2.HParamsPluginData(session_start_info=start, version=metadata.PLUGIN_DATA_VERSION)
    described = metadata.create_summary_metadata(data)
    one = Summary.Value(tag=metadata.SESSION_START_INFO_TAG, metadata=described, tensor=metadata.NULL_TENSOR)
    return Summary(value=[one])


def _tag(name: str) -> str:
    """What a value is called: what is not of the training is of the validation."""
    return f"train/{name}" if name in ("loss", "learning_rate") else f"valid/{name}"


def is_installed() -> bool:
    """Whether event files can be written."""
    return find_spec("tensorboard") is not None


@dataclass(frozen=True, kw_only=True)
class Logs:
    """The logs that are asked for, one for each input."""

    about: Mapping[str, Any]
    params: Mapping[str, Any]
    tag: str
    tensorboard: Path | None
    lines: str | None

    @classmethod
    def of(
        cls,
        model: str,
        given: Mapping[str, Any],
        seed: int,
        tensorboard: Path | None,
        lines: str | None,
        projector: bool,
    ) -> "Logs":
        """As the options say.

        Raises:
            RecliError: the model is no network, TensorBoard is not there, or options contradict each other (exit 2).
        """
        if projector and tensorboard is None:
            raise RecliError(
                Exit.USAGE, "--embedding-projector is of TensorBoard's", hint="--tensorboard DIR says where"
            )
        if tensorboard is None and lines is None:
            return cls(about={}, params={}, tag="", tensorboard=None, lines=None)
        if tensorboard is not None and not is_installed():
            hint = "pip install tensorboard; --log FILE.jsonl writes the same as lines"
            raise RecliError(Exit.USAGE, "--tensorboard needs TensorBoard, which is not installed", hint=hint)
        from recli.artifact import canonical
        from recli.model import configure
        from recli.models import catalog

        chosen = catalog.resolve(model)
        if "training" not in getattr(chosen.cls, "takes", ()):
            option = "--log" if tensorboard is None else "--tensorboard"
            hint = "-v and the progress say how far it is"
            raise RecliError(Exit.USAGE, f"{chosen.name} is no network, and takes no {option}", hint=hint)
        params = asdict(configure(chosen.cls, {**chosen.preset, **given}))
        unusual = {**given, **({} if seed == DEFAULT_SEED else {"seed": seed})}
        tag = f"-{sha256(canonical(unusual).encode()).hexdigest()[:6]}" if unusual else ""
        about = {"model": chosen.name, "seed": seed}
        return cls(about=about, params=params, tag=f".{chosen.name}{tag}", tensorboard=tensorboard, lines=lines)

    def of_input(self, path: Path) -> Log | None:
        """The log of what is trained on a file; ``{name}`` and ``{fold}`` in ``lines`` are the file's."""
        if self.tensorboard is None and self.lines is None:
            return None
        from recli.pipeline.folds import fold_of
        from recli.pipeline.names import stem

        name = "stdin" if str(path) == "-" else stem(path)
        lines = None
        if self.lines is not None:
            fold = fold_of(path) if "{fold}" in self.lines else None
            number = "" if fold is None else str(fold.number)
            lines = Path(self.lines.replace("{name}", name).replace("{fold}", number))
        return Log(about={"data": name, **self.about}, params=self.params, events=self._run(name), lines=lines)

    def _run(self, name: str) -> Path | None:
        return None if self.tensorboard is None else self.tensorboard / f"{name}{self.tag}"

    def project(self, model: Path, path: Path, note: Callable[[str], None]) -> None:
        """Write the item vectors of a model for TensorBoard's projector, if it has any."""
        import numpy as np

        from recli.pipeline.names import stem
        from recli.pipeline.recommend import load_model, open_model

        _, items, scorer = open_model(load_model(model))
        vectors, folder = getattr(scorer, "item", None), self._run(stem(path))
        if vectors is None or np.ndim(vectors) != 2 or len(vectors) != len(items) or folder is None:
            note("it has no vector for each item, so there is nothing to project")
            return
        folder.mkdir(parents=True, exist_ok=True)
        np.savetxt(folder / "items.vectors.tsv", vectors, fmt="%.6g", delimiter="\t")
        names = (" ".join(item.split()) or "?" for item in items)  # a line each, without tabs
        (folder / "items.names.tsv").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        (folder / "projector_config.pbtxt").write_text(_PROJECTOR, encoding="utf-8")


_PROJECTOR: Final = """embeddings {
  tensor_name: "items"
  tensor_path: "items.vectors.tsv"
  metadata_path: "items.names.tsv"
}
"""
