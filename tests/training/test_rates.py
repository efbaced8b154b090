"""Learning rates of single layers, and frozen ones: PyTorch's parameter groups, on the reference and fused."""

import numpy as np
import pytest
import resuming
import torch
from networks import PROGRAMS
from resuming import Stop, fingerprint

from deepmath import Activation, BatchNormalization, Dense, Dropout, Sequential, load_model, optimizers
from deepmath.callbacks import Callback, Checkpoint
from deepmath.errors import ConfigError
from deepmath.optimizers import LBFGS, SGD, Adam, AdamW, Optimizer
from deepmath.regularizers import L2, MaxNorm
from deepmath.schedules import ExponentialDecay

RULES = {
    "sgd": (SGD(0.1, momentum=0.9, nesterov=True), lambda g: torch.optim.SGD(g, momentum=0.9, nesterov=True), 0.1),
    "adam": (Adam(0.01), torch.optim.Adam, 0.01),
    "adamw": (AdamW(0.01, weight_decay=0.1), lambda g: torch.optim.AdamW(g, weight_decay=0.1), 0.01),
    "amsgrad": (Adam(0.01, amsgrad=True), lambda g: torch.optim.Adam(g, amsgrad=True), 0.01),
    "clipped": (SGD(0.5, clipnorm=0.02), torch.optim.SGD, 0.5),
}
RATES = {
    "factors": {0: 0.1, 2: 3.0},
    "frozen": {0: 0.0, -1: 0.5},
    "parameters": {1: 0.0, "1.bias": 2.0, "2.kernel": 0.0},
    "middle": {1: 0.0},
}
STEPS, LAYERS = 60, (Dense(7, "tanh", input_dim=4), Dense(5, "sigmoid"), Dense(2))


def data() -> tuple:
    rng = np.random.default_rng(2)
    return rng.standard_normal((24, 4)), rng.standard_normal((24, 2))


def factor(rates: dict, name: str) -> float:
    number = int(name.split(".")[0])
    return rates.get(name, rates.get(number, rates.get(number - len(LAYERS), 1.0)))


