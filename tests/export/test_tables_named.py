"""Names of columns, categories and classes are data: no format takes them for anything else."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from exported_tables import run_c, run_onnx, run_python
from exporting import assert_agrees, by_torch

import deepmath as dm
from deepmath.errors import ConfigError
from deepmath.export import exported
from deepmath.preprocessing import EncodeTable, Standardize
from deepmath.tables import TableEncoder, TableEncoding
from deepmath.tables.encoders import CategoryColumn

HOSTILE = [
    '"', "'", '"""', "a\\", "\\n", "new\r\nline", "*/ int evil; /*", "// x", "??/", "%s %n", "{0} {x}", "# no",
    "$(ls)", "São Tomé", "😀", "a\u2028b", "\u202e", "\x07", "y", "y_", "label", "x", "_", "__gemm_1", "rows", "gemm_1",
    "column", "import os", "), (", "a,b", "missing", "=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def hostile():
    """A model whose columns, categories and classes have such names, and a table of which the last rows are new."""
    rng = np.random.default_rng(0)
    half = len(HOSTILE) // 2
    rows = 4 * len(HOSTILE)
    frame = pd.DataFrame(
        {
            **{name: rng.normal(size=rows) for name in HOSTILE[:half]},
            **{name: rng.permutation(HOSTILE * 4) for name in HOSTILE[half:]},
            "": rng.permutation(HOSTILE * 4),
        }
    )
    model = dm.Sequential([dm.Dense(len(HOSTILE), "softmax")], preprocessing=[TableEncoder(), Standardize()])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(frame, rng.permutation(HOSTILE * 4), epochs=1, verbose=0, backend="reference")
    new = frame.iloc[:20].copy()
    new.iloc[:2, half:] = None
    new.iloc[2:4, half:] = "\"); system('x'); (\""
    assert set(model.target.classes) == set(HOSTILE)
    return model, new


def wanted_of(model, frame):
    return model.predict(frame, precision="float64", backend="reference")


def test_python_takes_them_as_names(hostile):
    model, frame = hostile
    file = run_python(exported(model, "python", precision="float64"))
    found, wanted = file["predict"](frame), wanted_of(model, frame)
    assert_agrees(found, wanted, "float64", "python")
    assert file["labels"](found).tolist() == [model.target.classes[k] for k in wanted.argmax(axis=1)]
    assert list(file["COLUMNS"]) == list(frame.columns)


def test_onnx_takes_them_as_names(hostile):
    import onnx

    model, frame = hostile
    content = exported(model, "onnx", precision="float64")
    inputs = {}
    for column in model.preprocessing.encoding.used:
        cells = frame[column.name].to_numpy(object)[:, None]
        text = column.kind == "category"
        inputs[column.name or "column_"] = np.where(pd.isna(cells), "", cells) if text else cells.astype(np.float64)
    graph = onnx.load_from_string(content).graph
    assert [value.name for value in graph.input] == list(inputs)
    assert [value.name for value in graph.output] == ["y__", "label_"]
    values, labels = run_onnx(content, inputs)
    wanted = wanted_of(model, frame)
    assert_agrees(values, wanted, "float64", "onnxruntime")
    assert labels.tolist() == [model.target.classes[k] for k in wanted.argmax(axis=1)]


def test_c_takes_them_as_text(hostile, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    model, frame = hostile
    codes = []
    for column in model.preprocessing.encoding.used:
        cells = frame[column.name].tolist()
        if column.kind == "category":
            places = {category: float(i) for i, category in enumerate(column.categories)}
            cells = [np.nan if pd.isna(cell) else places.get(cell, -1.0) for cell in cells]
        codes.append(cells)
    header = exported(model, "c", precision="float64", name="net")
    run = run_c({"net": header}, "float64", tmp_path)["net"]
    assert_agrees(run(np.array(codes).T, len(HOSTILE)), wanted_of(model, frame), "float64", "gcc")
    assert header.isascii()
    (tmp_path / "print.c").write_text(
        '#include <stdio.h>\n#include "net.h"\nint main(void) { for (int i = 0; i < NET_OUTPUTS; ++i) '
        "printf(\"%s%c\", net_classes[i], 0); return 0; }\n"
    )  # fmt: skip
    import subprocess

    subprocess.run(["gcc", "-std=c99", "print.c", "-o", "print", "-lm"], cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "print"], capture_output=True, check=True).stdout
    assert printed.decode().split("\0")[:-1] == list(model.target.classes)


def test_what_is_no_unicode_is_refused_by_onnx_alone():
    encoding = TableEncoding((CategoryColumn("b", ("x", "\udc80")),))
    model = dm.Sequential([dm.Dense(1, input_dim=2)], preprocessing=EncodeTable(encoding=encoding).from_values({}))
    with pytest.raises(
        ConfigError, match=r"export: column 'b' holds '\\udc80', which is no Unicode, as ONNX needs; export to py"
    ):
        exported(model, "onnx")
    found = run_python(exported(model, "python"))["_encoded"]({"b": ["\udc80", "x"]})
    assert found.tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert rb"\355\262\200" in exported(model, "c")


def test_torch_takes_a_table_of_plain_numbers_alone():
    frame = pd.DataFrame({"b": [1.0, 2.0, 4.0], "a": [True, False, True], "city": ["x", "y", "x"]})
    model = dm.Sequential([dm.Dense(2, "softmax")], preprocessing=[TableEncoder({"city": "out"}), Standardize()])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(frame, ["no", "yes", "no"], epochs=1, verbose=0, backend="reference")
    content = exported(model, "safetensors", precision="float64")
    rows = frame[["b", "a"]].to_numpy(np.float64)
    assert_agrees(by_torch(content, rows), wanted_of(model, frame), "float64", "torch")
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    assert json.loads(header["columns"]) == ["b", "a"]
    assert json.loads(header["classes"]) == ["no", "yes"]


REFUSED = [
    ({"a": [1.0, None, 3.0]}, r"column 'a' is a number that becomes 2 inputs; export to onnx, python or c instead"),
    ({"a": ["x", "y", "x"]}, r"column 'a' is a category that becomes 2 inputs"),
    ({"a": pd.to_datetime(["2020-01-01", "2021-01-01", "2021-01-01"])}, r"column 'a' is a date that becomes 3 inputs"),
]


@pytest.mark.parametrize(("columns", "text"), REFUSED)
def test_torch_refuses_any_other_table(columns, text):
    model = dm.Sequential([dm.Dense(1)], preprocessing=TableEncoder())
    model.compile("sgd", "mse")
    model.fit(pd.DataFrame(columns), [0.0, 1.0, 0.0], epochs=1, verbose=0, backend="reference")
    with pytest.raises(ConfigError, match=text) as caught:
        exported(model, "safetensors")
    assert len(str(caught.value).splitlines()) == 1
