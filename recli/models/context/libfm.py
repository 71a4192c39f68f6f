"""LibFM: a factorisation machine by alternating least squares, or by stochastic gradient descent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recli.errors import Exit, RecliError
from recli.fields import ROLES, Coded
from recli.model import param
from recli.scorers import Fielded, shaped

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recli.interactions import Interactions, Queries
    from recli.kernels.fm import Machine, Sums
    from recli.model import Run
    from recli.scorers import Floats, Ints

LINKS = {"rating": "none", "als": "probit", "sgd": "logit"}  # what makes a score a probability, by how it was learned


@dataclass(frozen=True, kw_only=True)
class Factorised(Fielded):
    """A weight and a row for each row of the fields' table, and what is added to all; the ``link`` is of `LINKS`."""

    constant: float
    weight: Floats = shaped("features")
    rows: Floats = shaped("features width")
    link: str

    @cached_property
    def machine(self) -> Machine:
        """As the kernels take it, once it is certain that it is as long as the fields say."""
        from recli.kernels.fm import Machine

        if len(self.weight) != self.encoder.rows or self.link not in LINKS.values():
            raise RecliError(Exit.DATA, "is no scorer: the rows are not those of its fields")
        return Machine(np.array([self.constant], np.float32), self.weight, self.rows)

    @cached_property
    def _items(self) -> Sums:
        from recli.kernels import fm

        return fm.sums(design([self._coded("item")], len(self.weight)), self.machine)

    def score(self, queries: Queries) -> Floats:
        """A product of what the user and the occasion come to, and of what each item does."""
        from recli.kernels import fm

        machine, item = self.machine, fm.Sums(*(part[: self.n_items] for part in self._items))
        user, _, occasion = self.parts(queries, np.empty(0, np.int32))
        own = fm.sums(design([user, occasion], len(self.weight)), machine)
        level, more = (one.first + np.square(one.rows).sum(1) / 2 for one in (own, item))
        return self._linked(machine.bias + level[:, np.newaxis] + more + own.rows @ item.rows.T)

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """Case by case."""
        from recli.kernels import fm

        machine = self.machine
        return self._linked(fm.scores(design(self.parts(queries, items), len(self.weight)), machine))

    def _linked(self, scores: Floats) -> Floats:
        from scipy.special import expit

        from recli.kernels import fm

        return scores if self.link == "none" else expit(scores) if self.link == "logit" else fm.probability(scores)


@dataclass(frozen=True, kw_only=True)
class LibFM:
    """A weight for each value of each field, and a row, whose products with the others' are what pairs of values do.

    Rendle 2012, "Factorization machines with libFM" (ACM TIST 3:3): the model of `fm`, learned as LibFM does.

        als    each number in turn at its minimum: there is no learning rate. Clicks are a probit's (see
               `recli.kernels.fm`).
        sgd    a step for each event, in random order. Clicks are a logit's.

    The squared error, or for a label the loss of the link, is halved, and half of ``reg_weights``, of the constant, of
    the weights and of the rows, times their squares is added: by sgd in each step, so that it wants much smaller ones.
    Deviation: parts of a sequence are pairs too, as LibFM has it, which `fm` leaves out.
    """

    takes: ClassVar = ("user", "item", "fields")
    history: ClassVar = 0

    embedding_size: int = param(8, "numbers in the row of a value", least=1)
    epochs: int = param(20, "times that every event is taken", least=1)
    solver: str = param("als", "how it is learned", one_of=("als", "sgd"))
    learning_rate: float = param(0.01, "sgd: size of a step", above=0)
    reg_weights: tuple[float, ...] = param((0.0, 5.0, 10.0), "L2 of the constant, of the weights, of the rows", least=0)
    init_stdev: float = param(0.1, "deviation of the first rows", least=0)
    target: str = param("label", "what is told: a label's probability, or a rating", one_of=("label", "rating"))

    @property
    def task(self) -> str:
        """What the scores are held to."""
        return "ctr" if self.target == "label" else "rating"

    def fit(self, data: Interactions, run: Run) -> Factorised:
        """Sweeps, or epochs of steps, from rows of normal numbers; what no event has begins, and stays, at 0."""
        from recli.kernels import fm, threads

        if len(self.reg_weights) != 3:
            message = f"reg_weights are three, not {len(self.reg_weights)}"
            raise RecliError(Exit.USAGE, message, hint="of the constant, of the weights and of the rows: [0,5,10]")
        wanted, (encoder, coded) = _wanted(data, self.target), data.encoded()
        user = np.repeat(np.arange(data.n_users), np.diff(data.indptr))
        parts = [coded[role].take(rows) for role, rows in zip(ROLES, (user, data.item, None), strict=True)]
        x = design(parts, encoder.rows)
        rng, penalty, label = np.random.default_rng(run.seed), fm.Penalty(*self.reg_weights), self.target == "label"
        machine = fm.Machine.of(encoder.rows, self.embedding_size, rng, self.init_stdev)
        machine.rows[np.bincount(x.indices, minlength=encoder.rows) == 0] = 0
        machine.bias[0] = 0 if label else wanted.mean(dtype=np.float64)
        columns = fm.Columns.of(x)
        with threads(run.threads):
            for epoch in range(self.epochs):
                if self.solver == "als":
                    loss = fm.sweep(x, columns, wanted, machine, penalty, label=label)
                else:
                    order, rate = rng.permutation(len(wanted)), self.learning_rate
                    loss = fm.epoch(x, wanted, order, machine, penalty, rate=rate, label=label)
                if not np.isfinite(loss):
                    hint = f"lower learning_rate={self.learning_rate:g}" if self.solver == "sgd" else None
                    message = f"the rows became infinite or NaN in epoch {epoch}"
                    raise RecliError(Exit.DIVERGED, message, hint=hint)
                run.progress(epoch + 1, self.epochs, f"loss {loss:.4f}")
        learned, rest = encoder.pack()
        return Factorised(
            constant=float(machine.bias[0]),
            weight=machine.weight,
            rows=machine.rows,
            link=LINKS[self.solver if label else "rating"],
            fields=rest,
            learned=learned,
            user=coded["user"].arrays(),
            item=coded["item"].arrays(),
            n_users=data.n_users,
            n_items=data.n_items,
        )


def design(parts: list[Coded], features: int) -> csr_matrix:
    """Coded fields beside each other as the rows of a matrix, what stands twice in one added up."""
    from scipy.sparse import csr_matrix

    codes = np.concatenate([part.codes for part in parts], 1)
    values = np.concatenate(
        [np.ones(part.codes.shape, np.float32) if part.values is None else part.values for part in parts], 1
    )
    n, slots = codes.shape
    matrix = csr_matrix((values.ravel(), codes.ravel(), np.arange(n + 1) * slots), shape=(n, features))
    if any(part.values is not None for part in parts):
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    return matrix


def _wanted(data: Interactions, target: str) -> Floats:
    """The labels or ratings.

    Raises:
        RecliError: there are none, or one is missing, or no label (exit 3).
    """
    wanted = data.label if target == "label" else data.rating
    if wanted is None:
        hint = "recli split --threshold rating=4 makes labels of ratings; -p target=rating tells ratings"
        raise RecliError(Exit.DATA, f"the table has no {target} to learn", hint=hint)
    if not np.isfinite(wanted).all() or (target == "label" and not np.isin(wanted, (0, 1)).all()):
        what = "a label is neither 0 nor 1" if target == "label" else "a rating is missing, or infinite"
        raise RecliError(Exit.DATA, what, hint="-p target=rating tells any number" if target == "label" else None)
    return wanted
