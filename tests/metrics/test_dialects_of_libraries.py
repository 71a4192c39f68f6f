"""Dialects against the libraries themselves, each where it is installed (``pip install implicit rectools …``)."""

import warnings
from contextlib import contextmanager
from statistics import mean

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from recli.metrics.dialects import DIALECTS
from tests.metrics.lists import N_ITEMS, cuts, matrix, users_with_truth, value

pytestmark = pytest.mark.slow
few = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@contextmanager
def quiet():
    """They warn of themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def library(name):
    with quiet():
        return pytest.importorskip(name, exc_type=ImportError)


def compare(dialect, theirs, users, k):
    ours = {name: value(DIALECTS[dialect][name], users, k) for name in theirs}
    assert ours == pytest.approx(theirs, rel=1e-6), dialect  # trec_eval and implicit round on the way


def names(users):
    """The same users as ``{user: [items]}`` and ``{user: {items}}``, who has no list left out."""
    lists = {f"u{u:02}": [f"i{i:02}" for i in listed] for u, (listed, _) in enumerate(users)}
    truth = {f"u{u:02}": {f"i{i:02}" for i in truth} for u, (_, truth) in enumerate(users)}
    return {user: items for user, items in lists.items() if items}, truth


@few
@given(users_with_truth, cuts)
def test_ranx(users, k):
    ranx = library("ranx")
    lists, truth = names(users)
    with quiet():
        qrels = ranx.Qrels({user: dict.fromkeys(items, 1) for user, items in truth.items()})
        run = ranx.Run({user: {i: float(-n) for n, i in enumerate(items)} for user, items in lists.items()})
        asked = {"hit": "hit_rate"} | {name: name for name in ("precision", "recall", "map", "ndcg", "mrr", "f1")}
        values = ranx.evaluate(qrels, run, [f"{name}@{k}" for name in asked.values()], make_comparable=True)
    compare("ranx", dict(zip(asked, values.values(), strict=True)), users, k)


@few
@given(users_with_truth, cuts)
def test_trec_eval(users, k):
    pytrec_eval = library("pytrec_eval")
    lists, truth = names(users)
    asked = {"precision": "P", "recall": "recall", "map": "map_cut", "ndcg": "ndcg_cut", "hit": "success"}
    measures = {f"{name}.{k}" for name in asked.values()} | {"recip_rank"}
    qrels = {user: dict.fromkeys(items, 1) for user, items in truth.items()}
    run = {user: {item: float(-n) for n, item in enumerate(items[:k])} for user, items in lists.items()}
    values = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run).values()
    theirs = {ours: mean(v[f"{name}_{k}"] for v in values) for ours, name in asked.items()}
    compare("trec", theirs | {"mrr": mean(v["recip_rank"] for v in values)}, users, k)


@few
@given(users_with_truth, cuts)
def test_implicit(users, k):
    evaluation = library("implicit.evaluation")
    from scipy.sparse import csr_matrix

    lists = matrix([listed for listed, _ in users])

    class Model:
        def recommend(self, users, rows, N=10):
            return lists[users, :N], np.zeros((len(users), N), np.float32)

    pairs = [(user, item) for user, (_, truth) in enumerate(users) for item in truth]
    test = csr_matrix((np.ones(len(pairs)), np.array(pairs).T), shape=(len(users), N_ITEMS + 1))
    with quiet():
        theirs = evaluation.ranking_metrics_at_k(Model(), test, test, K=k, show_progress=False, num_threads=1)
    compare("implicit", {name: theirs[name] for name in ("precision", "map", "ndcg")}, users, k)


@few
@given(users_with_truth, cuts)
def test_rectools(users, k):
    metrics = library("rectools.metrics")
    import pandas as pd

    reco = pd.DataFrame(
        [(user, item, place) for user, (listed, _) in enumerate(users) for place, item in enumerate(listed, 1)],
        columns=["user_id", "item_id", "rank"],
    )
    truth = pd.DataFrame(
        [(user, item) for user, (_, truth) in enumerate(users) for item in truth], columns=["user_id", "item_id"]
    )
    asked = {
        "precision": metrics.Precision(k=k),
        "recall": metrics.Recall(k=k),
        "map": metrics.MAP(k=k),
        "ndcg": metrics.NDCG(k=k),
        "mrr": metrics.MRR(k=k),
        "hit": metrics.HitRate(k=k),
    }
    with quiet():
        theirs = {name: metric.calc(reco, truth) for name, metric in asked.items()}
    compare("rectools", theirs, users, k)


@few
@given(users_with_truth, cuts)
def test_lenskit(users, k):
    ranking = library("lenskit.metrics.ranking")
    from lenskit.data import ItemList, ItemListCollection
    from lenskit.metrics import RunAnalysis

    output, test = ItemListCollection(["user_id"]), ItemListCollection(["user_id"])
    for user, (listed, truth) in enumerate(users):
        output.add(ItemList(np.array(listed, np.int64), ordered=True), user_id=user)
        test.add(ItemList(np.array(sorted(truth), np.int64)), user_id=user)
    asked = {
        "precision": ranking.Precision,
        "recall": ranking.Recall,
        "map": ranking.AveragePrecision,
        "ndcg": ranking.NDCG,
        "mrr": ranking.RecipRank,
        "hit": ranking.Hit,
    }
    with quiet():
        analysis = RunAnalysis(*(metric(n=k) for metric in asked.values()))
        # list_summary() would fill an empty list's NaN with 0; the values by list keep it.
        means = analysis.measure(output, test).list_metrics(fill_missing=False).mean()
    compare("lenskit", dict(zip(asked, means, strict=True)), users, k)


@few
@given(users_with_truth, cuts)
def test_recommenders(users, k):
    theirs = library("recommenders.evaluation.python_evaluation")
    import pandas as pd

    pred = pd.DataFrame(
        [(user, item, -float(place)) for user, (listed, _) in enumerate(users) for place, item in enumerate(listed)],
        columns=["userID", "itemID", "prediction"],
    )
    true = pd.DataFrame(
        [(user, item, 1.0) for user, (_, truth) in enumerate(users) for item in truth],
        columns=["userID", "itemID", "rating"],
    )
    asked = {
        "precision": theirs.precision_at_k,
        "recall": theirs.recall_at_k,
        "map": theirs.map_at_k,
        "map-r": theirs.map,
        "ndcg": theirs.ndcg_at_k,
    }
    with quiet():
        compare("recommenders", {name: function(true, pred, k=k) for name, function in asked.items()}, users, k)
