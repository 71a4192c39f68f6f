"""SASRec: self-attention over a history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recli.model import param
from recli.training.parameters import Attending

if TYPE_CHECKING:
    from torch import Tensor, nn

    from recli.interactions import Interactions
    from recli.model import Run
    from recli.training.networks import Reader
    from recli.training.windows import Window


@dataclass(frozen=True, kw_only=True)
class SASRec(Attending):
    """Each event looks at those before it, in layers; the state after the last one is compared with the items' rows.

    Kang & McAuley 2018, "Self-attentive sequential recommendation" (ICDM), §III. Trained at once on every event of a
    window that another follows. ``loss_type=BCE`` is the paper's loss; with many negatives and ``gbce_t`` it is
    gSASRec's (Petrov & Macdonald 2023, RecSys).

    Deviations, RecBole's: a softmax over all items in place of the paper's loss, and the encoder of BERT, with norms
    after the sums. ``prenorm`` has them before, as the paper does for attention, with one more at the end; ``scaled``
    rows are the authors' program's. The paper takes of each user the last ``max_seq_length`` events, and pads before
    them: that is ``from_end``, without which all events are learned.

    On small data, as MovieLens-100K's, gSASRec stays below `markov`: beside so many negatives it learns for tens of
    epochs no more than how popular items are, and validation stops it there. With ``prenorm``, a dropout of 0.2 and
    --patience 60 it leaves that after 25.
    """

    prenorm: bool = param(False, "norms before attention and perceptron, and at the end; else after each")
    scaled: bool = param(False, "items' rows times the root of their width, as they are read")
    from_end: bool = param(False, "learn each user's last events only, places counted from the last; else all events")

    def fit(self, data: Interactions, run: Run) -> Reader:
        """Steps on windows of many users' events."""
        from recli.training.nextitem import fit

        meta = {"items": data.n_items, "places": self.max_seq_length, **self.shape()}
        meta |= {"prenorm": self.prenorm, "scaled": self.scaled, "from_end": self.from_end}
        return fit(self, data, run, __name__, meta, recent=self.from_end)


def build(
    items: int, places: int, prenorm: bool, scaled: bool = False, from_end: bool = False, **shape: Any
) -> nn.Module:
    """Rows of items and places, and the layers; older models do not say ``scaled`` and ``from_end``."""
    from recli.training.transformer import Encoder

    return Encoder(items, places, prenorm=prenorm, scaled=scaled, from_end=from_end, **shape)


def states(network: Any, window: Window) -> Tensor:
    """The state after each event (n, places, width)."""
    return network.read(window.item, None, window.length)


def output(network: Any) -> tuple[Tensor, None]:
    """The items' rows: those that are read."""
    return network["item"].weight, None
