"""The command as a process of its own: signals, pipes, and a missing click."""

import signal
import subprocess
import sys

import pytest

import deepmath as dm

MAIN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from deepmath.cli import main; main()"
"""A process begun in the background may ignore Ctrl-C; a command in a terminal doesn't."""


def start(folder, *args, code=MAIN):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code, *map(str, args)], cwd=folder, **pipes)


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_saves_what_was_learned(number, code, word, tmp_path):
    process = start(tmp_path, "train", "circles", "--epochs", 10**7, "--out", "run")
    for line in process.stdout:
        if line.startswith("epoch 1/"):
            break
    process.send_signal(number)
    _, error = process.communicate(timeout=120)
    assert process.returncode == code
    last = error.splitlines()[-1]
    assert last.startswith(f"deepmath: {word} in epoch ")
    assert last.endswith("what was learned so far is in run. Go on with: deepmath train --resume run")
    assert "Traceback" not in error
    folder = tmp_path / "run"
    epochs = len((folder / "history.csv").read_text().splitlines()) - 1
    assert epochs >= 1
    assert dm.load_model(folder / "model.safetensors").get_weights()[0].shape == (2, 4)
    for name in ("config.toml", "curves.png", "regions.png"):
        assert (folder / name).exists()

    again = start(tmp_path, "train", "--resume", "run", "--epochs", epochs + 2, "--quiet")
    assert again.communicate(timeout=120) == ("", "")
    assert len((folder / "history.csv").read_text().splitlines()) - 1 == epochs + 2


def test_without_click_one_line_says_what_to_install(tmp_path):
    code = "import sys; sys.modules['click'] = None; from deepmath.cli import main; main()"
    process = start(tmp_path, "--version", code=code)
    out, error = process.communicate(timeout=120)
    assert (process.returncode, out) == (69, "")
    assert error == "deepmath: the command needs the package 'click': pip install 'deepmath[cli]'\n"


def test_the_package_does_not_load_click(tmp_path):
    code = "import sys, deepmath, deepmath.cli; print(sorted({'click', 'rich', 'matplotlib'} & set(sys.modules)))"
    assert start(tmp_path, code=code).communicate(timeout=120) == ("[]\n", "")


def test_the_module_is_the_command(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "deepmath.cli", "--version"], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"deepmath {dm.__version__}\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
def test_a_reader_that_goes_away_is_no_error(tmp_path):
    trained = start(tmp_path, "train", "xor", "--epochs", 1, "--out", "run", "--quiet")
    assert trained.communicate(timeout=120) == ("", "")
    process = start(tmp_path, "predict", "run", "circles")
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=120)
    assert "Traceback" not in error
    assert "error:" not in error
