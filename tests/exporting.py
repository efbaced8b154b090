"""Random trained networks, and the impartial programs that run what was exported: onnxruntime, gcc, NumPy, PyTorch."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from random_networks import random_case

import deepmath as dm
from deepmath.preprocessing import Chain, MinMax, PCAWhitening, Standardize, ZCAWhitening

ROWS = 23
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
PREPARED = [
    None, Standardize(), MinMax(-1.0, 1.0), PCAWhitening(2), ZCAWhitening(), Chain([Standardize(), ZCAWhitening()]),
]  # fmt: skip


def random_model(seed: int) -> tuple[dm.Sequential, Any]:
    """A model whose weights, running averages and preprocessing are all drawn, and inputs that float32 holds."""
    case = random_case(seed)
    rng = np.random.default_rng([seed, 7])
    features = case.X.shape[1]
    fitted = PREPARED[seed % len(PREPARED)]
    mixed = np.eye(features) + 0.3 * rng.standard_normal((features, features)) / features**0.5
    X = rng.standard_normal((60, features)) @ mixed * rng.uniform(0.5, 2.0, features) + rng.normal(0, 2, features)
    if isinstance(fitted, PCAWhitening) and features < 2:
        fitted = PCAWhitening()
    done = None if fitted is None else fitted.fit(X)
    model = dm.Sequential(case.layers, seed=seed, preprocessing=done)
    model.build((features if done is None else done.outputs,))
    kept = {n: _drawn(rng, n, v) for n, v in model.values.items()}
    model.values = kept
    return model, X[:ROWS].astype(np.float32)


def _drawn(rng: np.random.Generator, name: str, value: Any) -> Any:
    """Values near the first ones that no part of a network leaves as they were."""
    moved = value + 0.1 * rng.standard_normal(value.shape)
    return np.abs(moved) + 0.1 if name.endswith("variance") else moved


def assert_agrees(found: Any, wanted: Any, precision: str, who: str) -> float:
    """The largest difference, relative to the row's scale: its largest number, or 1 if that is less."""
    assert found.shape == wanted.shape, who
    assert found.dtype == np.dtype(precision), who
    scale = np.maximum(1.0, np.max(np.abs(wanted), axis=1, keepdims=True))
    error = float(np.max(np.abs(found.astype(np.float64) - wanted) / scale))
    assert error <= TOLERANCE[precision], f"{who}, {precision}: {error:.2g}"
    return error


def by_onnxruntime(content: bytes, X: Any) -> Any:
    """onnxruntime's result; None where it lacks a kernel for an operation in this dtype."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        return None
    return session.run(None, {"x": X})[0]


def by_onnx(content: bytes, X: Any) -> Any:
    """The result of ONNX's own reference in Python."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    with np.errstate(all="ignore"):
        return ReferenceEvaluator(onnx.load_from_string(content)).run(None, {"x": X})[0]


def by_numpy(content: bytes, X: Any) -> Any:
    """The result of the Python file."""
    names: dict[str, Any] = {}
    exec(compile(content, "<exported>", "exec"), names)
    return names["predict"](X)


def by_torch(content: bytes, X: Any) -> Any:
    """The result of the module that the file describes, with its tensors."""
    import json

    import torch
    from safetensors.torch import load

    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    module = eval(header["__metadata__"]["torch"], {"nn": torch.nn})
    module = module.to(torch.from_numpy(X).dtype)
    module.load_state_dict(load(content))
    module.eval()
    with torch.no_grad():
        return module(torch.from_numpy(X)).numpy()


def compiled_headers(headers: dict[str, bytes], precision: str, folder: Path) -> dict[str, Any]:
    """A function of rows for each header, by name; gcc compiles all of them in one file, warnings being errors."""
    type_ = {"float32": "float", "float64": "double"}[precision]
    lines = []
    for name, content in headers.items():
        (folder / f"{name}.h").write_bytes(content)
        lines += [f'#include "{name}.h"', f"void run_{name}(const {type_} *x, {type_} *y) {{ {name}_predict(x, y); }}"]
    source, library = folder / f"{precision}.c", folder / f"{precision}.so"
    source.write_text("\n".join(lines) + "\n")
    options = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic", "-shared", "-fPIC"]
    done = subprocess.run(["gcc", *options, source, "-o", library, "-lm"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    code = ctypes.CDLL(str(library))
    return {name: lambda X, outputs, f=code[f"run_{name}"]: _by_c(f, X, outputs) for name in headers}


def _by_c(function: Any, X: Any, outputs: int) -> Any:
    Y = np.full((len(X), outputs), 77, X.dtype)
    for x, y in zip(np.ascontiguousarray(X), Y, strict=True):
        function(x.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p))
    return Y


def in_a_bare_process(file: Path, rows: int, features: int) -> None:
    """Import the file and predict where nothing but NumPy can be imported from site-packages."""
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(file.parent)!r})\n"
        f"import {file.stem} as net, numpy as np\n"
        f"assert net.predict(np.zeros(({rows}, {features}))).shape[0] == {rows}\n"
        "assert not {'deepmath', 'scipy', 'onnx', 'torch', 'array_api_compat'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def by_names(printer: Any, inputs: dict[str, Any], outputs: list[tuple[str, Any]], reference: bool) -> list[Any]:
    """Results of printed nodes, by onnxruntime where it has the kernels, else or if asked for by ONNX's reference."""
    import onnx

    def value(name: str, dtype: Any, shape: Any) -> Any:
        return onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)

    nodes = [*printer.nodes]
    ends = []
    for number, (name, dtype) in enumerate(outputs):
        nodes.append(onnx.helper.make_node("Identity", [name], [f"end{number}"]))
        ends.append(value(f"end{number}", dtype, None))
    graph = onnx.helper.make_graph(
        nodes, "printed", [value(n, v.dtype, v.shape) for n, v in inputs.items()], ends, printer.initializers
    )
    opset = onnx.helper.make_opsetid("", 21)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    import onnxruntime
    from onnx.reference import ReferenceEvaluator

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if not reference:
        try:
            content = model.SerializeToString()
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            return list(session.run(None, inputs))
        except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
            pass
    with np.errstate(all="ignore"):
        return list(ReferenceEvaluator(model).run(None, inputs))
