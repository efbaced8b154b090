"""One epoch of each network through `Sequential.fit`, as `deepmath bench` times it."""

import math

import pytest

from deepmath.benchmark.networks import NETWORKS
from deepmath.benchmark.own import Candidate
from deepmath.benchmark.worker import Task


def candidate(network, backend="numpy", precision="float32"):
    """The adapter that `deepmath bench` uses, in this process."""
    weights = network.model().get_weights()
    task = Task(
        list(network.widths), network.batch, network.loss, 1e-3, "cpu", precision, {"backend": backend}, weights
    )
    found = Candidate(task)
    found.load(weights)
    found.attach(*network.data())
    return found


SMALL = ["circles", "64-64-10"]


@pytest.mark.parametrize(
    ("name", "backend"), [*((name, "numpy") for name in NETWORKS), *((name, "reference") for name in SMALL)]
)
def test_epoch(benchmark, name, backend):
    network = NETWORKS[name]
    trained = candidate(network, backend)
    benchmark.group = f"epoch of {network.updates} steps: {name}, batch {network.batch}"
    benchmark.extra_info |= {"steps": network.updates, "gflop": network.flops * network.rows / network.batch / 1e9}
    (loss,) = benchmark.pedantic(trained.train, (1, True), rounds=3, warmup_rounds=1)
    assert math.isfinite(loss)


@pytest.mark.parametrize("epochs", [1, 10, 100])
def test_fit_of_circles(benchmark, epochs):
    """What one call of `fit` costs beside its epochs."""
    trained = candidate(NETWORKS["circles"])
    benchmark.group = "one call of fit: circles, 29 steps an epoch"
    losses = benchmark.pedantic(trained.train, (epochs, True), rounds=5, warmup_rounds=1)
    assert len(losses) == epochs
