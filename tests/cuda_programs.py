"""Programs on the shim: compiled together, and what is asked of their plans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cuda_shim
from deepmath_cupy import CupyBackend, memory
from deepmath_cupy.compiling import shapes
from deepmath_cupy.kernels import FIXED
from deepmath_cupy.plan import Plan, plan_of
from networks import Case, first_values_of, recipe_of

from deepmath.parameters import Layout


def on_shim(seed: int = 0, **settings: Any) -> CupyBackend:
    """The backend with the shim in place of a device."""
    return CupyBackend("cuda:0", cuda_shim.Shim(seed, **settings))


def planned(case: Case, precision: str, **settings: Any) -> Plan:
    """The plan of a case, written at its largest."""
    values, micro = first_values_of(case), min(case.batch_size, len(case.X))
    layouts = [Layout(shapes(values, prefix)) for prefix in ("params.", "state.")]
    plan = plan_of(recipe_of(case, precision), *layouts, micro * case.accumulate, **settings)
    assert isinstance(plan, Plan), plan
    memory.write_all(plan, micro, training=True)
    return plan


def prepare(cases: Sequence[Case], precisions: Sequence[str]) -> None:
    """Compile the kernels of all cases at once."""
    kernels = [planned(case, precision).writer.kernels for case in cases for precision in precisions]
    barriers = dict(FIXED)
    for each in kernels:
        barriers |= {name: printed.barriers for name, printed in each.printed.items()}
    cuda_shim.prepare([each.text() for each in kernels], barriers)
