"""A gate: whether metrics fell by more than is allowed from a baseline."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recli.errors import Exit, RecliError
from recli.metrics import Metric, Wanted, parse
from recli.metrics.significance import Paired
from recli.pipeline.judged import SAME, SEEN, ByFold, Judged, difference, differing, written


@dataclass(frozen=True)
class Verdict:
    """Whether a metric held, and what is said of it."""

    holds: bool
    said: str


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The metrics of before, and how much may be lost: an absolute drop, or a share of the value of before."""

    baseline: Judged
    drop: float
    relative: bool
    table: Mapping[str, Metric]

    @property
    def metrics(self) -> list[Wanted]:
        """What the baseline holds: what is measured where nothing else is asked for.

        Raises:
            RecliError: a metric is none of the dialect's (exit 2).
        """
        try:
            return parse(",".join(self.baseline.metrics), self.table)
        except RecliError as error:
            hint = "--dialect says whose definitions, --metrics what to measure"
            raise RecliError(error.code, error.message, where=self.baseline.path, hint=hint) from error

    def verdicts(self, document: Mapping[str, Any], path: Path) -> list[Verdict]:
        """One for every metric that the baseline has too.

        The verdict is on the values; the interval of the difference says how far chance may have made it.

        Raises:
            RecliError: there is no such metric, or one of the same name measures another thing (exit 2).
        """
        now = Judged(path=path, name=str(path), document=document, per_user=pl.DataFrame(document["per_user"]))
        both = [name for name in now.metrics if name in self.baseline.metrics]
        if not both:
            hint = f"it holds {', '.join(self.baseline.metrics)}"
            raise RecliError(Exit.USAGE, "holds none of these metrics", where=self.baseline.path, hint=hint)
        apart = differing(now, self.baseline, both, (*(fact for fact in SAME if fact != "phase"), SEEN))
        if apart:
            hint = "a baseline is measured as what is held to it"
            raise RecliError(Exit.USAGE, str(apart[0]), where=self.baseline.path, hint=hint)
        return [self._verdict(now, name) for name in both]

    def _verdict(self, now: Judged, name: str) -> Verdict:
        new, old = now.metrics[name]["value"], self.baseline.metrics[name]["value"]
        allowed = f"{self.drop * 100:g} %" if self.relative else f"{self.drop:g}"
        if new is None or old is None:
            return Verdict(new is not None, f"{name} is {_shown(new)}, and was {_shown(old)}")
        better = 1 if now.metrics[name]["larger_is_better"] else -1
        lost = (old - new) * better
        # A drop of just what is allowed holds, whatever rounding makes of it.
        bound = self.drop * (abs(old) if self.relative else 1.0)
        holds = lost <= bound + 1e-12
        share = f", {(new - old) / abs(old):+.2%}" if old else ""
        said = f"{name} was {old:.4f}, is {new:.4f} ({new - old:+.4f}{share}; {self._interval(now, name)})"
        return Verdict(holds, f"{said}, {'within' if holds else 'more than'} the drop of {allowed} that is allowed")

    def _interval(self, now: Judged, name: str) -> str:
        found = difference(now, self.baseline, name)
        if found is None:
            return "without values by user, so without an interval"
        unit = "folds" if isinstance(found, ByFold) else "users"
        how = f"paired by {found.users:,} {unit}" if isinstance(found, Paired) else "other data, so unpaired"
        return f"95 % interval {found.low:+.4f} to {found.high:+.4f}, {how}"


def open_gate(path: Path, max_drop: str, table: Mapping[str, Metric]) -> Gate:
    """The gate that ``--baseline`` and ``--max-drop`` (``1%`` or ``0.01``) make.

    Raises:
        RecliError: the drop is no number (exit 2); the file is no metrics (3).
    """
    match = re.fullmatch(r"\s*([0-9.eE+-]+)\s*(%?)\s*", max_drop)
    try:
        drop = float(match[1]) if match else math.nan
    except ValueError:
        drop = math.nan
    if not math.isfinite(drop) or drop < 0 or match is None:
        raise RecliError(Exit.USAGE, f"--max-drop cannot be {max_drop!r}", hint="such as 1% or 0.005")
    baseline = written(path)
    if baseline is None:
        hint = "recli evaluate -o FILE.metrics.json writes them"
        raise RecliError(Exit.DATA, "holds no metrics", where=path, hint=hint)
    return Gate(baseline=baseline, drop=drop / 100 if match[2] else drop, relative=bool(match[2]), table=table)


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
