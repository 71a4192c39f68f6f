"""YAML as plain data that knows its lines; nothing in it is ever run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from recli.errors import Exit, RecliError

Path_ = tuple[str, ...]  # the keys that lead to a value; the place in a list counts as one


@dataclass(frozen=True, kw_only=True)
class Document:
    """What a file says, and on which line each key of it stands.

    ``lines`` has ``FILE:LINE`` by the keys that lead there; what came from the command line has none.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[Path_, str] = field(default_factory=dict)

    def where(self, *keys: str | int) -> str | None:
        """``FILE:LINE`` of a value, or of the nearest that holds it."""
        path = tuple(map(str, keys))
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)

    def over(self, other: "Document") -> "Document":
        """This, and what only ``other`` says: whole values, as RecBole merges its files."""
        kept = {path: line for path, line in other.lines.items() if path[0] not in self.values}
        return Document(values={**other.values, **self.values}, lines={**kept, **self.lines})


class _Loader(yaml.SafeLoader):
    """Plain data, where ``1e-3`` is a number, as JSON, Python and RecBole have it."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?[eE][-+]?[0-9]+|[-+]?\.[0-9_]+(?:[eE][-+]?[0-9]+)?"),
    list("-+0123456789."),
)


def read(path: Path) -> Document:
    """The mapping in a YAML file.

    Raises:
        RecliError: it cannot be read (exit 4); it is no YAML, no mapping, or has a key twice (exit 2).
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RecliError(Exit.IO, (error.strerror or "cannot be read").lower(), where=path) from error
    except UnicodeDecodeError as error:
        raise RecliError(Exit.USAGE, "is not UTF-8 text", where=path) from error
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return Document()
        lines: dict[Path_, str] = {}
        _mark(node, (), path, lines, set())
        values = loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = path if mark is None else f"{path}:{mark.line + 1}"
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise RecliError(Exit.USAGE, f"is no YAML: {problem}", where=where) from error
    except ValueError as error:  # a date such as 2020-13-45
        raise RecliError(Exit.USAGE, f"is no YAML: {error}", where=path) from error
    except RecursionError as error:
        raise RecliError(Exit.USAGE, "is nested too deep", where=path) from error
    finally:
        loader.dispose()
    if not isinstance(values, dict):
        hint = "such as model: EASE on one line and dataset: ml-100k on the next"
        raise RecliError(Exit.USAGE, "is no mapping of keys to values", where=path, hint=hint)
    return Document(values={str(name): value for name, value in values.items()}, lines=lines)


def _mark(node: yaml.Node, keys: Path_, file: Path, lines: dict[Path_, str], above: set[int]) -> None:
    """Note the line of every key, and refuse one that stands twice: the first would be lost."""
    if id(node) in above:
        raise RecliError(Exit.USAGE, "holds itself", where=f"{file}:{node.start_mark.line + 1}")
    inside = {*above, id(node)}
    if isinstance(node, yaml.SequenceNode):
        for place, part in enumerate(node.value):
            lines[*keys, str(place)] = f"{file}:{part.start_mark.line + 1}"
            _mark(part, (*keys, str(place)), file, lines, inside)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen and name != "<<":
                message = f"{name} is there twice, first on line {seen[name]}"
                raise RecliError(Exit.USAGE, message, where=f"{file}:{line}", hint="leave one of them out")
            seen[name] = line
            lines[*keys, name] = f"{file}:{line}"
            _mark(value, (*keys, name), file, lines, inside)


def text(value: Any) -> str:
    """A value as the command line has it: a list with commas, true and false in small letters.

    >>> text([0.8, 0.1, 0.1]), text(True), text("bpr")
    ('0.8,0.1,0.1', 'true', 'bpr')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(text, value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
