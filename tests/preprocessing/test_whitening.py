"""Whitening: the covariance is the identity on what is kept, whatever the rank, the shape and the condition."""

import functools

import mpmath
import numpy as np
import pytest

from deepmath.preprocessing import PCAWhitening, ZCAWhitening


def rotation(d, rng):
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


def conditioned(condition, n=400, d=6):
    """Data whose singular values span the condition number."""
    rng = np.random.default_rng(int(np.log10(condition)))
    return rng.standard_normal((n, d)) * np.geomspace(1.0, 1.0 / condition, d) @ rotation(d, rng)


def low_rank(n, d, rank, offset=0.0, dtype="float64"):
    rng = np.random.default_rng(7)
    return (rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d)) + offset).astype(dtype)


def duplicated():
    x = np.random.default_rng(8).standard_normal((60, 3))
    return np.concatenate([x, x, x[:, :1] + 2 * x[:, 1:2]], axis=1)


def with_constants():
    x = np.random.default_rng(9).standard_normal((60, 5))
    x[:, 1], x[:, 4] = 3.7, 1e9
    return x


CASES = {
    **{f"condition 1e{k}": (functools.partial(conditioned, 10.0**k), 6) for k in range(13)},
    "rank 3 of 8": (lambda: low_rank(100, 8, 3), 3),
    "rank 3 of 8, far away": (lambda: low_rank(100, 8, 3, 1e6), 3),
    "rank 3 of 8, float32": (lambda: low_rank(100, 8, 3, 0.0, "float32"), 3),
    "rank 1 of 40": (lambda: low_rank(30, 40, 1), 1),
    "fewer rows than features": (lambda: low_rank(10, 30, 30), 9),
    "two rows": (lambda: low_rank(2, 5, 5), 1),
    "duplicated features": (duplicated, 3),
    "duplicated rows": (lambda: np.repeat(low_rank(3, 6, 6), 20, axis=0), 2),
    "constant features": (with_constants, 3),
    "constant": (lambda: np.full((50, 4), 0.1), 0),
    "one row": (lambda: low_rank(1, 4, 4), 0),
}
assert len(CASES) == 24


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", [PCAWhitening, ZCAWhitening])
def test_covariance_and_bounds(name, kind):
    make, rank = CASES[name]
    X = make()
    fitted = kind().fit(X)
    Y = fitted.apply(X)
    kept = fitted.scatter.kept
    assert kept == rank
    assert Y.dtype == X.dtype
    assert Y.shape == (len(X), max(1, kept) if kind is PCAWhitening else X.shape[1])
    if not kept:
        assert not np.any(Y)
        np.testing.assert_allclose(fitted.invert(Y), X, rtol=1e-15)
        return
    Y = Y.astype(np.float64)
    assert np.abs(Y).max() <= 10.0
    s = np.linalg.svd(X.astype(np.float64) - X.astype(np.float64).mean(axis=0), compute_uv=False)
    condition = s[0] / s[kept - 1]
    basis = fitted.scatter.basis[:, :kept]
    wanted = np.eye(kept) if kind is PCAWhitening else basis @ basis.T
    if X.dtype == np.float32:
        bound = 1e-5
    elif name.endswith("far away"):
        bound = 1e-8  # the offset has taken six digits from the data
    else:
        bound = 1e-10 if condition <= 1e5 else 1e-15 * condition
    centred = Y - Y.mean(axis=0)
    assert np.abs(centred.T @ centred / len(Y) - wanted).max() <= bound
    noise = 1e-6 * np.random.default_rng(1).standard_normal(X.shape)
    new = fitted.apply((X + noise).astype(X.dtype))
    assert np.abs(new).max() <= 10.0 + 10.0 * 1e-6 / fitted.scatter.deviations[kept - 1]
    if rank < min(X.shape):
        assert np.abs(new).max() <= 10.0
    size = np.abs(X).max()
    assert np.abs(fitted.invert(fitted.apply(X)) - X).max() <= 1e3 * np.finfo(X.dtype).eps * size


