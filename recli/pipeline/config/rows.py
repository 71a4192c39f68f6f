"""RecBole's keys of the data: where they are, how they are read, which rows stay, and which are train, valid, test."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recli.errors import Exit, RecliError, nearest
from recli.filters import parse_spans
from recli.pipeline.config.document import text
from recli.schema import PARTS

if TYPE_CHECKING:
    from recli.pipeline.config.recbole import Config

FIELDS: Final = {
    "USER_ID_FIELD": ("user_id", "user_col"),
    "ITEM_ID_FIELD": ("item_id", "item_col"),
    "RATING_FIELD": ("rating", "rating_col"),
    "TIME_FIELD": ("timestamp", "time_col"),
}
ENDINGS: Final = ("", ".gz", ".zst", ".parquet")
_INTERVAL: Final = re.compile(r"\s*([\[(])\s*([^,\s]+)\s*,\s*([^,\s]+)\s*([\])])\s*")


def dataset(config: "Config") -> Path:
    """The folder and the stem of the data set's files: the first of data_path/NAME, dataset/NAME and NAME.

    Raises:
        RecliError: no name (exit 2), or no such folder with NAME.inter in it, which is never fetched (exit 4).
    """
    given = config.take("dataset")
    if given is None:
        raise RecliError(Exit.USAGE, "no data set is named", hint="dataset: ml-100k in the file, or --dataset ml-100k")
    name, data_path = Path(text(given)), config.take("data_path")
    folders = [] if data_path is None else [Path(text(data_path)) / name, Path(text(data_path))]
    folders += [Path("dataset") / name, name]
    files = config.take("benchmark_filename") or []
    inner = f".{files[0]}" if isinstance(files, list | tuple) and files else ""
    for folder in folders:
        stem = folder / name.name
        if any(stem.with_name(f"{name.name}{inner}.inter{ending}").is_file() for ending in ENDINGS):
            return stem
    looked = ", ".join(f"{folder}/" for folder in folders)
    hint = f"looked for {name.name}{inner}.inter in {looked}; data_path says where, and nothing is downloaded"
    raise RecliError(
        Exit.IO, f"there is no data set {text(given)!r}", where=config.document.where("dataset"), hint=hint
    )


def interactions(stem: Path) -> Path:
    """The file of interactions of a data set."""
    return _file(stem, "")


def given_parts(config: "Config", stem: Path) -> dict[str, Any]:
    """The options of split where benchmark_filename says which files are the parts; none where it is silent."""
    names = config.take("benchmark_filename")
    if names is None:
        return {}
    if not isinstance(names, list | tuple) or len(names) not in (2, 3):
        hint = "such as benchmark_filename: [train, valid, test]"
        raise config.error("benchmark_filename", "benchmark_filename names the parts in their order", hint)
    which = PARTS if len(names) == 3 else ("train", "test")
    files = {part: _file(stem, f".{text(name)}") for part, name in zip(which, names, strict=True)}
    return {"strategy": "given", **files}


def split(config: "Config", eval_args: Mapping[str, Any], stem: Path) -> dict[str, Any]:
    """The options of split: RecBole's filters in its order, and its very draw."""
    return {**_filters(config, stem), **_strategy(config, eval_args)}


def has_valid(eval_args: Mapping[str, Any]) -> bool:
    """Whether a part is held out for validation."""
    how = eval_args["split"]
    return "test_only" not in how.values() and all(list(parts)[1] > 0 for name, parts in how.items() if name != "LS")


def source(config: "Config", stem: Path) -> dict[str, Any]:
    """How the files are read: separators, and the columns that are called otherwise."""
    found: dict[str, Any] = {}
    separators = {"field_separator": ("sep", "\t"), "seq_separator": ("seq_sep", " ")}
    for name, (option, usual) in separators.items():
        value = config.take(name, usual)
        if value != usual:
            found[option] = text(value)
    for name, (canonical, option) in FIELDS.items():
        value = config.take(name)
        if value is not None and value != canonical:
            found[option] = text(value)
    _check_load_col(config, stem, found.get("sep", "\t"))
    return found


def column(config: "Config", name: str) -> str:
    """What recli calls a column, by the name that it has in the file."""
    for key, (canonical, _) in FIELDS.items():
        if config.take(key, canonical) == name:
            return canonical
    return name


def leaves_out(config: "Config", kind: str) -> bool:
    """Whether load_col is there and does not load a table."""
    loaded = config.take("load_col")
    return isinstance(loaded, Mapping) and kind not in loaded


def _file(stem: Path, inner: str) -> Path:
    """The file of interactions, or of a part of them, packed or not."""
    files = [stem.with_name(f"{stem.name}{inner}.inter{ending}") for ending in ENDINGS]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise RecliError(Exit.IO, "no such file", where=files[0])
    return found


def _check_load_col(config: "Config", stem: Path, sep: str) -> None:
    """Every column of the interactions that is to be loaded has to be there.

    Which are loaded changes no result otherwise: ids, ratings and times are read where a step needs them.
    """
    loaded = config.take("load_col")
    if loaded is None:
        return
    if not isinstance(loaded, Mapping):
        raise config.error(
            "load_col", "load_col names columns by file", "such as load_col: {inter: [user_id, item_id]}"
        )
    columns, there = loaded.get("inter"), _columns(stem, "inter", sep)
    if columns in (None, "*") or not there:
        return
    for name in columns:
        if text(name) not in there:
            hint = nearest(text(name), there)
            raise config.error("load_col", f"{stem.name}.inter has no column {text(name)!r}", hint)


