"""similar: a model and ids in, what is nearest to them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from recli.errors import Exit, RecliError, nearest
from recli.interactions import Queries, encode
from recli.pipeline.folds import Fold
from recli.pipeline.names import stem
from recli.pipeline.recommend import load_model, open_model
from recli.pipeline.step import Input, Output, Product, Step, perform
from recli.ranking import top_k
from recli.schema import ITEM, SCORE, USER
from recli.scorers import ROWS, ItemWeights, unit

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recli.artifact import Artifact
    from recli.scorers import Floats, Ints, Scorer

HINT = "models with item vectors or item-item weights have"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What to find neighbours of: items or users, each on its own or all as one set."""

    ids: Sequence[str]
    of: str = "items"
    k: int = 10
    each: bool = False
    files: Sequence[Path] = ()


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Rows of length 1: the score of a row is the sum of its cosines with the rows of a set."""

    unit: Floats | csr_matrix

    @classmethod
    def of(cls, vectors: Floats | csr_matrix) -> Cosine:
        """A row of zeros stays, and is like no other."""
        if not isinstance(vectors, np.ndarray):
            return cls(unit=unit(vectors))
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return cls(unit=(vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32))

    def score(self, queries: Queries) -> Floats:
        """One matrix product; a block has a fixed size, so that a score does not depend on what stands beside it."""
        if not isinstance(self.unit, np.ndarray):
            product: Floats = (queries.matrix(self.unit.shape[0]) @ self.unit @ self.unit.T).toarray()
            return product
        sums = np.zeros((-(-len(queries) // ROWS) * ROWS, self.unit.shape[1]), np.float32)
        np.add.at(sums, np.repeat(np.arange(len(queries)), queries.lengths), self.unit[queries.item])
        scores: Floats = (sums @ self.unit.T)[: len(queries)]
        return scores

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """One entry of it a query."""
        scores: Floats = self.score(queries)[np.arange(len(queries)), items]
        return scores


def similar(path: Path, wish: Wish, output: Output) -> Path:
    """The nearest items (or users), as an artifact."""
    artifact = load_model(path)
    params = {"of": wish.of, "ids": list(wish.ids), "k": wish.k, "each": wish.each}
    step = Step(
        command="similar",
        kind="similar",
        name=stem(path),
        suffix=".similar.parquet",
        params=params,
        inputs=[Input(role="model", path=path, sha256=artifact.digest)],
        modules=["recli.pipeline.similar", _module(artifact)],
        also_read=wish.files,
        fold=Fold.of(artifact.header),
    )

    def work() -> Product:
        frame = neighbours(artifact, wish)
        return Product(payload=frame, more={"k": wish.k}, summary=f"{frame.height:,} neighbours")

    return perform(step, output, work)


def neighbours(artifact: Artifact, wish: Wish) -> pl.DataFrame:
    """``item_id, similar_id, rank, score`` (``user_id`` for users); the ids of a set stand together.

    Raises:
        RecliError: an id is unknown to the model (exit 3), or it has nothing to tell neighbours by (exit 2).
    """
    users, items, model = open_model(artifact)
    scorer = nearness(model, wish.of, artifact)
    vocabulary, key = (items, ITEM) if wish.of == "items" else (users, USER)
    asked = pl.Series(key, list(dict.fromkeys(wish.ids)), pl.String)
    codes = encode(asked, vocabulary)
    if (codes < 0).any():
        stranger = asked[int((codes < 0).argmax())]
        hint = nearest(stranger, vocabulary.to_list()) if len(vocabulary) <= 100_000 else None
        raise RecliError(Exit.DATA, f"{key} {stranger!r} is unknown to the model", where=artifact.path, hint=hint)
    n = len(codes) if wish.each else 1
    indptr = np.arange(n + 1, dtype=np.int64) if wish.each else np.array([0, len(codes)], np.int64)
    queries = Queries(user=np.full(n, -1, np.int32), indptr=indptr, item=codes, replaced=True)
    found, scores = top_k(scorer, queries, wish.k, seen=(queries.indptr, queries.item))
    rows, places = np.nonzero(found >= 0)
    named = asked if wish.each else pl.Series(key, [",".join(asked)])
    return pl.DataFrame(
        {
            key: named.gather(rows),
            "similar_id": vocabulary.gather(found[rows, places]),
            "rank": (places + 1).astype(np.int32),
            SCORE: scores[rows, places],
        }
    )


def nearness(scorer: Scorer, of: str, artifact: Artifact) -> Any:
    """What scores neighbours: the model's own weights between items, or the cosine of its vectors.

    Raises:
        RecliError: it has neither (exit 2).
    """
    shapes = {f.name: f.metadata.get("shape", ()) for f in fields(scorer)}  # type: ignore[arg-type]
    if of == "items" and isinstance(scorer, ItemWeights):
        return scorer
    for name, shape in shapes.items():
        vectors = getattr(scorer, name)
        if len(shape) == 2 and shape[0] == of and shape[1] not in ("users", "items") and vectors is not None:
            return Cosine.of(vectors)
    message = f"{artifact.header.more['model']} has nothing to tell the neighbours of {of} by"
    raise RecliError(Exit.USAGE, message, where=artifact.path, hint=f"{HINT} neighbours")


def _module(artifact: Artifact) -> str:
    return str(artifact.header.more["scorer"]["scorer"]).partition(":")[0]
