"""recommend: a model in, lists out. The lists themselves are made here for `evaluate` too."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from recli.artifact import Artifact, canonical, load
from recli.errors import Exit, RecliError
from recli.interactions import encode
from recli.memory import reserve
from recli.models import store
from recli.pipeline.audience import Audience, clicked, of_users, rolling
from recli.pipeline.events import Events, Source, check_parent, open_events, parent_path
from recli.pipeline.folds import Fold
from recli.pipeline.names import stem
from recli.pipeline.step import Input, Output, Product, Step, perform
from recli.pipeline.weighing import Weighing
from recli.ranking import top_k
from recli.schema import ITEM, PARTS, QUERY, SCORE, USER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recli.scorers import Scorer

    # What the candidates of every row of an audience are, as codes: (indptr (rows + 1,), items).
    Drawn = Callable[[Audience, pl.Series], tuple[NDArray[np.int64], NDArray[np.int32]]]


PLACE = 24  # bytes that a place of a list takes: its code and its score, twice, and what the metrics make of them


@dataclass(frozen=True, kw_only=True)
class Request:
    """Whom to recommend to, from what, and what may be recommended.

    ``files`` are those that ``users``, ``items`` and ``exclude`` stood in.
    """

    k: int = 10
    phase: str | None = None
    users: Sequence[str] | None = None
    history: Path | None = None
    items: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    files: Sequence[Path] = ()
    allow_seen: bool = False
    rolling: bool = False
    split: Path | None = None
    source: Source = field(default_factory=Source)

    def allowed(self) -> str:
        """What may be recommended, in a word that tells one choice of items from another."""
        if self.items is None and not self.exclude:
            return "all"
        chosen = [None if ids is None else sorted(set(ids)) for ids in (self.items, self.exclude)]
        return f"given ({sha256(canonical(chosen).encode()).hexdigest()[:12]})"

    def choices(self) -> dict[str, Any]:
        """What of it narrows down the users or the items: part of a step's parameters."""
        chosen = {"users": self.users, "items": self.items, "exclude": self.exclude or None}
        return {name: list(ids) for name, ids in chosen.items() if ids is not None}


@dataclass(frozen=True, kw_only=True)
class Lists:
    """Top-k lists as codes.

    ``rows`` (n,) says whose they are: a user, or a user and a query; ``codes`` (n, k) int32 into the model's items, -1
    where a list is short; ``scores`` (n, k) float32; ``unknown`` counts the rows of users that the model does not know.
    """

    rows: pl.DataFrame
    items: pl.Series
    codes: "NDArray[np.int32]"
    scores: "NDArray[np.float32]"
    unknown: int


@dataclass(frozen=True, kw_only=True)
class Task:
    """A model and what it is asked, with the files behind both opened once."""

    artifact: Artifact
    request: Request
    events: Events  # what the model was trained on
    given: Events | None  # the histories given by hand
    phase: str

    @property
    def inputs(self) -> list[Input]:
        """The files that the lists are made from."""
        own = [Input(role="model", path=self.artifact.path, sha256=self.artifact.digest)]
        own += [item for item in self.events.inputs if item.role in ("split", "source")]
        if self.given is not None:
            own += self.given.inputs_as("history")
        return own

    @property
    def scorer_module(self) -> str:
        """The module whose class scores for the model."""
        meta: Mapping[str, Any] = self.artifact.header.more["scorer"]
        return str(meta["scorer"]).partition(":")[0]

    @property
    def context(self) -> list[str]:
        """The columns of an event, beside its ids, that the model makes fields of."""
        return [str(name) for name in self.artifact.header.more.get("context", ())]

    @property
    def weighing(self) -> Weighing:
        """What the events weighed that the model was fitted on: so do those of a history that it is asked with."""
        given: Mapping[str, Any] = self.artifact.header.more.get("weighing", {})
        return Weighing(**given.get("weight", {}))

    @property
    def facts(self) -> dict[str, Any]:
        """What the lists are: for which phase, of which candidates, with what was seen left out or not."""
        seen = "allowed" if self.request.allow_seen else "masked"
        facts = {"phase": self.phase, "candidates": self.request.allowed(), "seen": seen}
        return facts | ({"history": "rolling"} if self.request.rolling else {})


