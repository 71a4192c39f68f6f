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
    """Rates a scorer by one metric of its lists for the users of the valid part. Train is history, and what is masked.

    A call gives the value times ``sign``, so that higher is better.
    """

    wanted: Wanted
    audience: Audience
    truth: Truth

    @property
    def sign(self) -> int:
        """1, or -1 for a metric of which less is better."""
        return 1 if METRICS[self.wanted.name].larger_is_better else -1

    def __call__(self, scorer: Scorer) -> float:
        """The metric at full precision; one that is not defined counts as the worst."""
        codes = np.full((len(self.audience), self.wanted.k or 1), -1, np.int32)
        for block in self.audience.blocks():
            codes[block.rows], _ = top_k(scorer, block.queries, codes.shape[1], seen=block.seen)
        value = values_of(codes, self.truth.all, self.truth.facts, [self.wanted], METRICS)[self.wanted].value
        return -np.inf if value is None else self.sign * value


def parse_metric(text: str) -> Wanted:
    """The metric to validate by.

    Raises:
        RecliError: it is none, or several, or not one of lists (exit 2).
    """
    wanted = parse(text)
    if len(wanted) > 1:
        raise RecliError(Exit.USAGE, f"--valid-metric takes one metric, not {text!r}")
    if METRICS[wanted[0].name].kind != "ranking" or wanted[0].candidates:
        raise RecliError(Exit.USAGE, f"{wanted[0]} is no metric of ranked lists to stop by", hint="such as ndcg@10")
    return wanted[0]


def validator(events: Events, data: Interactions, text: str, *, allow_seen: bool = False) -> Validator:
    """Of a model that is fitted on ``data``, the train part of ``events``; with ``allow_seen`` nothing is masked."""
    train, valid = events.part("train"), events.part("valid")
    wanted = valid[USER].unique(maintain_order=True)
    audience = of_users(wanted, train, None if allow_seen else train, data.users, data.items)
    truth = truth_of(valid, data.items, train, counted=False)
    order = encode(truth.rows[USER], audience.rows[USER])
    assert (order == np.arange(len(order))).all()
    return Validator(wanted=parse_metric(text), audience=audience, truth=truth)
