"""Layers of somebody's own in files for other programs: each is printed from its graph, none by its name."""

import re
import shutil

import numpy as np
import pytest
from exporting import assert_agrees, by_numpy, by_onnxruntime, compiled_headers

import deepmath as dm
from deepmath.errors import ConfigError, TraceError
from deepmath.export import exported
from deepmath.layers import Layer
from deepmath.preprocessing import Standardize


class Traced(Layer):
    """A layer whose forward is `rule(xp, params, x)`; its outputs have as many numbers as `units` says."""

    def __init__(self, rule, units, **params):
        self.rule, self.units, self.params = rule, units, params

    def init(self, shape, draws):
        return {n: np.asarray(v, np.float64) for n, v in self.params.items()}, {}

    def forward(self, xp, params, state, x, bits, training, *constants):
        return self.rule(xp, params, x), {}

    def output_shape(self, shape):
        return (self.units,)


def around(xp, params, x):
    return x + xp.matmul(x, params["turn"])


def crossed(xp, params, x):
    """The two halves of a row, one gating the other, and what is in the middle."""
    left, right = x[:, :3], x[:, 3:]
    return xp.concat([left * xp.tanh(right), right, x[:, 2:4]], axis=1)


def picked(xp, params, x):
    """Every other number from the back, one number by itself, and a mean of the whole row."""
    return xp.concat([x[:, ::-2], x[:, 1:2], xp.mean(x, axis=1, keepdims=True)], axis=1)


def turned(xp, params, x):
    """Rows as small matrices, with a matrix added, multiplied and turned."""
    stack = xp.reshape(x, (x.shape[0], 2, 3)) + params["places"]
    scores = xp.matmul(xp.tanh(stack), params["mix"])
    return xp.reshape(xp.permute_dims(scores, (0, 2, 1)), (x.shape[0], -1))


def pooled(xp, params, x):
    """The largest of each pair, normalised over the pairs of a row."""
    pairs = xp.max(xp.reshape(x, (x.shape[0], 3, 2)), axis=2)
    return pairs / xp.sum(xp.abs(pairs), axis=-1, keepdims=True)


def steps(xp, params, x):
    """Numbers alone in both branches of a choice, from parameters of one number."""
    return xp.where(x > 0.0, params["high"], -1.0) * x


def looked_up(xp, params, x):
    """Rows of a table, by the sign of two numbers of the row."""
    codes = xp.astype(x[:, :2] > 0.0, "int") + xp.astype(x[:, 2:4] > 0.0, "int")
    rows = xp.take(params["table"], xp.reshape(codes, (-1,)), axis=0)
    return xp.reshape(rows, (x.shape[0], 8))


def fixed(xp, params, x):
    """Something that doesn't depend on the row, beside something that does."""
    return xp.concat([xp.broadcast_to(params["bias"], (x.shape[0], 2)), xp.zeros_like(x), x], axis=1)


R = np.random.default_rng(5)
LAYERS = {
    "around": Traced(around, 6, turn=R.normal(size=(6, 6))),
    "crossed": Traced(crossed, 8),
    "picked": Traced(picked, 5),
    "turned": Traced(turned, 8, places=R.normal(size=(2, 3)), mix=R.normal(size=(3, 4))),
    "pooled": Traced(pooled, 3),
    "steps": Traced(steps, 6, high=[0.3]),
    "looked_up": Traced(looked_up, 8, table=R.normal(size=(3, 4))),
    "fixed": Traced(fixed, 14, bias=[1.5, -2.5]),
    "normalised": dm.LayerNormalization(),
    "rectified": dm.PReLU(),
    "noisy": dm.GaussianNoise(0.1),
    "averaged": dm.BatchNormalization(),
}


def model_of(name):
    """The layer in the middle of a network, last of one, and first of one; its inputs have rows of six numbers."""
    layer = LAYERS[name]
    ends = {
        "inside": [dm.Dense(6, "tanh"), layer, dm.Dense(2, "softmax")],
        "last": [dm.Dense(6), layer],
        "alone": [layer],
    }
    return {where: built(layers) for where, layers in ends.items()}


def built(layers, features=6):
    model = dm.Sequential(layers, seed=3)
    model.build((features,))
    return model


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_every_format_computes_what_the_reference_does(name, precision, tmp_path):
    X = np.random.default_rng(1).normal(size=(9, 6)).astype(precision)
    headers, wanted = {}, {}
    for where, model in model_of(name).items():
        wanted[where] = model.predict(X.astype(np.float64), backend="reference", precision="float64")
        given = {"precision": precision, "name": where}
        assert_agrees(by_numpy(exported(model, "python", **given), X), wanted[where], precision, f"{where} by numpy")
        onnx = exported(model, "onnx", **given)
        for rows in (9, 1):
            found = by_onnxruntime(onnx, X[:rows])
            assert_agrees(found, wanted[where][:rows], precision, f"{where} by onnxruntime")
        assert by_onnxruntime(onnx, X[:0]).shape == wanted[where][:0].shape
        headers[where] = exported(model, "c", **given)
    if shutil.which("gcc"):
        for where, run in compiled_headers(headers, precision, tmp_path).items():
            assert_agrees(run(X, wanted[where].shape[1]), wanted[where], precision, f"{where} by gcc")


