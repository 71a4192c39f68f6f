"""The table of metrics, the grammar of --metrics and that of --assert."""

import inspect
import math
from typing import get_args

import pytest

from recli.errors import Exit, RecliError
from recli.metrics import METRICS, OPERATORS, Assertion, Wanted, parse, parse_assertion
from recli.metrics.dialects import DIALECTS
from recli.metrics.metric import POPULATIONS, Kind, Need

EVERY = [
    pytest.param(name, metric, id=f"{dialect}-{name}")
    for dialect, table in {"recli": METRICS, **DIALECTS}.items()
    for name, metric in table.items()
]
ARGUMENTS = {
    "ranking": ["gains", "ideal", "listed", "relevant", "k"],
    "lists": ["items", "facts"],
    "pairs": ["scores", "truth", "users"],
}


@pytest.mark.parametrize(("name", "metric"), EVERY)
def test_every_metric_is_documented(name, metric):
    assert metric.name == name
    assert metric.definition.split("/")[0] == name.removesuffix("-r")  # recommenders has two that it calls map
    assert metric.summary
    assert not metric.summary.endswith(".")
    assert metric.source
    doc = inspect.getdoc(metric.function)
    assert "Source:" in doc
    if metric.kind != "ranking":  # those are all larger when better, which their file says
        assert ("Larger is better" in doc) == metric.larger_is_better
        assert ("Smaller is better" in doc) != metric.larger_is_better


@pytest.mark.parametrize(("name", "metric"), EVERY)
def test_every_metric_of_a_kind_has_the_same_arguments(name, metric):
    parameters = inspect.signature(metric.function).parameters
    required = list(parameters)[: len(ARGUMENTS[metric.kind])]
    assert required == ARGUMENTS[metric.kind]
    assert all(parameters[extra].default is not inspect.Parameter.empty for extra in set(parameters) - set(required))
    assert metric.takes_cutoff == (metric.kind != "pairs")


@pytest.mark.parametrize(("name", "metric"), EVERY)
def test_every_metric_says_only_what_there_is(name, metric):
    assert metric.kind in get_args(Kind)
    assert set(metric.needs) <= set(get_args(Need))
    assert metric.population in POPULATIONS
    assert metric.defined_by("linear") == metric.definition or metric.graded


def test_the_metrics_that_are_promised():
    ranking = "hit recall precision r-precision mrr map ndcg dcg rbp f1"
    pairs = "rmse mae mse r2 auc gauc logloss ece"
    lists = "item-coverage user-coverage gini entropy popularity tail novelty diversity serendipity calibration"
    for kind, names in {"ranking": ranking, "pairs": pairs, "lists": lists}.items():
        assert {name for name, metric in METRICS.items() if metric.kind == kind} == set(names.split())


def test_definitions_are_distinct():
    assert len({metric.definition for metric in METRICS.values()}) == len(METRICS)


def test_the_definition_names_the_gain():
    assert METRICS["ndcg"].defined_by() == "ndcg/binary/log2/ideal=min(k,R)"
    assert METRICS["ndcg"].defined_by("linear") == "ndcg/linear/log2/ideal=min(k,R)"
    assert METRICS["recall"].defined_by("linear") == "recall/binary/denominator=R"


def test_parse_keeps_the_order_and_each_once():
    assert parse("ndcg@10, MRR@5 ,ndcg@10,ndcg@5") == [Wanted("ndcg", 10), Wanted("mrr", 5), Wanted("ndcg", 5)]
    assert [str(wanted) for wanted in parse("hit@1,rmse,gini@10")] == ["hit@1", "rmse", "gini@10"]
    assert parse("map@010") == parse("map@10")
    assert parse("RMSE") == [Wanted("rmse")]


def test_parse_takes_the_table_of_a_dialect():
    assert parse("map-r@5", DIALECTS["recommenders"]) == [Wanted("map-r", 5)]
    with pytest.raises(RecliError, match="there is no metric 'mrr'"):
        parse("mrr@5", DIALECTS["implicit"])


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("ndgc@10", "there is no metric 'ndgc'", "did you mean ndcg?"),
        ("@10", "there is no metric ''", f"one of: {', '.join(sorted(METRICS))}"),
        ("ndcg", "ndcg needs a cut-off", "such as ndcg@10"),
        ("gini", "gini needs a cut-off", "such as gini@10"),
        ("rmse@10", "rmse takes no cut-off", "rmse"),
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
@pytest.mark.parametrize("name", ["ndcg@10", "rmse"])
def test_assertions(name, op):
    assertion = parse_assertion(f" {name} {op} 0.30 ")
    assert assertion == parse_assertion(f"{name.upper()}{op}3e-1") == Assertion(parse(name)[0], op, 0.3)
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
