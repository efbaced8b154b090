"""What can't work in a run is told before its first step: names of results, which is better, callbacks, places."""

from __future__ import annotations

import re

import numpy as np
import pytest

from deepmath import Dense, Sequential, callbacks
from deepmath.callbacks import (
    BestCheckpoint,
    Callback,
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    ExponentialMovingAverage,
    ReduceLROnPlateau,
)
from deepmath.errors import ConfigError
from deepmath.metrics import Metric
from deepmath.optimizers import LBFGS
from deepmath.training.callbacks import callbacks_of

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 4))
Y = (X[:, 0] - 2 * X[:, 1] > 0).astype(int)
WATCHING = [EarlyStopping, ReduceLROnPlateau]


def product(xp, p, d):
    return xp.mean(p * d, axis=-1, keepdims=True)


def named(name, **known):
    return Metric(name, lambda xp, p, d, index: product(xp, p, d), **known)


def net(metrics=(), optimizer="adam", **settings):
    model = Sequential([Dense(3, "relu", input_dim=4), Dense(1, "sigmoid")], **settings)
    model.compile(optimizer, "binary_crossentropy", metrics)
    return model


def fit(model, *watching, **settings):
    given = {"epochs": 2, "batch_size": 16, "verbose": 0, "backend": "reference"} | settings
    return model.fit(X, Y, callbacks=list(watching), **given)


def refused(model, *watching, **settings):
    """The text of the error; no step was taken, and nothing of the model changed."""
    before = {n: np.array(v) for n, v in model.values.items()}
    with pytest.raises(ConfigError) as error:
        fit(model, *watching, **settings)
    assert int(model.values.get("step", 0)) == 0
    assert all(np.array_equal(model.values[n], v) for n, v in before.items())
    assert model.history is None
    return str(error.value)


class Names(Callback):
    """Keeps what the run says of its results."""

    def on_train_begin(self, run):
        self.reported = dict(run.reported)


@pytest.mark.parametrize("validation", [{}, {"validation_split": 0.25}])
@pytest.mark.parametrize("optimizer", ["adam", LBFGS(3)])
def test_the_names_told_before_are_those_of_the_history(optimizer, validation):
    seen = Names()
    model = net(["accuracy", "auc", named("kappa")], optimizer)
    history = fit(model, seen, batch_size="full", **validation).history
    assert list(seen.reported) == list(history)
    assert ("learning_rate" in history) is (optimizer == "adam")


def test_each_name_has_the_direction_of_its_metric():
    seen = Names()
    fit(net(["acc", "auc", "mae", named("score", better="higher"), product]), seen, validation_split=0.25)
    assert seen.reported == {
        "loss": "lower", "cost": "lower", "accuracy": "higher", "mae": "lower", "score": "higher", "product": None,
        "val_loss": "lower", "val_cost": "lower", "val_accuracy": "higher", "val_auc": "higher", "val_mae": "lower",
        "val_score": "higher", "val_product": None, "learning_rate": None,
    }  # fmt: skip


@pytest.mark.parametrize("make", WATCHING)
@pytest.mark.parametrize("name", ["kappa", "layer2_err", "error_f1", "auc_gap", "my_accuracy", "val_kappa"])
def test_auto_never_guesses_from_a_name(make, name):
    text = refused(net([named(name.removeprefix("val_"))]), make(name), validation_split=0.25)
    owner = make.__name__
    assert text == f"{owner}: nobody said whether '{name}' is better high or low; give mode='max' or mode='min'"
    fit(net([named(name.removeprefix("val_"))]), make(name, mode="max"), validation_split=0.25)


def test_the_best_file_asks_for_the_direction_too(tmp_path):
    assert "better high or low" in refused(net([named("kappa")]), BestCheckpoint(tmp_path, "kappa"))
    assert "better high or low" in refused(net(), EarlyStopping("learning_rate"))


@pytest.mark.parametrize(("better", "best"), [("higher", 0), ("lower", 2)])
def test_auto_takes_the_direction_that_the_metric_has(better, best):
    """A metric that falls from epoch to epoch: its constant is what the callback in front of the monitor writes."""

    class Falling(Callback):
        def on_epoch_end(self, run, logs):
            logs["error_f1"] = -float(run.epoch)

    stopping = EarlyStopping("error_f1", 5)
    fit(net([named("error_f1", better=better)]), Falling(), stopping, epochs=3)
    assert stopping.best_epoch == best


TOLD = "each epoch will report loss, cost, accuracy"
VALIDATED = f"{TOLD}, val_loss, val_cost, val_accuracy, val_auc, learning_rate"


