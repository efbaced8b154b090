"""Matrices [rows, columns] for steps that are compiled: small products are our own, others BLAS's at its address."""

from deepmath_numpy.text.blas import AS_IT_IS, TURNED, product_by_blas, vector_by_blas
from deepmath_numpy.text.compiled import multiply
from deepmath_numpy.text.names import GEMM, GEMV, TIMES, X
from deepmath_numpy.text.views import matrix, table


def product(info, a, n, features, units, x, w, y, hooks):
    """y = x w."""
    if n * features * units <= SMALL:
        multiply(info[TIMES], a, x, w, y, n, units, features, features, 1, units, units)
    elif n == 1:
        vector_by_blas(info[GEMV], AS_IT_IS, units, features, w, x, y)
    else:
        product_by_blas(info[GEMM], AS_IT_IS, AS_IT_IS, units, n, features, w, x, y)


def product_back(info, a, n, features, units, dy, w, dx, spare):
    """dx = dy w^T; `spare`: the address of as many numbers as w has."""
    if n * features * units <= SMALL:
        given, turned = table(w, features, units), table(spare, units, features)
        for j in range(units):
            for p in range(features):
                turned[j, p] = given[p, j]
        multiply(info[TIMES], a, dy, spare, dx, n, features, units, units, 1, features, features)
    elif n == 1:
        vector_by_blas(info[GEMV], TURNED, units, features, w, dy, dx)
    else:
        product_by_blas(info[GEMM], TURNED, AS_IT_IS, features, n, units, w, dy, dx)


def product_kernel(info, a, n, features, units, x, dy, dw, hooks):
    """dw = x^T dy."""
    if n * features * units <= SMALL:
        multiply(info[TIMES], a, x, dy, dw, features, units, n, 1, features, units, units)
    else:
        product_by_blas(info[GEMM], AS_IT_IS, TURNED, units, features, n, dy, x, dw)


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


def enter_rows(x, rows, net, hooks):
    """Some rows of data become the inputs of the first layer."""
    gather(x, rows, matrix(net.stages[0, X], len(rows), x.shape[1]))


def enter(x, net, hooks):
    """Rows of data are the inputs of the first layer where they lie; no stage writes to its inputs."""
    net.stages[0, X] = x.ctypes.data


def give(source, out):
    """A matrix of the batch as an array [rows, columns]."""
    put(source, out)


SMALL = 1 << 19
"""Up to so many multiplications our own products are faster."""
