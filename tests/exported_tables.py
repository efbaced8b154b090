"""Random tables of every kind of column whose cells are known three ways: as a frame has them, as ONNX, as C."""

from __future__ import annotations

import ctypes
import datetime
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import deepmath as dm
from deepmath.preprocessing import Standardize
from deepmath.tables import NumbersTarget, NumberTarget, TableEncoder

TRAINED, MEASURED = 90, 40
EPOCH = datetime.datetime(1970, 1, 1)
WORDS = ["Nice", "Rome", "São Paulo", "O'Hara", 'the "Hague"', "a\\b", "x, y", "NA"]


class Sort(NamedTuple):
    """A kind of column: its values for rows of which some are unusual, how a frame writes one, and the kind to ask for.

    `code` is what C takes for a value; `onnx` the type of ONNX's input.
    """

    draw: Any
    write: Any
    onnx: type = np.float64
    kind: str | None = None


def _words(rng: Any, new: bool) -> str:
    return "never seen" if new and rng.random() < 0.2 else str(rng.choice(WORDS[: 4 + 4 * new]))


def _date(rng: Any, new: bool) -> datetime.datetime:
    """Some time of ten years, or when new of a thousand; in leap years too."""
    years = (1500, 2500) if new and rng.random() < 0.5 else (2012, 2022)
    low, high = ((datetime.datetime(y, 1, 1) - EPOCH).total_seconds() for y in years)
    return EPOCH + datetime.timedelta(seconds=int(rng.integers(int(low), int(high))))


def _day(rng: Any, new: bool) -> datetime.datetime:
    return _date(rng, new).replace(hour=0, minute=0, second=0)


def _comma(value: float) -> str:
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


SORTS = {
    "number": Sort(lambda r, new: float(r.normal(50, 20)), lambda v: v),
    "whole": Sort(lambda r, new: int(r.integers(-3, 9)), lambda v: v),
    "price": Sort(lambda r, new: float(np.round(r.uniform(1e3, 9e5), 2)), lambda v: f"{_comma(v)} €"),
    "share": Sort(lambda r, new: float(np.round(r.uniform(0, 100), 1)), lambda v: f"{v} %"),
    "truth": Sort(lambda r, new: bool(r.random() < 0.6), lambda v: v),
    "word": Sort(lambda r, new: bool(r.random() < 0.4), lambda v: "Yes" if v else "No"),
    "pair": Sort(lambda r, new: bool(r.random() < 0.4), lambda v: "m" if v else "f", kind="boolean"),
    "category": Sort(_words, lambda v: v, str),
    "class": Sort(lambda r, new: float(r.choice([1.0, 2.5, -3.0, 7.0 + new])), lambda v: v, kind="category"),
    "date": Sort(_date, lambda v: v, np.int64),
    "day": Sort(_day, lambda v: v.strftime("%d/%m/%Y"), np.int64, "date:%d/%m/%Y"),
}


class Case(NamedTuple):
    """A trained model, and a table that it hasn't seen: a frame, ONNX's inputs, and C's codes [rows, columns]."""

    model: dm.Sequential
    frame: pd.DataFrame
    inputs: dict[str, Any]
    codes: Any