@pytest.mark.parametrize("name", ["turned", "fixed", "crossed"])
def test_compiled_predictions_agree_too(name):
    X = np.random.default_rng(1).normal(size=(9, 6))
    model = model_of(name)["inside"]
    found, wanted = (model.predict(X, backend=b, precision="float64") for b in ("numpy", "reference"))
    assert_agrees(found, wanted, "float64", "numpy")


def test_parts_are_named_where_they_are_computed():
    layers = [dm.Dense(6, "tanh"), LAYERS["turned"], dm.BatchNormalization(), dm.Dense(2)]
    model = built(layers)
    for form, sign in (("python", "# (.*)"), ("c", r"  /\* (.*) \*/")):
        text = exported(model, form).decode()
        assert re.findall(sign, text) == [
            "layer 0, Dense", "layer 1, Traced", "layer 2, BatchNormalization", "layer 3, Dense",
        ]  # fmt: skip


def test_a_chain_needs_two_buffers():
    model = built([dm.Dense(n, "tanh") for n in (50, 3, 40, 40, 2)])
    assert re.findall(r"float (buffer_\w+\[\d+\]);", exported(model, "c").decode()) == ["buffer_0[50]", "buffer_1[50]"]


def test_what_is_dear_is_computed_once_for_an_element():
    layers = [dm.Dense(6, "tanh"), dm.LayerNormalization(), dm.Dense(6, "softmax"), dm.Dense(6, "log_softmax")]
    text = exported(built(layers), "c").decode()
    assert [len(re.findall(rf"\b{f}\(", text)) for f in ("tanhf", "expf", "logf")] == [1, 2, 1]


def together(xp, params, x):
    return x - xp.mean(x, axis=0, keepdims=True)


def counted(xp, params, x):
    return x * x.shape[0]


def stacked(xp, params, x):
    pairs = xp.reshape(x, (x.shape[0], 2, 3))
    return xp.reshape(xp.matmul(pairs, xp.permute_dims(pairs, (0, 2, 1))), (x.shape[0], 4))


class Drawing(Traced):
    def forward(self, xp, params, state, x, bits, training, *constants):
        return x + xp.astype(bits(x.shape[0], 6), x.dtype), {}


REFUSED = [
    (Traced(together, 6), "layer 1, Traced can't be written .* with all rows of a batch at once"),
    (Traced(counted, 6), "layer 1, Traced can't be written .* with all rows of a batch at once"),
    (Traced(stacked, 4), "layer 1, Traced can't be written .* a product of stacks of matrices"),
    (Drawing(None, 6), "layer 1, Drawing can't be written .* it draws random numbers in prediction"),
]


@pytest.mark.parametrize(("layer", "text"), REFUSED, ids=[r[1][-20:] for r in REFUSED])
def test_what_needs_more_than_its_row_is_refused(layer, text):
    with pytest.raises(TraceError, match=text):
        exported(built([dm.Dense(6), layer]), "c")


def test_outputs_are_rows_of_numbers():
    class Stack(Traced):
        def output_shape(self, shape):
            return (2, 3)

    layer = Stack(lambda xp, params, x: xp.reshape(x, (x.shape[0], 2, 3)), 6)
    with pytest.raises(ConfigError, match=r"outputs must be rows of numbers; this model's rows have shape \(2, 3\)"):
        exported(built([layer]), "python")


def test_preprocessing_may_be_all_there_is(tmp_path):
    X = np.random.default_rng(0).normal(50.0, 3.0, (40, 6))
    model = dm.Sequential([dm.Dropout(0.5)], preprocessing=Standardize().fit(X))
    model.build((6,))
    wanted = model.predict(X, backend="reference", precision="float64")
    assert_agrees(by_numpy(exported(model, "python", precision="float64"), X), wanted, "float64", "numpy")
    assert_agrees(by_onnxruntime(exported(model, "onnx", precision="float64"), X), wanted, "float64", "onnxruntime")
    if shutil.which("gcc"):
        header = exported(model, "c", precision="float64", name="all")
        run = compiled_headers({"all": header}, "float64", tmp_path)["all"]
        assert_agrees(run(X, 6), wanted, "float64", "gcc")
