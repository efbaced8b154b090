"""read_npz: what it takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from deepmath.datasets import load, read_npz
from deepmath.errors import FormatError

TYPES = ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]


@given(
    st.sampled_from(TYPES).flatmap(
        lambda t: arrays.arrays(np.dtype(t), arrays.array_shapes(min_dims=1, max_dims=3, max_side=5))
    ),
    st.sampled_from(["<", ">"]),
    st.booleans(),
    st.sampled_from([np.savez, np.savez_compressed]),
)
def test_what_numpy_saves_is_read_back(tmp_path_factory, values, order, fortran, save):
    path = tmp_path_factory.getbasetemp() / "round.npz"
    swapped = values.astype(values.dtype.newbyteorder(order))
    save(path, X=np.asfortranarray(swapped) if fortran else swapped, y=np.arange(len(values)))
    X, y = read_npz(path)
    assert (X.dtype, X.shape, X.tobytes()) == (values.dtype, values.shape, values.tobytes())
    assert X.dtype.isnative
    assert X.flags.c_contiguous
    np.testing.assert_array_equal(y, np.arange(len(values)))


def test_arrays_of_other_names(tmp_path):
    np.savez(tmp_path / "a.npz", **{"in/put": [[1.0]], "out": [2]}, unused=["text"])
    X, y = read_npz(tmp_path / "a.npz", x="in/put", y="out")
    assert (X.tolist(), y.tolist()) == ([[1.0]], [2])


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions_of_the_format_and_spellings_of_the_header(put, npy, zipped, version):
    header = '{"shape":(2,),"descr":"<i2","fortran_order":False}'
    content = npy(header, b"\1\0\2\0", version)
    X, _ = read_npz(put("a.npz", zipped([("X.npy", content), ("y.npy", content)])))
    assert X.tolist() == [1, 2]


def test_a_boolean_is_false_or_true_whatever_its_byte(put, npy, zipped):
    content = npy(("|b1", (4,)), bytes([0, 1, 2, 255]))
    X, _ = read_npz(put("a.npz", zipped([("X.npy", content), ("y.npy", content)])))
    assert X.view(np.uint8).tolist() == [0, 1, 1, 1]


def test_many_equal_values_are_no_bomb(tmp_path):
    np.savez_compressed(tmp_path / "zeros.npz", X=np.zeros((1000, 1000)), y=np.zeros(1000))
    assert read_npz(tmp_path / "zeros.npz")[0].shape == (1000, 1000)


def test_load_makes_a_data_set_of_it(tmp_path):
    path = tmp_path / "pictures.NPZ"
    with open(path, "wb") as file:
        np.savez(file, X=np.arange(12, dtype=np.uint8).reshape(2, 2, 3), y=np.array([[1], [0]], np.uint8))
    data = load(path, seed=3)
    assert (data.X.shape, data.X.dtype, data.y.tolist(), data.y.dtype) == ((2, 6), np.float64, [1, 0], np.int64)
    assert (data.name, data.classes, data.feature_names[-1], data.target_names) == ("pictures", None, "x5", ("y",))
    np.savez(tmp_path / "b.npz", a=np.ones(3, np.float32), b=np.ones((3, 2), np.float16))
    data = load(tmp_path / "b.npz", x="a", y="b")
    assert (data.X.shape, data.X.dtype, data.y.dtype) == ((3, 1), np.float32, np.float64)
    assert data.target_names == ("b0", "b1")


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array([2**63], np.uint64), "a.npz: array 'y' holds 9223372036854775808, which is too large for a label"),
        (np.ones((1, 2, 3)), "a.npz: array 'y' is 1×2×3; [rows] or [rows, targets] is expected"),
    ],
)
def test_load_refuses_targets_that_are_none(tmp_path, monkeypatch, y, message):
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", X=np.ones((1, 1)), y=y)
    with pytest.raises(FormatError) as caught:
        load("a.npz")
    assert str(caught.value) == message
