"""The inverse that EASE spends its time on, beside a Cholesky inverse by torch, each in a process of its own.

    python tests/benchmarks/ease.py [ITEMS] [--threads 2]

A made-up Gram matrix of float32, of 26,744 items (MovieLens-20M's) unless told: the seconds, the peak memory in
matrices (its making takes one and a bit), and how far the products of a few columns with the matrix are from the
identity's. About five minutes and 9 GB for 26,744.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
from numpy.typing import NDArray

FACTORS, ROWS, RIDGE = 2000, 2000, 500.0


def gram(n: int) -> NDArray[np.float32]:
    """Some rows at a time: as one product OpenBLAS makes a symmetric one of it, which crashes at this size."""
    rows = np.random.default_rng(0).random((n, FACTORS), np.float32)
    columns = rows.T.copy()
    made = np.empty((n, n), np.float32)
    for start in range(0, n, ROWS):
        np.matmul(rows[start : start + ROWS], columns, out=made[start : start + ROWS])
    made[np.diag_indices(n)] += RIDGE
    return made


def measure(who: str, n: int, threads: int) -> None:
    a = gram(n)
    columns = a[:, :8].copy()
    if who == "torch":
        import torch

        torch.set_num_threads(threads)
        began = time.perf_counter()
        found = torch.cholesky_inverse(torch.linalg.cholesky(torch.from_numpy(a))).numpy()
    else:
        from recli.models.linear.ease import inverse

        began = time.perf_counter()
        found = inverse(a)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / (4 * n * n)
    off = float(np.abs(found @ columns - np.eye(n, 8)).max())
    print(json.dumps([seconds, peak, off]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("items", type=int, nargs="?", default=26_744)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("recli", "torch"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        measure(given.only, given.items, given.threads)
        return
    took = {}
    for who in ("recli", "torch"):
        command = [sys.executable, __file__, str(given.items), "--threads", str(given.threads), "--only", who]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        took[who], peak, off = json.loads(done.stdout)
        print(f"{who}: {took[who]:.1f} s, peak {peak:.2f} matrices, off by {off:.1e}", flush=True)
    print(f"ratio {took['torch'] / took['recli']:.2f}")


if __name__ == "__main__":
    main()
