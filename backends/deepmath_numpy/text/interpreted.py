"""What steps that Python runs do with memory: views of it, products by NumPy's BLAS, kernels through ctypes."""

import ctypes
import math
import threading

import numpy as np

from deepmath.printers.float32_functions import T
from deepmath_numpy.loop import function

LARGE = 1 << 20
"""From this size on, an array's update is halved between two threads."""


def _array(address, dtype, *shape):
    size = int(math.prod(shape)) * np.dtype(dtype).itemsize
    return (
        np.frombuffer((ctypes.c_char * size).from_address(int(address)), dtype).reshape(shape)
        if size
        else np.empty(shape, dtype)
    )


def vector(address, size):
    return _array(address, T, size)


def table(address, rows, columns):
    return _array(address, T, rows, columns)


def matrix(address, rows, columns):
    return _array(address, T, rows, columns)


def whole(address, size):
    return _array(address, np.int64, size)


def call(address, a, c, rows, columns):
    function(int(address))(a.ctypes.data, c.ctypes.data, int(rows), int(columns))


def call_flat(address, a, c, size, arrays):
    """A kernel over flat arrays: the first so many of `a`."""
    if size < LARGE:
        call(address, a, c, 1, size)
        return
    half = int(size) // 2
    rest = a.copy()
    rest[:arrays] += half * ITEM
    other = threading.Thread(target=call, args=(address, rest, c, 1, size - half))
    other.start()
    call(address, a, c, 1, half)
    other.join()


def product(x, w, y, gemm):
    np.matmul(x, w, out=y)


def product_back(dy, w, dx, gemm):
    np.matmul(dy, w.T, out=dx)


def product_kernel(x, dy, dw, gemm):
    np.matmul(x.T, dy, out=dw)


def copy(source, out):
    out[: len(source)] = source


def add_to(total, more):
    total += more


def take(source, rows, out):
    np.take(source, rows, out=out, mode="clip")


def gather(source, rows, out):
    np.take(source, rows, axis=0, out=out, mode="clip")


def put(source, out):
    out[:] = source


def give(source, out):
    out[:] = source


def reference_forward(net, i, n, seed, step, first, training, hooks):
    hooks.forward(net, i, n, seed, step, first, training)


def reference_backward(net, i, n, hooks):
    hooks.backward(net, i, n)


def reference_judge(info, n, results, training, hooks):
    hooks.judge(info, n, results, training)


def reference_conclude(info, n, hooks):
    hooks.conclude(info, n)


def reference_update(at, coefficients, hooks):
    hooks.update(at, coefficients)


ITEM = np.dtype(T).itemsize
