"""Every optimiser that has a rule for single elements, and each of its options."""

import pytest

from deepmath.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, Lion, Nadam, RMSprop

OPTIMIZERS = {
    "sgd": SGD(0.05),
    "momentum": SGD(0.05, momentum=0.9),
    "nesterov": SGD(0.05, momentum=0.9, nesterov=True),
    "rmsprop": RMSprop(0.01),
    "rmsprop_momentum": RMSprop(0.01, momentum=0.8),
    "rmsprop_centered": RMSprop(0.01, centered=True),
    "rmsprop_centered_momentum": RMSprop(0.01, momentum=0.8, centered=True),
    "adam": Adam(0.01),
    "amsgrad": Adam(0.01, amsgrad=True),
    "adamw": AdamW(0.01, weight_decay=0.1),
    "adamw_amsgrad": AdamW(0.01, weight_decay=0.1, amsgrad=True),
    "nadam": Nadam(0.01),
    "adagrad": Adagrad(0.1),
    "adagrad_initial": Adagrad(0.1, initial_accumulator_value=0.1),
    "adadelta": Adadelta(1.0),
    "lion": Lion(0.01),
    "lion_decay": Lion(0.01, weight_decay=0.1),
}


@pytest.fixture(params=OPTIMIZERS)
def optimizer(request):
    return OPTIMIZERS[request.param]
