"""TwoTower: a network of what is known of a user, another of what is known of an item, and the product of the two."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from recli.model import param
from recli.models.factor.folding import Folding
from recli.models.feature.lightfm import features_of
from recli.training.parameters import LOSSES, Ranked

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from torch import Tensor, nn

    from recli.interactions import Interactions
    from recli.model import Run
    from recli.scorers import Floats
    from recli.training.batches import Histories


@dataclass(frozen=True, kw_only=True)
class TwoTower(Ranked):
    """The product of the rows, of length 1, that two networks make of a user's and of an item's features, over t.

    Yi et al. 2019, "Sampling-bias-corrected neural modeling for large corpus item recommendations" (RecSys), §3 and 4:
    the softmax among the items of a batch, where what an item scores is lessened by the logarithm of how often it is in
    one (eq. 3 to 5); ``temperature`` is t (§4.1). Other losses may be chosen. The features are those of
    `recli.models.feature.lightfm`, each user and item being one of their own. A tower's first layer is the sum of the
    rows of the features, which is what a layer makes of them one-hot, others follow as ``mlp_hidden_size`` says; the
    last is ``embedding_size`` wide. Who train never saw is what its other features are.

    Deviations: how often an item is in a batch is counted, not estimated from a stream (alg. 2); each event counts 1.
    """

    takes: ClassVar = ("training", "user", "item")

    epochs: int = param(50, "times that every event is taken, at most", least=1)
    embedding_size: int = param(64, "numbers in the row of a user or an item", least=1)
    mlp_hidden_size: tuple[int, ...] = param((), "widths of a tower's layers before the last", least=1)
    temperature: float = param(0.2, "what the products of the rows are divided by", above=0)
    loss: str = param("in_batch", "what is minimised", one_of=LOSSES)
    identity: bool = param(True, "whether each user and item is a feature of its own")
    user_columns: str = param("", "columns of the users' table, comma-separated; none, or all that hold no numbers")
    item_columns: str = param("", "columns of the items' table, comma-separated; none, or all that hold no numbers")

    def fit(self, data: Interactions, run: Run) -> Folding:
        """Steps on events and negatives."""
        import torch

        from recli.training.batches import Events, Histories
        from recli.training.loop import train
        from recli.training.ranked import RowLoss
        from recli.training.session import session

        columns = {"user": self.user_columns, "item": self.item_columns}
        features = {role: features_of(data, role, chosen, self.identity) for role, chosen in columns.items()}
        with session(run) as device:
            network = torch.nn.ModuleDict({role: self._tower(matrix) for role, matrix in features.items()}).to(device)
            held = {role: Histories.of(of.indptr.astype(np.int64), of.indices, device) for role, of in features.items()}
            events = Events.of(data.matrix, self, device)
            ranked = RowLoss.of(self, data.popularity, device)

            def rows(role: str, codes: Tensor) -> Tensor:
                return tower(network[role], held[role][codes.flatten()]).view(*codes.shape, -1)

            def loss(user: Tensor, item: Tensor, drawn: Tensor) -> Tensor:
                mine = rows("user", user) / self.temperature
                return ranked(mine, item, drawn, lambda codes: rows("item", codes))[0]

            def scorer() -> Folding:
                with torch.no_grad():
                    user, item = (_all(network[role], held[role]) for role in ("user", "item"))
                return Folding(user=user / np.float32(self.temperature), item=item)

            size = max(1, self.train_batch_size // self.train_neg_sample_num)
            return train(self, run, network, lambda: events.epoch(size), loss, scorer)

    def _tower(self, features: csr_matrix) -> nn.Module:
        """A row for each feature, and the layers."""
        from torch import nn

        widths = [*self.mlp_hidden_size, self.embedding_size]
        made = nn.ModuleDict({"features": nn.EmbeddingBag(features.shape[1], widths[0], mode="sum")})
        nn.init.normal_(made["features"].weight, 0, 0.01)
        made["layers"] = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        return made


def tower(network: Any, features: Histories) -> Tensor:
    """The rows of length 1 (n, width) of who has these features; of who has none, and there is no layer, it is 0."""
    from torch.nn import functional as F

    x = network["features"](features.item, features.indptr[:-1].int())
    for layer in network["layers"]:
        x = layer(F.relu(x))
    return F.normalize(x)


def _all(network: Any, features: Histories) -> Floats:
    made: Floats = tower(network, features).cpu().numpy()
    return made
