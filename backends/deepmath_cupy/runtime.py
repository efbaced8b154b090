"""The seam to a device: all that a program needs of one. `deepmath_cupy.device` is the only real one.

Arrays are one-dimensional, can be sliced, and belong to `xp`. Work is done in the order in which it is asked for;
`read` alone waits for it.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from deepmath_cupy.nodes import Product

DTYPES = {"float64": "float64", "bf16": "uint16", "float16": "uint16"}
"""The element type of the storage type S, for the precisions where it is not float32."""


def element_type(kind: str, precision: str) -> str:
    """The element type of a buffer's kind; 16-bit numbers are kept as their bits.

    >>> element_type("T", "bf16"), element_type("S", "bf16"), element_type("S", "tf32"), element_type("int64", "tf32")
    ('float32', 'uint16', 'float32', 'int64')
    """
    if kind == "T":
        return "float64" if precision == "float64" else "float32"
    return DTYPES.get(precision, "float32") if kind == "S" else kind


class Places(NamedTuple):
    """The addresses of a product's operands; 0 for what it hasn't got. `workspace` is scratch memory."""

    a: int
    b: int
    to: int
    bias: int
    mask: int
    sums: int
    workspace: int = 0


class Runtime(abc.ABC):
    """One device."""

    name: str
    xp: Any
    workspace: int = 0
    """Bytes of scratch memory that products need; programs have their own, because they may run side by side."""

    @abc.abstractmethod
    def memory(self) -> tuple[int, int]:
        """Bytes that can be had, and bytes that the device has."""

    @abc.abstractmethod
    def zeros(self, count: int, dtype: str) -> Any:
        """A new array of zeros."""

    @abc.abstractmethod
    def write(self, array: Any, values: Any) -> None:
        """Copy a NumPy array's values into an array of the same length."""

    @abc.abstractmethod
    def queue(self, array: Any, values: Any) -> None:
        """The same from a pinned array, while the host goes on; its values must stay until they are copied."""

    @abc.abstractmethod
    def read(self, array: Any) -> Any:
        """A NumPy array with an array's values, when all work before is done."""

    @abc.abstractmethod
    def put(self, x: Any, dtype: str) -> Any:
        """A contiguous array of any shape with x's values, which are NumPy's or lie on this device."""

    @abc.abstractmethod
    def pinned(self, count: int, dtype: str) -> Any:
        """A NumPy array that the device can read while the host goes on."""

    @abc.abstractmethod
    def send(self, array: Any, values: Any, behind: Any) -> Any:
        """Begin to copy a pinned array, beside all other work, but not before the mark `behind`; gives its own mark."""

    @abc.abstractmethod
    def mark(self) -> Any:
        """The point in the work at which all that was asked for so far is done."""

    @abc.abstractmethod
    def follow(self, mark: Any) -> None:
        """What is asked for from now on is done after the mark."""

    @abc.abstractmethod
    def wait(self, mark: Any) -> None:
        """Wait on the host until the mark is reached."""

    @abc.abstractmethod
    def address(self, array: Any) -> int:
        """Where an array begins in the device's memory."""

    @abc.abstractmethod
    def functions(self, text: str, barriers: Mapping[str, bool]) -> Mapping[str, Any]:
        """Compile a translation unit; its kernels by name. `barriers` says whose threads wait for each other."""

    @abc.abstractmethod
    def launch(
        self, function: Any, grid: tuple[int, int], block: tuple[int, int], arguments: Sequence[int | float]
    ) -> None:
        """Launch a kernel; addresses and whole numbers are int."""

    @abc.abstractmethod
    def work(self, work: Callable[..., None], arrays: Sequence[Any]) -> None:
        """Do `work(xp, *arrays)`, in its turn."""

    @abc.abstractmethod
    def accepts(self, product: Product, precision: str) -> bool:
        """Whether a product can be made with its epilogue."""

    @abc.abstractmethod
    def multiply(self, product: Product, precision: str, places: Places) -> None:
        """Make a product."""

    @abc.abstractmethod
    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record the launches and products that `work` asks for, without doing them; the result does them all."""
