"""load: every name, every option, every refusal."""

import gzip

import numpy as np
import pytest

from deepmath import datasets
from deepmath.errors import ConfigError, FormatError


@pytest.mark.parametrize("name", ["circles", "moons", "spirals", "xor", "digits"])
def test_a_name_gives_what_its_function_gives(name):
    data = datasets.load(name)
    X, y = getattr(datasets, name)()
    np.testing.assert_array_equal(data.X, X)
    np.testing.assert_array_equal(data.y, y)
    assert data.name == name
    assert len(data.classes) == y.max() + 1
    assert len(data.feature_names) == X.shape[1]


def test_houses_have_names_for_features_and_targets():
    data = datasets.load("houses", seed=2, n=20, targets=2)
    np.testing.assert_array_equal(data.y, datasets.houses(n=20, seed=2, targets=2)[1])
    assert (data.feature_names, data.target_names) == (datasets.HOUSE_FEATURES, ("price", "rent"))
    assert data.classes is None
    assert datasets.load("houses", n=3).target_names == ("price",)


def test_every_arm_of_the_spirals_has_a_name():
    assert datasets.load("spirals", n=30, classes=3).classes == ("arm 0", "arm 1", "arm 2")


def test_several_targets_of_a_table(tmp_path):
    (tmp_path / "a.csv").write_text("a,b,c\n1,2,3\n")
    data = datasets.load(tmp_path / "a.csv", target=["c", "a"])
    assert (data.y.tolist(), data.target_names, data.feature_names) == ([[3.0, 1.0]], ("c", "a"), ("b",))


def test_a_parquet_file_and_a_packed_one(tmp_path):
    import polars as pl

    frame = pl.DataFrame({"a": [1, 2], "b": [0.5, None], "c": ["x", "y"]})
    frame.write_parquet(tmp_path / "a.b.parquet")
    with gzip.open(tmp_path / "z.csv.gz", "wt") as file:
        file.write("a,b\n1,2\n")
    data = datasets.load(tmp_path / "a.b.parquet")
    np.testing.assert_array_equal(data.X, [[1.0, 0.5], [2.0, np.nan]])
    assert (data.name, data.y.tolist(), data.classes) == ("a.b", [0, 1], ("x", "y"))
    assert datasets.load(tmp_path / "z.csv.gz").name == "z"


def test_seed_and_options_go_through():
    data = datasets.load("circles", seed=5, n=20, noise=0.0, factor=0.5)
    np.testing.assert_array_equal(data.X, datasets.circles(n=20, noise=0.0, factor=0.5, seed=5)[0])


@pytest.mark.parametrize("suffix", [".csv", ".CSV"])
def test_a_path_gives_the_table(tmp_path, suffix):
    path = tmp_path / f"cats{suffix}"
    path.write_text("kind,weight,age\ntom,4.5,?\nmolly,3,2\n")
    for place in (path, str(path)):
        data = datasets.load(place, seed=1, target="kind", na=["?"])
        np.testing.assert_array_equal(data.X, [[4.5, np.nan], [3.0, 2.0]])
        assert data.y.tolist() == [1, 0]
        assert (data.name, data.classes, data.feature_names) == ("cats", ("molly", "tom"), ("weight", "age"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "circels",
            {},
            "load: no data set 'circels'; did you mean 'circles'? "
            "Known: circles, moons, spirals, xor, houses, digits, mnist, or a path that ends in .csv, .parquet or .npz",
        ),
        (
            "data.txt",
            {},
            "load: no data set 'data.txt'. "
            "Known: circles, moons, spirals, xor, houses, digits, mnist, or a path that ends in .csv, .parquet or .npz",
        ),
        ("circles", {"nosie": 1}, "load: 'circles' has no option 'nosie'; its options: n, noise, factor"),
        ("digits", {"n": 1}, "load: 'digits' has no option 'n'; its options: none"),
        ("spirals", {"arms": 3}, "load: 'spirals' has no option 'arms'; its options: n, noise, turns, classes"),
        ("mnist", {"n": 1}, "load: 'mnist' has no option 'n'; its options: data_dir, part"),
        ("a.npz", {"X": "x"}, "load: 'a.npz' has no option 'X'; its options: x, y"),
        ("a.csv", {"path": 1}, "load: 'a.csv' has no option 'path'; its options: target, header, na"),
    ],
)
def test_what_is_unknown_is_refused(name, options, message):
    with pytest.raises(ConfigError) as caught:
        datasets.load(name, **options)
    assert str(caught.value) == message


def test_a_missing_file_is_an_os_error_and_a_bad_one_a_format_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        datasets.load(tmp_path / "none.csv")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(FormatError, match="the file is empty"):
        datasets.load(tmp_path / "empty.csv")
