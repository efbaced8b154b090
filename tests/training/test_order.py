"""What saves sees the values as they were trained, whatever other callbacks put back at the end."""

import numpy as np
import pytest
import resuming
from networks import PROGRAMS
from resuming import Stop, fingerprint, train

from deepmath import load_model
from deepmath.callbacks import Callback, Checkpoint, EarlyStopping


class Order(Callback):
    """Notes the events of a run."""

    def __init__(self, name: str, seen: list, last: bool = False) -> None:
        self.name, self.seen, self.last = name, seen, last

    def on_validation_begin(self, run) -> None:
        self.seen.append(f"{self.name} validation {run.step}")

    def on_epoch_end(self, run, logs) -> None:
        self.seen.append(f"{self.name} epoch {run.step}")

    def on_train_end(self, run) -> None:
        self.seen.append(f"{self.name} end")


def test_what_saves_comes_last_in_an_epoch_and_first_at_the_end():
    seen: list[str] = []
    train("reference", Order("saves", seen, last=True), Order("other", seen), epochs=1)
    step = resuming.STEPS_PER_EPOCH
    assert seen == [
        f"other validation {step}", f"saves validation {step}", f"other epoch {step}", f"saves epoch {step}",
        "saves end", "other end",
    ]  # fmt: skip


def test_no_validation_event_without_validation_data():
    seen: list[str] = []
    train("reference", Order("a", seen), epochs=1, validation_data=None)
    assert seen == [f"a epoch {resuming.STEPS_PER_EPOCH}", "a end"]


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("step", [17, 25])
def test_a_run_stopped_within_an_epoch_resumes_from_the_trained_weights(backend, step, tmp_path):
    """Early stopping restores the best weights when the run ends; the checkpoint must not hold them."""
    expected = fingerprint(*train(backend, EarlyStopping(patience=50)))
    train(backend, EarlyStopping(patience=50), Checkpoint(tmp_path), Stop(step))
    assert fingerprint(*train(backend, EarlyStopping(patience=50), Checkpoint(tmp_path), resume=tmp_path)) == expected


def test_a_callback_can_write_the_model(tmp_path):
    class Write(Callback):
        def on_epoch_end(self, run, logs) -> None:
            run.write_model(tmp_path / f"{run.epoch}.safetensors")
            self.state = run.program.state()

    writer = Write()
    train("numpy", writer, epochs=2)
    model = load_model(tmp_path / "2.safetensors")
    assert model.epochs_trained == 2
    for name, value in writer.state.items():
        np.testing.assert_array_equal(model.values[name], value)
