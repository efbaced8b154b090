"""deepmath inside another application: installed from its wheel, trained by two threads, silent on stdout."""

import zipfile

import pytest
from installing import installed, our_wheel, run_with

LIMIT = 1_000_000

APPLICATION = """
import logging
import sys
import threading

import numpy as np

records = []


class Keep(logging.Handler):
    def emit(self, record):
        records.append(record)


root = logging.getLogger()
root.addHandler(Keep())
root.setLevel(logging.DEBUG)
handlers, state, errors = list(root.handlers), np.random.get_state()[1].copy(), np.geterr()

import deepmath as dm

assert dm.__file__.startswith(sys.argv[1]), dm.__file__
rng = np.random.default_rng(0)
X = rng.standard_normal((400, 5))
TARGETS = {"one": (X[:, 0] * X[:, 1] > 0).astype(float), "other": (X[:, 2] > 0).astype(float)}
results = {}


def train(name, seed):
    model = dm.Sequential([dm.Dense(16, "tanh"), dm.Dropout(0.1), dm.Dense(1, "sigmoid")], seed=seed)
    model.compile("adam", "binary_crossentropy")
    history = model.fit(X, TARGETS[name], epochs=15, verbose=0)
    results[threading.current_thread().name, name] = model.get_weights(), history.history["loss"]


def together():
    threads = [threading.Thread(target=train, args=(n, i), name="thread") for i, n in enumerate(TARGETS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


together()
for i, name in enumerate(TARGETS):
    train(name, i)
    (weights, losses), (alone, lonely) = (results[w, name] for w in ("thread", "MainThread"))
    assert losses == lonely and losses[-1] < losses[0], losses
    assert all(a.tobytes() == b.tobytes() for a, b in zip(weights, alone)), name

assert all(r.name.split(".")[0] == "deepmath" for r in records), records
assert root.handlers == handlers and not logging.getLogger("deepmath").handlers
assert (np.random.get_state()[1] == state).all() and np.geterr() == errors
assert not {"click", "rich", "matplotlib", "sklearn", "torch", "onnx"} & set(sys.modules)
print(len(records), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return our_wheel(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_is_small_and_holds_the_packages_alone(wheel):
    assert wheel.stat().st_size < LIMIT
    names = {n.split("/")[0] for n in zipfile.ZipFile(wheel).namelist()}
    assert {n for n in names if not n.endswith(".dist-info")} >= {"deepmath", "deepmath_numpy"}
    assert all(n.startswith("deepmath") for n in names)


def test_an_application_trains_two_models_in_two_threads(wheel, tmp_path):
    target = installed(tmp_path / "target", wheel)
    (tmp_path / "application.py").write_text(APPLICATION)
    done = run_with(target, tmp_path / "application.py", target, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr.strip().isdigit(), done.stderr
