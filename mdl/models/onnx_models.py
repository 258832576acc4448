"""ONNX graphs as a function of their tensors, run by onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdl import onnx_graphs
from mdl.errors import DataError, MdlError
from mdl.likelihoods import Likelihood
from mdl.models.functions import Function, without_prior
from mdl.models.protocol import as_array
from mdl.optional import optional
from mdl.weights import Weights, load

_BATCH = 1024  # rows predicted at a time, where the graph leaves that open
_DTYPES = {"float": "float32", "double": "float64"}  # where ONNX calls them otherwise than numpy


def from_onnx(path: str | os.PathLike[str], likelihood: Likelihood, free: Iterable[str] | None) -> Function:
    """A graph with one input and one output.

    Tensors of int64 (shapes, axes, positions) stay with the graph; all others are coded. onnxruntime computes in the
    graph's own precision, so a message is read where it was written, or where arithmetic is the same to the last bits.

    Raises
    ------
    WeightsError
        If the file cannot be read, or a package is missing.
    MdlError
        If the graph has several inputs or outputs.
    """
    optional("onnxruntime", "predictions of .onnx")
    path = Path(path)
    read = load(path)
    weights = Weights({name: tensor for name, tensor in read.items() if tensor.dtype != np.int64})
    model = onnx_graphs.with_tensors(onnx_graphs.load(path), read)
    apart = without_prior(weights) if free is None else tuple(free)
    return Function(weights, likelihood, _Predictor(model), apart, f"onnx {model.graph.name}")


class _Predictor:
    """``(weights, X) -> predictions`` of a graph."""

    def __init__(self, model: Any) -> None:
        held = {tensor.name for tensor in model.graph.initializer}
        inputs = [value for value in model.graph.input if value.name not in held]
        for what, values in (("input", inputs), ("output", model.graph.output)):
            if len(values) != 1:
                names = ", ".join(value.name for value in values)
                raise MdlError(f"wrap: expected a graph with one {what}, came {len(values)} ({names})")
        self._model = model

    def __call__(self, weights: Mapping[str, NDArray[Any]], X: Any) -> NDArray[Any]:
        runtime = optional("onnxruntime", "predictions of .onnx")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # sums in the same order every time
        options.log_severity_level = 3
        graph = onnx_graphs.with_tensors(self._model, weights).SerializeToString()
        try:
            session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
            (given,) = session.get_inputs()
            outputs = [session.run(None, {given.name: batch})[0] for batch in _batches(given, X)]
        except MdlError:
            raise
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise MdlError(f"predict: onnxruntime refused: {reason:.300}") from error
        return np.concatenate(outputs)


def _batches(given: Any, X: Any) -> Iterator[NDArray[Any]]:
    kind = given.type.removeprefix("tensor(").removesuffix(")")
    inputs = as_array(X).astype(_DTYPES.get(kind, kind))
    fixed = given.shape[0] if given.shape and isinstance(given.shape[0], int) else None
    size = fixed or _BATCH
    if inputs.ndim == 0 or (fixed and len(inputs) % fixed):
        raise DataError(f"X: expected a multiple of the graph's {size} rows, got shape {inputs.shape}")
    return (inputs[start : start + size] for start in range(0, max(len(inputs), 1), size))
