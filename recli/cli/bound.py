"""A command's options from a file: their names, their values, and the line that would say the same."""

import json
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from recli.errors import Exit, RecliError

# What is the whole run's, or of no use in it.
APART: Final = frozenset(
    {
        "context",
        "inputs",
        "output",
        "force",
        "overwrite",
        "as_json",
        "quiet",
        "verbose",
        "threads",
        "max_memory",
        "debug",
    }
)
FOLDS: Final = re.compile(r"[\w./-]+\.fold\*\.[\w.-]+")  # a pattern, which the shell is to read
NAMES: Final = {int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option: its flag, the parameter it fills, and the type of that."""

    flag: str
    parameter: Parameter

    @property
    def kind(self) -> Any:
        """What it takes: str, int, float, bool, Path or list[str]."""
        inner = get_args(self.parameter.annotation)[0]
        kinds = [kind for kind in get_args(inner) if kind is not type(None)] if get_origin(inner) is not list else []
        return kinds[0] if kinds else inner

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """The least and the greatest value."""
        info = get_args(self.parameter.annotation)[1]
        return info.min, info.max

    def value(self, given: Any) -> Any:
        """What a file says, as the command takes it.

        Raises:
            RecliError: it is of another type, or out of bounds (exit 2).
        """
        if given is None:
            return self.parameter.default
        kind = self.kind
        if get_origin(kind) is list:
            return [text(one) for one in given] if isinstance(given, list) else [text(given)]
        if kind is bool or kind in (int, float):
            return self._plain(kind, given)
        if isinstance(given, Mapping):
            raise RecliError(Exit.USAGE, f"{self.name} takes no mapping")
        return kind(text(given))

    def _plain(self, kind: Any, given: Any) -> Any:
        if kind is float and isinstance(given, int) and not isinstance(given, bool):
            given = float(given)
        if not isinstance(given, kind) or (kind is int and isinstance(given, bool)):
            raise RecliError(Exit.USAGE, f"{self.name} takes {NAMES[kind]}, not {given!r}")
        least, most = (None, None) if kind is bool else self.limits
        if least is not None and given < least:
            raise RecliError(Exit.USAGE, f"{self.name} is {given}, below {least:g}")
        if most is not None and given > most:
            raise RecliError(Exit.USAGE, f"{self.name} is {given}, above {most:g}")
        return given

    @property
    def name(self) -> str:
        """The flag without its dashes."""
        return self.flag.lstrip("-")

    def words(self, given: Any, folder: Path) -> list[str]:
        """How the option is given on a command line that is run in ``folder``."""
        value = self.value(given)
        if isinstance(value, bool):
            usual = bool(self.parameter.default)
            return [] if value == usual and self.parameter.default is not None else [self.flag if value else self._off]
        if isinstance(value, list):
            return [word for one in value for word in (self.flag, one)]
        return [self.flag, within(value, folder) if isinstance(value, Path) else text(value)]

    @property
    def _off(self) -> str:
        return f"--no-{self.name}"


def names_of(command: Callable[..., Any]) -> dict[str, Option]:
    """The options of a command, or of a group of them, by name (with underscores), but for those of the run."""
    found = {}
    for parameter in signature(command).parameters.values():
        if parameter.name in APART:
            continue
        info = get_args(parameter.annotation)[1]
        declared = [info.default, *(info.param_decls or ())]  # typer takes the first name for a default
        flags = [part for part in declared if isinstance(part, str) and part.startswith("-")]
        flag = max(flags, key=lambda one: one.startswith("--"), default=f"--{parameter.name.replace('_', '-')}")
        option = Option(flag=flag.partition("/")[0], parameter=parameter)
        found[option.name.replace("-", "_")] = option
    return found


def bound(command: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter of a command: what is given, else its default; ``params`` are what -p would set.

    Raises:
        RecliError: a value of another type (exit 2).
    """
    options = names_of(command)
    values = {name: parameter.default for name, parameter in signature(command).parameters.items()}
    values = {name: value for name, value in values.items() if name not in APART or name in ("inputs", "as_json")}
    for name, value in given.items():
        if name == "params":
            values["param"] = [*(values["param"] or ()), *_assignments(value)]
        else:
            values[options[name].parameter.name] = options[name].value(value)
    return values


def grouped(group: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    """What a group of options means, of a command's parameters."""
    return group(**{name: values[name] for name in signature(group).parameters})


def command_line(
    name: str, command: Callable[..., Any], given: Mapping[str, Any], inputs: Sequence[Path] | None, folder: Path
) -> str:
    """The command as it would be typed in ``folder``."""
    options = names_of(command)
    words = ["recli", name, *(within(path, folder) for path in inputs or ())]
    for option, value in given.items():
        if option == "params":
            words += [word for one in _assignments(value) for word in ("-p", one)]
        elif value is not None:
            words += options[option].words(value, folder)
    return " ".join(word if FOLDS.fullmatch(word) else shlex.quote(word) for word in words)


def text(value: Any) -> str:
    """A value of a file as the command line has it."""
    from recli.pipeline.config import document  # which reads YAML, and no help needs that

    return document.text(value)


def within(path: Path, folder: Path) -> str:
    """A path as it is called in ``folder``."""
    return str(path) if folder == Path() or path.is_absolute() else os.path.relpath(path, folder)


def _assignments(params: Mapping[str, Any]) -> list[str]:
    """``key=value`` as -p takes it: JSON, and text as it is where it cannot be taken for something else."""
    return [f"{name}={value if _is_plain(value) else json.dumps(value)}" for name, value in params.items()]


def _is_plain(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        json.loads(value)
    except ValueError:
        return True
    return False
