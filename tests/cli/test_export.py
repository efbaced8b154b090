"""`deepmath export`: the numbers of `deepmath predict` from a file for other programs."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

import deepmath as dm


def test_a_run_with_scaled_data_and_a_scaled_target_gives_the_numbers_of_predict(good, prices):
    good("train", "prices.csv", "--target", "price", "--epochs", 3, "--scale", "standard", "--out", "run", "--quiet")
    table = list(csv.DictReader(io.StringIO(good("predict", "run", "prices.csv"))))
    assert good("export", "run", "--out", "net.py") == ""
    names = {}
    exec(Path("net.py").read_text(), names)
    rows = list(csv.DictReader(io.StringIO(Path("prices.csv").read_text())))
    X = np.asarray([[float(r["size"]), float(r["age"])] for r in rows])
    wanted = np.asarray([[float(row["prediction"])] for row in table])
    np.testing.assert_allclose(names["predict"](X), wanted, rtol=1e-5)


@pytest.mark.parametrize("ending", ["onnx", "py", "h", "safetensors"])
def test_every_format_is_written_and_told(deepmath, ending):
    dm.Sequential([dm.Dense(2, "relu", input_dim=3)]).save("model.safetensors")
    result = deepmath("export", "model.safetensors", "--out", f"out.{ending}", "--precision", "float64")
    assert (result.exit_code, result.stdout) == (0, "")
    size = Path(f"out.{ending}").stat().st_size
    assert result.stderr == f"deepmath: written to out.{ending}, {size:,} bytes\n"


def test_the_format_and_the_name_can_be_said(good):
    dm.Sequential([dm.Dense(2, "relu", input_dim=3)]).save("model.safetensors")
    good("export", "model.safetensors", "--out", "net.txt", "--format", "c", "--name", "brain")
    assert "void brain_predict(const float *x, float *y)" in Path("net.txt").read_text()


def test_failures_are_one_line(failing):
    assert failing("export", "nowhere", "--out", "x.onnx") == (66, "nowhere: no such file; check the path")
    dm.Sequential([dm.Dense(2, "relu", input_dim=3)]).save("model.safetensors")
    code, text = failing("export", "model.safetensors", "--out", "net.bin")
    assert code == 2
    assert text.startswith("export: the file's name must end in one of .onnx, .py, .h, .safetensors")
    code, text = failing("export", "model.safetensors", "--out", "net.h", "--name", "a-b")
    assert (code, text.split(";")[1].strip()) == (2, "got 'a-b'")