@pytest.mark.parametrize(("name", "validation", "text"), [
    ("val_acc", 0.25, f"nothing called 'val_acc' to monitor (did you mean 'val_accuracy'?); {VALIDATED}"),
    ("auc", 0.25, f"nothing called 'auc' to monitor (did you mean 'val_auc'?); {VALIDATED}"),
    ("speed", 0.25, f"nothing called 'speed' to monitor; {VALIDATED}"),
    ("val_loss", 0.0, f"nothing called 'val_loss' to monitor; {TOLD}, learning_rate. "
     "Give validation_data or validation_split (of an estimator: eval_set)"),
    ("val_acc", 0.0, f"nothing called 'val_acc' to monitor (did you mean 'val_accuracy'?); {TOLD}, learning_rate. "
     "Give validation_data or validation_split (of an estimator: eval_set)"),
])  # fmt: skip
@pytest.mark.parametrize("make", [*WATCHING, BestCheckpoint])
def test_a_name_that_will_not_be_reported(make, name, validation, text, tmp_path):
    watching = make(tmp_path, name) if make is BestCheckpoint else make(name)
    assert refused(net(["acc", "auc"]), watching, validation_split=validation) == f"{make.__name__}: {text}"


def test_what_a_callback_of_yours_adds_it_says_before():
    class Adds(Callback):
        def on_epoch_end(self, run, logs):
            logs["score"] = float(run.epoch)

    class Says(Adds):
        def check(self, run):
            run.reported["score"] = "higher"

    stopping = EarlyStopping("score")
    text = refused(net(), Adds(), stopping)
    assert text.endswith("A callback of yours that adds it says so in its check: run.reported['score'] = 'higher'")
    assert "behind" not in text
    fit(net(), Says(), stopping)
    assert stopping.best_epoch == 1


def test_nothing_is_written_for_a_run_that_is_refused(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("epoch,loss\n1,0.5\n")
    refused(net(), CSVLogger(log), EarlyStopping("val_loss"))
    assert log.read_text() == "epoch,loss\n1,0.5\n"


@pytest.mark.parametrize("make", [Checkpoint, BestCheckpoint])
def test_a_folder_that_can_not_be_written(make, tmp_path):
    place = tmp_path / "file"
    place.write_text("no folder")
    model = net()
    with pytest.raises(OSError, match=rf"cannot save {place}/\S+: {place} is a file and no folder"):
        fit(model, make(place, **({"monitor": "loss"} if make is BestCheckpoint else {})))
    assert int(model.values.get("step", 0)) == 0
    good = tmp_path / "deep" / "folder"
    refused(net(), make(good, **({"monitor": "loss"} if make is BestCheckpoint else {})), EarlyStopping("val_loss"))
    assert list(good.iterdir()) == []


def test_an_average_for_validation_that_there_is_not():
    text = refused(net(), ExponentialMovingAverage(validate=True))
    assert text == (
        "ExponentialMovingAverage: validate=True measures validation data with the average, and there are none; "
        "give validation_data or validation_split"
    )


STOPPING = EarlyStopping("loss")


@pytest.mark.parametrize(("given", "count"), [(STOPPING, 1), ([STOPPING], 1), ((STOPPING,), 1), (None, 0), ((), 0)])
def test_one_callback_is_taken_as_a_list_of_one(given, count):
    assert callbacks_of(given) == [STOPPING] * count
    net().fit(X, Y, verbose=0, backend="reference", callbacks=given)


@pytest.mark.parametrize(("given", "text"), [
    (EarlyStopping, "callbacks: got the class EarlyStopping; give an instance, EarlyStopping()"),
    ([EarlyStopping], "callbacks: got the class EarlyStopping; give an instance, EarlyStopping()"),
    ([5], "callbacks: each must be a Callback from deepmath.callbacks; got 5"),
    ("loss", "callbacks: each must be a Callback from deepmath.callbacks; got 'loss'"),
    ([STOPPING, STOPPING], "callbacks: EarlyStopping number 2 stands there twice; give it once"),
])  # fmt: skip
def test_what_is_no_callback(given, text):
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
        net().fit(X, Y, verbose=0, callbacks=given)


def test_a_function_is_wrapped_by_hand():
    with pytest.raises(ConfigError, match=r"wrap a function: Lambda\(on_epoch_end=\.\.\.\); got <function"):
        net().fit(X, Y, verbose=0, callbacks=lambda run, logs: None)


def test_estimators_take_one_callback_and_no_class():
    pytest.importorskip("sklearn")
    from deepmath.estimators import MLPClassifier

    settings = {"hidden_layer_sizes": 3, "max_iter": 2, "backend": "reference", "random_state": 0}
    seen = []
    one = callbacks.Lambda(on_train_end=lambda run: seen.append(run.epoch))
    with pytest.warns(match="came to max_iter=2"):
        MLPClassifier(callbacks=one, **settings).fit(X, Y)
    assert seen == [2]
    with pytest.raises(ConfigError, match=r"got the class EarlyStopping; give an instance, EarlyStopping\(\)"):
        MLPClassifier(callbacks=EarlyStopping, **settings).fit(X, Y)
    with pytest.raises(ConfigError, match="nothing called 'val_loss' to monitor"):
        MLPClassifier(callbacks=[EarlyStopping()], **settings).fit(X, Y)
