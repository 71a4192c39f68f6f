"""Rows of a matrix as values of the processor's vector registers, in kernels.

What the compiler makes of a loop over a row is left to chance: it checks for overlaps that there are none of, and
stores what it could keep. A `Vector` is a row in registers, and what is written with one is what is computed. A width
that the registers do not divide is allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model
from numba.np.arrayobj import make_array

FLOAT, WORD, INDEX = ir.FloatType(), ir.IntType(32), ir.IntType(64)
FAST = ("reassoc", "contract")  # a sum may be taken in another order
LANES = 16  # of a register, at most
LINE = 16  # floats in a line of the cache
Code = tuple[Any, Callable[..., Any]]


class Vector(types.Type):
    """``width`` floats."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"Vector({width})")


@register_model(Vector)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, ir.VectorType(FLOAT, vector.width))


@intrinsic  # type: ignore[untyped-decorator]
def load(_: Any, matrix: Any, row: Any, fixed: Any) -> Code:
    """Row ``row`` of a matrix whose rows are as wide as those of `recli.kernels.fixed`, and follow on each other.

    Of an array of one dimension, as many numbers from the place ``row`` on; they are to be there.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = builder.load(_address(context, builder, signature, args, _width(fixed)))
        vector.align = 4
        return vector

    return Vector(_width(fixed))(matrix, row, fixed), code


@intrinsic  # type: ignore[untyped-decorator]
def store(_: Any, matrix: Any, row: Any, vector: Any) -> Code:
    """Write to where `load` would find it."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _address(context, builder, signature, args, vector.width), align=4)
        return context.get_dummy_value()

    return types.void(matrix, row, vector), code


@intrinsic  # type: ignore[untyped-decorator]
def fetch(_: Any, matrix: Any, row: Any, fixed: Any) -> Code:
    """Have a row brought into the second cache, as the first is full of what is worked on: it is wanted next."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = builder.bitcast(_address(context, builder, signature, args, _width(fixed)), FLOAT.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [start.type, WORD, WORD, WORD])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        for at in range(0, _width(fixed), LINE):
            builder.call(prefetch, [builder.gep(start, [INDEX(at)]), WORD(0), WORD(2), WORD(1)])  # to read, data
        return context.get_dummy_value()

    return types.void(matrix, row, fixed), code


@intrinsic  # type: ignore[untyped-decorator]
def touch(_: Any, array: Any, place: Any) -> Code:
    """Have ``array[place]`` brought near, an entry or a row of an array in which they follow on each other."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        struct = make_array(signature.args[0])(context, builder, args[0])
        step = cgutils.unpack_tuple(builder, struct.strides)[0]
        at = builder.mul(context.cast(builder, args[1], signature.args[1], types.intp), step)
        start = builder.gep(builder.bitcast(struct.data, ir.IntType(8).as_pointer()), [at])
        kind = ir.FunctionType(ir.VoidType(), [start.type, WORD, WORD, WORD])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(prefetch, [start, WORD(0), WORD(3), WORD(1)])
        return context.get_dummy_value()

    return types.void(array, place), code


@intrinsic  # type: ignore[untyped-decorator]
def number(_: Any, array: Any, place: Any) -> Code:
    """``array[place]`` of numbers that follow on each other, the place being in the array."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _address(context, builder, signature, args, 1)
        return builder.load(builder.bitcast(at, FLOAT.as_pointer()))

    return array.dtype(array, place), code


@intrinsic  # type: ignore[untyped-decorator]
def times(_: Any, factor: Any, vector: Any) -> Code:
    """factor × vector."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fmul(_all(builder, args[0], vector.width), args[1])

    return vector(types.float32, vector), code


@intrinsic  # type: ignore[untyped-decorator]
def each(_: Any, left: Any, right: Any) -> Code:
    """The products, number by number."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fmul(*args)

    return left(left, right), code


@intrinsic  # type: ignore[untyped-decorator]
def plus(_: Any, total: Any, factor: Any, vector: Any) -> Code:
    """total + factor × vector, rounded once where the processor can."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _fma(builder, _all(builder, args[1], vector.width), args[2], args[0])

    return total(total, types.float32, vector), code


@intrinsic  # type: ignore[untyped-decorator]
def dot(_: Any, left: Any, right: Any) -> Code:
    """The sum of the products."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        result, lanes = ir.Constant(FLOAT, -0.0), None
        for start in range(0, left.width, LANES):
            a, b = (_slice(builder, vector, start, min(LANES, left.width - start)) for vector in args)
            if a.type.count < LANES:
                result = _sum(builder, result, builder.fmul(a, b))
            else:
                lanes = builder.fmul(a, b) if lanes is None else _fma(builder, a, b, lanes)
        return result if lanes is None else _sum(builder, result, lanes)

    return types.float32(left, right), code


@intrinsic  # type: ignore[untyped-decorator]
def zeros(_: Any, fixed: Any) -> Code:
    """As wide as a row of `recli.kernels.fixed`."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.VectorType(FLOAT, _width(fixed)), None)

    return Vector(_width(fixed))(fixed), code


