"""Plans brought to a device: buffers get memory, kernels are compiled, nodes are issued or recorded."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from deepmath_cupy.kernels import FIXED, Kernels
from deepmath_cupy.nodes import Buffer, Launch, Node, Product, Ref, Work
from deepmath_cupy.runtime import Places, Runtime, element_type


class Session:
    """The memory and the compiled kernels of one program."""

    def __init__(self, runtime: Runtime, precision: str) -> None:
        self.runtime, self.precision = runtime, precision
        self._arrays: dict[str, Any] = {}
        self._functions: dict[str, Any] = {}
        self._workspace = runtime.zeros(runtime.workspace, "uint8")
        self._recorded: dict[Hashable, Callable[[], None]] = {}

    def prepare(self, kernels: Kernels, buffers: Mapping[str, Buffer]) -> None:
        """Compile what is new, and get memory for what has grown; then nothing that was recorded holds any more."""
        grown = {n: b for n, b in buffers.items() if n not in self._arrays or len(self._arrays[n]) < b.size}
        if grown:
            self._recorded.clear()
        for name, buffer in grown.items():
            self._arrays.pop(name, None)
            self._arrays[name] = self.runtime.zeros(buffer.size, element_type(buffer.dtype, self.precision))
        missing = kernels.printed.keys() - self._functions.keys()
        if missing:  # what was compiled before must live on: recorded steps launch it
            barriers = FIXED | {name: kernels.printed[name].barriers for name in missing}
            self._functions = {**self.runtime.functions(kernels.text(self._functions), barriers), **self._functions}

    def array(self, name: str, start: int = 0, count: int | None = None) -> Any:
        """Some elements of a buffer."""
        stop = None if count is None else start + count
        return self._arrays[name][start:stop]

    def write(self, name: str, values: Any, start: int = 0) -> None:
        """Write values into a buffer."""
        flat = values.reshape(-1)
        if len(flat):
            self.runtime.write(self.array(name, start, len(flat)), flat)

    def queue(self, name: str, values: Any, start: int = 0) -> None:
        """Write pinned values into a buffer while the host goes on; they must stay until something is read."""
        flat = values.reshape(-1)
        self.runtime.queue(self.array(name, start, len(flat)), flat)

    def read(self, name: str, count: int, start: int = 0) -> Any:
        """The values of a buffer, as a NumPy array."""
        return self.runtime.read(self.array(name, start, count))

    def issue(self, nodes: Sequence[Node]) -> None:
        """Do the nodes in their order."""
        for node in nodes:
            if isinstance(node, Launch):
                values = [self._address(a) if isinstance(a, Ref) else a for a in node.arguments]
                self.runtime.launch(self._functions[node.kernel], node.grid, node.block, values)
            elif isinstance(node, Product):
                refs = (node.a, node.b, node.to, node.bias, node.mask, node.sums)
                addresses = (0 if r is None else self._address(r) for r in refs)
                places = Places(*addresses)._replace(workspace=self._scratch)
                self.runtime.multiply(node, self.precision, places)
            else:
                self.runtime.work(node.work, [self._placed(*place) for place in node.places])

    def recorded(self, key: Hashable, nodes: Callable[[], Sequence[Node]]) -> Callable[[], None]:
        """What does these nodes, recorded when it is asked for first if all of them can be."""
        if key not in self._recorded:
            written = nodes()
            work = functools.partial(self.issue, written)
            recordable = not any(isinstance(node, Work) for node in written)
            self._recorded[key] = self.runtime.record(work) if recordable else work
        return self._recorded[key]

    @property
    def _scratch(self) -> int:
        return self.runtime.address(self._workspace) if self.runtime.workspace else 0

    def _placed(self, ref: Ref, shape: tuple[int, ...]) -> Any:
        return self.array(ref.buffer, ref.offset, math.prod(shape)).reshape(shape)

    def _address(self, ref: Ref) -> int:
        array = self._arrays[ref.buffer]
        return self.runtime.address(array) + ref.offset * int(array.dtype.itemsize)
