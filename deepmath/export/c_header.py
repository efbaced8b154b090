"""A model as one C99 header: no allocation, no library but that of mathematics."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from deepmath.export.c_table import MICROSECONDS, c_strings, c_table, notes
from deepmath.export.chain import Chain
from deepmath.export.codes import Coded
from deepmath.export.section import Section
from deepmath.graph import Node, Size
from deepmath.graph.buffers import Use, shared
from deepmath.graph.kernels import Copy, Kernel, Map, Piece, Product, Take, root
from deepmath.graph.maps import formula_of
from deepmath.printers.c99 import TYPES, function, helpers
from deepmath.printers.loops import kernel
from deepmath.trace import Formula

_HEAD = """/* {name}: predictions of a network that deepmath trained. C99; nothing is allocated.
 *
 *   #include "{name}.h"
 *   {variables}
 *   {name}_predict(x, y);
 *
{notes} * Include it in one file of a program: its numbers are part of every file that includes it. Link with -lm.
 */
#ifndef {NAME}_H
#define {NAME}_H

#include <math.h>

#define {NAME}_FEATURES {features}
#define {NAME}_OUTPUTS {outputs}
"""
_PRODUCT = """static inline void {prefix}{T}_product(const {T} *x, const {T} *matrix, {T} *y, int rows, int n, int m) {{
  for (int r = 0; r < rows; ++r, x += n, y += m) {{
    for (int j = 0; j < m; ++j) y[j] = 0;
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < m; ++j) y[j] += x[i] * matrix[i * m + j];
  }}
}}"""


def c_header(chain: Chain, name: str) -> bytes:
    """The header's text: a function `void NAME_predict(const T *x, T *y)` for one row, T float or double.

    Where the model takes tables, x has a double for each column: its code, as the header's comment says.
    """
    file = _Header(chain, name)
    return file.text().encode()


class _Header:
    """Collects constants, functions and the statements of `predict`, in which "@n" stands for the place of value n."""

    def __init__(self, chain: Chain, name: str) -> None:
        self.chain, self.name, self.prefix = chain, name, f"{name}_"
        self.arrays: list[str] = []
        self.functions: dict[str, dict[str, str]] = {p: {} for p in TYPES}
        self.products: set[str] = set()
        self.calls: list[str] = []
        self.uses: list[Use] = []
        self.values: list[tuple[str, int]] = []

    def text(self) -> str:
        T = TYPES[self.chain.precision]
        source, precision, width = "x", self.chain.precision, self.chain.width
        taken = T
        if self.chain.encoding is not None:
            source, precision, taken = self._encoded(), "float64", "double"
        if self.chain.classes is not None:
            self.arrays.append(c_strings(f"{self.prefix}classes", list(map(str, self.chain.classes.labels))))
        for section in self.chain.sections:
            if section.precision != precision:
                source = self._converted(source, section.precision, width)
            source, precision, width = self._section(section, source), section.precision, section.outputs
        self._call(f"for (int j = 0; j < {width}; ++j) y[j] = ({T}){source}[j];", [source])
        NAME = self.name.upper()
        both = f"{T} x[{NAME}_FEATURES], y[{NAME}_OUTPUTS];"
        variables = both if taken == T else f"{taken} x[{NAME}_FEATURES]; {T} y[{NAME}_OUTPUTS];"
        head = _HEAD.format(
            name=self.name, NAME=NAME, variables=variables, notes=notes(self.chain, self.prefix),
            features=self.chain.features, outputs=self.chain.outputs,
        )  # fmt: skip
        predict = [f"static inline void {self.prefix}predict(const {taken} *x, {T} *y) {{"]
        predict += [f"  {line}" for line in self._placed()] + ["}"]
        parts = [head, *self._functions(), *self.arrays, "\n".join(predict), "\n#endif\n"]
        return "\n".join(parts)

    def _section(self, section: Section, source: str) -> str:
        """Adds the kernels of a section; where its result lies."""
        names = {n: f"{self.prefix}{c.name}" for n, c in section.constants.items()} | {section.x.number: source}
        for number, constant in section.constants.items():
            self._array(names[number], constant.array, section.precision)
        what = ""
        for stage in section.stages:
            if stage.what != what:
                self.calls.append(f"/* {stage.what} */")
            what, reads = stage.what, [names[root(n).number] for n in stage.kernel.inputs]
            names |= {n.number: self._value(_type(n, section.precision), _size(n)) for n in stage.kernel.outputs}
            writes = [names[n.number] for n in stage.kernel.outputs]
            for line in self._kernel(stage.kernel, reads, writes, section.precision):
                self._call(line, reads, writes)
        return names[root(section.y).number]

    def _kernel(self, k: Kernel, reads: list[str], writes: list[str], dtype: str) -> list[str]:
        """The statements that do a kernel's work."""
        if isinstance(k, Product):
            self.products.add(dtype)
            inner, columns = k.b.array.dims
            sizes = f"{_size(k.outputs[0]) // columns}, {inner}, {columns}"
            return [f"{self.prefix}{TYPES[dtype]}_product({reads[0]}, {reads[1]}, {writes[0]}, {sizes});"]
        if isinstance(k, Map):
            return [self._map(k, reads, writes, dtype)]
        if isinstance(k, Take):
            return _taken(k, *reads, *writes)
        assert isinstance(k, Copy), k
        zeros = [f"for (int j = 0; j < {_size(k.outputs[0])}; ++j) {writes[0]}[j] = 0;"] * k.zeroed
        given = {root(n).number: name for n, name in zip(k.inputs, reads, strict=True)}
        return zeros + [_copied(piece, given[root(piece.source).number], writes[0]) for piece in k.pieces]

    def _map(self, k: Map, reads: list[str], writes: list[str], dtype: str) -> str:
        formula, kinds, _, _, _ = formula_of(k)
        moving, fixed = itertools.count(), itertools.count()
        names = [f"c{next(fixed)}" if name.startswith(self.prefix) else f"x{next(moving) or ''}" for name in reads]
        outputs = [f"y{i or ''}" for i in range(len(writes))]
        called = self._function(formula, kinds, outputs, [*names, "j", "r"], dtype)
        return f"{called}({', '.join([*reads, *writes, str(k.space.rows), str(k.space.columns)])});"

    def _encoded(self) -> str:
        """Adds what turns the codes of a row into the network's inputs; where they lie."""
        target = self._value("double", self.chain.width)
        table = c_table(self.chain, self.prefix, target, self._of_codes)
        self.arrays += table.arrays
        for call in table.calls:
            self._call(call, writes=[target])
        return target

    def _of_codes(self, found: Coded) -> str:
        kinds = ["index" if kind == "column" else kind for kind in found.kinds]
        names = ["x", *(f"c{i}" for i in range(len(kinds) - 1))]
        return self._function(found.formula, kinds, [f"y{i}" for i in range(len(found.widths))], names, "float64")

    def _function(
        self, formula: Formula, kinds: Sequence[str], outputs: Sequence[str], names: Sequence[str], dtype: str
    ) -> str:
        """The name of a formula's function; formulas of equal text share one."""
        known = self.functions[dtype]
        name = f"{self.prefix}{TYPES[dtype]}_map_{len(known)}"
        layout = kernel("NAME", formula, kinds, outputs, names)
        text = function(layout, dtype, self.prefix, "static inline ")
        return known.setdefault(text, name)

    def _functions(self) -> list[str]:
        texts = []
        for dtype, known in self.functions.items():
            texts.append(helpers(list(known), dtype, self.prefix))
            texts += [text.replace("void NAME(", f"void {name}(", 1) for text, name in known.items()]
            if any(f"{self.prefix}microseconds(" in call for call in self.calls) and dtype == "float64":
                texts.append(MICROSECONDS.format(prefix=self.prefix))
            if dtype in self.products:
                texts.append(_PRODUCT.format(prefix=self.prefix, T=TYPES[dtype]))
        return [t for t in texts if t]

    def _array(self, name: str, value: Any, dtype: str) -> None:
        floats = value.dtype.kind == "f"
        type_ = TYPES[dtype] if floats else _WHOLE[value.dtype.kind]
        end = {"float": "f", "long long": "LL"}.get(type_, "")
        numbers = [f"{v!s}{end}" for v in (value.astype(dtype) if floats else value.astype(np.int64)).reshape(-1)]
        rows = [", ".join(numbers[i : i + 8]) for i in range(0, len(numbers), 8)]
        body = ",\n  ".join(rows)
        self.arrays.append(f"static const {type_} {name}[{len(numbers)}] = {{\n  {body}\n}};")

    def _converted(self, source: str, dtype: str, width: int) -> str:
        target = self._value(TYPES[dtype], width)
        call = f"for (int j = 0; j < {width}; ++j) {target}[j] = ({TYPES[dtype]}){source}[j];"
        self._call(call, [source], [target])
        return target

    def _call(self, text: str, reads: Collection[str] = (), writes: Collection[str] = ()) -> None:
        self.calls.append(text)
        self.uses.append(Use(reads, writes))

    def _value(self, type_: str, size: int) -> str:
        """A new value, by the name that stands for its place."""
        self.values.append((type_, size))
        return f"@{len(self.values) - 1}"

    def _placed(self) -> list[str]:
        """The statements of `predict`: the buffers, in which values lie as long as they live, and the calls.

        Each buffer is an array of its own, so that a compiler sees what never overlaps.
        """
        names: dict[str, str] = {}
        lines: list[str] = []
        for type_ in dict.fromkeys(t for t, _ in self.values):
            found, sizes = shared(self.uses, {f"@{i}": n for i, (t, n) in enumerate(self.values) if t == type_})
            names |= {value: f"buffer_{len(lines) + i}" for value, i in found.items()}
            lines += [f"{type_} buffer_{len(lines) + i}[{size}];" for i, size in enumerate(sizes)]
        return lines + [re.sub(r"@\d+", lambda match: names[match[0]], call) for call in self.calls]


