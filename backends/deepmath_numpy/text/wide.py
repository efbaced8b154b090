"""Matrices [rows, columns] for steps that are compiled: small products are our own, others BLAS's at its address."""

from deepmath_numpy.text.compiled import multiply
from deepmath_numpy.text.names import GEMM, TIMES, X
from deepmath_numpy.text.views import FLOAT, cgutils, intrinsic, ir, table, types


@intrinsic
def blas(typingctx, gemm, turn_a, turn_b, rows, columns, inner, a, b, c):
    """c = a b in the order of Fortran, c [rows, columns]; a or b is turned where the letter, a character's code, says.
    All are addresses or whole numbers.

    `gemm` is the address of BLAS's sgemm or dgemm: void (char *, char *, int *, int *, int *, T *, T *, int *, T *,
    int *, T *, T *, int *). Its whole numbers may have 32 bits or 64: it gets 64, of which the first 32 are the number
    too. The leading dimensions are those of matrices that lie closely packed.
    """

    def code(context, builder, signature, args):
        char, whole, number = ir.IntType(8), ir.IntType(64), context.get_data_type(FLOAT)

        def at(value, kind):
            place = cgutils.alloca_once(builder, kind)
            builder.store(value, place)
            return place

        letters = [at(builder.trunc(args[i], char), char) for i in (1, 2)]
        m, n, k = (at(args[i], whole) for i in (3, 4, 5))
        data = [builder.inttoptr(args[i], number.as_pointer()) for i in (6, 7, 8)]
        one, zero = at(ir.Constant(number, 1.0), number), at(ir.Constant(number, 0.0), number)
        turned = [builder.icmp_signed("==", args[i], ir.Constant(args[i].type, ord("T"))) for i in (1, 2)]
        lda, ldb = builder.select(turned[0], k, m), builder.select(turned[1], n, k)
        given = [*letters, m, n, k, one, data[0], lda, data[1], ldb, zero, data[2], m]
        function = ir.FunctionType(ir.VoidType(), [value.type for value in given])
        builder.call(builder.inttoptr(args[0], function.as_pointer()), given)
        return context.get_dummy_value()

    return types.none(*[types.int64] * 9), code


def product(info, a, n, features, units, x, w, y):
    """y = x w."""
    if n * features * units <= SMALL:
        multiply(info[TIMES], a, x, w, y, n, units, features, features, 1, units, units)
    else:
        blas(info[GEMM], AS_IT_IS, AS_IT_IS, units, n, features, w, x, y)


def product_back(info, a, n, features, units, dy, w, dx, spare):
    """dx = dy w^T; `spare`: the address of as many numbers as w has."""
    if n * features * units <= SMALL:
        given, turned = table(w, features, units), table(spare, units, features)
        for j in range(units):
            for p in range(features):
                turned[j, p] = given[p, j]
        multiply(info[TIMES], a, dy, spare, dx, n, features, units, units, 1, features, features)
    else:
        blas(info[GEMM], TURNED, AS_IT_IS, features, n, units, w, dy, dx)


def product_kernel(info, a, n, features, units, x, dy, dw):
    """dw = x^T dy."""
    if n * features * units <= SMALL:
        multiply(info[TIMES], a, x, dy, dw, features, units, n, 1, features, units, units)
    else:
        blas(info[GEMM], AS_IT_IS, TURNED, units, features, n, dy, x, dw)


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


def enter(x, net):
    """Rows of data are the inputs of the first layer where they lie; no stage writes to its inputs."""
    net.stages[0, X] = x.ctypes.data


def give(source, out):
    """A matrix of the batch as an array [rows, columns]."""
    put(source, out)


AS_IT_IS, TURNED = ord("N"), ord("T")
SMALL = 1 << 19
"""Up to so many multiplications our own products are faster."""
