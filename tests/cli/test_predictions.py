"""Evaluating predictions: recli's own, a rating model's, anybody's, against scikit-learn; and what is nonsense."""

import json
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from math import log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score, roc_auc_score

from recli.artifact import load
from recli.errors import Exit
from tests.cli.evaluating import entry, evaluate, fitted, held_out, lists, mean, parts, refused, values
from tests.cli.predicting import World, artifact, made, predicted
from tests.conftest import Runner


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return made(tmp_path_factory.mktemp("predictions"))


# Ours


def labels(frame: pl.DataFrame, least: int = 4) -> list[bool]:
    return (frame["rating"] >= least).to_list()


def gauc(users: Sequence[str], truth: Sequence[bool], scores: Sequence[float]) -> float:
    """The users' AUC, weighted by their positives; who has not both labels does not count."""
    own: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    for user, label, score in zip(users, truth, scores, strict=True):
        own[user].append((label, score))
    both = [list(zip(*rows, strict=True)) for rows in own.values() if len({label for label, _ in rows}) == 2]
    return float(sum(sum(own) * roc_auc_score(own, of) for own, of in both) / sum(sum(own) for own, _ in both))


def errors(frame: pl.DataFrame) -> dict[str, Any]:
    truth, scores = frame["rating"].to_numpy(), frame["score"].to_numpy().astype(np.float64)
    found = {
        "rmse": sqrt(mean_squared_error(truth, scores)),
        "mae": mean_absolute_error(truth, scores),
        "mse": mean_squared_error(truth, scores),
        "r2": r2_score(truth, scores),
    }
    return {name: pytest.approx(value, rel=1e-9) for name, value in found.items()}


def orders(frame: pl.DataFrame) -> dict[str, Any]:
    scores = frame["score"].to_list()
    found = {
        "auc": roc_auc_score(labels(frame), scores),
        "gauc": gauc(frame["user_id"].to_list(), labels(frame), scores),
    }
    return {name: pytest.approx(value, rel=1e-9) for name, value in found.items()}


def test_errors_are_scikit_learns(world: World) -> None:
    expected = errors(load(world.preds).frame())
    for path in (world.preds, world.baseline):
        assert values(path, "rmse,mae,mse,r2") == expected
    assert expected["r2"].expected > 0.1


def test_without_a_word_ratings_are_measured_by_their_errors(world: World) -> None:
    asked: Any = None
    for path in (world.preds, world.baseline):
        found = evaluate(path, asked).document["metrics"]
        assert list(found) == ["rmse", "mae"]
        assert (found["mae"]["pairs"], found["mae"]["users"], found["mae"]["fallbacks"]) == (1780, 500, 0)


@pytest.mark.parametrize("phase", ["valid", "test"])
def test_auc_and_gauc_are_scikit_learns(world: World, phase: str) -> None:
    frame, _ = predicted(world.itemknn, phase=phase)
    expected = orders(frame)
    assert values(world.itemknn, "auc,gauc", phase=phase, relevant="rating>=4") == expected
    if phase == "test":
        assert values(world.ranked, "auc,gauc", relevant="rating>=4") == expected


def test_pairs_of_a_file_are_held_to_the_ratings_beside_them(world: World) -> None:
    held = held_out(world.split, "valid").head(200)
    held.drop("split").write_csv(world.folder / "valid.csv")
    preds = artifact(world.baseline, world.folder / "valid.csv")
    assert values(preds.path, "rmse,mae,mse,r2") == errors(preds.frame())


def test_what_has_no_score_comes_last_in_auc(tmp_path: Path) -> None:
    """c is not in train: it is worth less than everything, and equal to itself."""
    columns = "user_id:token item_id:token rating:float"
    train = [("u1", "a", 5), ("u2", "a", 4), ("u2", "b", 4)]
    test = [("u1", "b", 5), ("u1", "c", 1), ("u2", "c", 5), ("u3", "a", 1), ("u3", "c", 4)]
    pop = fitted(parts(tmp_path, columns, train=train, test=test), "pop")
    scores = [1, -1, -1, 2, -1]
    frame = pl.DataFrame({"user_id": [u for u, *_ in test], "rating": [r for *_, r in test], "score": scores})
    assert values(pop, "auc,gauc", relevant="rating>=4") == orders(frame)
    assert entry(pop, "auc", relevant="rating>=4")["unscored_pairs"] == 3