def random_case(seed: int) -> Case:
    """A model of four to eleven columns whose target is text, two numbers in their units, or one."""
    rng = np.random.default_rng([seed, 16])
    names = [str(n) for n in rng.permutation(list(SORTS))[: 11 if seed == 0 else rng.integers(4, 12)]]
    missing = {name: rng.random() < 0.6 for name in names}
    columns = {name: _values(rng, name, TRAINED, 0.15 * missing[name], False) for name in names}
    frame = _frame(columns)
    kinds = {name: SORTS[name].kind for name in names if SORTS[name].kind is not None}
    steps: list[Any] = [TableEncoder(kinds=kinds), *([Standardize()] * (seed != 1))]
    text = seed % 3 == 0
    outputs = int(rng.integers(1, 4)) if text else seed % 3
    ending = ("softmax" if outputs > 1 else "sigmoid") if text else None
    model = dm.Sequential([dm.Dense(6, "tanh"), dm.Dense(outputs, ending)], seed=seed, preprocessing=steps)
    loss = ("sparse_categorical_crossentropy" if outputs > 1 else "binary_crossentropy") if text else "mse"
    model.compile("adam", loss)
    y = rng.choice(["no", "yes", "may be"][: max(2, outputs)], TRAINED) if text else rng.normal(size=(TRAINED, outputs))
    model.fit(frame, y, epochs=1, verbose=0, backend="reference")
    if not text:
        units = [NumberTarget("y", -40.0, 2e3), NumbersTarget(("a", "b"), (1e5, -3.0), (2e4, 0.5))]
        model.target = units[outputs - 1]
    columns = {name: _values(rng, name, MEASURED, 0.1 + 0.2 * missing[name], True) for name in names}
    used = [column.name for column in model.preprocessing.encoding.used]
    inputs = {name: np.array([[_onnx(name, v)] for v in columns[name]], _type(name)) for name in used}
    known = {c.name: getattr(c, "categories", ()) for c in model.preprocessing.encoding.used}
    codes = np.array([[_code(v, known[name]) for v in columns[name]] for name in used]).T.copy()
    return Case(model, _frame(columns), inputs, codes)


def _values(rng: Any, name: str, rows: int, missing: float, new: bool) -> list[Any]:
    return [None if rng.random() < missing else SORTS[name].draw(rng, new) for _ in range(rows)]


def _frame(columns: dict[str, list[Any]]) -> pd.DataFrame:
    return pd.DataFrame({n: [None if v is None else SORTS[n].write(v) for v in vs] for n, vs in columns.items()})


def _type(name: str) -> Any:
    return object if SORTS[name].onnx is str else SORTS[name].onnx


def _onnx(name: str, value: Any) -> Any:
    if SORTS[name].onnx is np.int64:
        return np.datetime64(value or "NaT", "us").astype(np.int64)
    return ("" if SORTS[name].onnx is str else np.nan) if value is None else value


def _code(value: Any, categories: tuple[str, ...]) -> float:
    """What C takes: the index of a category, seconds, or the number."""
    if value is None:
        return np.nan
    if categories:
        text = value if isinstance(value, str) else f"{value:g}"
        return float(categories.index(text)) if text in categories else -1.0
    return (value - EPOCH).total_seconds() if isinstance(value, datetime.datetime) else float(value)


def run_onnx(content: bytes, inputs: dict[str, Any]) -> list[Any]:
    """onnxruntime's outputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, inputs))


def run_c(headers: dict[str, bytes], precision: str, folder: Path) -> dict[str, Any]:
    """A function of rows of codes and the number of outputs for each header, compiled without a warning."""
    type_ = {"float32": "float", "float64": "double"}[precision]
    lines = []
    for name, content in headers.items():
        (folder / f"{name}.h").write_bytes(content)
        lines += [f'#include "{name}.h"', f"void run_{name}(const double *x, {type_} *y) {{ {name}_predict(x, y); }}"]
    source, library = folder / f"{precision}.c", folder / f"{precision}.so"
    source.write_text("\n".join(lines) + "\n")
    options = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic", "-shared", "-fPIC"]
    done = subprocess.run(["gcc", *options, source, "-o", library, "-lm"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    code = ctypes.CDLL(str(library))

    def run(function: Any, codes: Any, outputs: int) -> Any:
        y = np.full((len(codes), outputs), 77, precision)
        for row, out in zip(np.ascontiguousarray(codes, np.float64), y, strict=True):
            function(row.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p))
        return y

    return {name: lambda codes, outputs, f=code[f"run_{name}"]: run(f, codes, outputs) for name in headers}


def run_python(content: bytes) -> dict[str, Any]:
    """What the file defines."""
    names: dict[str, Any] = {}
    exec(compile(content, "<exported>", "exec"), names)
    return names
