"""Metrics of predictions: pairs with a score, held to a rating or a label."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError
from recli.interactions import encode
from recli.metrics import Metric, Wanted
from recli.metrics.metric import POPULATIONS
from recli.metrics.reliability import Equal, reliability
from recli.pipeline.audience import keys
from recli.pipeline.evaluate.measure import Result, number
from recli.pipeline.evaluate.relevance import GAIN, Relevance
from recli.pipeline.evaluate.slices import Slice, gap
from recli.schema import ITEM, LABEL, QUERY, RATING, SCORE, USER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Longs = NDArray[np.int64]

ORDER: Final = ("auc", "gauc")  # what only looks at the order of the scores
LIKELY: Final = ("logloss", "ece")  # what takes the scores for probabilities
LABELLED: Final = (*ORDER, *LIKELY)
TRUTH: Final = "_truth"


def held_to(predictions: pl.DataFrame, truth: pl.DataFrame | None, where: Path) -> pl.DataFrame:
    """The predictions with the truth's columns beside them, found by user and item (and query).

    Raises:
        RecliError: a pair is there twice, or a row of the truth has no prediction (exit 3).
    """
    if truth is None:
        return predictions
    on = [name for name in (USER, QUERY, ITEM) if name in predictions.columns and name in truth.columns]
    scores = predictions.select(*on, SCORE)
    if scores.select(on).is_duplicated().any():
        raise RecliError(Exit.DATA, "a user has a prediction for an item twice", where=where)
    joined = truth.drop(SCORE, strict=False).join(
        scores.with_columns(pl.lit(True).alias("_found")), on=on, how="left", maintain_order="left"
    )
    missing = int(joined["_found"].is_null().sum())
    if missing:
        message = f"has no prediction for {missing:,} of {joined.height:,} rows of the truth"
        raise RecliError(Exit.DATA, message, where=where, hint="a prediction for every row, or another --truth")
    return joined.drop("_found")


def measure_pairs(
    pairs: pl.DataFrame,
    relevance: Relevance,
    metrics: Sequence[Wanted],
    table: Mapping[str, Metric],
    facts: Mapping[str, Any],
    where: Path,
    *,
    task: str | None = None,
    slices: Sequence[Slice] = (),
) -> Result:
    """Every metric of the pairs; ``task`` is that of the model that made the scores, where it is known.

    ``slices`` are over the distinct users and items of the pairs, as they come.

    Raises:
        RecliError: the scores are not what a metric takes, or there is no rating or label to hold them to (exit 2).
    """
    _check_scores(pairs, metrics, task, where)
    users = pairs[USER].unique(maintain_order=True)
    owner = encode(pairs[USER], users).astype(np.int64)
    scores = pairs[SCORE].cast(pl.Float64).fill_null(-np.inf).to_numpy()
    entries = {}
    for wanted in metrics:
        metric = table[wanted.name]
        truth = _truth(pairs, wanted, relevance, where)
        value = number(float(metric.function(scores, truth, owner)))
        if value is None and wanted.name in ORDER:
            hint = "--relevant 'rating>=4' makes labels of ratings; --candidates adds items that are not relevant"
            raise RecliError(Exit.USAGE, f"{wanted} needs pairs of both labels", where=where, hint=hint)
        entries[str(wanted)] = {
            "value": value,
            "definition": metric.definition,
            "larger_is_better": metric.larger_is_better,
            "users": len(users),
            "pairs": pairs.height,
            "unscored_pairs": pairs[SCORE].null_count(),
            "population": POPULATIONS[metric.population],
            **facts,
        }
        if slices:
            entries[str(wanted)]["by"] = {
                part.name: _by_group(part, pairs, metric, (scores, truth, owner)) for part in slices
            }
    distinct = pl.DataFrame({USER: users})
    document = {"truth": _fingerprint(pairs), "metrics": entries}
    labelled = next((wanted for wanted in metrics if wanted.name in LABELLED), None)
    if labelled is not None and ((scores >= 0) & (scores <= 1)).all():
        document["calibration"] = calibration(scores, _truth(pairs, labelled, relevance, where))
    return Result(document=document, per_user=distinct)


def calibration(scores: "Doubles", truth: "Doubles") -> dict[str, Any]:
    """Reliability diagrams of probabilities, by bins of equal width and of equal count, as the JSON has them."""
    found = {equal: reliability(scores, truth, equal=equal) for equal in get_args(Equal)}
    return {
        f"equal-{equal}": {
            "ece": diagram.ece,
            "bins": [
                dict(zip(diagram._fields, row, strict=True))
                for row in zip(*(column.tolist() for column in diagram), strict=True)
            ],
        }
        for equal, diagram in found.items()
    }


def _by_group(
    part: Slice, pairs: pl.DataFrame, metric: Metric, given: "tuple[Doubles, Doubles, Longs]"
) -> dict[str, Any]:
    """A metric of the pairs of each group of users or items, and the gap between the groups."""
    ids = pairs[USER if part.of == "user" else ITEM]
    place = encode(ids, ids.unique(maintain_order=True))
    groups = {}
    for label, mask in part.groups.items():
        kept = mask[place]
        value = number(float(metric.function(*(values[kept] for values in given)))) if kept.any() else None
        groups[label] = {"value": value, "users": len(np.unique(given[2][kept])), "pairs": int(kept.sum())}
    return {"groups": groups, "gap": gap(groups)}


def _check_scores(pairs: pl.DataFrame, metrics: Sequence[Wanted], task: str | None, where: Path) -> None:
    """Refuse what would be a number without a meaning."""
    names = {wanted.name for wanted in metrics}
    errors = sorted(names - set(LABELLED))
    if errors and task is not None and task != "rating":
        hint = "auc and gauc measure the order; recli models shows which models predict ratings"
        raise RecliError(
            Exit.USAGE, f"{errors[0]} is of predicted ratings, and this model ranks", where=where, hint=hint
        )
    if errors and TRUTH in pairs.columns:
        message = f"{errors[0]} holds scores to ratings, and candidates have none"
        raise RecliError(Exit.USAGE, message, where=where, hint="--metrics auc,gauc or those of lists, such as ndcg@10")
    unscored = pairs[SCORE].null_count()
    if unscored and names - set(ORDER):
        first = sorted(names - set(ORDER))[0]
        message = f"{unscored:,} pairs have no score, which {first} cannot count"
        raise RecliError(Exit.DATA, message, where=where, hint="auc and gauc put them last")
    if errors and not pairs[SCORE].is_finite().all():
        raise RecliError(Exit.DATA, f"a score is infinite, which {errors[0]} cannot count", where=where)
    likely = sorted(names & set(LIKELY))
    if likely and not pairs[SCORE].is_between(0, 1).all():
        scores = pairs[SCORE].to_numpy()
        message = f"{likely[0]} takes probabilities, and the scores go from {scores.min():g} to {scores.max():g}"
        raise RecliError(Exit.USAGE, message, where=where, hint="auc and gauc measure the order of any scores")


def _truth(pairs: pl.DataFrame, wanted: Wanted, relevance: Relevance, where: Path) -> "Doubles":
    """What the scores are held to: a label for clicks, the rating for errors."""
    if TRUTH in pairs.columns:
        return pairs[TRUTH].to_numpy()
    if wanted.name in LABELLED and relevance.condition is not None:
        return relevance.condition.holds(pairs, where).cast(pl.Float64).to_numpy()
    column = LABEL if wanted.name in LABELLED or RATING not in pairs.columns else RATING
    if column not in pairs.columns:
        what = "a label" if column == LABEL and wanted.name in LABELLED else "a rating"
        hint = "--relevant 'rating>=4' makes labels of ratings" if what == "a label" else "--truth names rows with one"
        raise RecliError(Exit.USAGE, f"{wanted} holds scores to {what}, and there is none", where=where, hint=hint)
    truth = pairs[column].cast(pl.Float64).to_numpy()
    if wanted.name in LABELLED and not np.isin(truth, (0.0, 1.0)).all():
        hint = f"--relevant '{column}>=1' makes labels"
        raise RecliError(Exit.USAGE, f"{wanted} takes labels 0 and 1", where=where, hint=hint)
    return truth


def _fingerprint(pairs: pl.DataFrame) -> str:
    """As `truth.fingerprint`: of the pairs and what they are held to."""
    from recli.pipeline.evaluate.truth import fingerprint, truth_of

    rows = pairs.select(name for name in (USER, QUERY, ITEM) if name in pairs.columns)
    held = next((name for name in (TRUTH, RATING, LABEL) if name in pairs.columns), None)
    if held is not None:
        rows = rows.with_columns(pairs[held].cast(pl.Float64).alias(GAIN))
    return fingerprint(truth_of(rows, pl.Series(ITEM, [], pl.String), None))


def of_candidates(lists: pl.DataFrame, relevant: pl.DataFrame) -> pl.DataFrame:
    """Scored candidates with 1 where the row has the item among its relevant ones, else 0.

    What cannot be scored is there without a score: it goes last.
    """
    cannot = pl.col(SCORE).is_infinite()
    lists = lists.with_columns(pl.when(cannot).then(None).otherwise(pl.col(SCORE)).alias(SCORE))
    on = [name for name in (USER, QUERY, ITEM) if name in lists.columns]
    marked = relevant.select(on).unique().with_columns(pl.lit(1.0).alias(TRUTH))
    own = keys(relevant).unique()
    kept = lists.filter(keys(lists).is_in(own.implode()))
    scored = kept.join(marked, on=on, how="left", maintain_order="left").with_columns(pl.col(TRUTH).fill_null(0.0))
    lost = marked.join(kept.select(on), on=on, how="anti", maintain_order="left")
    return pl.concat(
        [
            scored.select(*on, SCORE, TRUTH),
            lost.with_columns(pl.lit(None, pl.Float32).alias(SCORE)).select(*on, SCORE, TRUTH),
        ]
    )
