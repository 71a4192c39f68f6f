"""The axes of rows, against numpy's eigenvectors."""

import numpy as np
import pytest

from recli.kernels import axes, threads


@pytest.mark.parametrize(("n", "width"), [(1, 1), (3, 8), (4099, 7), (9001, 64), (300, 130)])
def test_the_axes_make_the_products_a_diagonal(n: int, width: int) -> None:
    """Also of fewer rows than columns, of columns that are alike, of nothing, and of lengths far from each other."""
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal((n, width)) * np.logspace(-3, 1, width)).astype(np.float32)
    rows[:, -1] = rows[:, 0]
    rows[:, width // 2 :: 5] = 0
    gram = axes.gram(rows)
    exact = rows.T.astype(np.float64) @ rows
    scale = np.abs(exact).max()
    np.testing.assert_allclose(gram, exact, atol=1e-5 * scale)
    values, basis = axes.of(gram)
    np.testing.assert_allclose(basis.T @ gram @ basis, np.diag(values), atol=1e-8 * scale)
    np.testing.assert_allclose(np.sort(values), np.linalg.eigvalsh(gram), atol=1e-12 * scale)
    np.testing.assert_allclose(basis.T @ basis, np.eye(width), atol=1e-12)
    turned = rows.copy()
    axes.turn(turned, basis)
    np.testing.assert_allclose(turned, rows @ basis, atol=1e-5 * np.abs(rows).max())


def test_threads_change_no_bit() -> None:
    rows = np.random.default_rng(0).standard_normal((30_001, 24)).astype(np.float32)
    found = []
    for count in (1, 2, 5):
        with threads(count):
            turned = rows.copy()
            gram = axes.gram(rows)
            axes.turn(turned, axes.of(gram)[1])
            found.append(gram.tobytes() + turned.tobytes())
    assert found[0] == found[1] == found[2]


def test_nothing_has_any_axes() -> None:
    values, basis = axes.of(axes.gram(np.zeros((0, 4), np.float32)))
    assert values.tolist() == [0, 0, 0, 0]
    np.testing.assert_array_equal(basis, np.eye(4))
