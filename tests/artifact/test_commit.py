"""The atomic commit under faults: the target is the old file or a complete new one, and no temporary file stays."""

import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from recli.artifact import Header, commit, guard, load, save
from recli.errors import Exit, RecliError

HEADER = Header(kind="model", command="train")
OLD, NEW = {"a": np.zeros(50_000)}, {"a": np.ones(50_000)}


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".tmp")]


def script(body: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    """A Python process that can save artifacts; ``sys.argv[1:]`` are the arguments."""
    start = """
        import os, signal, sys, time
        import numpy as np
        from pathlib import Path
        from recli.artifact import Header, commit, load, save
        HEADER = Header(kind="model", command="train")
        def ready(): print("ready", flush=True)
    """
    code = textwrap.dedent(start) + textwrap.dedent(body)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], **(pipes | options))  # type: ignore[call-overload, no-any-return]


def test_a_new_file_gets_the_mode_of_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        save(tmp_path / "x.npz", HEADER, NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.npz").stat().st_mode) == 0o640


def test_dev_full() -> None:
    with pytest.raises(OSError) as error:
        save(Path("/dev/full"), HEADER, NEW)
    assert error.value.errno == 28


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_a_file_size_limit(tmp_path: Path, kind: str) -> None:
    import polars as pl

    target = tmp_path / f"x.{kind}"
    payload = NEW if kind == "npz" else pl.DataFrame({"x": np.random.default_rng(0).random(50_000)})
    save(target, HEADER, payload)
    old = target.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError) as error:
            save(target, HEADER, payload)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.errno == 27
    assert target.read_bytes() == old
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_file_system(tmp_path: Path) -> None:
    body = f"""
        set -e
        mount -t tmpfs -o size=600k tmpfs {tmp_path}
        {sys.executable} - <<'PYTHON'
        import numpy as np
        from pathlib import Path
        from recli.artifact import Header, load, save
        header, target = Header(kind="model", command="train"), Path("{tmp_path}/x.npz")
        save(target, header, {{"a": np.zeros(20_000)}})
        try:
            save(target, header, {{"a": np.zeros(70_000)}})
        except OSError as error:
            assert error.errno == 28, error
        else:
            raise SystemExit("the disk was not full")
        assert len(load(target).arrays["a"]) == 20_000
        assert [path.name for path in target.parent.iterdir()] == ["x.npz"]
        print("sound")
        PYTHON
    """
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", textwrap.dedent(body)], capture_output=True, text=True, check=False
    )
    if "unshare failed" in done.stderr or "permission denied" in done.stderr:
        pytest.skip("no mount namespace here")
    assert done.stdout.strip() == "sound", done.stderr


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE])
def test_a_signal_while_writing(tmp_path: Path, signum: int) -> None:
    target = tmp_path / "x.npz"
    save(target, HEADER, OLD)
    old = target.read_bytes()
    with script(
        """
        from recli.errors import Interrupted
        def slow(out):
            out.write(b"half")
            out.flush()
            ready()
            for _ in range(600):  # one long sleep would go on if the signal came just before it
                time.sleep(0.05)
        try:
            commit(Path(sys.argv[1]), slow)
        except Interrupted as interrupted:
            sys.exit(interrupted.signum)
        """,
        target,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        assert len(leftovers(tmp_path)) == 1
        started = time.monotonic()
        process.send_signal(signum)
        assert process.wait(10) == signum
    assert time.monotonic() - started < 2
    assert target.read_bytes() == old
    assert leftovers(tmp_path) == []


def test_signals_are_left_alone_elsewhere(tmp_path: Path) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    save(tmp_path / "x.npz", HEADER, NEW)
    assert before == {number: signal.getsignal(number) for number in before}


def test_sigkill_at_any_moment(tmp_path: Path) -> None:
    """50 writers, killed at random: what stands there is always one of the two whole files."""
    target = tmp_path / "x.npz"
    save(target, HEADER, OLD)
    killer = script(
        """
        import random
        target = Path(sys.argv[1])
        versions = [{"a": np.zeros(50_000)}, {"a": np.ones(50_000)}]
        chance = random.Random(7)
        for run in range(50):
            child = os.fork()
            if child == 0:
                while True:
                    for version in versions:
                        save(target, HEADER, version)
            time.sleep(chance.random() * 0.03)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            values = set(load(target).arrays["a"].tolist())
            assert values in ({0.0}, {1.0}), values
        print("sound")
        """,
        target,
    )
    out, err = killer.communicate(timeout=60)
    assert out == "sound\n", err


def test_two_writers_leave_one_whole_file(tmp_path: Path) -> None:
    target = tmp_path / "x.npz"
    versions = [{"a": np.full(200_000, float(number))} for number in range(4)]

    def write(version: dict[str, np.ndarray]) -> None:
        for _ in range(10):
            save(target, HEADER, version)

    threads = [threading.Thread(target=write, args=(version,)) for version in versions]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if target.exists():
            assert len(set(load(target).arrays["a"].tolist())) == 1
    for thread in threads:
        thread.join()
    assert leftovers(tmp_path) == []


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    real, link = tmp_path / "real.npz", tmp_path / "link.npz"
    link.symlink_to("real.npz")
    save(link, HEADER, NEW)  # the link dangles
    assert link.is_symlink() and real.is_file()
    save(link, HEADER, OLD)
    assert link.is_symlink() and load(real).arrays["a"][0] == 0


def test_a_hard_link_keeps_the_old_file(tmp_path: Path) -> None:
    target, twin = tmp_path / "x.npz", tmp_path / "twin.npz"
    save(target, HEADER, OLD)
    twin.hardlink_to(target)
    save(target, HEADER, NEW)
    assert load(twin).arrays["a"][0] == 0 and load(target).arrays["a"][0] == 1


def test_a_fifo_is_written_through(tmp_path: Path) -> None:
    fifo, copy = tmp_path / "fifo", tmp_path / "copy.npz"
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: copy.write_bytes(fifo.read_bytes()))
    reader.start()
    save(fifo, HEADER, NEW)
    reader.join(10)
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert load(copy).arrays["a"][0] == 1