def recommend(path: Path, request: Request, output: Output) -> Path:
    """The k best items for every user of a phase, as an artifact."""
    task = open_task(load_model(path), request)
    digests = [] if task.given is None else [item.sha256 for item in task.given.inputs_as("history")]
    step = Step(
        command="recommend",
        kind="recs",
        name=stem(path),
        suffix=".recs.parquet",
        params={
            "k": request.k,
            **task.facts,
            **request.choices(),
            **({"history": digests} if digests else {}),
            **request.source.params(),
        },
        defaults={"k": Request.k, "phase": "test", "candidates": "all", "seen": "masked"},
        unnamed=("candidates", *request.source.params()),
        inputs=task.inputs,
        also_read=request.files,
        modules=["recli.pipeline.recommend", task.scorer_module],
        fold=Fold.of(task.artifact.header),
    )
    if str(request.history) == "-":  # what comes from stdin has no digest to know it again by
        output = replace(output, force=True)
    return perform(step, output, lambda: _product(task, output))


def load_model(path: Path) -> Artifact:
    """A model's artifact.

    Raises:
        RecliError: it is an artifact of another kind (exit 3).
    """
    artifact = load(path)
    if artifact.header.kind != "model":
        hint = "recli train makes a model"
        raise RecliError(Exit.DATA, f"is no model but {artifact.header.kind}", where=path, hint=hint)
    return artifact


def open_task(artifact: Artifact, request: Request) -> Task:
    """Open what a model was trained on, verified against its header, and the histories given by hand.

    Raises:
        RecliError: options that contradict each other (exit 2); a file that is not the one (exit 3) or not there (4).
    """
    events = _training_events(artifact, request)
    given = None
    if request.history is not None:
        if request.rolling:
            raise RecliError(Exit.USAGE, "--rolling takes the histories from the split", hint="leave out --history")
        if request.users is not None or request.phase is not None:
            raise RecliError(Exit.USAGE, "--history names the users itself", hint="leave out --users and --phase")
        given = open_events(request.history, request.source).of_interactions()
    phase = "history" if given is not None else _resolve_phase(request, events)
    if request.rolling and phase == "all":
        hint = "recli split holds rows out; --phase valid or test takes them"
        raise RecliError(Exit.USAGE, "--rolling asks once for every row that is held out", where=events.path, hint=hint)
    return Task(artifact=artifact, request=request, events=events, given=given, phase=phase)


def _training_events(artifact: Artifact, request: Request) -> Events:
    role = "split" if artifact.header.parent("split") else "source"
    path = parent_path(artifact, role, request.split)
    assert path is not None
    hint = "--split names the file it was trained on"
    if not path.exists():
        raise RecliError(Exit.IO, f"the {role} that {artifact.path} was trained on is not there", where=path, hint=hint)
    # How a table that is not ours was read stands in the model's parameters.
    names = set(vars(Source().options))
    read = Source.of({name: value for name, value in artifact.header.params.items() if name in names})
    events = open_events(path, read)
    check_parent(artifact.header, role, events.inputs[0].sha256, path, hint)
    return events


def _resolve_phase(request: Request, events: Events) -> str:
    """The phase that was asked for; without one, test where the split has a test part, else all."""
    filled = [part for part, (start, stop) in events.rows.items() if start < stop]
    if request.phase is None:
        return "test" if "test" in filled else "all"
    if request.phase != "all" and request.phase not in filled:
        hint = "--phase all serves everybody"
        raise RecliError(Exit.DATA, f"has no {request.phase} rows", where=events.path, hint=hint)
    return request.phase


