"""Descriptions as data: tables of named things, and settings to and from plain dictionaries.

Layers, losses, optimisers and the like are frozen dataclasses. `config_of` writes one as numbers, strings,
lists and dictionaries; `from_config` reads it back from a closed table of classes and the caller's
`custom_objects`. A name is looked up, never imported: a model file can't reach code.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, NoReturn, Self, TypeVar

import numpy as np

from deepmath.arguments import check_flag, check_number, check_of_step, instance, plain, plain_numbers, several
from deepmath.errors import ConfigError

__all__ = [
    "CLASSES", "Missing", "Parametrized", "Table", "UnknownName", "ask_for", "check_flag", "check_number",
    "check_of_step", "config_of", "described", "from_config", "instance", "missing_in", "plain", "plain_numbers",
    "set_field", "several", "unknown",
]  # fmt: skip

T = TypeVar("T")
C = TypeVar("C", bound=type)

CLASSES: dict[str, type] = {}
"""Every class that a configuration may name."""
TABLES: list[Table[Any]] = []
"""Every table, by which the things of one's own are told from those that have a name everywhere."""


class UnknownName(ConfigError):
    """A name that no table has; `name` is what the caller's own objects should bring."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


@dataclasses.dataclass(frozen=True)
class Missing:
    """Stands for a thing of a saved model that isn't known here; a model predicts without it, and is saved with it.

    `what` it is, the `name` that is missing, and the thing's configuration.
    """

    what: str
    name: str
    config: Any = dataclasses.field(repr=False, hash=False)

    def draw(self, _draws: Any, shape: tuple[int, ...]) -> Any:
        """No numbers, in the place of an initialiser's: values from the file replace them."""
        return np.full(shape, math.nan)


def missing_in(things: Iterable[Any]) -> list[Missing]:
    """What is missing among these things, and in their settings."""
    found = [[thing, *getattr(thing, "__dict__", {}).values()] for thing in things]
    return [part for parts in found for part in parts if isinstance(part, Missing)]


def ask_for(who: str, missing: Sequence[Missing]) -> None:
    """Raise ConfigError that asks for what is missing, if anything is."""
    for thing in missing[:1]:
        choose = "" if thing.what in ("initializer", "regularizer", "constraint") else ", or choose another by compile"
        raise ConfigError(
            f"{who}: {thing.what} '{thing.name}' of this model isn't known here: load it by load_model(path, "
            f"custom_objects={{'{thing.name}': {thing.name}}}){choose}"
        )


def described(cls: C) -> C:
    """Let configurations name this dataclass. A name means one class; its numbers are kept as `plain` ones."""
    if cls.__name__ in CLASSES:
        raise TypeError(f"two described classes are called {cls.__name__}; rename one")
    CLASSES[cls.__name__] = cls
    return plain_numbers(cls)


class Table(Generic[T]):
    """Things of one kind by name. Adding one to a table is what makes its name usable everywhere.

    `wrap` turns a bare callable that a user passes into a thing of this kind.
    """

    def __init__(self, what: str, kind: type[T], wrap: Callable[[Callable[..., Any]], T] | None = None) -> None:
        self.what, self.kind, self._wrap = what, kind, wrap
        self._rows: dict[str, T] = {}
        TABLES.append(self)

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
        if isinstance(given, (self.kind, Missing)):
            return given  # type: ignore[return-value]
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
    raise UnknownName(f"unknown {what} '{name}'{hint}; known: {', '.join(sorted(known))}", name)


def config_of(value: Any) -> Any:
    """A description as plain data.

    >>> config_of((1, "relu", None))
    [1, 'relu', None]
    """
    value = plain(value)
    if isinstance(value, Missing):
        return value.config
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [config_of(v) for v in value]
    if dataclasses.is_dataclass(value) and type(value).__name__ in CLASSES:
        fields = {f.name: config_of(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        return {"class": type(value).__name__, **fields}
    if isinstance(getattr(value, "name", None), str):
        return value.name if _is_known(value) else {OWN: value.name}
    if dataclasses.is_dataclass(value):
        fields = {f.name: config_of(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        return {"class": type(value).__name__, **fields}
    raise ConfigError(f"{value!r} can't be saved: it is neither a number, a string nor a description")


OWN = "own"
"""The key of a thing of one's own, by its name: a known thing may have the same."""


def _is_known(value: Any) -> bool:
    """Whether a table has this thing under its name."""
    for table in TABLES:
        if isinstance(value, table.kind):
            try:
                return bool(_key(table.get(value.name)) == _key(value))
            except ConfigError:
                return False
    return False


def _key(value: Any) -> Any:
    """What makes a thing what it is: formulas with bound arguments, out of a pickle, are equal by their parts alone."""
    if isinstance(value, functools.partial):
        return "partial", value.func, *map(_key, value.args), *sorted(value.keywords.items())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (f.name for f in dataclasses.fields(value) if f.compare)
        return type(value), *(_key(getattr(value, name)) for name in fields)
    return value


def from_config(config: Any, custom_objects: Mapping[str, Any]) -> Any:
    """The description that `config_of` wrote. Names that the tables lack are looked up in `custom_objects`."""
    if isinstance(config, list):
        return tuple(from_config(v, custom_objects) for v in config)
    if isinstance(config, str):
        return custom_objects.get(config, config)
    if not isinstance(config, dict):
        return config
    if set(config) == {OWN} and isinstance(config[OWN], str):
        if config[OWN] not in custom_objects:
            raise UnknownName(f"'{config[OWN]}' is a function or an object of one's own", config[OWN])
        return custom_objects[config[OWN]]
    name = config.get("class")
    if not isinstance(name, str):
        raise ConfigError(f"a description needs a class; got {sorted(map(str, config))}")
    cls = custom_objects.get(name, CLASSES.get(name))
    if not isinstance(cls, type):
        unknown("class", name, {**CLASSES, **custom_objects})
    named = {} if getattr(cls, "verbatim", False) else custom_objects  # its text are data, such as categories
    fields = {k: from_config(v, named) for k, v in config.items() if k != "class"}
    known = {f.name for f in dataclasses.fields(cls) if f.init}
    if not set(fields) <= known:
        raise ConfigError(f"{name} has no {sorted(set(fields) - known)[0]!r}; it has {', '.join(sorted(known))}")
    return cls(**fields)


def set_field(description: Any, name: str, value: Any) -> None:
    """Put a field of a frozen dataclass into its final form; for `__post_init__` only."""
    object.__setattr__(description, name, value)
