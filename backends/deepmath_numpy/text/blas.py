"""Products by BLAS at its address, in the order of Fortran: a matrix [rows, columns] lies column by column."""

from deepmath_numpy.text.views import FLOAT, cgutils, intrinsic, ir, types

AS_IT_IS, TURNED = ord("N"), ord("T")


def call_blas(builder, address, given):
    """Call it with these values. Fortran takes every argument by its own address.

    Whole numbers have 64 bits here. Where BLAS expects 32, it takes the first half, which is the same number.
    """
    passed = [v if isinstance(v.type, ir.PointerType) else cgutils.alloca_once_value(builder, v) for v in given]
    function = ir.FunctionType(ir.VoidType(), [value.type for value in passed])
    builder.call(builder.inttoptr(address, function.as_pointer()), passed)


def arguments(context, builder, letters, addresses):
    """Characters' codes as characters, addresses as pointers to numbers, and the numbers 1 and 0."""
    number = context.get_data_type(FLOAT)
    pointers = [builder.inttoptr(address, number.as_pointer()) for address in addresses]
    return [builder.trunc(c, ir.IntType(8)) for c in letters], pointers, ir.Constant(number, 1), ir.Constant(number, 0)


@intrinsic
def product_by_blas(typingctx, gemm, turn_a, turn_b, rows, columns, inner, a, b, c):
    """c = a b, c [rows, columns]; a or b is turned where the letter says. All are addresses or whole numbers.

    `gemm`: sgemm or dgemm, void (char *, char *, int *, int *, int *, T *, T *, int *, T *, int *, T *, T *, int *).
    """

    def code(context, builder, signature, args):
        gemm, turn_a, turn_b, m, n, k, *data = args
        letters, (a, b, c), one, zero = arguments(context, builder, (turn_a, turn_b), data)
        turned = [builder.icmp_signed("==", x, ir.Constant(x.type, TURNED)) for x in (turn_a, turn_b)]
        lda, ldb = builder.select(turned[0], k, m), builder.select(turned[1], n, k)
        call_blas(builder, gemm, [*letters, m, n, k, one, a, lda, b, ldb, zero, c, m])
        return context.get_dummy_value()

    return types.none(*[types.int64] * 9), code


@intrinsic
def vector_by_blas(typingctx, gemv, turn, rows, columns, a, x, y):
    """y = a x for vectors x and y, a [rows, columns] turned where the letter says.

    `gemv`: sgemv or dgemv, void (char *, int *, int *, T *, T *, int *, T *, int *, T *, T *, int *).
    """

    def code(context, builder, signature, args):
        gemv, turn, m, n, *data = args
        letters, (a, x, y), one, zero = arguments(context, builder, (turn,), data)
        step = ir.Constant(m.type, 1)
        call_blas(builder, gemv, [*letters, m, n, one, a, m, x, step, zero, y, step])
        return context.get_dummy_value()

    return types.none(*[types.int64] * 7), code
