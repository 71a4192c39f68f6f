"""train: a split in, a model out."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from recli.errors import Exit, RecliError
from recli.interactions import Interactions
from recli.model import Run, configure
from recli.models import catalog, store
from recli.pipeline.events import Events, Source, open_events
from recli.pipeline.step import Input, Output, Product, Step, perform
from recli.schema import PARTS


def train(
    path: Path,
    source: Source,
    model_name: str,
    given: Mapping[str, Any],
    run: Run,
    output: Output,
    *,
    fit_on: Sequence[str] = ("train",),
) -> Path:
    """Fit one model on the named parts of a split, or on a plain table."""
    chosen = catalog.resolve(model_name)
    events = open_events(path, source).of_interactions()
    model = configure(chosen.cls, {**chosen.preset, **given})
    usual = configure(chosen.cls, chosen.preset)
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
    }
    defaults = {"on": "split", "fit_on": ["train"], "seed": Run.seed} | {f"p.{k}": v for k, v in asdict(usual).items()}

    def work() -> Product:
        return _fit(events, chosen, model, run, fit_on)

    inputs = [item for item in events.inputs if item.role in ("split", "source")]
    if chosen.source is not None:
        from recli.artifact import sha256_of

        inputs.append(Input(role="code", path=chosen.source, sha256=sha256_of(chosen.source)))
    step = Step(
        command="train",
        kind="model",
        name=events.name,
        suffix=f".{chosen.name}.npz",
        params=params,
        defaults=defaults,
        unnamed=("model", "threads", "device", *events.source.params()),
        inputs=inputs,
        modules=["recli.pipeline.train", chosen.module],
    )
    return perform(step, output, work)


def _fit(events: Events, chosen: catalog.Chosen, model: Any, run: Run, fit_on: Sequence[str]) -> Product:
    frame = events.part(*fit_on)
    if frame.is_empty():
        parts = ", ".join(part for part in PARTS if part in fit_on)
        raise RecliError(Exit.DATA, f"there is no row to fit on in {parts}", where=events.path)
    data = Interactions.of(frame)
    started = time.perf_counter()
    scorer = model.fit(data, run)
    seconds = time.perf_counter() - started
    arrays, meta = store.pack(scorer)
    payload = {
        **{f"scorer.{name}": array for name, array in arrays.items()},
        **dict(zip(("users.text", "users.offsets"), store.pack_ids(data.users), strict=True)),
        **dict(zip(("items.text", "items.offsets"), store.pack_ids(data.items), strict=True)),
    }
    more = {
        "model": chosen.name,
        "task": chosen.task,
        "scorer": meta,
        "fit_on": list(fit_on),
        "users": data.n_users,
        "items": data.n_items,
        "interactions": len(data),
    }
    if chosen.task == "rating" and data.rating is not None:
        rating = data.rating.astype(np.float64)
        more["rating"] = {"low": float(rating.min()), "mean": float(rating.mean()), "high": float(rating.max())}
    what = f"{chosen.name} on {len(data):,} interactions ({data.n_users:,} users, {data.n_items:,} items)"
    return Product(payload=payload, more=more, summary=f"{what}, fit {seconds:.2f} s")
