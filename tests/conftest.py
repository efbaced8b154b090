"""The whole test run checks the shapes that formulas state in their annotations."""

import importlib
import inspect
import pkgutil
import sys

import deepmath
import deepmath.formulas
from deepmath.testing import checks_shapes


def pytest_addoption(parser) -> None:
    parser.addoption(
        "--data-dir", metavar="PATH", help="folder of data sets that don't lie in the package, such as mnist"
    )
    parser.addoption(
        "--gigabytes", type=float, metavar="N", help="size of the file of `-m slow` that needn't fit into memory"
    )


def _check_every_formula() -> None:
    for found in pkgutil.iter_modules(deepmath.formulas.__path__, "deepmath.formulas."):
        module = importlib.import_module(found.name)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not hasattr(function, "__wrapped__"):
                _replace(name, function, checks_shapes(function))


def _replace(name: str, function: object, checked: object) -> None:
    """Put the checked function wherever a module of the project holds the bare one."""
    for module in [
        m for n, m in sys.modules.items() if n.partition(".")[0] in ("deepmath", "deepmath_cupy", "deepmath_numpy")
    ]:
        if getattr(module, name, None) is function:
            setattr(module, name, checked)


_check_every_formula()
