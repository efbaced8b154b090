"""Programs on the shim: compiled together; and how far programs are from the reference, on the shim or a device."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import cuda_shim
import numpy as np
from deepmath_cupy import CupyBackend, memory
from deepmath_cupy.compiling import shapes
from deepmath_cupy.kernels import FIXED
from deepmath_cupy.plan import Plan
from networks import Case, Probe, compiled, first_values_of, recipe_of

from deepmath.batches import InMemory
from deepmath.parameters import Layout
from deepmath.program import Data

COUNT, STEPS = 50, 20
"""How many random networks train, and how many steps."""


def on_shim(seed: int = 0, **settings: Any) -> CupyBackend:
    """The backend with the shim in place of a device."""
    return CupyBackend("cuda:0", cuda_shim.Shim(seed, **settings))


def planned(case: Case, precision: str, **settings: Any) -> Plan:
    """The plan of a case, written at its largest."""
    values, micro = first_values_of(case), min(case.batch_size, len(case.X))
    layouts = [Layout(shapes(values, prefix)) for prefix in ("params.", "state.")]
    plan = Plan(recipe_of(case, precision), *layouts, micro * case.accumulate, **settings)
    memory.write_all(plan, micro, training=True)
    return plan


def prepare(cases: Sequence[Case], precisions: Sequence[str]) -> None:
    """Compile the kernels of all cases at once."""
    kernels = [planned(case, precision).writer.kernels for case in cases for precision in precisions]
    barriers = dict(FIXED)
    for each in kernels:
        barriers |= {name: printed.barriers for name, printed in each.printed.items()}
    cuda_shim.prepare([each.text() for each in kernels], barriers)


def relative(found, expected):
    """The largest difference of any array, in units of max(1, |w|)."""
    assert found.keys() == expected.keys()
    return max(float(np.max(np.abs(found[n] - w) / np.maximum(1.0, np.abs(w)))) for n, w in expected.items())


def length(gradients):
    return float(np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in gradients.values())))


def trained(case, backend="reference"):
    """Results and state after the steps."""
    program = compiled(case, backend)
    with np.errstate(all="ignore"):
        results = np.asarray(program.run(STEPS))
    return {"results": results} | program.state()


def spread(case):
    """How far the reference itself goes astray when inputs change in their last digit: what no program can undercut."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], case.X.shape)
    nudged = dataclasses.replace(case, X=case.X * (1.0 + 2e-16 * signs))
    return relative(trained(nudged), trained(case))


def lock_step(case, backend, precision, steps):
    """The largest distance of any step's gradient from the reference's, from the same state, in units of its norm."""
    trainer = compiled(case, "reference", "float32")
    probes = [Probe(case, "reference", "float32"), Probe(case, backend, precision)]
    batches = InMemory(trainer.recipe, Data(case.X, trainer.data.targets, case.weights))
    worst = 0.0
    for step in range(STEPS):
        if step in steps:
            values = trainer.state()
            reference, found = (probe.gradients(values, batches.at(step), step) for probe in probes)
            difference = length({n: found[n].astype(np.float64) - g for n, g in reference.items()})
            worst = max(worst, difference / max(length(reference), 1e-30))
        trainer.run(1)
    return worst