def test_a_given_truth_is_found_by_user_and_item(world: World, tmp_path: Path) -> None:
    """Whatever it is sorted by; what is predicted beside it does not count."""
    frame = load(world.preds).frame()
    some = frame.sample(300, shuffle=True, seed=2)
    turned = some.with_columns(rating=6 - pl.col("rating"))
    turned.select("item_id", "rating", "user_id").write_csv(tmp_path / "truth.csv")
    for path in (world.preds, world.baseline):
        assert values(path, "rmse,mae,mse,r2", truth=tmp_path / "truth.csv") == errors(turned)


def test_only_the_users_that_are_asked_for_count(world: World) -> None:
    some = load(world.preds).frame().filter(pl.col("user_id").is_in(["u3", "u8", "u21"]))
    assert values(world.baseline, "rmse,mae,mse,r2", users="u3,u8,u21") == errors(some)


def test_rolling_predictions_are_measured_as_the_model_is(world: World) -> None:
    preds = artifact(world.itemknn, rolling=True)
    frame = preds.frame()
    expected = orders(frame.with_columns(pl.col("score").fill_null(-1e9)))
    assert frame["score"].null_count() > 0
    for path, options in ((preds.path, {}), (world.itemknn, {"rolling": True})):
        assert values(path, "auc,gauc", relevant="rating>=4", **options) == expected


def test_lists_and_predictions_of_one_model(world: World) -> None:
    both = values(world.baseline, "ndcg@10,rmse,mrr@5")
    assert both == {**values(world.baseline, "ndcg@10,mrr@5"), **values(world.baseline, "rmse")}


# Anybody's predictions


def to_csv(frame: pl.DataFrame, path: Path) -> Path:
    frame.write_csv(path.with_suffix(".csv"))
    return path.with_suffix(".csv")


