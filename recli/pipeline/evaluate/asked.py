"""What is asked of an evaluation, and an evaluation that has not been done yet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from recli.errors import Exit, RecliError
from recli.metrics import Metric, Wanted
from recli.pipeline.evaluate.candidates import Candidates
from recli.pipeline.evaluate.measure import Result
from recli.pipeline.evaluate.relevance import Relevance
from recli.pipeline.events import Events, Source
from recli.pipeline.names import stem
from recli.pipeline.recommend import Request
from recli.pipeline.step import Input, Step
from recli.schema import QUERY

LISTS = ("recall", "mrr", "ndcg", "hit", "precision")  # what is measured, at 10, where nothing is named
RATINGS = ("rmse", "mae")
LABELS = ("auc", "gauc")
CLICKS = (*LABELS, "logloss")  # of a model that tells probabilities


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What to evaluate and how: the metrics, the truth, and, for a model, what `recommend` takes.

    ``metrics`` may be empty, which is the usual ones; ``also`` are those that an assertion or a baseline names.
    ``columns`` says what another program's lists call ``score``, ``rank`` and ``query``; ``by`` are the groups,
    ``features`` the columns of the items' table that diversity and calibration look at.
    """

    metrics: Sequence[Wanted]
    table: Mapping[str, Metric]  # recli's, or a dialect's
    also: Sequence[Wanted] = ()
    dialect: str = "recli"
    truth: Path | None = None
    truth_source: Source | None = None
    train: Path | None = None
    relevance: Relevance = field(default_factory=Relevance)
    candidates: Candidates = field(default_factory=Candidates)
    columns: Mapping[str, str] = field(default_factory=dict)
    by: Sequence[str] = ()
    features: Sequence[str] = ()
    companions: Mapping[str, Path] = field(default_factory=dict)
    request: Request = field(default_factory=Request)
    strict: bool = False
    also_read: Sequence[Path] = ()  # which no result may be written over
    gain_is_open: bool = False  # whether nobody said what a relevant row is worth

    def wanted(self, usual: Sequence[str]) -> list[Wanted]:
        """The metrics: those named, else the usual ones, and those that must be there; called by their candidates.

        Raises:
            RecliError: a metric names other candidates than those that are ranked (exit 2).
        """
        suffix = self.candidates.suffix
        chosen = self.metrics or [
            Wanted(name, 10 if self.table[name].takes_cutoff else None) for name in usual if name in self.table
        ]
        found = [one if one.candidates else one._replace(candidates=suffix) for one in chosen]
        found = list(dict.fromkeys([*found, *self.also]))
        for one in found:
            if one.candidates != suffix:
                named = one._replace(candidates=suffix)
                hint = f"what is measured here is {named}; --candidates says what is ranked"
                raise RecliError(Exit.USAGE, f"{one} is of other candidates", hint=hint)
        return found

    def counts(self, wanted: Sequence[Wanted]) -> bool:
        """Whether one of the metrics asks how popular items are."""
        return any("train" in self.table[one.name].needs for one in wanted)

    @property
    def judged(self) -> bool:
        """Whether a user with held-out rows counts even where none of them is relevant."""
        return any(metric.population == "judged" for metric in self.table.values())

    def params(self) -> dict[str, Any]:
        """What of it is part of a step's parameters, beside the metrics."""
        several: dict[str, Any] = {"by": list(self.by), "features": list(self.features), "columns": dict(self.columns)}
        source = {} if self.truth_source is None else self.truth_source.params()
        return {
            **self.relevance.params(),
            **self.candidates.params(),
            **{name: value for name, value in several.items() if value},
            **({"truth_source": source} if source else {}),
            **self.request.source.params(),
        }

    def step(
        self,
        path: Path,
        wanted: Sequence[Wanted],
        facts: Mapping[str, Any],
        inputs: Sequence[Input],
        modules: Sequence[str] = (),
        also_read: Sequence[Path] = (),
    ) -> Step:
        """The step that evaluates the file at ``path``."""
        return Step(
            command="evaluate",
            kind="metrics",
            name=stem(path),
            suffix=".metrics.json",
            params={"metrics": [str(one) for one in wanted], "dialect": self.dialect, **facts, **self.params()},
            inputs=[*inputs, *self.candidates.inputs()],
            modules=["recli.pipeline.evaluate", *modules],
            also_read=[*also_read, *self.also_read],
        )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An evaluation that has not been done yet: the step that names it, and the work, done when first asked for."""

    step: Step
    work: Callable[[], Result]
    again: bool = False  # whether it is done even where the output is up to date

    @cached_property
    def result(self) -> Result:
        """What was measured."""
        return self.work()


def split_metrics(wanted: Sequence[Wanted], table: Mapping[str, Metric]) -> tuple[list[Wanted], list[Wanted]]:
    """The metrics of lists, and those of predictions."""
    of_pairs = [one for one in wanted if table[one.name].kind == "pairs"]
    return [one for one in wanted if one not in of_pairs], of_pairs


def deepest(metrics: Sequence[Wanted]) -> int:
    """The deepest cut-off of ``metrics``."""
    return max((wanted.k for wanted in metrics if wanted.k is not None), default=1)


def held_out(events: Events | None, phase: str, given: Events | None, where: Path) -> pl.DataFrame:
    """The rows that are the truth: those of a file (of a split, its part of the phase), or those of the phase.

    What a split calls ``query`` is a column of the data, and numbers no lists.

    Raises:
        RecliError: the phase holds nothing out (exit 2), or there is no such row (exit 3).
    """
    if given is not None:
        if not given.is_split:
            return not_empty(given.part("train"), given.path)
        rows = given.part(phase if phase in ("train", "valid", "test") else "test")
        return not_empty(rows.drop(QUERY, strict=False), given.path)
    if events is None or phase not in ("valid", "test"):
        hint = "--truth names the rows"
        raise RecliError(Exit.USAGE, "nothing was held out from these lists", where=where, hint=hint)
    return not_empty(events.part(phase).drop(QUERY, strict=False), events.path)


def not_empty(rows: pl.DataFrame, where: Path) -> pl.DataFrame:
    """The rows, if there is one.

    Raises:
        RecliError: there is none (exit 3).
    """
    if rows.is_empty():
        raise RecliError(Exit.DATA, "holds no row that is held out from these lists", where=where)
    return rows


def merged(first: Result, second: Result) -> Result:
    """Two results of one input as one."""
    document = {**second.document, **first.document}
    document["metrics"] = {**first.document["metrics"], **second.document["metrics"]}
    return replace(first, document=document)
