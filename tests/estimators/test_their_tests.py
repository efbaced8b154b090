"""scikit-learn's own tests of its MLP, from the installed package, with our classes in the place of theirs."""

import importlib.util
from types import SimpleNamespace

import pytest

pytest.importorskip("sklearn")
import sklearn.neural_network

from deepmath.estimators import MLPClassifier, MLPRegressor

WITHOUT_OUR_RULE = pytest.mark.filterwarnings("default")  # they were written where warnings are no errors

DESELECTED = {
    # test: the private method that it calls
    "test_gradient": "_loss_grad_lbfgs",
}


class WithTheirOptimizer:
    """What two of their tests read of a private attribute: the rate as it stands."""

    @property
    def _optimizer(self):
        return SimpleNamespace(learning_rate=self.learning_rate_)


class Classifier(WithTheirOptimizer, MLPClassifier):
    pass


class Regressor(WithTheirOptimizer, MLPRegressor):
    pass


def their_tests():
    """Their module, loaded anew while the names that it imports are ours."""
    place = importlib.util.find_spec("sklearn.neural_network.tests.test_mlp")
    if place is None:
        pytest.skip("this scikit-learn was installed without its tests", allow_module_level=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sklearn.neural_network, "MLPClassifier", Classifier)
        patch.setattr(sklearn.neural_network, "MLPRegressor", Regressor)
        module = importlib.util.module_from_spec(place)
        place.loader.exec_module(module)
    assert module.MLPClassifier is Classifier
    found = {name: test for name, test in vars(module).items() if name.startswith("test_")}
    for test in found.values():  # in front of their own marks: pytest applies these in turn, and the last one decides
        test.pytestmark = [WITHOUT_OUR_RULE.mark, *getattr(test, "pytestmark", [])]
    return found


THEIRS = their_tests()
globals().update({name: test for name, test in THEIRS.items() if name not in DESELECTED})


@pytest.fixture
def global_random_seed():
    """Theirs chooses a seed for each run; one is enough here."""
    return 42


def test_only_what_needs_a_private_method_is_left_out():
    assert set(DESELECTED) <= set(THEIRS)
    assert len(THEIRS) >= 40
    for method in DESELECTED.values():
        assert not hasattr(MLPClassifier, method)
