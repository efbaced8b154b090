"""The backend as a user meets it: one flag, the same model; memory, notices, and what has no kernels."""

import array_api_compat
import numpy as np
import pytest
from click.testing import CliRunner
from deepmath_cupy import CupyBackend, environment
from deepmath_cupy.environment import Facts

import deepmath
from deepmath import Dense, Dropout, Sequential
from deepmath.backend import load_backend
from deepmath.callbacks import Callback
from deepmath.cli.app import commands
from deepmath.errors import ConfigError, DeviceError, NonFiniteError, OutOfDeviceMemory
from deepmath.optimizers import SGD

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 4))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)


@pytest.fixture
def machine(shim, monkeypatch):
    """A machine with one device, which is the shim."""
    monkeypatch.setattr(environment, "opened", lambda index: shim)
    monkeypatch.setattr(environment, "facts", lambda: Facts(("cupy-cuda13x",), 13000, ("Shim",), None, 13))
    return shim


def trained(**flags):
    model = Sequential([Dense(8, activation="tanh", input_dim=4), Dropout(0.2), Dense(2, activation="softmax")], seed=3)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(X, Y, epochs=3, batch_size=16, validation_split=0.2, verbose=0, **flags)
    return model, history.history


def installed():
    """All backends that run here, and one that would, had it a device."""
    return sorted({n for n, state in deepmath.backends().items() if state == "usable"} | {"cupy"})


SLOW = {"jax", "torch"}
"""They take seconds to be imported and to compile each operation."""


def test_only_the_flag_changes(machine):
    assert {"numpy", "cupy", "reference"} <= set(installed())
    agree(set(installed()) - SLOW)


@pytest.mark.slow
def test_only_the_flag_changes_for_libraries_that_take_their_time(machine):
    agree(set(installed()) & SLOW)


def agree(names):
    """The same model on each of them: histories and predictions."""
    expected_model, expected = trained(backend="reference")
    for name in sorted(names):
        model, history = trained(backend=name)
        assert history.keys() == expected.keys()
        for key, values in expected.items():
            np.testing.assert_allclose(history[key], values, rtol=2e-3, err_msg=f"{name} {key}")
        np.testing.assert_allclose(
            model.predict(X, backend=name), expected_model.predict(X, backend="reference"), rtol=1e-3, atol=1e-4
        )
        assert isinstance(model.predict(X, backend=name), np.ndarray)


@pytest.mark.parametrize("flags", [{"backend": "cupy"}, {"device": "cuda"}, {"device": "cuda:0", "backend": "cupy"}])
def test_device_and_backend_say_the_same(machine, flags):
    trained(**flags)
    assert machine.launched


def test_precisions_of_the_backend(machine):
    model, _ = trained(backend="cupy", precision="bf16")
    assert {w.dtype for w in model.get_weights()} == {np.dtype(np.float32)}
    with pytest.raises(ConfigError, match="has no precision 'float8'; it has float32, float64, tf32, bf16, float16"):
        trained(backend="cupy", precision="float8")
    model, _ = trained(backend="numpy")
    for ask in (trained, model.plan):
        with pytest.raises(ConfigError) as raised:
            ask(backend="numpy", precision="tf32")
        assert str(raised.value) == (
            "backend 'numpy' has no precision 'tf32'; it has float32, float64; on a CUDA device, backend='cupy' has it"
        )


@pytest.mark.parametrize("precision", ["float32", "float64", "tf32", "bf16", "float16"])
def test_the_command_trains_in_every_precision(machine, tmp_path, precision):
    run = str(tmp_path / "run")
    given = ["train", "xor", "--epochs", "2", "--backend", "cupy", "--precision", precision, "--out", run]
    done = CliRunner().invoke(commands, given)
    assert done.exit_code == 0, done.output
    assert f"cupy, {precision}: " in done.output
    assert machine.launched
    done = CliRunner().invoke(commands, ["evaluate", run, "--backend", "cupy"])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("precision", ["tf32", "bf16", "float16"])