def by_torch(rule: str, rates: dict, start: dict) -> dict:
    _, make, rate = RULES[rule]
    params = {n: torch.tensor(v, requires_grad=factor(rates, n) > 0.0) for n, v in start.items()}
    groups = [{"params": [p], "lr": rate * factor(rates, n)} for n, p in params.items() if p.requires_grad]
    optimizer = make(groups) if rule != "clipped" else make(groups, lr=rate)
    X, y = map(torch.tensor, data())
    for _ in range(STEPS):
        hidden = torch.tanh(X @ params["0.kernel"] + params["0.bias"])
        hidden = torch.sigmoid(hidden @ params["1.kernel"] + params["1.bias"])
        loss = ((hidden @ params["2.kernel"] + params["2.bias"] - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        if rule == "clipped":
            norm = torch.nn.utils.get_total_norm([p.grad for p in params.values() if p.grad is not None])
            assert norm > 0.02
            for p in params.values():
                if p.grad is not None:
                    p.grad *= 0.02 / norm
        optimizer.step()
    return {n: p.detach().numpy() for n, p in params.items()}


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("rule", RULES)
def test_training_follows_pytorch_s_parameter_groups(rule, rates, backend):
    model = Sequential(LAYERS, seed=1)
    model.compile(RULES[rule][0], "mse", rates=RATES[rates])
    start = {n.removeprefix("params."): v.copy() for n, v in model.values.items()}
    model.fit(*data(), epochs=STEPS, batch_size="full", precision="float64", backend=backend, verbose=0)
    for name, want in by_torch(rule, RATES[rates], start).items():
        found = model.values[f"params.{name}"]
        np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-12, err_msg=name)
        if factor(RATES[rates], name) == 0.0:
            assert found.tobytes() == start[name].tobytes()


def rich_model(rates: dict, optimizer: Optimizer | None = None) -> Sequential:
    layers = [
        Dense(9, "tanh", input_dim=4, kernel_regularizer=L2(0.05)), BatchNormalization(), Dropout(0.2),
        Dense(6, kernel_constraint=MaxNorm(0.5)), Activation("relu"), Dense(2),
    ]  # fmt: skip
    model = Sequential(layers, seed=4)
    model.compile(optimizer or Adam(ExponentialDecay(0.02, 0.9, 9), clipnorm=0.3), "mse", rates=rates)
    return model


class Last(Callback):
    """The program's state at the end."""

    def on_train_end(self, run) -> None:
        self.state = run.program.state()


def fitted(rates: dict, backend: str, *callbacks: Callback, optimizer=None, **settings) -> tuple:
    model, last = rich_model(rates, optimizer), Last()
    given = {"epochs": 40, "batch_size": 5, "precision": "float64", "verbose": 0, "backend": backend}
    history = model.fit(*data(), callbacks=[*callbacks, last], **given | settings)
    return history, last.state


@pytest.mark.parametrize("rates", [{0: 0.3, 5: 2.0}, {1: 0.0, 3: 0.0}, {"0.kernel": 0.0, "3.bias": 0.1}])
def test_the_fused_program_agrees_for_200_steps(rates):
    (one, reference), (two, fused) = (fitted(rates, backend) for backend in PROGRAMS)
    assert int(reference["step"]) == 200
    for name, want in reference.items():
        assert np.max(np.abs(fused[name] - want) / np.maximum(1.0, np.abs(want))) < 1e-11, name
    np.testing.assert_allclose(two.history["loss"], one.history["loss"], rtol=1e-11)


@pytest.mark.parametrize("name", [n for n in optimizers.names() if n != "lbfgs"])
def test_every_optimiser_agrees_and_freezes(name):
    rates = {0: 0.0, 3: 0.25}
    rule = optimizers.get(name)
    (_, reference), (_, fused) = (fitted(rates, b, optimizer=rule, epochs=6) for b in PROGRAMS)
    _, ones = fitted({}, "reference", optimizer=rule, epochs=6)
    for key, want in reference.items():
        np.testing.assert_allclose(fused[key], want, rtol=1e-9, atol=1e-11, err_msg=key)
    assert not np.array_equal(reference["params.3.kernel"], ones["params.3.kernel"])
    for slot in rule.slots:
        assert not np.any(reference[f"{slot}.0.kernel"]), slot


@pytest.mark.parametrize("backend", PROGRAMS)
def test_frozen_batch_normalisation_follows_its_averages_only(backend):
    _, state = fitted({1: 0.0}, backend)
    np.testing.assert_array_equal(state["params.1.gamma"], np.ones(9))
    np.testing.assert_array_equal(state["params.1.beta"], np.zeros(9))
    assert np.all(state["state.1.moving_mean"] != 0.0)
    assert np.all(state["state.1.moving_variance"] != 1.0)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_what_is_frozen_is_not_constrained_either(backend):
    start = rich_model({}).values["params.3.kernel"]
    assert np.max(np.linalg.norm(start, axis=0)) > 0.5
    _, state = fitted({3: 0.0}, backend)
    assert state["params.3.kernel"].tobytes() == start.tobytes()
    _, state = fitted({3: 0.1}, backend)
    assert np.max(np.linalg.norm(state["params.3.kernel"], axis=0)) < 0.5 + 1e-9


@pytest.mark.parametrize("backend", PROGRAMS)
def test_a_rate_of_one_for_all_is_no_rate_to_the_bit(backend):
    assert fingerprint(*fitted({0: 1.0, -1: 1}, backend)) == fingerprint(*fitted({}, backend))


@pytest.mark.parametrize("backend", PROGRAMS)
def test_everything_frozen_trains_nothing(backend):
    _, state = fitted(dict.fromkeys(range(6), 0.0), backend, epochs=2)
    for name, value in rich_model({}).values.items():
        if name.startswith("params."):
            assert state[name].tobytes() == value.tobytes()


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("step", [3, 10, 33])
def test_resumed_with_the_same_bits(step, backend, tmp_path):
    rates = {0: 0.0, 1: 0.25, "4.bias": 4.0}

    def run(*callbacks: Callback, rates=rates, **settings) -> str:
        made, last = resuming.model(), Last()
        made.compile(Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"], rates=rates)
        given = {"epochs": 4, "batch_size": resuming.BATCH, "backend": backend, "verbose": 0}
        history = made.fit(*resuming.data(), callbacks=[*callbacks, last], **given | settings)
        return fingerprint(history, last.state)

    expected = run()
    assert expected != run(rates={})
    run(Checkpoint(tmp_path, every=1), Stop(step))
    assert run(Checkpoint(tmp_path), resume=tmp_path) == expected
    with pytest.raises(ConfigError, match="model was"):
        run(rates={0: 0.5}, resume=tmp_path)


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("step", [3, 5, 33])
def test_clipped_by_the_norm_of_all_and_resumed_with_the_same_bits(step, backend, tmp_path):
    """A file lists arrays in an order of its own; the sum of squares keeps the model's."""
    expected = fingerprint(*fitted({}, backend, epochs=9))
    fitted({}, backend, Checkpoint(tmp_path, every=1), Stop(step), epochs=9)
    assert fingerprint(*fitted({}, backend, Checkpoint(tmp_path), epochs=9, resume=tmp_path)) == expected


@pytest.mark.parametrize("backend", PROGRAMS)
def test_weights_keep_their_order_when_a_run_is_resumed(backend, tmp_path):
    model = rich_model({})
    shapes = [w.shape for w in model.get_weights()]
    model.fit(*data(), epochs=2, callbacks=[Checkpoint(tmp_path)], verbose=0, backend=backend)
    again = rich_model({})
    again.fit(*data(), epochs=2, resume=tmp_path, verbose=0, backend=backend)
    assert [w.shape for w in again.get_weights()] == shapes


def test_rates_travel_with_the_model(tmp_path):
    rates = {0: 0.0, -1: 0.5, "3.bias": 2.0}
    model = rich_model(rates)
    model.save(tmp_path / "m.safetensors")
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.rates == rates
    frozen = loaded.get_weights()[0]
    loaded.fit(*data(), verbose=0)
    np.testing.assert_array_equal(loaded.get_weights()[0], frozen.astype(np.float32))
    loaded.compile("adam", "mse")
    assert loaded.rates == {}


@pytest.mark.parametrize("backend", PROGRAMS)
def test_single_batches_know_the_rates(backend):
    model = rich_model({0: 0.0})
    before = model.get_weights()
    model.train_on_batch(*data(), backend=backend, precision="float64")
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed[:2] == [False, False]
    assert all(changed[2:])


@pytest.mark.parametrize(
    ("rates", "text"),
    [
        ([0.1], "compile: rates must be a dictionary such as {0: 0.1, '1.bias': 0.0}; got [0.1]"),
        ({0.5: 1.0}, "compile: rates go by a layer's number or a parameter's name, '0.kernel'; got 0.5"),
        ({True: 1.0}, "compile: rates go by a layer's number or a parameter's name, '0.kernel'; got True"),
        ({0: -0.1}, "rates[0]"),
        ({0: "slow"}, "rates[0]"),
        ({0: float("nan")}, "rates[0]"),
        ({6: 0.1}, "compile: rates name layer 6, but the model has layers 0..5"),
        ({-7: 0.1}, "compile: rates name layer -7, but the model has layers 0..5"),
        ({5: 0.1, -1: 0.2}, "compile: rates name layer 5 twice, as 5 and -1"),
        ({"0.kernal": 0.1}, "unknown parameter in rates '0.kernal' (did you mean '0.kernel'?); known: "),
    ],
)
def test_rates_that_mean_nothing_are_refused(rates, text):
    with pytest.raises(ConfigError) as error:
        rich_model(rates).fit(*data(), verbose=0)
    assert text in str(error.value)


def test_lbfgs_takes_no_rates():
    with pytest.raises(ConfigError, match="LBFGS searches along all parameters at once and takes no rates"):
        rich_model({0: 0.0}, LBFGS()).fit(*data(), verbose=0)
