"""Folds of one split: what a file of a fold says of itself, whether files are folds of one split, and their mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final

from recli.artifact import Header, find
from recli.errors import Exit, RecliError

# Parameters that may differ from fold to fold: its number, how fast it was fitted, and what was found in it.
_APART: Final = ("fold", "threads", "device", "fallbacks")


@dataclass(frozen=True, kw_only=True)
class Fold:
    """The number of a fold, from 1, and every step behind a file of it: what the other folds have in common with it.

    It stands in the header of all that is made from a fold, so that no other file is needed to tell.
    """

    number: int
    made: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def of(cls, header: Header) -> "Fold | None":
        """What a header says; None where the file is of no fold."""
        told = header.more.get("fold")
        return None if told is None else cls(number=int(told["number"]), made=told["made"])

    def then(self, command: str, params: Mapping[str, Any], others: Mapping[str, str]) -> "Fold":
        """The same after one more step; ``others`` are the digests, by role, of the files that all folds share."""
        shared = {name: value for name, value in params.items() if name not in _APART}
        return Fold(number=self.number, made=[*self.made, {"command": command, **shared, **others}])

    def document(self) -> dict[str, Any]:
        """As a header holds it."""
        return {"number": self.number, "made": list(self.made)}

    def apart(self, other: "Fold") -> str | None:
        """In what another file differs from this beside its fold; None where it does not."""
        commands = [[step["command"] for step in one.made] for one in (other, self)]
        if commands[0] != commands[1]:
            return "was made by {}, and not by {}".format(*(", ".join(names) for names in commands))
        for ours, theirs in zip(self.made, other.made, strict=True):
            for name in {**ours, **theirs}:
                if ours.get(name) != theirs.get(name):
                    return f"{name} of {ours['command']} is {_shown(theirs.get(name))}, not {_shown(ours.get(name))}"
        return None


def fold_of(path: Path) -> Fold | None:
    """The fold that a file is of; None where it is of none.

    Raises:
        RecliError: it cannot be read (exit 4), or is damaged (exit 3).
    """
    artifact = None if str(path) == "-" or path.is_dir() else find(path)
    return None if artifact is None else Fold.of(artifact.header)


def numbers(paths: Sequence[Path]) -> list[int]:
    """The number of the fold that each file is of: folds of one split, made in one way.

    Raises:
        RecliError: one is of no fold, differs in more than its fold from the first, or is of a fold that was named
            before (exit 2).
    """
    hint = "several inputs are averaged over the folds of one split; recli compare holds results against each other"
    found: dict[int, Path] = {}
    first: Fold | None = None
    for path in paths:
        fold = fold_of(path)
        if fold is None:
            raise RecliError(Exit.USAGE, "is no fold of a split", where=path, hint=hint)
        first = first or fold
        apart = first.apart(fold)
        if apart is not None:
            raise RecliError(Exit.USAGE, f"is no fold of what {paths[0]} is: {apart}", where=path, hint=hint)
        if fold.number in found:
            message = f"is of fold {fold.number}, as {found[fold.number]} is"
            raise RecliError(Exit.USAGE, message, where=path, hint="name every fold once")
        found[fold.number] = path
    return list(found)


def averaged(documents: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """The metrics of the folds, by number, as those of one result.

    A value is the mean over the folds, undefined where one is; ``deviation`` is their sample standard deviation. What
    the folds do not agree in stands under ``folds``, by number, with the value of each.
    """
    by_number = {str(number): document for number, document in sorted(documents.items())}
    first = next(iter(by_number.values()))
    metrics = {name: _mean({n: one["metrics"][name] for n, one in by_number.items()}) for name in first["metrics"]}
    leaks = [f"fold {number}: {leak}" for number, one in by_number.items() for leak in one.get("leaks", ())]
    return {
        "truth": {number: one.get("truth") for number, one in by_number.items()},
        "metrics": metrics,
        "leaks": leaks,
    }


def _mean(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    first, *others = entries.values()
    agreed = {name: value for name, value in first.items() if all(one.get(name) == value for one in others)}
    agreed.pop("value", None)
    values = [one["value"] for one in entries.values()]
    known = None not in values
    folds = {number: {k: v for k, v in one.items() if k not in agreed} for number, one in entries.items()}
    return {
        "value": fmean(values) if known else None,
        "deviation": stdev(values) if known else None,
        **agreed,
        "folds": folds,
    }


def _shown(value: Any) -> str:
    return "not set" if value is None else str(value)
