"""The optimizers, and the learning rate of an epoch."""

from __future__ import annotations

from inspect import unwrap
from math import cos, pi
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from recli.errors import Exit, RecliError

if TYPE_CHECKING:
    from recli.training.parameters import Trained


def optimizers(how: Trained, network: nn.Module) -> list[torch.optim.Optimizer]:
    """What moves the network's parameters: one optimizer, with sparse_adam one for embeddings and one for the rest.

    Raises:
        RecliError: sparse_adam, and the network has no embedding whose rows are taken one by one, or its rows are to
            decay or the gradient is to be limited, which sparse_adam cannot (exit 2).
    """
    _spare_the_compiler()
    parameters = list(network.parameters())
    if how.learner != "sparse_adam":
        return [_optimizer(how, parameters)]
    for name in ("weight_decay", "clip_grad_norm"):
        if getattr(how, name):
            raise RecliError(Exit.USAGE, f"learner=sparse_adam has no {name}", hint="learner=adam has")
    tables = [module for module in network.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)]
    if not tables:
        raise RecliError(Exit.USAGE, "the network has no embedding for learner=sparse_adam", hint="learner=adam")
    for table in tables:
        table.sparse = True
    rows = [table.weight for table in tables]
    rest = [parameter for parameter in parameters if all(parameter is not row for row in rows)]
    made: list[torch.optim.Optimizer] = [torch.optim.SparseAdam(rows, lr=how.learning_rate)]
    return made + ([torch.optim.Adam(rest, lr=how.learning_rate)] if rest else [])


def move(optimizer: torch.optim.Optimizer) -> None:
    """Move the parameters against their gradients.

    By the optimizer's own step without what torch has put around it, which imports torch's compiler in order to leave
    it alone: over a second.
    """
    with torch.no_grad():
        unwrap(type(optimizer).step)(optimizer)


def _spare_the_compiler() -> None:
    """Likewise for the other methods: what is put around them looks there for what to call (`torch._compile`)."""
    for method in vars(torch.optim.Optimizer).values():
        plain = getattr(method, "__wrapped__", None)
        if plain is not None and not hasattr(plain, "__dynamo_disable"):
            setattr(plain, "__dynamo_disable", plain)  # not a name of this module's


def _optimizer(how: Trained, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    kinds = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": torch.optim.SGD,
        "adagrad": torch.optim.Adagrad,
        "rmsprop": torch.optim.RMSprop,
    }
    # One pass over the numbers instead of one for each operation; not every device and optimizer has it.
    fused = how.learner != "rmsprop" and parameters[0].device.type == "cpu"
    fused |= how.learner in ("adam", "adamw", "sgd") and parameters[0].device.type == "cuda"
    given: dict[str, Any] = {"fused": True} if fused else {}
    if how.learner in ("sgd", "rmsprop"):
        given["momentum"] = how.momentum
    made: torch.optim.Optimizer = kinds[how.learner](
        parameters, lr=how.learning_rate, weight_decay=how.weight_decay, **given
    )
    return made


def rate(how: Trained, epoch: int, failures: int = 0) -> float:
    """The learning rate of an epoch, counted from 0, after so many validations that were no improvement.

    After the warm-up, in which it rises in equal steps, it stays (constant), falls in equal steps or along half a
    cosine so that it would be 0 after the last epoch (linear, cosine; Loshchilov & Hutter 2017, eq. 5), or is
    multiplied by ``decay_rate`` every epoch (exponential), every ``decay_epochs`` (step) or at each failure (plateau).
    """
    if epoch < how.warmup_epochs:
        return how.learning_rate * (epoch + 1) / how.warmup_epochs
    past, rest = epoch - how.warmup_epochs, max(how.epochs - how.warmup_epochs, 1)
    factor = {
        "constant": 1.0,
        "linear": 1 - past / rest,
        "cosine": (1 + cos(pi * past / rest)) / 2,
        "exponential": how.decay_rate**past,
        "step": how.decay_rate ** (past // how.decay_epochs),
        "plateau": how.decay_rate**failures,
    }
    return how.learning_rate * factor[how.scheduler]
