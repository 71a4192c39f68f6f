"""PureSVD against ARPACK, and the randomised method that it stands on."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from recli.interactions import Queries
from recli.model import Run
from recli.models.factor.lowrank import singular
from recli.models.factor.puresvd import PureSVD
from tests.checks import tiny


@pytest.mark.parametrize("width", [1, 5, 12])
def test_scores(width: int) -> None:
    x = tiny().matrix.astype(np.float64)
    u, s, vt = svds(x, width, v0=np.ones(tiny().n_items))
    scorer = PureSVD(embedding_size=width, iterations=50).fit(tiny(), Run())
    np.testing.assert_allclose(scorer.score(tiny().queries()), u * s @ vt, atol=1e-4)
    items = np.arange(tiny().n_users, dtype=np.int32) % tiny().n_items
    expected = (u * s @ vt)[np.arange(tiny().n_users), items]
    np.testing.assert_allclose(scorer.score_pairs(tiny().queries(), items), expected, atol=1e-4)


def test_all_vectors_give_the_history_back() -> None:
    scorer = PureSVD(embedding_size=1000).fit(tiny(), Run())
    assert scorer.item.shape == (tiny().n_items, tiny().n_items)
    np.testing.assert_allclose(scorer.score(tiny().queries()), tiny().matrix.toarray(), atol=1e-5)


def test_a_stranger_is_folded_in() -> None:
    scorer, known = PureSVD(embedding_size=5).fit(tiny(), Run()), tiny().queries()
    unknown = Queries(user=np.full(len(known), -1, np.int32), indptr=known.indptr, item=known.item)
    np.testing.assert_array_equal(scorer.score(unknown), scorer.score(known))


def test_singular_values_and_vectors_of_a_scaled_matrix() -> None:
    rng = np.random.default_rng(2)
    matrix = csr_matrix((rng.random((200, 120)) < 0.1).astype(np.float32))
    scale = rng.random(120).astype(np.float32)
    _, exact, vt = np.linalg.svd(matrix.toarray().astype(np.float64) * scale, full_matrices=False)
    values, vectors = singular(matrix, scale, 8, iterations=60, seed=0)
    np.testing.assert_allclose(values, exact[:8], rtol=1e-5)
    np.testing.assert_allclose(np.abs((vt[:8] * vectors.T).sum(1)), 1, atol=1e-4)


def test_few_users_or_a_matrix_of_nothing() -> None:
    values, vectors = singular(csr_matrix(np.ones((2, 9), np.float32)), np.ones(9, np.float32), 5, iterations=2, seed=0)
    np.testing.assert_allclose(values, [np.sqrt(18), 0, 0, 0, 0], atol=1e-5)
    np.testing.assert_allclose(np.abs(vectors[:, 0]), 1 / 3, atol=1e-5)
    values, vectors = singular(csr_matrix((4, 9), dtype=np.float32), np.ones(9, np.float32), 3, iterations=2, seed=0)
    assert (values == 0).all()
    assert np.isfinite(vectors).all()
