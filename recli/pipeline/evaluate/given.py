"""Evaluating lists and predictions: recli's own, or those of another program."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from recli import sources
from recli.artifact import Artifact, find
from recli.errors import Exit, RecliError
from recli.interactions import vocabulary
from recli.metrics import Wanted
from recli.pipeline.audience import numbered
from recli.pipeline.evaluate import leaks
from recli.pipeline.evaluate.asked import (
    CLICKS,
    LABELS,
    LISTS,
    RATINGS,
    Asked,
    Plan,
    deepest,
    held_out,
    split_metrics,
)
from recli.pipeline.evaluate.beside import Beside
from recli.pipeline.evaluate.lists import named, ranked
from recli.pipeline.evaluate.measure import Result, measure
from recli.pipeline.evaluate.pairs import held_to, measure_pairs
from recli.pipeline.evaluate.truth import truth_of
from recli.pipeline.events import Events, Source, check_parent, open_events, parent_path
from recli.pipeline.step import Input, Output
from recli.schema import ITEM, QUERY, SCORE, USER

TRAIN = ("train",)  # what a model was fitted on, where nothing is said of it


def plan_lists(artifact: Artifact, asked: Asked, given: Events | None, output: Output) -> Plan:
    """How to evaluate recli's lists.

    Raises:
        RecliError: a cut-off is deeper than the lists, or an option is for a model (exit 2).
    """
    more = artifact.header.more
    rolling = more.get("history") == "rolling"
    asked = replace(asked, relevance=asked.relevance.of_task(more.get("task")))
    _only_lists(asked, artifact.path, f"holds lists made for phase {more['phase']}", more["phase"], rolling=rolling)
    wanted = asked.wanted(LISTS)
    _no_pairs(wanted, asked, artifact.path)
    for one in wanted:
        if one.k is not None and one.k > more["k"]:
            message = f"holds lists of {more['k']}, too short for {one}"
            raise RecliError(Exit.USAGE, message, where=artifact.path, hint=f"recli recommend -k {one.k}")
    events = split_of(artifact, asked)
    told = {name: more[name] for name in ("phase", "candidates", "seen", "history") if name in more}
    reading = _Reading(asked, events, given, artifact.path, told, output)

    def work() -> Result:
        tied = more.get("ties") if deepest(wanted) == more["k"] else None
        return reading.of_lists(artifact.frame(), wanted, more["phase"], fit_on=more.get("fit_on", TRAIN), tied=tied)

    inputs = [Input(role="recs", path=artifact.path, sha256=artifact.digest), *as_truth(given)]
    return Plan(step=asked.step(artifact.path, wanted, told, [*inputs, *reading.inputs()]), work=work)


def plan_predictions(artifact: Artifact, asked: Asked, given: Events | None, output: Output) -> Plan:
    """How to evaluate recli's predictions.

    Raises:
        RecliError: a metric is of lists, or an option is for a model (exit 2).
    """
    more = artifact.header.more
    _only_lists(asked, artifact.path, "holds predictions", more["phase"], rolling=False)
    wanted = asked.wanted({"rating": RATINGS, "ctr": CLICKS}.get(more["task"], LABELS))
    _no_lists(wanted, asked, artifact.path)
    events = split_of(artifact, asked)
    told = {"phase": more["phase"], "candidates": "the predicted pairs", "fallbacks": more["fallbacks"]}
    reading = _Reading(asked, events, given, artifact.path, told, output)

    def work() -> Result:
        frame = artifact.frame()
        return reading.of_pairs(frame, wanted, more["phase"], fit_on=more.get("fit_on", TRAIN), task=more["task"])

    inputs = [Input(role="preds", path=artifact.path, sha256=artifact.digest), *as_truth(given)]
    return Plan(step=asked.step(artifact.path, wanted, told, [*inputs, *reading.inputs()]), work=work)


def plan_foreign(path: Path, asked: Asked, given: Events | None, output: Output) -> Plan:
    """How to evaluate what another program made: a user and an item a row, and a rank or a score.

    The metrics say whether they are lists or predictions. ``--split`` names a split of recli's that they are held to.

    Raises:
        RecliError: there is no truth, an option is for a model, or the metrics are of both kinds (exit 2).
    """
    behind = None if asked.request.split is None else open_split(asked.request.split)
    phase = asked.request.phase or "test" if behind is not None else None
    _only_lists(asked, path, "holds what another program made", phase, rolling=None, ours=False)
    lists = open_events(path, asked.request.source).of_interactions()
    wanted = asked.wanted(LISTS)
    of_lists, of_pairs = split_metrics(wanted, asked.table)
    if of_lists and of_pairs:
        message = f"{of_lists[0]} is of lists and {of_pairs[0]} of predictions"
        raise RecliError(Exit.USAGE, message, where=path, hint="measure the one, then the other")
    held = given if given is not None else behind
    if held is None and of_lists:
        hint = "--truth names the held-out rows, --split a split of recli's"
        raise RecliError(Exit.USAGE, "are lists of another program, which name no truth", where=path, hint=hint)
    events = behind if behind is not None else given if given is not None and given.is_split else None
    told = {"phase": phase or "given", "candidates": "unknown", "seen": "unknown"}
    reading = _Reading(asked, events, given, path, told, output)

    def work() -> Result:
        table = lists.table
        frame = named(table.frame, asked.columns, path, originals=table.originals, rated=held is None)
        if of_pairs:
            return reading.of_pairs(frame, wanted, phase or "given", fit_on=TRAIN, task=None)
        return reading.of_lists(frame, wanted, phase or "given", fit_on=TRAIN, tied=None)

    inputs = [*lists.inputs_as("preds" if of_pairs else "recs"), *as_truth(given)]
    return Plan(step=asked.step(path, wanted, told, [*inputs, *reading.inputs()]), work=work)


class _Reading:
    """Lists or predictions, and what they are held to; ``events`` is the split behind them, where it is known."""

    def __init__(
        self,
        asked: Asked,
        events: Events | None,
        given: Events | None,
        path: Path,
        told: Mapping[str, Any],
        output: Output,
    ) -> None:
        self.asked, self.events, self.given, self.path, self.output = asked, events, given, path, output
        self.train = None if asked.train is None else open_given(asked.train, asked)
        self.facts = {**told, **asked.relevance.facts()}
        around = events if events is not None else self.train if self.train is not None else given
        names = [*asked.by, *(["item."] if asked.features else [])]
        self.beside = Beside.open(around, dict(asked.companions), names)

    def inputs(self) -> list[Input]:
        """The files that are read beside the lists and the truth."""
        own = [] if self.events is None or self.events is self.given else list(self.events.inputs)
        train = [] if self.train is None else self.train.inputs_as("train")
        return [*(item for item in own if item.role == "split"), *train, *self.beside.inputs()]

    def of_lists(
        self, frame: pl.DataFrame, wanted: Sequence[Wanted], phase: str, *, fit_on: Sequence[str], tied: float | None
    ) -> Result:
        train = self._part("train")
        check_needs(wanted, self.asked, train=train is not None, several=QUERY in frame.columns)
        rows = held_out(self.events, phase, self.given, self.path)
        where = next((events.path for events in (self.given, self.events) if events is not None), self.path)
        if QUERY in rows.columns and QUERY not in frame.columns:
            raise RecliError(Exit.DATA, "has no column query, and the truth has", where=self.path, hint="--query-col")
        if QUERY in frame.columns:
            own = QUERY in rows.columns
            rows = rows.with_columns(named(rows.select(QUERY), {}, where)[QUERY]) if own else numbered(rows)
        relevant = self.asked.relevance.select(rows, where)
        known = vocabulary((relevant if train is None else train)[ITEM])
        truth = truth_of(
            relevant,
            known,
            train,
            everybody=rows,
            also=frame[ITEM],
            judged=self.asked.judged,
            counted=self.asked.counts(wanted),
        )
        truth = self.beside.facts(truth, self.asked.features, train)
        # A place more than is measured, to tell what is tied at the cut.
        descending = self.asked.dialect == "trec"
        lists = ranked(frame, truth, deepest(wanted) + 1, self.path, descending_ids=descending)
        if lists.uncounted:
            self.output.detail(f"{lists.uncounted:,} rows of the lists are of users without a relevant row")
        slices = self.beside.slices(self.asked.by, truth.rows[USER], truth.items, train)
        # What the lists say of their ties is of all of them.
        lists = replace(lists, tied=None if lists.uncounted else tied)
        result = measure(lists, truth, wanted, self.asked.table, self.facts, slices)
        seen = None if self.facts["seen"] == "masked" else frame
        return guarded(result, rows, self._part(*fit_on), seen, self.events)

    def of_pairs(
        self, frame: pl.DataFrame, wanted: Sequence[Wanted], phase: str, *, fit_on: Sequence[str], task: str | None
    ) -> Result:
        beside = self.given is None and (self.events is None or task is not None)  # the truth stands beside the scores
        rows = None if beside else held_out(self.events, phase, self.given, self.path)
        if SCORE not in frame.columns:
            raise RecliError(Exit.DATA, "has no column score", where=self.path, hint="--score-col names it")
        pairs = held_to(frame, rows, self.path)
        users, items = (pairs[name].unique(maintain_order=True) for name in (USER, ITEM))
        slices = self.beside.slices(self.asked.by, users, items, self._part("train"))
        relevance, table = self.asked.relevance, self.asked.table
        result = measure_pairs(pairs, relevance, wanted, table, self.facts, self.path, task=task, slices=slices)
        return guarded(result, pairs, self._part(*fit_on), None, self.events)

    def _part(self, *names: str) -> pl.DataFrame | None:
        """Rows of the split behind the lists, or those that ``--train`` names."""
        if self.train is not None:
            return self.train.part("train")
        return None if self.events is None else self.events.part(*names)


def guarded(
    result: Result,
    held: pl.DataFrame,
    trained: pl.DataFrame | None,
    lists: pl.DataFrame | None,
    events: Events | None,
) -> Result:
    """The result with what the leak guard found; ``lists`` where what was seen may stand in them."""
    found: list[str] = []
    if trained is not None:
        found += leaks.repeated(held, trained)
        found += leaks.younger(held, trained, events)
        found += [] if lists is None else leaks.listed(lists, trained)
    return replace(result, document={**result.document, "leaks": found})


def check_needs(wanted: Sequence[Wanted], asked: Asked, *, train: bool, several: bool) -> None:
    """Refuse a metric of lists that needs what is not at hand (exit 2); ``several``: a user may have several lists."""
    have = {"gains"} | ({"train"} if train else set())
    have |= {"features", "categories"} if asked.features else set()
    have |= {"history"} if train and not several else set()
    hints = {
        "train": "--split or --train names the rows that the model was trained on",
        "features": "--features COLUMN,... names columns of the items' table",
        "categories": "--features COLUMN,... names columns of the items' table",
        "history": "it needs the users' train rows, and a list a user",
    }
    for one in wanted:
        missing = [need for need in asked.table[one.name].needs if need not in have]
        if missing:
            raise RecliError(Exit.USAGE, f"{one} needs what is not at hand: {missing[0]}", hint=hints[missing[0]])


def split_of(artifact: Artifact, asked: Asked) -> Events | None:
    """The split behind the lists: to find the truth, and to tell what is warm. A given truth does without."""
    path = parent_path(artifact, "split", asked.request.split)
    if path is None or not path.exists():
        if path is not None and (asked.truth is None or asked.request.split is not None):
            hint = "--truth or --split names the file"
            raise RecliError(Exit.IO, "the split behind the lists is not there", where=path, hint=hint)
        return None
    events = open_events(path, Source())
    check_parent(artifact.header, "split", events.inputs[0].sha256, path, "--split names the file it was made from")
    return events


def as_truth(given: Events | None) -> list[Input]:
    """The files of a truth that was given by hand."""
    return [] if given is None else given.inputs_as("truth")


def is_qrels(path: Path, source: Source) -> bool:
    """Whether a truth is TREC's, where what is not above 0 was judged not relevant."""
    named = source.options.format
    try:
        return (named or (sources.detect(path) if path.exists() else None)) == "trec"
    except RecliError:  # the name does not tell: a flag has to, and it is asked for where the file is read
        return False


