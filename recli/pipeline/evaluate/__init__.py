"""evaluate: lists, predictions, or a model, against the rows that were held out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from recli.artifact import find
from recli.artifact.file import Document
from recli.errors import Exit, RecliError
from recli.pipeline.evaluate import model
from recli.pipeline.evaluate.asked import Asked as Asked
from recli.pipeline.evaluate.asked import Plan as Plan
from recli.pipeline.evaluate.beside import check_by
from recli.pipeline.evaluate.candidates import Candidates as Candidates
from recli.pipeline.evaluate.given import is_qrels, open_given, plan_foreign, plan_lists, plan_predictions
from recli.pipeline.evaluate.measure import Result as Result
from recli.pipeline.evaluate.relevance import Condition as Condition
from recli.pipeline.evaluate.relevance import Relevance as Relevance
from recli.pipeline.events import Events
from recli.pipeline.folds import Fold
from recli.pipeline.step import Output, Product, perform

PLANS = {"model": model.plan, "recs": plan_lists, "preds": plan_predictions}


def plan(path: Path, asked: Asked, output: Output) -> Plan:
    """How to evaluate lists or predictions, recli's or anybody's, or a model.

    Raises:
        RecliError: the input is none of these (exit 3), or an option does not fit it (exit 2).
    """
    check_by(asked.by)
    artifact = None if str(path) == "-" else find(path)
    given, asked = _truth(asked)
    if artifact is None:
        return _again(plan_foreign(path, asked, given, output), path, asked)
    if artifact.header.kind not in PLANS:
        message = f"is neither lists nor predictions nor a model but {artifact.header.kind}"
        raise RecliError(Exit.DATA, message, where=path, hint="evaluate takes what recommend, predict or train made")
    found = PLANS[artifact.header.kind](artifact, asked, given, output)
    found = replace(found, step=replace(found.step, fold=Fold.of(artifact.header)))
    return _again(found, path, asked)


def _again(plan: Plan, path: Path, asked: Asked) -> Plan:
    """What comes from stdin has no digest to know it again by."""
    read = (path, asked.truth, asked.train, asked.request.history)
    return replace(plan, again=any(str(one) == "-" for one in read))


def _truth(asked: Asked) -> tuple[Events | None, Asked]:
    """The truth that was given by hand; of qrels what is above 0 is relevant."""
    if asked.truth is None:
        return None, asked
    given = open_given(asked.truth, asked)
    relevance = asked.relevance
    if given.artifact is None and is_qrels(asked.truth, given.source):
        if relevance.condition is None:
            relevance = replace(relevance, condition=Condition("rating", ">", "0"))
        if asked.gain_is_open and asked.dialect == "trec":
            relevance = replace(relevance, gain="linear")  # as trec_eval's ndcg has it
    return given, replace(asked, relevance=relevance)


def write(plan: Plan, output: Output, *, strict: bool = False) -> Path:
    """The metrics as an artifact, with every user's values: found where it is up to date, else made.

    Raises:
        RecliError: under ``strict``, there is a leak (exit 3).
    """

    def work() -> Product:
        document = plan.result.document
        if strict:
            refuse(document["leaks"], plan.step.inputs[0].path)
        values = ", ".join(f"{name} {_shown(entry['value'])}" for name, entry in document["metrics"].items())
        return Product(payload=Document({**document, "per_user": columns_of(plan.result)}), summary=values)

    return perform(plan.step, replace(output, force=output.force or plan.again), work)


def columns_of(result: Result) -> dict[str, list[Any]]:
    """The values by user as JSON takes them: null where a metric is not defined."""
    return {name: column.to_list() for name, column in result.per_user.fill_nan(None).to_dict().items()}


def refuse(leaks: list[str], where: Path) -> None:
    """Refuse a result that a leak makes better than it is (exit 3)."""
    if leaks:
        raise RecliError(Exit.DATA, leaks[0], where=where, hint="without --strict this is a warning")


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def write_per_user(plan: Plan, output: Output) -> Path:
    """The values by user, as a table."""

    def work() -> Product:
        frame = plan.result.per_user
        whom = "queries" if "query" in frame.columns else "users"
        more = {"document": plan.result.document}
        return Product(payload=frame, more=more, summary=f"{frame.height:,} {whom}")

    step = replace(plan.step, kind="per-user", suffix=".users.parquet")
    return perform(step, replace(output, force=output.force or plan.again), work)
