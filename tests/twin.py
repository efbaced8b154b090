"""The same network in PyTorch, built from the description alone: the oracle of training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch_rules
from networks import Case, first_values_of
from torch_table import ACTIVATIONS, KINKS, LOSS_KINKS, LOSSES

from deepmath import losses as loss_table
from deepmath import regularizers
from deepmath.formulas.random import NOISE, epoch_order, host_words
from deepmath.layers import Activation, BatchNormalization, Dense, Dropout, GaussianNoise, LayerNormalization, PReLU

torch.set_num_threads(1)  # small matrices, and several test processes on a few cores


class Twin:
    """Trains a case in float64 with autograd and torch.optim, in deepmath's order of rows and with its noise.

    `kink` is the least distance from a jump of any derivative seen so far (standing right on one is no matter of
    rounding), `smallest` the least magnitude of a gradient's component: below about 1e-6 either would turn
    rounding errors into other numbers, and comparing would mean nothing.
    """

    def __init__(
        self,
        case: Case,
        values: Mapping[str, Any] | None = None,
        activations: Mapping[str, Callable[..., Any]] | None = None,
        losses: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.case = case
        self.functions, self.losses = ACTIVATIONS | dict(activations or {}), LOSSES | dict(losses or {})
        values = first_values_of(case) if values is None else values
        tensors = {n: torch.tensor(np.asarray(v), dtype=torch.float64) for n, v in values.items()}
        self.params = {n.removeprefix("params."): t.requires_grad_() for n, t in tensors.items() if n[:7] == "params."}
        self.moving = {n.removeprefix("state."): t for n, t in tensors.items() if n[:6] == "state."}
        self.X = torch.tensor(np.asarray(case.X), dtype=torch.float64)
        self.y = torch.tensor(np.asarray(case.y))
        self.loss = loss_table.get(case.loss)
        self.step_number, self.kink, self.smallest = 0, float("inf"), float("inf")
        self.optimizer = self._optimizer()

    def step(self) -> float:
        """One update; gives the objective before it."""
        objective = self.objective()
        gradients = torch.autograd.grad(objective, list(self.params.values()), allow_unused=True)
        self.smallest = min([self.smallest, *(least(g) for g in gradients if g is not None)])
        for p, g in zip(self.params.values(), self._clipped(gradients), strict=True):
            p.grad = g
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        torch.set_default_dtype(torch.float64)  # NAdam keeps a running product in it, whatever the parameters'
        try:
            self.optimizer.step()
        finally:
            torch.set_default_dtype(torch.float32)
        self._constrain()
        self.step_number += 1
        return float(objective.detach())

    def objective(self) -> Any:
        """The weighted mean of the losses over the step's rows (for sse their weighted sum), and the penalties."""
        rows = self._rows()
        weights = np.ones(len(self.X)) if self.case.weights is None else np.asarray(self.case.weights)
        total = 1.0 if self.loss.name == "sse" else weights[rows].sum()
        share = torch.tensor(weights / total if total else weights * 0.0)
        size = min(self.case.batch_size, len(self.X))
        objective = self._penalty()
        for first in range(0, len(rows), size):
            micro = torch.tensor(rows[first : first + size])
            p = self.forward(self.X[micro], first, training=True)
            objective = objective + (self._loss(p, self.y[micro]) * share[micro]).sum()
        return objective

    def predict(self, X: Any) -> Any:
        """Predictions as a NumPy array."""
        with torch.no_grad():
            return self.forward(torch.tensor(np.asarray(X), dtype=torch.float64), 0, training=False).numpy()

    def forward(self, x: Any, first: int, training: bool) -> Any:
        """Predictions [rows, outputs]; the rows are number `first` and the following of the logical batch."""
        for number, layer in enumerate(self.case.layers):
            if isinstance(layer, Dense):
                x = x @ self.params[f"{number}.kernel"]
                x = x + self.params[f"{number}.bias"] if layer.use_bias else x
                x = x if layer.activation is None else self._activate(x, layer.activation)
            elif isinstance(layer, Activation):
                x = self._activate(x, layer.activation)
            elif isinstance(layer, PReLU):
                self._watch(x, "prelu")
                x = torch.where(x > 0.0, x, self.params[f"{number}.alpha"] * x)
            elif isinstance(layer, BatchNormalization):
                x = self._normalize(x, layer, number, training)
            elif isinstance(layer, LayerNormalization):
                gamma, beta = self.params[f"{number}.gamma"], self.params[f"{number}.beta"]
                x = torch.nn.functional.layer_norm(x, x.shape[-1:], gamma, beta, layer.epsilon)
            elif isinstance(layer, Dropout):
                x = x * torch.tensor(self._mask(layer, number, first, tuple(x.shape))) if training else x
            else:
                assert isinstance(layer, GaussianNoise), f"no twin of {layer}"
                x = x + layer.stddev * torch.tensor(self._normals(number, first, tuple(x.shape))) if training else x
        return x

    def _activate(self, z: Any, function: Any) -> Any:
        self._watch(z, base(function))
        return self.functions[base(function)](z, *function.constants)

    def _normalize(self, x: Any, layer: BatchNormalization, number: int, training: bool) -> Any:
        mean, variance = self.moving[f"{number}.moving_mean"], self.moving[f"{number}.moving_variance"]
        if training:
            moments = x.mean(0), x.var(0, correction=0)
            for name, moment in zip(("moving_mean", "moving_variance"), moments, strict=True):
                old = self.moving[f"{number}.{name}"]
                self.moving[f"{number}.{name}"] = layer.momentum * old + (1.0 - layer.momentum) * moment.detach()
            mean, variance = moments
        y = (x - mean) / torch.sqrt(variance + layer.epsilon)
        return y * self.params[f"{number}.gamma"] + self.params[f"{number}.beta"]

    def _bits(self, number: int, first: int, rows: int, units: int) -> Any:
        words = host_words(self.case.seed, NOISE, rows, units, step=self.step_number, layer=number, first=first)
        return words >> 8

    def _mask(self, layer: Dropout, number: int, first: int, shape: tuple[int, ...]) -> Any:
        return (self._bits(number, first, *shape) >= round(layer.rate * 2**24)) / (1.0 - layer.rate)

    def _normals(self, number: int, first: int, shape: tuple[int, ...]) -> Any:
        """Box and Muller's: the first half of a row's bits gives the lengths, the second the angles."""
        bits = self._bits(number, first, shape[0], 2 * shape[1])
        lengths, angles = (bits[:, : shape[1]] + 0.5) / 2**24, bits[:, shape[1] :] / 2**24
        return np.sqrt(-2.0 * np.log(lengths)) * np.cos(2.0 * math.pi * angles)

    def _loss(self, p: Any, y: Any) -> Any:
        """The loss of each row."""
        name, constants = base(self.loss), self.loss.constants
        if name in LOSS_KINKS:
            self.kink = min(self.kink, least(LOSS_KINKS[name](p, y, *constants)))
        return self.losses[name](p, y, *constants)

    def _penalty(self) -> Any:
        total = torch.zeros((), dtype=torch.float64)
        for number, layer in enumerate(self.case.layers):
            for name, rule in layer.penalties().items():
                w = self.params[f"{number}.{name}"]
                one, two = _strengths(rule)
                if one:
                    self.kink = min(self.kink, least(w))
                total = total + one * w.abs().sum() + 0.5 * two * (w**2).sum()
        return total

    @torch.no_grad()
    def _constrain(self) -> None:
        for number, layer in enumerate(self.case.layers):
            for name, rule in layer.constraints().items():
                w = self.params[f"{number}.{name}"]
                w *= torch.clamp(rule.max_value / torch.linalg.vector_norm(w, dim=0, keepdim=True), max=1.0)

    def _rows(self) -> Any:
        """The rows of the step: the epoch's order, cut into logical batches."""
        n, case = len(self.X), self.case
        logical = min(case.batch_size * case.accumulate, n)
        per_epoch = n // logical if case.drop_last else -(-n // logical)
        epoch, place = divmod(self.step_number, per_epoch)
        order = epoch_order(case.seed, epoch, n) if case.shuffle else np.arange(n)
        return order[place * logical : (place + 1) * logical]

    def _clipped(self, gradients: Any) -> list[Any]:
        found = [torch.zeros_like(p) if g is None else g for p, g in zip(self.params.values(), gradients, strict=True)]
        rule = self.case.optimizer
        if rule.clipvalue is not None:
            found = [g.clamp(-rule.clipvalue, rule.clipvalue) for g in found]
        if rule.clipnorm is not None:
            norm = torch.linalg.vector_norm(torch.cat([g.reshape(-1) for g in found]))
            found = [g * (rule.clipnorm / norm) if norm > rule.clipnorm else g for g in found]
        return found

    def _rate(self) -> float:
        return torch_rules.rate(self.case.optimizer, self.step_number)

    def _optimizer(self) -> Any:
        rule = self.case.optimizer
        return torch_rules.OPTIMIZERS[type(rule)](list(self.params.values()), rule)

    def _watch(self, z: Any, name: str) -> None:
        self.kink = min([self.kink, *(least(z - place) for place in KINKS.get(name, ()))])


def base(description: Any) -> str:
    """The name of an activation or a loss without its constants."""
    return description.name.partition("(")[0]


def _strengths(rule: Any) -> tuple[float, float]:
    """What |w| and w^2 / 2 are multiplied by."""
    if isinstance(rule, regularizers.L1L2):
        return rule.l1, rule.l2
    return (rule.l, 0.0) if isinstance(rule, regularizers.L1) else (0.0, rule.l)


def least(x: Any) -> float:
    """The least magnitude other than zero."""
    sizes = x.detach().abs()
    sizes = sizes[sizes > 0.0]
    return float(sizes.min()) if sizes.numel() else float("inf")
