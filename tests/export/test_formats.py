"""What each format holds, and what is refused in one line."""

import shutil
import subprocess

import numpy as np
import pytest
from exporting import (
    assert_agrees,
    by_numpy,
    by_onnxruntime,
    by_torch,
    compiled_headers,
    in_a_bare_process,
)

import deepmath as dm
from deepmath import export
from deepmath.errors import ConfigError, MissingExtra, NumericError, TraceError
from deepmath.layers import Layer
from deepmath.preprocessing import Standardize
from deepmath.tables import ClassTarget, NumbersTarget, NumberTarget


def swish(xp, z):
    return z / (1.0 + xp.exp(-z))


class Gate(Layer):
    """A layer of somebody's own: a product with a matrix, and a gate that each unit learns."""

    def init(self, shape, draws):
        return {"turn": np.eye(shape[0])[::-1] * 0.5, "gate": np.linspace(-1.0, 1.0, shape[0])}, {}

    def apply(self, xp, params, state, x, bits, training):
        return xp.matmul(x, params["turn"]) * xp.tanh(params["gate"]), None, {}


class Branching(Layer):
    """A layer that no trace can follow."""

    def init(self, shape, draws):
        return {}, {}

    def apply(self, xp, params, state, x, bits, training):
        return xp.flip(x, axis=-1), None, {}


@pytest.fixture
def own():
    """A network of formulas and layers of somebody's own, far from zero, with its inputs."""
    X = np.random.default_rng(0).normal(50.0, 3.0, (40, 3)).astype(np.float32)
    return dm.Sequential([dm.Dense(4, swish, input_dim=3), Gate(), dm.Dense(2)], preprocessing=Standardize().fit(X)), X


def test_own_formulas_and_layers_go_through_the_tracer(own, tmp_path):
    model, X = own
    wanted = model.predict(X.astype(np.float64), backend="reference", precision="float64")
    assert_agrees(by_numpy(export.exported(model, "python"), X), wanted, "float32", "numpy")
    assert_agrees(by_onnxruntime(export.exported(model, "onnx"), X), wanted, "float32", "onnxruntime")
    if shutil.which("gcc"):
        run = compiled_headers({"own": export.exported(model, "c", name="own")}, "float32", tmp_path)["own"]
        assert_agrees(run(X, 2), wanted, "float32", "gcc")
    with pytest.raises(ConfigError, match="no module for the activation 'swish'; export to onnx, python or c"):
        export.exported(model, "safetensors")


TARGETS = [NumberTarget("y", -1000.0, 250.0), NumbersTarget(("a", "b"), (-1000.0, 3.0), (250.0, 0.01))]


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: type(t).__name__)
def test_outputs_have_the_targets_own_unit(own, target, tmp_path):
    model, X = own
    plain = dm.Sequential([dm.Dense(4, "tanh", input_dim=3), dm.Dense(2)], preprocessing=model.preprocessing)
    X = X.astype(np.float64)
    without = plain.predict(X, precision="float64", backend="reference")
    plain.target = target
    wanted = plain.predict(X, precision="float64", backend="reference")
    assert np.array_equal(wanted, target.decode(without))
    given = {"precision": "float64"}
    assert_agrees(by_numpy(export.exported(plain, "python", **given), X), wanted, "float64", "numpy")
    assert_agrees(by_torch(export.exported(plain, "safetensors", **given), X), wanted, "float64", "torch")
    assert_agrees(by_onnxruntime(export.exported(plain, "onnx", **given), X), wanted, "float64", "onnxruntime")
    if shutil.which("gcc"):
        run = compiled_headers({"own": export.exported(plain, "c", name="own", **given)}, "float64", tmp_path)["own"]
        assert_agrees(run(X, 2), wanted, "float64", "gcc")


def test_text_targets_of_arrays_have_labels_too(own):
    import onnx

    model, _ = own
    model.target = ClassTarget(("good", 'b"ad'))
    file = onnx.load_from_string(export.exported(model, "onnx"))
    assert [v.name for v in file.graph.output] == ["y", "label"]
    assert file.doc_string == "output 'y': of the classes 'good', 'b\"ad'"
    assert {i.domain for i in file.opset_import} == {""}
    header = export.exported(model, "c", name="own").decode()
    assert 'static const char *const own_classes[2] = {\n  "good",\n  "b\\042ad"\n};' in header
    assert " * y is of the classes 'good', 'b\\042ad'; own_classes has their names.\n" in header


