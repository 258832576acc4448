"""The tensor formats that are read and written: safetensors, its index, npy, npz, PyTorch; the readers by suffix."""

from __future__ import annotations

import functools
import itertools
import json
import math
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np
import numpy.typing as npt
from safetensors import safe_open

from mdl import hdf5, onnx_graphs
from mdl.errors import WeightsError
from mdl.files import check_room, inside
from mdl.optional import optional

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
_LONGEST_INDEX = 1 << 25  # bytes; 100,000 tensors take a third of this
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_MOST_INSIDE = 1 << 10  # objects and lists: each takes hundreds of bytes, and an index has two
_MOST_ENTRIES = 1 << 20  # commas and colons: two for each tensor


class Stored(NamedTuple):
    """Where the values of a tensor lie, row-major and little-endian: in which file, from which byte on."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    path: Path
    offset: int

    def read(self, start: int = 0, stop: int | None = None) -> Array:
        """Entries ``start`` to ``stop``, flat; nothing else of the file is read."""
        end = math.prod(self.shape) if stop is None else stop
        at = self.offset + start * self.dtype.itemsize
        return np.fromfile(self.path, self.dtype, end - start, offset=at)


def _layout_safetensors(path: Path) -> dict[str, Stored]:
    with safe_open(path, framework="numpy"):
        pass  # the reference parser vouches for the header: sizes agree with shapes and fill the file exactly
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    header.pop("__metadata__", None)
    return {name: _stored(path, 8 + length, name, entry) for name, entry in header.items()}


def _stored(path: Path, start: int, name: str, entry: Mapping[str, Any]) -> Stored:
    dtype = DTYPES.get(entry["dtype"])
    if dtype is None:
        raise WeightsError(f"tensor {name!r}: expected a dtype among {', '.join(DTYPES)}, came {entry['dtype']}")
    return Stored(dtype, tuple(entry["shape"]), path, start + entry["data_offsets"][0])


def _layout_index(path: Path) -> dict[str, Stored]:
    if path.stat().st_size > _LONGEST_INDEX:
        raise WeightsError(f"expected an index of at most {_LONGEST_INDEX:,} bytes, came {path.stat().st_size:,}")
    text = path.read_bytes()
    _check_structure(text)
    index = json.loads(text)
    shard_of = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(shard_of, dict) or not all(isinstance(shard, str) for shard in shard_of.values()):
        raise WeightsError('expected {"weight_map": {tensor: shard}}, came other JSON')
    found: dict[str, Stored] = {}
    for shard in dict.fromkeys(shard_of.values()):
        listed = {name for name, its_shard in shard_of.items() if its_shard == shard}
        tensors = _layout_shard(path.parent, shard)
        if tensors.keys() != listed:
            odd = sorted(tensors.keys() ^ listed)[0]
            raise WeightsError(f"shard {shard!r}: expected exactly the tensors of the index, {odd!r} is in one only")
        found.update(tensors)
    return {name: found[name] for name in shard_of}


def _check_structure(text: bytes) -> None:
    """Refuse JSON that would take far more memory than an index does."""
    bare = _TEXT.sub(b"", text)
    inside, entries = (sum(map(bare.count, signs)) for signs in ((b"{", b"["), (b",", b":")))
    if inside > _MOST_INSIDE or entries > _MOST_ENTRIES:
        raise WeightsError(
            f"expected at most {_MOST_INSIDE:,} objects and {_MOST_ENTRIES // 2:,} tensors, came {inside:,} and more "
            f"than {entries // 2:,}"
        )


def _layout_shard(folder: Path, shard: str) -> dict[str, Stored]:
    path = inside(folder, shard)
    if not shard.endswith(".safetensors") or not path.is_file():
        raise WeightsError(f"shard {shard!r}: expected a .safetensors file beside the index, came none")
    try:
        return _layout_safetensors(path)
    except Exception as error:
        raise WeightsError(f"shard {shard!r}: {error}") from error


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
        check_room(path, sum(member.file_size for member in archive.infolist()))
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
    torch = optional("torch", f"reading {path.suffix}")
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
        if isinstance(value, (list, tuple)):  # a few bytes can hold lists of lists that have no end in practice
            raise WeightsError(f"tensor {name!r}: expected a tensor, came {type(value).__name__}")
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
        check_room(path, sum(member.file_size for member in archive.infolist()))
        if any(PurePosixPath(name).name == "constants.pkl" for name in archive.namelist()):
            raise WeightsError("expected a state dict, came a TorchScript archive; save module.state_dict() instead")
        # torch compares no checksums, and gives uninitialised memory for a record that is flagged as a folder
        folders = (member.filename for member in archive.infolist() if member.external_attr & 0x10)
        damaged = next(folders, None) or archive.testzip()
        if damaged is not None:
            raise WeightsError(f"record {damaged!r} is damaged")


#: The formats whose tensors can be read in pieces.
LAYOUTS: dict[str, Callable[[Path], dict[str, Stored]]] = {
    ".safetensors": _layout_safetensors,
    ".safetensors.index.json": _layout_index,
}


def _read_whole(layout: Callable[[Path], dict[str, Stored]], path: Path) -> dict[str, Array]:
    return {name: stored.read().reshape(stored.shape) for name, stored in layout(path).items()}


READERS: dict[str, Callable[[Path], Mapping[str, Any]]] = {
    **{suffix: functools.partial(_read_whole, layout) for suffix, layout in LAYOUTS.items()},
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".bin": _read_torch,
    ".onnx": onnx_graphs.read,
    ".h5": hdf5.read,
}


#: The type and shape of every tensor to write, and their values, flat, in pieces.
Shapes = Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]
Chunks = Callable[[list[str]], Iterator[tuple[str, Array]]]


def _write_safetensors(shapes: Shapes, chunks: Chunks, stream: BinaryIO) -> None:
    if "__metadata__" in shapes:
        raise WeightsError("tensor '__metadata__': expected another name, safetensors reserves this one")
    # the widest first, so that each tensor is aligned; the header keeps the order of the weights
    layout = sorted(shapes, key=lambda name: -shapes[name][0].itemsize)
    sizes = [math.prod(shapes[name][1]) * shapes[name][0].itemsize for name in layout]
    ends = dict(zip(layout, itertools.accumulate(sizes), strict=True))
    starts = dict(zip(layout, itertools.accumulate(sizes[:-1], initial=0), strict=False))
    header = {
        name: {"dtype": TAGS[dtype.name], "shape": shape, "data_offsets": [starts[name], ends[name]]}
        for name, (dtype, shape) in shapes.items()
    }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    stream.write(struct.pack("<Q", len(text)) + text)
    for _, chunk in chunks(layout):
        stream.write(chunk.view(np.uint8).data)


def _write_npz(shapes: Shapes, chunks: Chunks, stream: BinaryIO) -> None:
    with zipfile.ZipFile(stream, "w") as archive:
        for name, (dtype, shape) in shapes.items():
            if dtype.isbuiltin != 1:  # by ml_dtypes, not numpy; its kind does not tell: float8_e5m2 says "f"
                raise WeightsError(f"tensor {name!r}: .npz cannot hold {dtype.name}; save as .safetensors")
            about = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, about)
                for _, chunk in chunks([name]):
                    member.write(chunk.view(np.uint8).data)


WRITERS: dict[str, Callable[[Shapes, Chunks, BinaryIO], None]] = {
    ".safetensors": _write_safetensors,
    ".npz": _write_npz,
}
