"""Models from the tensors of a PyTorch `nn.Sequential`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepmath.arrays import to_numpy
from deepmath.errors import ConfigError, FormatError
from deepmath.layers import Activation, BatchNormalization, Dense, Layer, LayerNormalization, PReLU
from deepmath.model import Sequential

_NAME = re.compile(r"(.*?)(\d+)\.(\w+)")
_KNOWN = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


class Read(NamedTuple):
    """A layer made from a module's tensors: its values as `set_weights` takes them, and the widths of its rows."""

    layer: Layer
    values: Sequence[Any]
    features: int
    outputs: int


def from_torch(
    source: str | os.PathLike[str] | Mapping[str, Any], activations: Any = (), *, epsilon: float = 1e-5
) -> Sequential:
    """The model of an `nn.Sequential`: a safetensors file of its tensors, or its `state_dict()`.

    Linear, BatchNorm1d, LayerNorm and PReLU have tensors, and are known by them. What stands between and behind
    them has none, so `activations` says what it is: by number of the module, {1: "relu", 3: None}, in their order,
    ["relu", None], or one name for all between. None does nothing in prediction (dropout); layers of deepmath are
    taken too. `epsilon` is that of the normalisations. Raises FormatError for tensors of anything else, and
    ConfigError for activations that don't fit.

    >>> tensors = {"0.weight": np.ones((3, 2)), "0.bias": np.zeros(3), "2.weight": np.ones((1, 3))}
    >>> model = from_torch(tensors, {1: "relu", 3: "sigmoid"})
    >>> [w.shape for w in model.get_weights()]
    [(2, 3), (3,), (3, 1)]
    """
    modules = _modules(source)
    silent = _named(sorted(set(range(max(modules) + 1)) - set(modules)), modules, activations)
    layers: list[Layer] = []
    values: list[Any] = []
    features = width = 0
    for number in range(max((*modules, *silent)) + 1):
        if number not in modules:
            layers += _silent(silent.get(number))
            continue
        read = _read(number, modules[number], width, epsilon)
        if width and read.features != width:
            raise FormatError(f"from_torch: module {number} takes {read.features} numbers, but gets {width}")
        features, width = features or read.features, read.outputs
        layers.append(read.layer)
        values += read.values
    model = Sequential(layers)
    model.build((features,))
    model.set_weights(values)
    return model


def _silent(given: Any) -> list[Layer]:
    """What stands for a module without tensors."""
    if given is None:
        return []
    return [given] if isinstance(given, Layer) else [Activation(given)]


def _modules(source: Any) -> dict[int, dict[str, Any]]:
    """Tensors by number of the module and name, float64."""
    tensors = source if isinstance(source, Mapping) else _file(Path(source))
    modules: dict[int, dict[str, Any]] = {}
    prefixes = set()
    for name, value in tensors.items():
        match = _NAME.fullmatch(name)
        if match is None or match[3] not in _KNOWN:
            raise FormatError(f"from_torch: '{name}' is no tensor of an nn.Sequential; expected names like '0.weight'")
        prefixes.add(match[1])
        modules.setdefault(int(match[2]), {})[match[3]] = np.asarray(to_numpy(value), np.float64)
    if len(prefixes) != 1:
        found = ", ".join(sorted(prefixes)) or "no tensors"
        raise FormatError(f"from_torch: expected the tensors of one nn.Sequential; got {found}. Pass those of one part")
    return modules


def _file(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    content = path.read_bytes()
    try:
        return dict(load(content))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"{path} is no safetensors file that NumPy can hold ({error}); "
            "write one by safetensors.torch.save_file(module.float().state_dict(), path)"
        ) from error


def _named(gaps: Sequence[int], modules: Iterable[int], given: Any) -> dict[int, Any]:
    """What each module without tensors is."""
    known = set(modules)
    if isinstance(given, Mapping):
        named = dict(given)
    elif isinstance(given, str) or callable(given):
        named = dict.fromkeys(gaps, given)
    else:
        behind = range(max(known) + 1, max(known) + 1 + len(given))
        named = dict(zip([*gaps, *behind], given, strict=False))
    for number in gaps:
        if number not in named:
            raise ConfigError(
                f"from_torch: module {number} has no tensors; say in activations what it is, for example "
                f"{{{number}: 'relu'}}, or None for one that does nothing in prediction"
            )
    for number in named:
        if not isinstance(number, int) or number in known or number < 0:
            raise ConfigError(f"from_torch: activations names module {number!r}, which has tensors or can't be")
    return named


def _read(number: int, tensors: Mapping[str, Any], width: int, epsilon: float) -> Read:
    """A layer from the tensors of one module; `width` is that of the rows that it gets, 0 for the first."""
    weight, bias = tensors.get("weight"), tensors.get("bias")
    layer: Layer
    if "running_mean" in tensors and "running_var" in tensors:
        mean, variance = tensors["running_mean"], tensors["running_var"]
        gamma = np.ones(mean.shape) if weight is None else weight
        beta = np.zeros(mean.shape) if bias is None else bias
        layer, values = BatchNormalization(epsilon=epsilon), [gamma, beta, mean, variance]
    elif weight is not None and weight.ndim == 2:
        biases = [] if bias is None else [bias]
        _need_shape(number, biases, weight.shape[:1])
        layer = Dense(weight.shape[0], use_bias=bias is not None)
        return Read(layer, [weight.T, *biases], weight.shape[1], weight.shape[0])
    elif weight is not None and weight.ndim == 1 and bias is not None:
        layer, values = LayerNormalization(epsilon=epsilon), [weight, bias]
    elif weight is not None and weight.ndim == 1:
        shared = weight.size == 1 and width  # PyTorch's PReLU() has one slope for all
        layer, values = PReLU(), [np.broadcast_to(weight, (width,)).copy() if shared else weight]
    else:
        shapes = ", ".join(f"{n} {v.shape}" for n, v in tensors.items())
        raise FormatError(
            f"from_torch: module {number} with {shapes} is none of Linear, BatchNorm1d, LayerNorm and PReLU"
        )
    _need_shape(number, values, values[0].shape)
    return Read(layer, values, values[0].shape[0], values[0].shape[0])


def _need_shape(number: int, values: Iterable[Any], shape: tuple[int, ...]) -> None:
    if any(v.shape != shape for v in values) or len(shape) != 1:
        shapes = ", ".join(str(v.shape) for v in values)
        raise FormatError(f"from_torch: the tensors of module {number} don't fit each other: {shapes}")
