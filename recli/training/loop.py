"""The training loop: epochs, steps, early stopping, checkpoints. There is one."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from recli.errors import Exit, Interrupted, RecliError
from recli.training.checkpoint import State
from recli.training.optimizers import move, optimizers, rate
from recli.training.session import random_state, set_random_state

if TYPE_CHECKING:
    from recli.model import Run
    from recli.scorers import Scorer
    from recli.training.parameters import Trained

    Kind = TypeVar("Kind", bound=Scorer)


def train(
    how: Trained,
    run: Run,
    network: nn.Module,
    batches: Callable[[], Iterable[tuple[Any, ...]]],
    loss: Callable[..., Tensor],
    scorer: Callable[[], Kind],
) -> Kind:
    """Train a network in place, and make its scorer.

    ``batches()`` is an epoch; ``loss(*batch)`` is a number to be made smaller; ``scorer()`` is what the network is at
    the moment. With ``run.validate`` the numbers are in the end those of the best epoch, else those of the last.

    Raises:
        RecliError: the loss, or a number of the network, became infinite or NaN (exit 6).
        Interrupted: a signal came, and the checkpoint is written.
    """
    state = _begin(how, run, network)
    begun, first, over = time.perf_counter(), state.epoch, False
    with _listening(run) as asked:
        while state.epoch < how.epochs and state.misses < run.patience and not over:
            speed = _set_rate(how, state)
            network.train()
            for batch in _rest(state, batches):
                state.take(_step(how, state, loss, batch))
                over = time.perf_counter() - begun > (run.time_budget or inf)
                if asked or over:
                    _save(run, state, asked)
                if over:
                    break
            values = {"loss": _mean_loss(state, speed), "learning_rate": speed}
            state.epoch, state.step = state.epoch + 1, 0
            if run.validate and (state.epoch % run.eval_every == 0 or state.epoch == how.epochs or over):
                network.eval()
                values["valid"] = run.validate(scorer())
                _judge(state, values["valid"])
            run.log(state.epoch, values)
            run.progress(state.epoch, how.epochs, _line(values, state, begun, how.epochs, first))
            ends = state.epoch == how.epochs or state.misses >= run.patience
            if asked or (run.checkpoint and (ends or state.epoch % run.checkpoint.every == 0) and not over):
                _save(run, state, asked)
    return _finish(run, state, scorer)


def _begin(how: Trained, run: Run, network: nn.Module) -> State:
    """The state to start from: a new one, or that of the checkpoint.

    Raises:
        RecliError: the learning rate goes by validation, and there is none (exit 2).
    """
    if how.scheduler == "plateau" and not run.validate:
        hint = "leave the valid part in, or take another scheduler"
        raise RecliError(Exit.USAGE, "scheduler=plateau goes by validation, and there is none", hint=hint)
    device = next(network.parameters()).device
    state = State(network=network, optimizers=optimizers(how, network), device=device)
    found = run.checkpoint.load() if run.checkpoint else None
    if found is not None:
        state.unpack(*found)
    return state


def _rest(state: State, batches: Callable[[], Iterable[tuple[Any, ...]]]) -> Iterator[tuple[Any, ...]]:
    """The batches of the epoch still to come; those before are drawn again, so that the others are the same."""
    here = random_state(state.device)
    if state.step:
        set_random_state(state.began)
    else:
        state.began = here
    epoch = iter(batches())
    for _ in islice(epoch, state.step):
        pass
    if state.step:
        set_random_state(here)
    return epoch


def _step(how: Trained, state: State, loss: Callable[..., Tensor], batch: tuple[Any, ...]) -> Tensor:
    """Move the network's numbers against the gradient; returns the loss."""
    for optimizer in state.optimizers:
        optimizer.zero_grad(set_to_none=True)
    with torch.autocast(state.device.type, torch.bfloat16, enabled=how.enable_amp):
        value = loss(*batch)
    value.backward()
    if how.clip_grad_norm:
        nn.utils.clip_grad_norm_(state.network.parameters(), how.clip_grad_norm)
    for optimizer in state.optimizers:
        move(optimizer)
    return value.detach()


def _set_rate(how: Trained, state: State) -> float:
    speed = rate(how, state.epoch, state.failures)
    for optimizer in state.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = speed
    return speed


def _mean_loss(state: State, speed: float) -> float:
    """The mean over the epoch's steps."""
    losses = state.losses[: state.step].cpu()
    for step, loss in enumerate(losses.tolist(), 1):
        if not isfinite(loss):
            raise RecliError(
                Exit.DIVERGED,
                f"the loss became {loss} in step {step} of epoch {state.epoch + 1}, at a learning rate of {speed:g}",
                hint="lower -p learning_rate, or limit the gradient: -p clip_grad_norm=1",
            )
    return float(losses.double().mean())


def _judge(state: State, value: float) -> None:
    """Keep the network's numbers if they are the best so far, else count a miss. A tie is no improvement."""
    if state.best is None or value > state.best:
        state.best, state.best_epoch, state.misses = value, state.epoch, 0
        state.best_weights = {name: tensor.detach().clone() for name, tensor in state.network.state_dict().items()}
    else:
        state.misses += 1
        state.failures += 1


def _line(values: dict[str, float], state: State, begun: float, epochs: int, first: int) -> str:
    best = "" if state.best is None else f", best {abs(state.best):.4f} in epoch {state.best_epoch}"
    left = (time.perf_counter() - begun) / (state.epoch - first) * (epochs - state.epoch)
    valid = f", valid {abs(values['valid']):.4f}" if "valid" in values else ""
    return (
        f"epochs, loss {values['loss']:.4f}{valid}{best}, rate {values['learning_rate']:g}, at most {left:.0f} s left"
    )


def _finish(run: Run, state: State, scorer: Callable[[], Kind]) -> Kind:
    """The scorer of the best epoch, or of the last."""
    if state.best_weights:
        state.network.load_state_dict(state.best_weights)
    state.network.eval()
    if not all(bool(tensor.isfinite().all()) for tensor in state.network.state_dict().values()):
        hint = "lower -p learning_rate, or limit the gradient: -p clip_grad_norm=1"
        raise RecliError(Exit.DIVERGED, f"the network's numbers became infinite in epoch {state.epoch}", hint=hint)
    done = {"epochs": state.epoch}
    run.finished(done if state.best is None else {**done, "best_epoch": state.best_epoch, "valid": state.best})
    return scorer()


@contextmanager
def _listening(run: Run) -> Iterator[list[int]]:
    """The signals that came, where there is a checkpoint to write; a second one to end the process ends it at once."""
    asked: list[int] = []
    if run.checkpoint is None or threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def heed(signum: int, frame: object) -> None:
        asked.append(signum)
        if signum != signal.SIGUSR1:
            signal.signal(signum, signal.SIG_DFL)

    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    before = {n: signal.signal(n, heed) for n in wanted if signal.getsignal(n) is not signal.SIG_IGN}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _save(run: Run, state: State, asked: list[int]) -> None:
    """Write the checkpoint, if there is one; then end, if a signal asked for that."""
    if run.checkpoint is None:
        return
    packed = state.pack()
    try:
        run.checkpoint.save(*packed)
    except Interrupted:  # in the midst of writing, which was undone
        run.checkpoint.save(*packed)
        raise
    ending = [number for number in asked if number != signal.SIGUSR1]
    asked.clear()
    if ending:
        raise Interrupted(ending[0])
