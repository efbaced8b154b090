"""Descriptions as data: tables of named things, and settings to and from plain dictionaries.

Layers, losses, optimisers and the like are frozen dataclasses. `config_of` writes one as numbers, strings,
lists and dictionaries; `from_config` reads it back from a closed table of classes and the caller's
`custom_objects`. A name is looked up, never imported: a model file can't reach code.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import numbers
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, NoReturn, Self, TypeVar

import numpy as np

from deepmath.errors import ConfigError

T = TypeVar("T")
C = TypeVar("C", bound=type)

CLASSES: dict[str, type] = {}
"""Every class that a configuration may name."""


def described(cls: C) -> C:
    """Let configurations name this dataclass. A name means one class; its numbers are kept as `plain` ones."""
    if cls.__name__ in CLASSES:
        raise TypeError(f"two described classes are called {cls.__name__}; rename one")
    CLASSES[cls.__name__] = cls
    return plain_numbers(cls)


def plain_numbers(cls: C) -> C:
    """Let objects of this class be made with numbers of NumPy's as with their twins of Python's."""
    made = cls.__init__  # type: ignore[misc]

    @functools.wraps(made)
    def init(self: Any, *args: Any, **settings: Any) -> None:
        made(self, *map(plain, args), **{name: plain(value) for name, value in settings.items()})

    cls.__init__ = init  # type: ignore[misc]
    return cls


def plain(value: Any) -> Any:
    """A number as Python has it: of NumPy, alone, in a tuple or list, or as an array without axes. Others as they are.

    >>> plain((np.int8(3), np.asarray(0.5), "relu"))
    (3, 0.5, 'relu')
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return float(value) if isinstance(value, np.floating) else value
    if type(value) in (tuple, list):
        return type(value)(plain(v) for v in value)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


def instance(who: str, given: Any) -> Any:
    """What was given, unless it is a class where an object is needed: then ConfigError."""
    if isinstance(given, type):
        needs = [
            p
            for p in inspect.signature(given).parameters.values()
            if p.default is p.empty and p.kind < p.VAR_POSITIONAL
        ]
        made = f"{given.__name__}({'...' if needs else ''})"
        raise ConfigError(f"{who}: got the class {given.__name__}; give an instance, {made}")
    return given


def several(who: str, given: Any, example: str) -> tuple[Any, ...]:
    """A list of things, or one alone, as a tuple.

    >>> several("compile: metrics", "accuracy", "['accuracy']"), several("compile: metrics", None, "['accuracy']")
    (('accuracy',), ())
    """
    if given is None:
        return ()
    if isinstance(given, Mapping):
        raise ConfigError(f"{who} must be a list such as {example}, or one alone; got {given!r}")
    alone = isinstance(given, (str, type)) or callable(given) or not isinstance(given, Iterable)
    return (given,) if alone else tuple(given)


class Table(Generic[T]):
    """Things of one kind by name. Adding one to a table is what makes its name usable everywhere.

    `wrap` turns a bare callable that a user passes into a thing of this kind.
    """

    def __init__(self, what: str, kind: type[T], wrap: Callable[[Callable[..., Any]], T] | None = None) -> None:
        self.what, self.kind, self._wrap = what, kind, wrap
        self._rows: dict[str, T] = {}

    def add(self, row: T, name: str | None = None) -> T:
        self._rows[name or getattr(row, "name")] = row  # noqa: B009 - T is any kind that has a name
        return row

    def names(self) -> list[str]:
        return sorted(self._rows)

    def __iter__(self) -> Iterator[T]:
        return iter(self._rows.values())

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def get(self, given: Any) -> T:
        """The thing that a name, an object or a callable stands for; ConfigError for anything else.

        A name may carry numbers, as in "leaky_relu(0.2)", for a row that takes constants.
        """
        if isinstance(given, str):
            name, constants = _with_numbers(given)
            if name not in self._rows:
                unknown(self.what, given, self._rows)
            row = self._rows[name]
            if not constants:
                return row
            if not isinstance(row, Parametrized):
                raise ConfigError(f"{self.what} '{name}' takes no numbers; got '{given}'")
            return row.with_constants(*constants)
        if isinstance(given, self.kind):
            return given
        if callable(instance(self.what, given)) and self._wrap is not None:
            return self._wrap(given)
        function = ", a function" if self._wrap is not None else ""
        raise ConfigError(f"{self.what} must be a name{function} or an object of {self.kind.__name__}; got {given!r}")


_NUMBERS = re.compile(r"(\w+)\(([-+.\w\s,]*)\)")


