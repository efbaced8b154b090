"""Every error that deepmath raises on purpose.

    DeepmathError
    ├── FormatError         (ValueError)    a file that can't be read: not what it claims, cut, changed, unsafe
    ├── LabelError          (ValueError)    a label outside what the model can predict
    ├── ConfigError         (ValueError)    a setting that can't be used
    ├── NumericError        (ValueError)    data or values that have no answer, such as NaN in X
    ├── NonFiniteError      (ArithmeticError) training produced NaN or infinity
    ├── TraceError          (TypeError)     a formula that can't become a graph
    ├── MissingExtra        (ImportError)   an optional package is not installed
    ├── DeviceError         (RuntimeError)  a device that is absent, or arrays on different devices
    ├── OutOfDeviceMemory   (MemoryError)   the device has too little memory
    └── RankError           (RuntimeError)  another process of a distributed run failed

    Terminated              (SystemExit)    SIGTERM came while a model was trained

Each is also a built-in kind, so code that catches ValueError goes on working. Every message says
who, which argument, what is allowed, what came, and what to do.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class DeepmathError(Exception):
    """Base of every error below. `exit_code` is what the command `deepmath` ends with."""

    exit_code = 1


class FormatError(DeepmathError, ValueError):
    """A file is damaged, unsafe, or not of the kind it claims to be."""

    exit_code = 65


class LabelError(DeepmathError, ValueError):
    """A label lies outside what the model can predict."""

    exit_code = 65


class ConfigError(DeepmathError, ValueError):
    """A setting is unknown, out of range, or contradicts another."""

    exit_code = 2


class NumericError(DeepmathError, ValueError):
    """The data hold values that no computation can use, such as NaN."""

    exit_code = 65


class NonFiniteError(DeepmathError, ArithmeticError):
    """Training produced NaN or infinity."""

    exit_code = 76


class TraceError(DeepmathError, TypeError):
    """A formula does something that a graph of element-wise nodes and row reductions can't hold."""

    exit_code = 2


class MissingExtra(DeepmathError, ImportError):
    """An optional package is needed and not installed."""

    exit_code = 69


class DeviceError(DeepmathError, RuntimeError):
    """A device is absent or unusable, or arrays lie on different devices."""

    exit_code = 69


class OutOfDeviceMemory(DeepmathError, MemoryError):
    """A device has too little free memory for what was asked."""

    exit_code = 71


class RankError(DeepmathError, RuntimeError):
    """Another process of a distributed run failed or stopped answering."""

    exit_code = 1


class Terminated(SystemExit):
    """SIGTERM asked a training to end, and it ended after its step: with exit status 143 unless somebody catches it.

    >>> Terminated().code
    143
    """

    def __init__(self) -> None:
        super().__init__(143)


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional module, or raise `MissingExtra` that names the extra to install.

    >>> require("math", "fast", "arithmetic").__name__
    'math'
    >>> require("no_such_module", "plot", "pictures")
    Traceback (most recent call last):
    ...
    deepmath.errors.MissingExtra: pictures need the package 'no_such_module': pip install 'deepmath[plot]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        msg = f"{purpose} need the package '{module.partition('.')[0]}': pip install 'deepmath[{extra}]'"
        raise MissingExtra(msg) from error
