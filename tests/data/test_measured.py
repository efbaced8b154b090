"""evaluate, predict and validation on data in pieces give the bits of the same rows in memory."""

from __future__ import annotations

import numpy as np
import pytest
from feeding import CLASSES, FEATURES, ROWS, Loader, batches, small_model, trained
from networks import PROGRAMS

from deepmath import datasets, metrics
from deepmath.data import chunks
from deepmath.data.rows import Rows, rows_in
from deepmath.data.sources import ArraySource, Source
from deepmath.errors import ConfigError, LabelError, NumericError
from deepmath.preprocessing import Standardize

SCORES = ["accuracy", "f1", "auc", "r2", metrics.ConfusionMatrix()]


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 47 * 4 * FEATURES)


def every_kind(arrays, files):
    """The same rows as data of every kind."""
    uneven = [(arrays[0][a:b], arrays[1][a:b]) for a, b in ((0, 3), (3, 120), (120, 121), (121, ROWS))]
    return {
        "npy": datasets.NpySource(*files),
        "map": ArraySource(*(np.load(path, mmap_mode="r") for path in files)),
        "sequence": batches(*arrays),
        "uneven": uneven,
        "iterable": Loader(batches(*arrays, size=10)),
    }


def same(found, expected) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.asarray(found[name]).tobytes() == np.asarray(value).tobytes(), name


def model_of(loss: str = "sparse_categorical_crossentropy"):
    made = small_model()
    made.compile("adam", loss, SCORES)
    made.build((FEATURES,))
    return made


@pytest.mark.parametrize("backend", [*PROGRAMS, "torch", "array_api_strict"])
def test_bits_of_arrays_in_memory(arrays, files, backend):
    made = model_of()
    expected, p = made.evaluate(*arrays, backend=backend), made.predict(arrays[0], backend=backend)
    for given in every_kind(arrays, files).values():
        same(made.evaluate(given, backend=backend), expected)
        assert made.predict(given, backend=backend).tobytes() == p.tobytes()
    mapped = np.load(files[0], mmap_mode="r")
    same(made.evaluate(mapped, np.load(files[1], mmap_mode="r"), backend=backend), expected)
    assert made.predict(mapped, backend=backend).tobytes() == p.tobytes()
    hits = p.argmax(1) == arrays[1]
    assert expected["accuracy"] == pytest.approx(np.mean(hits), rel=1e-12)
    assert np.trace(expected["confusion_matrix"]) == np.sum(hits)


@pytest.mark.parametrize("loss", ["mse", "sse"])
@pytest.mark.parametrize("backend", PROGRAMS)
def test_pieces_add_up_to_the_whole(arrays, backend, loss, monkeypatch):
    """Against one piece of all rows; penalties count once."""
    from deepmath import Dense, Sequential
    from deepmath.regularizers import L2

    made = Sequential([Dense(2, kernel_regularizer=L2(0.3), input_dim=FEATURES)], seed=1)
    made.compile("sgd", loss, ["mae"])
    y, weights = arrays[0][:, :2] ** 2, np.linspace(0.0, 2.0, ROWS)
    weights[50:150] = 0.0  # whole pieces
    settings = {"backend": backend, "precision": "float64"}
    source = ArraySource(arrays[0], y, weights)
    found = made.evaluate(source, **settings)
    same(made.evaluate(arrays[0], y, sample_weight=weights, **settings), found)
    monkeypatch.setattr(chunks, "CHUNK", 1 << 23)
    expected = made.evaluate(source, **settings)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-13)
    assert expected["loss"] - expected["cost"] == pytest.approx(0.15 * np.sum(made.get_weights()[0] ** 2), rel=1e-9)


@pytest.mark.parametrize("kind", ["npy", "map", "sequence", "uneven", "iterable"])
def test_validation(arrays, files, kind):
    expected = trained(*arrays, validation_data=arrays, made=model_of())
    given = every_kind(arrays, files)[kind]
    found = trained(*arrays, validation_data=given, made=model_of())
    assert found[1] == expected[1]
    assert found[0].keys() == expected[0].keys()
    for name in expected[0]:
        same({name: found[0][name]}, {name: expected[0][name]})
    if kind == "npy":
        both = trained(given, validation_data=given, made=model_of())
        for name in ("val_loss", "val_accuracy", "val_auc"):
            assert both[0][name] == found[0][name]


def test_preprocessing_comes_first(arrays, files):
    made = small_model(preprocessing=Standardize().fit(arrays[0] * 3.0))
    made.build((FEATURES,))
    expected = made.evaluate(*arrays)
    for given in every_kind(arrays, files).values():
        same(made.evaluate(given), expected)


class Watched(Source):
    """Remembers the largest piece that was read."""

    kind = "watched"

    def __init__(self, inner: Source) -> None:
        self.inner, self.shape, self.largest = inner, inner.shape, 0

    def read(self, wanted) -> Rows:
        self.largest = max(self.largest, sum(stop - start for start, stop in wanted))
        return self.inner.read(wanted)

    def take(self, numbers) -> Rows:
        self.largest = max(self.largest, len(numbers))
        return self.inner.take(numbers)


def test_never_the_whole_is_read(arrays, files):
    source = Watched(datasets.NpySource(*files))
    made = model_of()
    made.evaluate(source)
    made.predict(source)
    made.fit(arrays[0], arrays[1], validation_data=source, verbose=0)
    assert source.largest == 47


