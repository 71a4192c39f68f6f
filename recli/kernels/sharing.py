"""A kernel piece by piece on threads that another library lends, none of which takes the interpreter's lock.

To hand a piece out in Python costs tens of microseconds, and more where a thread sleeps until it has the lock: as long
as the kernel takes for a thousand rows. Here it is one addition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

INDEX, NUMBER, ANYTHING = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()
BODY: Final = ir.FunctionType(ir.VoidType(), [ANYTHING])
LENDER: Final = ir.FunctionType(ir.VoidType(), [BODY.as_pointer(), ANYTHING, NUMBER, NUMBER])  # as GOMP_parallel
GIVEN, STARTS, PIECES, NEXT, FAILED = range(5)  # what threads are told: the places in their structure


def shared(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """What calls ``function(*given, start, stop)`` for all pieces: ``(given, starts, count, lender)``.

    ``starts`` (pieces + 1,) are where they begin, ``lender`` is the address of a function as GOMP_parallel, which has
    ``count`` threads work. Returns whether one failed, as a kernel may that finds no memory.
    """
    inner = numba.njit(**options)(function)

    @intrinsic  # type: ignore[untyped-decorator]
    def run(_: Any, given: Any, starts: Any, count: Any, lender: Any) -> Any:
        kinds = (*given.types, types.int64, types.int64)
        inner.compile(kinds)

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _lent(context, builder, inner.overloads[kinds], context.make_array(starts), args)

        return types.boolean(given, starts, count, lender), code

    def all_pieces(given: Any, starts: Any, count: Any, lender: Any) -> Any:
        return run(given, starts, count, lender)

    all_pieces.__qualname__ = function.__qualname__
    return numba.njit(**options)(all_pieces)


def _lent(context: Any, builder: Any, made: Any, array: Any, args: Any) -> Any:
    """The call of the lender, with what its threads are told; whether one failed."""
    context.add_linking_libs([made.library])
    given, starts, count, lender = args[0], array(context, builder, args[1]), args[2], args[3]
    pieces = builder.sub(builder.extract_value(starts.shape, 0), INDEX(1))
    told = (given, starts.data, pieces, INDEX(0), INDEX(0))
    told_type = ir.LiteralStructType([value.type for value in told])
    place = cgutils.alloca_once(builder, told_type)
    for number, value in enumerate(told):
        builder.store(value, cgutils.gep_inbounds(builder, place, 0, number))
    lend = builder.inttoptr(lender, LENDER.as_pointer())
    body = _body(context, builder.module, made, told_type)
    builder.call(lend, [body, builder.bitcast(place, ANYTHING), builder.trunc(count, NUMBER), NUMBER(0)])
    failed = builder.load(cgutils.gep_inbounds(builder, place, 0, FAILED))
    return builder.icmp_unsigned("!=", failed, INDEX(0))


def _body(context: Any, module: Any, made: Any, told_type: Any) -> Any:
    """What a thread does: take the next piece, until there is none."""
    body = ir.Function(module, BODY, f"pieces.{made.fndesc.mangled_name}")
    body.linkage = "internal"
    begin, take, work, fail, end = (body.append_basic_block(name) for name in ("begin", "take", "work", "fail", "end"))
    builder = ir.IRBuilder(begin)
    told = builder.bitcast(body.args[0], told_type.as_pointer())
    place = [cgutils.gep_inbounds(builder, told, 0, number) for number in range(len(told_type))]
    given = cgutils.unpack_tuple(builder, builder.load(place[GIVEN]))
    starts, pieces = builder.load(place[STARTS]), builder.load(place[PIECES])
    builder.branch(take)
    builder.position_at_end(take)
    piece = builder.atomic_rmw("add", place[NEXT], INDEX(1), "monotonic")
    builder.cbranch(builder.icmp_signed("<", piece, pieces), work, end)
    builder.position_at_end(work)
    start, stop = (builder.load(builder.gep(starts, [at])) for at in (piece, builder.add(piece, INDEX(1))))
    function = context.declare_function(module, made.fndesc)
    described = made.fndesc
    status, _ = context.call_conv.call_function(
        builder, function, described.restype, described.argtypes, [*given, start, stop]
    )
    builder.cbranch(status.is_error, fail, take)
    builder.position_at_end(fail)
    builder.atomic_rmw("xchg", place[FAILED], INDEX(1), "monotonic")
    builder.branch(end)
    builder.position_at_end(end)
    builder.ret_void()
    return body
