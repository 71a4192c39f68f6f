"""NCE-PLRec against its formulas with full matrices."""

import numpy as np
import pytest

from recli.model import Run
from recli.models.factor import nceplrec
from recli.models.factor.nceplrec import NCEPLRec
from tests.checks import tiny


@pytest.mark.parametrize(
    "model",
    [
        NCEPLRec(rank=6, reg_weight=3.0),
        NCEPLRec(rank=6, reg_weight=3.0, beta=0.5),
        NCEPLRec(rank=6, reg_weight=3.0, beta=1.3),
        NCEPLRec(),
    ],
    ids=str,
)
def test_the_formulas(model: NCEPLRec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nceplrec, "ITERATIONS", 60)
    x = tiny().matrix.toarray().astype(np.float64)
    d = x * np.maximum(np.log(len(x) / x.sum(0) ** model.beta), 0)
    _, s, vt = np.linalg.svd(d, full_matrices=False)
    q = x @ (vt[: model.rank].T * np.sqrt(s[: model.rank]))
    w = np.linalg.solve(q.T @ q + model.reg_weight * np.eye(q.shape[1]), q.T @ x)
    np.testing.assert_allclose(model.fit(tiny(), Run()).score(tiny().queries()), q @ w, atol=3e-4)
