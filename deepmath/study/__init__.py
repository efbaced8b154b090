"""See and check what a network does: derivations, gradient checks, computation graphs.

`explain_step` writes one training step in symbols and numbers; `gradcheck` holds gradients against differences;
`computation_graph` draws values and derivatives on the edges of a graph.
"""

from deepmath.study.explain import Explanation, explain_step

__all__ = ["Explanation", "explain_step"]
