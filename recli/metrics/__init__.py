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


def on_lists(metric: Metric) -> bool:
    """Whether lists, the truth and train are all that a metric is computed from: what `recli evaluate` has at hand."""
    return metric.kind != "pairs" and set(metric.needs) <= {"train", "gains"}


class Wanted(NamedTuple):
    """A metric, at a cut-off if it takes one; its text is what the user wrote."""

    name: str
    k: int | None = None

    def __str__(self) -> str:
        return self.name if self.k is None else f"{self.name}@{self.k}"


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
    name, at, k = (part.strip() for part in text.lower().partition("@"))
    if name not in table:
        raise RecliError(Exit.USAGE, f"there is no metric {name!r}", hint=nearest(name, table))
    if not table[name].takes_cutoff:
        if at:
            raise RecliError(Exit.USAGE, f"{name} takes no cut-off", hint=name)
        return Wanted(name)
    if not at:
        raise RecliError(Exit.USAGE, f"{name} needs a cut-off", hint=f"such as {name}@10")
    if not re.fullmatch(r"0*[1-9][0-9]*", k):
        raise RecliError(Exit.USAGE, f"a cut-off is a whole number above 0, not {k!r}", hint=f"such as {name}@10")
    return Wanted(name, int(k))


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
