"""A model as an ONNX file: weights inside, operators of the default set, checked before it is written."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepmath.errors import require
from deepmath.export import onnx_table
from deepmath.export.chain import Chain
from deepmath.export.section import Section
from deepmath.printers.onnx import OPSET, Printer


def onnx_file(chain: Chain, name: str) -> bytes:
    """The bytes of a file whose input "x" [rows, features] and output "y" [rows, outputs] have the chain's precision.

    The number of rows is free. A model that takes tables has an input [rows, 1] for each column, called as it; one
    with classes has a second output, "label" [rows]. Where a column has an output's name, that one has a _ behind it.
    Raises MissingExtra without the package onnx.
    """
    return bytes(onnx_model(chain, name).SerializeToString())


def onnx_model(chain: Chain, name: str) -> Any:
    """The same as an `onnx.ModelProto` that has passed the full check."""
    onnx = require("onnx", "onnx", "ONNX files")
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(chain.precision))
    value_info = onnx.helper.make_tensor_value_info
    encoding, names = chain.encoding, [] if chain.encoding is None else onnx_table.input_names(chain.encoding)
    printer = Printer("" if encoding is None else onnx_table.prefix_of(names))
    if encoding is None:
        inputs, value, precision = [value_info("x", kind, ["rows", chain.features])], "x", chain.precision
    else:
        inputs, value, precision = onnx_table.inputs(encoding), onnx_table.encoded(printer, encoding), "float64"
    for section in chain.sections:
        value = value if section.precision == precision else printer.cast(value, section.precision)
        value, precision = _section(printer, section, value), section.precision
    value = value if precision == chain.precision else printer.cast(value, chain.precision)
    y = onnx_table.free("y", names)
    ends = {y: (value, "output", kind, ["rows", chain.outputs])}
    if chain.classes is not None:
        label = onnx_table.label(printer, chain.classes, value, chain.outputs, chain.precision)
        labels = onnx.helper.np_dtype_to_tensor_dtype(onnx_table.label_array(chain.classes).dtype)
        ends[onnx_table.free("label", names)] = (label, "label", labels, ["rows"])
    printer.nodes += [onnx.helper.make_node("Identity", [v], [end], name=n) for end, (v, n, _, _) in ends.items()]
    outputs = [value_info(end, k, shape) for end, (_, _, k, shape) in ends.items()]
    graph = onnx.helper.make_graph(printer.nodes, name, inputs, outputs, printer.initializers)
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    if any(node.domain for node in printer.nodes):
        opsets.append(onnx.helper.make_opsetid("ai.onnx.ml", onnx_table.ML_OPSET))
    text = onnx_table.description(chain, y)
    model = onnx.helper.make_model(
        graph, opset_imports=opsets, ir_version=onnx.helper.find_min_ir_version_for(opsets), producer_name="deepmath",
        **({"doc_string": text} if text else {}),
    )  # fmt: skip
    onnx.checker.check_model(model, full_check=True)
    return model


def _section(printer: Printer, section: Section, x: str) -> str:
    """The name of a section's result."""
    known = {section.x.number: x}
    for number, (name, value) in section.constants.items():
        known[number] = printer.array(name, value.astype(section.precision) if value.dtype.kind == "f" else value)
    for stage in section.stages:
        printer.graph(stage.kernel.outputs, known, section.precision)
    return printer.graph([section.y], known, section.precision)[0]
