"""A device that is none: kernels compiled by g++ and run with fibers for threads, products made by NumPy.

It stands behind the same seam as the CUDA device, so that everything above the seam runs on any machine.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from deepmath_cupy.nodes import Product, mask_pitch
from deepmath_cupy.runtime import Places, Runtime, element_type

from deepmath.printers.cuda import THREADS

HEADER = Path(__file__).with_name("cuda_on_cpu.hpp")
_OPTIONS = ["-std=c++17", "-O1", "-fPIC", "-Wall", "-Werror", "-Wno-unused"]
KERNEL = re.compile(r'extern "C" __global__ void (\w+)\(([^)]*)\)')


class Shim(Runtime):
    """A device of `total` bytes; `seed` shuffles the order of blocks and threads, `refused` are epilogues it lacks."""

    name, xp = "cuda:0", np

    def __init__(
        self, seed: int = 0, refused: Sequence[str] = (), total: int = 1 << 33, options: tuple[str, ...] = ()
    ) -> None:
        self.seed, self.refused, self.total, self.options = seed, refused, total, options
        self.used = 0
        self.pending: list[tuple[Any, Any]] = []
        self.sent = 0
        self.launched: list[str] = []
        self.recordings = 0
        self.replays = 0

    def memory(self) -> tuple[int, int]:
        return self.total - self.used, self.total

    def zeros(self, count: int, dtype: str) -> Any:
        self.used += count * np.dtype(dtype).itemsize
        return np.zeros(count, dtype)

    def write(self, array: Any, values: Any) -> None:
        assert array.shape == values.shape
        array[...] = values

    def queue(self, array: Any, values: Any) -> None:
        self.write(array, values)

    def read(self, array: Any) -> Any:
        return array.copy()

    def put(self, x: Any, dtype: str) -> Any:
        return np.ascontiguousarray(x, dtype)

    def pinned(self, count: int, dtype: str) -> Any:
        return np.zeros(count, dtype)

    def send(self, array: Any, values: Any, behind: Any) -> Any:
        """Copies as late as may be: who doesn't wait finds what was there before, or what is there next."""
        self.pending.append((array, values))
        return len(self.pending)

    def mark(self) -> Any:
        return len(self.pending)

    def follow(self, mark: Any) -> None:
        self.wait(mark)

    def wait(self, mark: Any) -> None:
        while self.sent < mark:
            array, values = self.pending[self.sent]
            array[...] = values
            self.sent += 1

    def address(self, array: Any) -> int:
        return int(array.ctypes.data)

    def functions(self, text: str, barriers: Mapping[str, bool]) -> Mapping[str, Any]:
        return compiled(text, barriers, self.options)

    def launch(
        self, function: Any, grid: tuple[int, int], block: tuple[int, int], arguments: Sequence[int | float]
    ) -> None:
        self.launched.append(function.__name__)
        self.seed += 1
        passed = [ctypes.c_double(a) if isinstance(a, float) else ctypes.c_longlong(a) for a in arguments]
        assert len(passed) == function.parameters, f"{function.__name__} takes {function.parameters} arguments"
        assert all(isinstance(a, float) == f for a, f in zip(arguments, function.fractions, strict=True))
        assert grid[0] * grid[1] > 0
        assert grid[1] <= 65535
        assert 0 < block[0] * block[1] <= max(THREADS.values()), f"{function.__name__}: {block}"
        function(*(ctypes.c_uint(n) for n in (*grid, *block, self.seed & 0xFFFFFFFF)), *passed)

    def work(self, work: Callable[..., None], arrays: Sequence[Any]) -> None:
        self.launched.append("work")
        with np.errstate(all="ignore"):
            work(np, *arrays)

    def accepts(self, product: Product, precision: str) -> bool:
        return product.epilogue not in self.refused

    def multiply(self, product: Product, precision: str, places: Places) -> None:
        self.launched.append(f"product {product.epilogue}")
        with np.errstate(all="ignore"):  # a device doesn't warn
            multiply(product, precision, places)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        self.recordings += 1

        def replay() -> None:
            self.replays += 1
            work()

        return replay


