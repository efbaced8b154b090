"""A traced formula as C99: a plain loop over rows and columns, for any compiler and any processor.

The text needs <math.h> alone, allocates nothing and calls nothing but its own static functions, whose names begin
with a prefix of the caller's. It compiles without a warning under -std=c99 -Wall -Wextra.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from deepmath.graph import Node
from deepmath.printers.loops import Kernel, new_arrays
from deepmath.printers.spelling import Spelling, array_name, parameter, variable

TYPES = {"float32": "float", "float64": "double"}
_LIBRARY = ("exp", "expm1", "log", "log1p", "sqrt", "tanh", "cos", "sin", "floor", "pow")

_FUNCTIONS = {
    "maximum": "{T} {name}({T} a, {T} b) {{ return a > b || a != a ? a : b; }}  /* NaN if either is NaN */",
    "minimum": "{T} {name}({T} a, {T} b) {{ return a < b || a != a ? a : b; }}",
    "sign": "{T} {name}({T} x) {{ return x > 0 ? 1 : x < 0 ? -1 : x; }}",
    "whole_abs": "long long {name}(long long x) {{ return x < 0 ? -x : x; }}",
    "whole_maximum": "long long {name}(long long a, long long b) {{ return a > b ? a : b; }}",
    "whole_minimum": "long long {name}(long long a, long long b) {{ return a < b ? a : b; }}",
    "whole_sign": "long long {name}(long long x) {{ return (x > 0) - (x < 0); }}",
    "whole_modulo": "long long {name}(long long a, long long b) {{\n"
    "  long long rest = b == 0 || b == -1 ? 0 : a % b;\n"
    "  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;\n}}",
    "whole_floor_divide": "long long {name}(long long a, long long b) {{\n"
    "  return b == 0 ? 0 : b == -1 ? -a : (a - {prefix}whole_modulo(a, b)) / b;\n}}",
    "modulo": "{T} {name}({T} a, {T} b) {{\n"
    "  {T} rest = {fmod}(a, b);\n"
    "  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;\n}}",
    "floor_divide": "{T} {name}({T} a, {T} b) {{\n"
    "  {T} quotient, whole;\n"
    "  if (b == 0) return a / b;\n"
    "  quotient = (a - {prefix}modulo(a, b)) / b, whole = {floor}(quotient);\n"
    "  return quotient - whole > ({T})0.5 ? whole + 1 : whole;\n}}",
}
"""What C99 lacks, by name; each calls only those in front of it. Division rounds down, a remainder has the sign of
the divisor, and n // 0 is 0 in whole numbers."""


class _C99(Spelling):
    """Whole numbers have functions of their own: C99 can't overload."""

    def expression(self, node: Node, kernel: Kernel) -> str:
        whole = all(a.dtype == "int" for a in node.args)
        if whole and node.op in _WHOLE:
            operands = [self.operand(a, "int") for a in node.args]
            return f"{self.patterns['whole']}{_WHOLE[node.op]}({', '.join(operands)})"
        if whole and node.op in ("isnan", "isinf", "isfinite"):
            return "1" if node.op == "isfinite" else "0"
        return super().expression(node, kernel)


_WHOLE = {
    "abs": "whole_abs", "maximum": "whole_maximum", "minimum": "whole_minimum", "sign": "whole_sign",
    "%": "whole_modulo", "//": "whole_floor_divide",
}  # fmt: skip


def spelling(dtype: str, prefix: str) -> Spelling:
    """How C99 spells a kernel of "float32" or "float64" whose functions' names begin with `prefix`."""
    end = "f" if dtype == "float32" else ""
    own = f"{prefix}{TYPES[dtype]}_"
    library = {name: f"{name}{end}({{0}}, {{1}})" if name == "pow" else f"{name}{end}({{0}})" for name in _LIBRARY}
    return _C99(
        patterns={
            **library, "abs": f"fabs{end}({{0}})", "neg": "-{0}", "whole": prefix,
            "maximum": f"{own}maximum({{0}}, {{1}})", "minimum": f"{own}minimum({{0}}, {{1}})",
            "sign": f"{own}sign({{0}})", "//": f"{own}floor_divide({{0}}, {{1}})", "%": f"{own}modulo({{0}}, {{1}})",
            "isnan": "({0} != {0})", "isinf": f"(fabs{end}({{0}}) == INFINITY)",
            "isfinite": f"(fabs{end}({{0}}) < INFINITY)",
            "logical_and": "({0} && {1})", "logical_or": "({0} || {1})", "logical_not": "!{0}",
        },
        places={(True, True): "[r * columns + j]", (True, False): "[r]", (False, True): "[j]", (False, False): ""},
        sizes={"rows": "rows", "columns": "columns"},
        infinity="INFINITY",
        nan="NAN",
        whole="{0}LL",
        integer="(long long)({0})",
        truth="({0} != 0)",
        choice="({0} ? {1} : {2})",
        real=f"({TYPES[dtype]})({{0}})",
    )  # fmt: skip


