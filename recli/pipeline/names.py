"""Names of files: what the next step's file is called after."""

import re
from pathlib import Path
from typing import Final

_OURS: Final = re.compile(
    r"(?P<name>.+?)\.(?:inter|user|item|kg|link|net|split|recs|preds|metrics)(?P<tag>-[0-9a-f]{6})?\.(?:parquet|json)"
)


def stem(path: Path) -> str:
    """The name of an artifact without its kind; the tag of its parameters stays, so that no two runs share a name.

    >>> [stem(Path(name)) for name in ("ml.split.parquet", "ml.split-3fa2c1.parquet", "ml.bpr.npz")]
    ['ml', 'ml-3fa2c1', 'ml.bpr']
    """
    ours = _OURS.fullmatch(path.name)
    if ours:
        return ours["name"] + (ours["tag"] or "")
    if path.suffix == ".npz":
        return path.stem
    from recli.sources import name_of

    return name_of(path)


def has_our_name(path: Path) -> bool:
    """Whether a file is called as recli would call an artifact."""
    return _OURS.fullmatch(path.name) is not None
