"""Evaluating a model: its lists, or its predictions, of the rows that were held out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from recli.artifact import Artifact
from recli.errors import Exit, RecliError
from recli.interactions import encode
from recli.metrics import Wanted
from recli.pipeline import predict
from recli.pipeline.audience import keys, numbered
from recli.pipeline.evaluate.asked import (
    CLICKS,
    LISTS,
    RATINGS,
    Asked,
    Plan,
    deepest,
    held_out,
    merged,
    not_empty,
    split_metrics,
)
from recli.pipeline.evaluate.beside import Beside
from recli.pipeline.evaluate.candidates import Draw
from recli.pipeline.evaluate.given import as_truth, check_needs, guarded
from recli.pipeline.evaluate.measure import Ranked, Result, measure
from recli.pipeline.evaluate.pairs import held_to, measure_pairs, of_candidates
from recli.pipeline.evaluate.relevance import Condition
from recli.pipeline.evaluate.truth import truth_of
from recli.pipeline.events import Events
from recli.pipeline.recommend import Lists, Task, lists_frame, open_task, rank
from recli.pipeline.step import Output
from recli.schema import ITEM, LABEL, PARTS, QUERY, USER


def plan(artifact: Artifact, asked: Asked, given: Events | None, output: Output) -> Plan:
    """How to evaluate a model: by lists, by predictions, or both, as the metrics ask.

    Raises:
        RecliError: options that contradict each other, or a metric needs what is not at hand (exit 2).
    """
    request, more = asked.request, artifact.header.more
    asked = replace(asked, relevance=asked.relevance.of_task(more["task"]))
    if asked.train is not None or asked.columns:
        raise RecliError(Exit.USAGE, "is a model, which knows its train rows and columns itself", where=artifact.path)
    if request.rolling and given is not None:
        raise RecliError(Exit.USAGE, "--rolling takes the truth from the split", hint="leave out --truth")
    if not asked.candidates.masks:  # who says what to rank, wants to see it ranked
        request = replace(request, allow_seen=True)
    task = open_task(artifact, request)
    if asked.candidates.kind != "all" and (request.items is not None or request.exclude):
        raise RecliError(Exit.USAGE, "--candidates says what is ranked", hint="leave out --items and --exclude")
    usual = {"rating": RATINGS, "ctr": CLICKS}.get(more["task"], LISTS)
    wanted = asked.wanted(usual)
    of_lists, of_pairs = split_metrics(wanted, asked.table)
    beside = Beside.open(task.events, dict(asked.companions), [*asked.by, *(["item."] if asked.features else [])])
    check_needs(of_lists, asked, train=True, several=request.rolling)
    facts = {**task.facts, **asked.relevance.facts(), **asked.candidates.facts(task.facts["candidates"])}
    evaluation = _Evaluation(artifact, asked, task, given, beside, facts, output)

    def work() -> Result:
        results = []
        if of_lists:
            results.append(evaluation.of_lists(of_lists))
        if of_pairs:
            results.append(evaluation.of_pairs(of_pairs))
        return results[0] if len(results) == 1 else merged(*results)

    own = {**task.facts, **request.choices()}
    inputs = [*task.inputs, *as_truth(given), *beside.inputs()]
    return Plan(step=asked.step(artifact.path, wanted, own, inputs, [task.scorer_module], request.files), work=work)


class _Evaluation:
    """What the two ways to evaluate a model share: the held-out rows, read once."""

    def __init__(
        self,
        artifact: Artifact,
        asked: Asked,
        task: Task,
        given: Events | None,
        beside: Beside,
        facts: Mapping[str, Any],
        output: Output,
    ) -> None:
        self.artifact, self.asked, self.task, self.given = artifact, asked, task, given
        self.beside, self.facts, self.output = beside, facts, output
        self.path = artifact.path

    def rows(self) -> pl.DataFrame:
        """The held-out rows; with rolling queries each with the number of its own."""
        rows = held_out(self.task.events, self.task.phase, self.given, self.path).drop(QUERY, strict=False)
        users: Iterable[str] | None = self.asked.request.users
        if self.task.given is not None:
            users = self.task.given.part(*PARTS)[USER].unique()
        if users is not None:
            rows = not_empty(rows.filter(pl.col(USER).is_in(list(users))), self.path)
        return numbered(rows) if self.asked.request.rolling else rows

    def _relevant(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows that count; among labelled candidates it has to be said which do."""
        relevance = self.asked.relevance
        if self.asked.candidates.kind == "labeled" and relevance.condition is None:
            if LABEL not in rows.columns:
                message = "--candidates labeled ranks the held-out rows, and all of them are relevant"
                raise RecliError(Exit.USAGE, message, hint="--relevant 'rating>=4' says which are")
            relevance = replace(relevance, condition=Condition(LABEL, ">", "0"))
        return relevance.select(rows, (self.given or self.task.events).path)

    def of_lists(self, wanted: Sequence[Wanted]) -> Result:
        rows = self.rows()
        relevant = self._relevant(rows)
        # A place more than is measured, to tell what is tied at the cut.
        lists = self._ranked(rows, relevant, deepest(wanted) + 1)
        train = self.task.events.part("train")
        truth = truth_of(
            relevant,
            lists.items,
            train,
            everybody=rows,
            judged=self.asked.judged,
            counted=self.asked.counts(wanted),
        )
        truth = self.beside.facts(truth, self.asked.features, train)
        row = encode(truth.keys, keys(lists.rows))
        known = (row >= 0)[:, None]
        codes = np.where(known, lists.codes[row], np.int32(-1))
        scores = np.where(known, lists.scores[row], np.float32(-np.inf))
        slices = self.beside.slices(self.asked.by, truth.rows[USER], truth.items, train)
        result = measure(Ranked(codes=codes, scores=scores), truth, wanted, self.asked.table, self.facts, slices)
        measured = replace(lists, codes=lists.codes[:, : deepest(wanted)], scores=lists.scores[:, : deepest(wanted)])
        shown = None if self.facts["seen"] == "masked" else lists_frame(measured)
        return guarded(result, rows, self._trained(), shown, self.task.events)

    def of_pairs(self, wanted: Sequence[Wanted]) -> Result:
        rows = self.rows()
        if self.asked.candidates.kind == "all":
            scored = predict.score(self.task, rows, self.output)
            pairs = held_to(scored.frame, None, self.path)
            facts = {**self.facts, "candidates": "the held-out pairs", "fallbacks": scored.fallbacks}
        else:
            relevant = self._relevant(rows)
            pairs = of_candidates(lists_frame(self._ranked(rows, relevant, None)), relevant)
            facts = dict(self.facts)
        train = self.task.events.part("train")
        header = self.artifact.header.more
        slices = self.beside.slices(self.asked.by, *_distinct(pairs), train)
        result = measure_pairs(
            pairs, self.asked.relevance, wanted, self.asked.table, facts, self.path, task=header["task"], slices=slices
        )
        return guarded(result, rows, self._trained(), None, self.task.events)

    def _ranked(self, rows: pl.DataFrame, relevant: pl.DataFrame, k: int | None) -> Lists:
        chosen = self.asked.candidates
        # A truth by hand may be of users who have no row in the phase.
        wanted = None if self.given is None else rows[USER].unique(maintain_order=True)
        if chosen.kind == "all":
            return rank(self.task, self.output, k or 1, wanted=wanted)
        events = self.task.events
        own = [events.part(*PARTS), rows] if self.task.given is None else [self.task.given.part(*PARTS), rows]
        draw = Draw(
            chosen=chosen,
            held_out=rows,
            relevant=relevant,
            known=pl.concat([part.select(USER, ITEM) for part in own]),
            train=events.part("train"),
        )
        return rank(self.task, self.output, k, draw, wanted)

    def _trained(self) -> pl.DataFrame:
        return self.task.events.part(*self.artifact.header.more["fit_on"])


def _distinct(pairs: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    return pairs[USER].unique(maintain_order=True), pairs[ITEM].unique(maintain_order=True)
