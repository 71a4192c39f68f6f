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

PHASES = ("valid", "test", "all")


@dataclass(frozen=True, kw_only=True)
class Request:
    """Whom to recommend to, from what, and what may be recommended."""

    k: int = 10
    phase: str | None = None
    users: Sequence[str] | None = None
    history: Path | None = None
    items: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    allow_seen: bool = False
    split: Path | None = None
    source: Source = field(default_factory=Source)


@dataclass(frozen=True, kw_only=True)
class Lists:
    """Top-k lists as codes, and what they refer to.

    ``users`` (n,) String; ``items`` the vocabulary; ``codes`` (n, k) int32 with -1 where a list is short; ``scores``
    (n, k) float32. ``phase`` is resolved, ``events`` are those that the histories came from.
    """

    users: pl.Series
    items: pl.Series
    codes: "NDArray[np.int32]"
    scores: "NDArray[np.float32]"
    unknown: int


@dataclass(frozen=True, kw_only=True)
class Model:
    """A trained model, opened, with the events that it was trained on."""

    artifact: Artifact
    events: Events
    users: pl.Series
    items: pl.Series
    scorer: "Scorer"

    @property
    def fit_on(self) -> list[str]:
        """The parts that the model was fitted on."""
        parts: list[str] = self.artifact.header.more["fit_on"]
        return parts


def recommend(path: Path, request: Request, output: Output) -> Path:
    """The k best items for every user of a phase, as an artifact."""
    artifact = load_model(path)
    events = training_events(artifact, request)
    phase = resolve_phase(request, events)

    def work() -> Product:
        model = open_model(artifact, events)
        lists = rank(model, request, phase, output)
        return _product(lists, artifact, request, phase)

    step = Step(
        command="recommend",
        kind="recs",
        name=stem(path),
        suffix=".recs.parquet",
        params=_params(request, phase),
        defaults={"k": Request.k, "phase": "test", "allow_seen": False},
        inputs=inputs_of(artifact, events, request),
        modules=["recli.pipeline.recommend", scorer_module(artifact)],
    )
    return perform(step, output, work)


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


def training_events(artifact: Artifact, request: Request) -> Events:
    """The split, or the table, that a model was trained on, verified against the model's header."""
    role = "split" if artifact.header.parent("split") else "source"
    path = parent_path(artifact, role, request.split)
    assert path is not None
    hint = "--split names the file it was trained on"
    if not path.exists():
        raise RecliError(Exit.IO, f"the {role} that {artifact.path} was trained on is not there", where=path, hint=hint)
    events = open_events(path, _source_of(artifact))
    check_parent(artifact.header, role, events.inputs[0].sha256, path, hint)
    return events


def _source_of(artifact: Artifact) -> Source:
    """How the model's training table was read, from the parameters in its header."""
    names = set(vars(Source().options))
    return Source.of({name: value for name, value in artifact.header.params.items() if name in names})


def resolve_phase(request: Request, events: Events) -> str:
    """The phase that was asked for; without one, test where the split has a test part, else all."""
    rows = events.rows
    filled = [part for part in ("valid", "test") if part in rows and rows[part][0] < rows[part][1]]
    if request.phase is None:
        return "test" if "test" in filled else "all"
    if request.phase != "all" and request.phase not in filled and request.users is None:
        raise RecliError(
            Exit.DATA, f"has no {request.phase} rows", where=events.path, hint="--phase all serves everybody"
        )
    return request.phase


def inputs_of(artifact: Artifact, events: Events, request: Request) -> list[Input]:
    """The files that lists are made from: the model, its split, and a history given by hand."""
    inputs = [Input(role="model", path=artifact.path, sha256=artifact.digest)]
    inputs += [item for item in events.inputs if item.role in ("split", "source")]
    if request.history is not None:
        given = open_events(request.history, request.source)
        inputs += [Input(role="history", path=item.path, sha256=item.sha256) for item in given.inputs[:1]]
    return inputs


def scorer_module(artifact: Artifact) -> str:
    """The module whose class scores for this model."""
    meta: Mapping[str, Any] = artifact.header.more["scorer"]
    return str(meta["scorer"]).partition(":")[0]


def open_model(artifact: Artifact, events: Events) -> Model:
    """The scorer and the vocabularies of a model."""
    arrays = artifact.arrays
    try:
        users, items = (store.unpack_ids(arrays[f"{of}.text"], arrays[f"{of}.offsets"]) for of in ("users", "items"))
        own = {name.removeprefix("scorer."): a for name, a in arrays.items() if name.startswith("scorer.")}
        scorer = store.unpack(own, artifact.header.more["scorer"])
    except KeyError as error:
        raise RecliError(Exit.DATA, f"is no model file: {error} is missing", where=artifact.path) from error
    return Model(artifact=artifact, events=events, users=users.rename(USER), items=items.rename(ITEM), scorer=scorer)


def rank(model: Model, request: Request, phase: str, output: Output) -> Lists:
    """The k best items for everybody who is asked for."""
    history, seen, wanted = _populations(model, request, phase)
    queries = Queries.of(wanted, history, model.users, model.items, replaced=request.history is not None)
    masked = None if request.allow_seen else Queries.of(wanted, seen, model.users, model.items)
    codes, scores = top_k(
        model.scorer,
        queries,
        request.k,
        seen=None if masked is None else (masked.indptr, masked.item),
        allowed=_allowed(model.items, request, output),
    )
    unserved = int((codes[:, :1] < 0).sum())
    if unserved:
        output.note(f"{unserved:,} of {len(wanted):,} users get no list: the model cannot score them")
    unknown = int((queries.user < 0).sum())
    return Lists(users=wanted, items=model.items, codes=codes, scores=scores, unknown=unknown)


def _populations(model: Model, request: Request, phase: str) -> tuple[pl.DataFrame, pl.DataFrame, pl.Series]:
    """The rows that are history, the rows that count as seen, and the users."""
    if request.history is not None:
        given = open_events(request.history, request.source).part(*PARTS)
        return given, given, given[USER].unique(maintain_order=True)
    events = model.events
    before = [part for part in ("train", "valid") if phase != "valid" or part == "train"]
    if phase == "all":
        history = seen = events.part(*PARTS)
        wanted = seen[USER].unique(maintain_order=True)
    else:
        # What the model was fitted on is its history, up to the phase.
        history = events.part(*[part for part in model.fit_on if part in before])
        seen = events.part(*before)
        wanted = events.part(phase)[USER].unique(maintain_order=True)
    if request.users is not None:
        wanted = pl.Series(USER, list(dict.fromkeys(request.users)), pl.String)
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


def _product(lists: Lists, artifact: Artifact, request: Request, phase: str) -> Product:
    frame = lists_frame(lists)
    more = {
        "phase": phase,
        "k": request.k,
        "model": artifact.header.more["model"],
        "seen": "allowed" if request.allow_seen else "masked",
        "users": len(lists.users),
        "unknown_users": lists.unknown,
    }
    summary = f"{frame.height:,} recommendations for {len(lists.users):,} users, phase {phase}"
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


def _params(request: Request, phase: str) -> dict[str, Any]:
    own = {"k": request.k, "phase": phase, "allow_seen": request.allow_seen}
    return own | choice_params(request) | request.source.params()


def choice_params(request: Request) -> dict[str, Any]:
    """The parameters that say whom, and what may be recommended."""
    params: dict[str, Any] = {}
    if request.users is not None:
        params["users"] = list(request.users)
    if request.items is not None:
        params["items"] = list(request.items)
    if request.exclude:
        params["exclude"] = list(request.exclude)
    if request.history is not None:
        params["history"] = True
    return params
