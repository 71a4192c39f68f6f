"""recommend: a model in, lists out. The lists themselves are made here for `evaluate` too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from recli.artifact import Artifact, load
from recli.errors import Exit, RecliError
from recli.interactions import Queries, encode
from recli.models import store
from recli.pipeline.events import Events, Source, check_parent, open_events, parent_path
from recli.pipeline.names import stem
from recli.pipeline.step import Input, Output, Product, Step, perform
from recli.ranking import top_k
from recli.schema import ITEM, PARTS, USER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recli.scorers import Scorer


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
    split: Path | None = None
    source: Source = field(default_factory=Source)

    def choices(self) -> dict[str, Any]:
        """What of it narrows down the users or the items: part of a step's parameters."""
        chosen = {"users": self.users, "items": self.items, "exclude": self.exclude or None}
        return {name: list(ids) for name, ids in chosen.items() if ids is not None}


@dataclass(frozen=True, kw_only=True)
class Lists:
    """Top-k lists as codes.

    ``users`` (n,) String; ``codes`` (n, k) int32 into the model's items, -1 where a list is short; ``scores`` (n, k)
    float32; ``unknown`` counts the users that the model does not know.
    """

    users: pl.Series
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
    def facts(self) -> dict[str, Any]:
        """What the lists are: for which phase, of which candidates, with what was seen left out or not."""
        narrowed = self.request.items is not None or self.request.exclude
        seen = "allowed" if self.request.allow_seen else "masked"
        return {"phase": self.phase, "candidates": "given" if narrowed else "all", "seen": seen}


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
    )
    return perform(step, output, lambda: _product(rank(task, output), task))


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
        if request.users is not None or request.phase is not None:
            raise RecliError(Exit.USAGE, "--history names the users itself", hint="leave out --users and --phase")
        given = open_events(request.history, request.source).of_interactions()
    phase = "history" if given is not None else _resolve_phase(request, events)
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


def rank(task: Task, output: Output) -> Lists:
    """The k best items for everybody who is asked for."""
    users, items, scorer = open_model(task.artifact)
    history, seen, wanted = _populations(task)
    queries = Queries.of(wanted, history, users, items, replaced=task.given is not None)
    masked = None if task.request.allow_seen else Queries.of(wanted, seen, users, items)
    codes, scores = top_k(
        scorer,
        queries,
        task.request.k,
        seen=None if masked is None else (masked.indptr, masked.item),
        allowed=_allowed(items, task.request, output),
        progress=output.progress,
    )
    unserved = int((codes[:, :1] < 0).sum())
    if unserved:
        output.note(f"{unserved:,} of {len(wanted):,} users get no list: the model cannot score them")
    unknown = int((queries.user < 0).sum())
    return Lists(users=wanted, items=items, codes=codes, scores=scores, unknown=unknown)


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


def _populations(task: Task) -> tuple[pl.DataFrame, pl.DataFrame, pl.Series]:
    """The rows that are history, the rows that count as seen, and the users."""
    if task.given is not None:
        rows = task.given.part(*PARTS)
        return rows, rows, rows[USER].unique(maintain_order=True)
    events = task.events
    if task.phase == "all":
        history = seen = events.part(*PARTS)
        wanted = seen[USER].unique(maintain_order=True)
    else:
        # What the model was fitted on is its history, up to the phase.
        before = [part for part in ("train", "valid") if task.phase == "test" or part == "train"]
        fit_on: list[str] = task.artifact.header.more["fit_on"]
        history = events.part(*[part for part in fit_on if part in before])
        seen = events.part(*before)
        wanted = events.part(task.phase)[USER].unique(maintain_order=True)
    if task.request.users is not None:
        wanted = pl.Series(USER, list(dict.fromkeys(task.request.users)), pl.String)
    return history, seen, wanted


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


def _product(lists: Lists, task: Task) -> Product:
    frame = lists_frame(lists)
    more = task.facts | {
        "k": task.request.k,
        "model": task.artifact.header.more["model"],
        "users": len(lists.users),
        "unknown_users": lists.unknown,
    }
    summary = f"{frame.height:,} recommendations for {len(lists.users):,} users, phase {task.phase}"
    return Product(payload=frame, more=more, summary=summary)


def lists_frame(lists: Lists) -> pl.DataFrame:
    """``user_id, item_id, rank, score``: a row for each place of each list, from rank 1."""
    rows, places = np.nonzero(lists.codes >= 0)
    codes = lists.codes[rows, places]
    return pl.DataFrame(
        {
            USER: lists.users.gather(rows),
            ITEM: lists.items.gather(codes),
            "rank": (places + 1).astype(np.int32),
            "score": lists.scores[rows, places],
        }
    )
