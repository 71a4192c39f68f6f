"""What the depths want said to whoever watches. The command line listens; in a library nobody need."""

from collections.abc import Callable

listeners: list[Callable[[str], None]] = []


def say(text: str) -> None:
    """Tell every listener."""
    for listener in listeners:
        listener(text)
