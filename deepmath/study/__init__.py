"""See and check what a network does: derivations, gradient checks, computation graphs.

`explain_step` writes one training step in symbols and numbers; `gradcheck` holds gradients against differences;
`computation_graph` draws values and derivatives on the edges of a graph.
"""

from deepmath.study.check import GradientCheck, gradcheck
from deepmath.study.diagnosis import diagnose
from deepmath.study.explain import Explanation, explain_step
from deepmath.study.findings import Diagnosis
from deepmath.study.graphs import ComputationGraph, computation_graph
from deepmath.study.thresholds import THRESHOLDS

__all__ = ["ComputationGraph", "Explanation", "GradientCheck", "computation_graph", "explain_step", "gradcheck"]
