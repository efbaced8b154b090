"""PyTorch with `torch.compile` around the network and its loss; on CUDA with CUDA graphs ("reduce-overhead")."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))  # the worker loads this file by its path

import torch_eager


class Candidate(torch_eager.Candidate):
    def __init__(self, task):
        super().__init__(task)
        # Every batch size gets code of its own, not code for any size.
        mode = "reduce-overhead" if self.device.type == "cuda" else "default"
        self.graph = torch.compile(self.objective, mode=mode, dynamic=False)
        self.compiled = torch.compile(self.probabilities, mode=mode, dynamic=False)

    def forward(self, x, y):
        torch.compiler.cudagraph_mark_step_begin()  # last step's results may be overwritten
        return self.graph(x, y)

    def probabilities(self, x):
        z = self.model(x)
        return torch.sigmoid(z) if self.task.binary else torch.softmax(z, -1)

    def predict(self, X):
        with torch.inference_mode():
            return self.compiled(torch.from_numpy(X).to(self.device)).cpu().numpy()