@intrinsic  # type: ignore[untyped-decorator]
def head(_: Any, vector: Any, fixed: Any) -> Code:
    """Its first numbers, as many as `recli.kernels.fixed` says."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _slice(builder, args[0], 0, _width(fixed))

    return Vector(_width(fixed))(vector, fixed), code


@intrinsic  # type: ignore[untyped-decorator]
def tail(_: Any, vector: Any, fixed: Any) -> Code:
    """The number that follows on its `head`; 0 where none does."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if vector.width == _width(fixed):
            return ir.Constant(FLOAT, 0.0)
        return builder.extract_element(args[0], WORD(_width(fixed)))

    return types.float32(vector, fixed), code


@intrinsic  # type: ignore[untyped-decorator]
def joined(_: Any, vector: Any, number: Any, fixed: Any) -> Code:
    """As wide as `recli.kernels.fixed`: the vector, and where that is one more the number behind it."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if vector.width == _width(fixed):
            return args[0]
        wider = _slice(builder, args[0], 0, _width(fixed))
        return builder.insert_element(wider, args[1], WORD(vector.width))

    return Vector(_width(fixed))(vector, types.float32, fixed), code


@intrinsic  # type: ignore[untyped-decorator]
def masked(_: Any, vector: Any, by: Any) -> Code:
    """The vector, with 0 where ``by`` is at most 0; NaN is not."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        nothing = ir.Constant(args[0].type, None)
        return builder.select(builder.fcmp_ordered("<=", args[1], nothing), nothing, args[0])

    return vector(vector, by), code


@intrinsic  # type: ignore[untyped-decorator]
def above(_: Any, vector: Any, bound: Any) -> Code:
    """A bit, from the lowest on, for each number that is not at most ``bound``: NaN counts. At most 64 wide."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = builder.fcmp_unordered(">", args[0], _all(builder, args[1], vector.width))
        return builder.zext(builder.bitcast(found, ir.IntType(vector.width)), INDEX)

    return types.uint64(vector, types.float32), code


@intrinsic  # type: ignore[untyped-decorator]
def lowest(_: Any, bits: Any) -> Code:
    """The place of the lowest bit that is set; at least one must be."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(INDEX, [INDEX, ir.IntType(1)])
        count = cgutils.get_or_insert_function(builder.module, kind, "llvm.cttz.i64")
        return builder.call(count, [args[0], ir.Constant(ir.IntType(1), 1)])

    return types.int64(types.uint64), code


@intrinsic  # type: ignore[untyped-decorator]
def doubled(_: Any, x: Any, times: Any) -> Code:
    """x · 2^times, by adding to the exponent: both x and what comes out are normal numbers."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.add(builder.bitcast(args[0], WORD), builder.shl(args[1], WORD(23)))
        return builder.bitcast(bits, FLOAT)

    return types.float32(types.float32, types.int32), code


@intrinsic  # type: ignore[untyped-decorator]
def maximum(_: Any, x: Any, y: Any) -> Code:
    """The greater one; NaN where one is NaN. Unlike `max`, a loop of it takes many numbers at a time."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(FLOAT, [FLOAT] * 2)
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.maximum.f32"), args)

    return types.float32(types.float32, types.float32), code


def _width(fixed: Any) -> int:
    return int(fixed.dtype.fields["row"].type.shape[0])


def _address(context: Any, builder: Any, signature: Any, args: Any, width: int) -> Any:
    """Of the row ``args[1]`` of the matrix ``args[0]``; where that has one dimension, of what begins there."""
    array = make_array(signature.args[0])(context, builder, args[0])
    place = context.cast(builder, args[1], signature.args[1], types.intp)
    if signature.args[0].ndim > 1:
        place = builder.mul(place, INDEX(width))
    return builder.bitcast(builder.gep(array.data, [place]), ir.VectorType(FLOAT, width).as_pointer())


def _all(builder: Any, scalar: Any, width: int) -> Any:
    """A vector of one number."""
    kind = ir.VectorType(FLOAT, width)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, WORD(0))
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), _places([0] * width))


def _slice(builder: Any, vector: Any, start: int, count: int) -> Any:
    """So many numbers from the ``start`` on; past the end it is the last one again."""
    places = [min(place, vector.type.count - 1) for place in range(start, start + count)]
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), _places(places))


def _places(places: list[int]) -> Any:
    return ir.Constant(ir.VectorType(WORD, len(places)), places)


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    kind = ir.FunctionType(a.type, [a.type] * 3)
    fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{a.type.count}f32")
    return builder.call(fma, [a, b, c])


def _sum(builder: Any, start: Any, vector: Any) -> Any:
    kind = ir.FunctionType(FLOAT, [FLOAT, vector.type])
    name = f"llvm.vector.reduce.fadd.v{vector.type.count}f32"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [start, vector], fastmath=FAST)
