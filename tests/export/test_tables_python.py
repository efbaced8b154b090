"""The Python file of a model that takes tables: what it takes, what it says, and that nothing else is needed."""

import datetime
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from exported_tables import run_python

import deepmath as dm
from deepmath.errors import DeepmathError
from deepmath.export import export, exported
from deepmath.preprocessing import MinMax, Standardize
from deepmath.tables import ClassTarget, TableEncoder

FLATS = {
    "size": [40.0, None, 81.5, 60.0, 55.0, 72.0],
    "number": [9007199254740993, 2, 9007199254740993, 2, 9007199254740993, None],
    "rent": ["1.200,50", "900,00", None, "1.350,00", "n/a", "2.000,00"],
    "city": ["Nice", "Rome", None, "Nice", " Rome ", ""],
    "lift": [True, False, None, True, False, True],
    "sold": [datetime.date(2020, 1, 31), None, datetime.date(2021, 6, 1), *[datetime.date(2020, 2, 29)] * 3],
}


def model_of(frame, kinds=(), outputs=1):
    model = dm.Sequential([dm.Dense(3, "tanh"), dm.Dense(outputs)], preprocessing=TableEncoder(kinds))
    model.compile("sgd", "mse")
    model.fit(frame, np.zeros(len(frame)), epochs=1, verbose=0, backend="reference")
    return model


@pytest.fixture(scope="module")
def flats():
    """A model of flats, and what its file defines."""
    model = model_of(pd.DataFrame(FLATS | {"number": [str(n) if n else None for n in FLATS["number"]]}))
    return model, run_python(exported(model, "python", precision="float64"))


FRAMES = {
    "a dict of lists": lambda: FLATS,
    "pandas": lambda: pd.DataFrame(FLATS | {"number": pd.array(FLATS["number"], dtype="Int64")}),
    "polars": lambda: pl.DataFrame(FLATS),
    "pyarrow": lambda: pa.table(FLATS),
    "other order": lambda: dict(reversed(FLATS.items())),
    "more columns": lambda: FLATS | {"more": [object()] * 6},
    "categories of pandas": lambda: pd.DataFrame(FLATS | {"number": pd.array(FLATS["number"], dtype="Int64")}).astype(
        {"city": "category"}
    ),
    "types of pandas": lambda: pd.DataFrame(FLATS | {"number": pd.array(FLATS["number"], dtype="Int64")}).astype(
        {"city": "string", "lift": "boolean", "size": "Float64", "sold": "datetime64[ns]"}
    ),
    "a time zone": lambda: pl.DataFrame(FLATS).with_columns(pl.col("sold").cast(pl.Datetime("ms", "UTC"))),
    "masked": lambda: FLATS | {"size": np.ma.masked_array(np.array([40, 1, 81.5, 60, 55, 72]), [0, 1, 0, 0, 0, 0])},
}


@pytest.mark.parametrize("kind", FRAMES)
def test_it_takes_frames_of_any_library_and_dicts(flats, kind):
    model, file = flats
    wanted = model.preprocessing.encoding.apply(pl.DataFrame(FLATS))
    assert wanted[:, model.preprocessing.encoding.output_names.index("number=9007199254740993")].sum() == 3
    assert np.array_equal(file["_encoded"](FRAMES[kind]()), wanted)
    assert file["predict"](FRAMES[kind]()).shape == (6, 1)


WRONG = [
    ({n: FLATS[n] for n in ("rent", "lift", "sold", "number")}, "no column 'size', 'city'; it needs ['size', 'nu"),
    (np.zeros((2, 6)), "predict: the table must be a data frame or a dict of columns; got ndarray"),
    ([[1.0]], "predict: the table must be a data frame or a dict of columns; got list"),
    (FLATS | {"city": "Nice"}, "predict: column 'city' must be a list or an array of cells; got 'Nice'"),
    (FLATS | {"size": 3.0}, "predict: column 'size' must be a list or an array of cells; got 3.0"),
    (FLATS | {"size": np.zeros((6, 2))}, "predict: column 'size' must have one cell a row; got shape (6, 2)"),
    (FLATS | {"size": [1.0]}, "predict: the columns must have one length; got {'size': 1, 'number': 6"),
    (FLATS | {"size": [[1.0]] * 6}, "column 'size' holds objects of type list; a column holds numbers, text"),
    (pd.DataFrame(FLATS)[["size", *FLATS]], "predict: two columns are called 'size'; rename one"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "text"), WRONG, ids=[text[:50] for _, text in WRONG])
def test_what_it_cannot_take_is_named(flats, table, text):
    with pytest.raises(ValueError, match=r"predict|column") as caught:
        flats[1]["predict"](table)
    assert text in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


CELLS = [
    {"size": [1.0, 2.0, np.inf, 4.0, 5.0, 6.0]},
    {"rent": ["1,5"] * 5 + ["12.5.1"]},
    {"lift": ["yes", "no", "true", "off", "1", "perhaps"]},
    {"sold": ["2020-01-31"] * 5 + ["31/12/2020"]},
    {"sold": [1.0] * 6},
    {"size": FLATS["sold"]},
]


