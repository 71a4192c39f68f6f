"""The scorers that keep a network. A module of recli.models builds it anew from ``meta``, and computes with it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from recli.errors import Exit, RecliError
from recli.scorers import ROWS, length

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from recli.interactions import Queries
    from recli.scorers import Floats, Ints

    Weights: TypeAlias = Mapping[str, NDArray[Any]]

# Where networks are defined. Nothing else is imported for a file's sake.
_MODULE: Final = re.compile(r"recli\.models(\.[a-z_][a-z0-9_]*)+")
USERS: Final = 4  # beside all items in a step of `Pairwise`: what lies between the layers fits a processor's cache
QUERIES: Final = 256  # histories in a step of `Encoder` or `Reader`


def weights_of(network: nn.Module) -> dict[str, NDArray[Any]]:
    """The network's numbers by name, on the processor; where they lie there already, not a copy."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}


def built(module: str, meta: str, weights: Weights) -> tuple[Any, nn.Module]:
    """The module of a network, and the network with its weights.

    Raises:
        RecliError: the weights are not those of such a network (exit 3).
    """
    import torch

    try:
        if not _MODULE.fullmatch(module):
            raise ValueError(f"{module!r} is no module of networks")
        code = import_module(module)
        with torch.device("meta"):  # takes no memory, whatever sizes the file asks for
            network = code.build(**json.loads(meta))
        own = {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
        network.load_state_dict(own, assign=True)
    except (ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError) as error:
        raise RecliError(Exit.DATA, f"is no network: {str(error).splitlines()[0]}") from error
    return code, network.eval()


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A network from a history to scores of all items. An empty history cannot be scored.

    Its ``module`` has ``build(**meta)`` and ``scores(network, histories) -> (histories, items)``.
    """

    module: str
    meta: str
    weights: Weights
    n_items: int = length("items")

    @cached_property
    def _network(self) -> tuple[Any, nn.Module]:
        return built(self.module, self.meta, self.weights)

    def score(self, queries: Queries) -> Floats:
        """Rows of scores, so many histories at a time."""
        scores = np.full((len(queries), self.n_items), -np.inf, np.float32)
        known = np.flatnonzero(queries.lengths)
        for start in range(0, len(known), QUERIES):
            rows = known[start : start + QUERIES]
            # Padded, as a history's scores must not depend on what stands beside it.
            padded = np.resize(rows, -(-len(rows) // ROWS) * ROWS)
            scores[rows] = self._rows(queries.take(padded))[: len(rows)]
        return scores

    def _rows(self, queries: Queries) -> Floats:
        import torch

        from recli.training.batches import Histories
        from recli.training.session import scoring

        code, network = self._network
        with scoring():
            scores: Floats = code.scores(
                network, Histories.of(queries.indptr, queries.item, torch.device("cpu"))
            ).numpy()
        return scores

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """One place of the row of each history."""
        pairs = np.empty(len(queries), np.float32)
        for start in range(0, len(queries), QUERIES):
            block = slice(start, start + QUERIES)
            pairs[block] = np.take_along_axis(self.score(queries[block]), items[block, np.newaxis], 1)[:, 0]
        pairs[items < 0] = -np.inf
        return pairs


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A network that reads the last ``max_seq_length`` events of a history in order into a row: items are rows too.

    Its ``module`` has ``build(**meta)``, ``output(network)``, the items' rows (items, width) and their biases or None,
    and ``states(network, window) -> (n, places, width)``, the row after each event of a window; where the row of the
    last event is made otherwise, ``last(network, window) -> (n, width)``. An empty history cannot be scored.
    """

    module: str
    meta: str
    weights: Weights
    max_seq_length: int
    n_items: int = length("items")

    @cached_property
    def _network(self) -> tuple[Any, nn.Module]:
        return built(self.module, self.meta, self.weights)

    @cached_property
    def _output(self) -> tuple[Floats, Floats | None]:
        from recli.training.session import scoring

        code, network = self._network
        with scoring():
            rows, bias = code.output(network)
        return rows.detach().numpy(), None if bias is None else bias.detach().numpy()

    @property
    def item(self) -> Floats:
        """The items' rows."""
        return self._output[0]

    @property
    def bias(self) -> Floats | None:
        """The items' biases."""
        return self._output[1]

    def level(self, queries: Queries) -> Floats | None:
        """Nothing is added to all scores of a query."""
        return None

    def rows(self, queries: Queries) -> tuple[Floats, NDArray[np.bool_]]:
        """The row after the last event of each query, and which queries have no event; alike lengths together."""
        import torch

        from recli.training.session import scoring
        from recli.training.windows import Sequences, last

        code, network = self._network
        histories = Sequences.from_arrays(queries.indptr, queries.item, queries.user, torch.device("cpu"))
        rows = np.zeros((len(queries), self.item.shape[1]), np.float32)
        order = np.argsort(queries.lengths, kind="stable")[np.count_nonzero(queries.lengths == 0) :]
        with scoring():
            for start in range(0, len(order), QUERIES):
                block = order[start : start + QUERIES]
                # Padded, as a history's row must not depend on what stands beside it.
                padded = torch.from_numpy(np.resize(block, -(-len(block) // ROWS) * ROWS))
                window = histories.ends(padded, self.max_seq_length)
                rows[block] = last(code, network, window)[: len(block)].numpy()
        return rows, queries.lengths == 0

    def score(self, queries: Queries) -> Floats:
        """One matrix product."""
        rows, cannot = self.rows(queries)
        padded = np.zeros((-(-len(rows) // ROWS) * ROWS, rows.shape[1]), np.float32)
        padded[: len(rows)] = rows
        scores: Floats = (padded @ self.item.T)[: len(rows)]
        if self.bias is not None:
            scores += self.bias
        scores[cannot] = -np.inf
        return scores

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """One dot product a pair."""
        rows, cannot = self.rows(queries)
        scores: Floats = np.einsum("qf,qf->q", rows, self.item[items])
        if self.bias is not None:
            scores += self.bias[items]
        scores[cannot | (items < 0)] = -np.inf
        return scores


@dataclass(frozen=True, kw_only=True)
class Pairwise:
    """A network from a user and an item to a score. Users and items that are not known cannot be scored.

    Its ``module`` has ``build(**meta)``, ``pairs(network, user (n,), item (n,)) -> (n,)``, ``items(network)``, what can
    be computed of the items alone, and ``grid(network, user (n,), items) -> (n, items)``.
    """

    module: str
    meta: str
    weights: Weights
    n_users: int = length("users")
    n_items: int = length("items")

    @cached_property
    def _network(self) -> tuple[Any, nn.Module]:
        return built(self.module, self.meta, self.weights)

    def score(self, queries: Queries) -> Floats:
        """Every item for a few users at a time."""
        import torch

        from recli.training.session import scoring

        scores = np.full((len(queries), self.n_items), -np.inf, np.float32)
        known = np.flatnonzero(queries.user >= 0)
        user = torch.from_numpy(queries.user[np.resize(known, -(-len(known) // USERS) * USERS)])
        code, network = self._network
        with scoring():
            items = code.items(network)
            for start in range(0, len(known), USERS):
                rows = known[start : start + USERS]
                scores[rows] = code.grid(network, user[start : start + USERS], items)[: len(rows)].numpy()
        return scores

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """Each user beside one item."""
        import torch

        from recli.training.session import scoring

        known = (queries.user >= 0) & (items >= 0)
        user, item = (torch.from_numpy(np.where(known, codes, np.int32(0))) for codes in (queries.user, items))
        code, network = self._network
        pairs = np.empty(len(items), np.float32)
        with scoring():
            for start in range(0, len(pairs), 1 << 16):
                block = slice(start, start + (1 << 16))
                pairs[block] = code.pairs(network, user[block], item[block]).numpy()
        pairs[~known] = -np.inf
        return pairs
