"""Models that take tables, in every format, against `model.predict(frame)`."""

import shutil

import numpy as np
import pytest
from exported_tables import random_case, run_c, run_onnx, run_python
from exporting import assert_agrees

from deepmath.export import exported
from deepmath.export.chain import unit_of

SEEDS = range(6)
PRECISIONS = ["float32", "float64"]


@pytest.fixture(scope="module")
def cases():
    """Models of random tables, and tables that they haven't seen."""
    return {f"net{seed}": random_case(seed) for seed in SEEDS}


def wanted_of(case, precision):
    return case.model.predict(case.frame, precision=precision, backend="reference")


def agree(model, found, wanted, precision, who):
    """Agreement of the network's outputs: a difference of numbers counts in sizes of their unit."""
    unit = unit_of(model.target, wanted.shape[1])
    assert found.dtype == wanted.dtype == np.dtype(precision)
    if unit is not None:
        found, wanted = (((p.astype(np.float64) - unit[0]) / unit[1]).astype(precision) for p in (found, wanted))
    assert_agrees(found, wanted, precision, who)


def labels_of(model, p):
    """The labels of predictions, by their definition."""
    classes = model.target.classes
    return [classes[int(row.argmax()) if len(row) > 1 else int(row[0] > 0.5)] for row in p]


def test_the_cases_hold_every_kind_of_column_and_target(cases):
    kinds = {column.kind for case in cases.values() for column in case.model.preprocessing.encoding.used}
    assert kinds == {"number", "category", "boolean", "date"}
    assert {type(case.model.target).__name__ for case in cases.values()} == {
        "ClassTarget", "NumberTarget", "NumbersTarget",
    }  # fmt: skip
    for case in cases.values():
        assert any(np.isnan(case.codes[:, i]).any() for i in range(case.codes.shape[1]))
        assert case.model.preprocessing.takes_frames


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_python_file_encodes_with_the_same_bits(cases, precision):
    for name, case in cases.items():
        file = run_python(exported(case.model, "python", precision=precision))
        assert np.array_equal(file["_encoded"](case.frame), case.model.preprocessing.encoding.apply(case.frame))
        found, wanted = file["predict"](case.frame), wanted_of(case, precision)
        agree(case.model, found, wanted, precision, name)
        if hasattr(case.model.target, "classes"):
            assert file["labels"](found).tolist() == labels_of(case.model, wanted)
        else:
            assert "labels" not in file


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_onnx_file_encodes_inside(cases, precision):
    for name, case in cases.items():
        content = exported(case.model, "onnx", precision=precision)
        found, wanted = run_onnx(content, case.inputs), wanted_of(case, precision)
        agree(case.model, found[0], wanted, precision, name)
        if hasattr(case.model.target, "classes"):
            assert found[1].tolist() == labels_of(case.model, wanted)
        assert len(found) == 1 + hasattr(case.model.target, "classes")
        empty = run_onnx(content, {n: v[:0] for n, v in case.inputs.items()})
        assert [len(part) for part in empty] == [0] * len(found)
        assert empty[0].shape[1] == wanted.shape[1]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_header_takes_codes(cases, precision, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    headers = {name: exported(case.model, "c", precision=precision, name=name) for name, case in cases.items()}
    functions = run_c(headers, precision, tmp_path)
    for name, case in cases.items():
        wanted = wanted_of(case, precision)
        agree(case.model, functions[name](case.codes, wanted.shape[1]), wanted, precision, name)
        used = case.model.preprocessing.encoding.used
        unknown = (case.codes == -1.0) & np.array([column.kind == "category" for column in used])
        assert unknown.any() or all(column.kind != "category" for column in used)
        codes = np.where(unknown, 0.5, case.codes)  # any number that is no index is an unknown category
        agree(case.model, functions[name](codes, wanted.shape[1]), wanted, precision, name)


def test_models_with_tables_give_the_same_bytes_again(cases):
    model = cases["net0"].model
    for form in ("onnx", "python", "c"):
        assert exported(model, form) == exported(model, form)
