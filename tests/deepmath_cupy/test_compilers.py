"""CUDA's own tools, which need no device: NVRTC and nvcc compile every specialisation, cublasLt builds descriptors."""

import ctypes
import re
import shutil
import subprocess

import pytest
from cuda_programs import planned
from deepmath_cupy import cublaslt, libraries, nvrtc
from deepmath_cupy.kernels import fixed_text
from deepmath_cupy.nodes import EPILOGUES, Product, Ref
from deepmath_cupy.runtime import Places
from networks import LOSSES
from random_networks import RULES, random_case

from deepmath import cache
from deepmath.errors import DeviceError
from deepmath.printers import cuda

NVCC = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
PRECISIONS = ("float32", "float64", "bf16", "float16")
ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
needs_nvrtc = pytest.mark.skipif(libraries.load("nvrtc") is None, reason="NVRTC is not installed")
needs_cublaslt = pytest.mark.skipif(libraries.load("cublasLt") is None, reason="cublasLt is not installed")
needs_nvcc = pytest.mark.skipif(NVCC is None, reason="nvcc is not installed")


def text_of(seeds, precision):
    """One translation unit with all kernels of these networks."""
    kernels = {}
    for seed in seeds:
        kernels |= planned(random_case(seed), precision).writer.kernels.printed
    bodies = [printed.text for _, printed in sorted(kernels.items())]
    return "\n".join([cuda.prelude(precision), fixed_text(), *bodies]) + "\n", len(kernels)


@needs_nvrtc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nvrtc_compiles_a_network(architecture):
    text, _ = text_of([20], "bf16")
    assert nvrtc.compiled(text, architecture)[:4] == b"\x7fELF"


@needs_nvrtc
@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nvrtc_compiles_every_specialisation(architecture, precision):
    seeds = range(max(len(LOSSES), len(RULES), 50))  # every loss, optimiser and kind of layer among them
    text, count = text_of(seeds, precision)
    assert count > 100
    assert nvrtc.compiled(text, architecture)[:4] == b"\x7fELF"


@needs_nvrtc
def test_an_error_of_the_compiler_is_one_line():
    with pytest.raises(DeviceError, match=r"NVRTC can't compile kernels for sm_90: deepmath.cu\(1\): error") as raised:
        nvrtc.compiled("int x = ;", "sm_90")
    assert "\n" not in str(raised.value)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "folder", lambda: (tmp_path, True))
    return tmp_path


def test_code_is_kept_under_the_hash_of_what_it_depends_on(empty_cache, monkeypatch):
    made = []
    monkeypatch.setattr(nvrtc, "compiled", lambda *facts: made.append(facts) or b"code of " + repr(facts).encode())
    monkeypatch.setattr(nvrtc, "version", lambda major: "13.0")
    first = nvrtc.cubin("text", "sm_90")
    assert nvrtc.cubin("text", "sm_90") == first
    assert len(made) == 1
    others = [nvrtc.cubin("text", "sm_100"), nvrtc.cubin("other", "sm_90")]
    monkeypatch.setattr(nvrtc, "version", lambda major: "13.1")
    others.append(nvrtc.cubin("text", "sm_90"))
    assert len(made) == 4
    assert len(list(empty_cache.iterdir())) == 4
    assert others[0] != first


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:40] + b"x" + b[41:], lambda b: b""])
def test_damaged_code_is_compiled_anew(empty_cache, monkeypatch, damage):
    made = []
    monkeypatch.setattr(nvrtc, "compiled", lambda *facts: made.append(facts) or b"c" * 100)
    nvrtc.cubin("text", "sm_90")
    path = next(iter(empty_cache.iterdir()))
    path.write_bytes(damage(path.read_bytes()))
    assert nvrtc.cubin("text", "sm_90") == b"c" * 100
    assert len(made) == 2


def test_code_that_others_could_have_written_is_not_trusted(empty_cache, monkeypatch):
    made = []
    monkeypatch.setattr(nvrtc, "compiled", lambda *facts: made.append(facts) or b"c" * 100)
    nvrtc.cubin("text", "sm_90")
    next(iter(empty_cache.iterdir())).chmod(0o666)
    nvrtc.cubin("text", "sm_90")
    assert len(made) == 2


