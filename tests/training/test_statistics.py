"""Statistics of gradients: PyTorch's gradients, read without disturbing training; and what TensorBoard reads."""

import json

import numpy as np
import pytest
import torch
from networks import PROGRAMS, Case
from resuming import STEPS, STEPS_PER_EPOCH, Stop, train
from twin import Twin

from deepmath import Dense, Sequential
from deepmath.callbacks import Checkpoint, GradientStatistics, TensorBoard
from deepmath.errors import FormatError, MissingExtra
from deepmath.optimizers import SGD


@pytest.mark.parametrize("backend", PROGRAMS)
def test_the_numbers_are_those_of_pytorch_s_gradients(backend):
    rng = np.random.default_rng(4)
    X, y = rng.standard_normal((12, 3)), rng.standard_normal((12, 2))
    model = Sequential([Dense(5, "relu"), Dense(2)], seed=5)
    model.compile(SGD(0.1, clipnorm=0.1), "mse")
    statistics = GradientStatistics(every=2)
    settings = {"batch_size": 2, "accumulate": 2, "precision": "float64", "backend": backend, "verbose": 0}
    model.fit(X, y, epochs=2, callbacks=[statistics], **settings)
    assert [record["step"] for record in statistics.records] == [2, 4, 6]
    twin = Twin(
        Case((Dense(5, "relu"), Dense(2)), "mse", SGD(0.1, clipnorm=0.1), X, y, batch_size=2, accumulate=2, seed=5)
    )
    for record in statistics.records[:2]:
        while twin.step_number < record["step"]:
            twin.step()
        for name, found in record.items():
            if name == "step":
                continue
            g = gradient(twin, name)
            want = {"norm": g.norm(), "max": g.abs().max(), "mean": g.abs().mean(), "zeros": (g == 0).double().mean()}
            assert found == pytest.approx({n: float(v) for n, v in want.items()}, rel=1e-10, abs=1e-15), name


def gradient(twin: Twin, name: str):
    """The gradient of the twin's next step, by autograd over the logical batch's rows."""
    rows = twin._rows()
    x, y = torch.tensor(twin.case.X[rows]), torch.tensor(twin.case.y[rows])
    p = twin.params
    hidden = torch.relu(x @ p["0.kernel"] + p["0.bias"])
    loss = ((hidden @ p["1.kernel"] + p["1.bias"] - y) ** 2).mean()
    return torch.autograd.grad(loss, p[name])[0]


@pytest.mark.parametrize("step", [9, 20, 25])
def test_the_file_of_a_resumed_run_is_that_of_the_whole_run(step, tmp_path):
    whole, path = tmp_path / "whole.jsonl", tmp_path / "g.jsonl"
    statistics = GradientStatistics(3, whole)
    train("numpy", statistics)
    lines = [json.loads(line) for line in whole.read_text().splitlines()]
    assert lines == statistics.records
    assert [line["step"] for line in lines] == list(range(3, STEPS + 1, 3))
    train("numpy", GradientStatistics(3, path), Checkpoint(tmp_path / "run", every=1), Stop(step))
    path.write_text(path.read_text() + whole.read_text().splitlines()[-1] + '\n{"step": 3')
    train("numpy", GradientStatistics(3, path), resume=tmp_path / "run")
    assert path.read_bytes() == whole.read_bytes()


def test_a_file_of_something_else_is_refused(tmp_path):
    train("numpy", Checkpoint(tmp_path / "run", every=1), Stop(5))
    path = tmp_path / "notes"
    path.write_text("dear diary\n")
    with pytest.raises(FormatError, match="is not a file of gradients; give another path"):
        train("numpy", GradientStatistics(3, path), resume=tmp_path / "run")


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """TensorBoard's own reading of a run that was stopped and resumed, and the run's history."""
    pytest.importorskip("tensorboardX")
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder, run = tmp_path_factory.mktemp("board"), tmp_path_factory.mktemp("run")
    train("numpy", TensorBoard(folder, every=4), Checkpoint(run, every=5, keep=99), Stop(27))
    for late in (25, 27):  # what a crash leaves: events behind the newest checkpoint
        (run / f"step-{late}.safetensors").unlink()
    history, state = train("numpy", TensorBoard(folder, every=4), resume=run)
    reader = events.EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0})
    reader.Reload()
    return reader, history, state


def test_tensorboard_shows_the_history_once(board):
    reader, history, _ = board
    for name, values in history.history.items():
        shown = reader.Scalars(f"epoch/{name}")
        assert [event.step for event in shown] == [STEPS_PER_EPOCH * (i + 1) for i in range(len(values))]
        np.testing.assert_allclose([event.value for event in shown], values, rtol=1e-6)
    assert [e.step for e in reader.Scalars("step/loss")] == list(range(4, STEPS + 1, 4))
    assert {e.value for e in reader.Scalars("epoch/learning_rate")} == {np.float32(0.01)}


def test_tensorboard_shows_every_weight_and_gradient(board):
    reader, history, state = board
    params = {n.removeprefix("params.") for n in state if n.startswith("params.")}
    tags = set(reader.Tags()["histograms"])
    assert tags == {f"{kind}/{name}" for kind in ("weights", "gradients") for name in params}
    for name in params:
        last = reader.Histograms(f"weights/{name}")[-1].histogram_value
        value = state[f"params.{name}"].astype(np.float64)
        assert (last.num, last.min, last.max) == (value.size, value.min(), value.max())
        assert len(reader.Histograms(f"gradients/{name}")) == len(history.epoch)


def test_without_tensorboardx_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    with pytest.raises(MissingExtra) as error:
        TensorBoard("x")
    assert str(error.value) == (
        "event files for TensorBoard need the package 'tensorboardX': pip install 'deepmath[tensorboard]'"
    )
