"""Which parts run by kernels: all of the library's own, each in a table; and what of a user's runs how, and why."""

import inspect

import numpy as np
import pytest
from cuda_programs import planned
from networks import ACTIVATIONS, LOSSES, OUTPUTS, Case, targets

from deepmath import activations, layers, losses, metrics, optimizers, regularizers
from deepmath.layers import Activation, Dense
from deepmath.metrics.rows import Metric
from deepmath.optimizers import LBFGS, SGD

RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 4))
RECORDED = ("steps", "recorded as a CUDA graph, launched whole")

LAYERS = {
    "Activation": layers.Activation("tanh"),
    "BatchNormalization": layers.BatchNormalization(),
    "Dense": layers.Dense(4),
    "Dropout": layers.Dropout(0.2),
    "GaussianNoise": layers.GaussianNoise(0.1),
    "LayerNormalization": layers.LayerNormalization(),
    "PReLU": layers.PReLU(),
}
OPTIMIZERS = {
    name: rule()
    for name, rule in vars(optimizers).items()
    if inspect.isclass(rule) and issubclass(rule, optimizers.Optimizer) and not inspect.isabstract(rule)
}
MORE_RULES = {
    "momentum": SGD(momentum=0.9),
    "nesterov": SGD(momentum=0.9, nesterov=True),
    "clipped": SGD(clipnorm=1.0, clipvalue=0.5),
    "amsgrad": optimizers.Adam(amsgrad=True),
    "centered": optimizers.RMSprop(centered=True, momentum=0.5),
}
BY_ROWS = sorted(n for n in metrics.names() if isinstance(metrics.get(n), Metric))


def case(*hidden, loss="mse", optimizer=None, last=None, scores=()):
    units = 3
    output = Dense(units, last)
    return Case((*hidden, output), loss, optimizer or SGD(), X, targets(RNG, loss, 6, units), metrics=scores)


def how(chosen, precision="float32"):
    """What plan() says."""
    return planned(chosen, precision).how()


def assert_by_kernels(rows, who):
    assert all(text.startswith("fused: ") for _, text in rows[:-1]), f"{who}: {rows}"
    assert rows[-1] == RECORDED, f"{who}: {rows}"


def test_the_table_has_every_layer_of_the_library():
    own = {n for n, c in vars(layers).items() if inspect.isclass(c) and issubclass(c, layers.Layer)} - {"Layer"}
    assert own == LAYERS.keys()


@pytest.mark.parametrize("precision", ["float32", "float64", "tf32", "bf16", "float16"])
def test_every_layer_has_kernels(precision):
    for name, layer in LAYERS.items():
        for chosen in (case(layer), case(Dense(5), layer, Dense(4, "relu"))):
            assert_by_kernels(how(chosen, precision), name)


def test_every_activation_has_kernels_in_a_dense_layer_and_alone():
    assert len(ACTIVATIONS) >= 18
    for name in ACTIVATIONS:
        assert_by_kernels(how(case(Dense(5, name), Dense(4), Activation(name))), name)


def test_every_loss_has_a_kernel():
    assert len(LOSSES) >= 14
    for name in LOSSES:
        for last in OUTPUTS.get(name, (None, "tanh")):
            assert_by_kernels(how(case(Dense(5), loss=name, last=last)), name)


def test_every_optimizer_has_a_kernel():
    assert {"SGD", "RMSprop", "Adam", "AdamW", "Nadam", "Adagrad", "Adadelta", "Lion"} <= OPTIMIZERS.keys()
    for name, rule in (OPTIMIZERS | MORE_RULES).items():
        if not isinstance(rule, LBFGS):  # a program of its points only evaluates
            assert_by_kernels(how(case(optimizer=rule)), name)


def test_every_penalty_and_constraint_has_a_kernel():
    for name in regularizers.names():
        row = Dense(5, kernel_regularizer=name, kernel_constraint=regularizers.MaxNorm(1.0))
        assert_by_kernels(how(case(row)), name)


def test_every_metric_of_rows_is_in_the_kernel_of_the_loss():
    assert len(BY_ROWS) >= 4
    for name in BY_ROWS:
        loss, last = ("binary_crossentropy", "sigmoid") if "binary" in name else ("categorical_crossentropy", "softmax")
        assert_by_kernels(how(case(loss=loss, last=last, scores=(name,))), name)


def test_what_is_parametrised_keeps_its_kernels():
    for given in (activations.get("elu").with_constants(0.5), activations.get("leaky_relu").with_constants(0.2)):
        assert_by_kernels(how(case(Dense(4, given))), given.name)
    for given in (losses.get("huber").with_constants(0.5), losses.get("quantile").with_constants(0.9)):
        assert_by_kernels(how(case(loss=given.name)), given.name)
