"""Values that stop being finite: found, traced to the step, the layer and the number, and answered as asked."""

from __future__ import annotations

import logging
import math
import re

import numpy as np
import pytest
from breaking import BACKENDS, Breaking, X, Y
from resuming import Stop

from deepmath import BatchNormalization, Dense, Sequential, callbacks
from deepmath.errors import ConfigError, NonFiniteError
from deepmath.optimizers import LBFGS, SGD, Adam
from deepmath.regularizers import L2


def nan_below(limit: float):
    def root(xp, z):
        """The root of z + limit: not a number for smaller z."""
        return xp.sqrt(z + limit)

    return root


def rootless(xp, p, d):
    """A loss that is not a number for targets above 2."""
    e = p - d
    return xp.mean(e * e + 0.0 * xp.sqrt(2.0 - d), axis=-1, keepdims=True)


def exponential(xp, z):
    """e^z, which float32 holds up to z = 88."""
    return xp.exp(z)


def model(*layers, optimizer=None, loss="mse", fill=None, seed=1):
    made = Sequential(layers or [Dense(4, "relu", input_dim=3), Dense(1)], seed=seed)
    made.compile(optimizer or SGD(0.01), loss)
    if fill is not None:
        made.build((X.shape[1],))
        made.set_weights([np.full(w.shape, v) for w, v in zip(made.get_weights(), fill, strict=True)])
    return made


def sources():
    """By name: a model, what its inputs are multiplied by, and the first bad value that the error must tell."""
    return {
        "weight": (model(fill=[math.nan, 0, 0, 0]), 1, r"the first step: kernel of layer 1 \(Dense\), nan in 12 of 12"),
        "rate": (model(optimizer=SGD(1e30)), 1, r"output of layer 2 \(Dense\), inf in"),
        "rate that breaks": (model(optimizer=SGD(Breaking(5))), 1, r"kernel of layer 1 \(Dense\) after the update, "),
        "divergence": (model(optimizer=SGD(2.0)), 1, r"(loss|output of layer \d \(Dense\)), inf in"),
        "forward": (model(fill=[1e20, 0, 1e20, 0]), 1, r"output of layer 2 \(Dense\), inf in"),
        "loss": (model(Dense(1), fill=[1e25, 0]), 1, r"First bad value: loss, inf in 8 of 8 numbers"),
        "backward": (model(Dense(1), fill=[0, 1e3]), 1e38, r"gradient of kernel of layer 1 \(Dense\), (nan|inf) in"),
        "optimizer": (
            model(Dense(1), optimizer=Adam(1e-30), fill=[0, 1.0]), 1e30,
            r"the optimizer's v for kernel of layer 1 \(Dense\) after the update, inf in 3 of 3",
        ),
        "custom loss": (model(loss=rootless), 1, r"First bad value: loss, nan in"),
        "custom activation": (model(Dense(4, nan_below(1.0)), Dense(1)), 1, r"output of layer 1 \(\w+\), nan in"),
        "exponential": (model(Dense(4, exponential), Dense(1)), 1e3, r"output of layer 1 \(\w+\), inf in"),
        "normalization": (
            model(BatchNormalization(), Dense(1)), 1e30, r"moving_variance of layer 1 \(BatchNormalization\), inf in",
        ),
        "penalty": (model(Dense(1, kernel_regularizer=L2(1e30)), fill=[1e10, 0]), 1, r"penalty of the weights, inf in"),
    }  # fmt: skip


RATE = r"Try a lower learning rate \(now \S+\), or gradient clipping \(clipnorm=1.0\)\.$"
WEIGHTS = r"the weights reach {} \(kernel of layer 1 \(Dense\)\)\. Set smaller ones, or draw new ones"
INPUTS = r"the inputs reach {} \(column 1\)\. Scale them, for example by preprocessing=Standardize\(\)\.$"
MEND = r"Mend it, or keep what comes before it where it is defined\.$"
CAUSES = {
    source: f"No update came before it, so the learning rate is not the cause: {told}"
    for source, told in {
        "forward": WEIGHTS.format(r"1e\+20"),
        "loss": WEIGHTS.format(r"1e\+25"),
        "penalty": WEIGHTS.format(r"1e\+10"),
        "backward": INPUTS.format(r"2.43e\+38"),
        "optimizer": INPUTS.format(r"2.43e\+30"),
        "exponential": INPUTS.format(r"2.43e\+03"),
        "normalization": INPUTS.format(r"2.43e\+30"),
        "custom loss": rf"loss 'rootless' for prediction \S+ and target \S+ is nan\. {MEND}",
        "custom activation": rf"activation 'root' of layer 1 \(Dense\) gives nan for -1.\d+\. {MEND}",
    }.items()
}
"""What the error of a first step blames; of later steps it is the rate."""


