"""The script for the day with a device, run here in a small form on the shim, so that it can't fail on a slip."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from deepmath_cupy import environment
from deepmath_cupy.environment import Facts

from deepmath.cli.app import commands
from deepmath.errors import DeviceError

SCRIPT = Path(__file__).parents[2] / "bench" / "on_gpu.py"


@pytest.fixture
def script(monkeypatch, tmp_path):
    """The module, with small networks; what it would start is only written down."""
    spec = importlib.util.spec_from_file_location("on_gpu", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.asked = []

    started = subprocess.run

    def run(command, **settings):
        if command[:2] != [sys.executable, "-m"]:  # the compiler of the shim
            return started(command, **settings)
        assert settings["timeout"] > 0
        module.asked.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(module.subprocess, "run", run)
    monkeypatch.setattr(module.result, "commit", lambda: "0123abc")
    monkeypatch.setattr(module, "NETWORKS", {"A": ((6,), 5, 3, 16, 40)})
    monkeypatch.setattr(module, "PRECISIONS", dict(list(module.PRECISIONS.items())[::2]))
    monkeypatch.setattr(sys, "argv", ["bench/on_gpu.py", "--results", str(tmp_path)])
    return module


@pytest.fixture
def machine(shim, monkeypatch):
    monkeypatch.setattr(environment, "opened", lambda index: shim)
    monkeypatch.setattr(environment, "facts", lambda: Facts(("cupy-cuda13x",), 13000, ("Shim",), None, 13))
    return shim


def test_all_parts_run_in_their_order(script, machine, tmp_path, capsys):
    assert script.main() == 0
    said = capsys.readouterr().out
    parts = ["== machine", "== agreement", "== A", "== tests", "== comparison"]
    assert sorted(parts, key=said.index) == parts
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["device"]["cuda:0"] == "Shim"
    assert found["commit"] == "0123abc"
    assert {"deepmath", "numpy"} <= found["versions"].keys()
    assert [row["precision"] for row in found["agreement"]] == list(script.PRECISIONS)
    assert all(row["right"] and row["same bits"] for row in found["agreement"])
    assert [row["network"] for row in found["speed"]] == ["A"] * len(script.PRECISIONS)
    assert [c["status"] for c in found["commands"]] == [0, 0]
    assert "| A | float32 |" in (tmp_path / "gpu.md").read_text()


def test_what_it_starts_can_be_started(script, machine):
    script.main()
    tests, bench = (command[2:] for command in script.asked)
    assert tests[0] == "pytest"
    assert Path(tests[-1]).is_dir()
    assert bench[:2] == ["deepmath.cli", "bench"]
    context = commands.commands["bench"].make_context("bench", bench[2:])  # raises where an option is unknown
    assert context.params["backend"] == "cupy,numpy"
    assert context.params["peers"]


def test_an_error_of_a_part_ends_that_part_alone(script, machine, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(script, "agrees", lambda run, precision: 1 / 0)
    assert script.main() == 1
    assert "failed: ZeroDivisionError" in capsys.readouterr().out
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["commands"][0] == {"name": "agreement", "error": "ZeroDivisionError: division by zero"}
    assert found["speed"]


def test_a_wrong_result_is_a_failure(script, machine, monkeypatch):
    monkeypatch.setattr(script, "PRECISIONS", {"bf16": 1e-9})
    assert script.main() == 1


def test_time_that_is_over_leaves_out_the_rest(script, machine, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["bench/on_gpu.py", "--minutes", "0", "--results", str(tmp_path)])
    assert script.main() == 0
    assert capsys.readouterr().out.count("left out, the time is over") == 5
    assert script.asked == []


def test_without_a_device_it_says_why_and_measures_nothing(script, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(environment, "facts", lambda: Facts())
    environment.opened.cache_clear()
    assert script.main() == DeviceError.exit_code
    assert "CuPy is not installed" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
