"""Smooth clipping: nearly nothing happens to small numbers, and no number leaves the interval."""

import mpmath
import numpy as np
import pytest
from exporting import by_numpy, by_onnx

import deepmath as dm
from deepmath.errors import ConfigError, FormatError
from deepmath.export import exported
from deepmath.preprocessing import Chain, SmoothClip, Standardize


@pytest.mark.parametrize("limit", [0.5, 3.0, 1e6])
def test_it_is_the_formula_at_any_size(limit):
    X = np.array([0.0, 1e-300, -0.3, 2.9, 3.0, -40.0, 1e9, 1e154, -1.7e308])
    found = SmoothClip(limit).fit(X[:, None]).apply(X[:, None])[:, 0]
    for x, y in zip(X.tolist(), found.tolist(), strict=True):
        exact = mpmath.mpf(x) / mpmath.sqrt(1 + (mpmath.mpf(x) / limit) ** 2)
        assert abs(y - exact) <= 4 * 2.0**-52 * abs(exact)
    assert np.all(np.abs(found) <= limit)


def test_there_is_a_way_back_from_within_the_interval():
    X = np.linspace(-50, 50, 101)[:, None]
    fitted = SmoothClip().fit(X)
    np.testing.assert_allclose(fitted.invert(fitted.apply(X)), X, rtol=1e-12, atol=1e-12)
    with pytest.raises(ConfigError, match=r"SmoothClip\(limit=3.0\).invert: Y must lie between -3 and 3"):
        fitted.invert([[3.0]])


def test_settings_and_values_are_checked():
    with pytest.raises(ConfigError, match="SmoothClip: limit must be a number > 0; got 0"):
        SmoothClip(0)
    with pytest.raises(FormatError, match="'limits' must be 3.0 for each feature"):
        SmoothClip().from_values({"limits": np.array([3.0, 2.0])})


def test_it_travels_with_exports():
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((40, 3)) ** 3 * 10).astype(np.float32)
    fitted = Chain([Standardize(), SmoothClip()]).fit(X)
    model = dm.Sequential([dm.Dense(2, "relu", input_dim=3), dm.Dense(1)], preprocessing=fitted)
    model.compile("sgd", "mse")
    wanted = model.predict(X, backend="reference")
    for form, run in (("python", by_numpy), ("onnx", by_onnx)):
        np.testing.assert_allclose(run(exported(model, form), X), wanted, rtol=2e-5, atol=1e-6)
