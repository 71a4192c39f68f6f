"""What makes machine code of a kernel: numba, imported only where nothing is kept that could be loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numba
from numba.core.registry import cpu_target
from numba.extending import typeof_impl

from recli.kernels import instructions
from recli.kernels.functions import Instruction, Part
from recli.kernels.native import Code
from recli.kernels.sharing import shared

if TYPE_CHECKING:
    from collections.abc import Callable

# Sums may be taken in another order (SIMD) and products fused; whatever else fast maths may do takes NaN and infinity
# for impossible.
OPTIONS: Final[dict[str, Any]] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract"}}


def machine_code(function: Callable[..., Any], arguments: tuple[Any, ...], *, pieces: bool = False) -> Code:
    """Compile a function for arguments of these types, or what calls it for ``pieces``, see `sharing`.

    What it returns is a number, numbers or None. An array would need what numba keeps as a pickle; what a kernel makes
    it writes to arrays that it is given.
    """
    dispatcher = shared(function, OPTIONS) if pieces else numba.njit(**OPTIONS)(function)
    kinds = tuple(numba.typeof(argument) for argument in arguments)
    dispatcher.compile(kinds)
    made = dispatcher.overloads[kinds]
    if made.environment.consts:
        raise TypeError(f"kernel {function.__qualname__} returns an array")
    return Code(made.library._get_compiled_object(), made.fndesc.llvm_cpython_wrapper_name, made.fndesc.env_name)


def inlined(part: Part) -> Any:
    """A part as numba knows it: compiled into what calls it, and so the same in all of them."""
    if part.compiled is None:
        part.compiled = numba.njit(forceinline=True, **OPTIONS)(part.function)
    return part.compiled


# numba asks for the type of every name in a kernel; it knows that of a part and of an instruction of its own.
known = cpu_target.typing_context.resolve_value_type
typeof_impl.register(Part)(lambda part, _: known(inlined(part)))
typeof_impl.register(Instruction)(lambda instruction, _: known(getattr(instructions, instruction.name)))
