"""The CUDA device: all of CuPy that this backend uses. Tests put another in its place.

Work goes to CuPy's current stream, in the order in which users of CuPy expect it; only what is recorded goes to a
stream of its own, where it is not run. Matrix products go to cublasLt directly: CuPy refuses its own while it records.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from ctypes import byref, c_void_p
from typing import Any

import array_api_compat.cupy
import cupy
import cupyx
import numpy as np

from deepmath.errors import DeviceError, OutOfDeviceMemory
from deepmath_cupy import cublaslt, nvrtc
from deepmath_cupy.nodes import Product, Ref
from deepmath_cupy.runtime import Places, Runtime, element_type

KEPT_PRODUCTS = 4096
"""Products whose descriptors are kept; recorded steps don't need them any more."""

FAULTS = (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError)
"""What CuPy raises for a status of CUDA; that of a kernel's own fault comes with a later call."""

logger = logging.getLogger("deepmath")


class CudaDevice(Runtime):
    """Device number `index`; `major` is the version of CUDA that CuPy was built for."""

    workspace = cublaslt.WORKSPACE

    def __init__(self, index: int, major: int | None) -> None:
        self.name, self.xp, self.major = f"cuda:{index}", array_api_compat.cupy, major
        self._device = cupy.cuda.Device(index)
        self._architecture = f"sm_{self._device.compute_capability}"
        self._products: OrderedDict[Any, tuple[cublaslt.Descriptors, Any]] = OrderedDict()
        self._accepted: dict[Any, bool] = {}
        self._thread, self._lock = threading.local(), threading.RLock()
        with self._working():
            self._copier = cupy.cuda.Stream(non_blocking=True)
            self._handle = c_void_p()
            status = self._library().cublasLtCreate(byref(self._handle))
        if status:
            raise DeviceError(f"backend 'cupy': cublasLt can't be started on {self.name} (status {status})")

    def memory(self) -> tuple[int, int]:
        with self._working():
            free, total = cupy.cuda.runtime.memGetInfo()
            return free + cupy.get_default_memory_pool().free_bytes(), total

    def zeros(self, count: int, dtype: str) -> Any:
        with self._working(count * np.dtype(dtype).itemsize):
            return cupy.zeros(count, dtype)

    def write(self, array: Any, values: Any) -> None:
        with self._working():
            array.set(np.ascontiguousarray(values, array.dtype))

    def queue(self, array: Any, values: Any) -> None:
        with self._working():
            array.set(values, stream=cupy.cuda.get_current_stream())

    def read(self, array: Any) -> Any:
        with self._working():
            return array.get()

    def put(self, x: Any, dtype: str) -> Any:
        size = np.dtype(dtype).itemsize
        if isinstance(x, cupy.ndarray):
            if x.device != self._device:
                raise DeviceError(
                    f"backend 'cupy': an array lies on cuda:{x.device.id}, and this runs on {self.name}; "
                    f"use device='cuda:{x.device.id}'"
                )
            with self._working(x.size * size):
                return cupy.ascontiguousarray(x, dtype)
        host = np.asarray(x.get() if hasattr(x, "get") else x)
        logger.info("moving an array of shape %s to %s", host.shape, self.name)
        with self._working(host.size * size):
            return cupy.asarray(np.ascontiguousarray(host, dtype))

    def pinned(self, count: int, dtype: str) -> Any:
        with self._working():
            return cupyx.empty_pinned(count, dtype)

    def send(self, array: Any, values: Any, behind: Any) -> Any:
        with self._working():
            if behind is not None:
                self._copier.wait_event(behind)
            array.set(values, stream=self._copier)
            return self._copier.record()

    def mark(self) -> Any:
        with self._working():
            return cupy.cuda.get_current_stream().record()

    def follow(self, mark: Any) -> None:
        with self._working():
            cupy.cuda.get_current_stream().wait_event(mark)

    def wait(self, mark: Any) -> None:
        with self._working():
            mark.synchronize()

    def address(self, array: Any) -> int:
        return int(array.data.ptr)

    def functions(self, text: str, barriers: Mapping[str, bool]) -> Mapping[str, Any]:
        code = nvrtc.cubin(text, self._architecture, self.major)
        with self._working():
            module = cupy.cuda.function.Module()
            module.load(code)
            return {name: module.get_function(name) for name in barriers}

    def launch(
        self, function: Any, grid: tuple[int, int], block: tuple[int, int], arguments: Sequence[int | float]
    ) -> None:
        if not self._rehearsing():
            with self._working():
                function(grid, block, tuple(np.float64(a) if isinstance(a, float) else np.int64(a) for a in arguments))

    def work(self, work: Callable[..., None], arrays: Sequence[Any]) -> None:
        with self._working():
            work(self.xp, *arrays)

    def accepts(self, product: Product, precision: str) -> bool:
        key = product, precision
        if key not in self._accepted:
            if len(self._accepted) == KEPT_PRODUCTS:
                self._accepted.clear()
            descriptors = cublaslt.Descriptors(product, precision, _likely(product, precision), self._library())
            try:
                with self._working():
                    self._accepted[key] = descriptors.algorithm(self._handle) is not None
            finally:
                descriptors.close()
        return self._accepted[key]

    def multiply(self, product: Product, precision: str, places: Places) -> None:
        with self._working(), self._lock:
            descriptors, algorithm = self._descriptors(product, precision, places)
            if not self._rehearsing():
                descriptors.run(self._handle, places, algorithm, int(cupy.cuda.get_current_stream().ptr))

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        self._thread.rehearses = True  # algorithms are chosen before: they can't be while a stream is recorded
        try:
            work()
        finally:
            self._thread.rehearses = False
        with self._working():
            recorder = cupy.cuda.Stream(non_blocking=True)  # its own: threads may record at the same time
            with recorder:
                recorder.begin_capture()
                try:
                    work()
                except BaseException:
                    with suppress(*FAULTS):
                        recorder.end_capture()
                    raise
                graph = recorder.end_capture()
                graph.upload()

        def replay() -> None:
            with self._working():
                graph.launch()

        return replay

    def _descriptors(self, product: Product, precision: str, places: Places) -> tuple[cublaslt.Descriptors, Any]:
        key = (product, precision, places)
        if key not in self._products:
            made = cublaslt.Descriptors(product, precision, places, self._library())
            algorithm = made.algorithm(self._handle)
            if algorithm is None:
                raise DeviceError(
                    f"backend 'cupy': cublasLt has no algorithm for a product of {product.rows} x {product.inner} by "
                    f"{product.inner} x {product.columns} in {precision}; use precision='float32'"
                )
            self._products[key] = made, algorithm
            if len(self._products) > KEPT_PRODUCTS:
                self._products.popitem(last=False)[1][0].close()
        self._products.move_to_end(key)
        return self._products[key]

    def _library(self) -> Any:
        return cublaslt.loaded(self.major)

    def _rehearsing(self) -> bool:
        return getattr(self._thread, "rehearses", False)

    @contextmanager
    def _working(self, size: int | None = None) -> Iterator[None]:
        """This device is CuPy's, and what it raises becomes one line; `size` are the bytes that are asked for."""
        try:
            with self._device:
                yield
        except cupy.cuda.memory.OutOfMemoryError as error:
            raise self._full(size) from error
        except FAULTS as error:
            reason = str(error).partition("\n")[0]
            if "MemoryAllocation" in reason or "OUT_OF_MEMORY" in reason:
                raise self._full(size) from error
            raise DeviceError(
                f"backend 'cupy': {self.name} failed ({reason}); start a new process, see nvidia-smi, "
                "or use backend='numpy'"
            ) from error

    def _full(self, size: int | None) -> OutOfDeviceMemory:
        needed = "more memory" if size is None else f"{size / 2**30:.1f} GiB"
        free, total = (f"{n / 2**30:.1f} GiB" for n in self.memory())
        return OutOfDeviceMemory(
            f"backend 'cupy': {needed} is needed; {self.name} has {free} free of {total}. "
            "Use a smaller batch_size, or data in files."
        )


def _likely(product: Product, precision: str) -> Places:
    """Addresses that are aligned as those of the product will be: buffers begin on a multiple of 512 bytes."""

    def place(ref: Ref | None, kind: str) -> int:
        return 0 if ref is None else 4096 + ref.offset * np.dtype(element_type(kind, precision)).itemsize

    kinds = product.operands, product.operands, product.result, product.result, "uint8", "T"
    refs = product.a, product.b, product.to, product.bias, product.mask, product.sums
    return Places(*(place(r, k) for r, k in zip(refs, kinds, strict=True)))
