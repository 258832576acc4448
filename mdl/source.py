"""Where tensors come from: from memory, or from a file that is read piece by piece."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mdl.formats import FLOATS, LAYOUTS, TAGS, Array, Shapes, Stored
from mdl.weights import Weights, checked_names, count_of, load, reading

_CHUNK = 1 << 20  # entries that a statistic holds at a time
_STRETCH = 1 << 12


class Source(Protocol):
    """Named tensors, of which any range of entries can be had."""

    @property
    def shapes(self) -> Shapes:
        """Type and shape of every tensor, in order."""
        ...

    def read(self, name: str, start: int, stop: int) -> Array:
        """Entries ``start`` to ``stop`` of a tensor, row-major and flat, finite."""
        ...


class Checkpoint:
    """The tensors of a ``.safetensors`` file or a sharded index: their values are read when they are asked for.

    Raises
    ------
    WeightsError
        As :func:`mdl.load`; for values that are NaN or infinite only when they are read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with reading(path) as suffix:
            self._stored: dict[str, Stored] = checked_names(LAYOUTS[suffix](path))

    @property
    def shapes(self) -> Shapes:
        """Type and shape of every tensor, in order."""
        return {name: (stored.dtype, stored.shape) for name, stored in self._stored.items()}

    def read(self, name: str, start: int, stop: int) -> Array:
        """Entries ``start`` to ``stop`` of a tensor, row-major and flat; WeightsError if one is NaN or infinite."""
        with reading(self._path):
            return Weights({name: self._stored[name].read(start, stop)})[name]

    @property
    def identity(self) -> list[str]:
        """What changes when the files are written anew."""
        found = []
        for path in sorted({stored.path for stored in self._stored.values()}):
            about = path.stat()
            found.append(f"{path.resolve()} {about.st_size} {about.st_mtime_ns}")
        return found


def open_source(source: str | os.PathLike[str] | Mapping[str, npt.ArrayLike] | Source) -> Source:
    """A file that can be read in pieces as it is; anything else as :func:`mdl.load` takes it, in memory."""
    if isinstance(source, Checkpoint):
        return source
    if isinstance(source, str | os.PathLike) and any(str(source).lower().endswith(suffix) for suffix in LAYOUTS):
        return Checkpoint(Path(source))
    return load(source)  # type: ignore[arg-type]


def float_names(source: Source) -> list[str]:
    """The tensors of floating point: those that a prior is over."""
    return [name for name, (dtype, _) in source.shapes.items() if TAGS[dtype.name] in FLOATS]


def root_mean_square(source: Source) -> float:
    """Of all weights; 0 if there are none."""
    squares = 0.0
    for name in float_names(source):
        size = math.prod(source.shapes[name][1])
        for start in range(0, size, _CHUNK):
            values: Any = source.read(name, start, min(start + _CHUNK, size))
            squares += float(np.square(values, dtype=np.float64).sum())
    return math.sqrt(squares / max(count_of(source.shapes), 1))


def sample(source: Source, name: str) -> Array:
    """A tensor's entries, flat; of a very large one, stretches spread over it, 2^20 entries in all."""
    size = math.prod(source.shapes[name][1])
    if size <= _CHUNK:
        return source.read(name, 0, size)
    starts = range(0, size - _STRETCH + 1, math.ceil(size * _STRETCH / _CHUNK))
    return np.concatenate([source.read(name, start, start + _STRETCH) for start in starts])
