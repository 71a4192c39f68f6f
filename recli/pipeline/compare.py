"""compare: results side by side, and whether what sets them apart is more than chance."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError
from recli.interactions import encode, vocabulary
from recli.metrics import parse
from recli.metrics.overlap import jaccard, rbo
from recli.metrics.significance import Paired, holm
from recli.pipeline.audience import keys
from recli.pipeline.evaluate import Asked
from recli.pipeline.evaluate.asked import deepest
from recli.pipeline.judged import SEEN, Judged, difference, differing, measured, same_truth, written
from recli.pipeline.step import Output


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

    def document(self) -> dict[str, Any]:
        """As JSON takes it: null where something is not defined."""
        return {
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

    Raises:
        RecliError: they are held to different rows, or rank different candidates, unless ``different`` (exit 2); under
            ``strict`` also where they differ in what they left out as seen (exit 3); there is no metric in common (2).
    """
    found = _named([written(path) or measured(path, asked, output) for path in paths])
    first, *others = found
    metrics = [name for name in first.metrics if all(name in one.metrics for one in others)]
    if asked.metrics:
        chosen = {str(one) for one in asked.wanted(())}
        metrics = [name for name in metrics if name in chosen]
    if not metrics:
        hint = "; ".join(f"{one.name}: {', '.join(one.metrics)}" for one in found)
        raise RecliError(Exit.USAGE, "they have no metric in common", hint=hint)
    warnings = _differences(found, metrics, different=different, strict=strict)
    rows = [_row(one, first, metric) for metric in metrics for one in found]
    for test in ("p_t", "p_randomization"):
        adjusted = holm([row.get(test, np.nan) for row in rows])
        for row, value in zip(rows, adjusted, strict=True):
            if test in row:
                row[f"{test}_holm"] = float(value)
    k = deepest(parse(",".join(metrics), asked.table))
    overlap = [_overlap(one, first, k) for one in others if _have_lists(one, first)]
    return Comparison(
        reference=first.name, inputs=[one.name for one in found], metrics=rows, overlap=overlap, warnings=warnings
    )


def _named(found: list[Judged]) -> list[Judged]:
    """Each under a name of its own: the path where two have the same."""
    names = [one.name for one in found]
    if len(set(names)) == len(names):
        return found
    return [replace(one, name=str(one.path)) if names.count(one.name) > 1 else one for one in found]


def _differences(found: list[Judged], metrics: list[str], *, different: bool, strict: bool) -> list[str]:
    """What makes two of the inputs hard to compare, where that was allowed."""
    warnings: list[str] = []
    for first, other in pairwise(found):
        apart = differing(first, other, metrics)
        if not same_truth(first, other):
            apart.insert(0, f"{first.name} and {other.name} are held to different rows")
        if apart and not different:
            hint = "--allow-different compares them all the same, unpaired where the rows differ"
            raise RecliError(Exit.USAGE, apart[0], where=other.path, hint=hint)
        warnings += apart
        warnings += differing(first, other, metrics, (SEEN,))
    warnings += [f"{one.name}: {leak}" for one in found for leak in one.document.get("leaks", ())]
    if strict and warnings:
        raise RecliError(Exit.DATA, warnings[0], hint="without --strict this is a warning")
    return warnings


def _row(one: Judged, first: Judged, metric: str) -> dict[str, Any]:
    """A metric of one input, and how it differs from the first's."""
    value, reference = one.metrics[metric]["value"], first.metrics[metric]["value"]
    row: dict[str, Any] = {"metric": metric, "input": one.name, "value": value}
    if one is first or value is None or reference is None:
        return row
    row["difference"] = value - reference
    row["relative"] = (value - reference) / abs(reference) if reference else np.nan
    found = difference(one, first, metric)
    if found is None:
        return row
    told = {name: held for name, held in asdict(found).items() if name not in ("difference", "mean_a", "mean_b")}
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
    return {"input": one.name, **{name: float(np.nanmean(value)) for name, value in values.items()}}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in row.items()}
