"""`recli.kernels.sparse` against scipy's sparse matrices."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from recli.kernels.sparse import Sparse, of_rows, turned, without_zeros


def matrix(rows: int, columns: int, density: float, seed: int) -> sp.csr_matrix:
    """Some of whose entries are zeros that are there."""
    made = sp.random(rows, columns, density, "csr", np.float32, np.random.default_rng(seed))
    made.data[::3] = 0
    return made


def parts(made: sp.csr_matrix) -> Sparse:
    return Sparse(made.indptr.astype(np.int64), made.indices.astype(np.int32), made.data)


sizes = given(st.integers(0, 30), st.integers(1, 30), st.floats(0, 1), st.integers(0, 99))


def same(found: Sparse, expected: sp.csr_matrix) -> None:
    for one, other in zip(found, (expected.indptr, expected.indices, expected.data), strict=True):
        np.testing.assert_array_equal(one, other)


@sizes
def test_without_zeros(rows: int, columns: int, density: float, seed: int) -> None:
    made = matrix(rows, columns, density, seed)
    found = without_zeros(*parts(made))
    made.eliminate_zeros()
    same(found, made)


@sizes
def test_turned(rows: int, columns: int, density: float, seed: int) -> None:
    made = matrix(rows, columns, density, seed)
    same(turned(parts(made), columns), made.T.tocsr())


@sizes
def test_of_rows(rows: int, columns: int, density: float, seed: int) -> None:
    made = matrix(rows + 1, columns, density, seed)
    chosen = np.random.default_rng(seed).integers(0, rows + 1, 2 * rows)
    indptr, entries = of_rows(made.indptr.astype(np.int64), made.indices.astype(np.int32), chosen)
    expected = made[chosen]
    np.testing.assert_array_equal(indptr, expected.indptr)
    np.testing.assert_array_equal(entries, expected.indices)


def test_a_number_that_is_none_is_no_zero() -> None:
    found = without_zeros(np.array([0, 3]), np.arange(3, dtype=np.int32), np.array([np.nan, 0, -0.0], np.float32))
    assert found.indices.tolist() == [0]
    assert found.data[0] == pytest.approx(np.nan, nan_ok=True)
