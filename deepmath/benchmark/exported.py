"""deepmath's own exports as candidates: the Python file and the C header, which predict. The worker loads this file."""

from __future__ import annotations

import ctypes
import importlib.util
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

CALL = '#include "{header}"\nvoid predict(const float *x, float *y) {{ {name}_predict(x, y); }}\n'


class Candidate:
    """Predictions of the file that deepmath wrote; it isn't trained."""

    def __init__(self, task: Any) -> None:
        file = Path(task.options["export"])
        self.outputs, self.form = task.widths[-1], file.suffix
        self.call = _c(file) if self.form == ".h" else _python(file)

    def settings(self, kind: str) -> list[Any]:  # noqa: ARG002 - the worker asks by kind
        """There is one way."""
        return [None]

    def use(self, setting: Any) -> None:
        """There is nothing to set."""

    def load(self, weights: list[Any]) -> None:
        """The file holds the weights."""

    def predict(self, X: Any) -> Any:
        """Probabilities [rows, outputs]; C takes row by row."""
        if self.form == ".py":
            return self.call(X)
        p = np.empty((len(X), self.outputs), np.float32)
        for row, out in zip(X, p, strict=True):
            self.call(row.ctypes.data, out.ctypes.data)
        return p

    def about(self) -> dict[str, Any]:
        """What is called."""
        return {"form": self.form}


def _python(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location("exported", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.predict


def _c(header: Path) -> Any:
    """The header's function, compiled by `cc` for this processor."""
    folder = Path(tempfile.mkdtemp(dir=header.parent))
    source, library = folder / "call.c", folder / "call.so"
    source.write_text(CALL.format(header=header, name=header.stem), encoding="utf-8")
    command = ["cc", "-O3", "-march=native", "-shared", "-fPIC", str(source), "-o", str(library), "-lm"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    predict = ctypes.CDLL(str(library)).predict
    predict.argtypes, predict.restype = [ctypes.c_void_p, ctypes.c_void_p], None
    return predict