def test_without_nvrtc_the_wheel_is_named(monkeypatch):
    monkeypatch.setattr(libraries, "load", lambda *_: None)
    assert nvrtc.version() is None
    with pytest.raises(
        DeviceError, match=r"NVRTC, which compiles kernels, is not installed; pip install nvidia-cuda-nvrtc$"
    ):
        nvrtc.compiled("", "sm_90", 13)
    with pytest.raises(DeviceError, match=r"pip install nvidia-cuda-nvrtc-cu12$"):
        nvrtc.compiled("", "sm_90", 12)
    with pytest.raises(
        DeviceError, match=r"cublasLt, which makes matrix products, is not installed; pip install nvidia-cublas$"
    ):
        cublaslt.loaded(13)


@needs_nvcc
def test_nothing_is_spilled(tmp_path):
    spills(text_of([4, 7], "bf16")[0], tmp_path, "sm_90")


@needs_nvcc
@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nothing_is_spilled_in_any_specialisation(architecture, precision, tmp_path):
    spills(text_of(range(50), precision)[0], tmp_path, architecture)


def spills(text, folder, architecture):
    """Compile with nvcc, and read what it says of registers that went to memory."""
    source = folder / "kernels.cu"
    source.write_text(text, encoding="utf-8")
    command = [NVCC, "-std=c++17", "-cubin", f"-arch={architecture}", "-Xptxas", "-v", source, "-o", folder / "k.cubin"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", done.stderr)
    assert len(found) >= 20
    assert {int(n) for pair in found for n in pair} == {0}, done.stderr


A, B, TO = Ref("a"), Ref("b"), Ref("to")
PRODUCTS = {
    "x W": (Product(A, B, TO, 128, 10, 256), [(10, 256, 10), (256, 128, 256), (10, 128, 10)]),
    "x^T dz": (Product(A, B, TO, 256, 10, 128, turned_a=True), [(10, 128, 10), (256, 128, 256), (10, 256, 10)]),
    "dz W^T": (Product(A, B, TO, 128, 256, 10, turned_b=True), [(10, 256, 10), (10, 128, 10), (256, 128, 256)]),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_as_cublaslt_sees_them(name):
    """Column by column: the layouts of `facts` of a dense layer, m = columns, n = rows."""
    product, expected = PRODUCTS[name]
    assert [tuple(s) for s in cublaslt.shapes(product)] == expected


@needs_cublaslt
@pytest.mark.parametrize("precision", ["float32", "float64", "tf32", "bf16", "float16"])
@pytest.mark.parametrize("epilogue", EPILOGUES)
def test_descriptors_are_built_without_a_device(precision, epilogue):
    kind = "S" if precision in ("bf16", "float16") else "T"
    product = Product(A, B, TO, 128, 64, 784, operands=kind, result=kind, epilogue=epilogue)
    mask = 4096 if "mask" in epilogue or "slope" in epilogue else 0
    for turned_a, turned_b in ((False, False), (True, False), (False, True)):
        turned = product._replace(turned_a=turned_a, turned_b=turned_b)
        made = cublaslt.Descriptors(turned, precision, Places(1 << 20, 2 << 20, 3 << 20, 64, mask, 0))
        assert read_back(made, 7) == cublaslt.EPILOGUE[epilogue]
        assert (read_back(made, 3), read_back(made, 4)) == (int(turned_b), int(turned_a))
        made.close()


def read_back(made, attribute):
    """A descriptor's attribute, as the library holds it."""
    value, written = ctypes.c_int(), ctypes.c_size_t()
    status = made.library.cublasLtMatmulDescGetAttribute(
        made.operation, attribute, ctypes.byref(value), ctypes.c_size_t(4), ctypes.byref(written)
    )
    assert status == 0
    return value.value


@needs_cublaslt
def test_versions_are_read():
    assert re.fullmatch(r"\d+\.\d+\.\d+", cublaslt.version())
