"""The first lines of a process that runs RecBole 1.2.1: names that it needs, and current libraries have not."""

RECBOLE = """
import sys, types
import numpy as np, scipy.sparse
np.float, np.float_, np.complex_, np.bool8 = float, np.float64, np.complex128, np.bool_
np.unicode_, np.object = np.str_, object
scipy.sparse.dok_matrix._update = lambda self, entries: self._dict.update(entries)
for name in ("ray", "ray.tune", "hyperopt"):
    sys.modules.setdefault(name, types.ModuleType(name))
sys.modules["ray"].tune = sys.modules["ray.tune"]
"""
