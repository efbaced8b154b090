"""Layers: small frozen descriptions of what is computed. They hold no weights.

>>> from deepmath.layers import Dense
>>> Dense(4, activation="relu").output_shape((2,))
(4,)
"""

from deepmath.layers.base import Layer
from deepmath.layers.dense import Activation, Dense, PReLU
from deepmath.layers.noise import Dropout, GaussianNoise
from deepmath.layers.normalization import BatchNormalization, LayerNormalization

__all__ = [
    "Activation",
    "BatchNormalization",
    "Dense",
    "Dropout",
    "GaussianNoise",
    "Layer",
    "LayerNormalization",
    "PReLU",
]
