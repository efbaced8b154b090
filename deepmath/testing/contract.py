"""The contract of a backend as tests. A backend's own test file is three lines:

    from deepmath.testing.contract import BackendContract

    class TestMine(BackendContract):
        backend = "mine"

Run by pytest, it compares programs of many networks with the reference and with themselves.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from deepmath.arrays import is_array, to_numpy
from deepmath.backend import Backend, load_backend
from deepmath.batches import InMemory
from deepmath.layers import Dense
from deepmath.optimizers import SGD
from deepmath.program import Batch, Data, Program
from deepmath.testing.close import assert_close
from deepmath.testing.networks import NETWORKS, SMOOTH, Network, Turned
from deepmath.training import door
from deepmath.training.trained import no_rows

STEPS = 200
LOCK_STEPS = 60

networks = pytest.mark.parametrize("name", NETWORKS)
precisions = pytest.mark.parametrize("precision", ["float32", "float64"])


def assert_same_bits(found: Any, expected: Any, who: str) -> None:
    """Raise AssertionError unless all arrays by name have equal dtypes, shapes and bits."""
    assert set(found) == set(expected), f"{who}: {sorted(found)} instead of {sorted(expected)}"
    for name, value in expected.items():
        got = np.asarray(found[name])
        same = got.dtype == value.dtype and got.shape == value.shape and got.tobytes() == value.tobytes()
        assert same, f"{who}: {name} has other bits"


def gradients(program: Program, values: Any, micro: list[Batch], step: int) -> dict[str, Any]:
    """The gradient by parameter name at these values, of a `Network.probe`, read off its velocity."""
    kept = {n: v for n, v in values.items() if n.startswith(("params.", "state."))}
    names = [n.removeprefix("params.") for n in kept if n.startswith("params.")]
    rest = {f"v.{n}": np.zeros_like(kept[f"params.{n}"]) for n in names}
    program.load(kept | rest | {"step": np.asarray(step)})
    found = None
    for batch in micro:
        found = program.gradients(batch, found)
    program.apply(found)
    state = program.state()
    return {n: state[f"v.{n}"].astype(np.float64) for n in names}


def length(values: dict[str, Any]) -> float:
    """The norm of all of them together."""
    return float(np.sqrt(sum(np.sum(v * v) for v in values.values())))


def batches(network: Network, precision: str) -> InMemory:
    """The batches that every program must take."""
    X, y, weights = network.rows
    return InMemory(network.recipe(precision), Data(X, y, weights))


def root(xp: Any, _p: Any, d: Any) -> Any:
    """A metric that is known in advance: the root of the largest target."""
    return xp.sqrt(xp.max(d, axis=-1, keepdims=True))


def one(xp: Any, p: Any, d: Any) -> Any:
    """A metric that is 1 for each row, or NaN where the largest target is negative."""
    return root(xp, p, d) * 0.0 + 1.0


class BackendContract:
    """What every backend holds, whatever it does inside. Set `backend` to its name, or to the backend itself."""

    backend: ClassVar[str | Backend]

    def _compiled(self, name: str, precision: str = "float64", values: Any = None) -> Program:
        return NETWORKS[name].compiled(load_backend(self.backend), precision, values)

    def test_it_says_what_it_is(self) -> None:
        backend = load_backend(self.backend)
        assert isinstance(backend, Backend)
        assert isinstance(backend.name, str)
        assert backend.name
        assert set(backend.precisions) >= {"float32", "float64"}

    @precisions
    def test_put_moves_arrays_in_the_dtype_asked_for(self, precision: str) -> None:
        given = np.arange(6.0).reshape(2, 3)
        placed = load_backend(self.backend).put(given, precision)
        assert is_array(placed)
        assert_close(to_numpy(placed), given.astype(precision), 0.0)
        assert str(to_numpy(placed).dtype) == precision

    @networks
    @precisions
    def test_k_steps_in_one_call_have_the_bits_of_k_calls(self, name: str, precision: str) -> None:
        one, many, pieces = (self._compiled(name, precision) for _ in range(3))
        whole = np.array(one.run(13))
        single = np.concatenate([np.array(many.run(1)) for _ in range(13)])
        cut = np.concatenate([np.array(pieces.run(k)) for k in (5, 1, 7)])
        assert whole.shape == (13, len(NETWORKS[name].recipe(precision).columns))
        assert whole.dtype == np.float64
        assert whole.tobytes() == single.tobytes() == cut.tobytes(), "the results of steps differ"
        assert one.step == many.step == pieces.step == 13
        assert_same_bits(many.state(), one.state(), "13 calls of one step")
        assert_same_bits(pieces.state(), one.state(), "calls of 5, 1 and 7 steps")

    @networks
    @precisions
    def test_a_loaded_state_goes_on_with_the_same_bits(self, name: str, precision: str) -> None:
        program = self._compiled(name, precision)
        program.run(7)
        kept = program.state()
        copies = {n: np.array(v) for n, v in kept.items()}
        first, after = np.array(program.run(5)), program.state()
        assert_same_bits(kept, copies, "what state() gave, after more steps")
        program.load(kept)
        assert_same_bits(program.state(), kept, "state() after load(state)")
        assert np.array(program.run(5)).tobytes() == first.tobytes(), "the same steps gave other results"
        assert_same_bits(kept, copies, "what load() was given, after more steps")
        fresh = self._compiled(name, precision, kept)
        assert np.array(fresh.run(5)).tobytes() == first.tobytes(), "a fresh program gave other results"
        assert_same_bits(fresh.state(), after, "a fresh program's state")

    @networks
    def test_gradients_change_no_visible_value_and_apply_makes_one_step(self, name: str) -> None:
        program, whole = self._compiled(name), self._compiled(name)
        before, found = program.state(), None
        for batch in batches(NETWORKS[name], "float64").at(0):
            found = program.gradients(batch, found)
        assert_same_bits(program.state(), before, "state() after gradients")
        program.apply(found)
        whole.run(1)
        assert program.step == 1
        assert_close(program.state(), whole.state(), who="apply(gradients) against run(1)")

    @networks
    def test_float64_agrees_with_the_reference_over_200_steps(self, name: str) -> None:
        reference, program = NETWORKS[name].compiled(load_backend("reference"), "float64"), self._compiled(name)
        assert_close(program.state(), reference.state(), 0.0, who="the first values")
        for _ in range(STEPS // 25):
            wanted, found = np.array(reference.run(25)), np.array(program.run(25))
            assert_close(found, wanted, 1e-11, who=f"results up to step {program.step}")
            assert_close(program.state(), reference.state(), 1e-11, who=f"the state after step {program.step}")

    @pytest.mark.parametrize("name", SMOOTH)
    def test_float32_gradients_agree_from_the_same_state(self, name: str) -> None:
        trainer = NETWORKS[name].compiled(load_backend("reference"), "float32")
        probe = NETWORKS[name].probe()
        reference = probe.compiled(load_backend("reference"), "float32")
        program = probe.compiled(load_backend(self.backend), "float32")
        order = batches(probe, "float32")
        for step in range(LOCK_STEPS):
            values = trainer.state()
            wanted, found = (gradients(p, values, order.at(step), step) for p in (reference, program))
            error = length({n: found[n] - g for n, g in wanted.items()}) / length(wanted)
            assert error <= 1e-5, f"step {step}: the gradient is {error:.2g} of its norm away from the reference's"
            trainer.run(1)

    @networks
    def test_predictions_and_measures_agree(self, name: str) -> None:
        network, backend = NETWORKS[name], load_backend(self.backend)
        reference, program = network.compiled(load_backend("reference"), "float64"), self._compiled(name)
        reference.run(5)
        program.load(reference.state())
        X = network.rows[0]
        assert_close(program.predict(backend.put(X, "float64")), reference.predict(X), 1e-11, who="predict")
        assert reference.data is not None
        assert program.data is not None
        assert_close(program.measure(program.data), reference.measure(reference.data), 1e-11, who="measure")

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("name", ["classes", "truth", "own formulas", "kinks"])
    def test_nan_and_infinity_pass_through_as_in_the_reference(self, name: str, bad: float) -> None:
        network = NETWORKS[name]
        programs = [network.compiled(load_backend(b), "float64") for b in ("reference", self.backend)]
        X, states = network.rows[0], []
        with np.errstate(all="ignore"):
            for program in programs:
                state = program.state()
                state["params.0.kernel"][0, 0] = bad
                program.load(state)
                put = load_backend(self.backend if program is programs[1] else "reference").put
                states.append(to_numpy(program.predict(put(X, "float64"))))
        assert_close(states[1], states[0], 1e-11, who=f"predict with a weight of {bad}")

    @pytest.mark.parametrize("loss", ["mse", "sse"])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_metrics_have_the_weights_of_the_loss(self, loss: str, weighted: bool) -> None:
        backend, metrics = load_backend(self.backend), (root, one)
        network = Network((Dense(5, "tanh"), Dense(3)), loss, SGD(1e-4), "numbers", {"accumulate": 2}, metrics=metrics)
        X, y, _ = network.rows
        rng = np.random.default_rng(5)
        weights, y = rng.choice([0.0, 0.5, 1.0, 2.5], len(X)), np.abs(y)
        y[weights == 0.0] = -1.0  # there both metrics are NaN, and must count nowhere
        if not weighted:
            y, weights = np.abs(y), np.ones(len(X))
        recipe = network.recipe("float64")
        data = door.admit(backend, recipe, X, y, weights if weighted else None)
        program = backend.compile(recipe, network.values, data)
        order = InMemory(recipe, Data(X, y, weights))
        steps = [np.concatenate([b.rows for b in order.at(step)]) for step in range(2 * order.per_epoch)]
        with np.errstate(invalid="ignore"):
            found, whole = np.array(program.run(len(steps))), np.array(program.measure(data))
        for rows, results in (*zip(steps, found, strict=True), (np.arange(len(X)), whole)):
            counted = rows[weights[rows] > 0.0]
            w, m = weights[counted], np.sqrt(y[counted].max(axis=1))
            assert_close(results[2:4], np.asarray([w.sum(), len(counted)]), 1e-12, who="weight and rows")
            assert_close(results[4:], np.asarray([np.sum(w * m) / w.sum(), 1.0]), 1e-12, who="metrics")
            assert weighted or results[5] == 1.0, "without weights, the mean of a metric that is 1 in each row is 1.0"

    def test_a_step_whose_rows_weigh_nothing_changes_nothing_by_its_metrics(self) -> None:
        backend = load_backend(self.backend)
        network = Network((Dense(3),), "mse", SGD(0.01), "numbers", {"shuffle": False}, metrics=(root,))
        X, y, _ = network.rows
        recipe, weights = network.recipe("float64"), np.ones(len(X))
        weights[16:32], y = 0.0, np.abs(y)
        y[16:32] = -1.0
        data = door.admit(backend, recipe, X, y, weights)
        with np.errstate(invalid="ignore"):
            found = np.array(backend.compile(recipe, network.values, data).run(4))
        assert found[:, 2].tolist() == found[:, 3].tolist() == [16.0, 0.0, 16.0, 13.0]
        assert found[1, 4] == 0.0
        assert np.isfinite(found).all()

    def test_other_data_can_be_attached(self) -> None:
        programs = [NETWORKS["truth"].compiled(load_backend(b), "float64") for b in ("reference", self.backend)]
        X, y, _ = NETWORKS["truth"].rows
        for program, name in zip(programs, ("reference", self.backend), strict=True):
            put = load_backend(name).put
            program.run(2)
            program.attach(Data(put(X[:40] + 1.0, "float64"), put(y[:40], "float64")))
            program.run(4)
        assert_close(programs[1].state(), programs[0].state(), 1e-11, who="the state after other data")

    @networks
    def test_a_renewed_program_is_as_a_new_one(self, name: str) -> None:
        network, backend = NETWORKS[name], load_backend(self.backend)
        program, data = self._compiled(name), network.data(backend, "float64")
        program.run(7)
        values = program.state() | {"step": np.asarray(5), "rate": np.asarray(0.5)}
        later = replace(network.recipe("float64"), origin=5, first_epoch=3)
        program.run(4)
        program.attach(no_rows(backend, later))
        program.renew(later, values, data)
        fresh = backend.compile(later, values, data)
        assert np.array(program.run(9)).tobytes() == np.array(fresh.run(9)).tobytes(), "it gave other results"
        assert_same_bits(program.state(), fresh.state(), "the state after it was renewed")

    @networks
    def test_the_plan_says_how_each_part_runs(self, name: str) -> None:
        plan = self._compiled(name).plan()
        assert plan
        assert all(isinstance(text, str) and text for row in plan for text in row)
        if name == "own layer":
            told = " ".join(text for row in plan for text in row)
            assert Turned.__name__ in told, f"plan() doesn't name the layer that can't be compiled: {told}"
