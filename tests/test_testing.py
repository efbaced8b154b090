"""The checks of deepmath.testing find what is wrong."""

import array_api_strict
import numpy as np
import pytest

from deepmath import activations
from deepmath.testing import assert_close, check_pullback

RNG = np.random.default_rng(0)


def test_arrays_of_any_library_and_mappings_are_compared():
    x = RNG.standard_normal((3, 2))
    assert assert_close(array_api_strict.asarray(x), x) == 0.0
    assert 0.0 < assert_close({"a": x, "b": x + 1e-13}, {"a": x, "b": x}) < 1e-12
    assert_close(np.float32(x), x)


WRONG = [
    ([1.0, 2.0], [1.0], r"shape \(2,\) instead of \(1,\)"),
    ([1.0, np.nan], [1.0, 2.0], r"at \[1\]: nan instead of 2.0"),
    ([1.0, np.inf], [1.0, -np.inf], r"at \[1\]: inf instead of -inf"),
    ([1.0, 2.0], [1.0, np.nan], r"at \[1\]: 2.0 instead of nan"),
    ([1e-9], [0.0], r"at \[0\]: 1e-09 instead of 0.0, an error of 1e-09; at most 1e-11"),
    ([1000.0], [1000.0 + 1e-7], "at most 1e-11"),
]


@pytest.mark.parametrize(("found", "expected", "text"), WRONG)
def test_what_differs_is_named(found, expected, text):
    with pytest.raises(AssertionError, match=text):
        assert_close(np.asarray(found), np.asarray(expected))


def test_whole_numbers_must_be_equal_and_names_the_same():
    with pytest.raises(AssertionError, match="at most 0 is allowed"):
        assert_close(np.asarray([1, 2]), np.asarray([1, 3]))
    with pytest.raises(AssertionError, match=r"\['a'\] instead of \['b'\]"):
        assert_close({"a": np.zeros(1)}, {"b": np.zeros(1)})


@pytest.mark.parametrize("name", [n for n in activations.names() if "relu" not in n and "hard" not in n])
def test_hand_written_derivatives_pass(name):
    row = activations.get(name)
    z = RNG.uniform(0.2, 2.0, (4, 3)) * RNG.choice([-1.0, 1.0], (4, 3))

    def pullback(xp, z, dy):
        return row.backward()(xp, z, row.value(xp, z, *row.constants), dy, *row.constants)

    assert check_pullback(lambda xp, z: row.value(xp, z, *row.constants), [z], pullback) < 1e-8


def test_the_graphs_derivative_by_elements_and_columns_passes():
    def formula(xp, x, b, size):
        return size * xp.tanh(x + b) * xp.exp(-x * b)

    assert check_pullback(formula, [RNG.standard_normal((4, 3)), RNG.standard_normal(3), 1.7]) < 1e-8


def test_a_wrong_derivative_is_found_at_its_place():
    x = RNG.standard_normal((2, 2))
    with pytest.raises(AssertionError, match="the gradient by argument 1 at"):
        check_pullback(lambda xp, x, y: x * xp.sin(y), [x, x], lambda xp, x, y, dy: (dy * xp.sin(y), dy * x))
    with pytest.raises(AssertionError, match="the pullback gives 1 gradients of 2 arguments"):
        check_pullback(lambda xp, x, y: x * y, [x, x], lambda xp, x, y, dy: dy * y)
