"""The rows of an older model, for a new one to start from."""

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


def open_old(path: Path, chosen: Chosen) -> Artifact:
    """The artifact of an older model of the same kind.

    Raises:
        RecliError: it is a model of another kind (exit 2), no model (exit 3), or cannot be read (exit 3, 4).
    """
    old = load(path)
    if old.header.kind != "model":
        raise RecliError(Exit.DATA, f"is no model but {old.header.kind}", where=path, hint="recli train makes a model")
    name = old.header.more.get("model")
    if name != chosen.name:
        raise RecliError(Exit.USAGE, f"--init: is {name}, and {chosen.name} is to be trained", where=path)
    return old


def start_from(old: Artifact, model: Any, users: "pl.Series", items: "pl.Series") -> Start:
    """Its rows of the new ``users`` and ``items``.

    Raises:
        RecliError: its rows have another length (exit 2), it knows nobody and nothing, or is damaged (exit 3).
    """
    arrays, path = old.arrays, old.path
    try:
        ids = {of: store.unpack_ids(arrays[f"{of}.text"], arrays[f"{of}.offsets"]) for of in ("users", "items")}
        own = {name.removeprefix("scorer."): a for name, a in arrays.items() if name.startswith("scorer.")}
        factors = store.unpack(own, old.header.more["scorer"], {of: len(known) for of, known in ids.items()})
    except KeyError as error:
        raise RecliError(Exit.DATA, f"is no model file: {error} is missing", where=path) from error
    if not isinstance(factors, Factors):
        raise RecliError(Exit.DATA, "holds no rows of users and items", where=path)
    width = factors.item.shape[1]
    if width != model.embedding_size:
        message = f"--init: has embedding_size={width}, and {model.embedding_size} is to be trained"
        raise RecliError(Exit.USAGE, message, where=path, hint=f"-p embedding_size={width}")
    start = Start(factors=factors, user=encode(users, ids["users"]), item=encode(items, ids["items"]))
    if start.knows_nobody:
        raise RecliError(Exit.DATA, "--init: knows none of the users and items", where=path)
    return start
