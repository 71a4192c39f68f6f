"""Lineage: the files behind an artifact, followed through the headers and verified on the way."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recli.artifact import Artifact, Parent, find, sha256_of
from recli.errors import RecliError

State = Literal["ok", "missing", "changed", "damaged"]


@dataclass(frozen=True)
class Node:
    """A file behind an artifact: how many steps back, in which role, and whether it is still what it was."""

    depth: int
    role: str
    path: Path
    state: State


def lineage(artifact: Artifact) -> Iterator[Node]:
    """Every file that ``artifact`` was made from, directly or not, once, each after what was made from it."""
    yield from _behind(artifact, 0, set())


def _behind(artifact: Artifact, depth: int, told: set[tuple[Path, str]]) -> Iterator[Node]:
    for parent in artifact.header.parents:
        path = Path(os.path.relpath(artifact.path.resolve().parent / parent.path))
        if (path, parent.sha256) in told:
            continue
        told.add((path, parent.sha256))
        state, found = _state(path, parent)
        yield Node(depth, parent.role, path, state)
        if found is not None and state == "ok":
            yield from _behind(found, depth + 1, told)


def _state(path: Path, parent: Parent) -> tuple[State, Artifact | None]:
    if not path.is_file():
        return "missing", None
    try:
        found = find(path)
    except RecliError:
        return "damaged", None
    digest = sha256_of(path) if found is None else found.digest
    return ("ok" if digest == parent.sha256 else "changed"), found
