"""What results are called, and which of them are better."""

import functools

import numpy as np
import pytest

from deepmath import Dense, Sequential, load_model, metrics
from deepmath.errors import ConfigError
from deepmath.metrics import (
    AUC,
    F1,
    BinaryAccuracy,
    ConfusionMatrix,
    Metric,
    Precision,
    TopKAccuracy,
    chosen,
    directions,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 3))
Y = (X > [0.0, 0.5, 1.0]).astype(int)
QUIET = {"backend": "reference", "verbose": 0}


def error(xp, p, d):
    """An own metric."""
    return xp.mean(xp.abs(p - d), axis=-1, keepdims=True)


def model_of(measures, outputs=1):
    model = Sequential([Dense(4, "tanh"), Dense(outputs, "sigmoid")])
    model.compile("adam", "binary_crossentropy", measures)
    return model


def test_every_built_in_metric_knows_which_is_better():
    lower = {"mse", "mae", "log_loss", "binary_crossentropy", "categorical_crossentropy"}
    for name in metrics.names():
        assert metrics.get(name).better == ("lower" if name in lower else "higher"), name
    for outputs in (1, 3):
        assert metrics.resolve("accuracy", outputs).better == "higher"
        assert metrics.resolve("log_loss", outputs).better == "lower"
    assert TopKAccuracy(2).better == "higher"


def test_an_own_metric_says_which_is_better_or_nobody_knows():
    def layer2_err(xp, p, d):
        return xp.max(xp.abs(p - d), axis=-1, keepdims=True)

    kappa = Metric("kappa", lambda xp, p, d, index: p - d, better="higher")
    measures = [metrics.get(layer2_err), kappa, metrics.get("f1")]
    assert directions(measures) == {
        "loss": "lower", "cost": "lower", "layer2_err": None, "kappa": "higher", "f1": "higher"
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"^Metric: better must be 'higher', 'lower' or None; got 'max'$"):
        Metric("kappa", lambda xp, p, d, index: p - d, better="max")


def names_of(measures):
    return [m.name for m in chosen(measures)]


def test_metrics_of_one_name_are_numbered_in_order():
    assert names_of(["accuracy", Precision(yes_above=0.3), "f1", Precision(yes_above=0.7)]) == [
        "accuracy", "precision", "f1", "precision_1"
    ]  # fmt: skip
    assert names_of([BinaryAccuracy(0.3), BinaryAccuracy(0.7)]) == ["binary_accuracy", "binary_accuracy_1"]
    assert names_of([lambda xp, p, d: error(xp, p, d), lambda xp, p, d: error(xp, p, d)]) == ["lambda", "lambda_1"]
    assert names_of([error, Metric("error_1", metrics.get("mae").value), functools.partial(error)]) == [
        "error", "error_1", "error_2"
    ]  # fmt: skip
    assert names_of([F1(yes_above=0.2), F1("macro"), F1("each"), AUC(), AUC("each"), TopKAccuracy(2)]) == [
        "f1", "f1_macro", "f1_label", "auc", "auc_label", "top_2_accuracy"
    ]  # fmt: skip
    assert names_of(chosen([Precision(yes_above=0.3), Precision(yes_above=0.7)])) == ["precision", "precision_1"]
    assert names_of([Precision(name="careful", yes_above=0.9), "precision"]) == ["careful", "precision"]
    assert names_of("accuracy") == ["accuracy"]
    assert names_of(None) == []


def test_every_result_has_its_own_number():
    thresholds = [0.3, 0.7]
    measures = [Precision(yes_above=t) for t in thresholds] + [BinaryAccuracy(t) for t in thresholds]
    model = model_of([*measures, error])
    history = model.fit(X, Y[:, 0], epochs=3, validation_data=(X, Y[:, 0]), **QUIET).history
    found = model.evaluate(X, Y[:, 0], backend="reference")
    p = model.predict(X, backend="reference")[:, 0]
    for i, t in enumerate(thresholds):
        end = f"_{i}" if i else ""
        assert found[f"precision{end}"] == history[f"val_precision{end}"][-1] == Y[p > t, 0].mean()
        assert found[f"binary_accuracy{end}"] == ((p > t) == Y[:, 0]).mean()
    assert [n for n in history if not n.startswith("val_")] == [
        "loss", "cost", "binary_accuracy", "binary_accuracy_1", "error", "learning_rate"
    ]  # fmt: skip
    assert directions(model.metrics)["precision_1"] == "higher"


