"""How good a model is on the held-out valid part while it is trained: what `evaluate --phase valid` says, in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recli.errors import Exit, RecliError
from recli.interactions import Interactions, Queries, context_of, encode
from recli.metrics import METRICS, Wanted, parse
from recli.pipeline.audience import Audience, clicked, of_users
from recli.pipeline.evaluate.measure import values_of
from recli.pipeline.evaluate.truth import Truth, truth_of
from recli.pipeline.events import Events
from recli.ranking import top_k
from recli.schema import ITEM, LABEL, RATING, TIME, USER
from recli.scorers import Scorer

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Validator:
    """Rates a scorer by metrics of its lists for the users of the valid part. Train is history, and what is masked.

    The first of ``wanted`` is what training stops by; a call gives every one by its name, at full precision.
    """

    wanted: tuple[Wanted, ...]
    audience: Audience
    truth: Truth

    @property
    def sign(self) -> int:
        """1, or -1 where of the first metric less is better."""
        return 1 if METRICS[self.wanted[0].name].larger_is_better else -1

    def __call__(self, scorer: Scorer) -> dict[str, float]:
        """The metrics; one that is not defined counts as the worst."""
        codes = np.full((len(self.audience), max(wanted.k or 1 for wanted in self.wanted)), -1, np.int32)
        for block in self.audience.blocks():
            codes[block.rows], _ = top_k(scorer, block.queries, codes.shape[1], seen=block.seen)
        found = values_of(codes, self.truth.all, self.truth.facts, self.wanted, METRICS)
        return _defined({wanted: one.value for wanted, one in found.items()})


def _defined(found: Mapping[Wanted, float | None]) -> dict[str, float]:
    worst = {wanted: -np.inf if METRICS[wanted.name].larger_is_better else np.inf for wanted in found}
    return {str(one): worst[one] if value is None or np.isnan(value) else value for one, value in found.items()}


@dataclass(frozen=True, kw_only=True)
class PairValidator:
    """Rates a scorer by metrics of its scores for the rows of the valid part, held to their labels or ratings."""

    wanted: tuple[Wanted, ...]
    queries: Queries
    item: "NDArray[np.int32]"
    truth: "NDArray[np.float64]"
    owner: "NDArray[np.int64]"

    @property
    def sign(self) -> int:
        """1, or -1 where of the first metric less is better."""
        return 1 if METRICS[self.wanted[0].name].larger_is_better else -1

    def __call__(self, scorer: Scorer) -> dict[str, float]:
        """The metrics; one that is not defined counts as the worst."""
        scores = scorer.score_pairs(self.queries, self.item).astype(np.float64)
        found = {one: float(METRICS[one.name].function(scores, self.truth, self.owner)) for one in self.wanted}
        return _defined(found)


def parse_metrics(text: str, task: str = "ranking") -> tuple[Wanted, ...]:
    """The metrics to validate a model of a task by: the first is what training stops by.

    Raises:
        RecliError: one is none, or not one of lists, or of labels (exit 2).
    """
    wanted = tuple(parse(text))
    kind = "pairs" if task in ("ctr", "rating") else "ranking"
    what, hint = ("scored pairs", "such as auc or rmse") if kind == "pairs" else ("ranked lists", "such as ndcg@10")
    for one in wanted:
        if METRICS[one.name].kind != kind or one.candidates:
            raise RecliError(Exit.USAGE, f"{one} is no metric of {what} to validate by", hint=hint)
    return wanted


def validator(
    events: Events,
    data: Interactions,
    text: str,
    task: str = "ranking",
    model: Any = None,
    *,
    allow_seen: bool = False,
) -> Validator | PairValidator:
    """Of a model of a task, fitted on ``data``, the train part of ``events``; with ``allow_seen`` nothing is masked."""
    train, valid = events.part("train"), events.part("valid")
    if task in ("ctr", "rating"):
        return _of_pairs(train, valid, data, parse_metrics(text, task), model)
    wanted = valid[USER].unique(maintain_order=True)
    audience = of_users(wanted, train, None if allow_seen else train, data.users, data.items)
    truth = truth_of(valid, data.items, train, counted=False)
    order = encode(truth.rows[USER], audience.rows[USER])
    assert (order == np.arange(len(order))).all()
    return Validator(wanted=parse_metrics(text), audience=audience, truth=truth)


def _of_pairs(
    train: "pl.DataFrame", valid: "pl.DataFrame", data: Interactions, wanted: tuple[Wanted, ...], model: Any
) -> PairValidator:
    """Every row of the valid part, with what train has of its user where the model reads that."""
    column = LABEL if model.target == "label" else RATING
    if column not in valid.columns:
        raise RecliError(Exit.DATA, f"the valid part has no {column} to validate by", hint="--valid-metric none")
    users = valid[USER].unique(maintain_order=True)
    owner = encode(valid[USER], users).astype(np.int64)
    history = clicked(train) if model.history else train.head(0)
    queries = replace(
        Queries.of(users, history, data.users, data.items).take(owner),
        at=valid[TIME].cast(float).to_numpy() if TIME in valid.columns else None,
        context=context_of(valid),
    )
    truth = valid[column].cast(float).to_numpy()
    return PairValidator(wanted=wanted, queries=queries, item=encode(valid[ITEM], data.items), truth=truth, owner=owner)
