"""recli train."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recli.cli import options as opt
from recli.cli.console import Console
from recli.cli.logs import Logs
from recli.errors import Exit, RecliError

if TYPE_CHECKING:
    from recli.pipeline.events import Source

EXAMPLE = "Example: recli train ml-100k.split.parquet --model ease -p reg_weight=500"
DEVICES = ("auto", "cpu", "cuda", "mps")
FIT_ON = {"train": ("train",), "train,valid": ("train", "valid"), "all": ("train", "valid", "test")}


@opt.takes(opt.making, opt.source)
def command(
    console: Console,
    making: opt.Making,
    source: "Source",
    model: Annotated[
        str, typer.Option("--model", metavar="M", help="A model (recli models lists them), or FILE.py:CLASS.")
    ],
    inputs: opt.Inputs = None,
    param: Annotated[
        list[str] | None, typer.Option("-p", "--param", metavar="KEY=VALUE", help="A hyper-parameter; may be repeated.")
    ] = None,
    fit_on: Annotated[str, typer.Option("--fit-on", metavar="|".join(FIT_ON), help="The parts to fit on.")] = "train",
    weight: Annotated[
        str | None,
        typer.Option("--weight", metavar="COL|VALUE=X,...", help="What an event weighs: a column, or worth of values."),
    ] = None,
    half_life: Annotated[
        str | None, typer.Option("--half-life", metavar="30d", help="An event weighs half, so long before the newest.")
    ] = None,
    init: Annotated[
        list[Path] | None,
        typer.Option("--init", metavar="OLD.npz", help="Start from an older model; neumf: from a gmf and an mlp."),
    ] = None,
    user_table: Annotated[
        Path | None, typer.Option("--user-table", metavar="FILE", help="The users' table, if not the split's.")
    ] = None,
    item_table: Annotated[
        Path | None, typer.Option("--item-table", metavar="FILE", help="The items' table, if not the split's.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option("--columns", metavar="COL,…", help="Fields are made of these; default: all that hold tokens."),
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="COL=HOW", help="token[:N], number, bucket:N, quantile:N, log, first:N."),
    ] = None,
    numerical: Annotated[
        str | None, typer.Option("--numerical", metavar="COL,…|all", help="Numbers that are fields, as they are.")
    ] = None,
    normalize: Annotated[
        str | None, typer.Option("--normalize", metavar="COL,…|all", help="Numbers that are brought to 0 … 1.")
    ] = None,
    min_count: Annotated[
        int, typer.Option("--min-count", metavar="N", min=1, help="Tokens in fewer train rows count as unknown.")
    ] = 1,
    stream: Annotated[
        bool, typer.Option("--stream", help="A Parquet file larger than memory: fields only, group of rows by group.")
    ] = False,
    seed: opt.Seed = 2020,
    device: Annotated[
        str | None, typer.Option("--device", metavar="|".join(DEVICES), help="Networks: where to train; default: auto.")
    ] = None,
    valid_metric: Annotated[
        str | None,
        typer.Option(
            "--valid-metric", metavar="M@K,…|none", help="Networks: stop by the first; default: ndcg@10, or auc."
        ),
    ] = None,
    allow_seen: Annotated[
        bool, typer.Option("--allow-seen", help="Networks: validate lists that may hold what users have already.")
    ] = False,
    patience: Annotated[
        int | None,
        typer.Option("--patience", metavar="N", min=1, help="Stop after so many values no better; default: 10."),
    ] = None,
    eval_every: Annotated[
        int | None, typer.Option("--eval-every", metavar="N", min=1, help="Epochs between values; default: 1.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", metavar="FILE.npz", help="Keep the state of the training there.")
    ] = None,
    checkpoint_every: Annotated[
        int | None, typer.Option("--checkpoint-every", metavar="N", min=1, help="Epochs between them; default: 1.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint, if it is there.")] = False,
    time_budget: Annotated[
        str | None, typer.Option("--time-budget", metavar="30m", help="Stop training after so long (s, m, h, d).")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option("--tensorboard", metavar="DIR", help="Networks: log every epoch for TensorBoard.")
    ] = None,
    embedding_projector: Annotated[
        bool, typer.Option("--embedding-projector", help="And the items' vectors, once the model is there.")
    ] = False,
    log: Annotated[
        str | None, typer.Option("--log", metavar="FILE.jsonl", help="Networks: log every epoch as a line of JSON.")
    ] = None,
) -> None:
    """Fit one model on the train part of a split, or on a whole table.

    recli models NAME lists the parameters that -p sets. --weight COL takes a column of numbers, --weight
    COL:view=1,buy=5 words, each for so much; without COL: the one column that has them. An event's weight is what the
    model counts it for; those of a user and an item add up. What recommend --history gives weighs by the same column
    where it has it, else 1, and is not aged.

    Models of clicks and their like take fields: users, items, and the columns of their tables and of the events. A
    token becomes a field of its own accord, a number where --field, --numerical or --columns names it: --field
    age=bucket:10 has ten ranges of equal width, quantile:10 of equally many rows, log those of logarithms, token:5
    what stands in 5 train rows, first:5 the first parts of a sequence. What train never saw counts as unknown.

    With --stream the events stay on disk: a million rows are in memory at a time, and shuffled together; there is no
    validation, and all epochs are run.

    Networks are validated on the valid part, and the best epoch by the first --valid-metric is kept; other metrics are
    only logged. With --checkpoint, SIGINT and SIGTERM end the training once its state is written, and SIGUSR1 has it
    written.
    """
    from recli.models import catalog

    catalog.find(model)
    opt.choice("--fit-on", fit_on, tuple(FIT_ON))
    if device is not None:
        opt.choice("--device", device, DEVICES)
    paths = opt.inputs_of(console, inputs, making.path)
    opt.names_each("--log", log, len(paths))
    opt.names_each("--checkpoint", None if checkpoint is None else str(checkpoint), len(paths))
    from dataclasses import replace

    from recli.coding import coding_of
    from recli.model import Run, parse
    from recli.pipeline.train import train
    from recli.pipeline.training import Training
    from recli.pipeline.weighing import Weighing, seconds

    tables = {"user": user_table, "item": item_table}
    source = replace(source, companions={role: file for role, file in tables.items() if file is not None})
    weighing = Weighing.parse(weight, half_life)
    run = Run(seed=seed, threads=opt.thread_count(), progress=console.progress)
    training = Training(
        device=device,
        valid_metric=valid_metric,
        patience=patience,
        eval_every=eval_every,
        time_budget=None if time_budget is None else seconds("--time-budget", time_budget),
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        resume=resume or None,
        allow_seen=allow_seen or None,
    )
    given, out = parse(param or ()), making.output(console)
    how: dict[str, Any] = {"fit_on": FIT_ON[fit_on], "weighing": weighing, "init": init or (), "training": training}
    how["coding"] = coding_of(columns, field or (), numerical, normalize, min_count)
    logs = Logs.of(model, given, seed, tensorboard, log, embedding_projector)

    def one(path: Path) -> Path:
        kept = logs.of_input(path)
        if stream:
            from recli.pipeline.stream import train_stream

            asked = [*training.given(), *(["--weight"] if weight or half_life else []), *(["--init"] if init else [])]
            if asked or fit_on != "train":
                message = f"--stream knows no {', '.join(asked) or '--fit-on'}"
                raise RecliError(Exit.USAGE, message, hint="it runs all epochs on all rows of the file")

            told = run if kept is None else replace(run, log=kept)
            return train_stream(path, source, model, given, told, out, how["coding"])
        made = train(path, source, model, given, run if kept is None else replace(run, log=kept), out, **how)
        if embedding_projector:
            logs.project(made, path, console.note)
        return made

    opt.map_over(paths, making, one)
