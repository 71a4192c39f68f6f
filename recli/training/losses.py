"""Losses: functions of scores, or of rows, to the mean over the examples."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def bpr(positive: Tensor, negative: Tensor) -> Tensor:
    """Mean of -ln s(positive - negative); scores (n,) against (n, negatives).

    Rendle et al. 2009, "BPR: Bayesian personalized ranking from implicit feedback" (UAI), §4.1.
    """
    return F.softplus(negative - positive[:, None]).mean()


def bce(score: Tensor, label: Tensor) -> Tensor:
    """Mean of -y ln s(score) - (1 - y) ln(1 - s(score)), of the same shape.

    He et al. 2017, "Neural collaborative filtering" (WWW), eq. 7.
    """
    return F.binary_cross_entropy_with_logits(score, label)


def softmax(scores: Tensor, target: Tensor) -> Tensor:
    """Mean of -ln softmax(scores)[target]; scores (n, items), target (n,)."""
    return F.cross_entropy(scores, target.long())


def sampled_softmax(
    positive: Tensor, negative: Tensor, log_q: tuple[Tensor, Tensor] | None = None, hits: Tensor | None = None
) -> Tensor:
    """Mean of -ln softmax of the positive (n,) among itself and its negatives, (n, m) or (m,) for all.

    ``log_q`` are the logarithms of the expected number of times that the positive (n,) and the negatives are drawn;
    they are taken off the scores, so that the sample stands for all items (Bengio & Senécal 2008, "Adaptive importance
    sampling to accelerate training of a neural probabilistic language model", eq. 5; Yi et al. 2019, RecSys, eq. 4).
    ``hits`` (n, m) bool are negatives that are the positive itself: they are left out.
    """
    if log_q is not None:
        positive, negative = positive - log_q[0], negative - log_q[1]
    negative = negative.expand(len(positive), negative.shape[-1])
    if hits is not None:
        negative = negative.masked_fill(hits, -torch.inf)
    return (torch.logsumexp(torch.cat([positive[:, None], negative], 1), 1) - positive).mean()


def in_batch_softmax(user: Tensor, item: Tensor, code: Tensor, log_q: Tensor | None = None) -> Tensor:
    """The softmax of each user's item among all items of the batch; rows (n, width), item codes (n,).

    ``log_q`` (n,) is the logarithm of how often an item stands in a batch. Yi et al. 2019, "Sampling-bias-corrected
    neural modeling for large corpus item recommendations" (RecSys), eq. 4 and 5.
    """
    scores = user @ item.T
    if log_q is not None:
        scores = scores - log_q
    again = (code[:, None] == code).fill_diagonal_(False)
    return F.cross_entropy(scores.masked_fill(again, -torch.inf), torch.arange(len(code), device=code.device))


def margin(positive: Tensor, negative: Tensor, least: float = 1.0) -> Tensor:
    """Mean of max(0, least - positive + negative); scores (n,) against (n, negatives)."""
    return F.relu(least - positive[:, None] + negative).mean()


def cosine_contrastive(
    user: Tensor, positive: Tensor, negative: Tensor, least: float = 0.5, negative_weight: float = 10.0
) -> Tensor:
    """Mean of 1 - cos(user, positive) + weight * mean of max(0, cos(user, negative) - least).

    Rows (n, width), (n, width) and (n, negatives, width). Mao et al. 2021, "SimpleX: a simple and strong baseline for
    collaborative filtering" (CIKM), eq. 1.
    """
    near = F.cosine_similarity(user, positive, -1)
    far = F.cosine_similarity(user[:, None], negative, -1)
    return (1 - near + negative_weight * F.relu(far - least).mean(1)).mean()


def gbce(positive: Tensor, negative: Tensor, beta: float = 1.0) -> Tensor:
    """Mean over scores (n,) and (n, negatives) of -beta ln s(positive) and -ln(1 - s(negative)).

    Petrov & Macdonald 2023, "gSASRec: reducing overconfidence in sequential recommendation trained with negative
    sampling" (RecSys), generalised BCE; with a beta of 1 it is the binary cross-entropy of Kang & McAuley 2018,
    "Self-attentive sequential recommendation" (ICDM), §III.E.
    """
    return (beta * F.softplus(-positive) + F.softplus(negative).sum(1)).mean() / (1 + negative.shape[1])


def gbce_beta(negatives: int, n_items: int, t: float) -> float:
    """The power that undoes, as far as ``t`` says, that only so many negatives are drawn: beta of the same paper."""
    share = negatives / max(n_items - 1, 1)
    return share * (t * (1 - 1 / share) + 1 / share)


def bpr_max(positive: Tensor, negative: Tensor, reg: float = 0.0) -> Tensor:
    """Mean of -ln of the sum of share * s(positive - negative), plus reg * the sum of share * negative².

    Scores (n,) and (n, negatives), -inf for a negative that is none; the shares are the negatives' softmax. Hidasi &
    Karatzoglou 2018, "Recurrent neural networks with top-k gains for session-based recommendations" (CIKM), BPR-max.
    """
    shares = F.softmax(negative, 1)
    below = (torch.log_softmax(negative, 1) + F.logsigmoid(positive[:, None] - negative)).logsumexp(1)
    squares = negative.masked_fill(negative.isneginf(), 0).square()
    return (reg * (shares * squares).sum(1) - below).mean()


def top1_max(positive: Tensor, negative: Tensor) -> Tensor:
    """Mean of the sum of share * (s(negative - positive) + s(negative²)), shares as in `bpr_max`, of the same paper."""
    squares = negative.masked_fill(negative.isneginf(), 0).square()
    above = torch.sigmoid(negative - positive[:, None]) + torch.sigmoid(squares)
    return (F.softmax(negative, 1) * above).sum(1).mean()