def fit(made, scale=1.0, **settings):
    given = {"epochs": 3, "batch_size": 8, "verbose": 0, "backend": "reference"} | settings
    return made.fit(X * scale, Y, **given)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("source", sources())
def test_the_first_bad_value_is_named(source, backend):
    made, scale, told = sources()[source]
    with pytest.raises(NonFiniteError, match=told) as error:
        fit(made, scale, backend=backend)
    assert error.value.exit_code == 76
    if source != "weight":
        assert re.match(r"(loss became (inf|nan) at|values stopped being finite before) step \d+ \(epoch \d\)\. "
                        r"First bad value: ", str(error.value))  # fmt: skip
        assert re.search(rf" \(step \d+\)\. {CAUSES.get(source, RATE)}", str(error.value))
        assert all(np.isfinite(w).all() for w in made.get_weights()), "the model keeps its last finite values"


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_last_finite_values_are_those_before_the_step(backend):
    made, good = model(optimizer=SGD(Breaking(5))), model(optimizer=SGD(0.01))
    with pytest.raises(NonFiniteError, match=r"\(step 5\)"):
        fit(made, backend=backend)
    fit(good, backend=backend, callbacks=[Stop(5)])
    assert [w.tobytes() for w in made.get_weights()] == [w.tobytes() for w in good.get_weights()]


@pytest.mark.parametrize("every", [1, 2, None])
def test_the_last_good_checkpoint_is_named_and_nothing_else_is_saved(every, tmp_path):
    with pytest.raises(NonFiniteError) as error:
        fit(model(optimizer=SGD(Breaking(7))), callbacks=[callbacks.Checkpoint(tmp_path, every=every, keep=99)])
    newest = {1: 7, 2: 6, None: 6}[every]
    assert f" Last good checkpoint: {tmp_path / f'step-{newest}.safetensors'}. " in str(error.value)
    found = sorted(int(p.name[5:-12]) for p in tmp_path.iterdir())
    assert found[-1] == newest
    fit(model(optimizer=SGD(Breaking(7))), epochs=1, resume=tmp_path)


def test_values_that_another_put_there_are_no_secret():
    class Spoil(callbacks.Callback):
        every = 1

        def on_steps_end(self, run):
            if run.step == 4:
                state = run.program.state()
                run.program.load(state | {n: v * math.nan for n, v in state.items() if n.startswith("params")})

    made = model()
    with pytest.raises(NonFiniteError, match=r"step 4 \(epoch 1\)\. Computed alone, the step before gives finite"):
        fit(made, callbacks=[Spoil()])
    assert all(np.isfinite(w).all() for w in made.get_weights())


@pytest.mark.parametrize("backend", BACKENDS)
def test_rollback_halves_the_rate_until_it_works(backend, caplog):
    made = model(optimizer=SGD(2.0))
    history = fit(made, epochs=9, on_nan="rollback", backend=backend)
    assert len(history.history["loss"]) == 9
    assert all(map(math.isfinite, history.history["loss"]))
    halved = float(made.values["rate"])
    assert history.history["learning_rate"][-1] == 2.0 * halved
    assert halved in (0.5, 0.25, 0.125, 0.0625)
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(told) == -math.log2(halved)
    assert told[-1].endswith(f" with {halved:g} of the learning rate ({len(told)} of at most 5 times)")


@pytest.mark.parametrize("on_nan", ["rollback", "skip"])
def test_giving_up_is_an_error(on_nan):
    made = model(optimizer=SGD(1e30))
    with pytest.raises(NonFiniteError, match=r"^loss became inf at step"):
        fit(made, on_nan=on_nan)
    assert all(np.isfinite(w).all() for w in made.get_weights())


BAD_ROW = 17


def spoilt():
    """Data with one row from which the loss can't be computed."""
    y = np.where(np.arange(len(X))[:, None] == BAD_ROW, 3.0, np.clip(Y, -1.5, 1.5))
    return X, y


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("every", [1, 4, None])
def test_skip_leaves_out_the_bad_steps_only(every, backend, caplog):
    seen = []

    class Due(callbacks.Callback):
        def on_steps_end(self, run):
            seen.append(run.step)

    due = Due()
    due.every = every
    made = model(loss=rootless)
    X, y = spoilt()
    history = made.fit(
        X, y, epochs=4, batch_size=8, verbose=0, backend=backend, on_nan="skip", callbacks=[due]
    )  # fmt: skip
    assert all(map(math.isfinite, history.history["loss"]))
    told = [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]
    assert len(told) == 4, "one batch in each epoch holds the bad row"
    assert told[-1].endswith("4 left out so far")
    assert int(made.values["step"]) == 24
    if every is not None:
        assert set(range(every, 25, every)) <= set(seen)
    assert [w.tobytes() for w in made.get_weights()] == [w.tobytes() for w in by_hand(backend)]


