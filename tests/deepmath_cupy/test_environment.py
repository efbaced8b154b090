"""What a machine may lack for CUDA: one line that says what to do, and never a silent run on the CPU."""

import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from deepmath_cupy import environment, report
from deepmath_cupy.environment import Facts, fault, index_of

import deepmath
from deepmath import Dense, Sequential
from deepmath.backend import load_backend
from deepmath.cli.app import commands
from deepmath.errors import ConfigError, DeviceError

H200 = ("NVIDIA H200",)
FAULTS = {
    "no CuPy": (
        Facts(),
        "CuPy is not installed; pip install 'deepmath[cuda13x]' or 'deepmath[cuda12x]', or use backend='numpy'",
    ),
    "two CuPys": (
        Facts(("cupy-cuda12x", "cupy-cuda13x"), 13000, H200, None, 12),
        "cupy-cuda12x and cupy-cuda13x are both installed and overwrite each other; "
        "pip uninstall both, then install one",
    ),
    "no driver": (
        Facts(("cupy-cuda13x",), None, (), None, 13),
        "no NVIDIA driver is installed (libcuda.so.1 was not found); install it, or use backend='numpy'",
    ),
    "an old driver": (
        Facts(("cupy-cuda13x",), 12040, H200, None, 13),
        "the driver runs CUDA 12.4, and cupy-cuda13x needs CUDA 13; install driver 580 or newer, "
        "pip install 'deepmath[cuda12x]' instead, or use backend='numpy'",
    ),
    "no device": (
        Facts(("cupy-cuda13x",), 13000, (), None, 13),
        "the driver finds no CUDA device; see nvidia-smi, or use backend='numpy'",
    ),
    "hidden devices": (
        Facts(("cupy-cuda13x",), 13000, (), "", 13),
        "the driver finds no CUDA device (CUDA_VISIBLE_DEVICES='' hides them); see nvidia-smi, or use backend='numpy'",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_has_its_line(name):
    found, expected = FAULTS[name]
    assert fault(found, 0) == expected


def test_an_index_out_of_range_names_the_devices():
    two = Facts(("cupy-cuda13x",), 13000, H200 * 2, None, 13)
    assert fault(two, 1) is None
    assert fault(two, 2) == "there is no device cuda:2; there are cuda:0 NVIDIA H200, cuda:1 NVIDIA H200"
    one = Facts(("cupy",), 12090, H200, None, None)
    assert fault(one, 1) == "there is no device cuda:1; there is cuda:0 NVIDIA H200"


@pytest.mark.parametrize("given", ["cpu", "cuda:x", "cuda:-1", "gpu", 3.5])
def test_other_devices_are_refused(given):
    with pytest.raises(ConfigError, match="device must be 'cuda' or 'cuda:N'; got"):
        index_of(given)


class Numbered:
    id = 3


def test_a_device_may_come_from_cupy():
    assert index_of(Numbered()) == 3


@pytest.fixture(params=FAULTS)
def lacking(request, monkeypatch):
    """A machine that lacks something, and the line that says so."""
    found, expected = FAULTS[request.param]
    monkeypatch.setattr(environment, "facts", lambda: found)
    environment.opened.cache_clear()
    yield f"backend 'cupy': {expected}"
    environment.opened.cache_clear()


def test_fit_never_runs_elsewhere(lacking):
    model = Sequential([Dense(1, input_dim=2)])
    model.compile("sgd", "mse")
    before = model.get_weights()
    for settings in ({"backend": "cupy"}, {"device": "cuda"}, {"backend": "cupy", "device": "cuda:0"}):
        with pytest.raises(DeviceError) as raised:
            model.fit(np.eye(2), [0.0, 1.0], verbose=0, **settings)
        assert str(raised.value) == lacking
        assert raised.value.exit_code == 69
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_list_of_backends_says_why(lacking):
    assert deepmath.backends()["cupy"] == lacking


def test_the_command_prints_one_line(lacking, tmp_path):
    arguments = ["train", "xor", "--epochs", "1", "--backend", "cupy", "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(commands, arguments)
    assert done.exit_code == 69
    assert done.stderr == f"deepmath: error: {lacking}\n"


def test_contradictions_of_device_and_backend():
    with pytest.raises(ConfigError, match="backend 'cupy' computes on a CUDA device; got device 'cpu'"):
        load_backend("cupy", "cpu")
    with pytest.raises(ConfigError, match="backend 'numpy' computes on the CPU; got device 'cuda'"):
        load_backend("numpy", "cuda")


def test_doctor_says_how_cuda_stands(lacking):
    rows = dict(report.rows(environment.facts()))
    assert list(rows) == ["device", "driver", "cupy", "nvrtc", "cublasLt", "tf32", "memory"]
    assert f"backend 'cupy': {rows['device'].removeprefix('none: ')}" == lacking
    assert rows["memory"] == "unknown without a device"
    said = CliRunner().invoke(commands, ["doctor"]).output
    assert rows["device"] in " ".join(said.split())


def test_doctor_with_a_device(shim, monkeypatch):
    monkeypatch.setattr(environment, "opened", lambda index: shim)
    monkeypatch.setenv("CUPY_TF32", "1")
    rows = dict(report.rows(Facts(("cupy-cuda13x",), 13010, H200, None, 13)))
    assert rows["cuda:0"] == "NVIDIA H200"
    assert rows["driver"] == "runs CUDA 13.1"
    assert rows["memory"] == "8.0 GiB free of 8.0 GiB"
    assert "CUPY_TF32" in rows["tf32"]


def test_asking_for_the_backend_imports_no_cupy():
    program = (
        "import sys, deepmath_cupy, deepmath_cupy.environment as e\n"
        "e.fault(e.facts(), 0)\n"
        "print([m for m in ('cupy', 'llvmlite') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
