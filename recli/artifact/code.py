"""Which of recli's modules a step runs, and a digest of their source.

The digest stands in every artifact beside the modules' names: a changed line is never answered with a stale file,
and an edit elsewhere voids nothing.
"""

import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
_IMPORT: Final = re.compile(r"^\s*from (recli[\w.]*) import (\([^)]*\)|[^\n]*)|^\s*import (recli[\w.]*)", re.MULTILINE)


def modules_of(entries: Iterable[str], without: Iterable[str] = ()) -> list[str]:
    """The modules that ``entries`` import, directly or not, themselves included; sorted.

    A package in ``without`` is left out with all that is in it. Read from the sources, not from ``sys.modules``: what
    else a process happens to have loaded does not matter.
    """
    excluded = tuple(without)
    found: set[str] = set()
    waiting = list(entries)
    while waiting:
        name = waiting.pop()
        inside = any(name == package or name.startswith(f"{package}.") for package in excluded)
        source = None if name in found or inside else _source(name)
        if source is None:
            continue
        found.add(name)
        for package, names, plain in _IMPORT.findall(source.read_text(encoding="utf-8")):
            waiting.append(plain or package)
            waiting.extend(f"{package}.{word}" for word in re.findall(r"\w+", names))
    return sorted(found)


def code_digest(modules: Iterable[str]) -> str:
    """sha256 over the names and sources of ``modules``; a module that is gone counts as empty."""
    total = sha256()
    for name in modules:
        source = _source(name)
        total.update(f"{name}\0".encode() + (b"" if source is None else source.read_bytes()) + b"\0")
    return total.hexdigest()


def _source(name: str) -> Path | None:
    """The file of a module of recli's; None for a name that is no module."""
    head, *parts = name.split(".")
    if head != "recli" or not all(part.isidentifier() for part in parts):
        return None
    path = ROOT.joinpath(*parts)
    candidates = (path / "__init__.py", path.with_name(f"{path.name}.py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)