@pytest.mark.parametrize("through", ["pipe", "file"])
def test_dev_stdout_is_written_through(tmp_path: Path, through: str) -> None:
    copy = tmp_path / "copy.npz"
    body = 'save(Path("/dev/stdout"), HEADER, {"a": np.ones(5)})'
    if through == "file":
        with copy.open("wb") as out:
            script(body, stdout=out, text=False).communicate(timeout=30)
    else:
        copy.write_bytes(script(body, text=False).communicate(timeout=30)[0])  # type: ignore[arg-type]
    assert load(copy).arrays["a"].tolist() == [1] * 5


def test_a_failed_check_leaves_the_target(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_text("old")

    def refuse(path: Path) -> None:
        raise ValueError(path.read_text())

    with pytest.raises(ValueError, match="new"):
        commit(target, lambda out: out.write(b"new"), refuse)  # type: ignore[arg-type, return-value]
    assert target.read_text() == "old"
    assert leftovers(tmp_path) == []


def test_a_long_name_fits(tmp_path: Path) -> None:
    save(tmp_path / ("x" * 251 + ".npz"), HEADER, NEW)


class TestGuard:
    """What is refused before any work is done."""

    def test_an_input(self, tmp_path: Path) -> None:
        source, link = tmp_path / "x", tmp_path / "link"
        source.write_text("data")
        link.symlink_to(source)
        for target in (source, link, tmp_path / "." / "x"):
            with pytest.raises(RecliError) as error:
                guard(target, [source])
            assert error.value.code is Exit.USAGE

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(RecliError) as error:
            guard(tmp_path, [])
        assert error.value.code is Exit.USAGE

    def test_a_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(RecliError) as error:
            guard(tmp_path / "no" / "x", [])
        assert error.value.code is Exit.IO

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
    def test_a_read_only_folder(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o555)
            child = os.fork()
            if child == 0:  # as nobody: root may write anywhere
                message = ""
                try:
                    os.setuid(65534)
                    guard(folder / "x", [])
                except RecliError as error:
                    message = f"{error.code.name} {error.message}"
                finally:
                    os._exit(0 if message == "IO the folder cannot be written" else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
