"""Inside somebody's application: its types, what it loads, and what it needs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import deepmath

APPLICATION = Path(__file__).parent / "application.py"
PLACES = [str(Path(deepmath.__file__).parents[1]), str(Path(deepmath.__file__).parents[1] / "backends")]


def run(*command, cwd=None):
    one = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=one, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_application_runs():
    pytest.importorskip("sklearn")
    code, told = run(sys.executable, str(APPLICATION))
    assert code == 0, told
    assert told.splitlines()[-1] == "True 2"


@pytest.fixture
def folder(tmp_path):
    """The application, and the same with one argument of a wrong type."""
    text = APPLICATION.read_text(encoding="utf-8")
    (tmp_path / "application.py").write_text(text, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(text.replace("tol=0.0", 'tol="none"'), encoding="utf-8")
    return tmp_path


@pytest.mark.slow  # mypy reads NumPy's types anew: 25 s; pyright below is the short form
def test_mypy_finds_nothing_in_the_application(folder):
    pytest.importorskip("mypy")
    (folder / "mypy.ini").write_text(f"[mypy]\nstrict = true\nmypy_path = {':'.join(PLACES)}\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", "application.py", "wrong.py"]
    _, told = run(*command, cwd=folder)
    *errors, last = told.splitlines()
    assert last.startswith("Found 1 error in 1 file"), told
    assert errors[0].startswith("wrong.py:")
    assert 'Argument "tol" to "MLPRegressor" has incompatible type "str"; expected "float"' in errors[0]


def test_pyright_finds_nothing_in_the_application(folder):
    pytest.importorskip("pyright")
    pyright = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    if run(*pyright, "--version")[0]:
        pytest.skip("pyright can't run here: it fetches its program from the network the first time")
    (folder / "pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "strict", "extraPaths": PLACES}), encoding="utf-8"
    )
    _, told = run(*pyright, "-p", str(folder), cwd=folder)
    errors = [line for line in told.splitlines() if " - error: " in line]
    assert errors, told
    assert all("wrong.py" in line for line in errors), told
    assert '"tol"' in told


def test_scikit_learn_is_loaded_when_estimators_are_asked_for():
    seen = "'sklearn' in sys.modules"
    code, told = run(sys.executable, "-c", f"import sys, deepmath; print({seen}); deepmath.estimators; print({seen})")
    assert code == 0, told
    assert told.split() == ["False", "True"]


def test_without_scikit_learn_one_line_says_what_to_install():
    code, told = run(sys.executable, "-c", "import sys; sys.modules['sklearn'] = None; import deepmath.estimators")
    assert code == 1
    assert told.splitlines()[-1].endswith("estimators need the package 'sklearn': pip install 'deepmath[sklearn]'")
