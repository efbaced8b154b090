"""The fused program against the reference, and every program against itself: chunks, state, load."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import PROGRAMS, Case, Probe, compiled
from random_networks import random_case
from twin import Twin

from deepmath.batches import InMemory
from deepmath.layers import Activation, BatchNormalization, Dense, Dropout
from deepmath.optimizers import SGD, Adam
from deepmath.program import Data
from deepmath.regularizers import L2
from deepmath.schedules import ExponentialDecay

STEPS = 200


def case_of(layers: tuple, loss: str, y: str, optimizer: SGD | Adam, **settings: object) -> Case:
    """61 rows of 6 features with targets that can be learnt."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((61, 6))
    scores = X @ rng.standard_normal((6, 3))
    made = {"labels": scores.argmax(1), "one": (scores[:, :1] > 0) * 1.0, "numbers": np.sin(scores)}
    return Case(layers, loss, optimizer, X, made[y], batch_size=16, seed=7, **settings)


CASES = {
    "relu": case_of(
        (Dense(16, "relu"), Dense(9, "relu"), Dense(3, "softmax")),
        "sparse_categorical_crossentropy",
        "labels",
        Adam(0.01),
    ),
    "sigmoid": case_of((Dense(12, "tanh"), Dense(1, "sigmoid")), "binary_crossentropy", "one", SGD(0.1, momentum=0.9)),
    "everything": case_of(
        (
            Dense(17, "tanh", kernel_regularizer=L2(0.01)),
            Dropout(0.25),
            Dense(8, use_bias=False),
            BatchNormalization(),
            Activation("sigmoid"),
            Dense(3),
        ),
        "mse",
        "numbers",
        Adam(ExponentialDecay(0.02, 0.9, 20), clipnorm=0.5),
        accumulate=2,
    ),
    "plain": case_of((Dense(5, "sigmoid", use_bias=False), Dense(3)), "sse", "numbers", SGD(0.005, clipvalue=0.5)),
}


def relative(found: dict, expected: dict) -> float:
    """The largest difference of any array, in units of max(1, |w|)."""
    assert found.keys() == expected.keys()
    return max(float(np.max(np.abs(found[n] - w) / np.maximum(1.0, np.abs(w)))) for n, w in expected.items())


def length(gradients: dict) -> float:
    return float(np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in gradients.values())))


