"""recli's own YAML: a section for each command, with the command's options.

    data: ml-100k.inter                # or a mapping: path and how it is read, or train, valid and test
    split:                             # false where the data are a split already
      strategy: ratio
      ratios: [0.8, 0.1, 0.1]
      user-kcore: 5
    train:                             # a model, or a list of them
      - ease
      - model: als
        params: {embedding_size: 64, reg_weight: 0.01}
    recommend: {k: 20}                 # may be left out: the model itself is evaluated
    evaluate:
      metrics: [ndcg@10, recall@10]
      assert: [ndcg@10>=0.3]
    seed: 2020                         # of every command that does not say another

An option is called as on the command line, without the dashes before it; a list stands for text with commas, or for an
option that may be repeated. Paths are relative to the current directory.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from recli.errors import Exit, RecliError, nearest
from recli.pipeline.config.document import Document, text
from recli.pipeline.config.plan import Plan

SECTIONS: Final = ("data", "split", "train", "recommend", "evaluate", "seed")
PARTS: Final = ("train", "valid", "test")


def is_ours(document: Document) -> bool:
    """Whether a document is recli's own: it has a section of a command."""
    return any(name in document.values for name in SECTIONS if name != "seed")


def plan(document: Document, options: Mapping[str, Collection[str]]) -> Plan:
    """The pipeline that the document describes; ``options`` are those of each command, and of ``data``.

    Raises:
        RecliError: an unknown key, or a section of another form (exit 2).
    """
    for name in document.values:
        _known(document, (name,), name, SECTIONS)
    values = document.values
    data, source = _data(document, options["data"])
    if not values.get("train"):
        raise RecliError(Exit.USAGE, "no model is named", where=document.where("train"), hint="such as train: ease")
    split = None
    if values.get("split") is not False:
        split = {**source, **_section(document, "split", options)}
    elif any(part in source for part in PARTS):
        message = "the data are in parts, which split joins"
        raise RecliError(Exit.USAGE, message, where=document.where("split"), hint="leave out split: false")
    shared = {"seed": values["seed"]} if "seed" in values else {}
    recommend = None
    if values.get("recommend") not in (None, False):
        recommend = _section(document, "recommend", options)
    return Plan(
        data=data,
        split=None if split is None else shared | split,
        train=[shared | one for one in _models(document, options)],
        recommend=recommend,
        evaluate=shared | _section(document, "evaluate", options),
        document=document,
    )


def _data(document: Document, known: Collection[str]) -> tuple[Path | None, dict[str, Any]]:
    """The file of interactions, and how it is read; or the files that are the parts."""
    given = document.values.get("data")
    if isinstance(given, str):
        return Path(given), {}
    if not isinstance(given, Mapping):
        where = document.where("data")
        raise RecliError(Exit.USAGE, "data names no file", where=where, hint="such as data: ml-100k.inter")
    options = {}
    for name, value in given.items():
        _known(document, ("data", str(name)), str(name), [*known, *PARTS, "path"])
        options[_spelled(str(name))] = value
    path = options.pop("path", None)
    parts = [name for name in PARTS if name in options]
    if (path is None) == (not parts):
        message = "data takes path, or train and test"
        raise RecliError(Exit.USAGE, message, where=document.where("data"), hint="such as path: ml-100k.inter")
    if parts:
        options["strategy"] = "given"
    return None if path is None else Path(text(path)), options


def _models(document: Document, options: Mapping[str, Collection[str]]) -> list[dict[str, Any]]:
    """Each model with its options; a name alone will do."""
    given = document.values["train"]
    several = given if isinstance(given, list) else [given]
    found = []
    for place, one in enumerate(several):
        at = ("train", str(place)) if isinstance(given, list) else ("train",)
        if isinstance(one, str):
            one = {"model": one}
        if not isinstance(one, Mapping):
            raise RecliError(Exit.USAGE, "train takes the name of a model, or its options", where=document.where(*at))
        chosen = _options(document, at, one, [*options["train"], "params"])
        if "model" not in chosen:
            raise RecliError(Exit.USAGE, "no model is named", where=document.where(*at), hint="such as model: ease")
        params = chosen.get("params", {})
        if not isinstance(params, Mapping):
            hint = "such as params: {reg_weight: 250}"
            raise RecliError(Exit.USAGE, "params are a mapping", where=document.where(*at, "params"), hint=hint)
        found.append(chosen)
    return found


def _section(document: Document, name: str, options: Mapping[str, Collection[str]]) -> dict[str, Any]:
    given = document.values.get(name)
    if given is None or given is True:
        return {}
    if not isinstance(given, Mapping):
        raise RecliError(Exit.USAGE, f"{name} takes the options of recli {name}", where=document.where(name))
    return _options(document, (name,), given, options[name])


def _options(
    document: Document, at: tuple[str, ...], given: Mapping[str, Any], known: Collection[str]
) -> dict[str, Any]:
    """The options of a section by the names of the parameters; none is unknown, none stands in two spellings."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        where = (*at, str(name))
        _known(document, where, str(name), known)
        if _spelled(str(name)) in found:
            raise RecliError(Exit.USAGE, f"{name} is there in two spellings", where=document.where(*where))
        found[_spelled(str(name))] = value
    return found


def _known(document: Document, at: tuple[str, ...], name: str, known: Collection[str]) -> None:
    if _spelled(name) not in {_spelled(one) for one in known}:
        shown = [one.replace("_", "-") for one in known]
        section = f" of {at[0]}" if len(at) > 1 else ""
        raise RecliError(
            Exit.USAGE, f"there is no key {name!r}{section}", where=document.where(*at), hint=nearest(name, shown)
        )


def _spelled(name: str) -> str:
    return name.replace("-", "_")
