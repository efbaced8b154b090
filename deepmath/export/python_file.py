"""A model as one Python file that needs NumPy and nothing else."""

from __future__ import annotations

import base64
import textwrap
from typing import Any

import numpy as np

from deepmath.export.chain import Chain, Stage
from deepmath.export.cutting import Product
from deepmath.printers.python import lines

_HEAD = '''"""{name}: predictions of a network that deepmath trained. It needs NumPy and nothing else.

>>> import numpy as np
>>> predict(np.zeros((2, {features}))).shape
(2, {outputs})
"""

import base64

import numpy as np

FEATURES, OUTPUTS = {features}, {outputs}


def predict(x):
    """Predictions [rows, {outputs}] for x [rows, {features}], computed in {precision}."""
    x = np.asarray(x)
    if x.ndim != 2 or x.shape[1] != FEATURES:
        raise ValueError(f"predict: x must be [rows, {{FEATURES}}]; got shape {{x.shape}}")
    x = x.astype(np.{first})
'''

_TAIL = '''

def _array(shape, dtype, text):
    """Numbers written as base64 of their bytes, the lowest first."""
    return np.frombuffer(base64.b64decode(text), dtype).astype(dtype[1:]).reshape(shape)


'''


def python_file(chain: Chain, name: str) -> bytes:
    """The file's text: a function `predict(x)` for rows x, and the weights behind it."""
    runs, arrays, body = chain.runs, [], []
    first = precision = runs[0][0] if runs else chain.precision
    for number, (wanted, stage) in enumerate(runs):
        body += [] if wanted == precision else [f"x = x.astype(np.{wanted})"]
        texts, held = _stage(number, stage, wanted)
        body += [f"# {stage.what}", *texts]
        arrays += [_array(n, v, wanted) for n, v in held.items()]
        precision = wanted
    ending = "x" if precision == chain.precision else f"x.astype(np.{chain.precision})"
    head = _HEAD.format(
        name=name, features=chain.features, outputs=chain.outputs, precision=chain.precision, first=first
    )
    text = head + textwrap.indent("\n".join([*body, f"return {ending}"]) + "\n", "    ")
    return (text + _TAIL + "".join(arrays)).encode()


def _stage(number: int, stage: Stage, dtype: str) -> tuple[list[str], dict[str, Any]]:
    """A stage's statements, and the arrays that they use by name."""
    if isinstance(stage, Product):
        return [f"x = x @ _MATRIX_{number}"], {f"_MATRIX_{number}": stage.matrix}
    names = [f"_COLUMN_{number}_{i}" for i in range(len(stage.columns))]
    texts = lines(stage.formula, stage.kinds, ["x", *names], "x", dtype)
    return texts, dict(zip(names, stage.columns, strict=True))


def _array(name: str, value: Any, dtype: str) -> str:
    kind = f"<{np.dtype(dtype).str[1:]}"
    text = base64.b64encode(np.ascontiguousarray(value, kind).tobytes()).decode()
    wrapped = "\n".join(f'    "{line}"' for line in textwrap.wrap(text, 100))
    return f'{name} = _array(\n    {value.shape}, "{kind}",\n{wrapped}\n)\n'
