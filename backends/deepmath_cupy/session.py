"""Plans brought to a device: buffers get memory, kernels are compiled, nodes are issued or recorded."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from deepmath_cupy.kernels import FIXED, Kernels
from deepmath_cupy.nodes import Buffer, Launch, Node, Ref
from deepmath_cupy.runtime import Places, Runtime, element_type


class Session:
    """The memory and the compiled kernels of one program."""

    def __init__(self, runtime: Runtime, precision: str) -> None:
        self.runtime, self.precision = runtime, precision
        self._arrays: dict[str, Any] = {}
        self._functions: Mapping[str, Any] = {}
        self._recorded: dict[Hashable, Callable[[], None]] = {}

    def prepare(self, kernels: Kernels, buffers: Mapping[str, Buffer]) -> None:
        """Compile what is new, and get memory for what has grown; then nothing that was recorded holds any more."""
        grown = {n: b for n, b in buffers.items() if n not in self._arrays or len(self._arrays[n]) < b.size}
        if grown:
            self._recorded.clear()
        for name, buffer in grown.items():
            self._arrays.pop(name, None)
            self._arrays[name] = self.runtime.zeros(buffer.size, element_type(buffer.dtype, self.precision))
        if not kernels.printed.keys() <= self._functions.keys():
            barriers = FIXED | {name: printed.barriers for name, printed in kernels.printed.items()}
            self._functions = self.runtime.functions(kernels.text(), barriers)

    def array(self, name: str, start: int = 0, count: int | None = None) -> Any:
        """Some elements of a buffer."""
        stop = None if count is None else start + count
        return self._arrays[name][start:stop]

    def write(self, name: str, values: Any, start: int = 0) -> None:
        """Write values into a buffer."""
        flat = values.reshape(-1)
        if len(flat):
            self.runtime.write(self.array(name, start, len(flat)), flat)

    def read(self, name: str, count: int, start: int = 0) -> Any:
        """The values of a buffer, as a NumPy array."""
        return self.runtime.read(self.array(name, start, count))

    def issue(self, nodes: Sequence[Node]) -> None:
        """Do the nodes in their order."""
        for node in nodes:
            if isinstance(node, Launch):
                values = [self._address(a) if isinstance(a, Ref) else a for a in node.arguments]
                self.runtime.launch(self._functions[node.kernel], node.grid, node.block, values)
            else:
                refs = (node.a, node.b, node.to, node.bias, node.mask, node.sums)
                places = Places(*(0 if r is None else self._address(r) for r in refs))
                self.runtime.multiply(node, self.precision, places)

    def recorded(self, key: Hashable, nodes: Callable[[], Sequence[Node]]) -> Callable[[], None]:
        """What does these nodes, recorded when it is asked for first."""
        if key not in self._recorded:
            written = nodes()
            self._recorded[key] = self.runtime.record(lambda: self.issue(written))
        return self._recorded[key]

    def _address(self, ref: Ref) -> int:
        array = self._arrays[ref.buffer]
        return self.runtime.address(array) + ref.offset * int(array.dtype.itemsize)
