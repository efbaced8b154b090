"""Averages of weights: PyTorch's numbers, the same bits over a stop, and where they are used."""

import numpy as np
import pytest
import torch
from networks import PROGRAMS
from resuming import STEPS, STEPS_PER_EPOCH, Stop, fingerprint, train

from deepmath import load_model
from deepmath.callbacks import BestCheckpoint, Callback, Checkpoint, ExponentialMovingAverage, ModelAverage
from deepmath.errors import ConfigError


class Trace(Callback):
    """The weights after every step."""

    every = 1

    def __init__(self) -> None:
        self.weights: list[dict[str, np.ndarray]] = []

    def on_steps_end(self, run) -> None:
        self.weights.append({n: v for n, v in run.program.state().items() if n.startswith(("params.", "state."))})


def by_torch(weights: list[dict[str, np.ndarray]], steps: list[int], decay: float | None) -> dict[str, np.ndarray]:
    """PyTorch's own average of the weights after these steps, counted from 1, in float64."""
    module = torch.nn.ParameterDict()
    names = {n: n.replace(".", "_") for n in weights[0]}
    for name, value in weights[0].items():
        module[names[name]] = torch.nn.Parameter(torch.tensor(value, dtype=torch.float64))
    rule = {} if decay is None else {"multi_avg_fn": torch.optim.swa_utils.get_ema_multi_avg_fn(decay)}
    average = torch.optim.swa_utils.AveragedModel(module, **rule)
    for step in steps:
        with torch.no_grad():
            for name, value in weights[step - 1].items():
                module[names[name]].copy_(torch.tensor(value, dtype=torch.float64))
        average.update_parameters(module)
    return {n: average.module[names[n]].detach().numpy() for n in names}


CASES = [
    (ExponentialMovingAverage(decay=0.9), range(1, STEPS + 1), 0.9),
    (ExponentialMovingAverage(decay=0.5, start_step=12, every=5), range(15, STEPS + 1, 5), 0.5),
    (ModelAverage(), range(1, STEPS + 1), None),
    (ModelAverage(start_step=20, every=3), range(21, STEPS + 1, 3), None),
]


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize(("average", "steps", "decay"), CASES)
def test_the_average_is_pytorch_s(average, steps, decay, backend):
    trace = Trace()
    made = type(average)(**{f: getattr(average, f) for f in ("start_step", "every", *(["decay"] if decay else []))})
    _, state = train(backend, made, trace)
    expected = by_torch(trace.weights, list(steps), decay)
    assert made.averaged.keys() == expected.keys()
    for name, want in expected.items():
        np.testing.assert_allclose(made.averaged[name], want, rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(state[name], made.averaged[name].astype(np.float32))


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("step", [3, STEPS_PER_EPOCH, 25])
@pytest.mark.parametrize("validate", [False, True])
def test_the_average_survives_a_stop(step, validate, backend, tmp_path):
    def average() -> ExponentialMovingAverage:
        return ExponentialMovingAverage(decay=0.8, validate=validate, start_step=2)

    expected = fingerprint(*train(backend, average()))
    train(backend, average(), Checkpoint(tmp_path, every=1), Stop(step))
    assert fingerprint(*train(backend, average(), Checkpoint(tmp_path), resume=tmp_path)) == expected


def test_validation_with_the_average_leaves_training_as_it_is():
    plain, with_average = Trace(), Trace()
    first, _ = train("numpy", plain)
    second, _ = train("numpy", with_average, ExponentialMovingAverage(decay=0.9, validate=True))
    assert first.history["loss"] == second.history["loss"]
    assert first.history["val_loss"] != second.history["val_loss"]
    for a, b in zip(plain.weights, with_average.weights, strict=True):
        assert all(a[n].tobytes() == b[n].tobytes() for n in a)


def test_what_was_measured_is_what_the_best_checkpoint_holds(tmp_path):
    class Keep(Callback):
        def on_epoch_end(self, run, logs) -> None:
            self.weights = run.program.state()

    average, trained = ExponentialMovingAverage(decay=0.9, validate=True, at_end=False), Keep()
    _, state = train("numpy", BestCheckpoint(tmp_path), average, trained, epochs=1)
    best = load_model(tmp_path / "best.safetensors")
    for name, value in average.averaged.items():
        np.testing.assert_array_equal(best.values[name], value.astype(np.float32))
        assert trained.weights[name].tobytes() == state[name].tobytes()
    assert any(not np.array_equal(state[n], v.astype(np.float32)) for n, v in average.averaged.items())


def test_a_run_saved_while_it_is_measured_goes_on_with_the_trained_weights(tmp_path):
    """A checkpoint in the middle of validation holds the average; what training needs is remembered beside it."""

    class Save(Checkpoint):
        def on_validation_begin(self, run) -> None:
            if run.epoch == 1:
                super()._save(run)
                run.stop = True

        def on_epoch_end(self, run, logs) -> None: ...
        def on_train_end(self, run) -> None: ...

    def average() -> ExponentialMovingAverage:
        return ExponentialMovingAverage(decay=0.8, validate=True)

    expected = fingerprint(*train("reference", average()))
    train("reference", average(), Save(tmp_path))
    assert fingerprint(*train("reference", average(), Checkpoint(tmp_path / "no"), resume=tmp_path)) == expected


def test_a_run_that_did_not_finish_keeps_its_trained_weights():
    class Fail(Callback):
        every = 1

        def on_steps_end(self, run) -> None:
            self.weights = run.program.state()
            if run.step == 7:
                raise RuntimeError("stop")

    seen, end = Fail(), Trace()
    with pytest.raises(RuntimeError, match="stop"):
        train("reference", ExponentialMovingAverage(decay=0.9), end, seen)
    assert end.weights[-1]["params.0.kernel"].tobytes() == seen.weights["params.0.kernel"].tobytes()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ExponentialMovingAverage(decay=1.0), "ExponentialMovingAverage: decay"),
        (lambda: ExponentialMovingAverage(every=0), "ExponentialMovingAverage: every"),
        (lambda: ModelAverage(start_step=-1), "ModelAverage: start_step"),
    ],
)
def test_settings_are_checked(make, text):
    with pytest.raises(ConfigError, match=text):
        make()


def test_only_one_average_can_be_what_validation_measures():
    first, second = (ExponentialMovingAverage(decay=d, validate=True) for d in (0.8, 0.9))
    with pytest.raises(ConfigError, match="validation data can be measured with one average"):
        train("reference", first, second)
    train("reference", first, ExponentialMovingAverage(decay=0.9, validate=False))
