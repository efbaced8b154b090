"""What can't be trained on is refused with its place in the whole data set."""

from __future__ import annotations

import numpy as np
import pytest
from feeding import CLASSES, ROWS, batches, small_model, trained

from deepmath import Dense, Sequential, datasets
from deepmath.data.sources import ArraySource
from deepmath.errors import ConfigError, DeepmathError, FormatError, LabelError, NumericError
from deepmath.preprocessing import Standardize


@pytest.mark.parametrize("shuffle", [True, False, 64])
@pytest.mark.parametrize("row", [0, 51, 200, ROWS - 1])
def test_bad_rows_are_named_by_their_number_in_the_whole(arrays, row, shuffle):
    X, y = arrays[0].copy(), arrays[1].copy()
    X[row, 3] = np.nan
    with pytest.raises(NumericError, match=rf"^Input X contains NaN \(first at row {row}, column 3; 1 value\)\."):
        trained(ArraySource(X, y), shuffle=shuffle)
    X[row, 3] = np.inf
    with pytest.raises(NumericError, match=rf"infinity .* \(first at row {row}, column 3"):
        trained(ArraySource(X, y), shuffle=shuffle)
    for label, text in ((CLASSES, "is outside 0..2"), (-1, "is negative")):
        y[row] = label
        with pytest.raises(LabelError, match=rf"^label {label} at row {row} {text}"):
            trained(ArraySource(arrays[0], y), shuffle=shuffle)
    with pytest.raises(LabelError, match=rf"row {row} is 0\.5"):
        trained(ArraySource(arrays[0], np.where(np.arange(ROWS) == row, 0.5, arrays[1])), shuffle=shuffle)
    weights = np.ones(ROWS)
    weights[row] = -2
    with pytest.raises(ConfigError, match=rf"sample_weight must be finite and >= 0; got -2.0 at row {row}$"):
        trained(ArraySource(*arrays, weights), shuffle=shuffle)


def test_a_target_out_of_range_is_named(arrays):
    made = Sequential([Dense(1, "sigmoid")])
    made.compile("sgd", "binary_crossentropy")
    y = np.where(np.arange(ROWS) == 270, 2.0, arrays[1] > 0)
    with pytest.raises(LabelError, match=r"^target 2 at row 270 is outside 0\.\.1"):
        made.fit(ArraySource(arrays[0], y), verbose=0)


def test_a_bad_row_of_a_batch_is_named(arrays):
    given = batches(arrays[0].copy(), arrays[1])
    given[7][0][5, 2] = np.nan
    for data, more in ((given, {"shuffle": False}), ((b for b in given), {"steps_per_epoch": 10})):
        with pytest.raises(NumericError, match=r"first at row 5 of batch 7, column 2"):
            small_model().fit(data, verbose=0, **more)


def test_shapes_that_change_are_refused(arrays):
    X, y = arrays
    given = [(X[:8], y[:8]), (X[:8, :4], y[:8])]
    with pytest.raises(ConfigError, match="X has 4 features, but the model is expecting 5 features"):
        small_model().fit(given, shuffle=False, verbose=0)
    with pytest.raises(ConfigError, match=r"inconsistent numbers of samples: \[8, 7\]"):
        small_model().fit([(X[:8], y[:7])], verbose=0)


def test_too_few_batches(arrays):
    given = batches(*arrays)
    text = r"the generator ended after 21 batches, and steps_per_epoch=15 asks for more \(epoch 2 is not complete\)"
    with pytest.raises(ConfigError, match=text):
        small_model().fit((b for b in given), steps_per_epoch=15, epochs=2, verbose=0)

    class Loader:
        def __iter__(self):
            return iter(given)

    text = r"the iterable ended after 21 batches, and steps_per_epoch=30 asks for more in each epoch \(epoch 1"
    with pytest.raises(ConfigError, match=text):
        small_model().fit(Loader(), steps_per_epoch=30, verbose=0)


