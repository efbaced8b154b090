"""What the tests of the benchmark share: a small network, candidates in this process, and planted mistakes."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np

from deepmath.benchmark import candidates, session, validation
from deepmath.benchmark.candidates import Candidate
from deepmath.benchmark.networks import Network
from deepmath.benchmark.session import Handout, Where
from deepmath.benchmark.worker import Worker

SMALL = Network((5, 8, 3), 16, 3, 4)
BINARY = Network((3, 6, 1), 8, 4)
REFERENCE = candidates.own(["reference"], "cpu")[0]

PLANTED = {
    "another rate": """def load(self, w):
        self.model.compile(optimizer=Adam(1.02e-3), loss=self.task.loss)
        self.model.set_weights(w)""",
    "sum of losses": "def train(self, n, s): return [16 * l for l in super().train(n, s)]",
    "no shuffle": "def train(self, n, s): return super().train(n, False)",
    "loss of no training": "def train(self, n, s): return [0.1] * n if s else super().train(n, s)",
    "last rows left out": "def attach(self, X, y): super().attach(X[:48], y[:48])",
    "one epoch too few": "def train(self, n, s): return (super().train(max(1, n - 1), s) * 2)[:n]",
    "scores for probabilities": "def predict(self, X): return np.log(super().predict(X))",
    "no biases": "def weights(self): return super().weights()[::2]",
    "frozen biases": "def weights(self): return [w if i % 2 == 0 else 0 * w for i, w in enumerate(super().weights())]",
    "weights that are NaN": "def weights(self): return [np.nan * w for w in super().weights()]",
    "loss that is NaN": "def train(self, n, s): return [float('nan') for _ in super().train(n, s)]",
}
"""Mistakes, each a method that stands in for the reference's own."""


def written(folder: Path, body: str, name: str = "planted") -> Candidate:
    """A candidate that is deepmath's reference but for one method."""
    head = """
        import os, sys, time
        import numpy as np
        from deepmath.benchmark import own
        from deepmath.optimizers import Adam

        class Candidate(own.Candidate):
    """
    file = folder / f"{name}.py"
    file.write_text(textwrap.dedent(head) + f"    {body}\n")
    return Candidate(name, "planted", file, {"backend": "reference"})


def judged(candidate: Candidate, network: Network, folder: Path) -> validation.Verdict:
    """The verdict over a candidate, whose code runs in this process."""
    task = Handout(network, Where(), folder)
    worker, out = Worker(), folder / "found.npz"
    worker.open(**task.arguments(candidate))
    worker.check(str(out))
    with np.load(out, allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    return validation.verdict(found, task.wanted(candidate.adam), task.start, validation.TOLERANCES["float32"])


def silent(_: str) -> None:
    """Progress that nobody looks at."""


QUICK = session.Effort(2, 0.01)
