"""A training that was stopped anywhere and went on gives the very numbers of one that was not."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from recli.errors import Interrupted
from recli.model import Run, configure
from recli.models import catalog, store
from tests.checks import tiny


@dataclass
class Kept:
    """A checkpoint in memory; it may say, so many savings on, that a signal came."""

    every: int = 1
    state: tuple[dict[str, Any], dict[str, Any]] | None = None
    left: int = 10**9
    savings: list[tuple[int, int]] = field(default_factory=list)

    def load(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        return self.state

    def save(self, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        assert not any(array.dtype.hasobject for array in arrays.values())
        self.state = {name: array.copy() for name, array in arrays.items()}, json.loads(json.dumps(dict(meta)))
        self.savings.append((meta["epoch"], meta["step"]))
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def validate(scorer: Any) -> float:
    return float(scorer.score(tiny().queries())[0, :3].sum())


@pytest.mark.parametrize("learner", ["adam", "adamw", "sparse_adam", "adagrad", "rmsprop", "sgd"])
@pytest.mark.parametrize("stop", [1, 4, 6])
def test_going_on_equals_never_stopping(learner: str, stop: int) -> None:
    how = {"epochs": 7, "learner": learner, "scheduler": "cosine", "train_batch_size": 100, "dropout_prob": 0.3}
    how["momentum"] = 0.9 if stop < 6 else 0.0
    model = configure(catalog.resolve("neumf").cls, how)
    run = Run(validate=validate, patience=100)
    whole = store.pack(model.fit(tiny(), run))[0]
    kept = Kept(left=stop)
    with pytest.raises(KeyboardInterrupt):
        model.fit(tiny(), replace(run, checkpoint=kept))
    assert kept.savings[-1] == (stop, 0)
    rest = store.pack(model.fit(tiny(), replace(run, checkpoint=replace(kept, left=10**9))))[0]
    assert {name: array.tobytes() for name, array in rest.items()} == {n: a.tobytes() for n, a in whole.items()}


def test_with_more_patience_it_goes_on_from_where_it_had_lost_it() -> None:
    how = {"epochs": 7, "train_batch_size": 100, "scheduler": "plateau"}  # whose rate goes by all that got worse
    model = configure(catalog.resolve("neumf").cls, how)

    def worse_and_worse(scorer: Any) -> float:
        return -validate(scorer)

    whole = store.pack(model.fit(tiny(), Run(validate=worse_and_worse, patience=100)))[0]
    kept = Kept(every=100)
    model.fit(tiny(), Run(validate=worse_and_worse, patience=2, checkpoint=kept))
    assert [epoch for epoch, _ in kept.savings] != [7]  # the last epoch done is written, though every is 100
    rest = store.pack(model.fit(tiny(), Run(validate=worse_and_worse, patience=100, checkpoint=kept)))[0]
    assert [epoch for epoch, _ in kept.savings][-1] == 7
    assert {name: array.tobytes() for name, array in rest.items()} == {n: a.tobytes() for n, a in whole.items()}


@pytest.mark.parametrize("name", ["neumf", "multivae", "rbm", "lightgcn", "twotower"])
def test_a_signal_in_the_midst_of_an_epoch_is_heeded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import signal

    from recli.training import loop

    chosen = catalog.resolve(name)
    model = configure(chosen.cls, {"epochs": 3, "train_batch_size": 16})
    whole = store.pack(model.fit(tiny(), Run()))[0]
    steps, real = 0, loop._step

    def counted(*given: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*given)

    monkeypatch.setattr(loop, "_step", counted)
    kept = Kept()
    with pytest.raises(Interrupted) as caught:
        model.fit(tiny(), Run(checkpoint=kept))
    assert caught.value.signum == signal.SIGTERM
    assert kept.savings[-1][1] > 0
    rest = store.pack(model.fit(tiny(), Run(checkpoint=kept)))[0]
    assert {key: array.tobytes() for key, array in rest.items()} == {key: a.tobytes() for key, a in whole.items()}
