"""The hyper-parameters that networks share. No torch."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from recli.errors import Exit, RecliError
from recli.model import param

if TYPE_CHECKING:
    from recli.interactions import Interactions
    from recli.model import Run
    from recli.training.context import Contextual

LEARNERS = ("adam", "adamw", "sgd", "adagrad", "rmsprop", "sparse_adam")
SCHEDULERS = ("constant", "step", "exponential", "linear", "cosine", "plateau")
LOSSES = ("bpr", "bce", "softmax", "sampled_softmax", "in_batch", "margin", "cosine")


@dataclass(frozen=True, kw_only=True)
class Trained:
    """How a network is trained, with RecBole's names and defaults."""

    takes: ClassVar[tuple[str, ...]] = ("training",)

    epochs: int = param(300, "times that every event is taken, at most", least=1)
    train_batch_size: int = param(2048, "examples in a step", least=1)
    learner: str = param("adam", "the optimizer", one_of=LEARNERS)
    learning_rate: float = param(0.001, "size of the first steps", above=0)
    momentum: float = param(0.0, "sgd, rmsprop: how much of the last step the next one keeps", least=0, below=1)
    weight_decay: float = param(0.0, "how much the optimizer pulls every number to 0", least=0)
    clip_grad_norm: float = param(0.0, "the gradient's greatest length; 0: no limit", least=0)
    scheduler: str = param("constant", "how the learning rate changes with the epochs", one_of=SCHEDULERS)
    warmup_epochs: int = param(0, "epochs in which the learning rate rises to its value", least=0)
    decay_epochs: int = param(10, "step: epochs from one change to the next", least=1)
    decay_rate: float = param(0.1, "step, exponential, plateau: what the learning rate is multiplied by", above=0)
    enable_amp: bool = param(False, "compute in bfloat16 where that is safe")


@dataclass(frozen=True, kw_only=True)
class Sampled(Trained):
    """A network that is trained on events beside items drawn at random that the user did not take."""

    train_neg_sample_num: int = param(1, "negatives of an event", least=1)
    neg_sampling: str = param("uniform", "how negatives are drawn", one_of=("uniform", "popularity"))
    neg_exponent: float = param(1.0, "popularity: the power of an item's users that it is drawn by", least=0)
    neg_dynamic: bool = param(False, "of candidates that are drawn, take the one that scores highest")
    neg_candidate_num: int = param(8, "dynamic: candidates of a negative", least=1)


@dataclass(frozen=True, kw_only=True)
class Ranked(Sampled):
    """A network that ends as a product of rows, and can be trained by any loss of `recli.training.losses`."""

    loss: str = param("bpr", "what is minimised", one_of=LOSSES)
    margin: float = param(
        0.5, "margin: by how much a negative is to be lower; cosine: from which on it counts", least=0
    )
    negative_weight: float = param(10.0, "cosine: what the negatives count for one positive", least=0)


OF_NEXT = ("CE", "sampled", "BPR", "BCE", "BPR-max", "TOP1-max")


@dataclass(frozen=True, kw_only=True)
class NextItem(Trained):
    """A network that reads a history in order, and is trained on what came next after each of its events."""

    max_seq_length: int = param(50, "events of a history that are read, the last ones", least=1)
    loss_type: str = param("CE", "what is made smaller; CE is a softmax over all items", one_of=OF_NEXT)
    train_neg_sample_num: int = param(1, "negatives of an event, or of a step where it shares them", least=0)
    neg_sampling: str = param("uniform", "how negatives are drawn", one_of=("uniform", "popularity"))
    neg_exponent: float = param(1.0, "popularity: the power of an item's events that it is drawn by", least=0)
    gbce_t: float = param(0.0, "BCE: how far scores are set right for too few negatives; above 0: gBCE", least=0)
    bpr_max_reg: float = param(0.0, "BPR-max: regularisation of the negatives' scores", least=0)


ACTIVATIONS = ("gelu", "relu", "swish", "tanh", "sigmoid")


@dataclass(frozen=True, kw_only=True)
class Attending(NextItem):
    """A network that reads a history with layers of attention, `recli.training.transformer`."""

    hidden_size: int = param(64, "numbers in a row", least=1)
    inner_size: int = param(256, "numbers in the middle of a layer's perceptron", least=1)
    n_layers: int = param(2, "layers of attention", least=0)
    n_heads: int = param(2, "parts that a layer attends with", least=1)
    hidden_dropout_prob: float = param(0.5, "share of numbers that is left out in a step", least=0, below=1)
    attn_dropout_prob: float = param(0.5, "share of the attention that is left out in a step", least=0, below=1)
    hidden_act: str = param("gelu", "what bends the perceptron", one_of=ACTIVATIONS)
    layer_norm_eps: float = param(1e-12, "added to the variance that a norm divides by", least=0)
    initializer_range: float = param(0.02, "deviation of the first weights", above=0)

    def shape(self) -> dict[str, Any]:
        """What `recli.training.transformer.Encoder` is built from.

        Raises:
            RecliError: heads that cannot share a row (exit 2).
        """
        if self.hidden_size % self.n_heads:
            message = f"n_heads={self.n_heads} cannot share hidden_size={self.hidden_size}"
            raise RecliError(Exit.USAGE, message, hint="the one must divide the other")
        own = {f.name for f in fields(Attending)} - {f.name for f in fields(NextItem)}
        return {name: getattr(self, name) for name in sorted(own)}


@dataclass(frozen=True, kw_only=True)
class Context(Trained):
    """A network of fields, `recli.training.context`: columns of the user, the item and the event, coded.

    Without labels every event is a click, and others are drawn that are none: the user, the occasion, another item.
    Its own hyper-parameters are what its module's ``build`` takes beside the fields.
    """

    takes: ClassVar[tuple[str, ...]] = ("training", "user", "item", "fields")

    embedding_size: int = param(10, "numbers in the row of a value", least=1)
    embedding_reg_weight: float = param(0.0, "L2 of the values' rows: half of it times their squares", least=0)
    train_neg_sample_num: int = param(1, "negatives of an event, where there are no labels", least=1)
    target: str = param("label", "what is told: a label's probability, or a rating", one_of=("label", "rating"))

    @property
    def history(self) -> int:
        """How many clicks before an event are read."""
        return 0

    @property
    def task(self) -> str:
        """What the scores are held to."""
        return "ctr" if self.target == "label" else "rating"

    def fit(self, data: "Interactions", run: "Run") -> "Contextual":
        """Steps on labelled events."""
        from recli.training.context import fit

        return fit(self, data, run)

    def shape(self) -> dict[str, Any]:
        """What ``build`` takes of the hyper-parameters: those that are of no `Context`."""
        own = {f.name for f in fields(type(self))} - {f.name for f in fields(Context)} | {"embedding_size"}
        return {name: getattr(self, name) for name in sorted(own)}


@dataclass(frozen=True, kw_only=True)
class Deep(Context):
    """One that has a perceptron, `recli.training.fields.Perceptron`."""

    mlp_hidden_size: tuple[int, ...] = param((128, 128, 128), "widths of the perceptron's layers", least=1)
    dropout_prob: float = param(0.2, "share of numbers that a layer does not get in a step", least=0, below=1)
    batch_norm: bool = param(False, "bring what a layer makes to the same mean and deviation")
