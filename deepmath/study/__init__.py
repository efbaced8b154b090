"""See and check what a network does: derivations, gradient checks, computation graphs, diagnoses, comparisons.

`explain_step` writes one training step in symbols and numbers; `gradcheck` holds gradients against differences;
`computation_graph` draws values and derivatives on the edges of a graph. `diagnose` says what is wrong with a
training; `lr_find`, `compare`, `k_fold`, `aic`, `risk` and `bias_variance` measure what its advice is about.
"""

from deepmath.study.check import GradientCheck, gradcheck
from deepmath.study.comparison import Comparison, compare
from deepmath.study.criteria import aic
from deepmath.study.diagnosis import diagnose
from deepmath.study.explain import Explanation, explain_step
from deepmath.study.findings import Diagnosis, Finding
from deepmath.study.folds import Folds, k_fold
from deepmath.study.graphs import ComputationGraph, computation_graph
from deepmath.study.rates import RateRange, lr_find
from deepmath.study.sampling import BiasVariance, Risk, bias_variance, risk
from deepmath.study.thresholds import THRESHOLDS, Threshold

__all__ = [
    "THRESHOLDS",
    "BiasVariance",
    "Comparison",
    "ComputationGraph",
    "Diagnosis",
    "Explanation",
    "Finding",
    "Folds",
    "GradientCheck",
    "RateRange",
    "Risk",
    "Threshold",
    "aic",
    "bias_variance",
    "compare",
    "computation_graph",
    "diagnose",
    "explain_step",
    "gradcheck",
    "k_fold",
    "lr_find",
    "risk",
]
