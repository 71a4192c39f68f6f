"""How good a model is on the held-out valid part while it is trained: what `evaluate --phase valid` says, in memory."""

from dataclasses import dataclass

import numpy as np

from recli.errors import Exit, RecliError
from recli.interactions import Interactions, encode
from recli.metrics import METRICS, Wanted, parse
from recli.pipeline.audience import Audience, of_users
from recli.pipeline.evaluate.measure import values_of
from recli.pipeline.evaluate.truth import Truth, truth_of
from recli.pipeline.events import Events
from recli.ranking import top_k
from recli.schema import USER
from recli.scorers import Scorer


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
        worst = {wanted: -np.inf if METRICS[wanted.name].larger_is_better else np.inf for wanted in self.wanted}
        return {str(wanted): worst[wanted] if one.value is None else one.value for wanted, one in found.items()}


def parse_metrics(text: str) -> tuple[Wanted, ...]:
    """The metrics to validate by: the first is what training stops by.

    Raises:
        RecliError: one is none, or not one of lists (exit 2).
    """
    wanted = tuple(parse(text))
    for one in wanted:
        if METRICS[one.name].kind != "ranking" or one.candidates:
            raise RecliError(Exit.USAGE, f"{one} is no metric of ranked lists to validate by", hint="such as ndcg@10")
    return wanted


def validator(events: Events, data: Interactions, text: str, *, allow_seen: bool = False) -> Validator:
    """Of a model that is fitted on ``data``, the train part of ``events``; with ``allow_seen`` nothing is masked."""
    train, valid = events.part("train"), events.part("valid")
    wanted = valid[USER].unique(maintain_order=True)
    audience = of_users(wanted, train, None if allow_seen else train, data.users, data.items)
    truth = truth_of(valid, data.items, train, counted=False)
    order = encode(truth.rows[USER], audience.rows[USER])
    assert (order == np.arange(len(order))).all()
    return Validator(wanted=parse_metrics(text), audience=audience, truth=truth)
