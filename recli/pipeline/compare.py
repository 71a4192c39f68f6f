"""compare: results side by side, and whether what sets them apart is more than chance."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from recli import __version__
from recli.artifact import Artifact, find, sha256_of
from recli.errors import Exit, RecliError
from recli.interactions import encode, vocabulary
from recli.metrics.overlap import jaccard, rbo
from recli.metrics.significance import RESAMPLES, SEED, Paired, holm
from recli.pipeline.audience import keys
from recli.pipeline.evaluate import Asked
from recli.pipeline.judged import (
    SEEN,
    ByFold,
    Judged,
    difference,
    differing,
    measured,
    over_folds,
    same_truth,
    written,
)
from recli.pipeline.step import Output

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Results, of which the first is what the others are held against.

    ``metrics`` has a row for each metric and input; ``overlap`` a row for each input whose lists are known.
    """

    reference: str
    inputs: list[str]
    metrics: list[dict[str, Any]]
    overlap: list[dict[str, Any]]
    warnings: list[str]
    parents: list[dict[str, str]]

    def document(self) -> dict[str, Any]:
        """As JSON takes it: null where something is not defined."""
        return {
            "header": {
                "kind": "comparison",
                "recli": __version__,
                "command": "compare",
                "params": {"resamples": RESAMPLES, "seed": SEED},
                "parents": self.parents,
            },
            "reference": self.reference,
            "inputs": self.inputs,
            "metrics": [_plain(row) for row in self.metrics],
            "overlap": [_plain(row) for row in self.overlap],
            "warnings": self.warnings,
        }


def compare(
    paths: Sequence[Path], asked: Asked, output: Output, *, different: bool = False, strict: bool = False
) -> Comparison:
    """Hold every input against the first, metric by metric; p values are adjusted over all of them together.

    The folds of one split, made in one way, are one input: the mean over them, and a user's mean over them.

    Raises:
        RecliError: they are held to different rows, or rank different candidates, unless ``different`` (exit 2); under
            ``strict`` also where they differ in what they left out as seen (exit 3); one lacks a metric (exit 2).
    """
    held = [written(path) for path in paths]
    if all(held):
        _check_options(asked, paths[0])
    read = [one or measured(path, asked, output) for one, path in zip(held, paths, strict=True)]
    found = _named(over_folds(read))
    if len(found) == 1:
        hint = "name those of another model too; recli evaluate averages the folds of one"
        raise RecliError(Exit.USAGE, "all inputs are folds of one split, made in one way", hint=hint)
    first, *others = found
    metrics = _metrics(found, asked)
    warnings = _differences(found, metrics, different=different, strict=strict)
    rows = [_row(one, first, metric) for metric in metrics for one in found]
    for test in ("p_t", "p_randomization"):
        adjusted = holm([row.get(test, np.nan) for row in rows])
        for row, value in zip(rows, adjusted, strict=True):
            if test in row:
                row[f"{test}_holm"] = float(value)
    k = max((int(at) for name in metrics for at in re.findall("@([0-9]+)", name)), default=1)
    overlap = [_overlap(one, first, k) for one in others if _have_lists(one, first)]
    return Comparison(
        reference=first.name,
        inputs=[one.name for one in found],
        metrics=rows,
        overlap=overlap,
        warnings=warnings,
        parents=_parents(read),
    )


def _check_options(asked: Asked, where: Path) -> None:
    """Refuse options that say how to measure, where everything is measured already (exit 2)."""
    request = asked.request
    late = asked.relevance.params() or asked.dialect != "recli" or asked.candidates.kind != "all" or asked.truth
    if late or request.phase or request.choices() or request.rolling or request.allow_seen:
        hint = "such options are for lists and models; recli evaluate took them"
        raise RecliError(Exit.USAGE, "holds metrics, which are measured already", where=where, hint=hint)


def _named(found: list[Judged]) -> list[Judged]:
    """Each under a name of its own: the path where two have the same."""
    names = [one.name for one in found]
    if len(set(names)) == len(names):
        return found
    return [replace(one, name=str(one.path)) if names.count(one.name) > 1 else one for one in found]


