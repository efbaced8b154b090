"""Products of small matrices: blocks of the result stay in registers, and nothing is packed as BLAS would.

A block that would reach beyond the edge begins earlier instead, and computes some numbers twice. Each number is
summed in the same order wherever its block begins.
"""

from llvmlite import ir
from numba import cfunc, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from deepmath.printers.float32_functions import T, np

ITEM = np.dtype(T).itemsize
FLOAT = types.float32 if T is np.float32 else types.float64
WIDE = 64 // ITEM
"""Columns of the widest block: as many as fill half of the registers that AVX2 has, with 4 rows."""


def sum_of_product(builder, total, x, y):
    """total + x y, in one instruction where there is one."""
    return builder.fadd(total, builder.fmul(x, y, flags=("contract",)), flags=("contract",))


def pointers(context, builder, address, stride, count):
    """Pointers to the first items of so many rows."""
    number = context.get_data_type(FLOAT)
    first = builder.inttoptr(address, number.as_pointer())
    return [builder.gep(first, [builder.mul(stride, ir.Constant(stride.type, i))]) for i in range(count)]


def load(builder, pointer, offset, kind):
    """Neighbouring items as one value, or a single one."""
    return builder.load(builder.bitcast(builder.gep(pointer, [offset]), kind.as_pointer()), align=ITEM)


def spread(builder, x, kind):
    """A number in all lanes."""
    if not isinstance(kind, ir.VectorType):
        return x
    lane, lanes = ir.IntType(32), ir.VectorType(ir.IntType(32), kind.count)
    nothing = ir.Constant(kind, ir.Undefined)
    return builder.shuffle_vector(builder.insert_element(nothing, x, lane(0)), nothing, ir.Constant(lanes, None))


def total(builder, x):
    """The sum of all lanes, halves first."""
    count, lane = x.type.count, ir.IntType(32)
    while count > 1:
        count //= 2
        picks = [ir.Constant(ir.VectorType(lane, count), [*range(i, i + count)]) for i in (0, count)]
        low, high = (builder.shuffle_vector(x, ir.Constant(x.type, ir.Undefined), pick) for pick in picks)
        x = builder.fadd(low, high)
    return builder.extract_element(x, lane(0))


def block(rows, width):
    """An intrinsic: c[i, v] = sum over p of a[i, p] b[p, v] for so many rows i and columns v.

    Takes the addresses of a, b, c; how many p; then in items the strides of a's rows and of its p, of b's and c's rows.
    """

    @intrinsic
    def block(typingctx, a, b, c, inner, a_row, a_inner, b_row, c_row):
        def code(context, builder, signature, args):
            a, b, c, inner, a_row, a_inner, b_row, c_row = args
            number = context.get_data_type(FLOAT)
            kind = ir.VectorType(number, width) if width > 1 else number
            left, right = pointers(context, builder, a, a_row, rows), pointers(context, builder, b, b_row, 1)[0]
            sums = [cgutils.alloca_once_value(builder, cgutils.get_null_value(kind)) for _ in range(rows)]
            with cgutils.for_range(builder, inner) as loop:
                y = load(builder, right, builder.mul(loop.index, b_row), kind)
                for pointer, place in zip(left, sums, strict=True):
                    x = load(builder, pointer, builder.mul(loop.index, a_inner), number)
                    builder.store(sum_of_product(builder, builder.load(place), spread(builder, x, kind), y), place)
            for pointer, place in zip(pointers(context, builder, c, c_row, rows), sums, strict=True):
                builder.store(builder.load(place), builder.bitcast(pointer, kind.as_pointer()), align=ITEM)
            return context.get_dummy_value()

        return types.none(*[types.int64] * 8), code

    return block


