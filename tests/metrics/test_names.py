"""What results are called, and which of them are better."""

import pytest

from deepmath import metrics
from deepmath.errors import ConfigError
from deepmath.metrics import Metric, TopKAccuracy, directions


def test_every_built_in_metric_knows_which_is_better():
    lower = {"mse", "mae", "log_loss", "binary_crossentropy", "categorical_crossentropy"}
    for name in metrics.names():
        assert metrics.get(name).better == ("lower" if name in lower else "higher"), name
    for outputs in (1, 3):
        assert metrics.resolve("accuracy", outputs).better == "higher"
        assert metrics.resolve("log_loss", outputs).better == "lower"
    assert TopKAccuracy(2).better == "higher"


def test_an_own_metric_says_which_is_better_or_nobody_knows():
    def layer2_err(xp, p, d):
        return xp.max(xp.abs(p - d), axis=-1, keepdims=True)

    kappa = Metric("kappa", lambda xp, p, d, index: p - d, better="higher")
    measures = [metrics.get(layer2_err), kappa, metrics.get("f1")]
    assert directions(measures) == {
        "loss": "lower", "cost": "lower", "layer2_err": None, "kappa": "higher", "f1": "higher"
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"^Metric: better must be 'higher', 'lower' or None; got 'max'$"):
        Metric("kappa", lambda xp, p, d, index: p - d, better="max")
