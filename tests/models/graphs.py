"""Graphs of ONNX for tests: a perceptron with one hidden layer, its second weight in a ``Constant`` node."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def save(path: Path, tensors: Mapping[str, Any], rows: int | None = None, outputs: int = 1) -> Path:
    """Write the graph; ``rows`` fixes the number of examples, ``outputs`` shows hidden units as well."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    w = {name: numpy_helper.from_array(np.asarray(t, np.float32), name) for name, t in tensors.items()}
    shape = numpy_helper.from_array(np.array([-1, len(tensors["hidden.weight"])], np.int64), "shape")
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "hidden.weight"], ["sum"]),
        helper.make_node("Add", ["sum", "hidden.bias"], ["biased"]),
        helper.make_node("Relu", ["biased"], ["hidden"]),
        helper.make_node("Constant", [], ["out.weight"], value=w["out.weight"]),
        helper.make_node("MatMul", ["hidden", "out.weight"], ["scores"]),
        helper.make_node("Add", ["scores", "out.bias"], ["logits"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows or "rows", len(tensors["hidden.weight"])])
    shown = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "units"])
        for name in ("logits", "hidden")[:outputs]
    ]
    held = [w["hidden.weight"], w["hidden.bias"], w["out.bias"], shape]
    graph = helper.make_graph(nodes, "perceptron", [x], shown, initializer=held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
