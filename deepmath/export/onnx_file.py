"""A model as an ONNX file: weights inside, operators of the default set, checked before it is written."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepmath.errors import require
from deepmath.export.chain import Chain, Stage
from deepmath.export.cutting import Product
from deepmath.printers.onnx import OPSET, Printer


def onnx_file(chain: Chain, name: str) -> bytes:
    """The bytes of a file whose input "x" [rows, features] and output "y" [rows, outputs] have the chain's precision.

    The number of rows is free. Raises MissingExtra without the package onnx.
    """
    return bytes(onnx_model(chain, name).SerializeToString())


def onnx_model(chain: Chain, name: str) -> Any:
    """The same as an `onnx.ModelProto` that has passed the full check."""
    onnx = require("onnx", "onnx", "ONNX files")
    printer = Printer()
    value, precision = "x", chain.precision
    for number, (wanted, stage) in enumerate(chain.runs):
        value = value if wanted == precision else printer.cast(value, wanted)
        value, precision = _stage(printer, number, stage, value, wanted), wanted
    value = value if precision == chain.precision else printer.cast(value, chain.precision)
    printer.nodes.append(onnx.helper.make_node("Identity", [value], ["y"], name="output"))
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(chain.precision))
    ends = {"x": chain.features, "y": chain.outputs}
    x, y = (onnx.helper.make_tensor_value_info(n, kind, ["rows", size]) for n, size in ends.items())
    graph = onnx.helper.make_graph(printer.nodes, name, [x], [y], printer.initializers)
    opset = onnx.helper.make_opsetid("", OPSET)
    model = onnx.helper.make_model(
        graph, opset_imports=[opset], ir_version=onnx.helper.find_min_ir_version_for([opset]),
        producer_name="deepmath",
    )  # fmt: skip
    onnx.checker.check_model(model, full_check=True)
    return model


def _stage(printer: Printer, number: int, stage: Stage, x: str, dtype: str) -> str:
    """The name of a stage's result."""
    if isinstance(stage, Product):
        # Not MatMul: onnxruntime moves a factor beside one into the product, as a float32, whatever the dtype.
        return printer.emit("Gemm", x, printer.array(f"stage{number}.matrix", stage.matrix.astype(dtype)))
    columns = [
        printer.array(f"stage{number}.column{i}", column.astype(dtype)) for i, column in enumerate(stage.columns)
    ]
    return printer.formula(stage.formula, stage.kinds, [x, *columns], dtype)[0]