def assert_same_bits(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert found[name].tobytes() == value.tobytes(), name


@pytest.mark.parametrize("name", CASES)
def test_float64_runs_free_for_200_steps(name, record_property):
    reference, fused = compiled(CASES[name]), compiled(CASES[name], "numpy")
    worst = 0.0
    for _ in range(STEPS // 20):
        rows, others = np.asarray(reference.run(20)), np.asarray(fused.run(20))
        worst = max(worst, relative({"results": others}, {"results": rows}), relative(fused.state(), reference.state()))
    record_property("worst", worst)
    assert worst < 1e-11


@pytest.mark.parametrize("name", CASES)
def test_float32_gradients_agree_in_lock_step(name, record_property):
    """The trainer is the reference; at each step both programs start from its state."""
    case = CASES[name]
    trainer = compiled(case, "reference", "float32")
    probes = [Probe(case, backend, "float32") for backend in PROGRAMS]
    batches = InMemory(trainer.recipe, Data(case.X, case.y, case.weights))
    worst, flips = 0.0, 0
    for step in range(STEPS):
        values = trainer.state()
        reference, fused = (probe.gradients(values, batches.at(step), step) for probe in probes)
        difference = length({n: fused[n].astype(np.float64) - g for n, g in reference.items()}) / length(reference)
        if difference > 1e-5:
            assert nearest_kink(case, values, step) < 1e-5, f"step {step}: {difference}"
            flips += 1
        else:
            worst = max(worst, difference)
        trainer.run(1)
    record_property("worst", worst)
    record_property("flips", flips)
    assert worst < 1e-5
    assert flips <= 4


def nearest_kink(case: Case, values: dict, step: int) -> float:
    """The least distance from zero of a relu's input in this step, by PyTorch in float64."""
    twin = Twin(case, {n: v for n, v in values.items() if n.startswith(("params.", "state."))})
    twin.step_number = step
    twin.objective()
    return twin.kink


def test_the_lock_step_sees_a_gradient_that_is_slightly_off():
    case = CASES["sigmoid"]
    probes = [Probe(c, "numpy", "float32") for c in (case, replace(case, X=case.X * (1 + 1e-4)))]
    values = compiled(case, "reference", "float32").state()
    batches = InMemory(probes[0].program.recipe, Data(case.X, case.y, case.weights))
    one, other = (probe.gradients(values, batches.at(0)) for probe in probes)
    assert length({n: other[n].astype(np.float64) - g for n, g in one.items()}) > 1e-5 * length(one)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("name", CASES)
def test_one_call_of_k_steps_has_the_bits_of_k_calls(name, backend, precision):
    one, many, chunks = (compiled(CASES[name], backend, precision) for _ in range(3))
    whole = np.asarray(one.run(23))
    single = np.concatenate([np.array(many.run(1)) for _ in range(23)])
    pieces = np.concatenate([np.array(chunks.run(k)) for k in (5, 1, 10, 7)])
    assert whole.dtype == np.float64
    assert whole.shape == (23, len(one.recipe.columns))
    assert whole.tobytes() == single.tobytes() == pieces.tobytes()
    assert one.step == many.step == chunks.step == 23
    assert_same_bits(many.state(), one.state())
    assert_same_bits(chunks.state(), one.state())


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("name", CASES)
def test_a_loaded_state_goes_on_with_the_same_bits(name, backend, precision):
    program = compiled(CASES[name], backend, precision)
    program.run(9)
    kept = program.state()
    first = np.array(program.run(6))
    after = program.state()
    program.load(kept)
    assert program.step == 9
    assert_same_bits(program.state(), kept)
    assert np.asarray(program.run(6)).tobytes() == first.tobytes()
    fresh = compiled(CASES[name], backend, precision, values=kept)
    assert np.asarray(fresh.run(6)).tobytes() == first.tobytes()
    assert_same_bits(fresh.state(), after)


@pytest.mark.parametrize("name", CASES)
def test_a_state_moves_between_the_programs(name):
    reference, fused = compiled(CASES[name]), compiled(CASES[name], "numpy")
    fused.run(8)
    state = fused.state()
    reference.load(state)
    assert_same_bits(reference.state(), state)
    np.testing.assert_allclose(np.asarray(fused.run(4)), np.asarray(reference.run(4)), rtol=1e-11)
    state = reference.state()
    fused.load(state)
    assert_same_bits(fused.state(), state)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_what_state_gave_is_not_written_to_later(backend):
    program = compiled(CASES["everything"], backend)
    program.run(2)
    kept = program.state()
    copies = {n: v.copy() for n, v in kept.items()}
    results = program.run(3)
    before = np.array(results)
    program.run(3)
    assert_same_bits(kept, copies)
    assert np.asarray(results).tobytes() == before.tobytes()


@pytest.mark.parametrize("backend", PROGRAMS)
def test_loading_does_not_take_the_arrays_themselves(backend):
    program = compiled(CASES["everything"], backend)
    program.run(2)
    given = program.state()
    program.load(given)
    copies = {n: v.copy() for n, v in given.items()}
    program.run(3)
    assert_same_bits(given, copies)


@pytest.mark.parametrize("seed", range(100, 130))
def test_random_networks_agree(seed):
    case = random_case(seed)
    reference, fused = compiled(case), compiled(case, "numpy")
    data = Data(case.X, reference.data.targets, case.weights)
    if not isinstance(case.optimizer, SGD):
        # what is zero but for rounding makes the steps of adaptive rules arbitrary: see the gradients instead
        probes = [Probe(case, backend) for backend in PROGRAMS]
        micro = InMemory(reference.recipe, data).at(0)
        one, other = (probe.gradients(reference.state(), micro) for probe in probes)
        assert length({n: other[n] - g for n, g in one.items()}) < 1e-11 * max(1.0, length(one))
    else:
        np.testing.assert_allclose(np.asarray(fused.run(15)), np.asarray(reference.run(15)), rtol=1e-10)
        assert relative(fused.state(), reference.state()) < 1e-10
    fused.load(reference.state())
    np.testing.assert_allclose(np.asarray(fused.measure(data)), np.asarray(reference.measure(data)), rtol=1e-11)
    np.testing.assert_allclose(
        np.asarray(fused.predict(case.X)), np.asarray(reference.predict(case.X)), rtol=1e-11, atol=1e-13
    )
