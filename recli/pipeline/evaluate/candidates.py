"""What is ranked for a user: everything, a sample, what a file says, or what was held out."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from recli.artifact import find, sha256_of
from recli.errors import Exit, RecliError
from recli.interactions import digest64, encode
from recli.pipeline.audience import Audience, keys
from recli.pipeline.events import Source, open_events
from recli.pipeline.step import Input
from recli.schema import ITEM, USER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]

_SAMPLED = re.compile(r"sampled:([0-9]+)(?::(uniform|popularity))?")
_NCF = re.compile(r"\(([^,]+),([^)]+)\)")


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Which items are ranked; ``suffix`` is what a metric over them is called by, so that no two kinds are mixed."""

    kind: Literal["all", "sampled", "file", "labeled"] = "all"
    n: int = 0
    popularity: bool = False
    path: Path | None = None
    seed: int = 2020

    @classmethod
    def parse(cls, text: str, seed: int) -> "Candidates":
        """As given to ``--candidates``: ``all``, ``labeled``, ``sampled:N``, ``sampled:N:popularity`` or a file.

        Raises:
            RecliError: it is none of these (exit 2).
        """
        if text in ("all", "labeled"):
            return cls(kind="all" if text == "all" else "labeled")
        if match := _SAMPLED.fullmatch(text):
            n = int(match[1])
            if n < 1:
                raise RecliError(
                    Exit.USAGE, "--candidates sampled:N takes one item or more", hint="such as sampled:100"
                )
            return cls(kind="sampled", n=n, popularity=match[2] == "popularity", seed=seed)
        if not Path(text).is_file():
            hint = "all, labeled, sampled:100, sampled:100:popularity, or a file that is there"
            raise RecliError(Exit.USAGE, f"--candidates cannot be {text!r}", hint=hint)
        return cls(kind="file", path=Path(text))

    @property
    def suffix(self) -> str:
        """``s100`` for a uniform sample of 100, ``p100`` for one by popularity, ``file``, ``labeled``, or nothing."""
        if self.kind == "sampled":
            return f"{'p' if self.popularity else 's'}{self.n}"
        return "" if self.kind == "all" else self.kind

    def facts(self, beside: str) -> dict[str, Any]:
        """What is said of it beside a value; ``beside`` is what the lists say of themselves."""
        if self.kind == "sampled":
            by = "by popularity" if self.popularity else "uniform"
            return {"candidates": f"{self.n} sampled {by}, seed {self.seed}, and the relevant ones"}
        if self.kind == "all":
            return {"candidates": beside}
        what = "the held-out items"
        for file in self.inputs():  # two files are not the same candidates
            what = f"the items of a file ({file.sha256[:12]}), and the relevant ones"
        return {"candidates": what, "seen": "allowed"}

    @property
    def masks(self) -> bool:
        """Whether what was seen may be left out: not where somebody said which items to rank."""
        return self.kind in ("all", "sampled")

    def inputs(self) -> list[Input]:
        """The file they stand in."""
        if self.path is None:
            return []
        artifact = find(self.path)
        digest = sha256_of(self.path) if artifact is None else artifact.digest
        return [Input(role="candidates", path=self.path, sha256=digest)]

    def params(self) -> dict[str, Any]:
        """What of it is part of a step's parameters."""
        chosen: dict[str, Any] = {} if self.kind == "all" else {"ranked": self.suffix}
        return chosen | ({"seed": self.seed} if self.kind == "sampled" else {})


