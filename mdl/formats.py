"""The tensor formats that are read and written: safetensors and its sharded index, npy, npz, PyTorch, ONNX."""

from __future__ import annotations

import importlib
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np
import numpy.typing as npt
from safetensors import safe_open

from mdl.errors import WeightsError

Array = npt.NDArray[Any]

#: Every dtype that a tensor may have, by its name in a safetensors header.
FLOATS: dict[str, np.dtype[Any]] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
}
INTEGERS: dict[str, np.dtype[Any]] = {
    **{f"I{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"U{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
    "BOOL": np.dtype(np.bool_),
}
DTYPES = {**FLOATS, **INTEGERS}
#: By numpy's name, which is the same for either byte order and for C's several names of one integer.
TAGS = {dtype.name: tag for tag, dtype in DTYPES.items()}


def _read_safetensors(path: Path) -> dict[str, Array]:
    with safe_open(path, framework="numpy"):
        pass  # the reference parser vouches for the header: sizes agree with shapes and fill the file exactly
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        return {name: _read_entry(stream, 8 + length, name, entry) for name, entry in header.items()}


def _read_entry(stream: BinaryIO, start: int, name: str, entry: Mapping[str, Any]) -> Array:
    dtype = DTYPES.get(entry["dtype"])
    if dtype is None:
        raise WeightsError(f"tensor {name!r}: expected a dtype among {', '.join(DTYPES)}, came {entry['dtype']}")
    begin, end = entry["data_offsets"]
    stream.seek(start + begin)
    return np.fromfile(stream, dtype, (end - begin) // dtype.itemsize).reshape(entry["shape"])


def _read_index(path: Path) -> dict[str, Array]:
    index = json.loads(path.read_text(encoding="utf-8"))
    shard_of = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(shard_of, dict) or not all(isinstance(shard, str) for shard in shard_of.values()):
        raise WeightsError('expected {"weight_map": {tensor: shard}}, came other JSON')
    found: dict[str, Array] = {}
    for shard in dict.fromkeys(shard_of.values()):
        listed = {name for name, its_shard in shard_of.items() if its_shard == shard}
        tensors = _read_shard(path.parent, shard)
        if tensors.keys() != listed:
            odd = sorted(tensors.keys() ^ listed)[0]
            raise WeightsError(f"shard {shard!r}: expected exactly the tensors of the index, {odd!r} is in one only")
        found.update(tensors)
    return {name: found[name] for name in shard_of}


def _read_shard(folder: Path, shard: str) -> dict[str, Array]:
    path = _inside(folder, shard)
    if not shard.endswith(".safetensors") or not path.is_file():
        raise WeightsError(f"shard {shard!r}: expected a .safetensors file beside the index, came none")
    try:
        return _read_safetensors(path)
    except Exception as error:
        raise WeightsError(f"shard {shard!r}: {error}") from error


def _inside(folder: Path, name: str) -> Path:
    """`folder / name`, unless the name leads out; links are followed: download caches lay models out with them."""
    leads_out = any(
        path.is_absolute() or path.drive or ".." in path.parts for path in (PurePosixPath(name), PureWindowsPath(name))
    )
    if leads_out:
        raise WeightsError(f"file {name!r}: expected a path inside the model's folder, came one that leaves it")
    return folder / name


def _read_npy(path: Path) -> dict[str, Array]:
    # a map of the file, first: its length is held against the header's before any memory is taken
    mapped = np.lib.format.open_memmap(path, mode="r")
    excess = path.stat().st_size - mapped.offset - mapped.nbytes
    if excess:
        raise WeightsError(f"expected one array, came {excess} bytes more")
    return {path.stem: np.array(mapped, order="C", subok=False)}


def _read_npz(path: Path) -> dict[str, Array]:
    tensors: dict[str, Array] = {}
    # not np.load: it takes the member "a.npy.npy" for "a.npy"
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.comment:  # no writer leaves one, but a damaged length swallows the members that follow as one
                raise WeightsError(f"the directory of the archive is damaged after {member.filename!r}")
            name = member.filename.removesuffix(".npy")
            if name in tensors:
                raise WeightsError(f"tensor {name!r}: expected once, came twice")
            with archive.open(member) as stream:
                tensors[name] = np.lib.format.read_array(stream, allow_pickle=False)
                if stream.read(1):  # reading to the end also checks the member's CRC
                    raise WeightsError(f"tensor {name!r}: expected one array, came more bytes")
    return tensors


def _read_torch(path: Path) -> Mapping[str, Any]:
    torch = _optional("torch", path)
    if zipfile.is_zipfile(path):
        _check_torch_archive(path)
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        raise WeightsError("expected tensors only, came other objects or damage; save module.state_dict()") from error
    for key in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or any(isinstance(value, Mapping) for value in state.values()):
        came = f"keys {', '.join(map(str, state))}" if isinstance(state, Mapping) else type(state).__name__
        raise WeightsError(f"expected a state dict, alone or under 'state_dict' or 'model', came {came:.200}")
    for name, value in state.items():
        if isinstance(value, torch.Tensor) and not _holds_its_values(torch, value):
            raise WeightsError(f"tensor {name!r}: expected dense values, came a sparse, expanded or empty shell")
    return state


def _holds_its_values(torch: Any, tensor: Any) -> bool:
    # a few bytes of a file can claim an expanded, sparse or meta tensor of any size
    if tensor.layout != torch.strided or tensor.is_meta:
        return False
    return bool(tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes())


def _check_torch_archive(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if any(PurePosixPath(name).name == "constants.pkl" for name in archive.namelist()):
            raise WeightsError("expected a state dict, came a TorchScript archive; save module.state_dict() instead")
        # torch compares no checksums, and gives uninitialised memory for a record that is flagged as a folder
        folders = (member.filename for member in archive.infolist() if member.external_attr & 0x10)
        damaged = next(folders, None) or archive.testzip()
        if damaged is not None:
            raise WeightsError(f"record {damaged!r} is damaged")


def _read_onnx(path: Path) -> dict[str, Array]:
    onnx = _optional("onnx", path)
    model = onnx.load(path, load_external_data=False)
    if not model.HasField("graph") or not model.opset_import:
        raise WeightsError("expected an ONNX model, came a file without graph or operator set")
    tensors: dict[str, Array] = {}
    scopes = [("", model.graph), *((f"{function.name}/", function) for function in model.functions)]
    for name, value in (pair for prefix, scope in scopes for pair in _walk_onnx(scope, prefix)):
        if name in tensors:
            raise WeightsError(f"tensor {name!r}: expected once, came twice")
        if isinstance(value, np.ndarray):
            tensors[name] = value
        elif value.data_type != onnx.TensorProto.STRING:
            tensors[name] = _onnx_array(onnx, path.parent, name, value)
    return tensors


def _walk_onnx(scope: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """(name, TensorProto or array) of a graph or function and all that is nested in it."""
    if len(getattr(scope, "sparse_initializer", ())):
        raise WeightsError(f"expected dense initializers, came a sparse one in graph {scope.name!r}")
    for tensor in getattr(scope, "initializer", ()):
        yield prefix + tensor.name, tensor
    for node in scope.node:
        owner = prefix + (node.output[0] if node.output else node.name)
        for attribute in node.attribute:
            constant = node.op_type == "Constant"
            place = owner if constant else f"{owner}.{attribute.name}"
            yield from _walk_attribute(attribute, place, numbers=constant or node.domain == "ai.onnx.ml")


def _walk_attribute(attribute: Any, place: str, *, numbers: bool) -> Iterator[tuple[str, Any]]:
    if attribute.HasField("sparse_tensor") or len(attribute.sparse_tensors):
        raise WeightsError(f"tensor {place!r}: expected dense values, came sparse ones")
    if attribute.HasField("t"):
        yield place, attribute.t
    for index, tensor in enumerate(attribute.tensors):
        yield f"{place}.{index}", tensor
    graphs = [(place, attribute.g)] if attribute.HasField("g") else []
    graphs += [(f"{place}.{index}", graph) for index, graph in enumerate(attribute.graphs)]
    for nested, graph in graphs:
        yield from _walk_onnx(graph, f"{nested}/")
    if numbers:
        yield from ((place, value) for value in _bare_numbers(attribute))


def _bare_numbers(attribute: Any) -> Iterator[Array]:
    """What constants, and the coefficients of ai.onnx.ml, hold as plain numbers; elsewhere such are settings."""
    for field, dtype in (("floats", np.float32), ("ints", np.int64)):
        if len(getattr(attribute, field)):
            yield np.array(getattr(attribute, field), dtype)
    for field, name, scalar in (("f", "value_float", np.float32), ("i", "value_int", np.int64)):
        if attribute.name == name:
            yield np.array(getattr(attribute, field), scalar)


def _onnx_array(onnx: Any, folder: Path, name: str, tensor: Any) -> Array:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        if not _inside(folder, location).resolve().is_relative_to(folder.resolve()):
            raise WeightsError(f"tensor {name!r}: expected data inside the model's folder, came {location!r}")
    try:
        return np.asarray(onnx.numpy_helper.to_array(tensor, str(folder)))
    except Exception as error:
        raise WeightsError(f"tensor {name!r}: {error}") from error


def _optional(package: str, path: Path) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        extra = f'pip install "description-length[{package}]"'
        raise WeightsError(f"reading {path.suffix} needs {package}, which is not installed: {extra}") from error


READERS: dict[str, Callable[[Path], Mapping[str, Any]]] = {
    ".safetensors": _read_safetensors,
    ".safetensors.index.json": _read_index,
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".bin": _read_torch,
    ".onnx": _read_onnx,
}


def _write_safetensors(weights: Mapping[str, Array], stream: BinaryIO) -> None:
    if "__metadata__" in weights:
        raise WeightsError("tensor '__metadata__': expected another name, safetensors reserves this one")
    # the widest first, so that each tensor is aligned; the header keeps the order of the weights
    layout = sorted(weights, key=lambda name: -weights[name].itemsize)
    ends = np.cumsum([weights[name].nbytes for name in layout], dtype=np.int64).tolist()
    offsets = {name: [end - weights[name].nbytes, end] for name, end in zip(layout, ends, strict=True)}
    header = {
        name: {"dtype": TAGS[tensor.dtype.name], "shape": tensor.shape, "data_offsets": offsets[name]}
        for name, tensor in weights.items()
    }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    stream.write(struct.pack("<Q", len(text)) + text)
    for name in layout:
        stream.write(weights[name].reshape(-1).view(np.uint8).data)


def _write_npz(weights: Mapping[str, Array], stream: BinaryIO) -> None:
    with zipfile.ZipFile(stream, "w") as archive:
        for name, tensor in weights.items():
            if tensor.dtype.isbuiltin != 1:  # by ml_dtypes, not numpy; its kind does not tell: float8_e5m2 says "f"
                raise WeightsError(f"tensor {name!r}: .npz cannot hold {tensor.dtype.name}; save as .safetensors")
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, tensor, allow_pickle=False)


WRITERS: dict[str, Callable[[Mapping[str, Array], BinaryIO], None]] = {
    ".safetensors": _write_safetensors,
    ".npz": _write_npz,
}
