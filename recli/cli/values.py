"""The options' text as values: words, numbers and paths.

typer does this too, by way of pydantic, whose import alone takes longer than `recli --help`; a command that finds its
work done should not have to wait for it. Where another version of typer keeps its converters elsewhere, its own work.
"""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup

_NUMBERS: Final[dict[Any, str]] = {int: "a whole number", float: "a number"}
_PLAIN: Final = (str, int, float, bool, Path)


class _PlainValues:
    """Gives every parameter of a command, its own and typer's, a `Plain` converter where that will do."""

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for parameter in params:
            described = getattr(parameter, "type_descriptor", None)
            kind = getattr(described, "annotation", None)
            inner = get_args(kind)[0] if get_origin(kind) is list else kind
            if described is not None and inner in _PLAIN:
                info = described.parameter_info
                parameter._runtime_param = Plain(inner, info.min, info.max)
        return params


class Command(_PlainValues, TyperCommand):
    """A command of typer's, quick to start."""


class Group(_PlainValues, TyperGroup):
    """A group of typer's, quick to start."""


@dataclass(frozen=True)
class Plain:
    """Turns text into ``kind``, within its bounds."""

    kind: Any
    least: float | None
    most: float | None

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value of a parameter as it was typed, or of each where there may be several.

        Raises:
            typer.BadParameter: it is not of the kind, or out of bounds (exit 2).
        """
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        return [self._one(each, param, ctx) for each in value] if several else self._one(value, param, ctx)

    def _one(self, value: Any, param: Any, ctx: Any) -> Any:
        try:
            converted = self.kind(value)
        except ValueError:
            raise typer.BadParameter(f"{value!r} is not {_NUMBERS[self.kind]}", ctx=ctx, param=param) from None
        if self.kind is float and not isfinite(converted):
            raise typer.BadParameter(f"{value!r} is not a finite number", ctx=ctx, param=param)
        if self.least is not None and converted < self.least:
            raise typer.BadParameter(f"{value} is below {self.least}", ctx=ctx, param=param)
        if self.most is not None and converted > self.most:
            raise typer.BadParameter(f"{value} is above {self.most}", ctx=ctx, param=param)
        return converted
