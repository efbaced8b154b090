"""The site in docs/: its formulas and pictures exist, and Sphinx builds it without a warning or a dead link."""

import doctest
import html.parser
import importlib.util
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import deepmath.formulas
from deepmath import gallery

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
PAGES = [p for p in sorted(DOCS.rglob("*.md")) if "_build" not in p.parts and p.name != "README.md"]
DIRECTIVE = re.compile(r"^```\{(formula|matrices|picture)\} (\S+).*\n((?::.*\n)*)", re.M)
OPTION = re.compile(r"^:(\w+): (.*)$", re.M)


def extension(name: str):
    """A module of docs/extensions."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / "extensions" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["formulas", "docstrings", "mathml", "pictures"])
def test_the_examples_of_an_extension_are_true(name):
    assert doctest.testmod(extension(name)).failed == 0


def test_every_formula_is_printed_and_every_picture_exists():
    formulas, mathml = extension("formulas"), extension("mathml")
    kinds = set()
    for page in PAGES:
        for kind, name, text in DIRECTIVE.findall(page.read_text(encoding="utf-8")):
            kinds.add(kind)
            options = dict(OPTION.findall(text))
            if kind == "picture":
                assert gallery.get(name).name == name
                continue
            results = formulas.pieces(options["results"])
            names = dict(part.split("=", 1) for part in formulas.pieces(options.get("names")))
            if kind == "formula":
                lines = formulas.equations(formulas.function(name), results, names)
            else:
                given = formulas.pieces(options["arguments"])
                lines = formulas.products(formulas.function(name), given, results, options.get("slope", "D"))
                assert len(lines) == len(results)
            assert all(mathml.converted(line, "block").startswith("<math") for line in lines)
    assert kinds == {"formula", "matrices", "picture"}


def test_the_reference_has_every_formula_and_every_public_module():
    reference = "".join(p.read_text(encoding="utf-8") for p in (DOCS / "reference").glob("*.md"))
    shown = set(re.findall(r"^\.\. (?:auto)?module:: (\S+)", reference, re.M))
    modules = {f"deepmath.formulas.{m.name}" for m in pkgutil.iter_modules(deepmath.formulas.__path__)}
    modules |= {f"deepmath.{name}" for name in deepmath.__all__ if isinstance(getattr(deepmath, name), ModuleType)}
    modules |= {f"deepmath.{name}" for name in ("estimators", "plots", "study", "gallery", "benchmark", "testing")}
    assert modules <= shown, sorted(modules - shown)


def test_what_a_long_formula_uses_twice_gets_a_letter():
    formulas = extension("formulas")
    lines = formulas.equations(formulas.function("activations.sigmoid"), ["y"], {})
    assert lines[1] == "t = e^{-|z|}"
    assert "e^" not in lines[0]


def test_a_formula_with_the_wrong_number_of_results_is_refused():
    formulas = extension("formulas")
    with pytest.raises(ValueError, match="shorter"):
        formulas.equations(formulas.function("optimizers.adam"), ["w'"], {})


class Loaded(html.parser.HTMLParser):
    """Collects what a page loads, and what it links to within the site."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in ("img", "script", "iframe", "source") and given.get("src"):
            self.loads.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.loads.append(given["href"])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])


@pytest.mark.slow
def test_sphinx_builds_it_without_a_warning_and_it_needs_no_network(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", DOCS, tmp_path / "site"]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "backends")])
    command += ["-d", tmp_path / "doctrees"]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        found = Loaded()
        found.feed(page.read_text(encoding="utf-8"))
        for address in found.loads + found.links:
            path, _, _ = address.partition("#")
            path, _, _ = path.partition("?")
            if address in found.links and re.match(r"https?:|mailto:", address):
                continue
            assert not re.match(r"\w+:|//", address) or address.startswith("data:"), f"{page.name} loads {address}"
            assert not path or (page.parent / path).exists(), f"{page.name} leads to {address}, which isn't there"
    styles = "".join(p.read_text(encoding="utf-8") for p in (tmp_path / "site" / "_static").rglob("*.css"))
    assert not re.search(r"(?:@import|url\()\s*['\"]?(?:https?:)?//", styles)
