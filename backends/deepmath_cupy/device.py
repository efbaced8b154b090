"""The CUDA device: all of CuPy that this backend uses. Tests put another in its place.

Work goes to CuPy's current stream, in the order in which users of CuPy expect it; only what is recorded goes to a
stream of its own, where it is not run. Matrix products go to cublasLt directly: CuPy refuses its own while it records.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from ctypes import byref, c_void_p
from typing import Any

import array_api_compat.cupy
import cupy
import cupyx
import numpy as np

from deepmath.errors import DeviceError, OutOfDeviceMemory
from deepmath_cupy import cublaslt, nvrtc
from deepmath_cupy.nodes import Product
from deepmath_cupy.runtime import Places, Runtime, element_type

KEPT_PRODUCTS = 4096
"""Products whose descriptors are kept; recorded steps don't need them any more."""

logger = logging.getLogger("deepmath")


class CudaDevice(Runtime):
    """Device number `index`; `major` is the version of CUDA that CuPy was built for."""

    def __init__(self, index: int, major: int | None) -> None:
        self.name, self.xp, self.major = f"cuda:{index}", array_api_compat.cupy, major
        self._device = cupy.cuda.Device(index)
        self._architecture = f"sm_{self._device.compute_capability}"
        self._products: OrderedDict[Any, tuple[cublaslt.Descriptors, Any]] = OrderedDict()
        self._thread = threading.local()
        with self._device:
            self._recorder, self._copier = (cupy.cuda.Stream(non_blocking=True) for _ in range(2))
            self._workspace = self.zeros(cublaslt.WORKSPACE, "uint8")
            self._handle = c_void_p()
            status = cublaslt.loaded(major).cublasLtCreate(byref(self._handle))
        if status:
            raise DeviceError(f"backend 'cupy': cublasLt can't be started on {self.name} (status {status})")

    def memory(self) -> tuple[int, int]:
        with self._device:
            free, total = cupy.cuda.runtime.memGetInfo()
            return free + cupy.get_default_memory_pool().free_bytes(), total

    def zeros(self, count: int, dtype: str) -> Any:
        with self._device:
            try:
                return cupy.zeros(count, dtype)
            except cupy.cuda.memory.OutOfMemoryError as error:
                raise self._full(count * np.dtype(dtype).itemsize) from error

    def write(self, array: Any, values: Any) -> None:
        with self._device:
            array.set(np.ascontiguousarray(values, array.dtype))

    def read(self, array: Any) -> Any:
        with self._device:
            return array.get()

    def put(self, x: Any, dtype: str) -> Any:
        with self._device:
            if isinstance(x, cupy.ndarray):
                if x.device != self._device:
                    raise DeviceError(
                        f"backend 'cupy': an array lies on cuda:{x.device.id}, and this runs on {self.name}; "
                        f"use device='cuda:{x.device.id}'"
                    )
                return cupy.ascontiguousarray(x, dtype)
            host = np.asarray(x.get() if hasattr(x, "get") else x)
            logger.info("moving an array of shape %s to %s", host.shape, self.name)
            try:
                return cupy.asarray(np.ascontiguousarray(host, dtype))
            except cupy.cuda.memory.OutOfMemoryError as error:
                raise self._full(host.size * np.dtype(dtype).itemsize) from error

    def pinned(self, count: int, dtype: str) -> Any:
        with self._device:
            return cupyx.empty_pinned(count, dtype)

    def send(self, array: Any, values: Any, behind: Any) -> Any:
        with self._device:
            if behind is not None:
                self._copier.wait_event(behind)
            array.set(values, stream=self._copier)
            return self._copier.record()

    def mark(self) -> Any:
        with self._device:
            return cupy.cuda.get_current_stream().record()

    def follow(self, mark: Any) -> None:
        with self._device:
            cupy.cuda.get_current_stream().wait_event(mark)

    def wait(self, mark: Any) -> None:
        mark.synchronize()

    def address(self, array: Any) -> int:
        return int(array.data.ptr)

    def functions(self, text: str, barriers: Mapping[str, bool]) -> Mapping[str, Any]:
        code = nvrtc.cubin(text, self._architecture, self.major)
        with self._device:
            module = cupy.cuda.function.Module()
            module.load(code)
            return {name: module.get_function(name) for name in barriers}

    def launch(
        self, function: Any, grid: tuple[int, int], block: tuple[int, int], arguments: Sequence[int | float]
    ) -> None:
        if not self._rehearsing():
            with self._device:
                function(grid, block, tuple(np.float64(a) if isinstance(a, float) else np.int64(a) for a in arguments))

    def accepts(self, product: Product, precision: str) -> bool:
        def place(ref: Any, kind: str) -> int:
            size = np.dtype(element_type(kind, precision)).itemsize
            return 0 if ref is None else 4096 + ref.offset * size

        kinds = product.operands, product.operands, product.result, product.result, "uint8", "T"
        refs = product.a, product.b, product.to, product.bias, product.mask, product.sums
        places = Places(*(place(r, k) for r, k in zip(refs, kinds, strict=True)))
        descriptors = cublaslt.Descriptors(product, precision, places, cublaslt.loaded(self.major))
        try:
            with self._device:
                return descriptors.algorithm(self._handle) is not None
        finally:
            descriptors.close()

    def multiply(self, product: Product, precision: str, places: Places) -> None:
        with self._device:
            descriptors, algorithm = self._descriptors(product, precision, places)
            if not self._rehearsing():
                stream = int(cupy.cuda.get_current_stream().ptr)
                descriptors.run(self._handle, places, algorithm, self.address(self._workspace), stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        self._thread.rehearses = True  # algorithms are chosen before: they can't be while a stream is recorded
        try:
            work()
        finally:
            self._thread.rehearses = False
        with self._device, self._recorder:
            self._recorder.begin_capture()
            work()
            graph = self._recorder.end_capture()
            graph.upload()

        def replay() -> None:
            with self._device:
                graph.launch()

        return replay

    def _descriptors(self, product: Product, precision: str, places: Places) -> tuple[cublaslt.Descriptors, Any]:
        key = (product, precision, places)
        if key not in self._products:
            made = cublaslt.Descriptors(product, precision, places, cublaslt.loaded(self.major))
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

    def _rehearsing(self) -> bool:
        return getattr(self._thread, "rehearses", False)

    def _full(self, size: int) -> OutOfDeviceMemory:
        needed, free, total = (f"{n / 2**30:.1f} GiB" for n in (size, *self.memory()))
        return OutOfDeviceMemory(
            f"backend 'cupy': {needed} are needed; {self.name} has {free} free of {total}. "
            "Use a smaller batch_size, or data in files."
        )
