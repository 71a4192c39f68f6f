"""The contract of a model: a frozen dataclass of hyper-parameters with one method, ``fit``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, get_args, get_origin, get_type_hints

from recli.errors import Exit, RecliError, nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recli.interactions import Interactions
    from recli.scorers import Floats, Ints, Scorer

    Array = NDArray[Any]


def _silent(done: int, total: int, note: str) -> None:
    """Progress that nobody watches."""


def _unlogged(epoch: int, values: Mapping[str, float]) -> None:
    """A log that nobody keeps."""


def _untold(facts: Mapping[str, float]) -> None:
    """What nobody wants to know."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """An older model, what it learned, and which of its rows each user (users,) and item (items,) has; -1 for none."""

    model: str
    scorer: Scorer
    user: Ints
    item: Ints

    @property
    def knows_nobody(self) -> bool:
        """Whether no row is there to start from."""
        return not ((self.user >= 0).any() or (self.item >= 0).any())

    def into(self, user: Floats, item: Floats, bias: Floats | None = None) -> None:
        """Put the rows, and the items' biases, in place of those that a fit begins with; of `Factors` alone."""
        old: Any = self.scorer
        for new, codes, rows in ((user, self.user, old.user), (item, self.item, old.item), (bias, self.item, old.bias)):
            if new is not None and rows is not None:
                new[codes >= 0] = rows[codes[codes >= 0]]


class Checkpoint(Protocol):
    """Where the state of a training is kept: arrays by name, and what JSON can hold; saved every so many epochs."""

    @property
    def every(self) -> int:
        """The epochs from one saving to the next."""
        ...

    def load(self) -> tuple[Mapping[str, Array], Mapping[str, Any]] | None:
        """The state to go on from; None to begin at the beginning."""
        ...

    def save(self, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
        """Keep a state in place of the one before; on return it is safe."""
        ...


@dataclass(frozen=True, kw_only=True)
class Run:
    """How to fit, not what: the seed, the threads, the device, what to start from and who is told of progress.

    Of networks alone: ``validate`` rates a scorer, higher is better; it is asked every ``eval_every`` epochs, and after
    ``patience`` answers in a row that are no better than the best, training stops. ``time_budget`` is in seconds.
    ``log`` is called once an epoch, counted from 1, with ``loss``, ``learning_rate`` and, where it was asked,
    ``valid``; ``finished`` in the end, with ``epochs`` and, of the best, ``best_epoch`` and ``valid``.
    """

    seed: int = 2020
    threads: int = 1
    device: str = "cpu"
    starts: Sequence[Start] = ()
    progress: Callable[[int, int, str], None] = _silent
    validate: Callable[[Scorer], float] | None = None
    patience: int = 10
    eval_every: int = 1
    checkpoint: Checkpoint | None = None
    time_budget: float | None = None
    log: Callable[[int, Mapping[str, float]], None] = _unlogged
    finished: Callable[[Mapping[str, float]], None] = _untold


class Model(Protocol):
    """A frozen, keyword-only dataclass: its fields are its hyper-parameters, and that is all it holds.

    A class variable ``takes`` says what else it makes use of: "weights" of events, a "start", the tables of
    each "user" and "item", "training" in epochs with all that a `Run` says of it.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def fit(self, data: Interactions, run: Run) -> Scorer:
        """Learn from ``data``; the model itself is not changed."""
        ...


def param(
    default: Any,
    doc: str,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    one_of: Sequence[str] = (),
) -> Any:
    """A hyper-parameter: its default, its line of documentation and the values it may take."""
    limits = {"above": above, "least": least, "below": below, "one_of": tuple(one_of)}
    return field(default=default, metadata={"doc": doc, **limits})


def configure(cls: type, given: Mapping[str, Any]) -> Any:
    """An instance of the model ``cls`` with the parameters ``given``, typed and checked against its fields.

    Raises:
        RecliError: a parameter that the model does not have, of another type, or out of its range (exit 2).
    """
    known = {f.name: f for f in fields(cls)}
    hints = get_type_hints(cls)
    values = {}
    for name, value in given.items():
        if name not in known:
            raise RecliError(Exit.USAGE, f"{cls.__name__} has no parameter {name!r}", hint=nearest(name, known))
        values[name] = _typed(name, value, hints[name])
        _check_range(name, values[name], known[name].metadata)
    return cls(**values)


def parse(assignments: Sequence[str]) -> dict[str, Any]:
    """``key=value`` pairs as given to ``-p``; a value is JSON, and text where it is not.

    >>> parse(["k=100", "weighting=bm25", "bias=true"])
    {'k': 100, 'weighting': 'bm25', 'bias': True}
    """
    given: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name:
            raise RecliError(Exit.USAGE, f"-p takes key=value, not {assignment!r}")
        try:
            given[name] = json.loads(text)
        except ValueError:
            given[name] = text
    return given


def _typed(name: str, value: Any, kind: Any) -> Any:
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise RecliError(Exit.USAGE, f"{name} takes a list such as [128, 64], not {value!r}")
        return tuple(_typed(name, one, get_args(kind)[0]) for one in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise RecliError(Exit.USAGE, f"{name} takes {_NAMES.get(kind, kind)}, not {value!r}")
    return value


_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}


def _check_range(name: str, value: Any, limits: Any) -> None:
    if isinstance(value, tuple):
        for one in value:
            _check_range(name, one, limits)
        return
    if limits.get("one_of") and value not in limits["one_of"]:
        raise RecliError(Exit.USAGE, f"{name} cannot be {value!r}", hint=nearest(str(value), limits["one_of"]))
    if isinstance(value, float) and not isfinite(value):
        raise RecliError(Exit.USAGE, f"{name} cannot be {value}")
    if limits.get("above") is not None and not value > limits["above"]:
        raise RecliError(Exit.USAGE, f"{name} must be above {limits['above']:g}, not {value:g}")
    if limits.get("least") is not None and not value >= limits["least"]:
        raise RecliError(Exit.USAGE, f"{name} must be at least {limits['least']:g}, not {value:g}")
    if limits.get("below") is not None and not value < limits["below"]:
        raise RecliError(Exit.USAGE, f"{name} must be below {limits['below']:g}, not {value:g}")
