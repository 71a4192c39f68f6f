"""SAR against recommenders 1.2.1's own, and against the worked example of its documentation."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from recli.errors import Exit, RecliError
from recli.interactions import Interactions, Queries
from recli.model import Run
from recli.models.neighbor.sar import DAY, SAR, Fading
from recli.scorers import ItemWeights

ROWS = [
    *[("a", "x", 0), ("a", "y", 1), ("a", "z", 9), ("b", "x", 2), ("b", "y", 8), ("c", "y", 3), ("c", "z", 10)],
    *[("c", "w", 10), ("d", "x", 5), ("d", "x", 9), ("d", "w", 7)],
]
# What recommenders' SARSingleNode scores for the users a, b, c, d (rows) and the items w, x, y, z (columns): ratings 1,
# time_decay_coefficient 4 where there is a decay, and without one no repeated rows, which it refuses then.
SCORES = {
    ("cooccurrence", 1, 4.0): [
        *([1.227897, 1.791675, 2.666019, 2.279018], [0.957107, 2.164214, 2.62132, 1.664214]),
        *([3.297302, 2.594604, 3.891905, 3.594604], [2.450552, 4.378637, 3.117293, 1.855948]),
    ],
    ("cooccurrence", 2, 4.0): [
        *([0.0, 0.950778, 2.666019, 2.102241], [0.0, 2.164214, 2.62132, 1.414214]),
        *([2.0, 0.594604, 2.891905, 2.594604], [1.189207, 3.784034, 2.522689, 0.0]),
    ],
    ("cooccurrence", 1, 0.0): [
        *([3.0, 6.0, 7.0, 5.0], [2.0, 5.0, 5.0, 3.0], [4.0, 4.0, 6.0, 5.0], [3.0, 4.0, 3.0, 2.0]),
    ],
    ("cosine", 1, 4.0): [
        *([0.578441, 0.660221, 1.014664, 1.084712], [0.390737, 0.721405, 0.873773, 0.679412]),
        *([1.621373, 1.014698, 1.522047, 1.742746], [1.109545, 1.504091, 1.083642, 0.812244]),
    ],
    ("inclusion", 1, 4.0): [
        *([0.613949, 0.737374, 1.168972, 1.139509], [0.478553, 0.721405, 0.873773, 0.832107]),
        *([1.648651, 1.198201, 1.797302, 1.797302], [1.225276, 1.558646, 1.138198, 0.927974]),
    ],
    ("jaccard", 1, 4.0): [
        *([0.377049, 0.492113, 0.85921, 1.02524], [0.239277, 0.603553, 0.832107, 0.533905]),
        *([1.407659, 0.648651, 1.213968, 1.531535], [0.90994, 1.409996, 0.779323, 0.513537]),
    ],
    ("jaccard", 2, 4.0): [
        *([0.0, 0.281889, 0.85921, 0.981046], [0.0, 0.603553, 0.832107, 0.471405]),
        *([1.0, 0.148651, 0.963968, 1.198201], [0.594604, 1.261345, 0.630672, 0.0]),
    ],
    ("jaccard", 1, 0.0): [
        *([0.833333, 1.75, 2.166667, 1.916667], [0.5, 1.5, 1.5, 0.916667]),
        *([1.583333, 1.0, 1.916667, 2.0], [1.25, 1.25, 0.75, 0.583333]),
    ],
    ("lift", 1, 4.0): [
        *([0.274724, 0.245791, 0.389657, 0.519986], [0.159518, 0.240468, 0.291258, 0.277369]),
        *([0.79955, 0.3994, 0.599101, 0.849101], [0.507526, 0.519549, 0.379399, 0.358875]),
    ],
}


def events() -> Interactions:
    frame = pl.DataFrame(ROWS, schema=["user_id", "item_id", "timestamp"], orient="row")
    return Interactions.of(frame.with_columns(pl.col("timestamp").cast(pl.Float64) * DAY))


@pytest.mark.parametrize(("similarity", "threshold", "half_life"), SCORES)
@pytest.mark.parametrize("kind", [np.asarray, csr_matrix], ids=["dense", "csr"])
def test_as_recommenders(similarity: str, threshold: int, half_life: float, kind: type) -> None:
    data = events()
    scorer = SAR(similarity=similarity, threshold=threshold, half_life=half_life).fit(data, Run())
    weights = scorer.weights if isinstance(scorer.weights, np.ndarray) else scorer.weights.toarray()
    scorer = replace(scorer, weights=kind(weights))
    users, items = (np.argsort(ids.to_list()) for ids in (data.users, data.items))
    expected = np.array(SCORES[similarity, threshold, half_life])
    np.testing.assert_allclose(scorer.score(data.queries())[np.ix_(users, items)], expected, rtol=2e-5)
    for at in range(4):
        pairs = scorer.score_pairs(data.queries(), np.full(4, items[at], np.int32))
        np.testing.assert_allclose(pairs[users], expected[:, at], rtol=2e-5)


def test_the_worked_example_of_its_documentation() -> None:
    """User 1 is drawn to items 1, 2 and 3 by 5, 3 and 2.5; then somebody who has item 5, and item 2 twice."""
    together = [[5, 3, 4, 3, 2], [3, 4, 3, 2, 1], [4, 3, 4, 3, 1], [3, 2, 3, 4, 2], [2, 1, 1, 2, 3]]
    scorer = Fading(weights=np.array(together, np.float32), now=100.0, half_life=7.0)
    item = np.array([0] * 5 + [1] * 3 + [2] * 3 + [4, 1, 1], np.int32)
    time = np.full(len(item), 100.0)
    time[8] = 93.0  # half an event of item 3
    queries = Queries(user=np.array([0, -1], np.int32), indptr=np.array([0, 11, 14]), item=item, time=time)
    assert scorer.score(queries).tolist() == [[44.0, 34.5, 39.0, 28.5, 15.5], [8.0, 9.0, 7.0, 6.0, 5.0]]


def test_many_items_are_kept_sparse() -> None:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"user_id": rng.integers(90, size=900), "item_id": rng.integers(300, size=900)})
    data = Interactions.of(frame.cast(pl.String))
    x = data.matrix.toarray().astype(np.float64)
    together, count = x.T @ x, x.sum(0)
    scorer = SAR().fit(data, Run())
    assert isinstance(scorer.weights, csr_matrix)
    assert scorer.weights.has_canonical_format
    np.testing.assert_allclose(
        scorer.weights.toarray(), together / (count[:, np.newaxis] + count - together), rtol=1e-6
    )


def test_an_event_after_the_last_of_the_training_counts_as_that() -> None:
    scorer = Fading(weights=np.eye(2, dtype=np.float32), now=100.0, half_life=7.0)
    given = {"user": np.array([0], np.int32), "indptr": np.array([0, 1]), "item": np.array([1], np.int32)}
    assert scorer.score(Queries(**given, time=np.array([1e9]))).tolist() == [[0.0, 1.0]]
    assert scorer.score(Queries(**given)).tolist() == [[0.0, 1.0]]  # no time at all


def test_a_half_life_needs_a_time() -> None:
    data = replace(events(), time=None)
    assert type(SAR().fit(data, Run())) is ItemWeights
    with pytest.raises(RecliError, match="no timestamp for half_life") as caught:
        SAR(half_life=30.0).fit(data, Run())
    assert caught.value.code == Exit.DATA
