"""What the columns of the steps' tables mean, and how their arrays go together.

`tables.py` fills them in. All texts of this folder are put together by `ways.py`, without what they import from
deepmath: they import it so that tools know the names.
"""

from typing import Any, NamedTuple

DENSE, ACTIVATION, DROPOUT, BATCH, LAYER, PRELU, REFERENCE = range(7)
"""Kinds of stages."""

(
    KIND, NUMBER, FEATURES, UNITS, X, Y, Z, DY, DX, W, B, DW, DB, MEAN, VARIANCE, STATE_MEAN, STATE_VARIANCE,
    NEXT_MEAN, NEXT_VARIANCE, BITS, FORWARD, BACKWARD, SPECIAL,
) = range(23)  # fmt: skip
"""Columns of a stage's row: kind, the layer's number, widths; the addresses of its matrices, parameters and their
gradients, of moments, running averages and those that a step leads to, of random bits; and of its kernels."""

RATE, SIZE, STAGE, PENALTY, CONSTRAINT, ROWS, COLUMNS, OWN, GRADIENT, SLOT = range(10)
"""Columns of a parameter's row: which learning rate it has (-1: frozen), its size, whose it is; the kernels of its
regulariser and its constraint (0: none), its shape; its address, its gradient's, and from there those of its slots."""

(
    CAPACITY, OUTPUTS, LABELLED, SUMMED, SCORES, SCORES_BACK, TARGETS, LABELS, WEIGHT, RESULTS, STATE, NEXT_STATE,
    GRADS, TOTAL, STATES, PARAMETERS, HEAD, JUDGE, CONCLUDE, UPDATE, CLIP_NORM, CLIP_VALUE, NOISE, AVERAGE, GEMM,
    GEMV, TIMES, TIMES_TURNED, SLOTS,
) = range(29)  # fmt: skip
"""Places of `info`: the most rows of a batch; outputs; are targets labels; is the loss a sum; then the addresses of
the head's matrices, of all averages and gradients; how many there are; the kernels; products; the number of slots."""

STREAM = 2
"""Of the random numbers, that of noise."""


class Net(NamedTuple):
    """The network: nothing here changes while it trains."""

    stages: Any  # int64 [stages, 23]
    params: Any  # int64 [parameters, 13]
    segments: Any  # int64 [segments, 13]: neighbouring parameters that share a learning rate, as one
    info: Any  # int64 [29]
    numbers: Any  # float64 [stages + 1, 4]: constants of each stage, last of the activation behind the loss
    strengths: Any  # float64 [parameters + 1, 4]: of regulariser and constraint; last the clips by norm and value
    loss: Any  # float64 [4]: constants of the loss


class Scratch(NamedTuple):
    """Work arrays of this file's own."""

    shares: Any  # float64 [rows of a step]
    weights: Any  # float64 [rows of a batch]
    sums: Any  # float64 [1 + results]: penalty, loss, metrics
    a: Any  # int64 [12]: addresses for a kernel
    c: Any  # float64 [5]: numbers for the noise


class Data(NamedTuple):
    """Inputs [rows, features]; targets [rows, outputs] or labels [rows]; float64 weights [rows], or none at all."""

    x: Any
    targets: Any
    labels: Any
    weights: Any
