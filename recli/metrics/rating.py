"""Metrics of pairs with a predicted score: ratings, clicks and labels.

Each is a pure function of ``scores`` (pairs,) float64, what was predicted, ``truth`` (pairs,) float64, the rating or
the label (1 or 0), and ``users`` (pairs,) int, whose pair it is, as codes from 0. They return one number, NaN where it
is undefined. The universe is the pairs given; all count alike but where weights are named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Longs = NDArray[np.int64]

EDGE = 1e-15  # how near a probability comes to 0 and 1


def mse(scores: Doubles, truth: Doubles, users: Longs | None = None) -> float:
    """Σ (score − truth)² / pairs. Smaller is better.

    Source: scikit-learn, `mean_squared_error`.
    """
    return _mean((scores - truth) ** 2)


def rmse(scores: Doubles, truth: Doubles, users: Longs | None = None) -> float:
    """√(Σ (score − truth)² / pairs). Smaller is better.

    Source: Bennett and Lanning, The Netflix Prize, 2007; RecBole 1.2.1, `RMSE`.
    """
    return float(np.sqrt(mse(scores, truth)))


def mae(scores: Doubles, truth: Doubles, users: Longs | None = None) -> float:
    """Σ |score − truth| / pairs. Smaller is better.

    Source: Shardanand and Maes, CHI 1995; RecBole 1.2.1, `MAE`.
    """
    return _mean(np.abs(scores - truth))


def r2(scores: Doubles, truth: Doubles, users: Longs | None = None) -> float:
    """1 − Σ (score − truth)² / Σ (truth − its mean)²: 1 is perfect, 0 the mean's own. Larger is better.

    NaN where the truth does not vary.

    Source: scikit-learn, `r2_score`.
    """
    spread = _mean((truth - _mean(truth)) ** 2)
    return 1 - mse(scores, truth) / spread if spread > 0 else float("nan")


def logloss(scores: Doubles, truth: Doubles, users: Longs | None = None) -> float:
    """−Σ (y ln s + (1 − y) ln(1 − s)) / pairs, s the score clipped to [1e-15, 1 − 1e-15]. Smaller is better.

    Source: RecBole 1.2.1, `LogLoss`.
    """
    likely = np.clip(scores, EDGE, 1 - EDGE)
    return _mean(-(truth * np.log(likely) + (1 - truth) * np.log1p(-likely)))


def auc(scores: Doubles, truth: Doubles, users: Longs | None = None) -> float:
    """The share of (positive, negative) pairs that the scores order rightly, ties half. Global, not by user.

    A pair is positive where its label is above 0. Larger is better, ½ is chance; NaN without both labels.

    Source: Fawcett, An introduction to ROC analysis, 2006; RecBole 1.2.1, `AUC`.
    """
    return float(auc_by_user(scores, truth, np.zeros(len(scores), np.int64), 1).auc[0])


Weights = Literal["positives", "pairs", "none"]


def gauc(scores: Doubles, truth: Doubles, users: Longs, weights: Weights = "positives") -> float:
    """Σ_u w_u AUC_u / Σ_u w_u over the users with both labels, w their number of positives. Larger is better.

    Others weigh by pairs (FuxiCTR, RecBole's successor) or not at all.

    Source: Zhu et al., Optimized cost per click in Taobao display advertising, KDD 2017; RecBole 1.2.1, `GAUC`.
    """
    by_user = auc_by_user(scores, truth, users, int(users.max(initial=-1)) + 1)
    known = ~np.isnan(by_user.auc)
    weight = {
        "positives": by_user.positives,
        "pairs": by_user.positives + by_user.negatives,
        "none": np.ones(len(known)),
    }[weights][known]
    return float((by_user.auc[known] * weight).sum() / weight.sum()) if known.any() else float("nan")


class UserAuc(NamedTuple):
    """AUC by user, NaN without both labels, and how many pairs of each label they have; all (users,)."""

    auc: Doubles
    positives: Longs
    negatives: Longs


def auc_by_user(scores: Doubles, truth: Doubles, users: Longs, n_users: int) -> UserAuc:
    """The share of each user's (positive, negative) pairs that the scores order rightly, ties half.

    Of a full ranking, or of any candidates, too: every (user, item) is a pair. Time and memory are in proportion to
    the pairs, so the users of a large full ranking go in blocks.
    """
    positive = truth > 0
    positives = np.bincount(users[positive], minlength=n_users)
    negatives = np.bincount(users[~positive], minlength=n_users)
    # Mann and Whitney: the ranks of the positives sum to the pairs won and the pairs among themselves.
    ranks = np.bincount(users[positive], _mean_ranks(scores, users)[positive], minlength=n_users)
    won = ranks - positives * (positives + 1) / 2
    pairs = positives * negatives
    values = np.where(pairs > 0, won / np.maximum(pairs, 1), np.nan)
    return UserAuc(values, positives.astype(np.int64), negatives.astype(np.int64))


def _mean_ranks(scores: Doubles, users: Longs) -> Doubles:
    """The rank of each score within its user, from 1 for the lowest; ties share the mean of theirs."""
    order = np.lexsort((scores, users))
    score, user = scores[order], users[order]
    new_user = np.append(True, user[1:] != user[:-1])[: len(user)]
    new_tie = new_user | np.append(True, score[1:] != score[:-1])[: len(user)]
    place = np.arange(len(user))
    first = place[new_tie]
    last = np.append(first[1:], len(user)) - 1
    tie = np.cumsum(new_tie) - 1
    start = np.maximum.accumulate(np.where(new_user, place, 0))
    ranks = np.empty(len(user))
    ranks[order] = ((first + last) / 2)[tie] - start + 1
    return ranks


def _mean(values: Doubles) -> float:
    return float(values.mean()) if len(values) else float("nan")