def dots(rows, columns, width):
    """An intrinsic: c[i, j] = sum over p of a[i, p] b[j, p]; p goes by vectors, the rest of it singly.

    Takes the addresses of a, b, c; how many p; then in items the strides of the rows of a, b and c.
    """

    @intrinsic
    def dots(typingctx, a, b, c, inner, a_row, b_row, c_row):
        def code(context, builder, signature, args):
            a, b, c, inner, a_row, b_row, c_row = args
            number, step = context.get_data_type(FLOAT), ir.Constant(inner.type, width)
            left, right = pointers(context, builder, a, a_row, rows), pointers(context, builder, b, b_row, columns)
            whole = builder.sdiv(inner, step)
            found = {}
            for kind, first, count, stride in (
                (ir.VectorType(number, width), inner.type(0), whole, step),
                (number, builder.mul(whole, step), builder.srem(inner, step), inner.type(1)),
            ):
                sums = [[cgutils.alloca_once_value(builder, cgutils.get_null_value(kind)) for _ in right] for _ in left]
                with cgutils.for_range(builder, count) as loop:
                    place = builder.add(first, builder.mul(loop.index, stride))
                    y = [load(builder, pointer, place, kind) for pointer in right]
                    for i, pointer in enumerate(left):
                        x = load(builder, pointer, place, kind)
                        for j in range(columns):
                            at = sums[i][j]
                            builder.store(sum_of_product(builder, builder.load(at), x, y[j]), at)
                found[kind] = sums
            by_vector, singly = found.values()
            for i, pointer in enumerate(pointers(context, builder, c, c_row, rows)):
                for j in range(columns):
                    value = builder.fadd(total(builder, builder.load(by_vector[i][j])), builder.load(singly[i][j]))
                    builder.store(value, builder.gep(pointer, [inner.type(j)]))
            return context.get_dummy_value()

        return types.none(*[types.int64] * 7), code

    return dots


wide_4, wide_1 = block(4, WIDE), block(1, WIDE)
half_4, half_1 = block(4, WIDE // 2), block(1, WIDE // 2)
quarter_4, quarter_1 = block(4, WIDE // 4), block(1, WIDE // 4)
single_4, single_1 = block(4, 1), block(1, 1)
dots_8, dots_1 = dots(2, 4, WIDE // 2), dots(1, 1, WIDE // 2)


@njit(forceinline=True)
def stripe(width, rows, a, b, c, inner, a_row, a_inner, b_row, c_row):
    """So many rows, 4 or 1, of a stripe of so many columns."""
    if rows == 4:
        if width == WIDE:
            wide_4(a, b, c, inner, a_row, a_inner, b_row, c_row)
        elif width == WIDE // 2:
            half_4(a, b, c, inner, a_row, a_inner, b_row, c_row)
        elif width == WIDE // 4:
            quarter_4(a, b, c, inner, a_row, a_inner, b_row, c_row)
        else:
            single_4(a, b, c, inner, a_row, a_inner, b_row, c_row)
    elif width == WIDE:
        wide_1(a, b, c, inner, a_row, a_inner, b_row, c_row)
    elif width == WIDE // 2:
        half_1(a, b, c, inner, a_row, a_inner, b_row, c_row)
    elif width == WIDE // 4:
        quarter_1(a, b, c, inner, a_row, a_inner, b_row, c_row)
    else:
        single_1(a, b, c, inner, a_row, a_inner, b_row, c_row)


POINTER = types.CPointer(types.int64)
SIGNATURE = types.void(POINTER, types.CPointer(types.float64), types.int64, types.int64)


@cfunc(SIGNATURE, cache=True)
def times(a, c, R, C):
    """C [R, C] = A B; `a`: addresses of A, B and C, then what `block` takes."""
    inner, a_row, a_inner, b_row, c_row = a[3], a[4], a[5], a[6], a[7]
    width = WIDE if C >= WIDE else WIDE // 2 if C >= WIDE // 2 else WIDE // 4 if C >= WIDE // 4 else 1
    rows = 4 if R >= 4 else 1
    for first in range(0, C, width):
        j = min(first, C - width)
        for start in range(0, R, rows):
            i = min(start, R - rows)
            x, out = a[0] + i * a_row * ITEM, a[2] + (i * c_row + j) * ITEM
            stripe(width, rows, x, a[1] + j * ITEM, out, inner, a_row, a_inner, b_row, c_row)


@cfunc(SIGNATURE, cache=True)
def times_turned(a, c, R, C):
    """C [R, C] = A B^T, of matrices whose p lie side by side; `a` as above."""
    inner, a_row, b_row, c_row = a[3], a[4], a[6], a[7]
    rows, columns = (2, 4) if R >= 2 and C >= 4 else (1, 1)
    for start in range(0, R, rows):
        i = min(start, R - rows)
        for first in range(0, C, columns):
            j = min(first, C - columns)
            x, y, out = a[0] + i * a_row * ITEM, a[1] + j * b_row * ITEM, a[2] + (i * c_row + j) * ITEM
            if rows == 2:
                dots_8(x, y, out, inner, a_row, b_row, c_row)
            else:
                dots_1(x, y, out, inner, a_row, b_row, c_row)
