"""The header of an artifact: what it is, what made it, from what."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from recli import __version__
from recli.errors import Exit, RecliError

FORMAT: Final = 1  # of the artifacts; a reader refuses what is newer than itself

ROLES: Final = ("source", "split", "model", "recs", "truth", "history", "user", "item", "kg", "link", "net", "code")


@dataclass(frozen=True, kw_only=True)
class Parent:
    """A file that an artifact was made from; ``path`` is relative to the artifact's folder."""

    role: str
    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Header:
    """What every artifact says of itself. ``more`` is what its kind adds: columns, row ranges, phase, …"""

    kind: str
    command: str
    params: Mapping[str, Any] = field(default_factory=dict)
    parents: tuple[Parent, ...] = ()
    key: str = ""
    code: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    recli: str = __version__
    format: int = FORMAT

    def parent(self, role: str) -> Parent | None:
        """The first parent of a role."""
        return next((parent for parent in self.parents if parent.role == role), None)

    def document(self) -> dict[str, Any]:
        """As the JSON object that is written."""
        own = {
            "kind": self.kind,
            "format": self.format,
            "recli": self.recli,
            "command": self.command,
            "params": dict(self.params),
            "parents": [vars(parent) for parent in self.parents],
            "key": self.key,
            "code": dict(self.code),
        }
        return own | dict(self.more)

    @classmethod
    def of(cls, document: Any, where: object) -> "Header":
        """From the JSON object of a file.

        Raises:
            RecliError: it is not a header, or of a newer format (exit 3).
        """
        try:
            version = int(document["format"])
            if version > FORMAT:
                made = document.get("recli", "a newer version")
                raise RecliError(
                    Exit.DATA, f"made by recli {made}, format {version}; this one reads {FORMAT}", where=where
                )
            rest = {name: value for name, value in document.items() if name != "digest"}
            parents = tuple(
                Parent(role=str(p["role"]), path=str(p["path"]), sha256=str(p["sha256"])) for p in rest.pop("parents")
            )
            own = {name: rest.pop(name) for name in ("kind", "command", "params", "key", "code", "recli", "format")}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecliError(Exit.DATA, f"its header is not one of recli's: {error!r}", where=where) from error
        return cls(parents=parents, more=rest, **own)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values, equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def key_of(command: str, params: Mapping[str, Any], parents: Iterable[Parent]) -> str:
    """The cache key: what was asked, of which bytes, by which version. The code that ran is compared apart."""
    asked = [command, dict(params), [[parent.role, parent.sha256] for parent in parents], __version__]
    return sha256(canonical(asked).encode()).hexdigest()
