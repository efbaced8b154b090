"""What steps that Python runs do with memory: views of it, products by NumPy's BLAS, kernels through ctypes."""

import ctypes
import math

import numpy as np

from deepmath.printers.float32_functions import T
from deepmath_numpy.loop import function
from deepmath_numpy.text.names import DENSE, KIND, X


def _array(address, dtype, *shape):
    size = int(math.prod(shape)) * np.dtype(dtype).itemsize
    return (
        np.frombuffer((ctypes.c_char * size).from_address(int(address)), dtype).reshape(shape)
        if size
        else np.empty(shape, dtype)
    )


def vector(address, size):
    """Floats [size] at an address."""
    return _array(address, T, size)


def table(address, rows, columns):
    """Floats [rows, columns] at an address, row by row."""
    return _array(address, T, rows, columns)


def matrix(address, rows, columns):
    """Floats of the batch at an address."""
    return _array(address, T, rows, columns)


def whole(address, size):
    """64-bit whole numbers [size] at an address."""
    return _array(address, np.int64, size)


def call(address, a, c, rows, columns):
    """Call the kernel at this address on the addresses in `a` and the numbers in `c`."""
    function(int(address))(a.ctypes.data, c.ctypes.data, int(rows), int(columns))


def product(info, a, n, features, units, x, w, y, hooks):
    """y = x w; an address of 0 stands for sparse inputs."""
    if x == 0:
        matrix(y, n, units)[:] = hooks.inputs @ table(w, features, units)
    else:
        np.matmul(matrix(x, n, features), table(w, features, units), out=matrix(y, n, units))


def product_back(info, a, n, features, units, dy, w, dx, spare):
    """dx = dy w^T."""
    np.matmul(matrix(dy, n, units), table(w, features, units).T, out=matrix(dx, n, features))


def product_kernel(info, a, n, features, units, x, dy, dw, hooks):
    """dw = x^T dy; an address of 0 stands for sparse inputs."""
    if x == 0:
        hooks.sparse_product(matrix(dy, n, units), table(dw, features, units))
    else:
        np.matmul(matrix(x, n, features).T, matrix(dy, n, units), out=table(dw, features, units))


def without_subnormals():
    """Numbers below the smallest normal one stay what they are."""
    return 0


def restore(before):
    """Nothing was changed."""


def copy(source, out):
    """out[i] = source[i], for all of the source."""
    out[: len(source)] = source


def add_to(total, more):
    """total[i] += more[i]."""
    total += more


def take(source, rows, out):
    """out[r] = source[rows[r]]."""
    np.take(source, rows, out=out, mode="clip")


def gather(source, rows, out):
    """The given rows of a source [rows, columns], as a matrix of the batch."""
    np.take(source, rows, axis=0, out=out, mode="clip")


def put(source, out):
    """A source [rows, columns] as a matrix of the batch."""
    out[:] = source


def enter_rows(x, rows, net, hooks):
    """Some rows of data become the inputs of the first layer."""
    if isinstance(x, np.ndarray):
        net.stages[0, X] = hooks.place
        gather(x, rows, matrix(hooks.place, len(rows), x.shape[1]))
    else:
        enter(x[rows], net, hooks)


def enter(x, net, hooks):
    """Rows of data are the inputs of the first layer where they lie; no stage writes to its inputs.

    Sparse ones have no address: a dense layer takes them as they are, another one as an array.
    """
    hooks.inputs = x if isinstance(x, np.ndarray) or net.stages[0, KIND] == DENSE else x.toarray()
    net.stages[0, X] = hooks.inputs.ctypes.data if isinstance(hooks.inputs, np.ndarray) else 0


def give(source, out):
    """A matrix of the batch as an array [rows, columns]."""
    out[:] = source


def reference_forward(net, i, n, seed, step, first, training, hooks):
    """A layer without kernels."""
    hooks.forward(net, i, n, seed, step, first, training)


def reference_backward(net, i, n, hooks):
    """Back through a layer without kernels."""
    hooks.backward(net, i, n)


def reference_judge(info, n, results, training, hooks):
    """A loss or metrics without a kernel."""
    hooks.judge(info, n, results, training)


def reference_conclude(info, n, hooks):
    """Predictions where their formula has no kernel."""
    hooks.conclude(info, n)


def reference_update(at, coefficients, hooks):
    """An optimiser without a kernel."""
    hooks.update(at, coefficients)


ITEM = np.dtype(T).itemsize