def test_the_command_says_in_a_line_what_a_cpu_has_not(tmp_path, precision):
    given = ["train", "xor", "--epochs", "1", "--precision", precision, "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(commands, given)
    assert done.exit_code == 2
    assert done.stderr == (
        f"deepmath: error: backend 'numpy' has no precision '{precision}'; it has float32, float64; "
        "on a CUDA device, backend='cupy' has it\n"
    )
    assert precision in CliRunner().invoke(commands, ["train", "--help"]).output


def test_too_little_memory_ends_the_command_with_71(machine, tmp_path):
    machine.total = 1 << 14
    done = CliRunner().invoke(commands, ["train", "xor", "--backend", "cupy", "--out", str(tmp_path / "run")])
    assert done.exit_code == 71
    assert done.stderr.startswith("deepmath: error: backend 'cupy': the model needs ")
    assert len(done.stderr.splitlines()) == 1


def test_an_index_out_of_range_ends_the_command_with_69(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "facts", lambda: Facts(("cupy-cuda13x",), 13000, ("NVIDIA H200",), None, 13))
    environment.opened.cache_clear()
    done = CliRunner().invoke(commands, ["train", "xor", "--device", "cuda:7", "--out", str(tmp_path / "run")])
    assert done.exit_code == 69
    assert done.stderr == ("deepmath: error: backend 'cupy': there is no device cuda:7; there is cuda:0 NVIDIA H200\n")


def test_the_plan_says_what_runs_how(machine):
    model, _ = trained(backend="cupy")
    lines = model.plan(backend="cupy", precision="tf32").splitlines()
    assert lines[0].split(maxsplit=1) == ["Dense", "fused: matrix product (tf32), bias + tanh"]
    assert lines[1].split(maxsplit=1) == ["Dropout", "fused: random bits and choice"]


def test_too_little_memory_names_a_batch_that_fits(machine):
    machine.total = 3 << 20
    wide = Sequential([Dense(64, activation="tanh", input_dim=4), Dense(2)])
    wide.compile("adam", "mse")
    many = np.zeros((40000, 4)), np.zeros((40000, 2))
    with pytest.raises(OutOfDeviceMemory) as raised:
        wide.fit(*many, batch_size=40000, verbose=0, backend="cupy")
    assert raised.value.exit_code == 71
    said = str(raised.value)
    assert said.startswith("backend 'cupy': the model needs ")
    assert " at batch_size=40000; cuda:0 has 3.0 MiB free of 3.0 MiB. batch_size=" in said
    assert "\n" not in said
    fitting = int(said.partition(". batch_size=")[2].partition(" ")[0])
    machine.used = 0
    wide.fit(*many, batch_size=fitting, steps_per_epoch=None, epochs=1, verbose=0, backend="cupy", callbacks=[Once()])
    machine.total, machine.used = 1 << 14, 0
    with pytest.raises(OutOfDeviceMemory, match=r"Use a smaller model, another device, or backend='numpy'\."):
        wide.fit(*many, batch_size=1, verbose=0, backend="cupy")


class Once(Callback):
    """Stops after the first call of the program."""

    def on_steps_end(self, run):
        run.stop = True


def test_training_that_diverges_is_located(machine):
    model = Sequential([Dense(4, activation="relu", input_dim=4), Dense(1)])
    model.compile(SGD(1e25), "mse")
    with pytest.raises(NonFiniteError, match="loss became"):
        model.fit(X, Y, epochs=20, batch_size=50, verbose=0, backend="cupy", precision="tf32")


def test_resuming_gives_the_same_bits(machine, tmp_path):
    from deepmath.callbacks import Checkpoint

    def model():
        made = Sequential([Dense(5, activation="relu", input_dim=4), Dense(1)], seed=2)
        made.compile("adam", "mse")
        return made

    whole, parts = model(), model()
    whole.fit(X, Y, epochs=4, batch_size=16, verbose=0, backend="cupy")
    parts.fit(X, Y, epochs=2, batch_size=16, verbose=0, backend="cupy", callbacks=[Checkpoint(tmp_path)])
    again = model()
    again.fit(X, Y, epochs=4, batch_size=16, verbose=0, backend="cupy", resume=tmp_path)
    for one, other in zip(again.get_weights(), whole.get_weights(), strict=True):
        assert one.tobytes() == other.tobytes()


def test_single_batches(machine):
    model = Sequential([Dense(5, activation="relu", input_dim=4), Dense(1)])
    model.compile("sgd", "mse")
    first = model.train_on_batch(X, Y, backend="cupy")["loss"]
    for rows in (50, 20, 50):
        last = model.train_on_batch(X[:rows], Y[:rows], backend="cupy")["loss"]
    assert last < first


def test_arrays_of_cupy_choose_their_backend_and_device(monkeypatch, machine):
    opened = []
    monkeypatch.setattr(environment, "opened", lambda index: opened.append(index) or machine)
    monkeypatch.setattr(array_api_compat, "is_cupy_array", lambda x: True)
    monkeypatch.setattr("deepmath.backend.is_array", lambda x: True)

    class OnDevice:
        id = 2

    monkeypatch.setattr(array_api_compat, "device", lambda x: OnDevice())
    monkeypatch.setattr("deepmath.backend.namespace_of", lambda x: np)
    backend = load_backend(None, None, object())
    assert isinstance(backend, CupyBackend)
    assert opened == [2]
    with pytest.raises(ConfigError, match="got device 'cpu'"):
        load_backend(None, "cpu", object())


def test_an_error_of_the_device_is_no_silent_run(machine, monkeypatch):
    monkeypatch.setattr(environment, "opened", lambda index: (_ for _ in ()).throw(DeviceError("backend 'cupy': gone")))
    with pytest.raises(DeviceError, match="gone"):
        trained(backend="cupy")
