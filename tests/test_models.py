"""Every model of the catalog against every check, and the catalog itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from recli.errors import Exit, RecliError
from recli.model import Run
from recli.models import catalog
from recli.models.catalog import CATALOG
from tests.checks import CHECKS, Check, checkerboard, withheld_first

EXCUSED = {
    ("pop", "beats_popularity"): "it is popularity",
    ("recentpop", "beats_popularity"): "it is popularity, and the board has no time",
    ("decaypop", "beats_popularity"): "it is popularity, and the board has no time",
    ("random", "beats_popularity"): "chance knows nothing",
    ("itemfeatures", "beats_popularity"): "the board has no table of items",
    ("baseline", "beats_popularity"): "it predicts ratings, and the board has none",
    ("funksvd", "beats_popularity"): "it predicts ratings, and the board has none",
    ("biasedsvd", "beats_popularity"): "it predicts ratings, and the board has none",
    ("svdpp", "beats_popularity"): "it predicts ratings, and the board has none",
    ("timesvd++", "beats_popularity"): "it predicts ratings, and the board has none",
    ("nmf-rating", "beats_popularity"): "it predicts ratings, and the board has none",
    ("als-rating", "beats_popularity"): "it predicts ratings, and the board has none",
    ("coclustering", "beats_popularity"): "it predicts ratings, and the board has none",
    ("normal", "beats_popularity"): "it predicts ratings, and the board has none",
    ("knn-basic", "beats_popularity"): "it predicts ratings, and the board has none",
    ("knn-basic", "fits_the_tiny_set"): "it cannot say anything where no rater of the item is similar",
    ("knn-basic", "batch_equals_one_by_one"): "it cannot say anything where no rater of the item is similar",
    ("knn-basic", "pairs_are_scored_alike"): "it cannot say anything where no rater of the item is similar",
    ("knn-means", "beats_popularity"): "it predicts ratings, and the board has none",
    ("knn-zscore", "beats_popularity"): "it predicts ratings, and the board has none",
    ("knn-baseline", "beats_popularity"): "it predicts ratings, and the board has none",
    ("slopeone", "beats_popularity"): "it predicts ratings, and the board has none",
    ("rbm-rating", "beats_popularity"): "it predicts ratings, and the board has none",
    ("lr", "beats_popularity"): "its score is a sum of the user's part and the item's: one order for everybody",
    ("libfm", "beats_popularity"): "it learns from labels, and the board has none",
    ("lightgbm", "beats_popularity"): "it learns from labels, and the board has none",
    ("bert4rec", "beats_popularity"): "in 40 short histories it stays near chance, even for thousands of steps",
    ("autorec", "beats_popularity"): "it predicts ratings, and the board has none",
}


@pytest.mark.parametrize("name", CATALOG)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check: Check, name: str, tmp_path: Path) -> None:
    if reason := EXCUSED.get((name, check.__name__)):
        pytest.skip(reason)
    check(name, tmp_path)


def test_excuses_are_for_what_there_is() -> None:
    assert EXCUSED.keys() <= {(name, check.__name__) for name in CATALOG for check in CHECKS}


@pytest.mark.parametrize(
    "name", ["itemknn", "asymknn", "userknn", "sar", "rules", "ease", "als", "bpr", "warp", "logmf", "nmf", "lightfm"]
)
def test_the_board_is_understood(name: str) -> None:
    assert withheld_first(catalog.resolve(name).cls().fit(checkerboard(), Run())) == 1.0


def test_names_ignore_case() -> None:
    assert catalog.find("EASE") is CATALOG["ease"]
    assert catalog.resolve("ItemKNN").name == "itemknn"


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(RecliError, match="no model 'eaes'") as caught:
        catalog.find("eaes")
    assert caught.value.code == Exit.USAGE
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("did you mean ease?")


def test_listing_imports_nothing_heavy() -> None:
    line = "import sys, recli.models.catalog as c; c.find('als'); print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "scipy", "numba", "polars", "pyarrow", "torch"} & set(loaded)


def test_models_import_no_torch_and_kernels_only_when_they_fit() -> None:
    line = "import sys; from recli.models import catalog as c; [c.resolve(n) for n in c.CATALOG]; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numba", "torch"} & set(loaded)


OUTSIDE = '''
from dataclasses import dataclass
from recli.model import param
from recli.models.baseline.pop import Pop


@dataclass(frozen=True, kw_only=True)
class Mine(Pop):
    """A model from outside."""

    strength: float = param(1.0, "of what")
'''


def test_a_model_from_outside(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OUTSIDE)
    chosen = catalog.resolve(f"{file}:Mine")
    assert (chosen.name, chosen.source, chosen.task) == ("mine", file, "ranking")
    assert chosen.cls(strength=2.0).fit(checkerboard(), Run()).item.sum() == checkerboard().popularity.sum()


@pytest.mark.parametrize(
    ("text", "word", "message"),
    [
        (None, "Mine", "no such file"),
        (OUTSIDE, "Mime", "there is no model 'Mime'"),
        (OUTSIDE, "param", "there is no model 'param'"),
        ("import nowhere_at_all", "Mine", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("x = (", "Mine", "SyntaxError"),
    ],
)
def test_what_is_no_model_from_outside(text: str | None, word: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(RecliError, match=message) as caught:
        catalog.resolve(f"{file}:{word}")
    assert caught.value.code == Exit.USAGE
    assert caught.value.where == str(file)
