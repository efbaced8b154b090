"""A model as one C99 header: no allocation, no library but that of mathematics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deepmath.export.c_table import MICROSECONDS, c_strings, c_table, notes
from deepmath.export.chain import Chain, Stage
from deepmath.export.codes import Coded
from deepmath.export.cutting import Product
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
_PRODUCT = """static inline void {prefix}{T}_product(const {T} *x, const {T} *matrix, {T} *y, int n, int m) {{
  for (int j = 0; j < m; ++j) y[j] = 0;
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < m; ++j) y[j] += x[i] * matrix[i * m + j];
}}"""


def c_header(chain: Chain, name: str) -> bytes:
    """The header's text: a function `void NAME_predict(const T *x, T *y)` for one row, T float or double.

    Where the model takes tables, x has a double for each column: its code, as the header's comment says.
    """
    file = _Header(chain, name)
    return file.text().encode()


class _Header:
    """Collects constants, functions and the statements of `predict`."""

    def __init__(self, chain: Chain, name: str) -> None:
        self.chain, self.name, self.prefix = chain, name, f"{name}_"
        self.arrays: list[str] = []
        self.functions: dict[str, dict[str, str]] = {p: {} for p in TYPES}
        self.products: set[str] = set()
        self.calls: list[str] = []
        self.widths: dict[str, int] = {}

    def text(self) -> str:
        T = TYPES[self.chain.precision]
        source, precision, width = "x", self.chain.precision, self.chain.width
        taken = T
        if self.chain.encoding is not None:
            source, precision, taken = self._encoded(), "float64", "double"
        if self.chain.classes is not None:
            self.arrays.append(c_strings(f"{self.prefix}classes", list(map(str, self.chain.classes.labels))))
        for number, (wanted, stage) in enumerate(self.chain.runs):
            if wanted != precision:
                source = self._converted(source, wanted, width)
            self.calls.append(f"/* {stage.what} */")
            source, precision = self._stage(number, stage, source, wanted, width), wanted
            width = stage.outputs
        self.calls.append(f"for (int j = 0; j < {width}; ++j) y[j] = ({T}){source}[j];")
        NAME = self.name.upper()
        both = f"{T} x[{NAME}_FEATURES], y[{NAME}_OUTPUTS];"
        variables = both if taken == T else f"{taken} x[{NAME}_FEATURES]; {T} y[{NAME}_OUTPUTS];"
        head = _HEAD.format(
            name=self.name, NAME=NAME, variables=variables, notes=notes(self.chain, self.prefix),
            features=self.chain.features, outputs=self.chain.outputs,
        )  # fmt: skip
        predict = [f"static inline void {self.prefix}predict(const {taken} *x, {T} *y) {{"]
        predict += [f"  {TYPES[p]} {b};" for p, b in self._buffers()]
        predict += [f"  {line}" for line in self.calls] + ["}"]
        parts = [head, *self._functions(), *self.arrays, "\n".join(predict), "\n#endif\n"]
        return "\n".join(parts)

    def _stage(self, number: int, stage: Stage, source: str, dtype: str, width: int) -> str:
        """Adds a stage; where its result lies."""
        target = self._target(source, dtype, stage.outputs)
        if isinstance(stage, Product):
            self.products.add(dtype)
            matrix = self._array(f"{self.prefix}matrix_{number}", stage.matrix, dtype)
            size = f"{width}, {stage.outputs}"
            self.calls.append(f"{self.prefix}{TYPES[dtype]}_product({source}, {matrix}, {target}, {size});")
            return target
        columns = [self._array(f"{self.prefix}column_{number}_{i}", c, dtype) for i, c in enumerate(stage.columns)]
        passed = ", ".join([source, *columns, target, "1", str(stage.outputs)])
        function_name = self._function(stage.formula, stage.kinds, ["y"], stage.names, dtype)
        self.calls.append(f"{function_name}({passed});")
        return target

    def _encoded(self) -> str:
        """Adds what turns the codes of a row into the network's inputs; where they lie."""
        target = self._target("x", "float64", self.chain.width)
        table = c_table(self.chain, self.prefix, target, self._of_codes)
        self.arrays += table.arrays
        self.calls += table.calls
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

    def _array(self, name: str, value: Any, dtype: str) -> str:
        end = "f" if dtype == "float32" else ""
        numbers = [f"{v!s}{end}" for v in np.asarray(value, dtype).reshape(-1)]
        rows = [", ".join(numbers[i : i + 8]) for i in range(0, len(numbers), 8)]
        body = ",\n  ".join(rows)
        self.arrays.append(f"static const {TYPES[dtype]} {name}[{len(numbers)}] = {{\n  {body}\n}};")
        return name

    def _converted(self, source: str, dtype: str, width: int) -> str:
        target = self._target(source, dtype, width)
        self.calls.append(f"for (int j = 0; j < {width}; ++j) {target}[j] = ({TYPES[dtype]}){source}[j];")
        return target

    def _target(self, source: str, dtype: str, width: int) -> str:
        """A buffer that isn't the source."""
        names = [f"{kind}_{TYPES[dtype]}" for kind in ("one", "other")]
        name = names[1] if source == names[0] else names[0]
        self.widths[name] = max(self.widths.get(name, 0), width)
        return name

    def _buffers(self) -> list[tuple[str, str]]:
        return [
            (p, f"{name}[{width}]")
            for p, T in TYPES.items()
            for name, width in self.widths.items()
            if name.endswith(f"_{T}")
        ]