def by_hand(backend):
    """What `skip` must give: the same steps by gradients and apply, without those whose loss is not a number."""
    made, steps = model(loss=rootless), Steps()
    X, y = spoilt()
    made.fit(X, y, epochs=0, batch_size=8, verbose=0, callbacks=[steps], backend=backend)
    return made.get_weights()


class Steps(callbacks.Callback):
    def on_train_begin(self, run):
        program = run.program
        with np.errstate(invalid="ignore"):
            while program.step < 24:
                (batch,) = run.batches.at(program.step)
                if BAD_ROW in batch.rows:
                    program.step += 1
                else:
                    program.apply(program.gradients(batch))


def test_skip_and_resume_give_the_same_bits(tmp_path):
    X, y = spoilt()

    def run(**settings):
        made = model(loss=rootless)
        made.fit(X, y, epochs=4, batch_size=8, verbose=0, backend="reference", on_nan="skip", **settings)
        return [w.tobytes() for w in made.get_weights()]

    whole = run(callbacks=[callbacks.Checkpoint(tmp_path, every=1, keep=99)])
    for step in (3, 6, 9, 11, 17):
        own = tmp_path / f"at-{step}"
        own.mkdir()
        (tmp_path / f"step-{step}.safetensors").rename(own / f"step-{step}.safetensors")
        assert run(resume=own) == whole, step


def made_of(loss="mse", **settings):
    made = Sequential([Dense(2, input_dim=3), Dense(1)], seed=1)
    made.compile(settings.pop("optimizer", SGD(0.01)), loss, **settings)
    return made


@pytest.mark.parametrize("backend", BACKENDS)
def test_inputs_beyond_the_precision_are_named_whoever_trains(backend):
    told = r"inputs reach -?2.43e\+30 \(column 1\)\. Scale them, for example by preprocessing=Standardize\(\)\.$"
    for settings in ({}, {"on_nan": "rollback"}, {"on_nan": "skip", "batch_size": 4}, {"on_nan": "skip"}):
        with pytest.raises(NonFiniteError, match=told) as error:
            fit(made_of(), 1e30, backend=backend, **settings)
        assert "learning rate is not the cause" in str(error.value)
    with pytest.raises(NonFiniteError, match=rf"^loss is inf before the first step of LBFGS\. The {told}"):
        fit(made_of(optimizer=LBFGS()), 1e30, backend=backend)
    with pytest.raises(NonFiniteError, match=rf"the weights are those before this batch\. The {told}"):
        made_of().train_on_batch(X * 1e30, Y, backend=backend)


def test_batches_that_come_once_are_not_blamed_on_the_rate():
    with pytest.raises(NonFiniteError, match=r"not the cause: look at the scale of inputs and targets\.$"):
        made_of().fit(iter([(X * 1e30, Y)] * 2), steps_per_epoch=2, verbose=0, backend="reference")


def test_large_weights_of_an_earlier_training_are_the_rate_s_fault():
    made = made_of(optimizer=SGD(2.0))
    fit(made, epochs=1, batch_size="full")
    made.set_weights([w * 1e25 for w in made.get_weights()])
    with pytest.raises(NonFiniteError, match=RATE):
        fit(made)
    with pytest.raises(NonFiniteError, match=r"before this batch\. Try a lower learning rate"):
        made.train_on_batch(X, Y, backend="reference")


def test_values_that_an_update_broke_are_named_by_the_next_batch():
    made = made_of(optimizer=SGD(1e38))
    with np.errstate(over="ignore", invalid="ignore"):
        made.train_on_batch(X, Y * 100.0, backend="reference")
        with pytest.raises(
            NonFiniteError, match=r"left are not finite, kernel of layer 1 .* Try a lower learning rate"
        ):
            made.train_on_batch(X, Y, backend="reference")


def test_an_unknown_answer_is_refused():
    with pytest.raises(ConfigError, match=r"fit: on_nan must be 'stop', 'rollback' or 'skip'; got 'ignore'"):
        fit(model(), on_nan="ignore")
