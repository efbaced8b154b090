"""What comes in and out: array libraries, dtypes, odd layouts, and the texts of errors."""
# ruff: noqa: E501 - a message stands in one line, to be found by its text

import array_api_compat
import array_api_strict
import jax
import numpy as np
import pytest
import torch

from deepmath.errors import ConfigError, NumericError
from deepmath.preprocessing import Chain, MinMax, PCAWhitening, SmoothClip, Standardize, ZCAWhitening

KINDS = [
    Standardize(), MinMax(-1.0, 1.0), PCAWhitening(), ZCAWhitening(),
    Chain([Standardize(), MinMax()]), Chain([Standardize(), SmoothClip()]),
]  # fmt: skip
LIBRARIES = {
    "strict": array_api_strict.asarray,
    "strict on device1": lambda x: array_api_strict.asarray(x, device=array_api_strict.Device("device1")),
    "torch": torch.asarray,
    "jax": jax.numpy.asarray,
}


def data(dtype="float64"):
    x = np.random.default_rng(0).standard_normal((40, 3)) * [1.0, 10.0, 0.1] + [0.0, 500.0, -3.0]
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_the_result_is_in_the_library_dtype_and_device_of_the_input(kind, library, dtype):
    host = data(dtype)
    with jax.enable_x64(dtype == "float64"):
        X = LIBRARIES[library](host)
        fitted = kind.fit(X)
        Y = fitted.apply(X)
        back = fitted.invert(Y)
    reference = kind.fit(host)
    for name, value in reference.values().items():  # the host does the sums: bits are equal
        same = np.array_equal(fitted.values()[name], value)
        assert same or (name.startswith("1.") and np.allclose(fitted.values()[name], value, rtol=1e-6)), name
    for got, want in ((Y, reference.apply(host)), (back, host)):
        assert type(got) is type(X)
        assert str(got.dtype) == str(X.dtype)
        assert array_api_compat.device(got) == array_api_compat.device(X)
        host_got = np.asarray(got.to_device(array_api_strict.Device("CPU_DEVICE")) if "strict" in library else got)
        scale = np.abs(want).max(axis=0)
        assert np.all(np.abs(host_got - want) <= (1e-13 if dtype == "float64" else 2e-6) * np.maximum(1.0, scale))


def test_a_library_with_float32_only_loses_no_digit_to_the_offset():
    X = (1e6 + np.random.default_rng(0).standard_normal((200, 1))).astype(np.float32)
    Z = np.asarray(Standardize().fit(X).apply(jax.numpy.asarray(X)))
    assert not jax.config.jax_enable_x64
    np.testing.assert_allclose(Z, Standardize().fit(X).apply(X), rtol=1e-6, atol=2e-8)


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_dtypes(kind):
    X = data()
    for dtype, given in (("float16", "float16"), (">f4", "float32"), ("int32", "float64"), ("uint8", "float64")):
        x = np.abs(X).astype(dtype)
        Y = kind.fit(x).apply(x)
        assert Y.dtype == np.dtype(given)
        expected = kind.fit(x.astype(np.float64)).apply(x.astype(np.float64))
        # written in float16, what scatters less than its rounding is taken for rounding
        if dtype != "float16" or not isinstance(kind, PCAWhitening | ZCAWhitening):
            np.testing.assert_allclose(Y, expected, atol=5e-3 if dtype == "float16" else 1e-5)
    half = torch.asarray(X).to(torch.bfloat16)
    assert kind.fit(half).apply(half).dtype == torch.bfloat16
    assert kind.fit(X > 0).apply(X > 0).dtype == np.float64
    assert kind.fit(X.tolist()).apply(X.tolist()).dtype == np.float64


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_layouts(kind):
    X = data()
    expected = kind.fit(X).apply(X)
    padded = np.full((80, 6), np.nan)
    padded[::2, ::2] = X
    frozen = X.copy()
    frozen.flags.writeable = False
    for x in (np.asfortranarray(X), padded[::2, ::2], X[::-1][::-1], frozen):
        fitted = kind.fit(x)
        assert np.array_equal(fitted.apply(x), expected) or isinstance(kind, PCAWhitening | ZCAWhitening)
        np.testing.assert_allclose(fitted.apply(x), expected, rtol=1e-12, atol=1e-14)
    assert np.array_equal(X, data())


