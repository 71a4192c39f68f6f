"""The table of metrics, and the grammar of ``--metrics ndcg@10,mrr@10`` and ``--assert 'ndcg@10>=0.3'``.

To add a metric: a function in the file of its kind, and an entry here.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from recli.errors import Exit, RecliError, nearest
from recli.metrics import ranking

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["ranking"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What a metric is called, how it is computed and what exactly it means.

    ``definition`` says in one word what else goes by the same name: gain, discount and denominator.
    """

    name: str
    function: Callable[..., NDArray[np.float64]]
    definition: str
    summary: str
    source: str
    kind: Kind = "ranking"
    larger_is_better: bool = True


METRICS: Final[dict[str, Metric]] = {
    metric.name: metric
    for metric in (
        Metric(
            name="hit",
            function=ranking.hit,
            definition="hit/binary/any",
            summary="users with a relevant item among the first k",
            source="RecBole 1.2.1 Hit",
        ),
        Metric(
            name="recall",
            function=ranking.recall,
            definition="recall/binary/denominator=R",
            summary="share of the user's relevant items among the first k",
            source="Manning et al. 2008, section 8.3; RecBole 1.2.1 Recall",
        ),
        Metric(
            name="precision",
            function=ranking.precision,
            definition="precision/binary/denominator=k",
            summary="share of the first k that is relevant",
            source="Manning et al. 2008, section 8.3; RecBole 1.2.1 Precision",
        ),
        Metric(
            name="mrr",
            function=ranking.mrr,
            definition="mrr/binary/first-hit",
            summary="1 / the place of the first relevant item",
            source="Voorhees 1999; RecBole 1.2.1 MRR",
        ),
        Metric(
            name="map",
            function=ranking.average_precision,
            definition="map/binary/denominator=min(k,R)",
            summary="mean precision at the places of the relevant items",
            source="Manning et al. 2008, section 8.4; RecBole 1.2.1 MAP",
        ),
        Metric(
            name="ndcg",
            function=ranking.ndcg,
            definition="ndcg/binary/log2/ideal=min(k,R)",
            summary="gain discounted by the logarithm of the place, as a share of the best list's",
            source="Järvelin and Kekäläinen 2002; RecBole 1.2.1 NDCG",
        ),
    )
}


class Wanted(NamedTuple):
    """A metric at a cut-off; its text is what the user wrote."""

    name: str
    k: int

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"


def parse(text: str) -> list[Wanted]:
    """Metrics as given to ``--metrics``, in their order, each once.

    >>> [str(wanted) for wanted in parse("ndcg@10, MRR@5, ndcg@10")]
    ['ndcg@10', 'mrr@5']

    Raises:
        RecliError: an unknown metric, no cut-off, or one that is not a whole number above 0 (exit 2).
    """
    wanted = [_parse_one(part) for part in text.split(",") if part.strip()]
    if not wanted:
        raise RecliError(Exit.USAGE, "no metric is named", hint="such as ndcg@10,mrr@10")
    return list(dict.fromkeys(wanted))


def _parse_one(text: str) -> Wanted:
    name, at, k = (part.strip() for part in text.lower().partition("@"))
    if name not in METRICS:
        raise RecliError(Exit.USAGE, f"there is no metric {name!r}", hint=nearest(name, METRICS))
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


def parse_assertion(text: str) -> Assertion:
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
    return Assertion(_parse_one(metric), op, number)
