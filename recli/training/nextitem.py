"""Training of what came next: a network's states after every event against the items, by one of many losses."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from recli.training import losses
from recli.training.loop import train
from recli.training.negatives import Negatives
from recli.training.networks import Reader, weights_of
from recli.training.picked import picked
from recli.training.session import session
from recli.training.softmax import full_softmax
from recli.training.windows import Sequences, Window

if TYPE_CHECKING:
    from recli.interactions import Interactions
    from recli.model import Run
    from recli.training.parameters import NextItem

    # Of rows (events, width), the batch they come from, the items' rows (items, width) and biases: a number.
    Objective = Callable[[Tensor, Window, Tensor, Tensor | None], Tensor]


def fit(
    how: NextItem, data: Interactions, run: Run, module: str, meta: Mapping[str, Any], *, recent: bool = False
) -> Reader:
    """Train the network that ``module`` builds from ``meta`` on every event that another follows, or ``recent`` ones.

    The module is as `Reader` says. Where it has ``loss(network, window, objective)`` this is called in place of the
    objective of all states, for what has to be added to it.
    """
    code = sys.modules[module]
    with session(run) as device:
        network = code.build(**meta).to(device)
        sequences = Sequences.of(data, device)
        objective = objective_of(how, data, device)

        def loss(window: Window) -> Tensor:
            if hasattr(code, "loss"):
                value: Tensor = code.loss(network, window, objective)
                return value
            rows = F.embedding(window.at, code.states(network, window).flatten(0, 1))
            return objective(rows, window, *code.output(network))

        def scorer() -> Reader:
            return Reader(
                module=module,
                meta=json.dumps(meta),
                weights=weights_of(network),
                max_seq_length=how.max_seq_length,
                n_items=data.n_items,
            )

        def batches() -> Iterator[tuple[Window]]:
            return sequences.epoch(how.max_seq_length, how.train_batch_size, recent=recent)

        return train(how, run, network, batches, loss, scorer)


def objective_of(how: NextItem, data: Interactions, device: torch.device) -> Objective:
    """The loss that ``how`` names."""
    if how.loss_type == "CE":
        return lambda rows, window, items, bias: full_softmax(rows, items, bias, window.target)
    if how.loss_type in ("BPR", "BCE"):
        return _beside_own(how, data, device)
    return _beside_shared(how, data, device)


def _beside_own(how: NextItem, data: Interactions, device: torch.device) -> Objective:
    """Each event beside negatives of its own, items that its user never took."""
    negatives = Negatives.of(data.matrix, how, device)
    some_left = torch.from_numpy(np.diff(data.matrix.indptr) < data.n_items).to(device)
    number = max(1, how.train_neg_sample_num)
    beta = losses.gbce_beta(number, data.n_items, how.gbce_t)

    def objective(rows: Tensor, window: Window, items: Tensor, bias: Tensor | None) -> Tensor:
        user = window.user.repeat_interleave(window.length)
        kept = some_left[user]
        if not kept.any():  # they took every item: there is nothing to tell them from
            return rows.sum() * 0
        target = window.target
        if not kept.all():
            user, rows, target = user[kept], rows[kept], target[kept]
        scores = picked(rows, items, bias, torch.cat([target[:, None], negatives(user, number)], 1))
        if how.loss_type == "BPR":
            return losses.bpr(scores[:, 0], scores[:, 1:])
        return losses.gbce(scores[:, 0], scores[:, 1:], beta)

    return objective


def _beside_shared(how: NextItem, data: Interactions, device: torch.device) -> Objective:
    """All events of a step beside the same negatives; with BPR-max and TOP1-max, also beside what the others took next.

    Drawn by popularity, an item is drawn by its events to the power of ``neg_exponent``.
    """
    events = torch.bincount(torch.from_numpy(data.item).long(), minlength=data.n_items).double()
    weight = events**how.neg_exponent if how.neg_sampling == "popularity" else torch.ones_like(events)
    up_to = weight.cumsum(0).to(device)
    log_q = (weight / weight.sum() * max(how.train_neg_sample_num, 1)).log().float().to(device)

    def objective(rows: Tensor, window: Window, items: Tensor, bias: Tensor | None) -> Tensor:
        place = torch.rand(how.train_neg_sample_num, dtype=up_to.dtype, device=device) * up_to[-1]
        drawn = torch.searchsorted(up_to, place, right=True).clamp_(max=len(up_to) - 1)
        target = window.target.long()
        positive = (rows * F.embedding(target, items)).sum(1)
        negative = rows @ F.embedding(drawn, items).T
        if bias is not None:
            positive, negative = positive + bias[target], negative + bias[drawn]
        hits = target[:, None] == drawn
        if how.loss_type == "sampled":
            return losses.sampled_softmax(positive, negative, (log_q[target], log_q[drawn]), hits)
        negative = torch.cat([negative.masked_fill(hits, -torch.inf), _others(rows, window, items, bias)], 1)
        some = ~negative.isneginf().all(1)
        if not some.any():  # a window alone in its batch, beside nothing
            return rows.sum() * 0
        if how.loss_type == "BPR-max":
            return losses.bpr_max(positive[some], negative[some], how.bpr_max_reg)
        return losses.top1_max(positive[some], negative[some])

    return objective


def _others(rows: Tensor, window: Window, items: Tensor, bias: Tensor | None) -> Tensor:
    """The scores of what came next at the same place of the other windows (events, windows); -inf where it is the own.

    Hidasi et al. 2016, "Session-based recommendations with recurrent neural networks" (ICLR), §3.1.
    """
    n, places = window.item.shape
    states = rows.new_zeros(n * places, rows.shape[1]).index_copy(0, window.at, rows).view(n, places, -1)
    target = torch.full((n * places,), -1, device=rows.device).index_copy(0, window.at, window.target.long())
    target = target.view(n, places).T
    wanted = F.embedding(target.clamp(min=0), items)
    scores = states.transpose(0, 1) @ wanted.transpose(1, 2)  # (places, windows, the others' items)
    if bias is not None:
        scores = scores + bias[target.clamp(min=0)][:, None]
    same = (target[:, None] == target[:, :, None]) | (target[:, None] < 0)
    scores = scores.masked_fill(same, -torch.inf).transpose(0, 1)
    return F.embedding(window.at, scores.flatten(0, 1))