def taken_apart(text: str) -> tuple[str, dict[str, str]]:
    """What stands in front of a translation unit's kernels, and the text of each kernel by name."""
    starts = [found.start() for found in KERNEL.finditer(text)]
    pieces = [text[i:j] for i, j in zip(starts, [*starts[1:], len(text)], strict=True)]
    return text[: starts[0]], {KERNEL.match(piece).group(1): piece for piece in pieces}  # type: ignore[union-attr]


def with_launchers(text: str, barriers: Mapping[str, bool]) -> str:
    """A translation unit with a function `launch_name(grid x, y, block x, y, seed, ...)` behind each kernel."""
    parts = [f'#include "{HEADER.name}"', text]
    for name, parameters in KERNEL.findall(text):
        names = ", ".join(p.split()[-1].lstrip("*") for p in parameters.split(","))
        head = f'extern "C" void launch_{name}(unsigned gx, unsigned gy, unsigned bx, unsigned by, unsigned seed'
        body = f"launch({{gx, gy}}, {{bx, by}}, {str(barriers[name]).lower()}, seed, [=] {{ {name}({names}); }});"
        parts.append(f"{head}, {parameters}) {{ {body} }}")
    return "\n".join(parts)


folder: Path | None = None
"""Where compiled text is kept; the session's processes share one, if a fixture says which."""


@cache
def _own_folder() -> Path:
    """For this process alone."""
    kept = tempfile.TemporaryDirectory(prefix="deepmath-shim-")
    atexit.register(kept.cleanup)
    return Path(kept.name)


def _folder() -> Path:
    return folder or _own_folder()


def _header(options: Sequence[str]) -> Path:
    """A folder with the header, read by the compiler once for all."""
    content = HEADER.read_bytes()
    place = _folder() / hashlib.sha256(content + " ".join(options).encode()).hexdigest()
    if not place.exists():
        made = Path(tempfile.mkdtemp(dir=_folder()))
        (made / HEADER.name).write_bytes(content)
        _run(["g++", *_OPTIONS, *options, "-x", "c++-header", str(made / HEADER.name)])
        with suppress(OSError):  # another process was faster
            made.rename(place)
    return place


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


_KNOWN: dict[tuple[str, str], Any] = {}
"""Kernels that are compiled: what stands in front of them and their text, which says all that they depend on."""


def compiled(text: str, barriers: Mapping[str, bool], options: tuple[str, ...] = ()) -> dict[str, Any]:
    """The kernels of a translation unit by name, launchable on the CPU. Those known already aren't compiled again."""
    front, kernels = taken_apart(text)
    front = "".join([front, *(f"// {o}\n" for o in options)])
    missing = {name: body for name, body in kernels.items() if (front, body) not in _KNOWN}
    if missing:
        _KNOWN.update({(front, missing[n]): f for n, f in _compile(front, missing, barriers, options).items()})
    return {name: _KNOWN[front, body] for name, body in kernels.items()}


def prepare(texts: Sequence[str], barriers: Mapping[str, bool]) -> None:
    """Compile the kernels of many programs at once, which takes a fraction of the time."""
    by_front: dict[str, dict[str, str]] = {}
    for text in texts:
        front, kernels = taken_apart(text)
        by_front.setdefault(front, {}).update(kernels)
    for front, kernels in by_front.items():
        compiled(front + "".join(kernels.values()), barriers)


