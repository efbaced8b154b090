"""A file trains to the bit as the same rows in memory do, and every kind of data trains."""

from __future__ import annotations

import gzip
import itertools
import struct

import numpy as np
import pytest
from feeding import CLASSES, FEATURES, ROWS, Loader, batches, small_model, trained
from networks import PROGRAMS

from deepmath import Dense, Sequential, datasets
from deepmath.data.sources import ArraySource
from deepmath.preprocessing import Standardize

SETTINGS = [
    {},
    {"shuffle": False},
    {"drop_last": True},
    {"batch_size": 20, "accumulate": 3},
    {"batch_size": 1000},
    {"batch_size": "full"},
    {"batch_size": 111, "precision": "float64"},
    {"class_weight": {0: 1.0, 1: 0.5, 2: 0.0}},
    {"batch_size": 60, "shuffle": np.bool_(False)},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("backend", PROGRAMS)
def test_a_memory_map_trains_as_the_array_does(arrays, files, backend, settings):
    expected = trained(*arrays, backend=backend, **settings)
    mapped = [np.load(path, mmap_mode="r") for path in files]
    assert trained(*mapped, backend=backend, **settings) == expected
    assert trained(datasets.NpySource(*files), backend=backend, **settings) == expected


@pytest.mark.parametrize("backend", [*PROGRAMS, "torch", "array_api_strict"])
def test_on_every_library(arrays, files, backend):
    expected = trained(*arrays, backend=backend, epochs=1)
    assert trained(datasets.NpySource(*files), backend=backend, epochs=1) == expected


def test_weights_and_a_held_out_share(arrays, files):
    weights = np.linspace(0.0, 2.0, ROWS)
    settings = {"sample_weight": weights, "validation_split": 0.2}
    mapped = [np.load(path, mmap_mode="r") for path in files]
    assert trained(*mapped, **settings) == trained(*arrays, **settings)


def test_weights_that_are_zero_in_a_whole_stretch(arrays):
    weights = np.zeros(ROWS)
    weights[300:] = 1.0
    expected = trained(*arrays, sample_weight=weights, shuffle=False)
    assert trained(ArraySource(*arrays, weights), shuffle=False) == expected


def test_a_window_means_the_same_for_arrays_and_files(arrays, files):
    expected = trained(*arrays, shuffle=64)
    assert trained(datasets.NpySource(*files), shuffle=64) == expected
    assert expected != trained(*arrays)
    assert expected != trained(*arrays, shuffle=128)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float16", ">f4", "float64"])
def test_numbers_of_any_type_are_converted_as_they_are_read(tmp_path, arrays, dtype):
    X, y = np.abs(arrays[0] * 20).astype(dtype), arrays[1].astype(np.uint8)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    expected = trained(X.astype(np.float32), y)
    assert trained(datasets.NpySource(tmp_path / "X.npy", tmp_path / "y.npy")) == expected


def test_npy_with_weights_and_further_axes(tmp_path, arrays):
    weights = np.linspace(1.0, 2.0, ROWS)
    for name, array in {"X": arrays[0].reshape(ROWS, 1, FEATURES), "y": arrays[1], "w": weights}.items():
        np.save(tmp_path / f"{name}.npy", array)
    source = datasets.NpySource(*(tmp_path / f"{name}.npy" for name in "Xyw"))
    assert trained(source) == trained(*arrays, sample_weight=weights)


def write_idx(path, array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def test_idx(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (ROWS, 2, 3))
    labels = np.random.default_rng(2).integers(0, CLASSES, ROWS)
    write_idx(tmp_path / "images", images)
    write_idx(tmp_path / "labels", labels)
    source = datasets.IdxSource(tmp_path / "images", tmp_path / "labels")
    assert trained(source) == trained(images.reshape(ROWS, 6), labels)
    (tmp_path / "packed").write_bytes(gzip.compress((tmp_path / "images").read_bytes()))
    with pytest.raises(datasets.idx.FormatError, match=r"packed: rows of a gzip file .* unpack it first"):
        datasets.IdxSource(tmp_path / "packed", tmp_path / "labels")


@pytest.mark.parametrize("shuffle", [True, 64, False])
def test_csv(tmp_path, arrays, shuffle):
    X, y = arrays
    names = np.array(["red", "green, dark", "blue"])[y]
    lines = [",".join([*(repr(float(v)) for v in row), f'"{name}"']) for row, name in zip(X, names, strict=True)]
    path = tmp_path / "table.csv"
    path.write_text("\ufeff" + ",".join([*"abcde", "colour"]) + "\n" + "\n\n".join(lines) + "\n", encoding="utf-8")
    table, source = datasets.read_csv(path), datasets.TableSource(path)
    assert (source.target.classes, source.feature_names, source.target.name) == (
        table.classes, table.feature_names, table.target_name,
    )  # fmt: skip
    assert trained(source, shuffle=shuffle) == trained(table.X, table.y, shuffle=shuffle)


def test_a_part_of_a_table_without_a_header(tmp_path, arrays):
    X = arrays[0].astype(np.float64)
    path = tmp_path / "table.csv"
    path.write_text("\n".join(",".join(map(repr, row.tolist())) for row in X), encoding="utf-8")
    source, rows = datasets.TableSource(path, header=False, target=-3), np.arange(len(X))[::-2]
    made = [Sequential([Dense(4, "tanh"), Dense(1)], seed=1) for _ in range(2)]
    for model in made:
        model.compile("adam", "mse")
    given = X[rows][:, [0, 1, 3, 4]], X[rows][:, 2]
    assert trained(source.subset(rows), made=made[0]) == trained(*given, made=made[1])


def test_batches_train_as_their_rows_in_order_do(arrays):
    expected = trained(*arrays, shuffle=False)
    given = batches(*arrays)
    assert trained(given, shuffle=False) == expected
    assert trained((b for _ in range(2) for b in given), steps_per_epoch=len(given)) == expected

    assert trained(Loader(given)) == expected
    assert trained(Loader(given), steps_per_epoch=len(given)) == expected


def test_a_sequence_is_shuffled_by_the_seed(arrays):
    given = batches(*arrays)
    assert trained(given) == trained(given)
    assert trained(given) != trained(given, shuffle=False)


def test_batches_with_weights_and_larger_ones_behind(arrays):
    X, y = arrays
    weights = np.linspace(0.0, 1.0, ROWS)
    cuts = [0, 10, 40, 41, ROWS]
    given = [(X[a:b], y[a:b], weights[a:b]) for a, b in itertools.pairwise(cuts)]
    made = Sequential([Dense(CLASSES, "softmax")], seed=1)
    made.compile("sgd", "sparse_categorical_crossentropy")
    made.fit(given, epochs=1, verbose=0, shuffle=False, precision="float64")
    one_by_one = Sequential([Dense(CLASSES, "softmax")], seed=1)
    one_by_one.compile("sgd", "sparse_categorical_crossentropy")
    for x, t, w in given:
        one_by_one.fit(x, t, sample_weight=w, batch_size="full", verbose=0, shuffle=False, precision="float64")
    for found, expected in zip(made.get_weights(), one_by_one.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_preprocessing_is_fitted_chunk_by_chunk(arrays, files):
    made, whole = (small_model(preprocessing=Standardize()) for _ in range(2))
    found, expected = trained(datasets.NpySource(*files), made=made), trained(*arrays, made=whole)
    np.testing.assert_allclose(found[0]["loss"], expected[0]["loss"], rtol=1e-5)
    fitted = Standardize().fit(arrays[0])
    given = [(X, y) for X, y in batches(*arrays)]
    a, b = (small_model(preprocessing=fitted) for _ in range(2))
    assert trained(given, made=a, shuffle=False) == trained(*arrays, made=b, shuffle=False)


def test_a_second_fit_goes_on_as_in_memory(arrays, files):
    made, whole = small_model(), small_model()
    for _ in range(2):
        found, expected = trained(datasets.NpySource(*files), made=made), trained(*arrays, made=whole)
        assert found == expected