@pytest.mark.parametrize("cells", CELLS, ids=str)
def test_a_wrong_cell_is_refused_as_the_model_refuses_it(flats, cells):
    model, file = flats
    with pytest.raises(DeepmathError) as wanted:
        model.preprocessing.encoding.apply(pl.DataFrame(FLATS | cells, strict=False), who="predict")
    with pytest.raises(ValueError, match="column") as found:
        file["predict"](FLATS | cells)
    assert str(found.value) == str(wanted.value)
    assert type(found.value).__name__ == type(wanted.value).__name__


def test_plain_numbers_may_come_as_an_array():
    frame = pd.DataFrame({"b": [1.0, 2.0, 4.0], "a": [True, False, True], 0: [5, 6, 8]})
    model = model_of(frame)
    file = run_python(exported(model, "python", precision="float64"))
    wanted = model.predict(frame, precision="float64", backend="reference")
    rows = frame.to_numpy(np.float64)
    for table in (frame, frame[["a", 0, "b"]], rows, rows.tolist()):
        assert np.allclose(file["predict"](table), wanted, rtol=0, atol=1e-15)
    assert file["predict"](rows[:0]).shape == (0, 1)
    with pytest.raises(ValueError, match=r"predict: an array must be \[rows, 3\]; got shape \(3, 2\)"):
        file["predict"](rows[:, :2])
    with pytest.raises(ValueError, match="must be a data frame or a dict of columns, or an array of numbers; got int"):
        file["predict"](3)


def test_chains_within_chains_are_one():
    frame = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": ["x", "y", "x"]})
    steps = [[TableEncoder(), Standardize()], [MinMax()]]
    model = dm.Sequential([dm.Dense(1)], preprocessing=steps)
    model.compile("sgd", "mse")
    model.fit(frame, np.zeros(3), epochs=1, verbose=0, backend="reference")
    found = run_python(exported(model, "python", precision="float64"))["predict"](frame)
    assert np.allclose(found, model.predict(frame, precision="float64", backend="reference"), rtol=0, atol=1e-15)


LABELS = [((False, True), 1), ((3, 7), 1), ((0.5, 2, 7), 3), (("b", "a"), 4), ((-np.inf, 0, np.inf), 3)]


@pytest.mark.parametrize(("classes", "outputs"), LABELS)
def test_labels_are_of_the_targets_own_type(classes, outputs):
    model = dm.Sequential([dm.Dense(outputs, "sigmoid" if outputs == 1 else "softmax", input_dim=2)])
    model.target = ClassTarget(classes)
    file = run_python(exported(model, "python"))
    assert file["CLASSES"] == classes
    p = np.eye(4)[:, :outputs] * 0.9
    chosen = [1, 0, 0, 0] if outputs == 1 else [0, 1, 2 % len(classes), 0]
    assert file["labels"](p).tolist() == [classes[k] for k in chosen]
    assert file["labels"](p).dtype == model.target.decode(chosen).dtype
    assert file["labels"](p[:0]).shape == (0,)


def test_the_margin_of_a_hinge_decides_at_zero():
    model = dm.Sequential([dm.Dense(1, input_dim=2)])
    model.compile("sgd", "hinge")
    model.target = ClassTarget(("no", "yes"))
    assert run_python(exported(model, "python"))["labels"]([[0.2], [-0.2]]).tolist() == ["yes", "no"]


def test_it_needs_numpy_alone_and_any_loader_runs_it(flats, tmp_path):
    export(flats[0], tmp_path / "flats.py")
    code = (
        "import sys, importlib.util as util\n"
        f"spec = util.spec_from_file_location('flats', {str(tmp_path / 'flats.py')!r})\n"
        "net = util.module_from_spec(spec)\n"  # which sys.modules doesn't know
        "spec.loader.exec_module(net)\n"
        "table = {'size': [1.0, None], 'number': [1, 2], 'rent': ['1,5', 3], 'city': ['Nice', 'Oslo'],\n"
        "         'lift': [True, None], 'sold': ['2020-01-31', None]}\n"
        "assert net.predict(table).shape == (2, 1)\n"
        "assert not {'deepmath', 'pandas', 'narwhals', 'polars', 'scipy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_column_is_explained(flats):
    told = ", and an input of its own says so"
    own = "one of 2 categories; others count as none of them; missing cells are a category of their own"
    assert flats[1]["COLUMNS"] == {
        "size": f"a number; missing cells count as the median, 60{told}",
        "number": own,
        "rent": f"text such as '1.234,5', or a number; missing cells count as the median, 1275.25{told}",
        "city": own,
        "lift": f"'false' or 'true'; missing cells count as true, which is more frequent{told}",
        "sold": f"a date, or text such as 2020-01-31; missing cells count as 2020-02-29{told}",
    }
