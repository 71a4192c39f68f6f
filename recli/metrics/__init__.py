"""Metrics: the table, and the grammar of ``--metrics ndcg@10,rmse`` and ``--assert 'ndcg@10>=0.3'``.

Everything below is a pure function of arrays; a dialect (`dialects`) is another table.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from recli.errors import Exit, RecliError, nearest
from recli.metrics.metric import Metric as Metric
from recli.metrics.table import METRICS as METRICS


class Wanted(NamedTuple):
    """A metric, at a cut-off if it takes one, over some candidates if not all; its text is what the user wrote."""

    name: str
    k: int | None = None
    candidates: str = ""  # such as s100: what is measured over a sample is not to be taken for the same metric

    def __str__(self) -> str:
        of = f"[{self.candidates}]" if self.candidates else ""
        return f"{self.name}{of}" if self.k is None else f"{self.name}@{self.k}{of}"


def parse(text: str, table: Mapping[str, Metric] = METRICS) -> list[Wanted]:
    """Metrics as given to ``--metrics``, in their order, each once; ``table`` is recli's own or a dialect's.

    >>> [str(wanted) for wanted in parse("ndcg@10, MRR@5, rmse, ndcg@10")]
    ['ndcg@10', 'mrr@5', 'rmse']

    Raises:
        RecliError: an unknown metric, a cut-off that is missing, not taken or not a whole number above 0 (exit 2).
    """
    wanted = [_parse_one(part, table) for part in text.split(",") if part.strip()]
    if not wanted:
        raise RecliError(Exit.USAGE, "no metric is named", hint="such as ndcg@10,mrr@10")
    return list(dict.fromkeys(wanted))


def _parse_one(text: str, table: Mapping[str, Metric]) -> Wanted:
    match = re.fullmatch(r"([^@\[\]]*)(@[^@\[\]]*)?(?:\[([a-z]+[0-9]*)\])?", text.strip().lower())
    if not match:
        raise RecliError(Exit.USAGE, f"{text.strip()!r} is no metric", hint="such as ndcg@10, or ndcg@10[s100]")
    name, k, candidates = match[1].strip(), (match[2] or "").strip(), match[3] or ""
    if name not in table:
        raise RecliError(Exit.USAGE, f"there is no metric {name!r}", hint=nearest(name, table))
    if not table[name].takes_cutoff:
        if k:
            raise RecliError(Exit.USAGE, f"{name} takes no cut-off", hint=name)
        return Wanted(name, None, candidates)
    if not k:
        raise RecliError(Exit.USAGE, f"{name} needs a cut-off", hint=f"such as {name}@10")
    at = k[1:].strip()
    if not re.fullmatch(r"0*[1-9][0-9]*", at):
        raise RecliError(Exit.USAGE, f"a cut-off is a whole number above 0, not {at!r}", hint=f"such as {name}@10")
    return Wanted(name, int(at), candidates)


OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}


class Assertion(NamedTuple):
    """What a value must satisfy for the verdict to be yes."""

    metric: Wanted
    op: str
    bound: float

    def holds(self, value: float) -> bool:
        """Whether ``value`` satisfies it; NaN, a value that is not defined, never does."""
        return OPERATORS[self.op](value, self.bound)

    def __str__(self) -> str:
        return f"{self.metric}{self.op}{self.bound:g}"


def parse_assertion(text: str, table: Mapping[str, Metric] = METRICS) -> Assertion:
    """A metric, a comparison and a number, as given to ``--assert``.

    >>> parse_assertion("ndcg@10 >= 0.30").holds(0.3)
    True

    Raises:
        RecliError: another form, a metric that `parse` refuses, or a bound that is not a finite number (exit 2).
    """
    hint = "such as 'ndcg@10>=0.3', in quotes, because the shell takes > for itself"
    match = re.fullmatch(r"([^<>=]+)(>=|<=|==|>|<)([^<>=]+)", text)
    if not match:
        signs = " ".join(OPERATORS)
        raise RecliError(Exit.USAGE, f"an assertion is a metric, one of {signs} and a number, not {text!r}", hint=hint)
    metric, op, bound = match.groups()
    try:
        number = float(bound)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RecliError(Exit.USAGE, f"{bound.strip()!r} is not a number to compare with", hint=hint)
    return Assertion(_parse_one(metric, table), op, number)
