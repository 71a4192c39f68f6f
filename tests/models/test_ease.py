"""EASE against its closed form, and the inverse it stands on."""

import numpy as np
import pytest

from recli.errors import Exit, RecliError
from recli.model import Run
from recli.models.linear.ease import EASE, inverse
from tests.checks import tiny


@pytest.mark.parametrize("reg_weight", [0.5, 250.0])
def test_closed_form(reg_weight: float) -> None:
    x = tiny().matrix.toarray().astype(np.float64)
    p = np.linalg.inv(x.T @ x + reg_weight * np.eye(x.shape[1]))
    expected = -p / np.diag(p)
    np.fill_diagonal(expected, 0)
    scorer = EASE(reg_weight=reg_weight).fit(tiny(), Run())
    np.testing.assert_allclose(scorer.weights, expected, atol=2e-6)
    np.testing.assert_allclose(scorer.score(tiny().queries()), x @ expected, atol=2e-5)


@pytest.mark.parametrize(("n", "block"), [(1, 8), (7, 8), (8, 8), (9, 8), (50, 8), (64, 8), (300, 100), (1100, 2000)])
def test_inverse_in_blocks(n: int, block: int) -> None:
    x = np.random.default_rng(n).standard_normal((n + 5, n)).astype(np.float32)
    a = x.T @ x + np.eye(n, dtype=np.float32) * n / 10
    expected = np.linalg.inv(a.astype(np.float64))
    out = inverse(a, block)
    assert out is a
    np.testing.assert_allclose(a, expected, atol=1e-5 * np.abs(expected).max())
    assert (a == a.T).all()


def test_what_has_no_inverse() -> None:
    with pytest.raises(RecliError, match="cannot be inverted") as caught:
        inverse(-np.eye(4, dtype=np.float32))
    assert caught.value.code == Exit.DIVERGED
