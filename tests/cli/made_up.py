"""What several files of tests make their inputs from: lists of another program, a truth, and a process in a folder."""

import json
import math
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Lists = dict[str, list[str]]

ITEMS = [f"i{number}" for number in range(30)]


def run_in(folder: Path, *arguments: object, input: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run recli in a folder that outlives the test; stdin is empty where nothing is given."""
    command = [sys.executable, "-m", "recli", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, input=input or "")


def document(done: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    """What stands on stdout, which has to be one JSON document."""
    assert done.returncode == code, done.stderr
    return dict(json.loads(done.stdout))


def some_truth(users: int, seed: int) -> Lists:
    rng = random.Random(seed)
    return {f"u{user}": rng.sample(ITEMS, rng.randint(1, 4)) for user in range(users)}


def some_lists(truth: Mapping[str, Sequence[str]], skill: float, seed: int) -> Lists:
    """Lists of five; with a chance of ``skill`` a place goes to something relevant, if there is any left."""
    rng = random.Random(seed)
    lists = {}
    for user, relevant in truth.items():
        left, others = list(relevant), [item for item in ITEMS if item not in relevant]
        lists[user] = [(left if left and rng.random() < skill else others).pop(rng.randrange(1)) for _ in range(5)]
        rng.shuffle(lists[user])
    return lists


def write(path: Path, lists: Mapping[str, Sequence[str]], more: str = "rank") -> None:
    """A row for each item of each list; ``more`` names a last column, which counts from 1, or is empty."""
    rows = [(user, item, place) for user, items in lists.items() for place, item in enumerate(items, 1)]
    text = "".join(f"{user},{item}{f',{place}' if more else ''}\n" for user, item, place in rows)
    path.write_text(f"user_id,item_id{f',{more}' if more else ''}\n{text}")


def hit(items: Sequence[str], relevant: Sequence[str], k: int) -> float:
    return float(any(item in relevant for item in items[:k]))


def recall(items: Sequence[str], relevant: Sequence[str], k: int) -> float:
    return sum(item in relevant for item in items[:k]) / len(relevant)


def ndcg(items: Sequence[str], relevant: Sequence[str], k: int) -> float:
    found = sum(1 / math.log2(place + 1) for place, item in enumerate(items[:k], 1) if item in relevant)
    return found / sum(1 / math.log2(place + 1) for place in range(1, min(k, len(relevant)) + 1))
