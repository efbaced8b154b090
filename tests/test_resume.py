"""A run that is stopped anywhere and resumed in a fresh process ends with the same bits."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import resuming
from networks import PROGRAMS
from resuming import STEPS, STEPS_PER_EPOCH, Stop, data, fingerprint, model, train

from deepmath.callbacks import Callback, Checkpoint
from deepmath.errors import ConfigError

HERE = Path(__file__).parent


class Copy(Callback):
    """Copies the checkpoint of each step to its own folder: what a crash right after that step would leave."""

    every = 1
    last = True  # as what it copies

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_steps_end(self, run) -> None:
        own = self.folder / f"at-{run.step}"
        own.mkdir()
        name = f"step-{run.step}.safetensors"
        shutil.copy(self.folder / "all" / name, own / name)


def fresh_process(*arguments: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, sys.path)])  # the same deepmath as here
    command = [sys.executable, "-W", "error", resuming.__file__, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)


@pytest.fixture(scope="module", params=PROGRAMS)
def run(request, tmp_path_factory):
    """A backend, the folder with a checkpoint of each step, and the fingerprint of the run without a stop."""
    folder = tmp_path_factory.mktemp("checkpoints")
    checkpoints = Checkpoint(folder / "all", every=1, keep=100)
    history, state = train(request.param, checkpoints, Copy(folder))
    assert int(state["step"]) == STEPS
    assert all(len(values) == resuming.EPOCHS for values in history.history.values())
    return request.param, folder, fingerprint(history, state)


def test_checkpoints_change_nothing(run):
    backend, _, expected = run
    assert fingerprint(*train(backend)) == expected


def test_every_step_has_its_checkpoint(run):
    _, folder, _ = run
    names = {path.name for path in (folder / "all").iterdir()}
    assert names == {f"step-{step}.safetensors" for step in range(1, STEPS + 1)}


def test_resumed_after_each_step_in_a_fresh_process(run):
    backend, folder, expected = run
    done = fresh_process(backend, *(str(folder / f"at-{step}") for step in range(1, STEPS + 1)))
    assert done.returncode == 0, done.stderr
    found = done.stdout.split()
    assert len(found) == STEPS
    assert [step for step, value in enumerate(found, 1) if value != expected] == []


@pytest.fixture(scope="module", params=[(o, b) for b in PROGRAMS for o in resuming.OPTIMIZERS], ids="-".join)
def watched(request, tmp_path_factory):
    """A backend, the folder with a checkpoint of each step of an optimiser's run, and that run's fingerprint."""
    optimizer, backend = request.param
    folder = tmp_path_factory.mktemp("watched") / optimizer
    checkpoints = Checkpoint(folder / "all", every=1, keep=100)
    return backend, folder, resuming.train_watched(optimizer, backend, checkpoints, Copy(folder))


def test_three_optimisers_with_schedule_and_early_stopping(watched):
    backend, folder, expected = watched
    steps = (1, 9, STEPS_PER_EPOCH, 24, 39)
    done = fresh_process(backend, *(str(folder / f"at-{step}") for step in steps))
    assert done.returncode == 0, done.stderr
    assert dict(zip(steps, done.stdout.split(), strict=True)) == dict.fromkeys(steps, expected)


@pytest.mark.slow
@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_each_step_of_three_optimisers_in_a_process_of_its_own(watched, step):
    backend, folder, expected = watched
    done = fresh_process(backend, str(folder / f"at-{step}"))
    assert done.stdout.split() == [expected], done.stderr


@pytest.mark.parametrize("step", [1, 17, 30])
def test_resumed_in_a_process_of_its_own(run, step):
    backend, folder, expected = run
    done = fresh_process(backend, str(folder / f"at-{step}"))
    assert done.stdout.split() == [expected], done.stderr


def test_a_killed_process_is_resumed_with_the_same_bits(run, tmp_path):
    backend, _, expected = run
    killed = fresh_process("killed", backend, str(tmp_path / "c"), "23")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    names = {p.name for p in (tmp_path / "c").iterdir()}
    assert names == {"step-22.safetensors", "step-23.safetensors"}
    done = fresh_process(backend, str(tmp_path / "c"))
    assert done.stdout.split() == [expected], done.stderr


@pytest.mark.parametrize("step", [4, STEPS_PER_EPOCH, 35])
def test_stopped_by_a_callback_and_resumed_in_the_same_process(run, step, tmp_path):
    backend, _, expected = run
    history, state = train(backend, Checkpoint(tmp_path), Stop(step))
    assert int(state["step"]) == step
    assert fingerprint(history, state) != expected
    assert fingerprint(*train(backend, Checkpoint(tmp_path), resume=tmp_path)) == expected


def test_the_newest_good_checkpoint_counts(run, tmp_path, caplog):
    backend, folder, expected = run
    for step in (12, 13):
        shutil.copy(folder / f"at-{step}" / f"step-{step}.safetensors", tmp_path)
    damaged = tmp_path / "step-13.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    (tmp_path / ".step-14.safetensors.tmp.x").write_bytes(b"cut")
    assert fingerprint(*train(backend, resume=tmp_path)) == expected
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        f"{damaged} fails its SHA-256 check; the file was changed or damaged after saving. Trying the one before it."
    ]


def test_an_empty_or_absent_folder_begins_anew(run, tmp_path):
    backend, _, expected = run
    assert fingerprint(*train(backend, resume=tmp_path)) == expected
    assert fingerprint(*train(backend, resume=tmp_path / "none")) == expected


def test_a_finished_run_trains_no_further(run):
    backend, folder, expected = run
    assert fingerprint(*train(backend, resume=folder / "all")) == expected


def test_fewer_checkpoints_are_kept(tmp_path):
    train("reference", Checkpoint(tmp_path, every=3, keep=2))
    assert {p.name for p in tmp_path.iterdir()} == {"step-39.safetensors", "step-40.safetensors"}


def refusal(folder: Path, made=None, X=None, y=None, **settings) -> str:
    """The text of the error that resuming the run's 17th checkpoint with something changed raises."""
    X, y = data()[0] if X is None else X, data()[1] if y is None else y
    given = {"epochs": 4, "batch_size": resuming.BATCH, "backend": "reference"} | settings
    with pytest.raises(ConfigError) as error:
        (made or model()).fit(X, y, resume=folder, verbose=0, **given)
    text = str(error.value)
    assert text.startswith(f"can't resume from {folder / 'step-17.safetensors'}: ")
    assert text.endswith(". Resume with the same settings, or begin in another folder.")
    return text.partition(".safetensors: ")[2].partition(". Resume")[0]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seventeen")
    train("reference", Checkpoint(folder, every=17, keep=1), Stop(17))
    return folder


