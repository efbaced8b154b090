"""Functions of float64 for Numba kernels: the C library's."""

import math

import numpy as np

T = np.float64
exp, expm1, log, log1p, tanh = math.exp, math.expm1, math.log, math.log1p, math.tanh
cos, sin = math.cos, math.sin
