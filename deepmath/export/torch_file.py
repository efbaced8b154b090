"""A model as the tensors of a PyTorch `nn.Sequential`, in a safetensors file with that module's text inside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from deepmath.activations import ActivationFunction
from deepmath.errors import ConfigError
from deepmath.export.chain import Chain, chain_of, preprocessing_of, split, unit_of
from deepmath.export.section import matrices
from deepmath.layers import (
    Activation,
    BatchNormalization,
    Dense,
    Dropout,
    GaussianNoise,
    Layer,
    LayerNormalization,
    PReLU,
)
from deepmath.model import Sequential
from deepmath.preprocessing.min_max import MinMaxed
from deepmath.preprocessing.standardize import Standardized
from deepmath.preprocessing.whitening import PCAWhitened, ZCAWhitened
from deepmath.recipes import parts_of
from deepmath.tables import TableEncoding

ACTIVATIONS = {
    "relu": "ReLU()", "sigmoid": "Sigmoid()", "tanh": "Tanh()", "softmax": "Softmax(dim=-1)",
    "log_softmax": "LogSoftmax(dim=-1)", "leaky_relu": "LeakyReLU({0!r})", "hard_sigmoid": "Hardsigmoid()",
    "hard_swish": "Hardswish()", "elu": "ELU({0!r})", "selu": "SELU()", "celu": "CELU({0!r})",
    "softplus": "Softplus(threshold=40.0)", "softsign": "Softsign()", "gelu": "GELU()",
    "gelu_tanh": "GELU(approximate='tanh')", "silu": "SiLU()", "mish": "Mish()",
}  # fmt: skip
"""PyTorch's modules of activations, with their constants. Beyond 40, softplus(z) is z in every precision."""


class Module(NamedTuple):
    """A module of an `nn.Sequential`: its text behind "nn.", and its tensors."""

    text: str
    tensors: Mapping[str, Any] = {}


def torch_file(model: Sequential, precision: str) -> bytes:
    """A safetensors file of tensors "0.weight" [out, in], "0.bias", ..., which `load_state_dict` takes.

    The file's metadata have the text of the module under "torch", and as JSON the names of a table's columns in their
    order under "columns" and the labels of classes under "classes". Raises ConfigError for a layer, activation or
    preprocessing that PyTorch has no module for.
    """
    from safetensors.numpy import save

    chain = chain_of(model, precision)  # refuses what no format can hold
    modules = list(modules_of(model))
    tensors = {
        f"{number}.{name}": np.ascontiguousarray(v if v.dtype.kind == "i" else v.astype(precision))
        for number, module in enumerate(modules)
        for name, v in module.tensors.items()
    }
    text = f"nn.Sequential({', '.join(f'nn.{m.text}' for m in modules)})"
    return bytes(save(tensors, {"torch": text, **_names(chain)}))


def _names(chain: Chain) -> dict[str, str]:
    """Names of columns and classes as metadata."""
    columns = {} if chain.encoding is None else {"columns": json.dumps(chain.encoding.features)}
    return columns if chain.classes is None else columns | {"classes": json.dumps(chain.classes.labels)}


def modules_of(model: Sequential) -> Iterator[Module]:
    """The modules of a model with weights, preprocessing first."""
    encoding, steps = (None, ()) if model.preprocessing is None else split(model.preprocessing)
    _check_plain(encoding)
    for step in steps:
        yield from _preprocessing(step)
    assert model.input_shape is not None
    for part in parts_of(model.layers, model.input_shape):
        names = {kind: f"{kind}.{part.number}." for kind in ("params", "state")}
        values = {n.removeprefix(p): v for p in names.values() for n, v in model.values.items() if n.startswith(p)}
        yield from _layer(part.layer, part.shape[0], values)
    unit = unit_of(model.target, model.layers[-1].output_shape(part.shape)[0])
    if unit is not None:
        yield _linear(np.diag(unit[1]), unit[0])