def rank(
    task: Task, output: Output, k: int | None, candidates: "Drawn | None" = None, wanted: pl.Series | None = None
) -> Lists:
    """The k best items for everybody who is asked for, of all or of the ``candidates`` of each row of the audience.

    Without k every candidate is listed, those that the model cannot score last. ``wanted`` are the users where they
    are not those of the phase.
    """
    users, items, scorer = open_model(task.artifact)
    audience = audience_of(task, users, items, wanted)
    drawn = None if candidates is None else candidates(audience, items)
    everything = k is None
    if k is None:
        k = len(items) if drawn is None else int(np.diff(drawn[0]).max(initial=1))
    k = min(k, len(items))
    shape = (len(audience), k)
    reserve(PLACE * len(audience) * k, f"{len(audience):,} lists of {k:,}", "a smaller k, or fewer --users, takes less")
    codes, scores = np.full(shape, -1, np.int32), np.full(shape, -np.inf, np.float32)
    allowed = _allowed(items, task.request, output)
    for block in audience.blocks():
        codes[block.rows], scores[block.rows] = top_k(
            scorer,
            block.queries,
            k,
            seen=block.seen,
            allowed=allowed,
            candidates=None if drawn is None else (drawn[0][block.rows.start : block.rows.stop + 1], drawn[1]),
            progress=partial(_onwards, output, block.rows.start, len(audience)),
        )
    unserved = int((codes[:, :1] < 0).sum())
    if everything and drawn is not None:
        _append(codes, *drawn)
    if unserved:
        what = "queries" if task.request.rolling else "users"
        output.note(f"{unserved:,} of {len(audience):,} {what} get no list: the model cannot score them")
    return Lists(rows=audience.rows, items=items, codes=codes, scores=scores, unknown=int((audience.user < 0).sum()))


def _append(codes: "NDArray[np.int32]", indptr: "NDArray[np.int64]", items: "NDArray[np.int32]") -> None:
    """Put the candidates that are not listed at the end of their lists; their scores stay -inf."""
    listed = (codes >= 0).sum(axis=1)
    for row in np.flatnonzero(listed < np.diff(indptr)):
        rest = np.setdiff1d(items[indptr[row] : indptr[row + 1]], codes[row, : listed[row]], assume_unique=True)
        codes[row, listed[row] : listed[row] + len(rest)] = rest


def _onwards(output: Output, start: int, total: int, done: int, of: int, what: str) -> None:
    output.progress(start + done, total, what)


def open_model(artifact: Artifact) -> "tuple[pl.Series, pl.Series, Scorer]":
    """The users, the items and the scorer of a model.

    Raises:
        RecliError: the file does not hold them (exit 3).
    """
    arrays = artifact.arrays
    try:
        users, items = (store.unpack_ids(arrays[f"{of}.text"], arrays[f"{of}.offsets"]) for of in ("users", "items"))
        own = {name.removeprefix("scorer."): a for name, a in arrays.items() if name.startswith("scorer.")}
        lengths = {"users": len(users), "items": len(items)}
        return users.rename(USER), items.rename(ITEM), store.unpack(own, artifact.header.more["scorer"], lengths)
    except KeyError as error:
        raise RecliError(Exit.DATA, f"is no model file: {error} is missing", where=artifact.path) from error


