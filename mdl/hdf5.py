"""Keras: weights in HDF5, read as plain arrays that lie in the file; whatever leads elsewhere is refused unread.

A writer of Keras makes groups, hard links, and datasets that are stored whole. HDF5 can do far more: links to other
files, datasets composed of other files, filters that load code, sizes that are only claimed. None of it is followed.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from mdl.errors import WeightsError
from mdl.optional import optional

Array = npt.NDArray[Any]

_DEPTH = 64
_NOT_WEIGHTS = ("optimizer", "optimizer_weights")  # what a trainer keeps beside them; groups at the top


def read(path: Path) -> dict[str, Array]:
    """``{path in the file: array}`` of every dataset, by name, the optimizer's left out.

    Raises
    ------
    WeightsError
        If a link is soft or external, an object has two names, groups nest beyond 64, or a dataset is virtual,
        external, filtered, in chunks, of other than numbers, or claims more than is stored.
    """
    h5py = optional("h5py", f"reading {path.suffix}")
    _check_heaps(path)
    with h5py.File(path, "r", locking=False) as file:
        reader = _Reader(h5py, room=path.stat().st_size)
        return {name: reader.array(name, dataset) for name, dataset in reader.datasets(file, "", 0)}


def _check_heaps(path: Path) -> None:
    """Heaps of texts and of names are whole: HDF5 walks their lists, and never leaves one that goes in a circle."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for signature, whole in _HEAPS.items():
            at = data.find(signature)
            while at >= 0:
                if not whole(data, at):
                    raise WeightsError(f"the heap at byte {at} is damaged")
                at = data.find(signature, at + 1)


def _number(data: mmap.mmap, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def _is_filled(data: mmap.mmap, at: int) -> bool:
    """Whether the objects of a global heap, each of some size, fill it and no more."""
    end, place = at + _number(data, at + 8), at + 16
    while place + 16 <= end <= len(data):
        size = _number(data, place + 8)
        step = 16 + -(-size // 8) * 8 if any(data[place : place + 2]) else size
        if step < 16:
            return False
        place += step
    return place <= end <= len(data)


def _ends(data: mmap.mmap, at: int) -> bool:
    """Whether the list of free places of a local heap ends within as many as there can be."""
    size, free, start = (_number(data, at + offset) for offset in (8, 16, 24))
    for _ in range(min(size, len(data)) // 16 + 1):
        if free == 1:  # as HDF5 marks the end
            return True
        if free + 16 > size or start + size > len(data):
            return False
        free = _number(data, start + free)
    return False


_HEAPS = {b"GCOL\1": _is_filled, b"HEAP\0": _ends}


@dataclass
class _Reader:
    """What was met so far, and how many bytes of the file are not yet taken."""

    h5py: Any
    room: int
    met: set[Any] = field(default_factory=set)

    def datasets(self, group: Any, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
        """``(path, dataset)`` of a group and all that is nested in it."""
        self._meet(prefix, group)
        if depth > _DEPTH:
            raise WeightsError(f"group {prefix!r}: expected at most {_DEPTH} groups in one another")
        for key in sorted(group, key=_natural):
            name = f"{prefix}{key}"
            if depth == 0 and key in _NOT_WEIGHTS:
                continue
            link = group.get(key, getlink=True)
            if type(link) is not self.h5py.HardLink:
                raise WeightsError(f"{name!r}: expected what lies in this place, came a {type(link).__name__}")
            thing = group[key]
            if isinstance(thing, self.h5py.Group):
                yield from self.datasets(thing, f"{name}/", depth + 1)
            elif isinstance(thing, self.h5py.Dataset):
                self._meet(name, thing)
                yield name, thing
            else:
                raise WeightsError(f"{name!r}: expected a group or a dataset, came a {type(thing).__name__}")

    def _meet(self, name: str, thing: Any) -> None:
        address = self.h5py.h5o.get_info(thing.id).addr
        if address in self.met:
            raise WeightsError(f"{name!r}: expected a tree, came an object with two names")
        self.met.add(address)

    def array(self, name: str, dataset: Any) -> Array:
        """The dataset's values, once it is known that the file holds as many."""
        self._check_layout(name, dataset)
        half = dataset.attrs.get("dtype") == "bfloat16" if "dtype" in dataset.attrs else False
        dtype = dataset.dtype
        if dtype.kind not in "fiub" and not (half and dtype.kind == "V" and dtype.itemsize == 2):
            raise WeightsError(f"tensor {name!r}: expected numbers, came {dtype}")
        size = dataset.size * dtype.itemsize if dataset.shape is not None else -1
        if size != dataset.id.get_storage_size() or size > self.room:
            raise WeightsError(f"tensor {name!r}: claims {dataset.shape} values, more than the file holds")
        self.room -= size
        values = np.asarray(dataset[()])
        return _as_bfloat16(values) if half else values

    def _check_layout(self, name: str, dataset: Any) -> None:
        properties = dataset.id.get_create_plist()
        layout, h5d = properties.get_layout(), self.h5py.h5d
        if layout not in (h5d.CONTIGUOUS, h5d.COMPACT) or properties.get_nfilters():
            what = "filters" if properties.get_nfilters() else "chunks or parts"
            raise WeightsError(f"tensor {name!r}: expected values stored whole, came {what}; h5repack -f NONE -l CONTI")
        if properties.get_external_count():
            raise WeightsError(f"tensor {name!r}: expected values in this file, came values in another")


def _natural(key: str) -> tuple[Any, ...]:
    """Keras numbers what it has several of: "dense", "dense_1", ..., "dense_10"; variables are "0", "1", ..."""
    stem, _, last = key.rpartition("_")
    if last.isdecimal() and len(last) < 10:
        return (stem, int(last), key)
    return (key, -1, key)


def _as_bfloat16(values: Array) -> Array:
    """Stored as two opaque bytes, or as numbers of another type that say what they were."""
    bfloat16 = np.dtype(ml_dtypes.bfloat16)
    return values.view(bfloat16) if values.dtype.kind == "V" else values.astype(bfloat16)
