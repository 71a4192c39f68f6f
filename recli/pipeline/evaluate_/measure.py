"""The metrics of lists of codes against a truth: what `evaluate` does once everything is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError
from recli.interactions import encode, order_within
from recli.metrics import Metric, Wanted
from recli.metrics.beyond import Facts
from recli.metrics.gains import Judged, judge
from recli.metrics.metric import POPULATIONS
from recli.schema import ITEM, USER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Relevant:
    """Which items are relevant to whom, as codes: those of user u are ``item[indptr[u]:indptr[u + 1]]``, ascending."""

    indptr: "Longs"
    item: "Ints"


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The held-out items of ``users`` (n,), and of them those that stand in train.

    ``warm`` is None where train is not at hand; ``facts`` says what train holds, its items having the lowest codes.
    """

    users: pl.Series
    all: Relevant
    warm: Relevant | None = None
    facts: Facts = field(default_factory=Facts)


@dataclass(frozen=True, kw_only=True)
class Result:
    """Metrics of one input: the document, and the values by user."""

    document: dict[str, Any]
    per_user: pl.DataFrame


def deepest(metrics: Sequence[Wanted]) -> int:
    """The deepest cut-off of ``metrics``."""
    return max((wanted.k for wanted in metrics if wanted.k is not None), default=1)


def truth_of(held_out: pl.DataFrame, known: pl.Series, strangers: pl.Series, train: pl.DataFrame | None) -> Truth:
    """The held-out rows by user, each item once.

    Codes are those of ``known``, the items that train or the model knows, and above them those of ``strangers``.
    """
    distinct = held_out.select(USER, ITEM).unique(maintain_order=True)
    users = distinct[USER].unique(maintain_order=True)
    user, item = encode(distinct[USER], users), encode(distinct[ITEM], pl.concat([known, strangers]))
    everything = _grouped(user, item, len(users))
    if train is None:
        return Truth(users=users, all=everything)
    pairs = train.select(USER, ITEM).unique()
    popularity = np.bincount(encode(pairs[ITEM], known) + 1, minlength=len(known) + 1)[1:].astype(np.int64)
    warm = (item < len(known)) & (np.append(popularity, np.zeros(len(strangers), np.int64))[item] > 0)
    facts = Facts(popularity=popularity, n_users=train[USER].n_unique())
    return Truth(users=users, all=everything, warm=_grouped(user[warm], item[warm], len(users)), facts=facts)


def _grouped(user: "Ints", item: "Ints", n_users: int) -> Relevant:
    indptr, rows = order_within(user, item, n_users)
    return Relevant(indptr=indptr, item=item[rows])


def measure(
    codes: "Ints", truth: Truth, metrics: Sequence[Wanted], table: Mapping[str, Metric], facts: Mapping[str, Any]
) -> Result:
    """Every metric over the users with a held-out row; a user without a list counts, with 0.

    ``warm`` beside a value is the metric over the items that stand in train, and the users who have such.

    Raises:
        RecliError: a metric needs what is not at hand (exit 2).
    """
    depth = deepest(metrics)
    judged = judge(codes, truth.all.indptr, truth.all.item, depth=depth)
    warm = None if truth.warm is None else judge(codes, truth.warm.indptr, truth.warm.item, depth=depth)
    per_user, values = {}, {}
    for wanted in metrics:
        metric = table[wanted.name]
        value, by_user = _value(metric, wanted, codes, judged, truth)
        if by_user is not None:
            per_user[str(wanted)] = by_user
        ranked = metric.kind == "ranking" and warm is not None
        values[str(wanted)] = {
            "value": value,
            "warm": _ranking(metric, wanted, warm)[0] if ranked and warm is not None else None,
            "definition": metric.definition,
            "larger_is_better": metric.larger_is_better,
            "users": len(truth.users),
            "users_without_list": int((judged.listed == 0).sum()),
            "warm_users": None if warm is None else int((warm.relevant > 0).sum()),
            "population": POPULATIONS[metric.population],
            **facts,
        }
    return Result(document={"metrics": values}, per_user=pl.DataFrame({USER: truth.users, **per_user}))


def _value(
    metric: Metric, wanted: Wanted, codes: "Ints", judged: Judged, truth: Truth
) -> "tuple[float | None, Doubles | None]":
    """The value of a metric, and the values of the users where it has such."""
    if metric.kind == "ranking":
        return _ranking(metric, wanted, judged)
    missing = set(metric.needs) - {"gains"} - ({"train"} if truth.facts.popularity is not None else set())
    if metric.kind == "pairs" or missing:
        what = "predictions" if metric.kind == "pairs" else f"what is not at hand: {', '.join(sorted(missing))}"
        raise RecliError(Exit.USAGE, f"{wanted} needs {what}", hint="recli metrics NAME says what a metric measures")
    facts = Facts(popularity=truth.facts.popularity, n_users=truth.facts.n_users, gains=judged.gains)
    value = metric.function(codes[:, : wanted.k], facts)
    if not metric.per_user:
        return _number(float(value)), None
    return _number(metric.mean(value, judged.relevant, wanted.k or 1)), value


def _ranking(metric: Metric, wanted: Wanted, judged: Judged) -> "tuple[float | None, Doubles]":
    k = wanted.k or 1
    by_user = metric.by_user(judged, k)
    return _number(metric.mean(by_user, judged.relevant, k)), by_user


def _number(value: float) -> float | None:
    """None (null in JSON) where a metric is not defined."""
    return None if np.isnan(value) else value
