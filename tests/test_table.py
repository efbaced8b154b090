"""The table of formulas is complete."""

import importlib
import inspect
import pkgutil

import table

from deepmath import formulas


def public_functions() -> dict[str, object]:
    found = {}
    for module_info in pkgutil.iter_modules(formulas.__path__):
        module = importlib.import_module(f"deepmath.formulas.{module_info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                found[name] = function
    return found


def test_every_public_formula_has_a_row_or_a_reason():
    covered = {row.formula for row in table.TABLE}
    missing = [n for n, f in public_functions().items() if f not in covered and n not in table.UNTRACED]
    assert not missing, f"add rows to tests/table.py for {missing}"


def test_reasons_name_functions_that_exist_and_have_no_row():
    covered = {row.formula for row in table.TABLE}
    assert not [n for n in table.UNTRACED if n not in public_functions() or public_functions()[n] in covered]


def test_names_are_unique():
    names = [row.name for row in table.TABLE]
    assert len(names) == len(set(names))
