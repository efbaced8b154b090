"""Fitted values go to a file and come back; what doesn't fit is refused."""
# ruff: noqa: E501 - a message stands in one line, to be found by its text

import json

import numpy as np
import pytest

from deepmath import storage
from deepmath.descriptions import config_of, from_config
from deepmath.errors import ConfigError, FormatError
from deepmath.preprocessing import Chain, MinMax, PCAWhitening, SmoothClip, Standardize, ZCAWhitening, pack, unpack

KINDS = [
    Standardize(),
    MinMax(-1.0, 1.0),
    PCAWhitening(),
    PCAWhitening(2),
    ZCAWhitening(),
    SmoothClip(),
    Chain([Standardize(), PCAWhitening(2), MinMax()]),
]


def data(n=40):
    return np.random.default_rng(n).standard_normal((n, 3)) * [1.0, 10.0, 0.1] + [0.0, 500.0, -3.0]


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_round_trip(kind, tmp_path):
    assert from_config(json.loads(json.dumps(config_of(kind))), {}) == kind
    fitted = kind.fit(data())
    config, values = pack(fitted)
    assert all(v.dtype == np.float64 and n.startswith("preprocessing.") for n, v in values.items())
    storage.save(tmp_path / "f", {**values, "params.0.kernel": np.ones(2)}, {"preprocessing": config})
    stored = storage.load(tmp_path / "f")
    again = unpack(stored.settings["preprocessing"], stored.values)
    assert again.transform == kind
    assert (again.features, again.outputs) == (fitted.features, fitted.outputs)
    np.testing.assert_array_equal(again.apply(data(9)), fitted.apply(data(9)))
    np.testing.assert_array_equal(again.invert(fitted.apply(data(9))), fitted.invert(fitted.apply(data(9))))
    for (name, value), (other, got) in zip(fitted.values().items(), again.values().items(), strict=True):
        assert name == other
        np.testing.assert_allclose(got, value, rtol=4e-16)
    if not isinstance(kind, Chain):
        more = again.partial_fit(data(17))
        np.testing.assert_allclose(more.apply(data(5)), fitted.partial_fit(data(17)).apply(data(5)), rtol=1e-12)


def test_two_prefixes_live_in_one_file():
    inputs, targets = Standardize().fit(data()), Standardize().fit(data()[:, :1] * 7)
    (a, values), (b, more) = pack(inputs), pack(targets, "target.")
    both = values | more
    assert unpack(a, both).features == 3
    assert unpack(b, both, prefix="target.").scale == targets.scale


def test_a_chain_by_batches_is_the_chain_at_once():
    kind = Chain([Standardize(), ZCAWhitening(), MinMax()])
    X = data(90)
    by_batches = kind.fit_batches([X[:20], X[20:21], X[21:]])
    np.testing.assert_allclose(by_batches.apply(X), kind.fit(X).apply(X), atol=1e-12)
    np.testing.assert_allclose(by_batches.invert(by_batches.apply(X)), X, rtol=1e-11, atol=1e-9)


def test_a_chain_of_one_step_can_be_fitted_further():
    kind = Chain([Standardize()])
    X = data(30)
    further = kind.fit(X[:10]).partial_fit(X[10:])
    np.testing.assert_allclose(further.apply(X), Standardize().fit(X).apply(X), atol=1e-13)


BROKEN = [
    (Standardize(), lambda v: v.pop("mean"), "expected the values deviation, mean, rest, rows; got deviation, rest, rows"),
    (Standardize(), lambda v: v.update(x=np.zeros(3)), "expected the values"),
    (Standardize(), lambda v: v.update(mean=np.zeros(4)), "disagree about the number of features"),
    (Standardize(), lambda v: v.update(mean=np.zeros((3, 1))), "'mean' must be finite float64 with 1 axes"),
    (Standardize(), lambda v: v.update(mean=np.zeros(3, np.float32)), "'mean' must be finite float64 with 1 axes; got float32"),
    (Standardize(), lambda v: v.update(deviation=np.full(3, np.nan)), "'deviation' must be finite"),
    (Standardize(), lambda v: v.update(deviation=-np.ones(3)), "'deviation' must be >= 0"),
    (Standardize(), lambda v: v.update(rows=np.asarray(0.0)), "'rows' must be >= 1"),
    (Standardize(), lambda v: v.update({n: np.zeros(0) for n in ("mean", "rest", "deviation")}), "disagree"),
    (MinMax(), lambda v: v.update(least=np.full(3, 1e9)), "'least' must not be above 'most'"),
    (PCAWhitening(), lambda v: v.update(basis=np.zeros((3, 2))), "'basis' has 2 axes, 'deviations' has 3"),
    (PCAWhitening(), lambda v: v.update(basis=np.zeros((2, 3))), "disagree"),
    (ZCAWhitening(), lambda v: v.update(deviations=np.asarray([1.0, 2.0, 3.0])), "'deviations' must fall"),
    (ZCAWhitening(), lambda v: v.update(eps=np.asarray(-1.0)), "'eps' must be >= 0"),
    (Chain([Standardize()]), lambda v: v.update({"1.mean": np.zeros(3)}), "value '1.mean' belongs to none of the 1 steps"),
    (Chain([Standardize()]), lambda v: v.update({"mean": np.zeros(3)}), "value 'mean' belongs to none"),
    (Chain([Standardize(), MinMax()]), lambda v: v.update({"1.least": np.zeros(2), "1.most": np.ones(2)}), "3 outputs of a step meet 2 features"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BROKEN)))
def test_values_that_do_not_fit_are_refused(number):
    kind, harm, text = BROKEN[number]
    values = kind.fit(data()).values()
    harm(values)
    with pytest.raises(FormatError) as error:
        kind.from_values(values)
    assert text in str(error.value)
    assert str(error.value).startswith(repr(kind))


def test_a_description_of_something_else_is_refused():
    with pytest.raises(FormatError, match=r"must be a description of deepmath\.preprocessing; got None"):
        unpack(None, {})
    with pytest.raises(ConfigError, match=r"unknown class 'os\.system'"):
        unpack({"class": "os.system"}, {})
    with pytest.raises(FormatError, match="must be a description"):
        unpack({"class": "L2", "l": 0.1}, {})
