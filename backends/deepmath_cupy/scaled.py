"""Training in float16: the loss is multiplied by a scale that keeps gradients from vanishing or overflowing.

The scale stands in the device's memory, so that one recorded step serves for all scales. Each step waits for the host,
which looks at the gradient: after an overflow the same rows are tried again at a smaller scale, and nothing has moved.
As each micro-batch's gradient is divided by its own scale, one of them can be tried again alone.
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
    _tried = LossScale()

    def gradients(self, batch: Batch, previous: Gradients | None = None) -> Gradients:
        if previous is None:
            self._tried = self.scale
        before = None if previous is None else (previous.flat.copy(), previous.sums)
        while True:
            scale = self._tried.scale
            self._session.write("scale", np.asarray([scale, 1.0 / scale]))
            found = super().gradients(batch, previous)
            lost = not np.isfinite(found.sums).all()  # that is no matter of the scale
            if lost or scale <= FLOOR or self._is_finite():
                return found
            self._tried = self._tried.after(False)
            if before is not None:
                found.flat[...] = before[0]
                self._session.write("sums", before[1])

    def apply(self, gradients: Gradients) -> None:
        super().apply(gradients)
        self.scale = self._tried.after(True)

    def state(self) -> dict[str, Any]:
        return super().state() | self.scale.state()

    def load(self, state: Mapping[str, Any]) -> None:
        super().load(state)
        self.scale = self.scale.load(state) if "scale" in state else LossScale()

    def _run(self, results: Any) -> None:
        for i in range(len(results)):
            gradients = None
            for batch in self._batches.at(self.step):
                gradients = self.gradients(batch, gradients)
            assert gradients is not None
            results[i] = finished(gradients.sums, *self._batches.weight_of(self.step))
            self.apply(gradients)

    def _is_finite(self) -> bool:
        """Whether the gradient is, told by the largest number of each of its pages."""
        self._issue("largest", self._plan.largest)
        pages = self._plan.writer.buffers["largest"].size
        return bool(np.isfinite(self._session.read("largest", pages)).all())
