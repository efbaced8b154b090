"""Loss scaling: PyTorch's sequence of scales, and steps that an overflow leaves unmade."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import Case, compiled, recipe_of

from deepmath.batches import InMemory
from deepmath.errors import ConfigError, NonFiniteError
from deepmath.layers import BatchNormalization, Dense
from deepmath.optimizers import Adam
from deepmath.program import Data
from deepmath.regularizers import L2
from deepmath.training.scaling import LossScale, check, scaled_step, undone


def by_torch(finite: list[bool], interval: int) -> list[float]:
    """The scales that PyTorch's GradScaler has after each of these steps."""
    scaler = torch.amp.GradScaler("cpu", init_scale=65536.0, growth_interval=interval)
    w = torch.nn.Parameter(torch.zeros(1))
    optimizer, found = torch.optim.SGD([w], lr=0.0), []
    for good in finite:
        scaler.scale(w.sum()).backward()
        w.grad = torch.full((1,), 1.0 if good else float("inf"))
        scaler.step(optimizer)
        scaler.update()
        found.append(float(scaler.get_scale()))
    return found


@pytest.mark.parametrize("interval", [1, 3, 2000])
@pytest.mark.parametrize("seed", range(4))
def test_the_scales_are_pytorch_s(seed, interval):
    draw = np.random.default_rng(seed).random(100 if interval < 2000 else 4100)
    finite = [bool(x) for x in draw > (0.25 if interval < 2000 else 0.0005)]
    if interval == 1:
        finite = [good and i % 2 == 0 for i, good in enumerate(finite)]  # else it grows without end
    scale, found = LossScale(interval=interval), []
    for good in finite:
        scale = scale.after(good)
        found.append(scale.scale)
    expected = by_torch(finite, interval)
    stop = next((i for i, s in enumerate(expected) if s < 1.0), len(expected))  # PyTorch's scale has no floor
    assert stop > 20
    assert found[:stop] == expected[:stop]


def test_the_floor_is_one_and_growth_stays_finite():
    scale = LossScale(4.0)
    for _ in range(5):
        scale = scale.after(False)
    assert scale.scale == 1.0
    scale = LossScale(2.0**125, interval=1).after(True)
    assert scale.scale == scale.after(True).scale == 2.0**126


def case() -> Case:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 2))
    layers = (Dense(4, "tanh"), BatchNormalization(), Dense(2))
    return Case(layers, "mse", Adam(0.01, clipnorm=0.5), X, y, batch_size=3, accumulate=2, seed=1)


def overflowing(limit: float):
    """Undoes the scale, and overflows where the scaled gradients would leave a narrow range."""

    def undo(gradients, scale):
        plain = undone(gradients, scale)
        if scale > limit:
            values = dict(plain.values)
            values["0.kernel"] = values["0.kernel"] * np.inf
            return replace(plain, values=values)
        return plain

    return undo


def batches_of(example: Case) -> InMemory:
    return InMemory(recipe_of(example), Data(example.X, example.y))


def test_the_steps_are_those_without_scaling():
    plain, scaled, batches = compiled(case()), compiled(case()), batches_of(case())
    scale = LossScale(interval=3)
    for _ in range(10):
        row = np.asarray(plain.run(1))[0]
        weight, _ = batches.weight_of(scaled.step)
        scale, overflowed, sums = scaled_step(scaled, batches.at(scaled.step), scale, undone)
        assert overflowed == []
        assert sums[1] == row[1]
        assert weight > 0
    assert scale.scale == 65536.0 * 2.0**3
    for name, value in plain.state().items():
        assert scaled.state()[name].tobytes() == value.tobytes(), name  # powers of two round nothing


def test_an_overflow_moves_nothing_and_the_same_rows_are_tried_again():
    plain, scaled, batches = compiled(case()), compiled(case()), batches_of(case())
    plain.run(1)
    seen = []
    undo = overflowing(1024.0)

    def watching(gradients, scale):
        seen.append((scale, {n: v.copy() for n, v in scaled.state().items()}))
        return undo(gradients, scale)

    scale, overflowed, _ = scaled_step(scaled, batches.at(0), LossScale(), watching)
    assert overflowed == [65536.0, 32768.0, 16384.0, 8192.0, 4096.0, 2048.0]
    assert [s for s, _ in seen] == [*overflowed, 1024.0]
    first = compiled(case()).state()
    for _, state in seen:
        assert all(state[n].tobytes() == v.tobytes() for n, v in first.items())
    assert (scale.scale, scale.good) == (1024.0, 1)
    for name, value in plain.state().items():
        assert scaled.state()[name].tobytes() == value.tobytes(), name


def test_an_overflow_that_no_scale_helps_is_an_error():
    program = compiled(case())
    before = program.state()
    with pytest.raises(NonFiniteError) as error:
        scaled_step(program, batches_of(case()).at(0), LossScale(8.0), overflowing(0.5))
    assert str(error.value) == (
        "the gradients of step 0 are not finite even without loss scaling. "
        "Try a lower learning rate, gradient clipping (clipnorm=1.0), or precision='float32'."
    )
    assert all(program.state()[n].tobytes() == v.tobytes() for n, v in before.items())


@pytest.mark.parametrize("stop", [1, 4, 5, 9])
def test_a_stop_changes_nothing(stop):
    def steps(program, scale, count):
        for _ in range(count):
            limit = 1024.0 if program.step == 4 else 1e9
            scale, _, _ = scaled_step(program, batches.at(program.step), scale, overflowing(limit))
        return scale

    batches = batches_of(case())
    whole, first, second = (compiled(case()) for _ in range(3))
    wanted = steps(whole, LossScale(interval=3), 10)
    middle = steps(first, LossScale(interval=3), stop)
    saved = {n: np.array(v) for n, v in middle.state().items()}
    second.load(first.state())
    assert steps(second, LossScale(interval=3).load(saved), 10 - stop) == wanted
    assert all(second.state()[n].tobytes() == v.tobytes() for n, v in whole.state().items())


def test_penalties_are_refused():
    check(recipe_of(case()))
    with pytest.raises(ConfigError) as error:
        check(recipe_of(replace(case(), layers=(Dense(2, kernel_regularizer=L2(0.1)),))))
    assert str(error.value) == (
        "loss scaling: the penalty of '0.kernel' adds to the gradient unscaled; "
        "leave regularisers out, or use AdamW's weight_decay"
    )


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"scale": 0.5}, "LossScale: scale"),
        ({"scale": 1000.0}, "LossScale: scale must be a power of two; got 1000.0"),
        ({"growth": 3.0}, "LossScale: growth must be a power of two; got 3.0"),
        ({"backoff": 0.0}, "LossScale: backoff"),
        ({"interval": 0}, "LossScale: interval"),
    ],
)
def test_settings_are_checked(settings, text):
    with pytest.raises(ConfigError) as error:
        LossScale(**settings)
    assert text in str(error.value)