_WHOLE = {"i": "long long", "u": "long long", "b": "unsigned char"}


def _type(node: Node, dtype: str) -> str:
    return {"float": TYPES[dtype], "int": "long long", "bool": "unsigned char"}[node.dtype]


def _size(node: Node) -> int:
    """How many numbers an array has for one row of the batch."""
    return math.prod(d.times if isinstance(d, Size) else d for d in node.dims)


def _copied(piece: Piece, source: str, target: str) -> str:
    """Loops over a block of elements that change places."""
    axes = [a for a in zip("abcd", piece.dims, piece.strides, piece.source_strides, strict=False) if a[1] > 1]
    loops = " ".join(f"for (int {i} = 0; {i} < {n}; ++{i})" for i, n, _, _ in axes)

    def place(offset: int, strides: Sequence[tuple[str, int]]) -> str:
        terms = [str(offset)] * (offset > 0)
        terms += [i if stride == 1 else f"{i} * {stride}" for i, stride in strides if stride]
        return " + ".join(terms).replace("+ -", "- ") or "0"

    to = place(piece.offset, [(i, s) for i, _, s, _ in axes])
    of = place(piece.source_offset, [(i, s) for i, _, _, s in axes])
    return f"{loops} {target}[{to}] = {source}[{of}];".strip()


def _taken(k: Take, table: str, places: str, target: str) -> list[str]:
    """Loops over rows of a table; a place outside of it is its nearest end, so that nothing else is read."""
    node = k.inputs[0]
    rows, columns, count = node.dims[0], _size(node) // node.dims[0], _size(k.inputs[1])
    nearest = f"{places}[i] < 0 ? 0 : {places}[i] < {rows} ? {places}[i] : {rows - 1}"
    loops = f"for (int i = 0; i < {count}; ++i) for (int j = 0; j < {columns}; ++j)"
    return [f"{loops} {target}[i * {columns} + j] = {table}[({nearest}) * {columns} + j];"]
