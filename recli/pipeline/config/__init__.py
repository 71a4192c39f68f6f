"""A whole pipeline in a file: recli's own YAML, or RecBole's as it is."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from recli.errors import Exit, RecliError, nearest
from recli.pipeline.config import keys, ours, recbole
from recli.pipeline.config.document import Document, read
from recli.pipeline.config.plan import Plan as Plan
from recli.pipeline.config.recbole import assignments_of as assignments_of


def open_plan(files: Sequence[Path], given: Mapping[str, str], options: Mapping[str, Collection[str]]) -> Plan:
    """The pipeline that the files describe, a later one before an earlier, and what is ``given`` by hand before all.

    ``options`` are the names that each command takes, and those of ``data``.

    Raises:
        RecliError: the files are no configuration, or say what cannot be done (exit 2); a file, or the data set that
            they name, is not there (exit 4).
    """
    document = Document(values=dict(given))
    for file in reversed(files):
        document = document.over(read(file))
    if ours.is_ours(document):
        if given:
            hint = "RecBole's files take --model, --dataset and --key=value"
            raise RecliError(Exit.USAGE, f"--{next(iter(given))} is of RecBole's keys", hint=hint)
        return ours.plan(document, options)
    known = {*keys.HONOURED, *keys.IGNORED}
    if not any(name in known for name in document.values):
        name = next(iter(document.values), None)
        if name is None:
            raise RecliError(Exit.USAGE, "says nothing", where=files[0], hint=f"one of: {', '.join(ours.SECTIONS)}")
        hint = nearest(name, [*ours.SECTIONS, *known])
        if not hint.startswith("did you mean"):
            hint = f"recli's keys are {', '.join(ours.SECTIONS)}; RecBole's model, dataset and so on"
        raise RecliError(Exit.USAGE, f"there is no key {name!r}", where=document.where(name), hint=hint)
    return recbole.plan(document, options)