def _compile(front: str, kernels: Mapping[str, str], barriers: Mapping[str, bool], options: Sequence[str]) -> Any:
    """The kernels by name, from the folder where it has them; the others are compiled in one go."""
    places = {name: _place(front, body, options) for name, body in kernels.items()}
    missing = {name: body for name, body in kernels.items() if not places[name].exists()}
    if missing:
        text = with_launchers(front + "\n".join(missing.values()), barriers)
        with tempfile.TemporaryDirectory(dir=_folder()) as beside:
            source, library = Path(beside, "kernels.cu"), Path(beside, "kernels.so")
            source.write_text(text, encoding="utf-8")
            include = ["-I", str(_header(options)), "-x", "c++"]
            _run(["g++", *_OPTIONS, *options, *include, str(source), "-shared", "-o", str(library)])
            for name in missing:
                with suppress(FileExistsError):
                    places[name].hardlink_to(library)
    return {name: _function(name, body, places[name]) for name, body in kernels.items()}


def _place(front: str, body: str, options: Sequence[str]) -> Path:
    """Where the compiled kernel is kept: under the hash of all that it depends on."""
    whole = "\0".join([HEADER.read_text(encoding="utf-8"), front, body, *_OPTIONS, *options])
    return _folder() / f"{hashlib.sha256(whole.encode()).hexdigest()}.so"


def _function(name: str, text: str, library: Path) -> Any:
    function = ctypes.CDLL(str(library))[f"launch_{name}"]
    parameters = KERNEL.findall(text)[0][1]
    kinds = [p.strip() for p in parameters.split(",")]
    function.__name__, function.restype = name, None
    function.parameters = len(kinds)
    function.fractions = [p.startswith("double ") for p in kinds]
    return function


def multiply(product: Product, precision: str, places: Places) -> None:
    """A product with its epilogue, by NumPy, in the precision in which cublasLt sums up."""
    p, wide = product, element_type("T", precision)

    def array(address: int, shape: tuple[int, int], kind: str) -> Any:
        dtype = np.dtype(element_type(kind, precision))
        size = shape[0] * shape[1] * dtype.itemsize
        return np.frombuffer((ctypes.c_char * size).from_address(address), dtype).reshape(shape)

    def operand(address: int, shape: tuple[int, int], turned: bool) -> Any:
        values = widened(array(address, shape[::-1] if turned else shape, p.operands), precision, p.operands)
        return values.T if turned else values

    a, b = operand(places.a, (p.rows, p.inner), p.turned_a), operand(places.b, (p.inner, p.columns), p.turned_b)
    result = np.matmul(a, b, dtype=wide)
    if "bias" in p.epilogue:
        result = result + widened(array(places.bias, (1, p.columns), p.result), precision, p.result)
    if "relu" in p.epilogue:
        result = np.maximum(result, result.dtype.type(0))
    if p.epilogue in ("relu_mask_bias", "slope", "slope_sums"):
        pitch = mask_pitch(p.columns)
        bits = np.frombuffer((ctypes.c_char * (p.rows * pitch)).from_address(places.mask), np.uint8)
        bits = bits.reshape(p.rows, pitch)
        if p.epilogue == "relu_mask_bias":
            packed = np.packbits(result > 0, axis=1, bitorder="little")
            bits[:, : packed.shape[1]] = packed
        else:
            result = result * np.unpackbits(bits, axis=1, count=p.columns, bitorder="little")
    if p.epilogue in ("slope_sums", "sums"):
        array(places.sums, (1, p.columns), "T")[...] = (result if p.epilogue == "slope_sums" else b).sum(0)
    array(places.to, (p.rows, p.columns), p.result)[...] = narrowed(result, precision, p.result)


def widened(values: Any, precision: str, kind: str) -> Any:
    """Stored numbers as the precision computes with them."""
    if kind == "S" and precision == "bf16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    if kind == "S" and precision == "float16":
        return values.view(np.float16).astype(np.float32)
    return values


def narrowed(values: Any, precision: str, kind: str) -> Any:
    """Numbers as they are stored."""
    if kind == "S" and precision == "bf16":
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
        return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)
    if kind == "S" and precision == "float16":
        with np.errstate(over="ignore"):
            return np.where(np.isnan(values), np.uint16(0x7E00), values.astype(np.float16).view(np.uint16))
    return values