def test_balanced_classes_are_counted_in_one_pass(arrays, files):
    labels = np.where(arrays[1] == 2, 2, 0)
    judge = pytest.importorskip("sklearn.utils.class_weight").compute_class_weight
    table = dict(zip([0, 2], judge("balanced", classes=np.array([0, 2]), y=labels), strict=True))
    expected = trained(arrays[0], labels, class_weight=table)
    assert trained(arrays[0], labels, class_weight="balanced") == expected
    assert trained(arrays[0], np.eye(3)[labels], class_weight="balanced", made=hot()) == trained(
        arrays[0], np.eye(3)[labels], class_weight=table, made=hot()
    )
    np.save(files[0].parent / "labels.npy", labels)
    source = datasets.NpySource(files[0], files[0].parent / "labels.npy")
    for given in (source, Watched(source), ArraySource(arrays[0], labels)):
        assert trained(given, class_weight="balanced") == expected
    in_batches = trained(arrays[0], labels, class_weight=table, shuffle=False)
    for given in (batches(arrays[0], labels), Loader(batches(arrays[0], labels))):
        assert trained(given, class_weight="balanced", shuffle=False) == in_batches
    marked = np.where(np.arange(ROWS) % 3, labels, -1)
    counts = dict(zip([0, 2], judge("balanced", classes=np.array([0, 2]), y=marked[marked >= 0]), strict=True))
    settings = {"ignore_label": -1}
    found = trained(arrays[0], marked, class_weight="balanced", **settings)
    assert found == trained(arrays[0], marked, class_weight=counts, **settings)


def hot():
    made = small_model()
    made.compile("adam", "categorical_crossentropy")
    return made


def test_a_checkpoint_knows_how_rows_counted(files, tmp_path):
    from deepmath import callbacks

    source = datasets.NpySource(*files)
    trained(source, class_weight="balanced", callbacks=[callbacks.Checkpoint(tmp_path)])
    with pytest.raises(ConfigError, match="weighting was "):
        trained(source, resume=tmp_path, epochs=3)


def refused(kind, call) -> str:
    with pytest.raises(kind) as error:
        call()
    return str(error.value)


def test_what_can_not_be_measured(arrays):
    made, (X, y) = model_of(), arrays
    generator = iter(batches(X, y))
    end = ": nobody knows where a generator ends; give a source, or a sequence of batches"
    assert refused(ConfigError, lambda: made.evaluate(generator)) == f"evaluate{end}"
    assert refused(ConfigError, lambda: made.predict(generator)) == f"predict{end}"
    fit = lambda data, **more: made.fit(X, y, verbose=0, validation_data=data, **more)  # noqa: E731
    assert refused(ConfigError, lambda: fit(generator)) == f"validation_data{end}"
    text = refused(ConfigError, lambda: made.evaluate(X))
    assert text == "evaluate: y is missing; give evaluate(X, y), a source, or batches (X, y). X is a ndarray"
    assert refused(ConfigError, lambda: made.evaluate(ArraySource(X, y), y)).startswith("evaluate: a source brings")
    assert refused(ConfigError, lambda: fit(7)) == (
        "validation_data: y is missing, and X is a int, not a source and no batches (X, y)"
    )
    bad = np.where(np.arange(ROWS) == 200, CLASSES, y)
    assert refused(LabelError, lambda: made.evaluate(ArraySource(X, bad))).startswith("label 3 at row 200 is outside")
    assert refused(LabelError, lambda: made.evaluate(batches(X, bad))).startswith("label 3 at row 8 of batch 12 is")
    holes = X.copy()
    holes[3, 1] = np.nan
    text = "Input validation X contains NaN (first at row 3, column 1; 1 value). Impute or drop it."
    assert refused(NumericError, lambda: fit(ArraySource(holes, y))) == text
    shapes = [(X[:5], y[:5]), (X[:5, :3], y[:5])]
    text = "batch 1 has rows of other shapes than the batch before it"
    assert refused(ConfigError, lambda: made.evaluate(shapes)) == text
    once = refused(ConfigError, lambda: fit(Once(batches(X, y))))
    assert once == "validation_data: every epoch goes through it, and this can be gone through only once"
    text = "fit: a generator's labels can't be counted before it trains; give class_weight numbers"
    generator = iter(batches(X, y))
    assert text == refused(ConfigError, lambda: made.fit(generator, steps_per_epoch=3, class_weight="balanced"))
    text = "class_weight must be a dictionary such as {0: 1.0, 1: 5.0}, or 'balanced'; got 'even'"
    assert refused(ConfigError, lambda: made.fit(X, y, class_weight="even")) == text


class Once:
    """An iterator that knows its length."""

    def __init__(self, given) -> None:
        self.given, self.rest = given, iter(given)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.rest)

    def __len__(self) -> int:
        return len(self.given)


def test_an_iterator_with_a_length_is_measured_once(arrays):
    made = model_of()
    same(made.evaluate(Once(batches(*arrays))), made.evaluate(*arrays))


def test_nested_numbers_are_an_array_and_not_batches(arrays):
    made, rows = model_of(), arrays[0][:3]
    assert made.predict(rows.tolist()).tobytes() == made.predict(rows).tobytes()
    assert made.predict([tuple(r) for r in rows]).tobytes() == made.predict(rows).tobytes()
    assert rows_in(47 * 4 * FEATURES, (FEATURES,)) == 47
