"""Docstrings name every argument and every fitted attribute, each in one place."""

import inspect
import re

import pytest

pytest.importorskip("sklearn")
import sklearn.neural_network as theirs

from deepmath.estimators import MLPClassifier, MLPRegressor

KINDS = [MLPClassifier, MLPRegressor]


def entries(doc, section):
    """The names that a numpydoc section lists."""
    text = inspect.cleandoc(doc).partition(f"{section}\n{'-' * len(section)}\n")[2]
    text = re.split(r"\n\n?[A-Z][A-Za-z ]+\n-{3,}\n", text)[0]
    return re.findall(r"^(\w+) : ", text, flags=re.MULTILINE)


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_are_documented_in_their_order(kind):
    assert entries(kind.__doc__, "Parameters") == list(inspect.signature(kind).parameters)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fitted_attributes_are_documented(kind):
    fitted = kind(2, max_iter=2) if kind is MLPClassifier else kind("squared_error", 2, max_iter=2)
    fitted.fit([[0.0], [1.0]], [0, 1])
    set_by_fit = {name for name in vars(fitted) if name.endswith("_") and not name.startswith("_")}
    assert set(entries(kind.__doc__, "Attributes")) == set_by_fit | {"feature_names_in_"}


@pytest.mark.parametrize("kind", KINDS)
def test_scikit_learns_arguments_come_first_with_its_defaults(kind):
    ours = inspect.signature(kind).parameters
    for name, parameter in inspect.signature(getattr(theirs, kind.__name__)).parameters.items():
        assert ours[name].default == parameter.default
        assert ours[name].kind == parameter.kind


@pytest.mark.parametrize("kind", KINDS)
def test_methods_document_their_arguments(kind):
    for name, method in inspect.getmembers(kind, inspect.isfunction):
        if not name.startswith("_") and method.__module__.startswith("deepmath"):
            arguments = [a for a in inspect.signature(method).parameters if a != "self"]
            assert entries(method.__doc__, "Parameters") == arguments, name
