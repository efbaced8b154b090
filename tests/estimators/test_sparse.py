"""Sparse inputs give what the same rows give as an array, and are never made one as a whole."""

import pickle
import tracemalloc

import numpy as np
import pytest

pytest.importorskip("sklearn")
from scipy import sparse as sp
from sklearn import neural_network as theirs

from deepmath import estimators as ours

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = sp.random_array((240, 50), density=0.05, rng=np.random.default_rng(0), format="csr")
D = X.toarray()
Y = (D.sum(1) > 1).astype(int)
KINDS = ["MLPClassifier", "MLPRegressor"]


def fitted(module, kind, X, eval_set=None, **settings):
    settings = {"random_state": 1, "max_iter": 6, "hidden_layer_sizes": (7,)} | settings
    more = {} if eval_set is None else {"eval_set": eval_set}
    return getattr(module, kind)(**settings).fit(X, Y, **more)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", [
    {"alpha": 0.0}, {"batch_size": 40}, {"batch_size": 72, "early_stopping": True}, {"solver": "sgd", "batch_size": 60},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_array, sp.coo_array, sp.lil_matrix])
def test_weights_are_scikit_learns(kind, settings, form):
    mine, their = (fitted(module, kind, form(X), **settings) for module in (ours, theirs))
    for a, b in zip((*mine.coefs_, *mine.intercepts_), (*their.coefs_, *their.intercepts_), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(mine.predict(form(X)), their.predict(form(X)), rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", ["numpy", "reference", "torch"])
@pytest.mark.parametrize("settings", [
    {"batch_size": 50, "dropout": 0.1}, {"solver": "lbfgs"}, {"scale": "standard", "batch_size": 50},
    {"scale": "minmax", "solver": "lbfgs"}, {"batch_size": 50, "early_stopping": True, "normalization": "batch"},
], ids=str)  # fmt: skip
def test_they_are_what_the_rows_are_as_an_array(kind, backend, settings):
    pytest.importorskip(backend if backend == "torch" else "numpy")
    dense = fitted(ours, kind, D, backend=backend, eval_set=(D, Y), **settings)
    for train, held in ((X, X), (X, D), (D, X)):
        net = fitted(ours, kind, train, backend=backend, eval_set=(held, Y), **settings)
        np.testing.assert_allclose(net.coefs_[0], dense.coefs_[0], rtol=1e-7, atol=1e-10)
        assert net.validation_loss_curve_ == pytest.approx(dense.validation_loss_curve_, rel=1e-9)
        np.testing.assert_allclose(net.predict(X), dense.predict(D), rtol=1e-7)
        assert net.validation_scores_ is None or net.validation_scores_ == pytest.approx(dense.validation_scores_)


@pytest.mark.parametrize("settings", [{}, {"scale": "standard"}], ids=str)
def test_a_stream_goes_on(settings):
    nets = [ours.MLPClassifier(7, batch_size=30, random_state=0, **settings) for _ in range(2)]
    for start in range(0, 240, 80):
        for net, given in zip(nets, (X, D), strict=True):
            net.partial_fit(given[start : start + 80], Y[start : start + 80], classes=[0, 1])
    np.testing.assert_allclose(nets[0].coefs_[0], nets[1].coefs_[0], rtol=1e-9, atol=1e-12)
    nets[0].partial_fit(D, Y)  # the same network on an array
    again = pickle.loads(pickle.dumps(nets[0])).partial_fit(X, Y)
    assert np.array_equal(again.coefs_[0], nets[0].partial_fit(X, Y).coefs_[0])


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}], ids=str)
def test_no_memory_is_taken_for_dense_rows(settings):
    wide = sp.random_array((4000, 8000), density=1e-3, rng=np.random.default_rng(0), format="csr")
    y = np.arange(4000) % 2
    net = ours.MLPClassifier(4, max_iter=1, random_state=0, **settings)
    net.fit(wide[:300], y[:300])  # compiled, and imported
    tracemalloc.start()
    net.fit(wide, y).score(wide, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 4000 * 8000 / 20


@pytest.mark.parametrize("settings", [{"scale": "standard"}, {"backend": "reference"}], ids=str)
def test_only_some_rows_are_dense_at_a_time(settings, monkeypatch):
    seen, toarray = [], sp.csr_array.toarray
    monkeypatch.setattr(sp.csr_array, "toarray", lambda self: seen.append(self.shape[0]) or toarray(self))
    wide = sp.random_array((3000, 3000), density=1e-3, rng=np.random.default_rng(0), format="csr")
    net = ours.MLPClassifier(4, max_iter=1, random_state=0, early_stopping=True, **settings)
    net.fit(wide, np.arange(3000) % 2).predict(wide)
    assert 0 < max(seen) <= 1500


def test_indicators_of_labels_may_be_sparse_too():
    labels = sp.csr_array(np.stack([Y, 1 - Y], axis=1))
    clf = ours.MLPClassifier(7, max_iter=3, random_state=0).fit(X, labels)
    assert clf.predict(X).shape == (240, 2)


def test_numbers_that_are_not_finite_are_told():
    bad = X.copy()
    bad.data[3] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        ours.MLPClassifier(7).fit(bad, Y)
