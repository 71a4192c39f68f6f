"""Functions that are compiled: at their first call with arguments of some types, and kept on disk for the next process.

That process loads the machine code and does without numba. What a name stands for in a kernel is fixed when it is
compiled; the files that hold it are part of what the code is known by.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import numpy as np

from recli.kernels import native
from recli.notices import say

if TYPE_CHECKING:
    from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
HERE = Path(__file__).parent
C_ORDER, F_ORDER, ALIGNED_AND_WRITEABLE = 0x1, 0x2, 0x500  # as in numpy's flags
CONSTANT = (int, float, tuple, np.generic)
_making = RLock()  # threads that share a kernel's rows all want it at once
_say_once = cache(say)


class Instruction(NamedTuple):
    """A function of `recli.kernels.instructions`, which is imported only to compile what uses it."""

    name: str

    def __call__(self, *arguments: Any) -> Any:
        """An instruction stands in kernels only."""
        raise TypeError(f"{self.name} can be called in a kernel only")


class Part:
    """A function that kernels call."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.compiled = function, None

    def __call__(self, *arguments: Any) -> Any:
        """By itself it is compiled in every process."""
        from recli.kernels.compiling import inlined

        return inlined(self)(*arguments)


class Kernel:
    """A function that Python calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.made: dict[tuple[object, ...], native.Call] = {}

    def __call__(self, *arguments: Any) -> Any:
        """Call the code for such arguments; raises TypeError where they are not arrays, numbers or tuples of them."""
        return self._call(arguments, pieces=False)(None, arguments, None)

    def on_threads(self, lender: int, count: int, starts: NDArray[np.int64], arguments: tuple[Any, ...]) -> None:
        """Call it with the arguments for each piece, from a start to the next, on threads that are lent; see `sharing`.

        Raises:
            MemoryError: a piece failed.
        """
        given = arguments, starts, count, lender
        if self._call(given, pieces=True)(None, given, None):
            raise MemoryError(f"{self.function.__qualname__} failed in a thread")

    def _call(self, arguments: tuple[Any, ...], *, pieces: bool) -> native.Call:
        kinds = (pieces, *map(_kind, arguments))
        call = self.made.get(kinds)
        if call is None:
            with _making:
                call = self.made.get(kinds)
                if call is None:
                    call = self.made[kinds] = native.load(self._code(kinds, arguments, pieces))
        return call

    def _code(self, kinds: tuple[object, ...], arguments: tuple[Any, ...], pieces: bool) -> native.Code:
        """What was kept of it, or else is compiled."""
        path = Path(self.function.__code__.co_filename)
        which = _digest(native.target().encode(), repr(kinds).encode())[:16]  # processors may share a directory
        name = f"{path.stem}.{self.function.__qualname__}-{which}.code"
        made = _made_from(self.function.__globals__)
        code = native.read(name, path.parent, made) if made else None
        if code is None:
            _say_once("compiling for this processor, once; the next run finds it done")
            from recli.kernels.compiling import machine_code

            code = machine_code(self.function, arguments, pieces=pieces)
            if made:
                native.keep(name, path.parent, made, code)
        return code


def kernel(function: Function) -> Function:
    """Compile a function at its first call and keep the machine code on disk, where a directory is writable.

    The functions that it calls are Python's and numpy's, a `part` or `recli.kernels.vector`'s.
    """
    return cast(Function, Kernel(function))


def part(function: Function) -> Function:
    """A function that is compiled into the kernels that call it, and so is the same in all of them."""
    return cast(Function, Part(function))


def _kind(value: Any) -> object:
    """What of an argument matters to the compiler: equal for two, and the same code does for both."""
    kind = type(value)
    if kind is np.ndarray:
        flags = value.flags.num
        return value.dtype, value.ndim, flags & C_ORDER or flags & F_ORDER, flags & ALIGNED_AND_WRITEABLE
    if kind is int:
        return kind if value < 1 << 63 else "uint64"
    if value is None or issubclass(kind, float | bool | np.generic):
        return kind
    if issubclass(kind, np.ndarray):
        return _kind(value.view(np.ndarray))
    if issubclass(kind, tuple):
        return kind.__qualname__, *map(_kind, value)
    raise TypeError(f"a kernel takes arrays and numbers, not {kind.__name__}")


def _digest(*parts: bytes) -> str:
    return sha256(b"\0".join(parts)).hexdigest()


def _made_from(names: dict[str, Any]) -> str:
    """A digest of what a module's kernels are compiled for and by, of the files that hold them and what they call, and
    of the constants there, which may stand elsewhere; empty if one of the modules has no file.
    """
    files = {str(HERE / "compiling.py"), str(HERE / "sharing.py"), native.__file__}
    constants, waiting = [native.target()], [names]
    while waiting:
        names = waiting.pop()
        if "__file__" not in names:
            return ""
        if names["__file__"] not in files:
            files.add(names["__file__"])
            waiting += [value.function.__globals__ for value in names.values() if isinstance(value, Part)]
            constants += [f"{name}={value!r}" for name, value in names.items() if isinstance(value, CONSTANT)]
            if any(isinstance(value, Instruction) for value in names.values()):
                files.add(str(HERE / "instructions.py"))
    return _digest("\n".join(constants).encode(), *(Path(file).read_bytes() for file in sorted(files)))
