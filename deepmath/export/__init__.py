"""Trained models for other programs: ONNX, one Python file, one C header, PyTorch's tensors; and back from PyTorch.

What is exported is the whole of `predict`: the encoding of a table, preprocessing, layers in prediction mode, the last
activation, and the unit of the target or the labels of its classes.

>>> from deepmath import Dense, Sequential
>>> model = Sequential([Dense(2, "softmax", input_dim=3)])
>>> text = exported(model, "python").decode()
>>> "import numpy" in text, "deepmath" in text.partition("import")[2]
(True, False)
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from deepmath.errors import ConfigError
from deepmath.export.c_header import c_header
from deepmath.export.chain import chain_of
from deepmath.export.from_torch import from_torch
from deepmath.export.names import identifier, identifier_of
from deepmath.export.onnx_file import onnx_file
from deepmath.export.python_file import python_file
from deepmath.export.torch_file import torch_file
from deepmath.model import Sequential
from deepmath.storage import write_whole

__all__ = ["FORMATS", "export", "exported", "format_of", "from_torch"]

FORMATS = {"onnx": ".onnx", "python": ".py", "c": ".h", "safetensors": ".safetensors"}
"""The formats, and how the names of their files end."""

_CHAINS: dict[str, Callable[..., bytes]] = {"onnx": onnx_file, "python": python_file, "c": c_header}


def exported(model: Sequential, form: str, *, precision: str = "float32", name: str = "model") -> bytes:
    """A model in one of `FORMATS`, as the content of a file.

    It computes in `precision`, "float32" or "float64", preprocessing in float64 (in PyTorch, in the module's own).
    `name` is what the graph, or the C functions, are called. Raises ConfigError or TraceError that names what the
    format can't hold, and MissingExtra where ONNX isn't installed.
    """
    if form not in FORMATS:
        raise ConfigError(f"export: format must be one of {', '.join(FORMATS)}; got {form!r}")
    if form == "safetensors":
        return torch_file(model, precision)
    return _CHAINS[form](chain_of(model, precision), identifier(name))


def export(
    model: Sequential, path: str | os.PathLike[str], form: str | None = None, *, precision: str = "float32",
    name: str | None = None,
) -> None:  # fmt: skip
    """Write a model to a file for another program; the format is that of the file's ending unless given.

    As `exported`; `name` comes from the file's. Raises OSError where the file can't be written.
    """
    chosen = identifier_of(Path(path).stem) if name is None else name
    write_whole(Path(path), exported(model, form or format_of(path), precision=precision, name=chosen))


def format_of(path: str | os.PathLike[str]) -> str:
    """The format that a file's ending asks for.

    >>> format_of("net.onnx")
    'onnx'
    """
    ending = Path(path).suffix.lower()
    for form, known in FORMATS.items():
        if ending == known:
            return form
    known = ", ".join(FORMATS.values())
    raise ConfigError(f"export: the file's name must end in one of {known}, or say the format; got '{path}'")
