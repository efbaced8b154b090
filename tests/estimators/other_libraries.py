"""scikit-learn's array-API checks of both estimators, in a process that has the switches set; prints how many ran.

Beyond the checks: values agree with NumPy's, and attributes lie where X lies.
"""

import os

os.environ |= {"SCIPY_ARRAY_API": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import sys
import traceback
import warnings
from collections import Counter
from unittest import SkipTest

import array_api_strict
import numpy as np
import torch
from array_api_compat import device
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split
from sklearn.utils.estimator_checks import _yield_array_api_checks

from deepmath.estimators import MLPClassifier, MLPRegressor


def run_checks(estimator, counts):
    for check in _yield_array_api_checks(estimator):
        settings = {k: str(v) for k, v in check.keywords.items()}
        try:
            check(type(estimator).__name__, estimator)
        except SkipTest:
            continue
        except Exception:
            counts["failed"] += 1
            print(settings, file=sys.stderr)
            traceback.print_exc()
        for library in ("torch", "array_api_strict"):
            counts[library] += any(library in v for v in settings.values())


def compare(estimator, xp, where):
    X, y = make_classification(n_samples=80, n_features=6, random_state=0)
    X, X_test, y, _ = train_test_split(X, y, random_state=0)
    ours = clone(estimator).fit(X, y)
    there = clone(estimator)
    with config_context(array_api_dispatch=True):
        there.fit(xp.asarray(X, device=where), xp.asarray(y, device=where))
        p = there.predict(xp.asarray(X_test, device=where))
        score = there.score(xp.asarray(X, device=where), xp.asarray(y, device=where))
    for value in (*there.coefs_, *there.intercepts_, p):
        assert type(value) is type(xp.asarray(1.0, device=where))
        assert device(value) == device(xp.asarray(X, device=where))
    host = [np.asarray(torch.as_tensor(v) if xp is torch else v.to_device(array_api_strict.Device("CPU_DEVICE")))
            for v in (there.coefs_[0], p)]  # fmt: skip
    np.testing.assert_allclose(host[0], ours.coefs_[0], atol=1e-9)
    np.testing.assert_allclose(host[1], ours.predict(X_test), atol=1e-9)
    assert isinstance(score, float)


def main():
    warnings.simplefilter("ignore")
    counts = Counter(failed=0, torch=0, array_api_strict=0, values=0)
    estimators = [MLPClassifier(max_iter=10, random_state=0), MLPRegressor(max_iter=10, random_state=0)]
    for estimator in estimators:
        run_checks(estimator, counts)
        early = clone(estimator).set_params(early_stopping=True, scale="standard", normalization="batch")
        for other in (estimator, early):
            for xp, where in ((torch, "cpu"), (array_api_strict, array_api_strict.Device("device1"))):
                compare(other, xp, where)
                counts["values"] += 1
    for name, count in counts.items():
        print(name, count)


main()