def test_the_file_of_python_needs_numpy_alone(own, tmp_path):
    model, X = own
    export.export(model, tmp_path / "net.py")
    in_a_bare_process(tmp_path / "net.py", 4, 3)
    names = {}
    exec((tmp_path / "net.py").read_text(), names)
    with pytest.raises(ValueError, match=r"predict: x must be \[rows, 3\]; got shape \(2, 4\)"):
        names["predict"](np.zeros((2, 4)))
    assert names["predict"](X.astype(int).tolist()).dtype == np.float32


def test_the_header_compiles_alone_and_allocates_nothing(own, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    export.export(own[0], tmp_path / "my net.h")
    program = (
        '#include "my net.h"\nint main(void) { float x[3] = {0}, y[2]; my_net_predict(x, y); return y[0] != y[0]; }'
    )
    (tmp_path / "main.c").write_text(program)
    options = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run(["gcc", *options, "main.c", "-o", "main", "-lm"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "main"], check=False).returncode == 0
    called = subprocess.run(["nm", "-u", tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    assert "alloc" not in called


def test_the_onnx_file_names_its_ends_and_leaves_the_rows_free(own):
    import onnx

    model = onnx.load_from_string(export.exported(own[0], "onnx", name="net"))
    assert [(v.name, v.type.tensor_type.shape.dim[0].dim_param) for v in model.graph.input] == [("x", "rows")]
    assert [v.name for v in model.graph.output] == ["y"]
    assert {i.domain for i in model.opset_import} == {""}
    assert not any(t.external_data for t in model.graph.initializer)
    assert by_onnxruntime(model.SerializeToString(), own[1][:0]).shape == (0, 2)
    assert by_onnxruntime(model.SerializeToString(), own[1][:1]).shape == (1, 2)


def test_exporting_changes_no_value_and_gives_the_same_bytes_again(own):
    model, _ = own
    before = [w.tobytes() for w in model.get_weights()]
    for form in ("onnx", "python", "c"):
        assert export.exported(model, form) == export.exported(model, form)
    assert [w.tobytes() for w in model.get_weights()] == before


REFUSED = [
    (lambda: dm.Sequential([dm.Dense(1)]), {}, ConfigError, "the model has no weights yet"),
    (lambda: model_of(dm.Dense(1)), {"form": "pickle"}, ConfigError, "format must be one of onnx, python, c, saf"),
    (lambda: model_of(dm.Dense(1)), {"precision": "float16"}, ConfigError, "precision must be float32 or float64; got"),
    (lambda: model_of(dm.Dense(1)), {"name": "1st"}, ConfigError, "name must be letters, digits and _, and begin"),
    (lambda: model_of(dm.Dense(1)), {"name": "while"}, ConfigError, "got 'while'"),
    (lambda: model_of(Branching()), {}, TraceError, "layer 1, Branching can't be written as formulas and matrix prod"),
    (lambda: model_of(Gate()), {"form": "safetensors"}, ConfigError, "no module for the layer Gate; export to onnx"),
    (lambda: broken(), {}, NumericError, "layer 0, Dense holds NaN or infinity; train it again"),
    (lambda: model_of(dm.Dense(1), Standardize()), {}, ConfigError, r"Standardize\(\) is not fitted yet; call fit"),
    (lambda: of_classes(1), {}, ConfigError, "the target has 3 classes, and the model 1 output; give its last layer 3"),
    (lambda: of_classes(2), {}, ConfigError, "the target has 3 classes, and the model 2 outputs; give its last"),
]


def model_of(layer, preprocessing=None):
    return dm.Sequential([dm.Dense(2, input_dim=2), layer], preprocessing=preprocessing)


def of_classes(outputs):
    model = model_of(dm.Dense(outputs))
    model.target = ClassTarget(("a", "b", "c"))
    return model


def broken():
    model = model_of(dm.Dense(1))
    model.set_weights([w * np.nan if w.ndim == 2 else w for w in model.get_weights()])
    return model


@pytest.mark.parametrize(("build", "given", "kind", "text"), REFUSED)
def test_what_cannot_be_exported_is_named(build, given, kind, text):
    settings = {"form": "python"} | given
    with pytest.raises(kind, match=text) as caught:
        export.exported(build(), settings.pop("form"), **settings)
    assert len(str(caught.value).splitlines()) == 1


def test_the_format_follows_the_files_name(tmp_path):
    with pytest.raises(ConfigError, match=r"must end in one of \.onnx, \.py, \.h, \.safetensors, or say the format"):
        export.export(model_of(dm.Dense(1)), tmp_path / "net.bin")
    export.export(model_of(dm.Dense(1)), tmp_path / "net.bin", "python")
    assert (tmp_path / "net.bin").read_text().startswith('"""net: predictions')


def test_without_onnx_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"ONNX files need the package 'onnx': pip install 'deepmath\[onnx\]'"):
        export.exported(model_of(dm.Dense(1)), "onnx")
