"""A scorer, and a vocabulary, to arrays and back. What comes from a file is not trusted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recli.artifact.ids import pack_ids as pack_ids
from recli.artifact.ids import unpack_ids as unpack_ids
from recli.errors import Exit, RecliError
from recli.scorers import dimensions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recli.scorers import Scorer

    Arrays = Mapping[str, NDArray[Any]]

# Where scorers are defined. Nothing else is imported for a file's sake.
_CLASS: Final = re.compile(r"(recli\.scorers|recli\.(?:models|training)(?:\.[a-z_][a-z0-9_]*)+):([A-Z][A-Za-z0-9_]*)")
_SCALARS: Final[dict[str, tuple[type, ...]]] = {
    "int": (int,), "float": (int, float), "str": (str,), "bool": (bool,), "None": (type(None),)
}  # fmt: skip


def pack(scorer: Scorer) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """A scorer's arrays by field name (a csr matrix as ``NAME.data``, ``NAME.indices``, ``NAME.indptr``; the weights of
    a network, a field of the type ``Weights``, as ``NAME.KEY``), and the rest.

    The rest is ``{"scorer": "module:Class", "values": {field: scalar}, "sparse": {field: [rows, columns]}}``.
    """
    from scipy.sparse import csr_matrix

    cls = type(scorer)
    name = f"{cls.__module__}:{cls.__qualname__}"
    if not _CLASS.fullmatch(name):
        raise RecliError(Exit.USAGE, f"a {name} cannot be saved", hint="fit has to return a scorer of recli's")
    arrays: dict[str, NDArray[Any]] = {}
    values: dict[str, Any] = {}
    sparse: dict[str, list[int]] = {}
    for f in fields(cls):  # type: ignore[arg-type]  # a scorer is a dataclass
        value = getattr(scorer, f.name)
        if isinstance(value, np.ndarray):
            arrays[f.name] = value
        elif isinstance(value, Mapping):
            arrays |= {f"{f.name}.{key}": array for key, array in value.items()}
        elif isinstance(value, csr_matrix):
            arrays |= {f"{f.name}.{part}": getattr(value, part) for part in ("data", "indices", "indptr")}
            sparse[f.name] = [int(length) for length in value.shape]
        else:
            values[f.name] = value
    dimensions(scorer)
    return arrays, {"scorer": name, "values": values, "sparse": sparse}


def unpack(arrays: Arrays, meta: Any, lengths: Mapping[str, int] | None = None) -> Scorer:
    """The scorer that `pack` took apart; ``lengths`` are those that the vocabularies give to ``users`` and ``items``.

    Raises:
        RecliError: the parts do not make a scorer (exit 3).
    """
    try:
        cls = _class_of(meta["scorer"])
        values, sparse = dict(meta["values"]), dict(meta["sparse"])
        parts = {f.name: _field(f.name, f.type, arrays, values, sparse) for f in fields(cls)}
        scorer: Scorer = cls(**parts)
        own = dimensions(scorer)
        if any(own.get(name, length) != length for name, length in (lengths or {}).items()):
            raise ValueError(f"{own} where the vocabularies have {dict(lengths or {})}")
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise RecliError(Exit.DATA, f"is no scorer: {error}") from error
    return scorer


def _class_of(name: str) -> Any:
    """The scorer's class that a file names."""
    found = _CLASS.fullmatch(name)
    if not found:
        raise ValueError(f"{name!r} is no scorer's name")
    try:
        cls = getattr(import_module(found[1]), found[2], None)
    except ImportError as error:
        raise ValueError(f"there is no {found[1]}") from error
    if not isinstance(cls, type) or cls.__module__ != found[1] or not is_dataclass(cls) or not hasattr(cls, "score"):
        raise ValueError(f"{name!r} is no scorer")
    return cls


def _field(name: str, kind: Any, arrays: Arrays, values: Mapping[str, Any], sparse: Mapping[str, Any]) -> Any:
    """The value of a field, from whichever of the three places it is in."""
    if name in sparse:
        data, indices, indptr = (arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
        return _csr(data, indices, indptr, sparse[name])
    if name in arrays:
        return np.ascontiguousarray(arrays[name])
    if str(kind) == "Weights":
        return {key.removeprefix(f"{name}."): array for key, array in arrays.items() if key.startswith(f"{name}.")}
    value = values[name]
    known = [_SCALARS.get(word, ()) for word in str(kind).split(" | ")]
    if not isinstance(value, sum(known, ())) or (isinstance(value, bool) and "bool" not in str(kind)):
        raise ValueError(f"{name} is {value!r}")
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{name} is {value}")
    return value


def _csr(data: NDArray[Any], indices: NDArray[Any], indptr: NDArray[Any], shape: Any) -> Any:
    """A csr matrix whose indices are known to lie within it: the kernels do not look."""
    from scipy.sparse import csr_matrix

    rows, columns = (int(length) for length in shape)
    if any(index.dtype.kind != "i" or index.ndim != 1 for index in (indices, indptr)) or data.shape != indices.shape:
        raise ValueError("the parts of a sparse matrix are not vectors of whole numbers and as many entries")
    if len(indptr) != rows + 1 or indptr[0] != 0 or indptr[-1] != len(data) or (np.diff(indptr) < 0).any():
        raise ValueError("the rows of a sparse matrix do not follow on each other")
    if len(indices) and not (indices.min() >= 0 and indices.max() < columns):
        raise ValueError("an entry of a sparse matrix lies outside")
    return csr_matrix((data, indices, indptr), shape=(rows, columns))
