"""A model as one Python file that needs NumPy and nothing else."""

from __future__ import annotations

import base64
import itertools
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deepmath.export.chain import Chain, Classes
from deepmath.export.python_table import python_table
from deepmath.export.section import Section
from deepmath.graph import Graph, Node, needed
from deepmath.graph.buffers import lives
from deepmath.graph.kernels import root
from deepmath.printers.python import statements

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
    sections = chain.sections
    classes, labels = ("", "") if chain.classes is None else _labels(chain.classes, chain.outputs)
    table = None if chain.encoding is None else python_table(chain, name, classes)
    first = sections[0].precision if sections else chain.precision
    precision = first if table is None else "float64"
    arrays: list[str] = []
    body: list[str] = []
    for section in sections:
        body += [] if section.precision == precision else [f"x = x.astype(np.{section.precision})"]
        texts, held = _statements(section)
        body += texts
        arrays += [_array(n, v, section.precision) for n, v in held.items()]
        precision = section.precision
    if any(re.search(r"\brows\b", text) for text in body if not text.startswith("#")):
        body.insert(0, "rows = len(x)")
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


def _statements(section: Section) -> tuple[list[str], dict[str, Any]]:
    """The statements of a section, from an array x to its result, again called x; and the arrays that they use by name.

    Where x is needed further on, results have other names: x1, x2, ...
    """
    names = {number: f"_{c.name.upper()}" for number, c in section.constants.items()} | {section.x.number: "x"}
    texts: list[str] = []
    life, in_x, others, what = lives(section.uses), section.x.number, itertools.count(1), ""
    for i, stage in enumerate(section.stages):
        texts += [f"# {stage.what}"] * (stage.what != what)
        what, outputs = stage.what, stage.kernel.outputs
        free = len(outputs) == 1 and life.get(in_x, (0, 0))[1] <= i and in_x != root(section.y).number
        new = {n.number: "x" if free else f"x{next(others)}" for n in outputs}
        in_x = outputs[0].number if free else in_x
        texts += _texts(outputs, names, new, section.precision)
        names |= new
    texts += _texts([section.y], names, {section.y.number: "x"}, section.precision)
    return texts, {names[number]: c.array for number, c in section.constants.items()}


def _texts(outputs: Sequence[Node], names: Mapping[int, str], new: Mapping[int, str], dtype: str) -> list[str]:
    """The statements that give nodes their new names, from those that have names."""
    graph = Graph(of_arrays=True)
    moved: dict[int, Node] = {}

    def of(node: Node) -> Node:
        name = names.get(node.number)
        return moved[node.number] if name is None else graph.array(name, node.dims, node.dtype)

    for node in needed(outputs, names):
        moved[node.number] = graph.add(node.op, tuple(map(of, node.args)), node.value, node.dtype, node.dims)
    return statements({new[o.number]: of(o) for o in outputs}, dtype)


def _array(name: str, value: Any, dtype: str) -> str:
    kind = f"<{(np.dtype(dtype) if value.dtype.kind == 'f' else value.dtype).str[1:]}"
    text = base64.b64encode(np.ascontiguousarray(value, kind).tobytes()).decode()
    wrapped = "\n".join(f'    "{line}"' for line in textwrap.wrap(text, 100))
    return f'{name} = _array(\n    {value.shape}, "{kind}",\n{wrapped}\n)\n'