def to_parquet(frame: pl.DataFrame, path: Path) -> Path:
    frame.write_parquet(path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


@pytest.fixture(scope="module")
def theirs(world: World) -> pl.DataFrame:
    """Our predictions in double precision and in any order, as another program might write them."""
    frame = load(world.preds).frame().drop("timestamp").with_columns(pl.col("score").cast(pl.Float64))
    return frame.sample(fraction=1, shuffle=True, seed=5)


@pytest.mark.parametrize("write", [to_csv, to_parquet])
@pytest.mark.parametrize("score", ["score", "rating", "prediction"])
def test_theirs_are_held_to_a_truth(
    world: World, theirs: pl.DataFrame, tmp_path: Path, write: Callable[..., Path], score: str
) -> None:
    path = write(theirs.drop("rating").rename({"score": score}), tmp_path / "theirs")
    options: dict[str, Any] = {} if score != "prediction" else {"score_col": "prediction"}
    theirs.select("user_id", "item_id", "rating").head(900).write_csv(tmp_path / "truth.csv")
    assert values(path, "rmse,mae,mse,r2", truth=tmp_path / "truth.csv", **options) == errors(theirs.head(900))
    assert values(path, "rmse,mae,mse,r2", truth=world.split, **options) == errors(theirs)
    assert values(path, "auc,gauc", truth=world.split, relevant="rating>=4", **options) == orders(theirs)


@pytest.mark.parametrize("write", [to_csv, to_parquet])
@pytest.mark.parametrize("score", ["score", "prediction"])
def test_theirs_are_held_to_the_rating_beside_the_score(
    theirs: pl.DataFrame, tmp_path: Path, write: Callable[..., Path], score: str
) -> None:
    path = write(theirs.rename({"score": score}), tmp_path / "theirs")
    options: dict[str, Any] = {} if score == "score" else {"score_col": score}
    assert values(path, "rmse,mae,mse,r2", **options) == errors(theirs)
    assert values(path, "auc,gauc", relevant="rating>=4", **options) == orders(theirs)


@pytest.fixture(scope="module")
def clicks() -> pl.DataFrame:
    """Labels and probabilities, some of them 0 and 1."""
    dice = random.Random(9)
    chances = [0.0, 1.0, *(round(dice.random(), 2) for _ in range(398))]
    rows = [(f"u{dice.randrange(40)}", f"i{at}", int(dice.random() < p * 0.8), p) for at, p in enumerate(chances)]
    return pl.DataFrame(rows, schema=["user_id", "item_id", "label", "p"], orient="row")


def assert_clicks(clicks: pl.DataFrame, found: dict[str, float | None]) -> None:
    truth, chances = clicks["label"].to_list(), clicks["p"].to_list()
    near = [min(1 - 1e-15, max(1e-15, p)) for p in chances]
    likely = [log(p) if label else log(1 - p) for label, p in zip(truth, near, strict=True)]
    assert found["auc"] == pytest.approx(roc_auc_score(truth, chances), rel=1e-12)
    assert found["gauc"] == pytest.approx(gauc(clicks["user_id"].to_list(), [t == 1 for t in truth], chances))
    assert found["logloss"] == pytest.approx(-mean(likely), rel=1e-9)


@pytest.mark.parametrize("write", [to_csv, to_parquet])
def test_clicks_are_held_to_their_labels(clicks: pl.DataFrame, tmp_path: Path, write: Callable[..., Path]) -> None:
    path = write(clicks, tmp_path / "clicks")
    assert_clicks(clicks, values(path, "auc,gauc,logloss", score_col="p"))


def test_clicks_are_held_to_a_truth_of_labels(clicks: pl.DataFrame, tmp_path: Path) -> None:
    path = to_csv(clicks.drop("label").rename({"p": "score"}), tmp_path / "clicks")
    truth = to_csv(clicks.drop("p").sample(fraction=1, shuffle=True, seed=1), tmp_path / "truth")
    assert_clicks(clicks, values(path, "auc,gauc,logloss", truth=truth))


@pytest.mark.parametrize("options", [{}, {"score_col": "score"}], ids=["untold", "told"])
def test_a_score_beside_a_label_is_the_score(clicks: pl.DataFrame, tmp_path: Path, options: dict[str, str]) -> None:
    path = to_csv(clicks.rename({"p": "score"}), tmp_path / "clicks")
    assert_clicks(clicks, values(path, "auc,gauc,logloss", **options))


def test_the_json_has_what_a_calibration_plot_shows(clicks: pl.DataFrame, tmp_path: Path, recli: Runner) -> None:
    path = to_csv(clicks.rename({"p": "score"}), tmp_path / "clicks")
    printed = json.loads(recli("evaluate", path, "--metrics", "auc,ece", "--json").stdout)
    assert recli("evaluate", path, "--metrics", "gauc", "-o", "m.json").returncode == 0
    found = json.loads((tmp_path / "m.json").read_text())["calibration"]
    assert found == printed["calibration"] and list(found) == ["equal-width", "equal-count"]
    rows = list(zip(clicks["p"], clicks["label"], strict=True))
    low, high = 0.3, 0.4
    own = [(p, label) for p, label in rows if low < p <= high]
    fourth = found["equal-width"]["bins"][3]
    assert fourth["pairs"] == len(own) > 0
    assert fourth["predicted"] == pytest.approx(mean(p for p, _ in own))
    assert fourth["observed"] == pytest.approx(mean(label for _, label in own))
    assert found["equal-width"]["ece"] == printed["metrics"]["ece"]["value"] > 0.05
    assert sum(bin["pairs"] for bin in found["equal-count"]["bins"]) == len(rows)


def test_what_is_no_probability_has_no_calibration(world: World) -> None:
    assert "calibration" not in evaluate(world.itemknn, "auc", relevant="rating>=4").document
    assert "calibration" not in evaluate(world.preds, "rmse").document
    with refused(Exit.USAGE, "ece takes probabilities"):
        evaluate(world.itemknn, "ece", relevant="rating>=4")


# Nonsense


def test_errors_of_what_is_no_rating(world: World) -> None:
    for path in (world.itemknn, world.ranked):
        for metric in ("rmse", "mae", "mse", "r2"):
            with refused(Exit.USAGE, f"{metric} is of predicted ratings", "auc and gauc"):
                evaluate(path, metric, relevant="rating>=4")


def test_logloss_of_what_is_no_probability(world: World, theirs: pl.DataFrame, tmp_path: Path) -> None:
    path = to_csv(theirs, tmp_path / "theirs")
    for one in (world.ranked, world.preds, world.itemknn, path):
        with refused(Exit.USAGE, "logloss takes probabilities", "auc and gauc"):
            evaluate(one, "auc,logloss", relevant="rating>=4")


def test_lists_and_predictions_are_not_each_other(world: World, theirs: pl.DataFrame, tmp_path: Path) -> None:
    with refused(Exit.USAGE, "ndcg@10 is of lists", "recli recommend"):
        evaluate(world.preds, "rmse,ndcg@10")
    for metric in ("rmse", "auc"):
        with refused(Exit.USAGE, f"{metric} is of predictions", "recli predict"):
            evaluate(lists(world.baseline), f"ndcg@10,{metric}")
    with refused(Exit.USAGE, "ndcg@10 is of lists and rmse of predictions"):
        evaluate(to_csv(theirs, tmp_path / "theirs"), "rmse,ndcg@10", truth=world.split)


def test_what_there_is_nothing_to_hold_to(world: World, theirs: pl.DataFrame, tmp_path: Path) -> None:
    for path in (world.preds, world.ranked, world.itemknn):
        with refused(Exit.USAGE, "auc holds scores to a label", "--relevant"):
            evaluate(path, "auc")
    with refused(Exit.USAGE, "rmse holds scores to a rating", "--truth"):
        evaluate(artifact(world.baseline, [("u1", "i1")]).path, "rmse")
    for relevant in ("rating>=1", "rating>5"):
        with refused(Exit.USAGE, "auc needs pairs of both labels"):
            evaluate(to_csv(theirs, tmp_path / "theirs"), "auc", relevant=relevant)


def test_labels_are_0_and_1(clicks: pl.DataFrame, tmp_path: Path) -> None:
    path = to_parquet(clicks.with_columns(label=pl.col("label") * 2.0), tmp_path / "clicks")
    with refused(Exit.USAGE, "labels 0 and 1", "--relevant 'label>=1'"):
        evaluate(path, "auc", score_col="p")
    assert values(path, "auc", score_col="p", relevant="label>=1") == {
        "auc": pytest.approx(roc_auc_score(clicks["label"], clicks["p"]))
    }


def test_predictions_are_those_of_the_truth_once_each(world: World, theirs: pl.DataFrame, tmp_path: Path) -> None:
    scores = theirs.drop("rating")
    with refused(Exit.DATA, "some.csv", "no prediction for 5 of 1,780 rows"):
        evaluate(to_csv(scores.tail(-5), tmp_path / "some"), "rmse", truth=world.split)
    with refused(Exit.DATA, "twice.csv", "twice"):
        evaluate(to_csv(pl.concat([scores, scores.head(1)]), tmp_path / "twice"), "rmse", truth=world.split)
    strange = theirs.head(3).with_columns(item_id=pl.lit("never predicted")).select("user_id", "item_id", "rating")
    with refused(Exit.DATA, "no prediction for 3 of 3 rows"):
        evaluate(world.preds, "rmse", truth=to_csv(strange, tmp_path / "strange"))


@pytest.mark.parametrize("score", ["inf", "-inf", "nan", "", "good"])
def test_a_score_is_a_number(world: World, tmp_path: Path, score: str) -> None:
    (tmp_path / "theirs.csv").write_text(f"user_id,item_id,score,rating\nu1,i1,{score},3\nu1,i2,0.5,1\n")
    with refused(Exit.DATA, "theirs.csv"):
        evaluate(tmp_path / "theirs.csv", "mae")


def test_what_is_no_column_of_scores(theirs: pl.DataFrame, tmp_path: Path) -> None:
    path = to_csv(theirs.rename({"score": "prediction"}), tmp_path / "theirs")
    with refused(Exit.DATA, "no column score", "--score-col"):
        evaluate(path, "rmse")
    with refused(Exit.USAGE, "--score-col predictoin", "prediction"):
        evaluate(path, "rmse", score_col="predictoin")


@pytest.mark.parametrize("options", [{"users": "u1"}, {"phase": "valid"}, {"rolling": True}, {"allow_seen": True}])
def test_predictions_are_what_they_are(world: World, options: dict[str, Any]) -> None:
    with refused(Exit.USAGE, "holds predictions"):
        evaluate(world.preds, "rmse", **options)


def test_the_verdict_is_on_predictions_too(recli: Runner, world: World) -> None:
    for bound, code in (("0.9", 0), ("0.1", 1)):
        assert recli("evaluate", world.preds, "--assert", f"rmse<={bound}", "-q").returncode == code
