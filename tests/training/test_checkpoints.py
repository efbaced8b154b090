"""When checkpoints are saved: every so many steps, seconds or epochs, side by side."""

from __future__ import annotations

from pathlib import Path

import pytest
from resuming import STEPS, Stop, fingerprint, train

from deepmath.callbacks import BestCheckpoint, Callback, Checkpoint
from deepmath.errors import ConfigError
from deepmath.loading import load_model


class Seconds(Callback):
    """A clock that goes on by so much in each step, and so much more in a validation."""

    every = 1

    def __init__(self, step: float = 1.0, validation: float = 0.0) -> None:
        self.now, self._step, self._validation = 0.0, step, validation

    def __call__(self) -> float:
        return self.now

    def on_steps_end(self, run) -> None:
        self.now += self._step

    def on_validation_begin(self, run) -> None:
        self.now += self._validation


def saved(folder: Path) -> list[int]:
    """The steps of the checkpoints in a folder."""
    return sorted(int(p.name[5:-12]) for p in folder.glob("step-*.safetensors"))


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, [10, 20, 30, 40]),
        ({"epochs": 3}, [30, 40]),
        ({"epochs": None}, [40]),
        ({"epochs": None, "every": 16}, [16, 32, 40]),
        ({"epochs": None, "seconds": 7.0}, [7, 14, 21, 28, 35, 40]),
        ({"epochs": None, "seconds": 6.5}, [7, 14, 21, 28, 35, 40]),
        ({"seconds": 7.0}, [7, 10, 17, 20, 27, 30, 37, 40]),  # counted from the last save, whatever it was for
        ({"seconds": 7.0, "every": 4, "epochs": 2}, [*range(4, 41, 4)]),
        ({"seconds": 7.0, "every": 15, "epochs": 2}, [7, 14, 15, 20, 27, 30, 37, 40]),
        ({"seconds": 1e9, "epochs": None}, [40]),
        ({"seconds": 0.1, "epochs": None}, [*range(1, 41)]),
    ],
)
def test_saved_at(settings, steps, tmp_path):
    clock = Seconds()
    train("reference", clock, Checkpoint(tmp_path, keep=99, clock=clock, **settings))
    assert saved(tmp_path) == steps


def test_a_validation_that_takes_long_is_behind_the_step(tmp_path):
    clock = Seconds(0.0, validation=10.0)
    train("reference", clock, Checkpoint(tmp_path, keep=99, seconds=15.0, epochs=None, clock=clock), Stop(35))
    assert saved(tmp_path) == [20, 35]


def test_each_run_counts_its_own_seconds(tmp_path):
    clock = Seconds()
    checkpoint = Checkpoint(tmp_path, keep=99, seconds=15.0, epochs=None, clock=clock)
    train("reference", clock, checkpoint, Stop(12))
    clock.now += 1e6  # between two runs
    train("reference", clock, checkpoint, resume=tmp_path)
    assert saved(tmp_path) == [12, 27, 40]


def test_with_seconds_keep_and_best_a_run_goes_on_with_the_same_bits(tmp_path):
    """Three steps make an odd number of seconds, so that saves fall on any step of an epoch."""
    expected = fingerprint(*train("numpy"))
    clock = Seconds()
    best = BestCheckpoint(tmp_path, "val_loss")
    given = clock, best, Checkpoint(tmp_path, every=11, keep=3, seconds=3.0, clock=clock)
    train("numpy", *given, Stop(26))
    assert saved(tmp_path) == [22, 25, 26]
    assert fingerprint(*train("numpy", *given, resume=tmp_path)) == expected
    assert saved(tmp_path) == [36, 39, 40]
    assert load_model(tmp_path / "best.safetensors").get_weights()
    assert STEPS == 40


def test_many_steps_run_in_one_call_between_seconds():
    assert Checkpoint("run", seconds=60.0).every is None


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"every": 0}, "Checkpoint: every must be a whole number >= 1; got 0"),
        ({"epochs": 0.5}, "Checkpoint: epochs must be a whole number >= 1; got 0.5"),
        ({"seconds": 0.0}, "Checkpoint: seconds must be a number > 0; got 0.0"),
        ({"seconds": "often"}, "Checkpoint: seconds must be a number > 0; got 'often'"),
        ({"keep": 0}, "Checkpoint: keep must be a whole number >= 1; got 0"),
    ],
)
def test_settings_that_can_t_be_used(settings, text):
    with pytest.raises(ConfigError) as error:
        Checkpoint("run", **settings)
    assert str(error.value) == text
