"""What every program must keep, for the CUDA program on the shim: bits, values, settings, recorded steps."""

from dataclasses import replace

import numpy as np
import pytest
from cuda_cases import EVERYTHING, RELU, X
from cuda_programs import on_shim
from networks import compiled, whole_batch

from deepmath.batches import InMemory, Stretch
from deepmath.optimizers import SGD
from deepmath.program import Data

PRECISIONS = ["float64", "float32", "bf16", "float16"]


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert found[name].tobytes() == value.tobytes(), name


def assert_close(found, expected, tolerance=1e-11):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_one_call_of_k_steps_has_the_bits_of_k_calls(shim, precision):
    one, other = (compiled(EVERYTHING, on_shim(), precision) for _ in range(2))
    whole = one.run(7)
    parts = np.concatenate([other.run(1) for _ in range(7)])
    assert whole.tobytes() == parts.tobytes()
    assert_same_bits(one.state(), other.state())


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_loaded_state_goes_on_with_the_same_bits(shim, precision):
    program = compiled(EVERYTHING, on_shim(), precision)
    program.run(3)
    kept = program.state()
    first, after = program.run(3), program.state()
    program.load(kept)
    assert program.step == 3
    assert_same_bits(program.state(), kept)
    assert program.run(3).tobytes() == first.tobytes()
    fresh = compiled(EVERYTHING, on_shim(9), precision, values=kept)
    assert fresh.run(3).tobytes() == first.tobytes()
    assert_same_bits(fresh.state(), after)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_gradients_and_apply_are_a_step(shim, precision):
    one, other = (compiled(EVERYTHING, on_shim(), precision) for _ in range(2))
    for _ in range(3):
        before, gradients = one.state(), None
        for batch in InMemory(one.recipe, one.data).at(one.step):
            gradients = one.gradients(batch, gradients)
        assert_same_bits(one.state(), before)
        assert gradients.values.keys() == {n.removeprefix("params.") for n in before if n.startswith("params.")}
        one.apply(gradients)
    other.run(3)
    assert_same_bits(one.state(), other.state())


def test_everything_at_once_agrees_with_the_reference(shim):
    """Weights, labels, accumulation, noise, normalisation, penalty, constraint, clipping, a schedule, metrics."""
    reference, found = compiled(EVERYTHING), compiled(EVERYTHING, on_shim())
    np.testing.assert_allclose(found.run(12), reference.run(12), rtol=1e-11, atol=1e-12)
    assert_close(found.state(), reference.state())
    data = Data(reference.data.x, reference.data.targets, EVERYTHING.weights)
    np.testing.assert_allclose(found.measure(data), reference.measure(data), rtol=1e-11)
    np.testing.assert_allclose(found.predict(X), reference.predict(X), rtol=1e-11)


def test_rates_of_single_layers_and_frozen_ones(shim):
    programs = []
    for backend in ("reference", on_shim()):
        plain = compiled(EVERYTHING, backend)
        recipe = replace(plain.recipe, rates={"0.kernel": 0.0, "0.bias": 0.0, "2.kernel": 0.5, "5.bias": 0.0})
        chosen = backend if backend != "reference" else None
        if chosen is None:
            from deepmath.backend import load_backend

            chosen = load_backend("reference")
        programs.append(chosen.compile(recipe, plain.state(), plain.data))
    np.testing.assert_allclose(programs[1].run(8), programs[0].run(8), rtol=1e-11)
    assert_close(programs[1].state(), programs[0].state())


def test_the_pace_can_be_changed_between_calls(shim):
    reference, found = compiled(RELU), compiled(RELU, on_shim())
    for program in (reference, found):
        program.run(3)
        program.pace.factor = 0.25
    np.testing.assert_allclose(found.run(5), reference.run(5), rtol=1e-11)
    assert_close(found.state(), reference.state())


