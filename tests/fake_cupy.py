"""CuPy as far as the CUDA device uses it, on NumPy and the shim, so that the device's own code runs without one.

What CUDA forbids while a stream is recorded raises here too: to wait, to copy, to get memory, to load code, to ask for
algorithms, and to use another stream. Work on a recorded stream is kept, and done when the graph is launched.

With `lazy` a stream does its work as late as CUDA may: when somebody waits for it. Who writes to pinned memory before
it was copied, or reads what wasn't waited for, finds other numbers.
"""

from __future__ import annotations

import itertools
import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

import array_api_compat
import cuda_shim
import numpy as np
from deepmath_cupy import cublaslt, nvrtc
from deepmath_cupy.nodes import Product
from deepmath_cupy.runtime import Places

MEMORY = 1 << 30
lazy = False
alive: list[Any] = []
"""Arrays that work which is not done yet may use: CuPy's pool gives memory back in the order of the stream."""
BARRIERS = ("_sum(", "_max(", "__syncthreads")


class CUDARuntimeError(RuntimeError): ...


class CUDADriverError(RuntimeError): ...


class OutOfMemoryError(MemoryError): ...


class Stream:
    """A stream whose work is done at once, or kept while it is recorded."""

    _numbers = itertools.count(1)

    def __init__(self, non_blocking: bool = False, ptr: int | None = None) -> None:
        self.ptr = next(self._numbers) << 8 if ptr is None else ptr
        self.kept: list[Any] | None = None
        self.queue: list[Any] = []
        self.done = 0

    def __enter__(self) -> Stream:
        _streams().append(self)
        return self

    def __exit__(self, *_: Any) -> None:
        _streams().pop()

    def begin_capture(self) -> None:
        assert self.ptr, "cannot capture on the default (legacy) stream"
        assert self.kept is None
        self.kept = []

    def end_capture(self) -> Graph:
        kept, self.kept = self.kept, None
        assert kept is not None
        return Graph(kept)

    def do(self, work: Any) -> None:
        recorded = recording()
        assert recorded in (None, self), "work on another stream while one is recorded"
        if self.kept is not None:
            self.kept.append(work)
        elif lazy:
            self.queue.append(work)
        else:
            work()

    def finish(self, count: int | None = None) -> None:
        """Do what was asked for first, so many things, or all."""
        while self.done < (len(self.queue) if count is None else count):
            self.done += 1
            self.queue[self.done - 1]()

    def record(self) -> Event:
        forbidden("an event")
        return Event(self, len(self.queue))

    def wait_event(self, event: Event) -> None:
        forbidden("an event")
        self.do(event.reached)


class Event:
    def __init__(self, stream: Stream, count: int) -> None:
        self.stream, self.count = stream, count

    def reached(self) -> None:
        self.stream.finish(self.count)

    def synchronize(self) -> None:
        forbidden("to wait")
        self.reached()


class Graph:
    """What was recorded."""

    def __init__(self, kept: list[Any]) -> None:
        self.kept = kept

    def upload(self) -> None:
        assert self.kept, "an empty graph"

    def launch(self) -> None:
        for work in self.kept:
            get_current_stream().do(work)


_thread = threading.local()
_null = Stream(ptr=0)


def _streams() -> list[Stream]:
    if not hasattr(_thread, "streams"):
        _thread.streams = [_null]
    return _thread.streams


def get_current_stream() -> Stream:
    return _streams()[-1]


def recording() -> Stream | None:
    """The stream that this thread records."""
    return next((s for s in _streams() if s.kept is not None), None)


def forbidden(what: str) -> None:
    if recording() is not None:
        raise CUDARuntimeError(f"cudaErrorStreamCaptureUnsupported: {what} while a stream is recorded")


class Device:
    """Device `id`; `entered` counts how deep this thread is in it."""

    compute_capability = "90"

    def __init__(self, id: int = 0) -> None:
        self.id, self.entered = id, 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.id == self.id

    __hash__ = None  # type: ignore[assignment]

    def __enter__(self) -> Device:
        self.entered += 1
        return self

    def __exit__(self, *_: Any) -> None:
        self.entered -= 1


