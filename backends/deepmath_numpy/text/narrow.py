"""Matrices stored [columns, rows] for steps that are compiled: few columns, and loops over the rows innermost."""

from deepmath_numpy.text.compiled import multiply
from deepmath_numpy.text.names import TIMES, TIMES_TURNED, X
from deepmath_numpy.text.views import matrix


def product(info, a, n, features, units, x, w, y, hooks):
    """y[j, r] = sum over p of w[p, j] x[p, r]."""
    multiply(info[TIMES], a, w, x, y, units, n, features, 1, units, n, n)


def product_back(info, a, n, features, units, dy, w, dx, spare):
    """dx[p, r] = sum over j of w[p, j] dy[j, r]."""
    multiply(info[TIMES], a, w, dy, dx, features, n, units, units, 1, n, n)


def product_kernel(info, a, n, features, units, x, dy, dw, hooks):
    """dw[p, j] = sum over r of x[p, r] dy[j, r]."""
    multiply(info[TIMES_TURNED], a, x, dy, dw, features, units, n, n, 1, n, units)


def gather(source, rows, out):
    """The given rows of a source [rows, columns], as a matrix of the batch."""
    for r in range(len(rows)):
        row = rows[r]
        for j in range(source.shape[1]):
            out[j, r] = source[row, j]


def put(source, out):
    """A source [rows, columns] as a matrix of the batch."""
    for r in range(source.shape[0]):
        for j in range(source.shape[1]):
            out[j, r] = source[r, j]


def enter_rows(x, rows, net, hooks):
    """Some rows of data become the inputs of the first layer."""
    gather(x, rows, matrix(net.stages[0, X], len(rows), x.shape[1]))


def enter(x, net, hooks):
    """Rows of data become the inputs of the first layer."""
    put(x, matrix(net.stages[0, X], x.shape[0], x.shape[1]))


def give(source, out):
    """A matrix of the batch as an array [rows, columns]."""
    for r in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[r, j] = source[j, r]
