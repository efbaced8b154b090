"""Matrices [rows, columns] for steps that are compiled: products by SciPy's BLAS, called at its address."""

from deepmath_numpy.text.views import FLOAT, cgutils, intrinsic, ir, types


@intrinsic
def multiply(typingctx, gemm, turn_a, turn_b, rows, columns, inner, a, b, c):
    """c = a b in the order of Fortran, c [rows, columns]; a or b is turned where the letter, a character's code, says.

    `gemm` is the address of SciPy's sgemm or dgemm: void (char *, char *, int *, int *, int *, T *, T *, int *, T *,
    int *, T *, T *, int *). The leading dimensions are those of matrices that lie closely packed.
    """

    def code(context, builder, signature, args):
        kinds = signature.args
        char, whole, number = ir.IntType(8), ir.IntType(32), context.get_data_type(FLOAT)

        def at(value, kind):
            place = cgutils.alloca_once(builder, kind)
            builder.store(value, place)
            return place

        letters = [at(builder.trunc(args[i], char), char) for i in (1, 2)]
        m, n, k = (at(builder.trunc(args[i], whole), whole) for i in (3, 4, 5))
        data = [context.make_array(kinds[i])(context, builder, args[i]).data for i in (6, 7, 8)]
        one, zero = at(ir.Constant(number, 1.0), number), at(ir.Constant(number, 0.0), number)
        turned = [builder.icmp_signed("==", args[i], ir.Constant(args[i].type, ord("T"))) for i in (1, 2)]
        lda, ldb = builder.select(turned[0], k, m), builder.select(turned[1], n, k)
        given = [*letters, m, n, k, one, data[0], lda, data[1], ldb, zero, data[2], m]
        function = ir.FunctionType(ir.VoidType(), [value.type for value in given])
        builder.call(builder.inttoptr(args[0], function.as_pointer()), given)
        return context.get_dummy_value()

    wide = [types.int64] * 6
    return types.none(*wide, a, b, c), code


def product(x, w, y, gemm):
    """y = x w."""
    multiply(gemm, AS_IT_IS, AS_IT_IS, y.shape[1], y.shape[0], w.shape[0], w, x, y)


def product_back(dy, w, dx, gemm):
    """dx = dy w^T."""
    multiply(gemm, TURNED, AS_IT_IS, dx.shape[1], dx.shape[0], w.shape[1], w, dy, dx)


def product_kernel(x, dy, dw, gemm):
    """dw = x^T dy."""
    multiply(gemm, AS_IT_IS, TURNED, dw.shape[1], dw.shape[0], x.shape[0], dy, x, dw)


def gather(source, rows, out):
    """The given rows of a source [rows, columns], as a matrix of the batch."""
    for r in range(len(rows)):
        row = rows[r]
        for j in range(source.shape[1]):
            out[r, j] = source[row, j]


def put(source, out):
    """A source [rows, columns] as a matrix of the batch."""
    for r in range(source.shape[0]):
        for j in range(source.shape[1]):
            out[r, j] = source[r, j]


def give(source, out):
    """A matrix of the batch as an array [rows, columns]."""
    put(source, out)


AS_IT_IS, TURNED = ord("N"), ord("T")