class Array(np.ndarray):  # type: ignore[type-arg]
    """An array of the device."""

    @property
    def data(self) -> Any:  # type: ignore[override]
        return SimpleNamespace(ptr=self.ctypes.data)

    @property
    def device(self) -> Any:
        return Device(0)

    def set(self, values: Any, stream: Stream | None = None) -> None:
        assert isinstance(values, np.ndarray)
        assert not isinstance(values, Array)
        assert (values.dtype, values.shape) == (self.dtype, self.shape)
        forbidden("a copy")
        given = values.copy() if stream is None else values
        (stream or get_current_stream()).do(lambda: np.copyto(self, given))

    def get(self) -> Any:
        forbidden("to wait")
        get_current_stream().finish()
        return np.array(self)

    def copy(self, order: Any = "C") -> Any:
        get_current_stream().finish()
        return super().copy(order)


class Module:
    """Code, which is its own text here."""

    def load(self, code: bytes) -> None:
        forbidden("to load code")
        text = code.decode()
        _, kernels = cuda_shim.taken_apart(text)
        barriers = {name: any(b in body for b in BARRIERS) for name, body in kernels.items()}
        self.functions = cuda_shim.compiled(text, barriers)

    def get_function(self, name: str) -> Any:
        function, shim = self.functions[name], cuda_shim.Shim()

        def launch(grid: Any, block: Any, arguments: tuple[Any, ...]) -> None:
            assert all(type(a) in (np.int64, np.float64) for a in arguments)
            passed = [float(a) if isinstance(a, np.float64) else int(a) for a in arguments]
            get_current_stream().do(lambda: shim.launch(function, grid, block, passed))

        return launch


class Descriptors:
    """Those of cublasLt, whose products NumPy makes."""

    asked = 0

    def __init__(self, product: Product, precision: str, places: Places, library: Any) -> None:
        self.product, self.precision, self.places = product, precision, places

    def algorithm(self, handle: Any) -> Any:
        forbidden("to ask for an algorithm")
        Descriptors.asked += 1
        return "an algorithm"

    def run(self, handle: Any, places: Places, chosen: Any, stream: int) -> None:
        assert chosen == "an algorithm"
        assert places == self.places
        assert places.workspace, "products need memory of their own: cublasLt would get it while a stream is recorded"
        assert places.workspace % 16 == places.mask % 16 == 0
        assert stream == get_current_stream().ptr
        with np.errstate(all="ignore"):
            get_current_stream().do(lambda: cuda_shim.multiply(self.product, self.precision, places))

    def close(self) -> None: ...


def _zeros(count: int, dtype: Any) -> Any:
    forbidden("to get memory")
    if count * np.dtype(dtype).itemsize > MEMORY:
        raise OutOfMemoryError("Out of memory allocating bytes")
    made = np.zeros(count, dtype).view(Array)
    alive.append(made)
    return made


def _asarray(x: Any, dtype: Any = None) -> Any:
    forbidden("to get memory")
    return np.array(x, dtype).view(Array)


def install(monkeypatch: Any) -> Any:
    """Put it in CuPy's place; gives the class of the device, freshly imported."""
    cuda = SimpleNamespace(
        Device=Device, Stream=Stream, get_current_stream=get_current_stream,
        runtime=SimpleNamespace(memGetInfo=lambda: (MEMORY, MEMORY), CUDARuntimeError=CUDARuntimeError),
        driver=SimpleNamespace(CUDADriverError=CUDADriverError),
        memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError), function=SimpleNamespace(Module=Module),
    )  # fmt: skip
    cupy, cupyx, compat = ModuleType("cupy"), ModuleType("cupyx"), ModuleType("array_api_compat.cupy")
    compat.__dict__.update({n: getattr(np, n) for n in np.__all__ if n not in ("__version__",)})
    vars(cupy).update(
        cuda=cuda, ndarray=Array, zeros=_zeros, asarray=_asarray, ascontiguousarray=lambda x, dtype: _asarray(x, dtype),
        get_default_memory_pool=lambda: SimpleNamespace(free_bytes=lambda: 0),
    )  # fmt: skip
    vars(cupyx)["empty_pinned"] = np.empty
    for name, module in (("cupy", cupy), ("cupyx", cupyx), ("array_api_compat.cupy", compat)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(array_api_compat, "cupy", compat, raising=False)
    monkeypatch.setattr(cublaslt, "loaded", lambda major=None: SimpleNamespace(cublasLtCreate=lambda handle: 0))
    monkeypatch.setattr(cublaslt, "Descriptors", Descriptors)
    monkeypatch.setattr(nvrtc, "cubin", lambda text, architecture, major: text.encode())
    monkeypatch.delitem(sys.modules, "deepmath_cupy.device", raising=False)
    import deepmath_cupy.device as device

    monkeypatch.setitem(sys.modules, "deepmath_cupy.device", device)
    return device.CudaDevice
