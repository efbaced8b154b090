"""Random networks of every layer, activation and preprocessing, exported and run by programs that aren't ours."""

import collections
import shutil

import pytest
from exporting import (
    assert_agrees,
    by_numpy,
    by_onnx,
    by_onnxruntime,
    by_torch,
    compiled_headers,
    random_model,
)

from deepmath.export import exported

SHORT = range(15)
LONG = range(15, 100)
PRECISIONS = ["float32", "float64"]


@pytest.fixture(scope="module")
def gcc():
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")


def check(seeds, precision, record_property, tmp_path, gcc):
    """The judge's result against the reference in float64, whose inputs and weights are those of the precision.

    The error of a row is its largest difference, relative to its largest number or to 1.
    """
    worst = collections.defaultdict(float)
    models = {f"net{seed}": random_model(seed) for seed in seeds}
    headers = {name: exported(m, "c", precision=precision, name=name) for name, (m, _) in models.items()}
    functions = compiled_headers(headers, precision, tmp_path)
    for name, (model, rows) in models.items():
        X = rows.astype(precision)
        wanted = rounded_reference(model, X, precision)
        onnx = exported(model, "onnx", precision=precision)
        found = {
            "onnxruntime": by_onnxruntime(onnx, X),
            "numpy": by_numpy(exported(model, "python", precision=precision), X),
            "torch": by_torch(exported(model, "safetensors", precision=precision), X),
            "gcc": functions[name](X, wanted.shape[1]),
        }
        if found["onnxruntime"] is None:
            assert precision == "float64"
            del found["onnxruntime"]
            found["onnx.reference"] = by_onnx(onnx, X)
        for judge, got in found.items():
            worst[judge] = max(worst[judge], assert_agrees(got, wanted, precision, f"{name} by {judge}"))
    for judge, error in worst.items():
        record_property(judge, error)


def rounded_reference(model, X, precision):
    """The reference's predictions in float64, from weights rounded to the precision."""
    kept = model.values
    model.values = {n: v.astype(precision).astype("float64") for n, v in kept.items()}
    try:
        return model.predict(X.astype("float64"), backend="reference", precision="float64")
    finally:
        model.values = kept


@pytest.mark.parametrize("precision", PRECISIONS)
def test_fifteen_networks_agree(precision, record_property, tmp_path, gcc):
    check(SHORT, precision, record_property, tmp_path, gcc)


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_hundred_networks_agree(precision, record_property, tmp_path, gcc):
    check([*SHORT, *LONG], precision, record_property, tmp_path, gcc)