CALLS = [
    (lambda X, y: (X,), {}, "y is missing; give fit(X, y), a source, or batches (X, y). X is a ndarray"),
    (lambda X, y: ("data.csv",), {}, "y is missing; give fit(X, y), a source, or batches (X, y). X is a str"),
    (lambda X, y: (7,), {}, "y is missing, and X is a int, not a source and no batches"),
    (lambda X, y: (iter([]),), {"steps_per_epoch": 2}, "the generator gave no batch at all"),
    (lambda X, y: ([],), {}, "the sequence of batches is empty"),
    (lambda X, y: (iter(batches(X, y)),), {}, "a generator needs steps_per_epoch"),
    (lambda X, y: (iter(batches(X, y)),), {"steps_per_epoch": 0}, "steps_per_epoch must be a whole number >= 1; got 0"),
    (lambda X, y: ([X],), {}, "batch 0 must be (X, y) or (X, y, weights); got a ndarray"),
    (lambda X, y: ([(X, y, y, y)],), {}, "batch 0 must be (X, y) or (X, y, weights); got a tuple of 4"),
    (lambda X, y: (X, y), {"steps_per_epoch": 3}, "steps_per_epoch is for generators"),
    (lambda X, y: (batches(X, y),), {"steps_per_epoch": 3}, "steps_per_epoch is for generators; this data set has"),
    (lambda X, y: (ArraySource(X, y), y), {}, "a source brings its own targets; leave out y"),
    (
        lambda X, y: (ArraySource(X, y),),
        {"sample_weight": [1.0]},
        "a batch brings its own: (X, y, weights)",
    ),
    (lambda X, y: (batches(X, y),), {"validation_split": 0.2}, "validation_split needs arrays"),
    (lambda X, y: (batches(X, y),), {"shuffle": 20}, "shuffle=20 rows needs rows"),
    (lambda X, y: (batches(X, y),), {"accumulate": 2}, "accumulate must be 1"),
    (lambda X, y: (ArraySource(X, y),), {"drop_last": True, "batch_size": 999}, "drop_last leaves no batch"),
]


@pytest.mark.parametrize(("given", "settings", "text"), CALLS, ids=[text[:40] for *_, text in CALLS])
def test_what_fit_does_not_take(arrays, given, settings, text):
    with pytest.raises(ConfigError) as error:
        small_model().fit(*given(*arrays), verbose=0, **settings)
    assert text in str(error.value)


def test_lbfgs_and_unfitted_preprocessing(arrays):
    made = small_model()
    made.compile("lbfgs", "sparse_categorical_crossentropy")
    with pytest.raises(ConfigError, match="LBFGS takes all rows in every step; give arrays in memory"):
        made.fit(ArraySource(*arrays), verbose=0)
    with pytest.raises(ConfigError, match="preprocessing can't be fitted to batches as they come"):
        small_model(preprocessing=Standardize()).fit(batches(*arrays), verbose=0)


def test_files_that_do_not_fit(tmp_path, arrays):
    X, y = tmp_path / "X.npy", tmp_path / "y.npy"
    np.save(X, arrays[0])
    np.save(y, arrays[1][:-1])

    def refusal(*paths) -> str:
        with pytest.raises(DeepmathError) as error:
            datasets.NpySource(*paths)
        return str(error.value)

    assert refusal(X, y) == "Found input variables with inconsistent numbers of samples: [333, 332]"
    np.save(y, arrays[1].astype(object), allow_pickle=True)
    assert "holds Python objects" in refusal(X, y)
    np.save(X, np.asfortranarray(arrays[0]))
    assert "lies column by column" in refusal(X, y)
    np.save(X, arrays[0])
    X.write_bytes(X.read_bytes()[:-4])
    assert refusal(X, y) == f"{X}: header says 333×5 of float32 = 6,660 bytes, file has 6,656."


def test_a_file_that_is_cut_while_it_is_read(files, tmp_path):
    X = tmp_path / "X.npy"
    X.write_bytes(files[0].read_bytes())
    source = datasets.NpySource(X, files[1])
    X.write_bytes(X.read_bytes()[:-40])
    with pytest.raises(FormatError, match="it was cut while it was read"):
        trained(source, shuffle=False)


def test_a_number_of_a_table_that_is_infinite_is_named_by_its_row(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "".join(f"{i % 9},{i % 3}\n" for i in range(200)) + "1e999,1\n" + "3,1\n")
    with pytest.raises(NumericError, match=r"column 'a', row 200: the number is infinite"):
        datasets.TableSource(path)
    (tmp_path / "e.csv").write_text("a,b\n")
    with pytest.raises(FormatError, match=r"a header and no rows"):
        datasets.TableSource(tmp_path / "e.csv")
