"""Our own matrix products: every number is one sum in order, whatever the block, the strides and the processor."""

import ctypes
import itertools
import platform
import subprocess
import sys
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from deepmath_numpy import target
from deepmath_numpy.products import FAR, MANY, PAGE, module
from deepmath_numpy.target import Target

llvm = pytest.importorskip("llvmlite.binding")
llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()

MARK = 77.0
INTEL = {"sse2": ("x86-64", Target()), "avx2": ("haswell", Target(32, 16, True))}
INTEL["avx512"] = ("skylake-avx512", Target(64, 32, True))
IS_INTEL = platform.machine().lower() in ("x86_64", "amd64")


def names():
    """What this processor can run of the x86 targets, or its own."""
    if not IS_INTEL:
        return ["host"]
    width = target.host().width
    return [name for name, (_, known) in INTEL.items() if known.width <= width]


def processor(name):
    return INTEL.get(name) or (llvm.get_host_cpu_name(), target.host())


@cache
def function(name, precision):
    """The compiled product; the engine that holds it lives as long as the tests."""
    cpu, known = processor(name)
    text = llvm.parse_assembly(module(precision, known))
    text.verify()
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(cpu=cpu, opt=2, jit=True)
    engine = llvm.create_mcjit_compiler(text, machine)
    engine.finalize_object()
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 5)
    return engine, kind(engine.get_function_address("product"))


