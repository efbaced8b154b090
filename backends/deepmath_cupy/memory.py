"""How much of the device's memory a program takes: known from its plan, before anything is asked of the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from deepmath.errors import OutOfDeviceMemory
from deepmath_cupy import tape
from deepmath_cupy.nodes import Buffer
from deepmath_cupy.plan import Plan
from deepmath_cupy.runtime import Runtime, element_type

LEAST_CHUNK = 1024
"""Predictions are made for so many rows at a time, at least, so that small batches don't make them slow."""


def needed(buffers: Mapping[str, Buffer], precision: str) -> int:
    """Bytes of all buffers.

    >>> needed({"theta": Buffer(1024, "T"), "half": Buffer(1024, "S")}, "bf16")
    6144
    """
    return sum(b.size * np.dtype(element_type(b.dtype, precision)).itemsize for b in buffers.values())


def chunk(micro: int, training: bool) -> int:
    """How many rows are predicted at a time."""
    return micro if training and micro > 64 else max(micro, LEAST_CHUNK)


def write_all(plan: Plan, micro: int, *, training: bool) -> None:
    """Write all that the program may come to, at its largest, so that its buffers and kernels are known."""
    rows = chunk(micro, training)
    plan.predict(rows)
    if plan.recipe.head is not None:
        plan.measure(rows)
        plan.penalties()
    if training:
        plan.step([micro] * -(-plan.line // micro))
        plan.largest()
        plan.steps_on_tape(tape.length(plan.line, plan.numbers))


def check(runtime: Runtime, plan: Plan, rewritten: Callable[[int], Plan], *, micro: int, training: bool) -> None:
    """Raise OutOfDeviceMemory, naming a batch size that fits, where the plan takes more than there is.

    `micro` are the rows of a micro-batch; `rewritten(rows)` gives the plan for another number of them.
    """
    write_all(plan, micro, training=training)
    wanted, (free, total) = needed(plan.writer.buffers, plan.recipe.precision) + runtime.workspace, runtime.memory()
    if wanted <= free:
        return

    def fits(rows: int) -> bool:
        other = rewritten(rows)
        write_all(other, rows, training=training)
        return needed(other.writer.buffers, plan.recipe.precision) + runtime.workspace <= free

    cure = "Use a smaller model, another device, or backend='numpy'"
    if training and fits(1):
        low, high = 1, micro
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        cure = f"batch_size={low} fits"
    at = f" at batch_size={micro}" if training else ""
    has = f"{runtime.name} has {_size(free)} free of {_size(total)}"
    raise OutOfDeviceMemory(f"backend 'cupy': the model needs {_size(wanted)}{at}; {has}. {cure}.")


def _size(count: int) -> str:
    """Bytes as a person reads them.

    >>> _size(3 << 29), _size(5 << 20)
    ('1.5 GiB', '5.0 MiB')
    """
    return f"{count / 2**30:.1f} GiB" if count >= 1 << 29 else f"{count / 2**20:.1f} MiB"
