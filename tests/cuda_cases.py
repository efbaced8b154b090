"""Two networks that the tests of the CUDA program share, so that their kernels are compiled once."""

import numpy as np
from networks import Case

from deepmath.layers import Activation, BatchNormalization, Dense, Dropout
from deepmath.optimizers import SGD, Adam
from deepmath.regularizers import L2, MaxNorm
from deepmath.schedules import ExponentialDecay

RNG = np.random.default_rng(3)
X = RNG.standard_normal((61, 6))
LAYERS = (
    Dense(17, "tanh", kernel_regularizer=L2(0.01), kernel_constraint=MaxNorm(1.0)),
    Dropout(0.25),
    Dense(8, use_bias=False),
    BatchNormalization(),
    Activation("sigmoid"),
    Dense(3, "softmax"),
)
EVERYTHING = Case(
    LAYERS, "sparse_categorical_crossentropy", Adam(ExponentialDecay(0.02, 0.9, 20), clipnorm=0.5), X,
    RNG.integers(0, 3, 61), RNG.choice([0.0, 0.5, 1.0, 2.0], 61), batch_size=16, accumulate=2, seed=7,
    metrics=("accuracy", "log_loss"),
)  # fmt: skip
RELU = Case(
    (Dense(16, "relu"), Dense(9, "relu"), Dense(3)), "mse", SGD(0.1, momentum=0.9, clipvalue=0.02), X,
    RNG.standard_normal((61, 3)), batch_size=16,
)  # fmt: skip
