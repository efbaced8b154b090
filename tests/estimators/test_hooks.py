"""scikit-learn's callbacks, where it has them."""

import numpy as np
import pytest

pytest.importorskip("sklearn.callback")
from sklearn.callback import ProgressBar
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deepmath.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)


class Recorder:
    """Takes notes at each hook, and may stop the fit."""

    def __init__(self, stop_after=None):
        self.seen, self.scores, self.stop_after = [], [], stop_after

    def setup(self, estimator, context):
        self.seen.append("setup")

    def on_fit_task_begin(self, estimator, context, *, X=None, metadata=None):
        self.seen.append(f"begin {context.task_name} {context.task_id}")
        self.metadata = metadata

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.seen.append(f"end {context.task_name} {context.task_id}")
        self.scores.append(fitted_estimator.score(X, y))
        return self.stop_after is not None and context.task_name == "iteration" and context.task_id >= self.stop_after

    def teardown(self, estimator, context):
        self.seen.append("teardown")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_every_iteration_is_a_task(solver):
    recorder = Recorder()
    clf = MLPClassifier(8, solver=solver, max_iter=3, random_state=0, normalization="batch", scale="standard")
    clf.set_params(learning_rate_init=0.1).set_callbacks(recorder)
    clf.fit(X, Y, sample_weight=np.ones(150))
    each = [f"{what} iteration {i}" for i in range(3) for what in ("begin", "end")]
    assert recorder.seen == ["setup", "begin fit 0", *each, "end fit 0", "teardown"]
    assert recorder.scores[-1] == recorder.scores[-2] == clf.score(X, Y)
    assert len(set(recorder.scores)) > 1
    assert list(recorder.metadata) == ["sample_weight"]


def test_a_hook_stops_the_fit():
    recorder = Recorder(stop_after=4)
    reg = MLPRegressor(hidden_layer_sizes=8, max_iter=50, random_state=0).set_callbacks(recorder).fit(X, Y)
    assert reg.n_iter_ == 5
    assert recorder.seen[-1] == "teardown"


def test_callbacks_come_through_a_pipeline(capsys):
    pytest.importorskip("rich")
    pipe = make_pipeline(StandardScaler(), MLPClassifier(8, max_iter=3, random_state=0)).set_callbacks(ProgressBar())
    pipe.fit(X, Y)
    assert "MLPClassifier" in capsys.readouterr().out


def test_an_error_ends_their_work_too():
    recorder = Recorder()
    with pytest.raises(ValueError, match="alpha"):
        MLPRegressor(alpha=-1).set_callbacks(recorder).fit(X, Y)
    assert "begin fit 0" not in recorder.seen
    with pytest.raises(ValueError, match="NaN"):
        MLPRegressor().set_callbacks(recorder).fit(np.full((3, 2), np.nan), [1, 2, 3])
    assert recorder.seen[-1] == "teardown"
