"""LightGBM: boosted trees on the fields."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from recli.errors import Exit, RecliError
from recli.fields import ROLES, Coded, Encoder
from recli.model import param
from recli.scorers import Fielded, shaped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recli.interactions import Interactions, Queries
    from recli.model import Run
    from recli.scorers import Floats, Ints

PAIRS = 1 << 17  # rows that are scored at a time


@dataclass(frozen=True, kw_only=True)
class Trees(Fielded):
    """The text of LightGBM's trees, in UTF-8, over the slots of all fields: a code, or the number that it counts."""

    text: NDArray[np.uint8] = shaped("bytes", dtype=np.uint8)

    @cached_property
    def _booster(self) -> Any:
        library = _library()
        try:
            booster = library.Booster(model_str=self.text.tobytes().decode())
            sound = booster.num_feature() == sum(self.encoder.slots)
        except (library.basic.LightGBMError, UnicodeDecodeError) as error:
            raise RecliError(Exit.DATA, f"holds no trees: {str(error).splitlines()[0]}") from error
        if not sound:
            raise RecliError(Exit.DATA, "is no scorer: the trees are not those of its fields")
        return booster

    def score(self, queries: Queries) -> Floats:
        """Every item for a few users at a time."""
        together, scores = max(1, PAIRS // max(1, self.n_items)), np.empty((len(queries), self.n_items), np.float32)
        items = np.arange(self.n_items, dtype=np.int32)
        for start in range(0, len(queries), together):
            some = queries[start : start + together]
            rows = some.take(np.repeat(np.arange(len(some)), self.n_items))
            pairs = self.score_pairs(rows, np.tile(items, len(some)))
            scores[start : start + together] = pairs.reshape(len(some), self.n_items)
        return scores

    def score_pairs(self, queries: Queries, items: Ints) -> Floats:
        """So many pairs at a time."""
        scores = np.empty(len(queries), np.float32)
        for start in range(0, len(scores), PAIRS):
            block = slice(start, start + PAIRS)
            columns = numbers(self.parts(queries[block], items[block]), self.encoder)
            scores[block] = self._booster.predict(columns, num_threads=1)
        return scores


@dataclass(frozen=True, kw_only=True)
class LightGBM:
    """Trees, each fitted to what those before it leave, over fields as numbers: a token's is its place among its like.

    Ke et al. 2017, "LightGBM: a highly efficient gradient boosting decision tree" (NIPS), by the authors' library, with
    RecBole's parameters. With ``categorical`` tokens are told apart as such, not by ranges of their places.

    On MovieLens-100K's labels it stays below `lr`: a split takes a range of users or items, whose places say nothing.
    With ``categorical`` it is above on the valid part (AUC .777, `lr` .775), where its probabilities are worse.
    """

    takes: ClassVar = ("user", "item", "fields")
    history: ClassVar = 0

    boosting: str = param("gbdt", "how trees are added", one_of=("gbdt", "rf", "dart"))
    num_leaves: int = param(90, "leaves of a tree, at most", least=2)
    min_data_in_leaf: int = param(30, "events in a leaf", least=1)
    max_depth: int = param(-1, "how deep a tree is, at most; -1: as it comes")
    learning_rate: float = param(0.1, "what a tree counts", above=0)
    lambda_l1: float = param(0.1, "L1 of the leaves", least=0)
    lgb_num_boost_round: int = param(300, "trees", least=1)
    categorical: bool = param(False, "take tokens as categories")
    target: str = param("label", "what is told: a label's probability, or a rating", one_of=("label", "rating"))

    @property
    def task(self) -> str:
        """What the scores are held to."""
        return "ctr" if self.target == "label" else "rating"

    def fit(self, data: Interactions, run: Run) -> Trees:
        """The library's trees."""
        library = _library()
        wanted = data.label if self.target == "label" else data.rating
        if wanted is None:
            hint = "recli split --threshold rating=4 makes labels of ratings; -p target=rating tells ratings"
            raise RecliError(Exit.DATA, f"the table has no {self.target} to learn", hint=hint)
        encoder, coded = data.encoded()
        rows: dict[str, NDArray[Any]] = {
            "user": np.repeat(np.arange(data.n_users), np.diff(data.indptr)),
            "item": data.item,
        }
        columns = numbers([coded[role].take(rows.get(role)) for role in ROLES], encoder)
        tokens = [slot for slot, how in enumerate(np.repeat([one.how for one in encoder.fields], encoder.slots))
                  if self.categorical and how in ("id", "token")]  # fmt: skip
        own = ("boosting", "num_leaves", "min_data_in_leaf", "max_depth", "learning_rate", "lambda_l1")
        params = {name: getattr(self, name) for name in own} | {
            "objective": "binary" if self.target == "label" else "regression",
            "seed": run.seed % (1 << 31),
            "num_threads": run.threads,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        given = library.Dataset(columns, wanted, categorical_feature=tokens, params=params, free_raw_data=True)

        def told(environment: Any) -> None:
            run.progress(environment.iteration + 1, self.lgb_num_boost_round, "trees")

        booster = library.train(params, given, self.lgb_num_boost_round, callbacks=[told])
        # What stands behind the trees is how they were made, and on how many threads.
        text = booster.model_to_string().partition("\nparameters:")[0] + "\n"
        learned, rest = encoder.pack()
        return Trees(
            text=np.frombuffer(text.encode(), np.uint8),
            fields=rest,
            learned=learned,
            user=coded["user"].arrays(),
            item=coded["item"].arrays(),
            n_users=data.n_users,
            n_items=data.n_items,
        )


def numbers(parts: list[Coded], encoder: Encoder) -> NDArray[np.float64]:
    """A column for each slot: the code, or of a number what it counts; of what a sequence has not, -1."""
    columns = []
    for role, part in zip(ROLES, parts, strict=True):
        own = encoder.of(role)
        numeric, values = np.repeat([one.how == "number" for one in own], [one.slots for one in own]), part.values
        columns.append(part.codes.astype(np.float64))
        if values is not None:
            columns[-1] = np.where(numeric, values, np.where(values == 0, -1, part.codes))
    return np.concatenate(columns, 1)


def _library() -> Any:
    """LightGBM's own library.

    Raises:
        RecliError: it is not there (exit 2).
    """
    try:
        import lightgbm
    except ImportError as error:
        raise RecliError(Exit.USAGE, "lightgbm needs its library", hint="pip install 'recli[lightgbm]'") from error
    return lightgbm