def open_split(path: Path) -> Events:
    """A split of recli's.

    Raises:
        RecliError: it is none (exit 3).
    """
    events = open_events(path, Source())
    if not events.is_split:
        raise RecliError(Exit.DATA, "is no split", where=path, hint="--truth and --train name other files")
    return events


def open_given(path: Path, asked: Asked) -> Events:
    """A truth, or train rows, given by hand: read as ``--truth-cols`` says, else as the lists are.

    An artifact and TREC's files need no telling.
    """
    ours = path.is_file() and find(path) is not None
    source = asked.truth_source or (Source() if ours else asked.request.source)
    if not ours and asked.truth_source is None and is_qrels(path, Source()):
        source = Source()
    return open_events(path, source).of_interactions()


def _only_lists(
    asked: Asked, path: Path, what: str, phase: str | None, *, rolling: bool | None, ours: bool = True
) -> None:
    """Refuse options that only a model can follow (exit 2)."""
    request = asked.request
    given = request.choices() or request.history or request.allow_seen or asked.candidates.kind != "all"
    other_phase = request.phase is not None and request.phase != phase
    if given or other_phase or (request.rolling and not rolling):
        hint = "such options are for recommend, or for evaluate with a model"
        raise RecliError(Exit.USAGE, what, where=path, hint=hint)
    if ours and (asked.train is not None or asked.columns):
        raise RecliError(Exit.USAGE, f"{what}, and knows its train rows and columns itself", where=path)


def _no_pairs(wanted: Sequence[Wanted], asked: Asked, path: Path) -> None:
    of_pairs = split_metrics(wanted, asked.table)[1]
    if of_pairs:
        hint = "recli predict makes them, or evaluate the model itself"
        raise RecliError(Exit.USAGE, f"holds lists, and {of_pairs[0]} is of predictions", where=path, hint=hint)


def _no_lists(wanted: Sequence[Wanted], asked: Asked, path: Path) -> None:
    of_lists = split_metrics(wanted, asked.table)[0]
    if of_lists:
        hint = "recli recommend makes them; evaluate MODEL --candidates labeled ranks what was held out"
        raise RecliError(Exit.USAGE, f"holds predictions, and {of_lists[0]} is of lists", where=path, hint=hint)
