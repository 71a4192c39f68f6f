"""The table of metrics, the grammar of --metrics and that of --assert."""

import inspect
import math

import pytest

from recli.errors import Exit, RecliError
from recli.metrics import METRICS, OPERATORS, Assertion, Wanted, parse, parse_assertion


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_documented(name):
    metric = METRICS[name]
    assert metric.name == name
    assert metric.definition.split("/")[0] == name
    assert metric.summary
    assert not metric.summary.endswith(".")
    assert metric.source
    assert "Source:" in inspect.getdoc(metric.function)


def test_every_ranking_metric_has_the_same_arguments():
    for metric in METRICS.values():
        assert list(inspect.signature(metric.function).parameters) == ["gains", "ideal", "listed", "relevant", "k"]


def test_definitions_are_distinct():
    assert len({metric.definition for metric in METRICS.values()}) == len(METRICS)


def test_parse_keeps_the_order_and_each_once():
    assert parse("ndcg@10, MRR@5 ,ndcg@10,ndcg@5") == [Wanted("ndcg", 10), Wanted("mrr", 5), Wanted("ndcg", 5)]
    assert [str(wanted) for wanted in parse("hit@1")] == ["hit@1"]
    assert parse("map@010") == parse("map@10")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("ndgc@10", "there is no metric 'ndgc'", "did you mean ndcg?"),
        ("@10", "there is no metric ''", "one of: hit, map, mrr, ndcg, precision, recall"),
        ("ndcg", "ndcg needs a cut-off", "such as ndcg@10"),
        ("ndcg@0", "a cut-off is a whole number above 0, not '0'", "such as ndcg@10"),
        ("ndcg@-1", "a cut-off is a whole number above 0, not '-1'", "such as ndcg@10"),
        ("ndcg@1.5", "a cut-off is a whole number above 0, not '1.5'", "such as ndcg@10"),
        ("ndcg@", "a cut-off is a whole number above 0, not ''", "such as ndcg@10"),
        ("mrr@10,ndcg@ten", "a cut-off is a whole number above 0, not 'ten'", "such as ndcg@10"),
        (" , ", "no metric is named", "such as ndcg@10,mrr@10"),
    ],
)
def test_parse_refuses(text, message, hint):
    with pytest.raises(RecliError) as error:
        parse(text)
    assert (error.value.code, error.value.message, error.value.hint) == (Exit.USAGE, message, hint)


@pytest.mark.parametrize("op", OPERATORS)
def test_assertions(op):
    assertion = parse_assertion(f" ndcg@10 {op} 0.30 ")
    assert assertion == parse_assertion(f"NDCG@10{op}3e-1") == Assertion(Wanted("ndcg", 10), op, 0.3)
    below, equal, above = (assertion.holds(value) for value in (0.2, 0.3, 0.4))
    assert (below, equal, above) == ("<" in op, "=" in op, ">" in op)
    assert not assertion.holds(math.nan)
    assert parse_assertion(str(assertion)) == assertion


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ndcg@10", "an assertion is a metric"),
        ("ndcg@10=0.3", "an assertion is a metric"),
        ("ndcg@10=>0.3", "an assertion is a metric"),
        ("0.2<ndcg@10<0.3", "an assertion is a metric"),
        ("ndcg@10>=", "an assertion is a metric"),
        ("ndcg@10>=high", "'high' is not a number"),
        ("ndcg@10>=nan", "'nan' is not a number"),
        ("ndcg>=0.3", "ndcg needs a cut-off"),
        ("ndgc@10>=0.3", "there is no metric 'ndgc'"),
    ],
)
def test_assertions_that_are_refused(text, message):
    with pytest.raises(RecliError, match=message) as error:
        parse_assertion(text)
    assert error.value.code == Exit.USAGE
    assert error.value.hint
