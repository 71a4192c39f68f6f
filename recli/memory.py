"""How much memory may be taken, and the refusal of what would take more, before anything is allocated."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from recli.errors import Exit, RecliError

VARIABLE: Final = "RECLI_MAX_MEMORY"
_UNITS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_CGROUP: Final = Path("/sys/fs/cgroup")


def parse(text: str) -> int:
    """Bytes, as given to ``--max-memory``; units are powers of 1,024.

    >>> parse("4G"), parse("1.5 GiB"), parse("512MB"), parse("1000")
    (4294967296, 1610612736, 536870912, 1000)

    Raises:
        RecliError: it is no size (exit 2).
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?\s*", text.lower())
    if not match or float(match[1]) <= 0:
        raise RecliError(Exit.USAGE, f"--max-memory cannot be {text!r}", hint="such as 4G or 500M")
    return int(float(match[1]) * 1024 ** _UNITS[match[2]])


def limit() -> int | None:
    """What may be taken: as ``--max-memory`` says, else what is free; None where that cannot be told."""
    given = os.environ.get(VARIABLE)
    if given:
        return parse(given)
    found = [free for free in (_machine(), _group()) if free is not None]
    return min(found) if found else None


def reserve(size: float, what: str, hint: str) -> None:
    """Refuse what would take more than there is.

    Raises:
        RecliError: ``size`` bytes are above the limit (exit 5).
    """
    most = limit()
    if most is not None and size > most:
        allowed = "allowed" if os.environ.get(VARIABLE) else "free"
        message = f"{what} would take about {_shown(size)}, and {_shown(most)} is {allowed}"
        raise RecliError(Exit.MEMORY, message, hint=hint)


def _machine() -> int | None:
    with suppress(OSError):
        found = re.search(r"MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text())
        return int(found[1]) * 1024 if found else None
    return None


def _group() -> int | None:
    """What the control group still lets this process have."""
    with suppress(OSError, ValueError):
        most, used = (int((_CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        return most - used
    return None


def _shown(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} TiB"
