"""The same network in PyTorch, built from the description alone: the oracle of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from networks import Case, first_values_of
from torch_table import ACTIVATIONS, KINKS, LOSS_KINKS, LOSSES

from deepmath import losses as loss_table
from deepmath.formulas.random import NOISE, epoch_order, host_words
from deepmath.layers import Activation, BatchNormalization, Dense, Dropout
from deepmath.optimizers import SGD
from deepmath.schedules import ExponentialDecay

torch.set_num_threads(1)  # small matrices, and several test processes on a few cores


class Twin:
    """Trains a case in float64 with autograd and torch.optim, in deepmath's order of rows and with its noise.

    `kink` is the least distance from a jump of any derivative seen so far (standing right on one is no matter of
    rounding), `smallest` the least root of Adam's second moment: below about 1e-6 either would turn rounding
    errors into other numbers, and comparing would mean nothing.
    """

    def __init__(
        self,
        case: Case,
        values: Mapping[str, Any] | None = None,
        activations: Mapping[str, Callable[[Any], Any]] | None = None,
        losses: Mapping[str, Callable[[Any, Any], Any]] | None = None,
    ) -> None:
        self.case, self.functions, self.losses = (
            case,
            ACTIVATIONS | dict(activations or {}),
            LOSSES | dict(losses or {}),
        )
        values = first_values_of(case) if values is None else values
        tensors = {n: torch.tensor(np.asarray(v), dtype=torch.float64) for n, v in values.items()}
        self.params = {n.removeprefix("params."): t.requires_grad_() for n, t in tensors.items() if n[:7] == "params."}
        self.moving = {n.removeprefix("state."): t for n, t in tensors.items() if n[:6] == "state."}
        self.X = torch.tensor(np.asarray(case.X), dtype=torch.float64)
        self.y = torch.tensor(np.asarray(case.y))
        self.step_number, self.kink, self.smallest = 0, float("inf"), float("inf")
        self.optimizer = self._optimizer()

    def step(self) -> float:
        """One update; gives the objective before it."""
        objective = self.objective()
        gradients = torch.autograd.grad(objective, list(self.params.values()), allow_unused=True)
        for p, g in zip(self.params.values(), self._clipped(gradients), strict=True):
            p.grad = g
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        self.optimizer.step()
        self._watch_adam()
        self.step_number += 1
        return float(objective.detach())

    def objective(self) -> Any:
        """The weighted mean of the losses over the step's rows (for sse their weighted sum), and the penalties."""
        rows = self._rows()
        weights = np.ones(len(self.X)) if self.case.weights is None else np.asarray(self.case.weights)
        total = 1.0 if self.case.loss == "sse" else weights[rows].sum()
        share = torch.tensor(weights / total if total else weights * 0.0)
        size = min(self.case.batch_size, len(self.X))
        objective = self._penalty()
        for first in range(0, len(rows), size):
            micro = torch.tensor(rows[first : first + size])
            z, last = self.forward(self.X[micro], first, training=True)
            objective = objective + (self._loss(z, last, self.y[micro]) * share[micro]).sum()
        return objective

    def predict(self, X: Any) -> Any:
        """Predictions as a NumPy array."""
        with torch.no_grad():
            z, last = self.forward(torch.tensor(np.asarray(X), dtype=torch.float64), 0, training=False)
            return self.functions[last](z).numpy()

    def forward(self, x: Any, first: int, training: bool) -> tuple[Any, str]:
        """The scores of the last layer, and the name of the activation that still has to be applied to them."""
        pending = "linear"
        for number, layer in enumerate(self.case.layers):
            x = self._activate(x, pending)
            pending = "linear"
            if isinstance(layer, Dense):
                x = x @ self.params[f"{number}.kernel"]
                x = x + self.params[f"{number}.bias"] if layer.use_bias else x
                pending = "linear" if layer.activation is None else layer.activation.name
            elif isinstance(layer, Activation):
                pending = layer.activation.name
            elif isinstance(layer, BatchNormalization):
                x = self._normalize(x, layer, number, training)
            elif isinstance(layer, Dropout) and training:
                x = x * torch.tensor(self._mask(layer, number, first, tuple(x.shape)))
        if training:
            self._watch(x, pending)
        return x, pending

    def _activate(self, z: Any, name: str) -> Any:
        self._watch(z, name)
        return self.functions[name](z)

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

    def _mask(self, layer: Dropout, number: int, first: int, shape: tuple[int, ...]) -> Any:
        words = host_words(self.case.seed, NOISE, *shape, step=self.step_number, layer=number, first=first)
        return ((words >> 8) >= round(layer.rate * 2**24)) / (1.0 - layer.rate)

    def _loss(self, z: Any, last: str, y: Any) -> Any:
        """The loss of each row, from the scores."""
        name, p = loss_table.get(self.case.loss).name, self.functions[last](z)
        if name in LOSS_KINKS:
            self.kink = min(self.kink, _least(LOSS_KINKS[name](p, y)))
        return self.losses[name](p, y)

    def _penalty(self) -> Any:
        total = torch.zeros((), dtype=torch.float64)
        for number, layer in enumerate(self.case.layers):
            for name, regularizer in layer.penalties().items():
                total = total + 0.5 * regularizer.l * (self.params[f"{number}.{name}"] ** 2).sum()
        return total

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
        law = self.case.optimizer.learning_rate
        if isinstance(law, ExponentialDecay):
            return law.rate * law.factor ** (self.step_number / law.steps)
        return float(law)

    def _optimizer(self) -> Any:
        rule, params = self.case.optimizer, list(self.params.values())
        if isinstance(rule, SGD):
            return torch.optim.SGD(params, lr=1.0, momentum=rule.momentum, nesterov=rule.nesterov)
        return torch.optim.Adam(params, lr=1.0, betas=(rule.beta_1, rule.beta_2), eps=rule.epsilon)

    def _watch(self, z: Any, name: str) -> None:
        self.kink = min([self.kink, *(_least(z - place) for place in KINKS.get(name, ()))])

    def _watch_adam(self) -> None:
        for p in self.params.values():
            second = self.optimizer.state[p].get("exp_avg_sq") if p in self.optimizer.state else None
            if second is not None:
                correction = 1.0 - self.case.optimizer.beta_2 ** (self.step_number + 1)
                self.smallest = min(self.smallest, _least(torch.sqrt(second / correction)))


def _least(x: Any) -> float:
    """The least magnitude other than zero."""
    sizes = x.detach().abs()
    sizes = sizes[sizes > 0.0]
    return float(sizes.min()) if sizes.numel() else float("inf")
