"""train: a split in, a model out."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recli.artifact import Artifact
from recli.coding import Coding
from recli.errors import Exit, RecliError
from recli.interactions import Interactions
from recli.model import Run, configure
from recli.models import catalog, store
from recli.pipeline.companions import companion
from recli.pipeline.events import Events, Source, open_events
from recli.pipeline.start import open_old, start_from
from recli.pipeline.step import Input, Output, Product, Step, perform
from recli.pipeline.training import CheckpointFile, Training, defaults_of, modules, prepared
from recli.pipeline.weighing import UNWEIGHED, Weighing, located
from recli.schema import KEYS, LABEL, PARTS

if TYPE_CHECKING:
    import polars as pl

    from recli.scorers import Scorer
    from recli.streamed import Streamed


def train(
    path: Path,
    source: Source,
    model_name: str,
    given: Mapping[str, Any],
    run: Run,
    output: Output,
    *,
    fit_on: Sequence[str] = ("train",),
    weighing: Weighing = UNWEIGHED,
    init: Sequence[Path] = (),
    training: Training = Training(),  # noqa: B008 -- frozen
    coding: Coding = Coding(),  # noqa: B008 -- frozen
) -> Path:
    """Fit one model on the named parts of a split, or on a plain table, from the older models ``init`` if any.

    Raises:
        RecliError: it takes no weights, cannot start from another, makes no fields that ``coding`` speaks of, or is no
            network and ``training`` asks (exit 2).
    """
    chosen = catalog.resolve(model_name)
    events = open_events(path, source).of_interactions()
    model = configure(chosen.cls, {**chosen.preset, **given})
    usual = configure(chosen.cls, chosen.preset)
    chosen = replace(chosen, task=_task(chosen, model, events))
    _check_takes(chosen, model, weighing, init, source.companions, training, coding)
    metrics: list[str] = []
    if is_network := "training" in getattr(chosen.cls, "takes", ()):
        run = replace(run, device=training.on_device())
        metrics = training.metrics(events, tuple(fit_on), chosen.task)
    tables = _tables(chosen, events)
    old = open_old(init, chosen)
    sources_read = [item for item in events.inputs if item.role == "source"]
    if len(sources_read) > 1:
        hint = "recli convert makes one table of them"
        raise RecliError(Exit.USAGE, "is several files, and a model is trained on one", where=path, hint=hint)
    params = {
        "on": "split" if events.is_split else "table",
        "model": chosen.name,
        "fit_on": list(fit_on),
        "seed": run.seed,
        "threads": run.threads,
        "device": run.device,
        **{f"p.{name}": value for name, value in asdict(model).items()},
        **events.source.params(),
        **weighing.params(),
        **coding.params(),
        **(training.params(metrics) if is_network else {}),
        **({"init": [one.digest for one in old]} if old else {}),
        **{f"{role}_table": tables[role].inputs[0].sha256 for role in source.companions},
    }
    defaults = {"on": "split", "fit_on": ["train"], "seed": Run.seed, **defaults_of(chosen.task)} | {
        f"p.{k}": v for k, v in asdict(usual).items()
    }

    def work() -> Product:
        return _fit(events, chosen, model, fit_on, weighing, old, tables, coding, trained)

    inputs = [item for item in events.inputs if item.role in ("split", "source")]
    inputs += [replace(table.inputs[0], role=role) for role, table in tables.items()]
    inputs += [Input(role="model", path=one.path, sha256=one.digest) for one in old]
    if chosen.source is not None:
        from recli.artifact import sha256_of

        inputs.append(Input(role="code", path=chosen.source, sha256=sha256_of(chosen.source)))
    kept = CheckpointFile.of(training, events, params, inputs, output)

    def trained(data: Interactions) -> tuple[Run, dict[str, Any]]:
        if not is_network:
            return run, {}
        return prepared(run, training, events, data, metrics, kept, output, (chosen.task, model))

    step = Step(
        command="train",
        kind="model",
        name=events.name,
        suffix=f".{chosen.name}.npz",
        params=params,
        defaults=defaults,
        unnamed=("model", "threads", "device", *events.source.params()),
        inputs=inputs,
        modules=["recli.pipeline.train", chosen.module, *modules(metrics)],
        fold=events.fold,
    )
    return perform(step, output, work)


def _task(chosen: catalog.Chosen, model: Any, events: Events) -> str:
    """What the scores are: without a label a model of clicks learns who took what, and ranks."""
    task = str(getattr(model, "task", chosen.task))
    types = events.table.types if events.artifact is None else events.artifact.header.more["types"]
    return "ranking" if task == "ctr" and LABEL not in types else task


def _check_takes(
    chosen: catalog.Chosen,
    model: Any,
    weighing: Weighing,
    init: Sequence[Path],
    tables: Mapping[str, Path],
    training: Training,
    coding: Coding,
) -> None:
    """Refuse what the model makes no use of (exit 2)."""
    options = training.given()
    asked: dict[str, tuple[str, Any]] = {
        "weights": ("takes no weights of events", weighing.params()),
        "start": ("cannot start from another", init),
        "fields": ("makes no fields of columns", coding.params()),
        "training": (f"is no network, and takes no {', '.join(options)}", options),
    }
    asked |= {role: (f"reads no table of {role}s", tables.get(role)) for role in KEYS}
    for what, (message, given) in asked.items():
        if given and what not in getattr(chosen.cls, "takes", ()):
            able = [name for name in catalog.CATALOG if what in getattr(catalog.resolve(name).cls, "takes", ())]
            raise RecliError(Exit.USAGE, f"{chosen.name} {message}", hint=f"those that do: {', '.join(able)}")
    if weighing.of_columns and getattr(model, "weight", None) == "rating":
        hint = "leave one of them out; --weight rating is the same as -p weight=rating"
        raise RecliError(Exit.USAGE, "--weight and -p weight=rating contradict each other", hint=hint)


def _tables(chosen: catalog.Chosen, events: Events) -> dict[str, Events]:
    """The companion tables that the model takes, of those that there are."""
    taken = [role for role in KEYS if role in getattr(chosen.cls, "takes", ())]
    found = {role: companion(role, events, events.source.companions.get(role)) for role in taken}
    return {role: table for role, table in found.items() if table is not None}


def _weighed(frame: "pl.DataFrame", weighing: Weighing, path: Path) -> "tuple[pl.DataFrame, dict[str, Any]]":
    """The events with their weights, and what the header says of them."""
    if not weighing.params():
        return frame, {}
    try:
        found = weighing.within(frame)
        return found.weigh(frame), {"weighing": found.params()}
    except RecliError as error:
        raise located(error, path) from error


def _fit(
    events: Events,
    chosen: catalog.Chosen,
    model: Any,
    fit_on: Sequence[str],
    weighing: Weighing,
    old: Sequence[Artifact],
    tables: Mapping[str, Events],
    coding: Coding,
    trained: Callable[[Interactions], tuple[Run, dict[str, Any]]],
) -> Product:
    frame = events.part(*fit_on)
    if frame.is_empty():
        parts = ", ".join(part for part in PARTS if part in fit_on)
        raise RecliError(Exit.DATA, f"there is no row to fit on in {parts}", where=events.path)
    frame, weighed = _weighed(frame, weighing, events.path)
    data = Interactions.of(frame, {role: table.table.frame for role, table in tables.items()}, coding)
    run, done = trained(data)
    run = replace(run, starts=[start_from(one, model, data.users, data.items) for one in old])
    started = time.perf_counter()
    scorer = model.fit(data, run)
    seconds = time.perf_counter() - started
    more = {**weighed, **({"training": done} if done else {})}
    if chosen.task == "rating" and data.rating is not None:
        rating = data.rating.astype(np.float64)
        more["rating"] = {"low": float(rating.min()), "mean": float(rating.mean()), "high": float(rating.max())}
    return product(scorer, data, chosen, fit_on, more, [*tables], seconds)


def product(
    scorer: "Scorer",
    data: "Interactions | Streamed",
    chosen: catalog.Chosen,
    fit_on: Sequence[str],
    more: Mapping[str, Any],
    tables: Sequence[str],
    seconds: float,
) -> Product:
    """A model that was fitted, its ids and its header."""
    arrays, meta = store.pack(scorer)
    payload = {
        **{f"scorer.{name}": array for name, array in arrays.items()},
        **dict(zip(("users.text", "users.offsets"), store.pack_ids(data.users), strict=True)),
        **dict(zip(("items.text", "items.offsets"), store.pack_ids(data.items), strict=True)),
    }
    facts = {
        "model": chosen.name,
        "task": chosen.task,
        "scorer": meta,
        "fit_on": list(fit_on),
        "users": data.n_users,
        "items": data.n_items,
        "interactions": len(data),
        **more,
        **({"context": list(scorer.context)} if hasattr(scorer, "context") else {}),
    }
    known = "".join(f", the table of {role}s" for role in tables)
    what = f"{chosen.name} on {len(data):,} interactions{known} ({data.n_users:,} users, {data.n_items:,} items)"
    trained = _trained(more.get("training", {}))
    return Product(payload=payload, more=facts, summary=f"{what}{trained}, fit {seconds:.2f} s")


PLAIN = ("epochs", "best_epoch")  # what a training says of itself beside its metrics


def _trained(done: Mapping[str, Any]) -> str:
    """What a network's training says of itself: its epochs, and the best of them."""
    best = [
        f", {name} {value:.4f} on valid in epoch {done['best_epoch']}"
        for name, value in done.items()
        if name not in PLAIN
    ]
    return f", {done['epochs']} epochs{''.join(best)}" if done else ""