def _check_plain(encoding: TableEncoding | None) -> None:
    """Raise ConfigError unless a table's columns are the network's inputs as they are."""
    for column in () if encoding is None else encoding.used:
        if column.kind not in ("number", "boolean") or len(column.output_names) > 1:
            inputs = f"{len(column.output_names)} input{'s' * (len(column.output_names) > 1)}"
            raise ConfigError(
                f"export: PyTorch's tensors can't encode a table: column {column.name!r} is a {column.kind} that "
                f"becomes {inputs}; export to onnx, python or c instead"
            )


def _layer(layer: Layer, features: int, values: Mapping[str, Any]) -> Iterator[Module]:
    if isinstance(layer, Dense):
        yield _linear(values["kernel"], values.get("bias"))
    elif isinstance(layer, Activation):
        yield from _activation(layer.activation)
    elif isinstance(layer, BatchNormalization):
        settings = f"eps={layer.epsilon!r}, momentum={1.0 - layer.momentum!r}"
        yield _batch_norm(
            features, settings, values["moving_mean"], values["moving_variance"], values["gamma"], values["beta"]
        )
    elif isinstance(layer, LayerNormalization):
        tensors = {"weight": values["gamma"], "bias": values["beta"]}
        yield Module(f"LayerNorm({features}, eps={layer.epsilon!r})", tensors)
    elif isinstance(layer, PReLU):
        yield Module(f"PReLU({features})", {"weight": values["alpha"]})
    elif isinstance(layer, Dropout):
        yield Module(f"Dropout({layer.rate!r})")
    elif isinstance(layer, GaussianNoise):
        yield Module("Identity()")
    else:
        raise ConfigError(
            f"export: PyTorch has no module for the layer {type(layer).__name__}; export to onnx, python or c instead"
        )


def _activation(function: ActivationFunction) -> Iterator[Module]:
    base = function.name.partition("(")[0]
    if base == "linear":
        return
    if base not in ACTIVATIONS:
        raise ConfigError(
            f"export: PyTorch has no module for the activation '{function.name}'; export to onnx, python or c instead"
        )
    yield Module(ACTIVATIONS[base].format(*function.constants))


def _linear(kernel: Any, bias: Any = None) -> Module:
    features, units = kernel.shape
    tensors = {"weight": np.asarray(kernel).T} | ({} if bias is None else {"bias": np.asarray(bias)})
    return Module(f"Linear({features}, {units}{'' if bias is not None else ', bias=False'})", tensors)


def _batch_norm(features: int, settings: str, mean: Any, variance: Any, weight: Any = None, bias: Any = None) -> Module:
    tensors = {} if weight is None else {"weight": np.asarray(weight), "bias": np.asarray(bias)}
    tensors |= {"running_mean": np.asarray(mean), "running_var": np.asarray(variance)}
    tensors["num_batches_tracked"] = np.asarray(0)
    return Module(f"BatchNorm1d({features}, {settings}{'' if weight is not None else ', affine=False'})", tensors)


def _preprocessing(step: Any) -> Iterator[Module]:
    """Preprocessing as batch normalisations with fixed averages: one that centres, and one that divides.

    PyTorch's batch normalisation multiplies before it adds, so a single one would lose the digits of the mean.
    """
    if isinstance(step, Standardized):
        yield _centred(step.moments.mean + step.moments.rest)
        yield _batch_norm(step.features, "eps=0.0", np.zeros(step.features), step.scale**2)
    elif isinstance(step, MinMaxed):
        low, high = float(step.transform.low), float(step.transform.high)
        span = step.most - step.least
        weight = np.where(span > 0.0, high - low, 0.0)
        variance = np.where(span > 0.0, span, 1.0) ** 2
        zeros, lows = np.zeros(step.features), np.full(step.features, low)
        yield _centred(step.least)
        yield _batch_norm(step.features, "eps=0.0", zeros, variance, weight, lows)
    elif isinstance(step, (PCAWhitened, ZCAWhitened)):
        yield _centred(step.scatter.mean + step.scatter.rest)
        yield from map(_linear, matrices(preprocessing_of((step,))))
    else:
        raise ConfigError(f"export: PyTorch has no module for {step.transform!r}; export to onnx, python or c instead")


def _centred(mean: Any) -> Module:
    return _batch_norm(len(mean), "eps=0.0", mean, np.ones(len(mean)))
