"""RecBole's keys of the columns that become fields, as options of train."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recli.errors import nearest
from recli.pipeline.config import rows
from recli.pipeline.config.document import text
from recli.schema import IDS, LABEL, RATING

if TYPE_CHECKING:
    from recli.pipeline.config.recbole import Config

KEYS: Final = ("numerical_features", "discretization", "normalize_field", "normalize_all", "seq_len")


def fields(config: "Config", stem: Path) -> dict[str, Any]:
    """The options of train of a model that makes fields: which columns load_col loads, and what becomes of them.

    Raises:
        RecliError: a key has another form (exit 2).
    """
    numerical = [text(name) for name in _several(config, "numerical_features")]
    loaded = _loaded(config, stem, numerical)
    there = set(loaded) | set(numerical)
    how = _discretized(config, numerical)
    for name, length in _mapping(config, "seq_len").items():
        how[text(name)] = f"first:{text(length)}"
    scaled = [text(name) for name in _several(config, "normalize_field")]
    everything = config.take("normalize_all") is True
    if scaled and everything:
        raise config.error("normalize_all", "normalize_field and normalize_all are both set", "leave one of them out")
    kept = {name: way for name, way in how.items() if name in there}
    found: dict[str, Any] = {"columns": ",".join(loaded)}
    if kept:
        found["field"] = [f"{name}={way}" for name, way in kept.items()]
    if values := [name for name in numerical if name not in kept]:
        found["numerical"] = ",".join(values)
    if everything or (scaled := [name for name in scaled if name in numerical]):
        found["normalize"] = "all" if everything else ",".join(scaled)
    return found


def _several(config: "Config", name: str) -> list[Any]:
    given = config.take(name) or []
    return list(given) if isinstance(given, list | tuple) else [given]


def _mapping(config: "Config", name: str) -> Mapping[str, Any]:
    given = config.take(name) or {}
    if not isinstance(given, Mapping):
        raise config.error(name, f"{name} is by column, not {given!r}", f"such as {name}: {{title: 5}}")
    return given


def _discretized(config: "Config", numerical: list[str]) -> dict[str, str]:
    """ED is buckets of equal width, LD logarithms; both of numerical features only."""
    how = {}
    for name, given in _mapping(config, "discretization").items():
        method = text(given.get("method", "")) if isinstance(given, Mapping) else ""
        if method not in ("ED", "LD"):
            hint = f"such as {name}: {{method: ED, bucket: 10}}"
            raise config.error("discretization", f"{name} has the method {method!r}, which is neither ED nor LD", hint)
        if text(name) not in numerical:
            config.warn("discretization", f"of {name} is ignored: it is none of the numerical_features, as in RecBole")
            continue
        how[text(name)] = "log" if method == "LD" else f"bucket:{text(given.get('bucket', 10))}"
    return how


def _loaded(config: "Config", stem: Path, numerical: list[str]) -> list[str]:
    """The columns of .inter, .user and .item that are loaded and hold tokens, or are numerical features.

    Without load_col RecBole loads ids alone; without a list, or with '*', all that a file has.
    """
    given = config.take("load_col", {"inter": ["user_id", "item_id"]})
    own = {*IDS, LABEL, RATING, *(config.take(name, usual) for name, (usual, _) in rows.FIELDS.items())}
    found: list[str] = []
    for role in ("inter", "user", "item"):
        if isinstance(given, Mapping) and role not in given:
            continue
        types = _types(config, stem, role)
        asked = given[role] if isinstance(given, Mapping) else "*"
        names = [text(name) for name in asked] if isinstance(asked, list | tuple) else list(types)
        for name in names:
            if role != "inter" and types and name not in types:
                raise config.error("load_col", f"the {role}s' table has no column {name}", nearest(name, types))
            if name not in own and (not types.get(name, "token").startswith("float") or name in numerical):
                found.append(name)
    return list(dict.fromkeys(found))


def _types(config: "Config", stem: Path, role: str) -> dict[str, str]:
    """The columns of an atomic file and their types; none where there is no such file."""
    from recli.sources.names import first_line
    from recli.sources.streams import file_input

    files = [stem.with_name(f"{stem.name}.{role}{ending}") for ending in rows.ENDINGS[:-1]]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        return {}
    cells = first_line(file_input(file)).split(text(config.take("field_separator", "\t")))
    return {name: kind for name, _, kind in (cell.partition(":") for cell in cells)}