def multiply(run, left, right, out, block=None, accumulate=False, n=None):
    """out[block] = left @ right, by strides as they are; with `n` the inner axis is told as -1."""
    strides = [[s // x.itemsize for s in x.strides] for x in (left, right, out)]
    (a_row, a_inner), (b_inner, b_column), (c_row, _) = strides
    inner = left.shape[1] if n is None else -1
    places = [x.ctypes.data for x in (left, right, out)]
    a = [places[0], a_row, a_inner, places[1], b_inner, b_column, places[2], c_row, inner, int(accumulate)]
    a = np.array(a, np.int64)
    run[1](a.ctypes.data, None, 0 if n is None else n, *(block or (0, out.shape[0], 0, out.shape[1])))


def drawn(shape, precision, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(precision)


def turned(x):
    return np.ascontiguousarray(x.T).T


def apart(x, more):
    """The same numbers in rows that are further apart than they are long."""
    wide = np.full((x.shape[0], x.shape[1] + more), np.nan, x.dtype)
    wide[:, : x.shape[1]] = x
    return wide[:, : x.shape[1]]


def summed(left, right, start, has_fma):
    """The sums in order. A product of two float32 is exact in float64, and 29 bits more round as one rounding would."""
    total = start.copy()
    for k in range(left.shape[1]):
        a, b = left[:, k : k + 1], right[k : k + 1]
        if not has_fma:
            total = total + a * b
        elif total.dtype == np.float32:
            total = (total.astype(np.float64) + a.astype(np.float64) * b.astype(np.float64)).astype(np.float32)
        else:
            total = np.array([[fused(*three) for three in zip(*rows, strict=True)] for rows in zip(
                np.broadcast_to(a, total.shape), np.broadcast_to(b, total.shape), total, strict=True
            )])  # fmt: skip
    return total


def fused(x, y, z):
    return float(Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)))


SIZES = [(1, 1, 1), (5, 9, 7), (2, 3, 20), (7, 2, 19), (3, 5, 65), (13, 4, 34), (17, 6, 1), (20, 5, 3), (33, 9, 10)]
LARGER = [(1, 300, 64), (4, 65, 130), (29, 17, 101), (32, 70, 16), (65, 130, 37), (9, 515, 48), (11, 256, 15)]


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_every_number_is_one_sum_in_order(name, precision):
    run, has_fma = function(name, precision), processor(name)[1].has_fma
    for rows, inner, columns in SIZES + (LARGER if precision == "float32" or not has_fma else []):
        left, right = drawn((rows, inner), precision), drawn((inner, columns), precision, 1)
        start = drawn((rows, columns), precision, 2)
        for accumulate in (False, True):
            expected = summed(left, right, start if accumulate else np.zeros_like(start), has_fma)
            for a, b in itertools.product((left, turned(left)), (right, turned(right), apart(right, 5))):
                out = apart(start, 3)
                multiply(run, a, b, out, accumulate=accumulate)
                np.testing.assert_array_equal(out, expected)
                assert np.isnan(out.base[:, columns:]).all()


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_bits_depend_neither_on_blocks_nor_on_where_numbers_lie(name, precision):
    run, draw = function(name, precision), np.random.default_rng(3)
    rows, inner, columns = 67, 600, 141
    left, right = drawn((rows, inner), precision), drawn((inner, columns), precision, 1)
    whole = np.empty((rows, columns), precision)
    multiply(run, left, right, whole)
    far = apart(right, PAGE // whole.itemsize)  # packed, as `often` is
    often = apart(right, MANY // rows // whole.itemsize)
    assert turned(left).strides[1] // whole.itemsize > FAR  # cut into shorter pieces
    for a, b in itertools.product((left, turned(left)), (right, turned(right), far, often)):
        out = np.full((rows, columns), MARK, precision)
        multiply(run, a, b, out)
        np.testing.assert_array_equal(out, whole)
        for _ in range(8):
            r0, r1 = sorted(draw.integers(0, rows + 1, 2))
            c0, c1 = sorted(draw.integers(0, columns + 1, 2))
            out[...] = MARK
            multiply(run, a, b, out, (r0, r1, c0, c1))
            np.testing.assert_array_equal(out[r0:r1, c0:c1], whole[r0:r1, c0:c1])
            out[r0:r1, c0:c1] = MARK
            assert (out == MARK).all()


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_all_small_sizes(name, precision):
    """Small whole numbers, so that every order gives the same."""
    run, draw = function(name, precision), np.random.default_rng(4)
    for rows, inner, columns in itertools.product(range(14), (0, 1, 2, 3, 4, 5, 9), (0, 1, 3, 4, 7, 8, 17, 33, 79)):
        left, right, start = (
            draw.integers(-9, 9, s).astype(precision) for s in ((rows, inner), (inner, columns), 2 * (80,))
        )
        for b, accumulate in itertools.product((right, turned(right)), (False, True)):
            out, expected = start.copy(), start.copy()
            expected[:rows, :columns] = left @ right + accumulate * start[:rows, :columns]
            multiply(run, left, b, out, (0, rows, 0, columns), accumulate)
            np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("name", names())
def test_nan_and_infinity_pass(name):
    left, right = np.ones((5, 6), np.float32), np.ones((6, 37), np.float32)
    left[2, 3], right[1, 4], right[5, 36] = np.nan, np.inf, -np.inf
    for b in (right, turned(right)):
        out = np.empty((5, 37), np.float32)
        multiply(function(name, "float32"), left, b, out)
        np.testing.assert_array_equal(out, left @ right)


def test_inner_may_be_the_rows_of_the_batch():
    left, right = drawn((40, 9), "float32"), drawn((40, 11), "float32", 1)
    out, expected = np.empty((9, 11), np.float32), np.empty((9, 11), np.float32)
    run = function(names()[-1], "float32")
    multiply(run, left.T, right, out, n=23)
    multiply(run, left[:23].T, right[:23], expected)
    np.testing.assert_array_equal(out, expected)


GUARDED = '''
import ctypes, itertools, mmap, sys
import numpy as np
sys.path.insert(0, {folder!r})
from test_products_llvm import function, multiply, names, turned

def guarded(shape, precision, at_end):
    """An array that a page nobody may touch follows, or goes before."""
    size, page = int(np.prod(shape)) * np.dtype(precision).itemsize, mmap.PAGESIZE
    pages = -(-size // page) + 2
    memory = mmap.mmap(-1, pages * page)
    keep.append(memory)
    place = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for edge in (place, place + (pages - 1) * page):
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(edge), page, 0) == 0
    start = (pages - 1) * page - size if at_end else page
    out = np.frombuffer(memory, precision, int(np.prod(shape)), start).reshape(shape)
    out[...] = 1
    return out

keep = []
for name, precision in itertools.product(names(), ("float32", "float64")):
    for rows, inner, columns in ((1, 1, 1), (7, 3, 5), (9, 70, 17), (6, 260, 33), (67, 5, 95), (33, 6, 3), (17, 9, 16)):
        for at_end in (True, False):
            a, b, c = (guarded(s, precision, at_end) for s in ((rows, inner), (inner, columns), (rows, columns)))
            turned_a, turned_b = (guarded(s, precision, at_end).T for s in ((inner, rows), (columns, inner)))
            for left, right in itertools.product((a, turned_a), (b, turned_b)):
                multiply(function(name, precision), left, right, c)
                multiply(function(name, precision), left, right, c, accumulate=True)
                assert (c == 2 * inner).all()
print("untouched")
'''


@pytest.mark.skipif(sys.platform == "win32", reason="pages are protected by mprotect")
def test_nothing_beside_the_arrays_is_touched():
    """In a process of its own, which a touch would end."""
    from pathlib import Path

    text = GUARDED.format(folder=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.stdout == "untouched\n", done.stderr


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_other_processors_have_code(precision):
    """What can't run here: vectors of 16 bytes on 32 registers, fused by the processor and not by a call."""
    machine = llvm.Target.from_triple("aarch64-unknown-linux-gnu").create_target_machine(opt=2)
    code = machine.emit_assembly(llvm.parse_assembly(module(precision, target.of("aarch64", {}))))
    assert "fmla\tv" in code
    assert "\tbl\tfma" not in code


def test_targets():
    assert target.of("x86_64", {"avx512f": True, "avx2": True, "fma": True}) == Target(64, 32, True)
    assert target.of("x86_64", {"avx512f": False, "avx2": True, "fma": True}) == Target(32, 16, True)
    assert target.of("x86_64", {"avx": True}) == target.of("riscv64", {}) == Target(16, 16, False)
    assert target.of("arm64", {}) == target.of("aarch64", {}) == Target(16, 32, True)
    assert [known.lanes("float32") for _, known in INTEL.values()] == [4, 8, 16]
    assert [known.lanes("float64") for _, known in INTEL.values()] == [2, 4, 8]
    assert target.host() == target.of(platform.machine().lower(), llvm.get_host_cpu_features())
