"""Where the training doctor draws its lines: one table, each with what it measures and where it comes from.

Values were fixed on the seeds 0 to 9 of `tests/study/doctor_figures.py`, about midway between the largest number of
any network that is well and the smallest of those that are ill; the script counts hits and false alarms on other
seeds and on data that nobody tuned on. The sources say what is measured and why; where one gives a number, it is
named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from deepmath.descriptions import check_number, unknown

Limits = Mapping[str, float]


class Threshold(NamedTuple):
    """A line that is crossed by a number above it."""

    value: float
    measures: str
    source: str


THRESHOLDS = {
    "initial_loss": Threshold(
        4.0,
        "loss at the first weights, in units of that of equal chances (ln C for cross-entropy)",
        "A. Karpathy, A Recipe for Training Neural Networks (2019): verify the loss at initialisation",
    ),
    "dead_relu": Threshold(
        0.75,
        "share of a ReLU layer's units that give 0 for every row",
        "Stanford CS231n, notes 1: as much as 40 % of a network can be dead; Lu et al. (2019), Dying ReLU",
    ),
    "saturated": Threshold(
        0.5,
        "share of a sigmoid or tanh layer's values whose slope is below 5 % of the steepest",
        "Glorot and Bengio (2010), section 3; LeCun et al., Efficient BackProp (1998), section 4.4",
    ),
    "vanishing_gradient": Threshold(
        100.0,
        "RMS derivative of the loss by the last layer's sums over that by the first layer's",
        "article 3: 0.5^(L-1); Glorot and Bengio (2010), section 4.2; Pascanu et al. (2013), section 2.1",
    ),
    "exploding_gradient": Threshold(
        100.0,
        "RMS derivative of the loss by the first layer's sums over that by the last layer's",
        "article 3: 1.5^(L-1); Glorot and Bengio (2010), section 4.2; Pascanu et al. (2013), section 2.1",
    ),
    "stuck": Threshold(
        0.5,
        "loss in units of that of the best constant prediction; above it a training is worth trials and doubts",
        "chance level, as A. Karpathy (2019): input-independent baseline",
    ),
    "rate": Threshold(
        0.35,
        "by how much a short training from the same start at another rate ends below the whole one, in chance losses",
        "Smith (2017), Cyclical Learning Rates, section 3.3; article 5: rates 0.01, 0.4, 1 and 1.1 on x^2",
    ),
    "symmetric_weights": Threshold(
        0.5,
        "share of a layer's units that have a twin: the same weights in and the same derivatives",
        "article 3: zeros keep units equal for ever; Goodfellow et al., Deep Learning (2016), section 8.4",
    ),
    "large_inputs": Threshold(
        10.0,
        "largest RMS of an input column",
        "LeCun et al., Efficient BackProp (1998), section 4.3; articles 3 and 5 on standardising",
    ),
    "uneven_inputs": Threshold(
        50.0,
        "largest magnitude of one input column over that of another",
        "LeCun et al., Efficient BackProp (1998), section 4.3; articles 3 and 5 on standardising",
    ),
    "small_inputs": Threshold(
        30.0,
        "1 over the largest magnitude in all inputs",
        "LeCun et al., Efficient BackProp (1998), section 4.3; articles 3 and 5 on standardising",
    ),
    "class_imbalance": Threshold(
        4.0,
        "an equal share of the rows over the smallest class's",
        "He and Garcia, Learning from Imbalanced Data (2009); King and Zeng (2001)",
    ),
    "suspect_labels": Threshold(
        0.015,
        "share of rows whose label at most 1 of their 10 nearest neighbours has, less 0.25 of that with 3 to 7",
        "Wilson (1972), edited nearest neighbours; Northcutt et al. (2021), Confident Learning",
    ),
    "high_bias": Threshold(
        0.09,
        "training error above the wanted one: `target_error`, or that of 10 nearest neighbours",
        "article 3; A. Ng, Machine Learning Yearning, chapters 20 to 25; Cover and Hart (1967) for the neighbours",
    ),
    "high_variance": Threshold(
        0.14,
        "validation error above training error, and by more than twice its standard error",
        "article 3; A. Ng, Machine Learning Yearning, chapters 20 to 25",
    ),
    "early_stopping": Threshold(
        0.1,
        "last validation loss over the lowest, less 1",
        "article 3: where J_train and J_dev part; Prechelt (1998), Early Stopping - But When?: generalisation loss GL",
    ),
    "rise": Threshold(
        0.15,
        "last validation loss less the lowest, in units of the best constant's; what early stopping asks besides",
        "article 3: where J_train and J_dev part; below that a ratio of tiny losses says nothing",
    ),
}


def limits(caller: str, changed: Limits | None) -> dict[str, float]:
    """Every threshold's value, those in `changed` instead. Raises ConfigError for an unknown name or no number > 0.

    >>> limits("diagnose", {"dead_relu": 0.3})["dead_relu"]
    0.3
    """
    for name, value in (changed or {}).items():
        if name not in THRESHOLDS:
            unknown("threshold", name, THRESHOLDS)
        check_number(caller, f"thresholds[{name!r}]", value, low=0.0, open_low=True)
    return {name: t.value for name, t in THRESHOLDS.items()} | dict(changed or {})
