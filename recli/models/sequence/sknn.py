"""Session-based nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from recli.model import param
from recli.scorers import shaped

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recli.interactions import Interactions, Queries
    from recli.model import Run
    from recli.scorers import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """The training sessions, the newest first, and how a history's neighbours among them are found.

    ``place`` is the row of a user's own session, which is no neighbour. An empty history cannot be scored.
    """

    sessions: csr_matrix = shaped("users items")
    place: Ints = shaped("users", dtype=np.int32)
    k: int
    sample_size: int
    similarity: str
    decay: bool
    score_decay: bool

    @cached_property
    def _by_item(self) -> csr_matrix:
        return self.sessions.tocsc().T

    def score(self, queries: Queries) -> Floats:
        """The items of the k nearest, each times its likeness."""
        from recli.kernels import sessions

        scores = np.zeros((len(queries), self.sessions.shape[1]), np.float32)
        own = np.where(queries.user >= 0, self.place[queries.user], np.int32(-1))
        how = (self.k, self.sample_size, self.similarity == "cosine", self.decay, self.score_decay)
        sessions.score((queries.indptr, queries.item), own, self.sessions, self._by_item, how, scores)
        scores[queries.lengths == 0] = -np.inf
        return scores

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """One place of the row of each history."""
        pairs = np.empty(len(queries), np.float32)
        for start in range(0, len(queries), 256):
            block = slice(start, start + 256)
            pairs[block] = np.take_along_axis(self.score(queries[block]), items[block, np.newaxis], 1)[:, 0]
        pairs[items < 0] = -np.inf
        return pairs


@dataclass(frozen=True, kw_only=True)
class SKNN:
    """An item is as good as the sessions that have it are like the one that is asked for.

    Jannach & Ludewig 2017, "When recurrent neural networks meet the neighborhood for session-based recommendation"
    (RecSys), §2.2: of the ``sample_size`` newest sessions with an item in common, the k most like it by the cosine, and
    score_i = sum of likeness over those that have i. Ludewig & Jannach 2018, "Evaluation of session-based
    recommendation algorithms" (UMUAI), §3.1.5: with ``decay`` the events of the current session count less, in equal
    steps, the longer ago they are, and a dot product is the likeness (V-SKNN); with ``score_decay`` a neighbour counts
    by the newest item in common (S-SKNN).

    A user is a session; its age is that of its last event, or without times its place in the order of users. The
    scorer holds the training sessions. Where histories are no sessions, as MovieLens', it stays below `markov` and is
    about `itemknn`: a history of a hundred events has something in common with everybody's.
    """

    k: int = param(100, "sessions that vote", least=1)
    sample_size: int = param(1000, "of the newest with an item in common, so many are compared", least=1)
    similarity: str = param("cosine", "of two sessions", one_of=("cosine", "dot"))
    decay: bool = param(False, "count the events of the current session less, the older they are")
    score_decay: bool = param(False, "count a neighbour less, the older the newest event in common")

    def fit(self, data: Interactions, run: Run) -> Sessions:
        """Nothing to learn but the order."""
        ends = np.zeros(data.n_users)
        if data.time is not None:
            some = np.diff(data.indptr) > 0
            ends[some] = data.time[data.indptr[1:][some] - 1]
        order = np.argsort(-ends, kind="stable")
        place = np.empty(data.n_users, np.int32)
        place[order] = np.arange(data.n_users, dtype=np.int32)
        return Sessions(
            sessions=data.matrix[order],
            place=place,
            k=self.k,
            sample_size=self.sample_size,
            similarity=self.similarity,
            decay=self.decay,
            score_decay=self.score_decay,
        )
