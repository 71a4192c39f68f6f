"""SLIM of MovieLens-1M against scikit-learn's ElasticNet, item by item, at the same parameters.

    python tests/benchmarks/slim.py [ITEMS]

scikit-learn solves for ITEMS items (100), drawn at random, as RecBole's SLIMElastic calls it, and the seconds are
scaled to all; recli solves for all on two threads. Then the weights of those items are compared with what scikit-learn
finds at a tolerance of 1e-8.
"""

import sys
import time
import warnings

import numpy as np
from implicit import ml_1m
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet

from recli.model import Run
from recli.models.linear.slim import SLIM


def main(count: int) -> None:
    """Measure, compare, print."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    (data, _), model, run = ml_1m(), SLIM(), Run(threads=2)
    model.fit(data, run)  # what compiles has compiled
    began = time.perf_counter()
    weights = model.fit(data, run).weights.tocsc()
    ours = time.perf_counter() - began
    x, theirs, apart = data.matrix.tocsc().astype(np.float64), 0.0, 0.0
    for j in np.random.default_rng(0).choice(data.n_items, count, replace=False):
        target, span = x[:, [j]].toarray().ravel(), slice(x.indptr[j], x.indptr[j + 1])
        kept, x.data[span] = x.data[span].copy(), 0
        for tol, timed in ((model.tol, True), (1e-8, False)):
            net = ElasticNet(
                alpha=model.alpha,
                l1_ratio=model.l1_ratio,
                positive=True,
                fit_intercept=False,
                copy_X=False,
                precompute=False,
                selection="random" if timed else "cyclic",
                max_iter=model.max_iter if timed else 10_000,
                tol=tol,
                random_state=0,
            )
            began = time.perf_counter()
            net.fit(x, target)
            theirs += (time.perf_counter() - began) if timed else 0
        apart = max(apart, float(np.abs(weights[:, [j]].toarray().ravel() - net.coef_).max()))
        x.data[span] = kept
    theirs *= data.n_items / count
    print(f"recli {ours:.2f} s   scikit-learn {theirs:.1f} s (from {count} items)   ratio {theirs / ours:.0f}")
    print(f"largest difference of a weight: {apart:.1e}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