def _with_numbers(text: str) -> tuple[str, tuple[float, ...]]:
    """A name and the numbers in parentheses behind it."""
    match = _NUMBERS.fullmatch(text)
    if match is None:
        return text, ()
    try:
        return match[1], tuple(float(n) for n in match[2].split(","))
    except ValueError:
        return text, ()


class Parametrized:
    """A frozen dataclass whose formulas end with constants: numbers that are passed when they run, not compiled in.

    `limits` holds (name, lowest, highest) of each; both ends are allowed.
    """

    name: str
    constants: tuple[float, ...]
    limits: tuple[tuple[str, float, float], ...]

    def with_constants(self, *values: float) -> Self:
        """The same row with other constants; its name carries them. Raises ConfigError outside the limits."""
        base = self.name.partition("(")[0]
        if len(values) > len(self.limits) or not self.limits:
            names = ", ".join(limit[0] for limit in self.limits) or "none"
            raise ConfigError(f"'{base}' takes these numbers: {names}; got {len(values)}")
        limited = zip(self.limits, values, strict=False)
        values = tuple(check_number(base, name, value, low=low, high=high) for (name, low, high), value in limited)
        constants = (*values, *self.constants[len(values) :])
        name = f"{base}({', '.join(map(repr, constants))})"
        return dataclasses.replace(self, name=name, constants=constants)  # type: ignore[type-var]


def unknown(what: str, name: str, known: Iterable[str]) -> NoReturn:
    """Raise ConfigError for an unknown name, with the nearest one and all that there are."""
    import difflib  # only for a message

    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    raise ConfigError(f"unknown {what} '{name}'{hint}; known: {', '.join(sorted(known))}")


def config_of(value: Any) -> Any:
    """A description as plain data.

    >>> config_of((1, "relu", None))
    [1, 'relu', None]
    """
    value = plain(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [config_of(v) for v in value]
    if dataclasses.is_dataclass(value) and type(value).__name__ in CLASSES:
        fields = {f.name: config_of(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        return {"class": type(value).__name__, **fields}
    if isinstance(getattr(value, "name", None), str):
        return value.name
    if dataclasses.is_dataclass(value):
        fields = {f.name: config_of(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        return {"class": type(value).__name__, **fields}
    raise ConfigError(f"{value!r} can't be saved: it is neither a number, a string nor a description")


def from_config(config: Any, custom_objects: Mapping[str, Any]) -> Any:
    """The description that `config_of` wrote. Names that the tables lack are looked up in `custom_objects`."""
    if isinstance(config, list):
        return tuple(from_config(v, custom_objects) for v in config)
    if isinstance(config, str):
        return custom_objects.get(config, config)
    if not isinstance(config, dict):
        return config
    name = config.get("class")
    if not isinstance(name, str):
        raise ConfigError(f"a description needs a class; got {sorted(map(str, config))}")
    cls = custom_objects.get(name, CLASSES.get(name))
    if not isinstance(cls, type):
        unknown("class", name, {**CLASSES, **custom_objects})
    fields = {k: from_config(v, custom_objects) for k, v in config.items() if k != "class"}
    known = {f.name for f in dataclasses.fields(cls) if f.init}
    if not set(fields) <= known:
        raise ConfigError(f"{name} has no {sorted(set(fields) - known)[0]!r}; it has {', '.join(sorted(known))}")
    return cls(**fields)


def set_field(description: Any, name: str, value: Any) -> None:
    """Put a field of a frozen dataclass into its final form; for `__post_init__` only."""
    object.__setattr__(description, name, value)


def check_number(
    owner: str, name: str, value: Any, *, low: float = -math.inf, high: float = math.inf, open_low: bool = False,
    open_high: bool = False, whole: bool = False,
) -> Any:  # fmt: skip
    """The number as Python has it. Raises ConfigError unless it is finite and within the bounds (open ends excluded).

    >>> check_number("SGD", "learning_rate", -1, low=0.0)
    Traceback (most recent call last):
    ...
    deepmath.errors.ConfigError: SGD: learning_rate must be a number >= 0; got -1
    """
    number = plain(value)
    good = isinstance(number, int if whole else (int, float)) and not isinstance(number, bool)
    good = good and (isinstance(number, int) or math.isfinite(number))
    good = good and (low < number if open_low else low <= number) and (number < high if open_high else number <= high)
    if good:
        return number
    bounds = []
    if low > -math.inf:
        bounds.append(f"{'>' if open_low else '>='} {low:g}")
    if high < math.inf:
        bounds.append(f"{'<' if open_high else '<='} {high:g}")
    sort = "a whole number" if whole else "a number"
    raise ConfigError(f"{owner}: {name} must be {sort} {' and '.join(bounds)}".rstrip() + f"; got {number!r}")
