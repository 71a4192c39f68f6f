"""What older models learned, for a new one to start from."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recli.artifact import Artifact, load
from recli.errors import Exit, RecliError
from recli.interactions import encode
from recli.model import Start
from recli.models import store
from recli.models.catalog import Chosen
from recli.scorers import Factors

if TYPE_CHECKING:
    import polars as pl


def open_old(paths: Sequence[Path], chosen: Chosen) -> list[Artifact]:
    """The artifacts of older models: one of the same kind, or one or more of those that it can begin with.

    Raises:
        RecliError: a model of another kind, or two of one (exit 2); no model (exit 3), or unreadable (exit 3, 4).
    """
    found = [load(path) for path in paths]
    names: list[str] = []
    for old in found:
        if old.header.kind != "model":
            made = "recli train makes a model"
            raise RecliError(Exit.DATA, f"is no model but {old.header.kind}", where=old.path, hint=made)
        name = str(old.header.more.get("model"))
        if name != chosen.name and name not in chosen.begins_with:
            message = f"--init: is {name}, and {chosen.name} is to be trained"
            hint = f"it can begin with {' and '.join(chosen.begins_with)}" if chosen.begins_with else None
            raise RecliError(Exit.USAGE, message, where=old.path, hint=hint)
        if name in names:
            raise RecliError(Exit.USAGE, f"--init: there are two of {name}", where=old.path)
        names.append(name)
    if len(names) > 1 and chosen.name in names:
        raise RecliError(Exit.USAGE, f"--init: {chosen.name} is all of it, and begins alone", where=paths[0])
    return found


def start_from(old: Artifact, model: Any, users: "pl.Series", items: "pl.Series") -> Start:
    """What it learned, and its rows of the new ``users`` and ``items``.

    Raises:
        RecliError: its rows have another length (exit 2), it knows nobody and nothing, or is damaged (exit 3).
    """
    arrays, path = old.arrays, old.path
    try:
        ids = {of: store.unpack_ids(arrays[f"{of}.text"], arrays[f"{of}.offsets"]) for of in ("users", "items")}
        own = {name.removeprefix("scorer."): a for name, a in arrays.items() if name.startswith("scorer.")}
        scorer = store.unpack(own, old.header.more["scorer"], {of: len(known) for of, known in ids.items()})
    except KeyError as error:
        raise RecliError(Exit.DATA, f"is no model file: {error} is missing", where=path) from error
    width = getattr(model, "embedding_size", None)  # of models that are nothing but rows
    if width is not None and not isinstance(scorer, Factors):
        raise RecliError(Exit.DATA, "holds no rows of users and items", where=path)
    if isinstance(scorer, Factors) and width not in (None, scorer.item.shape[1]):
        message = f"--init: has embedding_size={scorer.item.shape[1]}, and {width} is to be trained"
        raise RecliError(Exit.USAGE, message, where=path, hint=f"-p embedding_size={scorer.item.shape[1]}")
    codes = {"user": encode(users, ids["users"]), "item": encode(items, ids["items"])}
    start = Start(model=str(old.header.more["model"]), scorer=scorer, **codes)
    if start.knows_nobody:
        raise RecliError(Exit.DATA, "--init: knows none of the users and items", where=path)
    return start
