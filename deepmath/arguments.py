"""What arguments may be: numbers whoever made them, flags, one thing or several, and objects but not their classes."""

from __future__ import annotations

import functools
import inspect
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from deepmath.errors import ConfigError

C = TypeVar("C", bound=type)


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


def plain_numbers(cls: C) -> C:
    """Let objects of this class be made with numbers of NumPy's as with their twins of Python's."""
    made = cls.__init__  # type: ignore[misc]

    @functools.wraps(made)
    def init(self: Any, *args: Any, **settings: Any) -> None:
        made(self, *map(plain, args), **{name: plain(value) for name, value in settings.items()})

    cls.__init__ = init  # type: ignore[misc]
    return cls


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


def check_flag(owner: str, name: str, value: Any) -> bool:
    """The flag as Python has it. Raises ConfigError for what is no bool, NumPy's included."""
    if not isinstance(value, (bool, np.bool_)):
        raise ConfigError(f"{owner}: {name} must be True or False; got {value!r}")
    return bool(value)


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


def check_of_step(function: Callable[..., Any], name: str) -> None:
    """Raise ConfigError for what is no function of the step alone as a learning rate, or calls the step an epoch."""
    instance("learning_rate", function)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # built in, and without a signature
        return
    try:
        signature.bind(0)
    except TypeError:
        raise ConfigError(f"learning_rate: {name} must be a function of the step; it is one of {signature}") from None
    first = next(iter(signature.parameters))
    if first.startswith("epoch"):
        raise ConfigError(
            f"learning_rate: {name}({first}) would get the step and not the epoch; for each epoch give the callback "
            f"LearningRateScheduler({name}), for each step call the argument step"
        )