def _metrics(found: list[Judged], asked: Asked) -> list[str]:
    """The metrics that were asked for, else all that the inputs have in common.

    Raises:
        RecliError: an input lacks one that was asked for, or there is none (exit 2).
    """
    metrics = [name for name in found[0].metrics if all(name in one.metrics for one in found)]
    if not asked.metrics:
        if not metrics:
            hint = "; ".join(f"{one.name}: {', '.join(one.metrics)}" for one in found)
            raise RecliError(Exit.USAGE, "they have no metric in common", hint=hint)
        return metrics
    suffix = asked.candidates.suffix
    named = (one if one.candidates else one._replace(candidates=suffix) for one in asked.metrics)
    chosen = list(dict.fromkeys(map(str, named)))
    for one in found:
        lacking = [name for name in chosen if name not in one.metrics]
        if lacking:
            hint = f"it holds {', '.join(one.metrics)}"
            raise RecliError(Exit.USAGE, f"has no {lacking[0]}", where=one.path, hint=hint)
    return chosen


def _differences(found: list[Judged], metrics: list[str], *, different: bool, strict: bool) -> list[str]:
    """What makes an input hard to compare with the first, where that was allowed."""
    warnings: list[str] = []
    first, *others = found
    for other in others:
        apart = differing(first, other, metrics)
        refused = [one.said for one in apart if one.told]
        if not same_truth(first, other):
            refused.insert(0, f"{first.name} and {other.name} are held to different rows")
        if refused and not different:
            hint = "--allow-different compares them all the same, unpaired where the rows differ"
            raise RecliError(Exit.USAGE, refused[0], where=other.path, hint=hint)
        untold = [one.said for one in apart if not one.told]
        warnings += [*refused, *untold, *(one.said for one in differing(first, other, metrics, (SEEN,)))]
    warnings += [f"{one.name}: {leak}" for one in found for leak in one.document.get("leaks", ())]
    if strict and warnings:
        raise RecliError(Exit.DATA, warnings[0], hint="without --strict this is a warning")
    return warnings


def _parents(found: list[Judged]) -> list[dict[str, str]]:
    """The files that were compared."""
    artifacts = [(one.path, find(one.path)) for one in found]
    return [
        {"role": "source" if known is None else known.header.kind, "path": str(path), "sha256": _digest(path, known)}
        for path, known in artifacts
    ]


def _digest(path: Path, artifact: Artifact | None) -> str:
    return sha256_of(path) if artifact is None else artifact.digest


def _row(one: Judged, first: Judged, metric: str) -> dict[str, Any]:
    """A metric of one input, and how it differs from the first's."""
    value, reference = one.metrics[metric]["value"], first.metrics[metric]["value"]
    larger = one.metrics[metric].get("larger_is_better", True)
    row: dict[str, Any] = {"metric": metric, "input": one.name, "value": value, "larger_is_better": larger}
    row |= {name: held for name, held in one.metrics[metric].items() if name in ("deviation", "folds")}
    if one is first or value is None or reference is None:
        return row
    found = difference(one, first, metric)
    if found is None:
        relative = (value - reference) / abs(reference) if reference else np.nan
        return {**row, "difference": value - reference, "relative": relative}
    # Of the users that have a value in both, as the interval is: not of all.
    row["difference"] = found.difference
    row["relative"] = found.difference / abs(found.mean_b) if found.mean_b else np.nan
    told = {name: held for name, held in asdict(found).items() if name not in ("difference", "mean_a", "mean_b")}
    if isinstance(found, ByFold):
        told["paired_folds"] = told.pop("users")
    if isinstance(found, Paired) and not larger:
        told["wins"], told["losses"] = found.losses, found.wins
    return {**row, "paired": isinstance(found, Paired), **told}


def _have_lists(one: Judged, first: Judged) -> bool:
    return one.codes is not None and first.codes is not None and same_truth(one, first)


def _overlap(one: Judged, first: Judged, k: int) -> dict[str, Any]:
    """How alike the lists are, whatever is relevant: the mean over the users."""
    # `_have_lists` made sure.
    assert one.codes is not None
    assert one.items is not None
    assert one.per_user is not None
    assert first.codes is not None
    assert first.items is not None
    assert first.per_user is not None
    items = vocabulary(pl.concat([first.items, one.items]))
    own, theirs = (np.append(encode(ids, items), np.int32(-1)) for ids in (one.items, first.items))
    row = encode(keys(one.per_user), keys(first.per_user))
    a, b = own[one.codes[row >= 0]], theirs[first.codes[row[row >= 0]]]
    values = {f"jaccard@{k}": jaccard(a, b, k), f"rbo@{k}": rbo(a, b, k)}
    return {"input": one.name, **{name: _mean(value) for name, value in values.items()}}


def _mean(values: "NDArray[np.float64]") -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in row.items()}
