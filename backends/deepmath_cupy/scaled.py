"""Training in float16: the loss is multiplied by a scale that keeps gradients from vanishing or overflowing.

The scale stands in the device's memory, so that one recorded step serves for all scales. Each step waits for the host,
which looks at the gradient: after an overflow the same rows are tried again at a smaller scale, and nothing has moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deepmath.program import Batch, finished
from deepmath.training.scaling import FLOOR, LossScale
from deepmath_cupy.program import CupyProgram, Gradients


class ScaledProgram(CupyProgram):
    """A program whose loss is scaled; `scale` is the rule and where it stands."""

    scale = LossScale()

    def gradients(self, batch: Batch, previous: Gradients | None = None) -> Gradients:
        self._send_scale()
        return super().gradients(batch, previous)

    def state(self) -> dict[str, Any]:
        return super().state() | self.scale.state()

    def load(self, state: Mapping[str, Any]) -> None:
        super().load(state)
        self.scale = self.scale.load(state) if "scale" in state else LossScale()

    def _run(self, results: Any) -> None:
        for i in range(len(results)):
            results[i] = self._one()

    def _one(self) -> Any:
        """One step, with as many trials as it takes."""
        micro = self._batches.at(self.step)
        while True:
            gradients = None
            for batch in micro:
                gradients = self.gradients(batch, gradients)
            assert gradients is not None
            finite = self._is_finite()
            lost = not np.isfinite(gradients.sums).all()  # that is no matter of the scale
            if finite or lost or self.scale.scale <= FLOOR:
                results = finished(gradients.sums, *self._batches.weight_of(self.step))
                self.apply(gradients)
                self.scale = self.scale.after(finite or lost)
                return results
            self.scale = self.scale.after(False)

    def _is_finite(self) -> bool:
        """Whether the gradient is, told by the largest number of each of its pages."""
        self._session.issue(self._plan.largest())
        pages = self._plan.writer.buffers["largest"].size
        return bool(np.isfinite(self._session.read("largest", pages)).all())

    def _send_scale(self) -> None:
        self._session.write("scale", np.asarray([self.scale.scale, 1.0 / self.scale.scale]))
