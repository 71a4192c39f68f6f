"""Shared by the tests of the sources: files to read, and refusals to look at."""

from collections.abc import Callable
from pathlib import Path

import pytest

from recli.errors import Exit, RecliError
from recli.sources import Options, read


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Put a file into the temporary folder."""

    def put(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return put


@pytest.fixture
def refused() -> Callable[..., str]:
    """Read a path that must be refused; gives ``FILE:LINE: what is wrong`` with the bare file name."""

    def refused(path: Path, code: Exit = Exit.DATA, hint: str | None = None, **options: object) -> str:
        with pytest.raises(RecliError) as caught:
            read(path, Options(**options))
        assert caught.value.code == code, caught.value
        assert "\n" not in str(caught.value)
        if hint is not None:
            assert hint in (caught.value.hint or ""), caught.value.hint
        return str(caught.value).removeprefix(f"{path.parent}/")

    return refused