@dataclass(frozen=True, kw_only=True)
class Draw:
    """The candidates of every row of an audience: those of its relevant rows, and those that are chosen.

    ``held_out`` are the rows to find again, ``relevant`` those of them that count, ``known`` every row there is of the
    users, so that a sampled item is one that the user never had, and ``train`` what popularity is taken from.
    """

    chosen: Candidates
    held_out: pl.DataFrame
    relevant: pl.DataFrame
    known: pl.DataFrame
    train: pl.DataFrame

    def __call__(self, audience: Audience, items: pl.Series) -> "tuple[Longs, Ints]":
        """(indptr (rows + 1,), items): the candidates as codes, ascending."""
        own = keys(audience.rows)
        wanted = self.held_out if self.chosen.kind == "labeled" else self.relevant
        pairs: list[tuple[Any, Any]] = [(encode(keys(wanted), own), encode(wanted[ITEM], items))]
        if self.chosen.kind == "sampled":
            pairs.append(self._sampled(audience, own, items))
        if self.chosen.path is not None:
            listed = read(self.chosen.path)
            self._check(listed, items, self.chosen.path)
            pairs.append(_of_file(listed, audience, items))
        return _distinct(pairs, len(audience), len(items))

    def _check(self, listed: pl.DataFrame, items: pl.Series, path: Path) -> None:
        """Refuse a file that leaves a user with the relevant items alone, which are then at the top whatever ranks."""
        if not listed[ITEM].is_in(items.implode()).any():
            hint = "the ids have to be those of the split"
            raise RecliError(Exit.DATA, "names no item that the model knows", where=path, hint=hint)
        users = self.relevant[USER].unique(maintain_order=True)
        missing = users.filter(~users.is_in(listed[USER].unique().implode()))
        if len(missing):
            message = f"names no candidates of {len(missing):,} of {len(users):,} users, such as {missing[0]}"
            raise RecliError(Exit.DATA, message, where=path, hint="--users measures only some")

    def _sampled(self, audience: Audience, own: pl.Series, items: pl.Series) -> "tuple[Longs, Ints]":
        from recli.kernels.candidates import sample

        indptr, excluded = _distinct([_of_file(self.known, audience, items)], len(audience), len(items))
        weight = None
        if self.chosen.popularity:
            pairs = self.train.select(USER, ITEM).unique()
            weight = np.bincount(encode(pairs[ITEM], items) + 1, minlength=len(items) + 1)[1:].astype(np.float64)
        n = min(self.chosen.n, len(items))
        drawn = sample(_digests(own), _digests(items), weight, indptr, excluded, n, self.chosen.seed)
        return np.nonzero(drawn >= 0)[0], drawn[drawn >= 0]


def read(path: Path) -> pl.DataFrame:
    """``user_id, item_id``: of NCF's negative lists, ``(user,item) TAB item TAB item …``, or of any table."""
    with path.open("rb") as file:
        ncf = file.read(1) == b"("
    if not ncf:
        return open_events(path, Source()).of_interactions().part("train", "valid", "test").select(USER, ITEM)
    users: list[str] = []
    items: list[str] = []
    with path.open("rb") as lines:
        for number, raw in enumerate(lines, 1):
            try:
                line = raw.decode()
            except UnicodeDecodeError as error:
                raise RecliError(Exit.DATA, "is not UTF-8 text", where=f"{path}:{number}") from error
            first, *others = line.rstrip("\r\n").split("\t")
            match = _NCF.fullmatch(first)
            if not match or not all(others):
                hint = "a line is (user,item), then items, all apart by tabs"
                raise RecliError(Exit.DATA, "is no list of candidates", where=f"{path}:{number}", hint=hint)
            users.extend([match[1].strip()] * (len(others) + 1))
            items.extend([match[2].strip(), *others])
    return pl.DataFrame({USER: users, ITEM: items}, schema={USER: pl.String, ITEM: pl.String})


def _of_file(rows: pl.DataFrame, audience: Audience, items: pl.Series) -> "tuple[Longs, Ints]":
    """The rows' items as pairs of (row of the audience, item): every query of a user gets all of the user's."""
    users = audience.rows[USER].unique(maintain_order=True)
    user, item = encode(rows[USER], users), encode(rows[ITEM], items)
    by_user = _distinct([(user, item)], len(users), len(items))
    owner = encode(audience.rows[USER], users)
    lengths = np.diff(by_user[0])[owner]
    ends = np.cumsum(lengths)
    places = np.arange(lengths.sum()) + np.repeat(by_user[0][owner] - (ends - lengths), lengths)
    return np.repeat(np.arange(len(owner)), lengths), by_user[1][places]


def _distinct(pairs: "list[tuple[Any, Any]]", n_rows: int, n_items: int) -> "tuple[Longs, Ints]":
    """Pairs of (row, item) as a CSR pair, each once; those with a -1 are left out."""
    row = np.concatenate([row for row, _ in pairs]).astype(np.int64)
    item = np.concatenate([item for _, item in pairs]).astype(np.int64)
    known = (row >= 0) & (item >= 0)
    flat = np.unique(row[known] * n_items + item[known])
    indptr = np.searchsorted(flat, np.arange(n_rows + 1, dtype=np.int64) * n_items)
    return indptr, (flat % max(n_items, 1)).astype(np.int32)


def _digests(ids: pl.Series) -> "NDArray[np.uint64]":
    return np.fromiter(map(digest64, ids), np.uint64, len(ids))
