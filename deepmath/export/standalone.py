"""Functions and classes as text that stands alone: their own source, with all of deepmath that it uses.

A rule is then written once: the file that a model is exported to holds the very code that the model itself runs.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import pprint
import re
import textwrap
from collections.abc import Iterator, Sequence
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

_WIDTH = 110
_REMARK = re.compile(r"  # (?:noqa|type: ignore)[^\n]*")


class Standing(NamedTuple):
    """Statements that import, one a line, and the text behind them."""

    imports: tuple[str, ...]
    text: str


def standalone(roots: Sequence[Any], methods: Sequence[str] = ()) -> Standing:
    """The text of functions and dataclasses, and of whatever they use.

    A class keeps its fields, and of its methods those called `methods` and those whose names kept code uses. It becomes
    a named tuple, which any loader can run. An error becomes one of the same name and built-in kind. Annotations
    stay, so the file must begin with `from __future__ import annotations`.

    >>> from deepmath.tables.columns import number_text
    >>> print(standalone([number_text]).text.partition("def ")[0].strip())
    EXACT = 9007199254740992
    """
    found, names = _collected(roots, methods)
    imports, classes, constants, functions = [], [], [], []
    for name, value in sorted(found.items(), key=_place):
        if not _is_ours(value):
            imports.append(_import(name, value))
        elif isinstance(value, type):
            classes.append(_class(value, names))
        elif callable(value):
            functions.append(_source(value))
        else:
            constants.append(f"{name} = {_literal(value)}")
    imports += ["import re"] * any(isinstance(value, re.Pattern) for value in found.values())
    imports += ["from collections import namedtuple"] * any("(namedtuple(" in text for text in classes)
    blocks = [*classes, "\n".join(constants), *functions]
    return Standing(
        tuple(sorted(set(imports), key=lambda i: (i[:4] == "from", i))),
        "\n\n\n".join(block for block in blocks if block) + "\n",
    )


def _collected(roots: Sequence[Any], methods: Sequence[str]) -> tuple[dict[str, Any], set[str]]:
    """What the text holds, by name, and every name that its code uses: gone through until nothing new is found."""
    found, names, before = {root.__name__: root for root in roots}, set(methods), -1
    while before != len(found) + len(names):
        before = len(found) + len(names)
        for function in [f for value in list(found.values()) for f in _functions(value, names)]:
            used = _names_of(function)
            names |= used
            for name in sorted(used & function.__globals__.keys()):
                value = function.__globals__[name]
                if found.setdefault(name, value) is not value:
                    raise TypeError(f"two things that are to stand alone are called {name}; rename one")
                if dataclasses.is_dataclass(value) and not isinstance(value, type):
                    found[type(value).__name__] = type(value)
    return found, names


def _place(item: tuple[str, Any]) -> tuple[str, int, str]:
    """Where something stands in deepmath."""
    name, value = item
    module = getattr(value, "__module__", "")
    written = callable(value) and _is_ours(value)
    return module, inspect.getsourcelines(inspect.unwrap(value))[1] if written else 0, name


def _functions(value: Any, names: set[str]) -> Iterator[FunctionType]:
    """The function itself, or the methods of a class that are kept."""
    if not _is_ours(value) or not callable(value):
        return
    if not isinstance(value, type):
        yield inspect.unwrap(value)
    elif not issubclass(value, Exception):
        for name, member in vars(value).items():
            function = member.fget if isinstance(member, property) else member
            if name in names and isinstance(function, FunctionType):
                yield function


@functools.cache
def _names_of(function: FunctionType) -> frozenset[str]:
    """Every name that a function's code or decorators use, of a variable or of an attribute."""
    (source,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(source, ast.FunctionDef)
    decorators = (n.id for d in source.decorator_list for n in ast.walk(d) if isinstance(n, ast.Name))
    return frozenset(n for n in [*_names_in(function.__code__), *decorators] if not n.startswith("__"))


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _is_ours(value: Any) -> bool:
    """Whether a value's own text is written: it is deepmath's, or a constant."""
    module = value.__module__ if callable(value) else "deepmath"
    return not isinstance(value, ModuleType) and module.partition(".")[0] == "deepmath"


def _import(name: str, value: Any) -> str:
    if isinstance(value, ModuleType):
        return f"import {value.__name__}" if value.__name__ == name else f"import {value.__name__} as {name}"
    return f"from {value.__module__} import {name}"


def _source(function: Any) -> str:
    return _REMARK.sub("", textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).rstrip()


def _class(cls: Any, names: set[str]) -> str:
    first = inspect.cleandoc(cls.__doc__).partition("\n\n")[0]
    doc = f'"""{first}"""'
    if issubclass(cls, Exception):
        kind = next(base.__name__ for base in cls.__mro__ if base.__module__ == "builtins")
        return f"class {cls.__name__}({kind}):\n{textwrap.indent(doc, '    ')}"
    fields = [field.name for field in dataclasses.fields(cls)]
    plain = {n: v for n, v in vars(cls).items() if v is None or isinstance(v, (str, bool, int, float, tuple))}
    last = [plain[name] for name in itertools.takewhile(plain.__contains__, reversed(fields))]
    ending = f", defaults={last[::-1]!r}" if last else ""
    constants = [f"{n} = {v!r}" for n, v in plain.items() if n in names and n not in fields]
    body = "\n\n".join([doc, *constants, *map(_source, _functions(cls, names))])
    head = f'class {cls.__name__}(namedtuple("{cls.__name__}", {fields!r}{ending})):'
    return f"{head}\n{textwrap.indent(body, '    ')}"


def _literal(value: Any) -> str:
    if isinstance(value, re.Pattern):
        flags = re.RegexFlag(value.flags & ~re.UNICODE)
        return f"re.compile({value.pattern!r}{f', {flags!r}' if flags else ''})"
    if isinstance(value, (set, frozenset)):  # whose order changes from run to run
        return f"frozenset({_literal(sorted(value))})"
    return pprint.pformat(value, width=_WIDTH, compact=True, sort_dicts=False)
