"""What the order of bpr's steps costs: recli's strata beside events drawn one by one, as in the paper and in implicit.

    python tests/benchmarks/order.py [EPOCHS,EPOCHS,...]

Both take the same steps, as many of them, at the same falling rates and from the same first rows, with negatives drawn
from all items alike; only which event comes next, and which block a negative is of, differ. Gowalla, the model's
defaults: recall@20 and ndcg@20 on LightGCN's test set, and the seconds of a fit on one thread.
"""

import sys
import time

import numba
import numpy as np
import polars as pl
from implicit import K, gowalla

from recli.interactions import Interactions, encode
from recli.kernels import threads
from recli.metrics import METRICS
from recli.metrics.metric import by_user
from recli.model import Run
from recli.models.factor.bpr import BPR
from recli.ranking import top_k
from recli.scorers import Factors


@numba.njit(nogil=True, fastmath={"reassoc", "contract"}, error_model="numpy")
def drawn(indptr, codes, owner, user, item, rate, reg, rng):
    """An epoch of Rendle et al. 2009, Fig. 4: an event drawn from all, and an item that its user does not have."""
    for _ in range(len(codes)):
        at = rng.integers(0, len(codes))
        u, i = owner[at], codes[at]
        mine = codes[indptr[u] : indptr[u + 1]]
        j = rng.integers(0, len(item))
        while True:
            place = np.searchsorted(mine, j)
            if place == len(mine) or mine[place] != j:
                break
            j = rng.integers(0, len(item))
        x = np.float32(0)
        for f in range(user.shape[1]):
            x += user[u, f] * (item[i, f] - item[j, f])
        move, keep = rate / (1 + np.exp(x)), 1 - rate * reg
        for f in range(user.shape[1]):
            uf, jf, kf = user[u, f], item[i, f], item[j, f]
            user[u, f] = keep * uf + move * (jf - kf)
            item[i, f] = keep * jf + move * uf
            item[j, f] = keep * kf - move * uf


def one_by_one(model: BPR, data: Interactions, run: Run) -> Factors:
    """The fit of `drawn`."""
    matrix, rng = data.matrix, np.random.default_rng(run.seed)
    user, item = (
        np.float32(0.1) * rng.standard_normal((n, model.embedding_size), dtype=np.float32) for n in matrix.shape
    )
    owner = np.repeat(np.arange(data.n_users), np.diff(matrix.indptr))
    for epoch in range(model.epochs):
        rate = np.float32(model.learning_rate * (1 - epoch / model.epochs))
        drawn(matrix.indptr, matrix.indices, owner, user, item, rate, np.float32(model.reg_weight), rng)
    return Factors(user=user, item=item)


def accuracy(scorer: Factors, data: Interactions, test: pl.DataFrame) -> list[float]:
    """recall@20 and ndcg@20."""
    codes, _ = top_k(scorer, data.queries(), K, seen=(data.indptr, data.item))
    user, item = encode(test["user_id"], data.users), encode(test["item_id"], data.items)
    order = np.lexsort((item, user))
    indptr = np.searchsorted(user[order], np.arange(data.n_users + 1))
    values = by_user([(METRICS["recall"], K), (METRICS["ndcg"], K)], codes, indptr, item[order])
    return [float(np.nanmean(value)) for value in values]


def main(counts: list[int]) -> None:
    """Measure, and print."""
    data, test = gowalla()
    print("epochs", "order", "seconds", "recall@20", "ndcg@20", sep="\t")
    for fit in (BPR.fit, one_by_one):
        fit(BPR(epochs=1), data, Run(threads=1))  # what compiles has compiled
    for epochs in counts:
        for name, fit in (("strata", BPR.fit), ("one by one", one_by_one)):
            began = time.perf_counter()
            scorer = fit(BPR(epochs=epochs), data, Run(threads=1))
            seconds = time.perf_counter() - began
            with threads(1):
                found = accuracy(scorer, data, test)
            print(epochs, name, f"{seconds:.1f}", *(f"{value:.4f}" for value in found), sep="\t", flush=True)


if __name__ == "__main__":
    main([int(count) for count in (sys.argv[1] if len(sys.argv) > 1 else "20,50,100,200").split(",")])