TEXTS = [
    (lambda s: s.fit(np.asarray([1.0, 2.0])), ConfigError, "Standardize(): X must be 2D [rows, features]; got 1D with shape (2,). Reshape it using X.reshape(-1, 1) (one feature) or X.reshape(1, -1) (one sample)."),
    (lambda s: s.fit(np.zeros((2, 3, 4))), ConfigError, "Standardize(): X must be 2D [rows, features]; got 3D with shape (2, 3, 4). Lay each sample out in a row using X.reshape(len(X), -1)."),
    (lambda s: s.fit(np.zeros((0, 3))), ConfigError, "Standardize(): X needs at least 1 row and 1 feature; got shape (0, 3)"),
    (lambda s: s.fit(np.zeros((3, 0))), ConfigError, "Standardize(): X needs at least 1 row and 1 feature; got shape (3, 0)"),
    (lambda s: s.fit([["red"], ["blue"]]), ConfigError, "Standardize(): X has dtype <U4; expected real numbers; it holds text ('red'). Encode text as numbers, or give a data frame."),
    (lambda s: s.fit(np.zeros((2, 2), complex)), ConfigError, "Standardize(): X has dtype complex128; expected real numbers. Give real and imaginary parts as columns of their own."),
    (lambda s: s.fit([[1.0, 2.0], [3.0, np.nan]]), NumericError, "Standardize(): X contains NaN (first at row 1, column 1; 1 value). Impute or drop it."),
    (lambda s: s.fit(torch.asarray([[torch.inf, torch.nan]])), NumericError, "Standardize(): X contains infinity (first at row 0, column 0; 2 values). Clip or drop it."),
    (lambda s: s.fit([[1e308], [-1e308]]), NumericError, "Standardize(): the numbers in column 0 of X are too large: their differences must stay below 1.8e308. Use a larger unit."),
    (lambda s: s.fit([[1.0, 2.0]]).apply([[1.0]]), ConfigError, "Standardize(): X has 1 features, but it was fitted on 2. Pass the same features."),
    (lambda s: s.fit([[1.0, 2.0]]).partial_fit([[1.0]]), ConfigError, "Standardize(): X has 1 features, but it was fitted on 2. Pass the same features."),
    (lambda s: s.fit([[1.0, 2.0]]).invert([[1.0]]), ConfigError, "Standardize().invert: Y has 1 features, but it was fitted on 2. Pass the same features."),
    (lambda s: s.apply([[1.0]]), ConfigError, "Standardize() is not fitted, so it can't be applied. Use fitted = Standardize().fit(X_train), then fitted.apply(X)."),
    (lambda s: s.invert([[1.0]]), ConfigError, "Standardize() is not fitted, so it can't be applied. Use fitted = Standardize().fit(X_train), then fitted.apply(X)."),
    (lambda s: s.fit_batches([]), ConfigError, "Standardize(): fit_batches needs at least one batch; got none"),
    (lambda s: PCAWhitening().fit_batches([]), ConfigError, "PCAWhitening(components=None): fit_batches needs at least one batch; got none"),
    (lambda s: s.fit([[1.0]]).merge(s.fit([[1.0, 2.0]])), ConfigError, "Standardize(): merge takes a value fitted on 1 features; got 2"),
    (lambda s: s.fit([[1.0]]).merge(MinMax().fit([[1.0]])), ConfigError, "Standardize(): merge takes another fitted Standardize(); got MinMax(low=0.0, high=1.0)"),
    (lambda s: s.fit([[1.0]]).merge(3), ConfigError, "Standardize(): merge takes another fitted Standardize(); got 3"),
    (lambda s: PCAWhitening(0), ConfigError, "PCAWhitening: components must be a whole number >= 1; got 0"),
    (lambda s: PCAWhitening(1.5), ConfigError, "PCAWhitening: components must be a whole number >= 1; got 1.5"),
    (lambda s: PCAWhitening(3).fit([[1.0, 2.0]]), ConfigError, "PCAWhitening(components=3): components must be <= the 2 features of X; got 3"),
    (lambda s: Chain([]), ConfigError, "Chain: steps must be preprocessings such as [Standardize()]; got []"),
    (lambda s: Chain(s), ConfigError, "Chain: steps must be preprocessings such as [Standardize()]; got Standardize()"),
    (lambda s: Chain([s, MinMax()]).fit([[1.0]]).partial_fit([[1.0]]), ConfigError, "Chain(steps=(Standardize(), MinMax(low=0.0, high=1.0))): a chain can't be fitted further, because each step sees what the steps before it give. Use fit_batches(list of batches)."),
    (lambda s: Chain([s, s]).fit_batches(iter([[[1.0]]])), ConfigError, "Chain(steps=(Standardize(), Standardize())): fit_batches goes through the batches 2 times; pass a list"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_texts_of_errors(number):
    call, kind, text = TEXTS[number]
    with pytest.raises(kind) as error:
        call(Standardize())
    assert str(error.value) == text
