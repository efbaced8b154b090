"""What a training looks like from inside, epoch by epoch: predictions, and the numbers of each layer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from deepmath.arrays import all_finite
from deepmath.layers import Layer
from deepmath.model import Sequential
from deepmath.report.views import View
from deepmath.study.watched import LayerOutputs
from deepmath.training.callbacks import Callback, Run
from deepmath.training.statistics import describe, next_gradients

FRAMES = 48
"""The most epochs that are kept: where there are more, every second one is dropped, again and again."""

ROWS = 256
"""Rows whose outputs are described at each layer."""

BINS = 24


class LayerNumbers(NamedTuple):
    """A layer at an epoch: mean and deviation of its kernel and of its outputs, histograms, gradient's norm.

    `zeros` is the share of outputs that are exactly 0, `idle` the share of units that are 0 for every row seen.
    What a layer hasn't got is None.
    """

    weights: tuple[float, float] | None
    outputs: tuple[float, float]
    zeros: float
    idle: float
    gradient: float | None
    weight_bins: tuple[float, float, list[int]] | None
    output_bins: tuple[float, float, list[int]]


class Frame(NamedTuple):
    """One epoch: how many are done, the predictions as `View.frame` gives them, and the layers."""

    epoch: int
    view: Any
    text: str
    layers: tuple[LayerNumbers, ...]


@dataclass
class Record:
    """Frames in the order of the epochs, seconds spent in training alone, and rows gone through."""

    layers: tuple[str, ...] = ()
    frames: list[Frame] = field(default_factory=list)
    seconds: float = 0.0
    rows: float = 0.0
    steps: int = 0

    @property
    def samples_per_second(self) -> float | None:
        return self.rows / self.seconds if self.seconds > 0.0 and self.rows else None


class Recorder(Callback):
    """Keeps a `Record` of a training of `model`, seen through `view`; the training itself isn't changed in any bit.

    Predictions and outputs are the formulas' own in float64, whatever backend trains.
    """

    last = True

    def __init__(self, model: Sequential, view: View) -> None:
        self.model, self.view, self.record = model, view, Record()
        self._every = 1
        self._layers: LayerOutputs | None = None

    def on_train_begin(self, run: Run) -> None:
        self.record = Record(tuple(_name(i, layer) for i, layer in enumerate(self.model.layers)))
        self._first, self._away, self._layers = run.step, 0.0, None
        self._begin = time.perf_counter()
        self._look(run)

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:  # noqa: ARG002 - the loop gives the epoch's results
        if run.epoch % self._every == 0:
            self._look(run)
        self._count(run)

    def on_train_end(self, run: Run) -> None:
        self._count(run)
        if not run.failed and (not self.record.frames or self.record.frames[-1].epoch != run.epoch):
            self._look(run)

    def _count(self, run: Run) -> None:
        """Seconds and rows so far."""
        self.record.steps = run.step - self._first
        self.record.seconds = time.perf_counter() - self._begin - self._away
        self.record.rows = self.record.steps * run.facts["rows"] / max(run.steps_per_epoch, 1)

    def _look(self, run: Run) -> None:
        begin = time.perf_counter()
        values = run.program.state()
        if all_finite(values.values()):
            gradients = next_gradients(run)
            view, text = self.view.frame(lambda X: self._outputs(values, X)[-1])
            outputs = self._outputs(values, self.view.X[:ROWS])
            layers = [_numbers(i, values, a, gradients) for i, a in enumerate(outputs)]
            self.record.frames.append(Frame(run.epoch, view, text, tuple(layers)))
            if len(self.record.frames) > FRAMES:
                self._every *= 2
                self.record.frames = [f for f in self.record.frames if f.epoch % self._every == 0]
        self._away += time.perf_counter() - begin

    def _outputs(self, values: Mapping[str, Any], X: Any) -> list[Any]:
        """The outputs of every layer, in prediction mode."""
        fitted = self.model.preprocessing
        x = np.asarray(X if fitted is None else fitted.apply(X))
        if self._layers is None:
            self._layers = LayerOutputs(self.model.layers, x.shape[1:], values)
        self._layers.load(values)
        with np.errstate(over="ignore", under="ignore"):
            return self._layers.of(x)


def _name(place: int, layer: Layer) -> str:
    """A layer as a reader knows it, counted from 1: "1 Dense 16 relu"."""
    function = getattr(layer, "activation", None)
    parts = [str(place + 1), type(layer).__name__, str(getattr(layer, "units", "")), getattr(function, "name", "")]
    return " ".join(p for p in parts if p)


def _numbers(place: int, values: Mapping[str, Any], outputs: Any, gradients: Mapping[str, Any]) -> LayerNumbers:
    kernel = values.get(f"params.{place}.kernel")
    own = [g for n, g in gradients.items() if n.startswith(f"{place}.")]
    flat = outputs.reshape(-1, outputs.shape[-1])
    return LayerNumbers(
        None if kernel is None else _moments(kernel),
        _moments(flat),
        float(np.mean(flat == 0.0)),
        float(np.mean(np.all(flat == 0.0, axis=0))),
        describe(np.concatenate([g.ravel() for g in own]))["norm"] if own else None,
        None if kernel is None else _bins(kernel),
        _bins(flat),
    )


def _moments(values: Any) -> tuple[float, float]:
    x = np.asarray(values, np.float64)
    return float(x.mean()), float(x.std())


def _bins(values: Any) -> tuple[float, float, list[int]]:
    """Least, largest, and how many numbers lie in each part of the range between."""
    x = np.asarray(values, np.float64).ravel()
    low, high = float(x.min()), float(x.max())
    if not high > low:
        return low, high, [len(x)]
    counts: Sequence[int] = np.histogram(x, BINS, (low, high))[0].tolist()
    return low, high, list(counts)