def test_other_data_can_be_attached(shim):
    """The recorded steps serve on: data are found through an address in the device's memory."""
    backend = on_shim()
    reference, found = compiled(RELU), compiled(RELU, backend)
    for program in (reference, found):
        program.run(4)
    recordings = backend.runtime.recordings
    rng = np.random.default_rng(8)
    data = Data(rng.standard_normal((61, 6)), rng.standard_normal((61, 3)), np.linspace(0.0, 2.0, 61))
    for program in (reference, found):
        program.attach(data)
    np.testing.assert_allclose(found.run(6), reference.run(6), rtol=1e-11)
    assert backend.runtime.recordings == recordings


def test_stretches_of_larger_data(shim):
    backend = on_shim()
    reference, found = compiled(RELU), compiled(RELU, backend)
    stretch = Stretch(X[:40], RELU.y[:40], first_step=0, bounds=(0, 16, 32, 40), order=np.arange(40)[::-1].copy())
    for program in (reference, found):
        program.attach(stretch)
    np.testing.assert_allclose(found.run(3), reference.run(3), rtol=1e-11)
    assert_close(found.state(), reference.state())


def test_a_step_is_recorded_once_for_each_number_of_rows(shim):
    backend = on_shim()
    program = compiled(RELU, backend)  # 61 rows: three batches of 16, and one of 13
    program.run(12)
    assert backend.runtime.recordings == 2
    assert backend.runtime.replays == 12


@pytest.mark.parametrize(("name", "steps"), [("tape.MOST", 4), ("program.STRETCH", 3)])
def test_a_call_is_longer_than_the_tape_or_than_what_is_written_at_once(shim, monkeypatch, name, steps):
    whole = compiled(RELU, on_shim()).run(11)
    monkeypatch.setattr(f"deepmath_cupy.{name}", steps)
    program = compiled(RELU, on_shim())
    assert program.run(11).tobytes() == whole.tobytes()


@pytest.mark.parametrize(
    "refused", [(), ("relu_mask_bias",), ("slope_sums", "slope"), ("sums", "bias"), ("relu_bias",)]
)
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_epilogues_that_a_library_lacks_are_made_by_kernels(shim, refused, precision):
    backend = on_shim(refused=refused)
    program, plain = compiled(RELU, backend, precision), compiled(RELU, on_shim(), precision)
    one = program.gradients(whole_batch(replace(RELU, X=X[:16]))[0])
    launched = {name for name in backend.runtime.launched if name.startswith("product")}
    assert not launched & {f"product {name}" for name in refused}
    if not refused:
        assert launched >= {"product relu_mask_bias", "product bias", "product sums", "product slope"} or launched >= {
            "product relu_mask_bias", "product bias", "product sums", "product slope_sums"
        }  # fmt: skip
    other = plain.gradients(whole_batch(replace(RELU, X=X[:16]))[0])
    tolerance = 1e-5 if precision == "float32" else 0.02
    for name, value in other.values.items():
        np.testing.assert_allclose(one.values[name], value, rtol=tolerance, atol=tolerance * np.abs(value).max())


@pytest.mark.parametrize("accumulate", [1, 3])
def test_float16_tries_a_step_again_at_a_smaller_scale(shim, accumulate):
    growing = 3000.0 * np.arange(1, 62)[:, None] / 30.0  # so that later micro-batches overflow where others don't
    case = replace(RELU, y=RELU.y * growing, optimizer=SGD(1e-6), accumulate=accumulate, shuffle=False)
    program, reference = compiled(case, on_shim(), "float16"), compiled(case, "reference", "float32")
    results = program.run(4)
    assert np.isfinite(results).all()
    assert program.scale.scale < 65536.0
    np.testing.assert_allclose(results[:, 0], reference.run(4)[:, 0], rtol=0.01)
    for name, value in reference.state().items():
        np.testing.assert_allclose(program.state()[name], value, rtol=0.02, atol=0.01)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_is_not_finite_is_reported_and_not_hidden(shim, precision):
    case = replace(RELU, optimizer=SGD(1e200 if precision == "float64" else 1e30))
    results = compiled(case, on_shim(), precision).run(4)
    assert np.isfinite(results[0, 0])
    assert not np.isfinite(results[:, 0]).all()
