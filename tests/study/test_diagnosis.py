"""The training doctor: what is ill is named, what is well is left alone, and its numbers are true."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from patients import HELD, ILL, TUNED, WELL, mislabelled, network, treated

from deepmath import Activation, Dense, Sequential, datasets, diagnose
from deepmath.errors import ConfigError
from deepmath.optimizers import SGD, Adam
from deepmath.preprocessing import Standardize
from deepmath.study import THRESHOLDS
from deepmath.study.findings import SEVERITIES


def by_name(case):
    return case.name


@pytest.mark.parametrize("case", ILL, ids=by_name)
def test_what_is_ill_is_named(case):
    verdict = treated(case, TUNED, 0)
    assert case.ill in verdict.names
    assert not verdict
    finding = next(f for f in verdict if f.name == case.ill)
    assert finding.measured > finding.limit
    assert finding.severity in SEVERITIES
    text = verdict.text()
    for part in (case.ill.replace("_", " "), finding.where, "numbers: ", "do: "):
        assert part in text
    assert finding.source.split(";")[0].split(",")[0] in text


@pytest.mark.parametrize("case", WELL, ids=by_name)
def test_what_is_well_is_left_alone(case):
    verdict = treated(case, TUNED, 0)
    assert verdict, verdict.text()
    assert verdict.text().startswith("nothing found that is wrong with this training\n")


@pytest.mark.slow
def test_recall_and_false_alarms_on_what_was_not_tuned_on():
    script = Path(__file__).with_name("doctor_figures.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_kind_of_finding_has_an_ill_network_and_each_threshold_a_source():
    kinds = {c.ill for c in ILL}
    assert len(ILL) >= 12
    assert len(WELL) >= 12
    named = {n for n in THRESHOLDS if not n.endswith("_inputs")} - {"stuck", "rise", "rate"}
    assert kinds == named | {"unscaled_inputs", "rate_too_small", "rate_too_large"}
    assert all(t.source and t.measures and t.value > 0.0 for t in THRESHOLDS.values())


def digits_model(**last):
    model = Sequential([Dense(10, "softmax", input_dim=64, **last)])
    model.compile(Adam(0.01), "sparse_categorical_crossentropy")
    return model


def test_the_first_loss_is_held_against_ln_c():
    X, y = datasets.digits()
    model = digits_model(kernel_initializer="zeros")
    verdict = diagnose(model, X[:500], y[:500])
    assert verdict.numbers["loss at the first weights"] == pytest.approx(math.log(10), rel=1e-12)
    assert "initial_loss" not in verdict.names
    model.set_weights([np.eye(64, 10) * 300.0, np.zeros(10)])
    (finding,) = (f for f in diagnose(model, X[:500], y[:500]) if f.name == "initial_loss")
    assert finding.numbers["equal chances"] == pytest.approx(math.log(10), rel=1e-12)
    wanted = model.evaluate(X[:500], y[:500], precision="float64")["cost"]
    assert finding.measured == pytest.approx(wanted / math.log(10), rel=1e-9)


def test_the_best_constant_is_the_entropy_of_the_shares_or_the_variance():
    y = np.asarray([0] * 90 + [1] * 10)
    X = np.random.default_rng(0).standard_normal((100, 3))
    model = Sequential([Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    entropy = -0.9 * math.log(0.9) - 0.1 * math.log(0.1)
    assert diagnose(model, X, y).numbers["loss of the best constant"] == pytest.approx(entropy, rel=1e-9)
    model = Sequential([Dense(1)])
    model.compile("sgd", "mse")
    found = diagnose(model, X, X[:, 0]).numbers["loss of the best constant"]
    assert found == pytest.approx(np.var(X[:, 0]), rel=1e-9)


def test_dead_units_are_counted():
    X = np.random.default_rng(1).uniform(0.0, 1.0, (50, 2))
    model = Sequential([Dense(10, "relu", input_dim=2), Dense(1)])
    model.compile("sgd", "mse")
    weights = model.get_weights()
    weights[0] = np.abs(weights[0]) * np.where(np.arange(10) < 8, -1.0, 1.0)
    model.set_weights(weights)
    (finding,) = (f for f in diagnose(model, X, X[:, 0]) if f.name == "dead_relu")
    assert (finding.numbers["dead"], finding.numbers["units"], finding.where) == (8, 10, "layer 1 (relu)")


def test_wrong_labels_are_named_by_their_rows_in_the_whole_data():
    rng = np.random.default_rng(3)
    X, y = datasets.moons(6000, noise=0.05, seed=3)
    wrong = rng.choice(6000, 300, replace=False)
    y = y.copy()
    y[wrong] = 1 - y[wrong]
    model = Sequential([Dense(8, "relu"), Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    (finding,) = (f for f in diagnose(model, X, y) if f.name == "suspect_labels")
    assert len(finding.rows) == 20
    assert set(finding.rows) <= set(wrong.tolist())
    assert "are rows " + str(finding.rows[0]) in finding.says


def test_the_first_weights_are_those_of_the_seed_or_those_given():
    X, y = datasets.moons(200)
    model = Sequential([Dense(8, "tanh", input_dim=2), Dense(8, "tanh"), Dense(1, "sigmoid")])
    model.compile(Adam(0.01), "binary_crossentropy")
    drawn = diagnose(model, X, y).numbers["loss at the first weights"]
    given = [50.0 * w for w in model.get_weights()]
    model.fit(X, y, epochs=2, verbose=0)
    assert diagnose(model, X, y).numbers["loss at the first weights"] == drawn
    verdict = diagnose(model, X, y, initial_weights=given)
    assert "saturated" in verdict.names
    assert verdict.numbers["loss at the first weights"] > 2.0 * drawn


def test_the_model_is_left_as_it_is():
    case = next(c for c in ILL if c.ill == "rate_too_small")
    X, y = case.data(TUNED, 0)
    model = network(case, y, 0)
    model.fit(X, y, epochs=2, verbose=0)
    before, step = model.get_weights(), model.values["step"]
    assert not diagnose(model, X, y)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert model.values["step"] == step


def test_a_rate_far_off_is_traced_to_one_that_learns():
    X, y = datasets.circles(300)
    model = Sequential([Dense(8, "tanh"), Dense(1, "sigmoid")])
    model.compile(SGD(1e6), "binary_crossentropy")
    model.fit(X, y, epochs=3, verbose=0, backend="reference")
    (finding,) = (f for f in diagnose(model, X, y) if f.name == "rate_too_large")
    found = {tuple(map(float, n.split()[1:4:2])): v for n, v in finding.numbers.items() if n.startswith("at ")}
    tried = {rate: cost for (rate, _), cost in found.items()}
    assert sorted(steps for _, steps in found)[-3:] == [10.0, 30.0, 30.0], "the two best go on to the end"
    assert len(tried) > 6, "farther than the first rates, since the farthest was the best"
    assert min(tried.values()) < finding.numbers["chance"]
    assert min(tried, key=tried.__getitem__) < 100.0
    assert "rate_too_large" not in diagnose(model, X, y, trials=False).names


def test_bias_is_measured_against_the_error_that_is_wanted():
    X, y = datasets.xor(200, noise=0.1)
    model = Sequential([Dense(1, "sigmoid")])
    model.compile(Adam(0.05), "binary_crossentropy")
    model.fit(X, y, epochs=5, verbose=0)
    wrong = 1.0 - np.mean((np.asarray(model.predict(X))[:, 0] > 0.5) == (y == 1))
    (finding,) = (f for f in diagnose(model, X, y, target_error=0.0, trials=False) if f.name == "high_bias")
    assert finding.numbers == {"training error": pytest.approx(wrong), "wanted": 0.0}
    assert "larger network, longer training, or another architecture" in finding.advice
    assert "high_bias" not in diagnose(model, X, y, target_error=0.9, trials=False).names


def test_variance_is_the_gap_between_rows_that_trained_and_rows_that_did_not():
    case = next(c for c in ILL if c.ill == "high_variance")
    X, y = case.data(TUNED, 1)
    kept = len(X) - HELD
    model = network(case, y, 1)
    model.fit(X[:kept], y[:kept], epochs=60, verbose=0)
    held = X[kept:], y[kept:]
    errors = [np.mean((np.asarray(model.predict(a))[:, 0] > 0.5) != (b == 1)) for a, b in ((X[:kept], y[:kept]), held)]
    verdict = diagnose(model, X[:kept], y[:kept], validation_data=held)
    (finding,) = (f for f in verdict if f.name == "high_variance")
    assert finding.measured == pytest.approx(errors[1] - errors[0])
    for word in ("more data", "regularisation", "dropout", "early stopping", "another architecture"):
        assert word in finding.advice


def test_stopping_early_is_advised_by_the_curve():
    X, y = datasets.circles(100)
    model = Sequential([Dense(8, "relu"), Dense(1, "sigmoid")])
    model.compile(Adam(0.05), "binary_crossentropy")
    model.fit(X, y, epochs=10, verbose=0)
    (finding,) = diagnose(model, X, y, history={"val_cost": [0.6, 0.3, 0.2, 0.5, 0.9]})
    assert (finding.name, finding.numbers["epoch"], finding.measured) == ("early_stopping", 3, pytest.approx(3.5))
    assert not diagnose(model, X, y, history={"val_cost": [0.6, 0.3, 0.2, 0.21]}).names


def test_preprocessing_scales_what_is_looked_at():
    X, y = datasets.moons(200)
    X = X * [1.0, 1e4]
    model = Sequential([Dense(8, "tanh"), Dense(1, "sigmoid")], preprocessing=Standardize())
    model.compile(Adam(0.05), "binary_crossentropy")
    model.fit(X, y, epochs=20, verbose=0)
    assert "unscaled_inputs" not in diagnose(model, X, y).names


def test_weights_can_make_up_for_a_rare_class():
    X, y = mislabelled(TUNED, 0)
    rows = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:12]])
    model = Sequential([Dense(8), Activation("relu"), Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    assert "class_imbalance" in diagnose(model, X[rows], y[rows]).names
    (finding,) = (f for f in diagnose(model, X[y == 0], y[y == 0]) if f.name == "class_imbalance")
    assert (finding.where, finding.measured) == ("class 1", np.inf)
    balanced = np.where(y[rows] == 1, np.sum(y[rows] == 0) / 12, 1.0)
    assert "class_imbalance" not in diagnose(model, X[rows], y[rows], sample_weight=balanced).names


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"thresholds": {"dead_relus": 0.5}},
            r"unknown threshold 'dead_relus' \(did you mean 'dead_relu'\?\); known: class_imbalance, .*",
        ),
        (
            {"thresholds": {"dead_relu": 0.0}},
            r"diagnose: thresholds\['dead_relu'\] must be a number > 0; got 0.0",
        ),
        (
            {"validation_data": np.zeros(3)},
            r"diagnose: validation_data must be \(X, y\) or \(X, y, weights\); got ndarray",
        ),
        ({"history": 3}, r"diagnose: history must be what fit returned, or a dict of lists; got int"),
        ({"batch_size": 0}, r"diagnose: batch_size must be a whole number >= 1; got 0"),
        ({"target_error": -1}, r"diagnose: target_error must be a number >= 0; got -1"),
    ],
)
def test_what_cannot_be_used_is_refused(settings, message):
    X, y = datasets.moons(50)
    model = Sequential([Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    with pytest.raises(ConfigError, match=f"^{message}$"):
        diagnose(model, X, y, **settings)


def test_one_row_shows_nothing():
    model = Sequential([Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ConfigError, match="diagnose: X must have two rows at least"):
        diagnose(model, [[1.0]], [1.0])
