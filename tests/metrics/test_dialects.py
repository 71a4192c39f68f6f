"""Dialects against the golden table, and against RecBole's and Microsoft's formulas written out."""

import math

import numpy as np
import pytest
from hypothesis import given

from recli.metrics import METRICS
from recli.metrics.beyond import Facts
from recli.metrics.dialects import DIALECTS
from tests.metrics.lists import cuts, four_lists, matrix, users_with_truth, value

FIVE = ("precision", "recall", "map", "ndcg", "mrr")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_golden_table(dialect):
    four, golden = four_lists()
    table = DIALECTS[dialect]
    values = {name: value(table[name], four, golden["k"]) for name in golden["dialects"][dialect]}
    assert values == pytest.approx(golden["dialects"][dialect], abs=5e-5)


def test_what_each_library_has():
    missing = {name: set(FIVE) - set(table) for name, table in DIALECTS.items()}
    assert {name: names for name, names in missing.items() if names} == {
        "implicit": {"recall", "mrr"},
        "recommenders": {"mrr"},
    }


def test_a_definition_names_one_function():
    functions = {}
    for table in (METRICS, *DIALECTS.values()):
        for metric in table.values():
            assert functions.setdefault(metric.definition, metric.function) is metric.function


@given(users_with_truth, cuts)
def test_every_dialect_lies_between_0_and_1_and_does_not_depend_on_the_order_of_users(users, k):
    for table in DIALECTS.values():
        for metric in table.values():
            if metric.kind == "ranking":
                one = value(metric, users, k)
                assert 0 <= one <= 1 + 1e-12
                assert value(metric, users[::-1], k) == pytest.approx(one, rel=1e-12)


def dcg(hits):
    return sum(hit / math.log2(place + 1) for place, hit in enumerate(hits, 1))


def mean(values):
    return sum(values) / len(values)


def recbole(users, k):
    """recbole/evaluator/metrics.py: every user, a list of K places."""
    pos = [[item in truth for item in listed[:k]] + [False] * (k - len(listed[:k])) for listed, truth in users]
    pos_len = [len(truth) for _, truth in users]
    pre = [[sum(row[: i + 1]) / (i + 1) for i in range(k)] for row in pos]
    return {
        "hit": mean([float(sum(row) > 0) for row in pos]),
        "mrr": mean([1 / (row.index(True) + 1) if any(row) else 0.0 for row in pos]),
        "recall": mean([sum(row) / n for row, n in zip(pos, pos_len, strict=True)]),
        "precision": mean([sum(row) / k for row in pos]),
        "map": mean(
            [sum(p * h for p, h in zip(ps, row, strict=True)) / min(k, n)
             for ps, row, n in zip(pre, pos, pos_len, strict=True)]
        ),
        "ndcg": mean([dcg(row) / dcg([1] * min(k, n)) for row, n in zip(pos, pos_len, strict=True)]),
    }  # fmt: skip


def microsoft(users, k):
    """recommenders/evaluation/python_evaluation.py: P, R and MAP over users in both tables, NDCG over the truth's."""
    hits = [[item in truth for item in listed[:k]] for listed, truth in users]
    common = [(row, truth) for row, (listed, truth) in zip(hits, users, strict=True) if listed]
    precisions = [sum(sum(row[:place]) / place for place, hit in enumerate(row, 1) if hit) for row, _ in common]
    return {
        "precision": mean([sum(row) / k for row, _ in common]),
        "recall": mean([sum(row) / len(truth) for row, truth in common]),
        "map": mean([p / min(len(truth), k) for p, (_, truth) in zip(precisions, common, strict=True)]),
        "map-r": mean([p / len(truth) for p, (_, truth) in zip(precisions, common, strict=True)]),
        "ndcg": mean([dcg(row) / dcg([1] * min(k, len(truth))) for row, (_, truth) in zip(hits, users, strict=True)]),
    }


@given(users_with_truth, cuts)
def test_their_formulas_agree(users, k):
    for dialect, formulas in (("recbole", recbole), ("recommenders", microsoft)):
        ours = {name: value(DIALECTS[dialect][name], users, k) for name in formulas(users, k)}
        assert ours == pytest.approx(formulas(users, k), rel=1e-12), dialect


def recbole_beyond(items, counts):
    """The same file's metrics of whole lists; ``counts`` by item id, the padding's id 0 included."""
    item_num, k = len(counts), items.shape[1]
    listed = {}
    for item in items.ravel().tolist():
        listed[item] = listed.get(item, 0) + 1
    shares = [n / items.size for n in listed.values()]
    count = sorted(listed.values())
    place = range(item_num - len(count) + 1, item_num + 1)
    known = sorted((n, item) for item, n in enumerate(counts) if n > 0)
    tail = {item for _, item in known[: max(int(len(known) * 0.1), 1)]}
    return {
        "item-coverage": len(listed) / item_num,
        "entropy": sum(-p * math.log(p) for p in shares) / len(listed),
        "gini": sum((2 * i - item_num - 1) * n for i, n in zip(place, count, strict=True)) / items.size / item_num,
        "popularity": mean([sum(counts[item] for item in row) / k for row in items.tolist()]),
        "tail": mean([sum(item in tail for item in row) / k for row in items.tolist()]),
    }


@pytest.mark.parametrize("seed", range(20))
def test_recboles_metrics_of_whole_lists_agree(seed):
    rng = np.random.default_rng(seed)
    n, users, k = rng.integers(5, 40), rng.integers(1, 20), rng.integers(1, 5)
    counts = rng.integers(1, 9, n)
    items = np.stack([rng.permutation(n)[:k] for _ in range(users)]).astype(np.int32)
    theirs = recbole_beyond(items + 1, [0, *counts.tolist()])
    table = DIALECTS["recbole"]
    ours = {name: np.mean(table[name].function(items, Facts(popularity=counts, n_users=users))) for name in theirs}
    assert ours == pytest.approx(theirs, rel=1e-12)


def test_recboles_padding_is_the_only_difference():
    items, facts = matrix([[0, 1], [1]], 2), Facts(popularity=np.array([3, 1, 1]), n_users=3)
    table = DIALECTS["recbole"]
    for name in ("item-coverage", "gini", "entropy"):
        assert table[name].function(items, facts) != METRICS[name].function(items, facts)
    assert table["item-coverage"].function(items, facts) == 2 / 4
    assert math.isnan(table["entropy"].function(matrix([[]], 2), facts))
