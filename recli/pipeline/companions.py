"""The tables of users and items that belong to interactions: named by hand, recorded by a split, or beside a file."""

from pathlib import Path

from recli.artifact import find
from recli.errors import Exit, RecliError
from recli.pipeline.events import Events, Source, check_parent, open_events
from recli.sources import Options


def companion(role: str, events: Events | None, given: Path | None) -> Events | None:
    """The table of users (or items), ``given`` or as the interactions have it; None where they have none.

    Raises:
        RecliError: it is not the one that is recorded, or holds something else (exit 3), or is not there (exit 4).
    """
    if given is not None:
        return _table(role, given)
    if events is None:
        return None
    if events.artifact is not None and (parent := events.artifact.header.parent(role)):
        path, hint = events.path.resolve().parent / parent.path, f"--{role}-table names it"
        if not path.exists():
            raise RecliError(Exit.IO, f"the table of {role}s is not there", where=path, hint=hint)
        table = _table(role, path)
        check_parent(events.artifact.header, role, table.inputs[0].sha256, path, hint)
        return table
    beside = next((item.path for item in events.inputs if item.role == role), None)
    return None if beside is None else _table(role, beside)


def _table(role: str, path: Path) -> Events:
    """The table of users or items in a file, whatever the file is called."""
    ours = path.is_file() and find(path) is not None
    table = open_events(path, Source() if ours else Source(options=Options(kind=role)))
    if table.kind != role:
        raise RecliError(Exit.DATA, f"is no table of {role}s but .{table.kind}", where=path)
    return table
