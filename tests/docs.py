"""The generated parts of the README: ``python tests/docs.py`` renews them, tests/test_docs.py compares them."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PIPELINE = (
    "recli split sample_data/sample.inter | recli train --model ease | recli recommend -k 10 |\n"
    "  recli evaluate --metrics ndcg@10,mrr@10"
)


def models() -> str:
    from recli.models.catalog import CATALOG

    rows = [f"| `{name}` | {entry.task} | {entry.summary} |" for name, entry in CATALOG.items()]
    return "\n".join(["| model | task | what it is |", "|---|---|---|", *rows])


def metrics() -> str:
    from recli.metrics import METRICS

    rows = [
        f"| `{name}{'@k' if metric.takes_cutoff else ''}` | `{metric.definition}` | {metric.summary} |"
        for name, metric in METRICS.items()
    ]
    return "\n".join(["| metric | definition | what it is |", "|---|---|---|", *rows])


def pipeline() -> str:
    """The line, and what it prints, in an empty folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sample_data").symlink_to(ROOT / "sample_data")
        environment = {**os.environ, "PATH": path}
        done = subprocess.run(
            ["bash", "-c", PIPELINE], cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
    return f"```\n$ {PIPELINE}\n{done.stdout}```"


BLOCKS = {"pipeline": pipeline, "models": models, "metrics": metrics}


def block(text: str, name: str) -> str:
    """What stands between the marks of a block."""
    found = re.search(rf"<!-- begin: {name} -->\n(.*?)<!-- end: {name} -->", text, re.DOTALL)
    assert found, f"no block {name}"
    return found[1].rstrip("\n")


def render(text: str) -> str:
    for name, make in BLOCKS.items():
        marks = rf"(<!-- begin: {name} -->\n).*?(<!-- end: {name} -->)"
        content = make()
        text = re.sub(marks, lambda found, content=content: f"{found[1]}{content}\n{found[2]}", text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    README.write_text(render(README.read_text()))
