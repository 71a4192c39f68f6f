"""The state of a training to arrays and back: the network, the optimizers, chance, early stopping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from recli.training.session import random_state, set_random_state

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]


@dataclass
class State:
    """How far a training is: ``step`` batches into the epoch ``epoch``, both counted from 0.

    The first ``step`` of the ``losses`` are the epoch's: one tensor, as a small one for each step, kept until the end,
    would leave holes in memory. ``began`` is the state of chance before the epoch's first batch was drawn.
    ``best`` is the best validation value, of the epoch ``best_epoch`` counted from 1, with the network's numbers then;
    ``misses`` counts the values since, ``failures`` all that were no improvement.
    """

    network: nn.Module
    optimizers: Sequence[torch.optim.Optimizer]
    device: torch.device
    epoch: int = 0
    step: int = 0
    best: float | None = None
    best_epoch: int = 0
    misses: int = 0
    failures: int = 0
    losses: Tensor = field(default_factory=lambda: torch.zeros(0))
    began: dict[str, Tensor] = field(default_factory=dict)
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    def take(self, loss: Tensor) -> None:
        """Count a step that had this loss. A GPU is not asked for it, and not kept waiting."""
        if self.step == len(self.losses):
            self.losses = torch.cat(
                [self.losses.to(self.device), torch.zeros(max(self.step, 1024), device=self.device)]
            )
        self.losses[self.step] = loss
        self.step += 1

    def pack(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """The state as arrays by name, and as what JSON can hold."""
        groups = {
            "network": self.network.state_dict(),
            "best": self.best_weights,
            "random": random_state(self.device),
            "began": self.began,
        }
        arrays = {f"{group}.{name}": _array(value) for group, own in groups.items() for name, value in own.items()}
        for number, optimizer in enumerate(self.optimizers):
            for place, values in optimizer.state_dict()["state"].items():
                arrays |= {f"optimizer.{number}.{place}.{name}": _array(value) for name, value in values.items()}
        arrays["losses"] = _array(self.losses[: self.step].clone())
        names = ("epoch", "step", "best", "best_epoch", "misses", "failures")
        return arrays, {name: getattr(self, name) for name in names}

    def unpack(self, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        """Take the state that `pack` gave, for the same network and optimizers."""
        for name, value in meta.items():
            setattr(self, name, value)
        self.network.load_state_dict(self._group("network", arrays))
        self.best_weights = self._group("best", arrays)
        self.began = {name: tensor.cpu() for name, tensor in self._group("began", arrays).items()}
        set_random_state({name: tensor.cpu() for name, tensor in self._group("random", arrays).items()})
        self.losses = torch.from_numpy(np.array(arrays["losses"])).to(self.device)
        for number, optimizer in enumerate(self.optimizers):
            state: dict[int, dict[str, Any]] = {}
            for name, array in _within(f"optimizer.{number}", arrays).items():
                place, _, key = name.partition(".")
                state.setdefault(int(place), {})[key] = _number_or_tensor(array)
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})

    def _group(self, name: str, arrays: Arrays) -> dict[str, Tensor]:
        return {key: torch.from_numpy(np.array(a)).to(self.device) for key, a in _within(name, arrays).items()}


def _within(group: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The arrays of a group, by what is left of their names."""
    return {name.removeprefix(f"{group}."): a for name, a in arrays.items() if name.startswith(f"{group}.")}


def _array(value: Any) -> NDArray[Any]:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def _number_or_tensor(array: NDArray[Any]) -> Any:
    """sparse_adam counts its steps in a whole number, the others in a tensor."""
    return int(array) if array.ndim == 0 and array.dtype.kind == "i" else torch.from_numpy(np.array(array))
