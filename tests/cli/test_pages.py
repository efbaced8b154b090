"""Help pages and `deepmath doctor`."""

import platform
import sys

import click
import numpy as np
import pytest

import deepmath as dm
from deepmath.cli import processor
from deepmath.cli.app import commands
from deepmath.cli.settings import Settings
from deepmath.cli.values import CHECKS

NAMES = sorted(commands.commands)


def test_the_commands_are_listed_with_what_they_do(good):
    page = good("--help")
    for name in NAMES:
        assert f"\n  {name}" in page
    assert "Begin with: deepmath train circles" in page
    assert good("--version") == f"deepmath {dm.__version__}\n"


@pytest.mark.parametrize("name", NAMES)
def test_every_option_and_argument_is_on_the_help_page(good, name):
    page = good(name, "--help")
    assert page == good(name, "-h")
    assert page.startswith(f"Usage: deepmath {name} ")
    words = " ".join(page.split())
    for parameter in commands.commands[name].params:
        if isinstance(parameter, click.Option):
            assert all(option in words for option in (*parameter.opts, *parameter.secondary_opts))
            assert parameter.help
            assert " ".join(parameter.help.split()) in words
        else:
            assert parameter.name.upper() in words


def test_every_setting_is_an_option_and_has_a_check():
    names = set(Settings.__dataclass_fields__)
    assert set(CHECKS) == names
    assert names <= {parameter.name for parameter in commands.commands["train"].params}


def test_doctor_tells_versions_machine_kernels_and_backends(good):
    told, section = {}, ""
    for line in good("doctor").splitlines():
        if not line.startswith(" "):
            section = line
            continue
        name, _, value = line.strip().partition(" ")
        told[section, name] = value.strip()
    assert told["versions", "deepmath"] == dm.__version__
    assert told["versions", "python"] == f"{platform.python_version()} ({sys.platform})"
    assert told["versions", "numpy"] == np.__version__
    wanted = {
        "versions": ("array-api-compat", "safetensors", "llvmlite", "scipy"),
        "machine": ("processor", "cores", "blas"),
        "kernels": ("cache",),
    }
    assert all(told[title, name] for title, names in wanted.items() for name in names)
    assert {name: state for (title, name), state in told.items() if title == "backends"} == dm.backends()


def test_doctor_names_a_variable_that_forces_a_weaker_core(good, monkeypatch):
    monkeypatch.setattr(processor, "level", lambda: 3)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert "OPENBLAS_CORETYPE=Haswell holds OpenBLAS to AVX2, and the processor has AVX-512" in good("doctor")


@pytest.mark.parametrize(
    ("variables", "level", "named"),
    [
        ({"OPENBLAS_CORETYPE": "Haswell"}, 3, ["OPENBLAS_CORETYPE"]),
        ({"OPENBLAS_CORETYPE": "Haswell"}, 2, []),
        ({"OPENBLAS_CORETYPE": "SkylakeX"}, 3, []),
        ({"OPENBLAS_CORETYPE": "nosuch"}, 3, []),
        ({"OPENBLAS_CORETYPE": "Haswell"}, None, []),
        ({"MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "BLIS_ARCH_TYPE": "generic"}, 2, ["MKL_ENABLE", "BLIS_ARCH_TYPE"]),
        ({"OMP_NUM_THREADS": "1"}, 2, ["OMP_NUM_THREADS"]),
        ({"OMP_NUM_THREADS": "4"}, 2, []),
        ({}, 2, []),
    ],
)
def test_only_what_holds_a_library_back_is_named(monkeypatch, variables, level, named):
    monkeypatch.setattr(processor, "level", lambda: level)
    monkeypatch.setattr(processor, "usable_cores", lambda: 4)
    found = processor.warnings(variables)
    assert len(found) == len(named)
    assert all(line.startswith(name) for line, name in zip(found, named, strict=True))
