"""`deepmath check`."""

from dataclasses import replace

import pytest

from deepmath import activations
from deepmath.cli.check import Meter


def test_the_digits_network_on_real_data(deepmath):
    result = deepmath("check", "digits", "--rows", "20")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "data     digits: 20 rows of 1,797"
    assert lines[1] == "network  64-64-10: relu, softmax output, 4,810 parameters"
    assert "the gradient is right" in lines
    assert any("layer 1 (Activation relu): inputs" in line for line in lines)


def test_a_csv_file_and_another_network(good, flowers):
    page = good("check", flowers, "--hidden", "5", "--batch-norm", "--l2", "0.1", "--activation", "gelu")
    assert "the gradient is right" in page
    assert "penalty L2 on 0.kernel" in page
    assert "BatchNormalization" in page
    assert good("check", flowers, "--quiet", "--rows", "10") == "the gradient is right\n"


def test_a_wrong_gradient_is_named_and_the_exit_code_tells(deepmath, monkeypatch):
    wrong = replace(activations.get("tanh"), slope=lambda xp, z, y: 1.0 - y)
    monkeypatch.setattr(activations._TABLE, "_rows", {**activations._TABLE._rows, "tanh": wrong})
    result = deepmath("check", "xor", "--quiet")
    assert result.exit_code == 1
    assert result.stdout == "WRONG: layer 1 (Activation tanh): inputs\n"


def test_progress_is_told_now_and_then(capsys, monkeypatch):
    seconds = iter([0.0, 1.0, 2.5, 3.0, 5.0])
    monkeypatch.setattr("deepmath.cli.check.time.monotonic", lambda: next(seconds))
    meter = Meter()
    for done in range(1, 5):
        meter("0.kernel", done, 9)
    assert capsys.readouterr().err.splitlines() == [
        "deepmath: checking 0.kernel: 2 of 9", "deepmath: checking 0.kernel: 4 of 9",
    ]  # fmt: skip


@pytest.mark.parametrize(("data", "code"), [("nothing", 2), ("no.csv", 66)])
def test_failures_are_one_line(failing, data, code):
    assert failing("check", data)[0] == code
