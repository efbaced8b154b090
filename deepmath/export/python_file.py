"""A model as one Python file that needs NumPy and nothing else."""

from __future__ import annotations

import base64
import math
import textwrap
from typing import Any

import numpy as np

from deepmath.export.chain import Chain, Classes, Stage
from deepmath.export.cutting import Product
from deepmath.export.python_table import python_table
from deepmath.printers.python import lines

_HEAD = '''"""{name}: predictions of a network that deepmath trained. It needs NumPy and nothing else.

>>> import numpy as np
>>> predict(np.zeros((2, {features}))).shape
(2, {outputs})
"""

import base64

import numpy as np

FEATURES, OUTPUTS = {features}, {outputs}{classes}


def predict(x):
    """Predictions [rows, {outputs}] for x [rows, {features}], computed in {precision}."""
    x = np.asarray(x)
    if x.ndim != 2 or x.shape[1] != FEATURES:
        raise ValueError(f"predict: x must be [rows, {{FEATURES}}]; got shape {{x.shape}}")
    x = x.astype(np.{first})
'''

_LABELS = '''

def labels(p):
    """The label [rows] of each row of what predict gave, p [rows, {outputs}]: one of CLASSES."""
    codes = {codes}
    return np.array(CLASSES{dtype})[codes]
'''

_TAIL = '''

def _array(shape, dtype, text):
    """Numbers written as base64 of their bytes, the lowest first."""
    return np.frombuffer(base64.b64decode(text), dtype).astype(dtype[1:]).reshape(shape)


'''


def python_file(chain: Chain, name: str) -> bytes:
    """The file's text: a function `predict` for rows or tables, `labels` where there are classes, and the weights."""
    runs, arrays, body = chain.runs, [], []
    classes, labels = ("", "") if chain.classes is None else _labels(chain.classes, chain.outputs)
    table = None if chain.encoding is None else python_table(chain, name, classes)
    first = runs[0][0] if runs else chain.precision
    precision = first if table is None else "float64"
    for number, (wanted, stage) in enumerate(runs):
        body += [] if wanted == precision else [f"x = x.astype(np.{wanted})"]
        texts, held = _stage(number, stage, wanted)
        body += [f"# {stage.what}", *texts]
        arrays += [_array(n, v, wanted) for n, v in held.items()]
        precision = wanted
    ending = "x" if precision == chain.precision else f"x.astype(np.{chain.precision})"
    plain = _HEAD.format(
        name=name,
        features=chain.features,
        outputs=chain.outputs,
        precision=chain.precision,
        first=first,
        classes=classes,
    )
    head = plain if table is None else table.head
    text = head + textwrap.indent("\n".join([*body, f"return {ending}"]) + "\n", "    ")
    return (text + labels + (table.tail if table else "") + _TAIL + "".join(arrays)).encode()


def _labels(classes: Classes, outputs: int) -> tuple[str, str]:
    """The statement that sets CLASSES, and the text of `labels`."""
    count = len(classes.labels)
    last = f"np.argmax(np.asarray(p)[:, :{count}], axis=1)"
    codes = last if outputs > 1 else f"(np.asarray(p)[:, 0] > {classes.above!r}).astype(np.int64)"
    dtype = ", dtype=object" if isinstance(classes.labels[0], str) else ""
    shown = [f"float('{c}')" if c in (math.inf, -math.inf) else repr(c) for c in classes.labels]
    return f"\nCLASSES = ({', '.join(shown)})", _LABELS.format(outputs=outputs, codes=codes, dtype=dtype)


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
