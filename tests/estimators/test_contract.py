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


@pytest.mark.filterwarnings("default")
@parametrize_with_checks(ESTIMATORS)
def test_the_contract(estimator, check):
    if "array_api" in str(check):
        pytest.skip("needs a process of its own: see below")
    check(estimator)


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
