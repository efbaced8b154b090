"""However a step is cut into phases and shared among threads, it computes the same, and the same bits."""

import dataclasses

import numpy as np
import pytest
from deepmath_numpy import is_fused, program, schedule, small
from deepmath_numpy.memory import Memory

from deepmath import Dense
from deepmath.backend import load_backend
from deepmath.optimizers import Adam
from deepmath.testing.close import assert_close
from deepmath.testing.networks import NETWORKS, Network

pytestmark = pytest.mark.skipif(not is_fused(), reason="needs llvmlite")

WIDE = Network((Dense(300, "tanh"), Dense(270, "relu"), Dense(3)), "mse", Adam(0.01), "numbers", {"batch_size": 61})
CASES = {**NETWORKS, "wide": WIDE}


def trained(monkeypatch, name, precision, threads, in_cache):
    """The state and the results after some steps, with everything shared."""
    for setting, value in (("IN_CACHE", in_cache), ("SHARED", 0), ("WORTH", 0), ("FLAT", 64)):
        monkeypatch.setattr(schedule, setting, value)
    monkeypatch.setattr(program, "small", lambda *_: (None, "not now"))
    made = CASES[name].compiled(load_backend("numpy"), precision)
    made._training._threads.most = threads
    results = np.array(made.run(9))
    return made.state(), results


@pytest.mark.parametrize("in_cache", [0, 1 << 40], ids=["split", "whole"])
@pytest.mark.parametrize("name", CASES)
def test_any_schedule_agrees_with_the_reference(monkeypatch, name, in_cache):
    reference = CASES[name].compiled(load_backend("reference"), "float64")
    wanted = np.array(reference.run(9))
    state, results = trained(monkeypatch, name, "float64", 2, in_cache)
    assert_close(results, wanted, 1e-11)
    assert_close(state, reference.state(), 1e-11)


@pytest.mark.parametrize("in_cache", [0, 1 << 40], ids=["split", "whole"])
@pytest.mark.parametrize("name", ["wide", "normalised", "classes"])
def test_bits_do_not_depend_on_the_number_of_threads(monkeypatch, name, in_cache):
    first, results = trained(monkeypatch, name, "float32", 1, in_cache)
    for threads in (2, 3, 5):
        state, found = trained(monkeypatch, name, "float32", threads, in_cache)
        assert found.tobytes() == results.tobytes()
        for key, value in first.items():
            assert state[key].tobytes() == value.tobytes(), key


def test_a_small_network_is_a_straight_line_and_a_wide_one_is_not():
    narrow = NETWORKS["truth"].compiled(load_backend("numpy"), "float32")
    assert "straight line" in narrow.plan()[0][1]
    assert "kernels in" in WIDE.compiled(load_backend("numpy"), "float32").plan()[0][1]


def test_why_a_network_is_no_straight_line_is_told():
    recipe = dataclasses.replace(NETWORKS["truth"].recipe("float32"), accumulate=2)
    values = NETWORKS["truth"].values
    memory = Memory(recipe, *(program._layout(values, prefix) for prefix in ("params.", "state.")))
    assert small.small(recipe, memory, 16) == (None, "gradients are accumulated")


@pytest.mark.parametrize("straight", [True, False])
def test_larger_batches_than_the_first_data_had_go_through_in_pieces(monkeypatch, straight):
    if not straight:
        monkeypatch.setattr(program, "small", lambda *_: (None, "not now"))
    network = dataclasses.replace(NETWORKS["truth"], settings={"batch_size": 61})
    states = []
    for name in ("reference", "numpy"):
        backend = load_backend(name)
        whole = network.data(backend, "float64")
        first = dataclasses.replace(whole, x=whole.x[:5], targets=whole.targets[:5], weights=whole.weights[:5])
        made = backend.compile(network.recipe("float64"), network.values, first)
        made.run(2)
        made.attach(whole)
        made.run(3)
        states.append(made.state())
    assert_close(states[1], states[0], 1e-11)
