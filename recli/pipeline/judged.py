"""Metrics that were written or are measured now: what `compare` and a gate hold against each other."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import polars as pl

from recli.artifact import canonical, find
from recli.errors import Exit, RecliError
from recli.metrics.significance import Paired, Unpaired, paired, unpaired
from recli.pipeline.folds import averaged, fold_of
from recli.pipeline.names import stem
from recli.schema import QUERY, USER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recli.pipeline.evaluate import Asked
    from recli.pipeline.step import Output

    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]

# What has to be equal for two values of one name to be of one thing, and what is only said.
SAME: Final = ("definition", "population", "phase", "candidates", "relevant", "gain")
SEEN: Final = "seen"
# What lists of another program are said to be, of which nothing is known.
UNTOLD: Final = {"phase": "given", "candidates": "unknown", "seen": "unknown"}


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The metrics of one input: the document, and, where they are known, the values by user and the lists."""

    path: Path
    name: str
    document: Mapping[str, Any]
    per_user: pl.DataFrame | None = None
    codes: "Ints | None" = None
    items: pl.Series | None = None

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The entries of the document, by name."""
        found: Mapping[str, Any] = self.document["metrics"]
        return found

    def by_row(self, metric: str) -> "Doubles | None":
        """The values of a metric by user (or query); None where it has none, or they were not kept."""
        if self.per_user is None or metric not in self.per_user.columns:
            return None
        return self.per_user[metric].fill_null(float("nan")).to_numpy()


def written(path: Path) -> Judged | None:
    """The metrics in a file that `evaluate` wrote with -o, --per-user or --json; None where it is another file.

    Raises:
        RecliError: it cannot be read (exit 4), or is damaged (exit 3).
    """
    artifact = find(path)
    if artifact is None:
        return _printed(path)
    name = stem(path)
    if artifact.header.kind == "per-user":
        document = artifact.header.more["document"]
        return Judged(path=path, name=name.removesuffix(".users"), document=document, per_user=artifact.frame())
    if artifact.header.kind != "metrics":
        return None
    document = artifact.document
    columns = document.get("per_user")
    text = {USER: pl.String, QUERY: pl.Int32}
    frame = None if columns is None else pl.DataFrame(columns, schema={n: text.get(n, pl.Float64) for n in columns})
    return Judged(path=path, name=name, document=document, per_user=frame)


def _printed(path: Path) -> Judged | None:
    if path.suffix != ".json":
        return None
    try:
        document = json.loads(path.read_bytes())
        metrics = document["metrics"]
        sound = bool(metrics) and all("definition" in one and _is_value(one["value"]) for one in metrics.values())
    except (ValueError, KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise RecliError(Exit.DATA, "holds no metrics", where=path, hint="recli evaluate -o writes them")
    return Judged(path=path, name=stem(path).removesuffix(".metrics"), document=document)


def _is_value(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and math.isfinite(value))


def measured(path: Path, asked: "Asked", output: "Output") -> Judged:
    """The metrics of lists or of a model, measured now."""
    from recli.pipeline.evaluate import plan

    result = plan(path, asked, output).result
    return Judged(
        path=path,
        name=stem(path),
        document=result.document,
        per_user=result.per_user,
        codes=result.codes,
        items=result.items,
    )


def over_folds(found: Sequence[Judged]) -> list[Judged]:
    """The same with the folds of one split, made in one way, as one result, where the first of them stands.

    Raises:
        RecliError: a fold is there twice (exit 2).
    """
    groups: dict[str, dict[int, Judged]] = {}
    for place, one in enumerate(found):
        fold = fold_of(one.path)
        group = groups.setdefault(f"alone {place}" if fold is None else canonical(fold.made), {})
        number = 0 if fold is None else fold.number
        if number in group:
            message = f"is of fold {number}, as {group[number].path} is"
            raise RecliError(Exit.USAGE, message, where=one.path, hint="name every fold once")
        group[number] = one
    return [_pooled(group) if len(group) > 1 else next(iter(group.values())) for group in groups.values()]


def _pooled(folds: Mapping[int, Judged]) -> Judged:
    """Folds as one: the mean of the metrics, and the values of every user in every fold, as of so many queries."""
    number, first = next(iter(folds.items()))
    frames = [
        one.per_user if QUERY in one.per_user.columns else one.per_user.with_columns(pl.lit(at, pl.Int32).alias(QUERY))
        for at, one in folds.items()
        if one.per_user is not None
    ]
    return Judged(
        path=first.path,
        name=first.name.replace(f".fold{number}", "", 1),
        document=averaged({at: one.document for at, one in folds.items()}),
        per_user=pl.concat(frames, how="diagonal") if len(frames) == len(folds) else None,
    )


def same_truth(a: Judged, b: Judged) -> bool:
    """Whether both were held to the same rows, so that users pair up."""
    return "truth" in a.document and a.document["truth"] == b.document.get("truth")


class Apart(NamedTuple):
    """In what two inputs differ; ``told`` where both say what they are."""

    said: str
    told: bool

    def __str__(self) -> str:
        return self.said


def differing(a: Judged, b: Judged, metrics: Sequence[str], facts: Iterable[str] = SAME) -> list[Apart]:
    """In what the metrics of two inputs differ that should be equal; what sets all of them apart is said once."""
    found: dict[Apart, list[str]] = {}
    for fact in facts:
        for metric in metrics:
            ours, theirs = a.metrics[metric].get(fact), b.metrics[metric].get(fact)
            told = fact not in UNTOLD or UNTOLD[fact] not in (ours, theirs)
            # Which rows they are held to says more than a phase that has no name.
            if ours != theirs and (told or fact != "phase"):
                apart = Apart(f"{fact} is {ours!r} of {a.name}, and {theirs!r} of {b.name}", told)
                found.setdefault(apart, []).append(metric)
    return [
        apart if len(names) == len(metrics) else apart._replace(said=f"{', '.join(names)}: {apart.said}")
        for apart, names in found.items()
    ]


def difference(a: Judged, b: Judged, metric: str) -> Paired | Unpaired | None:
    """How a differs from b: paired by user where both were held to the same rows, else by the means of each.

    Over folds the value of a user is the mean over them. Where there are no values by user, or the metric is no plain
    mean of them, the folds are paired; None where there are none.
    """
    of_a, of_b = a.by_row(metric), b.by_row(metric)
    if of_a is None or of_b is None or "ratio-of-sums" in a.metrics[metric]["definition"]:
        return _by_fold(a, b, metric)
    if not same_truth(a, b):
        return unpaired(*(_by_user(one, values)["value"].to_numpy() for one, values in ((a, of_a), (b, of_b))))
    both = _by_user(a, of_a).join(_by_user(b, of_b), on=USER, how="inner").sort(USER)
    return paired(both["value"].to_numpy(), both["value_right"].to_numpy())


class ByFold(Paired):
    """The same of the values of folds: ``users`` counts folds.

    Their train parts overlap, so that p of the t test is too small (Nadeau and Bengio, Inference for the generalization
    error, Machine Learning 2003); that of the randomisation test is at least 2 / 2^folds.
    """


def _by_fold(a: Judged, b: Judged, metric: str) -> ByFold | None:
    of_a, of_b = (one.metrics[metric].get("folds") for one in (a, b))
    if of_a is None or of_b is None or not same_truth(a, b):
        return None
    values = (np.array([one["value"] for one in folds.values()], np.float64) for folds in (of_a, of_b))
    return ByFold(**vars(paired(*values)))


def _by_user(one: Judged, values: "Doubles") -> pl.DataFrame:
    """The values by user: the mean of a user's queries, which are not independent of each other."""
    assert one.per_user is not None
    frame = one.per_user.select(USER).with_columns(pl.Series("value", values))
    if QUERY not in one.per_user.columns:
        return frame
    known = pl.col("value").filter(pl.col("value").is_not_nan())
    return frame.group_by(USER).agg(known.mean().fill_null(float("nan")))
