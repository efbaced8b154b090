"""scikit-learn's checks of an estimator: all of them, with nothing expected to fail."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
from sklearn.utils.estimator_checks import parametrize_with_checks

from deepmath.estimators import MLPClassifier, MLPRegressor

ESTIMATORS = [MLPClassifier(max_iter=100), MLPRegressor(max_iter=100)]  # as scikit-learn checks its own
HERE = Path(__file__).parent


CHECKS = parametrize_with_checks(ESTIMATORS)
IN_THIS_PROCESS = [p for p in CHECKS.args[1] if "array_api" not in str(p)]  # the others are below


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(CHECKS.args[0], IN_THIS_PROCESS, ids=CHECKS.kwargs["ids"])
def test_the_contract(estimator, check):
    check(estimator)


def test_nothing_is_expected_to_fail():
    assert len(IN_THIS_PROCESS) > 110
    assert not [p for p in IN_THIS_PROCESS if getattr(p, "marks", ())]


def test_the_contract_on_other_libraries():
    """scikit-learn lets other libraries' arrays through only where SciPy was loaded with a switch."""
    pytest.importorskip("torch")
    pytest.importorskip("array_api_strict")
    done = subprocess.run([sys.executable, HERE / "other_libraries.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts = dict(line.split() for line in done.stdout.splitlines())
    assert counts["failed"] == "0", done.stderr
    assert int(counts["torch"]) >= 2
    assert int(counts["array_api_strict"]) >= 6
    assert int(counts["values"]) == 8
