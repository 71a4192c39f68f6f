"""What a configuration comes to: the commands of a pipeline, each with its options."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recli.pipeline.config.document import Document

Options = Mapping[str, Any]  # of a command, by the names of its parameters, such as user_col


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A pipeline: what is read, and the options of ``split``, ``train`` (of each model), ``recommend``, ``evaluate``.

    ``split`` is None where the data are a split already, ``recommend`` where no lists are written; ``data`` is None
    where the options of ``split`` name the parts. ``warnings`` are what the file says that is not done, and why.
    """

    data: Path | None
    split: Options | None = field(default_factory=dict)
    train: Sequence[Options] = ()
    recommend: Options | None = None
    evaluate: Options = field(default_factory=dict)
    document: Document = field(default_factory=Document)
    warnings: Sequence[str] = ()
    progress: bool = True

    def where(self, command: str, message: str) -> str | None:
        """``FILE:LINE`` of the key that a message of a command is about, else of the command's section."""
        own = [path for path in self.document.lines if path[0] == command] or list(self.document.lines)
        words = re.findall(r"[\w-]+", message.replace("--", " "))
        spelled = {word.replace("-", "_") for word in words}
        for path in sorted(own, key=len, reverse=True):
            if path[-1].replace("-", "_") in spelled and not path[-1].isdigit():
                return self.document.lines[path]
        return self.document.where(command)