@pytest.mark.parametrize("kind", [PCAWhitening, ZCAWhitening])
@pytest.mark.parametrize("name", [n for n in CASES if n not in {f"condition 1e{k}" for k in range(4, 13)}])
def test_by_chunks_as_at_once(name, kind):
    X = CASES[name][0]()
    whole = kind().fit(X)
    parts = kind().fit_batches(X[i : i + 7] for i in range(0, len(X), 7))
    cut = max(1, len(X) // 3)
    merged = kind().fit(X[:cut]).merge(kind().fit(X[cut:])) if len(X) > 1 else whole
    condition = float(name.split()[1]) if name.startswith("condition") else 1.0
    whitened = max(1e-12, 1e-14 * condition)  # whitening magnifies the rounding of its input by the condition number
    bound = {"float32": 1e-6}.get(str(X.dtype), 1e-8 if name.endswith("far away") else whitened)
    for other in (parts, merged):
        assert other.outputs == whole.outputs
        np.testing.assert_allclose(other.apply(X), whole.apply(X), rtol=0, atol=bound)
        np.testing.assert_allclose(other.invert(whole.apply(X)), X, rtol=0, atol=1e-6 * np.abs(X).max())


@pytest.mark.parametrize("condition", [1e4, 1e8, 1e12])
def test_by_chunks_the_scatter_keeps_its_digits(condition):
    X = conditioned(condition)
    parts = PCAWhitening().fit_batches(np.split(X, 8))
    Y = parts.apply(X)
    assert np.abs(Y.T @ Y / len(Y) - np.outer(Y.mean(0), Y.mean(0)) - np.eye(6)).max() <= 1e-14 * condition


@pytest.mark.parametrize("components", [None, 1, 3])
def test_scikit_learn_agrees_up_to_sign(components):
    decomposition = pytest.importorskip("sklearn.decomposition", reason="scikit-learn is the judge")
    X, new = conditioned(1e2, 80, 5) + 3.0, conditioned(1e2, 9, 5)
    judge = decomposition.PCA(components, whiten=True, svd_solver="full").fit(X)
    found = PCAWhitening(components).fit(X).apply(new)
    expected = judge.transform(new) * (len(X) / (len(X) - 1)) ** 0.5  # it divides by n - 1
    np.testing.assert_allclose(found * np.sign(np.sum(found * expected, axis=0)), expected, rtol=1e-9, atol=1e-9)


def test_zca_is_the_inverse_root_of_the_covariance():
    X = conditioned(10.0, 200, 4)
    with mpmath.workdps(40):
        rows = mpmath.matrix(X.tolist())
        mean = [mpmath.fsum(rows[:, j]) / len(X) for j in range(4)]
        for i in range(len(X)):
            for j in range(4):
                rows[i, j] -= mean[j]
        values, vectors = mpmath.eigsy(rows.T * rows / len(X))
        root = vectors * mpmath.diag([1 / mpmath.sqrt(v) for v in values]) * vectors.T
        expected = np.asarray((rows * root).tolist(), dtype=float)
    np.testing.assert_allclose(ZCAWhitening().fit(X).apply(X), expected, atol=1e-13)


def test_signs_are_fixed_and_do_not_hang_on_rounding():
    x = np.random.default_rng(0).standard_normal((50, 1))
    y = np.random.default_rng(1).standard_normal((50, 1)) * 0.1
    X = np.concatenate([x + y, x - y], axis=1)
    first = PCAWhitening().fit(X).scatter.basis
    assert np.all(first[0] > 0)
    for seed in range(20):
        moved = X[np.random.default_rng(seed).permutation(50)] * (1 + 1e-15 * seed)
        np.testing.assert_allclose(PCAWhitening().fit(moved).scatter.basis, first, atol=1e-6)


def test_components_are_the_first_of_all():
    X = conditioned(100.0, 80, 5)
    np.testing.assert_array_equal(PCAWhitening(2).fit(X).apply(X), PCAWhitening().fit(X).apply(X)[:, :2])
    assert PCAWhitening(4).fit(low_rank(50, 6, 2)).outputs == 2


def test_one_feature_is_standardised():
    from deepmath.preprocessing import Standardize

    X = np.random.default_rng(0).standard_normal((50, 1)) * 3 + 1e6
    np.testing.assert_allclose(ZCAWhitening().fit(X).apply(X), Standardize().fit(X).apply(X), rtol=1e-12)
    np.testing.assert_allclose(PCAWhitening().fit(X).apply(X), Standardize().fit(X).apply(X), rtol=1e-12)
