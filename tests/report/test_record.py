"""The recorder sees what the model does, and changes nothing."""

import base64

import numpy as np
import pytest
from reported import model_for, recorded

from deepmath import BatchNormalization, Dense, Dropout, Sequential, datasets, metrics
from deepmath.report import PlaneView, Recorder
from deepmath.report.record import FRAMES
from deepmath.report.views import GRID


def test_a_training_has_the_same_bits_with_and_without():
    X, y = datasets.circles(n=100)
    found = []
    for watched in (False, True):
        model = Sequential(
            [Dense(4, "relu", input_dim=2), BatchNormalization(), Dropout(0.2), Dense(1, "sigmoid")], seed=3
        )
        model.compile("adam", "binary_crossentropy")
        callbacks = [Recorder(model, PlaneView(X, y, ["a", "b"]))] if watched else []
        history = model.fit(X, y, epochs=4, batch_size=16, callbacks=callbacks, verbose=0)
        found.append((model.get_weights(), history.history["loss"]))
    assert found[0][1] == found[1][1]
    for a, b in zip(found[0][0], found[1][0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_last_frame_is_the_trained_model(kind):
    model, watched, _, X, y = recorded(kind)
    frame = watched.record.frames[-1]
    assert frame.epoch == 6
    p = model.predict(X, precision="float64")
    if kind == "confusion":
        np.testing.assert_array_equal(frame.view, metrics.ConfusionMatrix().of(p, y))
    elif kind == "numbers":
        np.testing.assert_allclose(frame.view, p[:, 0] * 10.0 + 100.0, rtol=1e-4)
        error = np.sqrt(np.mean((p[:, 0] - y) ** 2)) * 10.0
        assert frame.text == f"root mean square error {error:.4g}"
    else:
        cells = np.frombuffer(base64.b64decode(frame.view), np.uint8).reshape(GRID, GRID)
        (x0, x1), (y0, y1) = watched.view.ranges
        i, j = 10, 50  # row from below, column
        point = [[x0 + (x1 - x0) * (j + 0.5) / GRID, y0 + (y1 - y0) * (i + 0.5) / GRID]]
        share = float(model.predict(np.asarray(point), precision="float64")[0, 0])
        assert cells[i, j] >> 4 == (share > 0.5)
        assert cells[i, j] & 15 == round(15 * abs(2 * share - 1))
        accuracy = model.evaluate(X, y)["accuracy"]
        assert frame.text == f"{100 * accuracy:.1f} % of 120 rows right"


def test_frames_begin_before_the_training_and_end_with_it():
    _, watched, *_ = recorded("plane", epochs=3)
    assert [f.epoch for f in watched.record.frames] == [0, 1, 2, 3]
    _, watched, *_ = recorded("plane", epochs=2 * FRAMES + 3)
    epochs = [f.epoch for f in watched.record.frames]
    assert epochs[0] == 0
    assert epochs[-1] == 2 * FRAMES + 3
    assert FRAMES / 2 <= len(epochs) <= FRAMES + 1
    assert set(np.diff(epochs[:-1])) == {4}


def test_the_numbers_of_the_layers():
    model, watched, _, X, _ = recorded("plane")
    kernel = model.get_weights()[0]
    numbers = watched.record.frames[-1].layers[0]
    np.testing.assert_allclose(numbers.weights, (kernel.mean(), kernel.std()), rtol=1e-12)
    hidden = np.maximum(X @ kernel + model.get_weights()[1], 0.0)
    np.testing.assert_allclose(numbers.outputs, (hidden.mean(), hidden.std()), rtol=1e-9)
    assert numbers.zeros == pytest.approx(np.mean(hidden == 0.0))
    assert numbers.idle == pytest.approx(np.mean(np.all(hidden == 0.0, axis=0)))
    assert sum(numbers.weight_bins[2]) == kernel.size
    assert sum(numbers.output_bins[2]) == hidden.size
    assert watched.record.layers == ("1 Dense 5 relu", "2 Dense 1 sigmoid")


def test_a_dead_layer_is_idle():
    X, y = datasets.circles(n=60)
    model = model_for(1, "sigmoid", "binary_crossentropy")
    weights = model.get_weights()
    weights[1] = np.full(5, -100.0)
    model.set_weights(weights)
    watched = Recorder(model, PlaneView(X, y, ["a", "b"]))
    model.fit(X, y, epochs=1, callbacks=[watched], verbose=0)
    first = watched.record.frames[-1].layers[0]
    assert (first.zeros, first.idle, first.gradient) == (1.0, 1.0, 0.0)


def test_rows_and_steps_are_counted():
    _, watched, *_ = recorded("plane")
    record = watched.record
    assert (record.steps, record.rows) == (6 * 3, pytest.approx(6 * 90))
    assert record.samples_per_second == record.rows / record.seconds
