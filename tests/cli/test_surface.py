"""The surface: help that teaches, a start-up that is light, output for people and for programs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Runner

COMMANDS = ["convert", "filter", "split", "train", "recommend", "evaluate", "run", "show", "check", "models", "metrics"]
HEAVY = ["numpy", "polars", "numba", "torch", "scipy", "pyarrow", "rich"]


def test_help_lists_the_commands(recli: Runner) -> None:
    done = recli("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout
    assert "Exit codes" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_teaches_by_an_example(recli: Runner, command: str) -> None:
    done = recli(command, "-h")
    assert done.returncode == 0
    assert f"Example: recli {command}" in done.stdout
    assert "\x1b" not in done.stdout


def test_help_has_no_colour_in_ci(recli: Runner) -> None:
    import os

    for name in ("GITHUB_ACTIONS", "FORCE_COLOR"):
        assert "\x1b" not in recli("split", "--help", env={**os.environ, name: "1"}).stdout


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["models"], ["train", "--help"]], ids=" ".join)
def test_a_light_start(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['recli', *{arguments!r}]\n"
        "from recli.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("model", ["ease", "pop", "als", "bpr", "itemknn", "random"])
def test_classical_models_import_no_torch(sample: Path, tmp_path: Path, model: str) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['recli', 'train', {str(sample)!r}, '--model', {model!r}, '-q']\n"
        "from recli.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_no_arguments_is_short_help(recli: Runner) -> None:
    done = recli()
    assert done.returncode == 2 and "Usage" in done.stdout


def test_version_is_one_line(recli: Runner) -> None:
    assert recli("--version").stdout.startswith("recli ") and recli("--version").stdout.count("\n") == 1


def test_completion(recli: Runner) -> None:
    import os

    environment = {**os.environ, "_RECLI_COMPLETE": "complete_bash", "COMP_WORDS": "recli sp", "COMP_CWORD": "1"}
    assert "split" in recli(env=environment).stdout


def test_quiet_and_verbose(recli: Runner, sample: Path) -> None:
    assert recli("split", sample, "-q").stderr == ""
    assert "peak memory" in recli("split", sample, "-v", "-f").stderr


def test_models_for_people_and_programs(recli: Runner) -> None:
    names = [entry["name"] for entry in json.loads(recli("models", "--json").stdout)]
    assert {"pop", "random", "itemknn", "ease", "als", "bpr"} <= set(names)
    assert [line.split("\t")[0] for line in recli("models").stdout.splitlines()[1:]] == names
    for name in names:
        explained = json.loads(recli("models", name.upper(), "--json").stdout)
        assert explained["name"] == name and explained["doc"]


def test_metrics_for_people_and_programs(recli: Runner) -> None:
    names = [entry["name"] for entry in json.loads(recli("metrics", "--json").stdout)]
    assert {"hit", "recall", "precision", "mrr", "map", "ndcg"} <= set(names)
    for name in names:
        assert "definition:" in recli("metrics", name).stdout


def test_every_command_has_the_options_of_its_kind(recli: Runner) -> None:
    for command in COMMANDS[:6]:
        text = recli(command, "--help").stdout
        for option in ("-o, --output", "-f, --force", "--overwrite", "-q, --quiet", "-v, --verbose", "-j, --threads"):
            assert option in text, (command, option)


def test_imports_no_code_path_that_executes_data() -> None:
    """No pickle, no eval, no shell: read from the syntax trees of the whole package."""
    import ast

    import recli

    banned_calls, banned_modules = {"eval", "exec", "compile"}, {"pickle", "marshal", "shelve", "dill", "joblib"}
    banned_attributes = {("yaml", "load"), ("torch", "load")}
    for path in Path(recli.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = node.func
                assert not (isinstance(name, ast.Name) and name.id in banned_calls), path
                if isinstance(name, ast.Attribute):
                    assert name.attr != "extractall", path
                    owner = name.value.id if isinstance(name.value, ast.Name) else ""
                    assert (owner, name.attr) not in banned_attributes, path
                for keyword in node.keywords:
                    true = isinstance(keyword.value, ast.Constant) and keyword.value.value is True
                    assert not (keyword.arg in ("shell", "allow_pickle") and true), path
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            assert not {name.split(".")[0] for name in [*names, module]} & banned_modules, path
