"""PyTorch as it stands: fused Adam, rows gathered by `index_select`, no host synchronisation within an epoch."""

from __future__ import annotations

import os

import torch


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Candidate:
    def __init__(self, task):
        self.task, self.device = task, torch.device(task.device)
        torch.set_float32_matmul_precision("highest" if task.precision == "float32" else "high")
        layers = []
        for features, units in zip(task.widths[:-1], task.widths[1:], strict=True):
            layers += [torch.nn.Linear(features, units), torch.nn.ReLU()]
        self.model = torch.nn.Sequential(*layers[:-1]).to(self.device)
        self.criterion = torch.nn.BCEWithLogitsLoss() if task.binary else torch.nn.CrossEntropyLoss()

    def objective(self, x, y):
        return self.criterion(self.model(x), y)

    def forward(self, x, y):
        return self.objective(x, y)

    def settings(self, kind):
        return sorted({1, cores()}) if self.device.type == "cpu" else [cores()]

    def use(self, setting):
        torch.set_num_threads(setting)

    def load(self, weights):
        with torch.no_grad():
            for parameter, value in zip(self.model.parameters(), weights, strict=True):
                parameter.copy_(torch.tensor(value.T, device=self.device))
        self.optimizer = torch.optim.Adam(self.model.parameters(), self.task.learning_rate, eps=1e-8, fused=True)
        self.synchronise()

    def attach(self, X, y):
        self.X = torch.from_numpy(X).to(self.device)
        y = torch.from_numpy(y).to(self.device)
        self.y = y[:, None] if self.task.binary else y
        self.synchronise()

    def synchronise(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def step(self, x, y):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.forward(x, y)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def train(self, epochs, shuffle):
        rows, losses = len(self.X), []
        for _ in range(epochs):
            order = (torch.randperm if shuffle else torch.arange)(rows, device=self.device)
            total = torch.zeros((), device=self.device)
            for chosen in order.split(self.task.batch):
                total += self.step(self.X.index_select(0, chosen), self.y.index_select(0, chosen)) * len(chosen)
            losses.append(total)
        return [float(total) / rows for total in losses]

    def pairs(self, count):
        losses, X = [], self.X.cpu().numpy()
        for _ in range(count):
            losses.append(float(self.step(self.X, self.y)))
            p = self.predict(X)
        return losses, p

    def weights(self):
        return [p.detach().cpu().numpy().T.copy() for p in self.model.parameters()]

    def predict(self, X):
        with torch.inference_mode():
            z = self.model(torch.from_numpy(X).to(self.device))
            return (torch.sigmoid(z) if self.task.binary else torch.softmax(z, -1)).cpu().numpy()

    def about(self):
        return {"capability": torch.backends.cpu.get_cpu_capability()}