def test_other_data_are_refused(checkpoint):
    X, y = data()
    X[40, 2] += 1e-3
    assert refusal(checkpoint, X=X).startswith("data was '")
    y[3] = 1 - y[3]
    assert refusal(checkpoint, y=y).startswith("data was '")
    assert refusal(checkpoint, sample_weight=np.full(len(y), 2.0)).startswith("data was '")
    assert "rows was 66 and is 60" in refusal(checkpoint, X=data()[0][:60], y=data()[1][:60])


def test_another_model_is_refused(checkpoint):
    assert refusal(checkpoint, model(units=5)).startswith("model was '")
    other = model()
    other.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
    assert refusal(checkpoint, other).startswith("model was '")


def test_another_seed_is_refused(checkpoint):
    assert "seed was 3 and is 4" in refusal(checkpoint, model(seed=4))


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"batch_size": 8}, "batch_size was 7 and is 8"),
        ({"accumulate": 2}, "accumulate was 1 and is 2"),
        ({"shuffle": False}, "shuffle was True and is False"),
        ({"drop_last": True}, "drop_last was False and is True"),
        ({"precision": "float64"}, "precision was 'float32' and is 'float64'"),
    ],
)
def test_another_setting_is_refused(checkpoint, setting, text):
    assert text in refusal(checkpoint, **setting)