def test_names_are_kept_in_a_file(tmp_path):
    model = model_of([Precision(yes_above=0.3), Precision(yes_above=0.7), BinaryAccuracy(0.2), F1(None), error])
    model.fit(X, Y[:, 0], **QUIET)
    model.save(tmp_path / "m.safetensors")
    loaded = load_model(tmp_path / "m.safetensors", custom_objects={"error": error})
    assert loaded.evaluate(X, Y[:, 0], backend="reference") == model.evaluate(X, Y[:, 0], backend="reference")
    assert [m.name for m in loaded.metrics] == ["precision", "precision_1", "binary_accuracy", "f1_label", "error"]


def test_the_results_of_each_label_have_names():
    model = model_of([F1("each"), AUC("each")], outputs=3)
    model.fit(X, Y, **QUIET)
    found = model.evaluate(X, Y, backend="reference")
    results = [f"{n}_label_{i}" for n in ("f1", "auc") for i in range(3)]
    assert list(found)[2:] == results
    assert all(isinstance(v, float) for v in found.values())
    assert directions(model.metrics, 3) == {"loss": "lower", "cost": "lower"} | dict.fromkeys(results, "higher")


@pytest.mark.parametrize("name", ["loss", "cost", "weight", "rows", "learning_rate", "epoch", "val_error", "", " ", 3])
def test_names_that_other_results_have_are_refused(name):
    with pytest.raises(ConfigError, match=f"^(metric '{name}': this name|a metric's name must be a text)"):
        chosen([Metric(name, metrics.get("mae").value)])


def loss(xp, p, d):
    """An own metric with the name of a result."""
    return error(xp, p, d)


def mse(xp, p, d):
    """An own metric with the name of another."""
    return error(xp, p, d)


ROWS = "metric 'lambda' must give [batch, 1], one number for each row; got "
TEXTS = [
    ([loss], "metric 'loss': this name is that of another result; call the metric something else, such as 'my_loss'"),
    ([mse], "metric 'mse': another metric has this name already; call yours something else"),
    ([F1(name="accuracy")], "metric 'accuracy': another metric has this name already; call yours something else"),
    (["accuracy", "acc"], "metric 'accuracy' is given twice; leave one of them out"),
    ([F1(), F1("auto")], "metric 'f1' is given twice; leave one of them out"),
    (F1, "metric: got the class F1; give an instance, F1()"),
    ([lambda xp, p, d: xp.abs(p - d)], ROWS + "[batch, units]: reduce over the last axis with keepdims=True"),
    ([lambda xp, p, d: xp.mean(xp.abs(p - d))], ROWS + "one number for the whole batch"),
    ([Metric("at", lambda xp, p, d, index: p + index)], "metric 'at' must give [batch, 1]"),
    ([lambda xp, p: p], "metric 'lambda' must be a function of (xp, p, d); it is one of (xp, p)"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_what_can_be_no_metric_is_told_at_compile(number):
    given, text = TEXTS[number]
    with pytest.raises(ConfigError) as found:
        model_of(given)
    assert str(found.value).startswith(text)


def test_what_is_known_with_the_outputs_is_told_before_the_first_step():
    clash = Metric("f1_label_1", metrics.get("mae").value)
    with pytest.raises(ConfigError, match=r"^metrics 'f1_label' and 'f1_label_1' both have a result called"):
        model_of([F1("each"), clash], 3).fit(X, Y, **QUIET)
    with pytest.raises(ConfigError, match=r"^f1_binary: average='binary' tells two classes apart; predictions have 3"):
        model_of([F1("binary")], 3).fit(X, Y, **QUIET)
    text = r"^metric 'lambda' failed .*ambiguous.*the formula branches on a value; use xp.where\(condition, a, b\)"
    with pytest.raises(ConfigError, match=text):
        model_of([lambda xp, p, d: xp.mean(p if p > d else d, axis=-1, keepdims=True)], 3).fit(X, Y, **QUIET)


def test_a_history_has_numbers_and_no_tables():
    model = model_of([ConfusionMatrix(), "f1"])
    history = model.fit(X, Y[:, 0], validation_data=(X, Y[:, 0]), **QUIET).history
    assert set(history) == {"loss", "cost", "learning_rate", "val_loss", "val_cost", "val_f1"}
    assert model.evaluate(X, Y[:, 0], backend="reference")["confusion_matrix"].sum() == len(X)
