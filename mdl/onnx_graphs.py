"""ONNX: the tensors of a graph, wherever it holds them, read and replaced; nothing is run here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mdl.errors import WeightsError
from mdl.files import inside
from mdl.optional import optional

Array = npt.NDArray[Any]

#: (name, TensorProto or AttributeProto, field of the attribute that holds bare numbers): where a tensor is.
_Place = tuple[str, Any, str]
_BARE = {"floats": np.float32, "ints": np.int64, "f": np.float32, "i": np.int64}


def read(path: Path) -> dict[str, Array]:
    """Every tensor but strings and single infinite numbers, in subgraphs and functions as well."""
    return tensors(load(path), path.parent)


def load(path: Path) -> Any:
    """The model as onnx has it, external data unread; WeightsError if the file holds none."""
    onnx = optional("onnx", f"reading {path.suffix}")
    model = onnx.load(path, load_external_data=False)
    if not model.HasField("graph") or not model.opset_import:
        raise WeightsError("expected an ONNX model, came a file without graph or operator set")
    return model


def tensors(model: Any, folder: Path) -> dict[str, Array]:
    """The tensors of a model whose external data lies in a folder, and nowhere else."""
    found: dict[str, Array] = {}
    for name, holder, field in _places(model):
        if name in found:
            raise WeightsError(f"tensor {name!r}: expected once, came twice")
        if field:
            found[name] = np.array(getattr(holder, field), _BARE[field])
        elif holder.data_type != holder.STRING:
            found[name] = _array(folder, name, holder)
    return {name: tensor for name, tensor in found.items() if not _is_setting(tensor)}


def _is_setting(tensor: Array) -> bool:
    """An infinite number alone is what masks are filled with, or a bound: no training ends there."""
    return tensor.ndim == 0 and tensor.dtype.kind not in "biu" and bool(np.isinf(tensor))


def with_tensors(model: Any, given: Mapping[str, Array]) -> Any:
    """The model with some tensors replaced, each by one of the same name and shape; nothing is left outside."""
    onnx = optional("onnx", "writing .onnx")
    changed = type(model)()
    changed.CopyFrom(model)
    for name, holder, field in _places(changed):
        if name not in given:
            continue
        if not field:
            holder.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(given[name]), holder.name))
        elif field in ("f", "i"):
            setattr(holder, field, given[name].item())
        else:
            getattr(holder, field)[:] = given[name].tolist()
    return changed


def _places(model: Any) -> Iterator[_Place]:
    scopes = [("", model.graph), *((f"{function.name}/", function) for function in model.functions)]
    return (place for prefix, scope in scopes for place in _walk(scope, prefix))


def _walk(scope: Any, prefix: str) -> Iterator[_Place]:
    """Of a graph or function, and all that is nested in it."""
    if len(getattr(scope, "sparse_initializer", ())):
        raise WeightsError(f"expected dense initializers, came a sparse one in graph {scope.name!r}")
    for tensor in getattr(scope, "initializer", ()):
        yield prefix + tensor.name, tensor, ""
    for node in scope.node:
        owner = prefix + (node.output[0] if node.output else node.name)
        for attribute in node.attribute:
            constant = node.op_type == "Constant"
            place = owner if constant else f"{owner}.{attribute.name}"
            yield from _walk_attribute(attribute, place, numbers=constant or node.domain == "ai.onnx.ml")


def _walk_attribute(attribute: Any, place: str, *, numbers: bool) -> Iterator[_Place]:
    if attribute.HasField("sparse_tensor") or len(attribute.sparse_tensors):
        raise WeightsError(f"tensor {place!r}: expected dense values, came sparse ones")
    if attribute.HasField("t"):
        yield place, attribute.t, ""
    for index, tensor in enumerate(attribute.tensors):
        yield f"{place}.{index}", tensor, ""
    graphs = [(place, attribute.g)] if attribute.HasField("g") else []
    graphs += [(f"{place}.{index}", graph) for index, graph in enumerate(attribute.graphs)]
    for nested, graph in graphs:
        yield from _walk(graph, f"{nested}/")
    if numbers:
        yield from ((place, attribute, field) for field in _bare_numbers(attribute))


def _bare_numbers(attribute: Any) -> Iterator[str]:
    """What constants, and the coefficients of ai.onnx.ml, hold as plain numbers; elsewhere such are settings."""
    yield from (field for field in ("floats", "ints") if len(getattr(attribute, field)))
    yield from (field for field, name in (("f", "value_float"), ("i", "value_int")) if attribute.name == name)


def _array(folder: Path, name: str, tensor: Any) -> Array:
    onnx = optional("onnx", "reading .onnx")
    if tensor.data_location == tensor.EXTERNAL:
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        if not inside(folder, location).resolve().is_relative_to(folder.resolve()):
            raise WeightsError(f"tensor {name!r}: expected data inside the model's folder, came {location!r}")
    try:
        return np.asarray(onnx.numpy_helper.to_array(tensor, str(folder)))
    except Exception as error:
        raise WeightsError(f"tensor {name!r}: {error}") from error