def module(kernels: Sequence[Kernel], dtype: str, prefix: str = "deepmath_") -> str:
    """The text of a file with these kernels as functions that others can link, and the functions that they call.

    A kernel `void name(arguments..., results..., long long rows, long long columns)` takes contiguous arrays:
    element arrays [rows, columns], row arrays [rows], column arrays [columns], of the dtype, of long long for
    integers and of unsigned char for truths. Scalars come by value, as double or long long. A sum over all goes to an
    array double [1]. A result that is named like an argument is written into it.
    """
    texts = [function(k, dtype, prefix) for k in kernels]
    return "\n".join(["#include <math.h>", helpers(texts, dtype, prefix), *texts]) + "\n"


def helpers(texts: Sequence[str], dtype: str, prefix: str) -> str:
    """The functions that kernels of this dtype call, each only where a text needs it; those of integers come along."""
    used = "\n".join(texts)
    end = "f" if dtype == "float32" else ""
    wanted: list[str] = []
    for name, text in reversed(_FUNCTIONS.items()):
        whole = name.startswith("whole_")
        own = prefix if whole else f"{prefix}{TYPES[dtype]}_"
        if re.search(rf"\b{own}{name}\(", used):
            filled = text.format(T=TYPES[dtype], name=own + name, prefix=own, fmod=f"fmod{end}", floor=f"floor{end}")
            wanted.insert(0, f"static inline {filled}")
            used += filled
    return "\n".join(wanted)


def function(kernel: Kernel, dtype: str, prefix: str, storage: str = "") -> str:
    """The text of one kernel alone; `storage` stands in front of it, such as "static inline "."""
    written = _Printer(dtype, spelling(dtype, prefix), kernel)
    parameters, body = written.parameters(), written.body()
    names = [p.replace("*", " ").split()[-1] for p in parameters]
    unused = [f"(void){name};" for name in names if not any(re.search(rf"\b{name}\b", line) for line in body)]
    head = f"{storage}void {kernel.name}({', '.join(parameters)}) {{"
    return "\n".join([head, *(f"  {line}" for line in unused + body), "}"])


class _Printer:
    """Writes one kernel."""

    def __init__(self, dtype: str, words: Spelling, kernel: Kernel) -> None:
        self.words, self.kernel = words, kernel
        self.types = {"float": TYPES[dtype], "int": "long long", "bool": "unsigned char"}

    def parameters(self) -> list[str]:
        kernel = self.kernel
        written = {array_name(kernel, name) for name, _, _ in kernel.outputs}
        texts = []
        for node in kernel.arguments:
            name, type_ = parameter(node), self.types[node.dtype]
            if any(node.axes):
                texts.append(f"{'' if name in written else 'const '}{type_} *{name}")
            else:
                texts.append(f"{'double' if node.dtype == 'float' else type_} {name}")
        values = {name: value for name, _, value in kernel.outputs}
        texts += [f"{self.types[values[name].dtype]} *{name}" for name, _ in new_arrays(kernel)]
        texts += [f"double *{name}" for name, kind, _ in kernel.outputs if kind == "total"]
        return [*texts, "long long rows", "long long columns"]

    def body(self) -> list[str]:
        kernel = self.kernel
        sums = [name for name, kind, _ in kernel.outputs if kind == "column"]
        lines = [f"for (long long j = 0; j < columns; ++j) {name}[j] = 0;" for name in sums]
        lines += [f"*{name} = 0;" for name, kind, _ in kernel.outputs if kind == "total"]
        lines += [self.assign(n) for n in kernel.hoisted]
        lines.append("for (long long r = 0; r < rows; ++r) {")
        for step in kernel.passes:
            lines += [f"  {self.assign(n)}" for n in step.before]
            lines += [f"  {self.start(n)}" for n in step.reductions]
            body = [self.assign(n) for n in step.inside] + [self.gather(n) for n in step.reductions]
            body += [self.store(*o) for o in kernel.outputs if step.last and o[1] in ("element", "column")]
            if body:
                lines.append("  for (long long j = 0; j < columns; ++j) {")
                lines += [f"    {line}" for line in body] + ["  }"]
        lines += [f"  {self.store(*o)}" for o in kernel.outputs if o[1] in ("row", "total")] + ["}"]
        return lines + [self.store(*o) for o in kernel.outputs if o[1] == "total_once"]

    def assign(self, node: Node) -> str:
        return f"const {self.types[node.dtype]} {variable(node)} = {self.words.expression(node, self.kernel)};"

    def start(self, node: Node) -> str:
        return f"{self.types['float']} {variable(node)} = {'0' if node.op == 'row_sum' else '-INFINITY'};"

    def gather(self, node: Node) -> str:
        total, value = variable(node), self.words.operand(node.args[0], "float")
        if node.op == "row_sum":
            return f"{total} += {value};"
        return f"{total} = {self.words.patterns['maximum'].format(total, value)};"

    def store(self, name: str, kind: str, value: Node) -> str:
        operand, array = self.words.operand(value, value.dtype), array_name(self.kernel, name)
        return {
            "element": f"{array}[r * columns + j] = {operand};",
            "row": f"{array}[r] = {operand};",
            "column": f"{array}[j] += {operand};",
            "total": f"*{array} += {operand};",
            "total_once": f"*{array} = {operand};",
        }[kind]