def _columns(stem: Path, kind: str, sep: str) -> list[str]:
    """The names in the first line of one of the data set's text files; none where it is not there."""
    files = [stem.with_name(f"{stem.name}.{kind}{ending}") for ending in ENDINGS[:-1]]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        return []
    from recli.sources.names import first_line
    from recli.sources.streams import file_input

    return [cell.partition(":")[0] for cell in first_line(file_input(file)).split(sep)]


def _filters(config: "Config", stem: Path) -> dict[str, Any]:
    """Duplicates, ranges of values and the k-core."""
    found: dict[str, Any] = {}
    dedup = config.take("rm_dup_inter")
    if dedup is not None:
        found["dedup"] = text(dedup)
        loaded = config.take("load_col")
        time = config.take("TIME_FIELD", "timestamp")
        columns = loaded.get("inter") if isinstance(loaded, Mapping) else None
        if isinstance(columns, list | tuple) and time not in columns:
            config.warn("rm_dup_inter", f"goes by {time} where the file has it, though load_col leaves it out")
    for name, value in _mapping(config, "val_interval").items():
        words = isinstance(value, list | tuple)
        of = _owned(config, stem, text(name))
        values = json.dumps([text(one) for one in value]) if words else _spans(config, "val_interval", text(value))
        found.setdefault("only" if words else "range", []).append(f"{of}={values}")
    for name, option in (("user_inter_num_interval", "user_kcore"), ("item_inter_num_interval", "item_kcore")):
        given = config.take(name)
        if given is None:
            continue
        spans = _spans(config, name, text(given))
        [(low, high), *others] = parse_spans(spans)
        if others or high < math.inf:
            found[option] = spans
        elif low > 1:
            found[option] = math.ceil(low)
    return found


def _mapping(config: "Config", name: str) -> Mapping[str, Any]:
    given = config.take(name)
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise config.error(name, f"{name} names columns", f'such as {name}: {{rating: "[3,inf)"}}')
    return given


def _owned(config: "Config", stem: Path, name: str) -> str:
    """A column as --range and --only name it: where the interactions have it not, that of their users or items."""
    sep = config.take("field_separator", "\t")
    if name not in _columns(stem, "inter", sep):
        for role in ("user", "item"):
            if name in _columns(stem, role, sep) and not leaves_out(config, role):
                return f"{role}.{name}"
    return column(config, name)


def _spans(config: "Config", name: str, given: str) -> str:
    """``[3,inf)`` as ``3.0,inf``, several with ``;`` between; an open end is the next number of 64 bits."""
    found = []
    for span in given.split(";"):
        match = _INTERVAL.fullmatch(span)
        try:
            low, high = (float(match[2]), float(match[3])) if match else (math.nan, math.nan)
        except ValueError:
            low = high = math.nan
        if match is None or math.isnan(low) or math.isnan(high):
            raise config.error(name, f"{span!r} is no interval", "such as [5,inf), (0,5] or [1,3];[5,9]")
        if match[1] == "(" and math.isfinite(low):
            low = math.nextafter(low, math.inf)
        if match[4] == ")" and math.isfinite(high):
            high = math.nextafter(high, -math.inf)
        if low > high:
            raise config.error(name, f"nothing lies in {span!r}", "the lower end comes first")
        found.append(f"{low!r},{high!r}")
    return ";".join(found)


def _strategy(config: "Config", eval_args: Mapping[str, Any]) -> dict[str, Any]:
    """How train, valid and test are drawn: RS by shares, LS the last of each user, TS by time."""
    how, order, group_by = (eval_args[name] for name in ("split", "order", "group_by"))
    if not isinstance(how, Mapping) or len(how) != 1 or next(iter(how)) not in ("RS", "LS", "TS"):
        hint = "such as split: {RS: [0.8, 0.1, 0.1]}"
        raise config.error("eval_args", "split is one of RS, LS and TS", hint)
    if order not in ("RO", "TO"):
        raise config.error("eval_args", f"order cannot be {order!r}", "RO, at random, or TO, by time")
    [(name, value)] = how.items()
    drawn = {"order": "random" if order == "RO" else "time", "dialect": "recbole"}
    if name == "LS":
        return {"strategy": "leave-one-out", "leave": text(value), **drawn}
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise config.error("eval_args", f"{name} takes three shares, not {value!r}", "such as [0.8, 0.1, 0.1]")
    if name == "TS":
        config.warn(
            "eval_args", "TS cuts the time of the whole table twice here; RecBole cuts valid off each user's rows"
        )
        total = sum(value)
        return {"strategy": "time", "at": f"{value[0] / total!r},{(value[0] + value[1]) / total!r}"}
    group = "none" if group_by in (None, "none", "None") else text(group_by)
    return {"strategy": "ratio", "ratios": text(list(value)), "group_by": group, **drawn}
