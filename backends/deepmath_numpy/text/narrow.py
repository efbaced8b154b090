"""Matrices stored [columns, rows] for steps that are compiled: few columns, and loops over the rows innermost."""

from deepmath.printers.float32_functions import T
from deepmath.printers.loop_functions import add


def product(x, w, y, gemm):
    """y[j, r] = sum over p of w[p, j] x[p, r]."""
    features, units, rows = w.shape[0], w.shape[1], x.shape[1]
    for j in range(units):
        for r in range(rows):
            y[j, r] = w[0, j] * x[0, r]
        for p in range(1, features):
            for r in range(rows):
                y[j, r] += w[p, j] * x[p, r]


def product_back(dy, w, dx, gemm):
    """dx[p, r] = sum over j of w[p, j] dy[j, r]."""
    features, units, rows = w.shape[0], w.shape[1], dy.shape[1]
    for p in range(features):
        for r in range(rows):
            dx[p, r] = w[p, 0] * dy[0, r]
        for j in range(1, units):
            for r in range(rows):
                dx[p, r] += w[p, j] * dy[j, r]


def product_kernel(x, dy, dw, gemm):
    """dw[p, j] = sum over r of x[p, r] dy[j, r]."""
    features, units, rows = dw.shape[0], dw.shape[1], x.shape[1]
    for p in range(features):
        for j in range(units):
            total = T(0)
            for r in range(rows):
                total = add(total, x[p, r] * dy[j, r])
            dw[p, j] = total


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


def give(source, out):
    """A matrix of the batch as an array [rows, columns]."""
    for r in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[r, j] = source[j, r]