def audience_of(task: Task, users: pl.Series, items: pl.Series, wanted: pl.Series | None = None) -> Audience:
    """Who is asked for, with what is history and what counts as seen; ``users`` and ``items`` are the model's.

    ``wanted`` are the users where they are not those of the phase.
    """
    request = task.request
    in_clicks = task.artifact.header.more["task"] == "ctr"

    def serve(rows: pl.DataFrame) -> pl.DataFrame:
        return task.weighing.serve(clicked(rows) if in_clicks else rows)

    if task.given is not None:
        rows = task.given.part("train", "valid")  # of a split, whose test rows are what is to be found
        wanted = rows[USER].unique(maintain_order=True)
        return of_users(wanted, serve(rows), None if request.allow_seen else rows, users, items, replaced=True)
    events = task.events
    if task.phase == "all":
        history = seen = events.part(*PARTS)
        whose = seen
    else:
        full = [part for part, (start, stop) in events.rows.items() if start < stop]
        before = [part for part in ("train", "valid") if part in full and (task.phase == "test" or part == "train")]
        seen, held_out = events.part(*before), events.part(task.phase)
        if request.rolling:
            asked = held_out if request.users is None else held_out.filter(pl.col(USER).is_in(list(request.users)))
            return rolling(serve(seen), serve(asked), users, items, mask=not request.allow_seen)
        # What the model was fitted on is its history, up to the phase; what comes next is asked after all that was.
        fit_on: list[str] = task.artifact.header.more["fit_on"]
        in_order = task.artifact.header.more["task"] == "sequential"
        kept = [part for part in before if in_order or part in fit_on]
        history = seen if kept == before else events.part(*kept)
        whose = held_out
    if wanted is None:
        wanted = whose[USER].unique(maintain_order=True)
    if request.users is not None:
        wanted = pl.Series(USER, list(dict.fromkeys(request.users)), pl.String)
    return of_users(wanted, serve(history), None if request.allow_seen else seen, users, items)


def _allowed(items: pl.Series, request: Request, output: Output) -> "NDArray[np.bool_] | None":
    """Which items may be recommended; None for all."""
    if request.items is None and not request.exclude:
        return None
    allowed = np.full(len(items), request.items is None)
    for names, value in ((request.items or (), True), (request.exclude, False)):
        codes = encode(pl.Series(ITEM, list(names), pl.String), items)
        allowed[codes[codes >= 0]] = value
        strangers = int((codes < 0).sum())
        if strangers:
            output.note(f"{strangers:,} of {len(codes):,} given items are unknown to the model")
    return allowed


def _product(task: Task, output: Output) -> Product:
    k = task.request.k
    # One place more tells whether the last one is tied with what was left out.
    lists = rank(task, output, k + 1)
    tied = ties(lists.codes, lists.scores, k)
    lists = replace(lists, codes=lists.codes[:, :k], scores=lists.scores[:, :k])
    frame = lists_frame(lists)
    users = lists.rows[USER].n_unique()
    more = task.facts | {
        "k": k,
        "model": task.artifact.header.more["model"],
        "task": task.artifact.header.more["task"],
        "fit_on": task.artifact.header.more["fit_on"],
        "users": users,
        "unknown_users": lists.unknown,
        "ties": tied,
    }
    whom = f"{users:,} users" if not task.request.rolling else f"{lists.rows.height:,} queries of {users:,} users"
    summary = f"{frame.height:,} recommendations for {whom}, phase {task.phase}"
    return Product(payload=frame, more=more, summary=summary)


def ties(codes: "NDArray[np.int32]", scores: "NDArray[Any]", k: int) -> float | None:
    """The share of lists whose k-th item has the score of the next one, so that chance, or a rule, drew the line.

    None where it cannot be told: no list, or nothing below k.
    """
    listed = codes[:, 0] >= 0
    if codes.shape[1] <= k or not listed.any():
        return None
    tied = (codes[:, k] >= 0) & (scores[:, k - 1] == scores[:, k])
    return float(tied[listed].mean())


def lists_frame(lists: Lists) -> pl.DataFrame:
    """``user_id, item_id, rank, score``, and ``query`` where there are such: a row for each place, from rank 1."""
    rows, places = np.nonzero(lists.codes >= 0)
    codes = lists.codes[rows, places]
    more = {QUERY: lists.rows[QUERY].gather(rows)} if QUERY in lists.rows.columns else {}
    return pl.DataFrame(
        {
            USER: lists.rows[USER].gather(rows),
            **more,
            ITEM: lists.items.gather(codes),
            "rank": (places + 1).astype(np.int32),
            SCORE: lists.scores[rows, places],
        }
    )
