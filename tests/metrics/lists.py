"""Small made-up users for the tests of metrics: a list of distinct codes, and the codes that are relevant."""

import json
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from recli.metrics.gains import judge
from recli.metrics.metric import by_user

GOLDEN = Path(__file__).parents[1] / "golden"
N_ITEMS = 12

codes = st.integers(0, N_ITEMS - 1)
users = st.lists(st.tuples(st.lists(codes, unique=True, max_size=8), st.sets(codes)), min_size=1, max_size=12)
users_with_truth = st.lists(
    st.tuples(st.lists(codes, unique=True, max_size=8), st.sets(codes, min_size=1)), min_size=1, max_size=12
).filter(lambda users: any(listed for listed, _ in users))
cuts = st.integers(1, 8)


def matrix(lists, depth=8):
    """Lists of codes as (users, depth), -1 where they have ended."""
    items = np.full((len(lists), depth), -1, np.int32)
    for row, listed in zip(items, lists, strict=True):
        row[: len(listed)] = listed
    return items


def truth_of(users):
    """What is relevant, as ``(indptr, items)``."""
    indptr = np.append(0, np.cumsum([len(truth) for _, truth in users])).astype(np.int64)
    return indptr, np.array([item for _, truth in users for item in sorted(truth)], np.int32)


def judged(users, depth=8):
    return judge(matrix([listed for listed, _ in users]), *truth_of(users), depth=depth)


def value(metric, users, k):
    """A ranking metric of all users."""
    indptr, items = truth_of(users)
    (values,) = by_user([(metric, k)], matrix([listed for listed, _ in users]), indptr, items)
    return metric.mean(values, np.diff(indptr), k)


def four_lists():
    """The golden users, their k and their golden values."""
    golden = json.loads((GOLDEN / "four_lists.json").read_text())
    letters = {letter: code for code, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
    four = [
        ([letters[item] for item in golden["lists"][user]], {letters[item] for item in golden["relevant"][user]})
        for user in golden["lists"]
    ]
    return four, golden
