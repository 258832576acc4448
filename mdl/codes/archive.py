"""A .mdl in parts: tensors too many or too large for one message, cut, each part read without the others.

docs/format.md describes every byte. The parts come first, so that they can be written as they are made; then the index.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import math
import types
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np

from mdl.codes import message
from mdl.codes.coder import Coder
from mdl.codes.describe import bits_value, fixed_bits
from mdl.codes.message import MAGIC, Shapes
from mdl.codes.numbers import natural_bits, read_natural
from mdl.codes.scheme import Tensor
from mdl.errors import MessageError
from mdl.length import HEADER, CodeLength

VERSION = 2
#: Entries of a part, as they are written here; a reader takes others too.
PART = 1 << 22
_HEAD = len(MAGIC) + 1
_TAIL = 8 + 4  # size and CRC-32 of the index
_CRC_BITS = 32


class Piece(NamedTuple):
    """Entries ``start`` to ``stop`` of a tensor, row-major; whole rows keep their shape."""

    name: str
    start: int
    stop: int
    dtype: np.dtype
    shape: tuple[int, ...]

    @classmethod
    def of(cls, name: str, dtype: np.dtype, shape: tuple[int, ...], start: int, stop: int) -> Piece:
        """The piece of a tensor of that type and shape."""
        if (start, stop) == (0, math.prod(shape)):
            return cls(name, start, stop, dtype, shape)
        row = math.prod(shape[1:])
        whole = len(shape) > 1 and row and not start % row and not stop % row
        return cls(name, start, stop, dtype, ((stop - start) // row, *shape[1:]) if whole else (stop - start,))


class Part(NamedTuple):
    """How many entries a part holds, its size in bytes, and its checksum."""

    entries: int
    size: int
    checksum: int

    @classmethod
    def of(cls, entries: int, data: bytes) -> Part:
        """Of a part that was written."""
        return cls(entries, len(data), zlib.crc32(data))


def cut(shapes: Shapes, most: int) -> list[tuple[Piece, ...]]:
    """Parts of at most so many entries, in the order of the tensors; larger ones are cut, between rows if that serves.

    Examples
    --------
    >>> shapes = {"a": (np.dtype(np.float32), (3,)), "b": (np.dtype(np.float32), (5, 2))}
    >>> [[(piece.name, piece.shape) for piece in part] for part in cut(shapes, most=4)]
    [[('a', (3,))], [('b', (2, 2))], [('b', (2, 2))], [('b', (1, 2))]]
    """
    parts: list[list[Piece]] = [[]]
    room = most
    for name, (dtype, shape) in shapes.items():
        size, row = math.prod(shape), max(math.prod(shape[1:]), 1)
        if size > room:
            parts.append([])
            room = most
        step = size if size <= room else max(most // row * row, min(row, most))
        for start in range(0, size, max(step, 1)):
            if start:
                parts.append([])
            parts[-1].append(Piece.of(name, dtype, shape, start, min(start + step, size)))
        room = most if size > most else room - size
        if size > most:
            parts.append([])
    return [tuple(part) for part in parts if part]


def index_bytes(shapes: Shapes, parts: Iterable[Part]) -> bytes:
    """What follows the parts: the index, its size, and its checksum."""
    listed = list(parts)
    bits = [message.shapes_bits(shapes), natural_bits(len(listed))]
    for part in listed:
        bits += [natural_bits(part.entries), natural_bits(part.size), fixed_bits(part.checksum, _CRC_BITS)]
    index = np.packbits(np.concatenate(bits)).tobytes()
    return index + len(index).to_bytes(8, "little") + zlib.crc32(index).to_bytes(4, "little")


def write(stream: BinaryIO, shapes: Shapes, parts: Iterable[tuple[int, bytes]]) -> CodeLength:
    """Parts ``(entries, bytes)`` as they come, and then the index; what all but the parts takes."""
    written = []
    stream.write(MAGIC + bytes([VERSION]))
    for entries, data in parts:
        stream.write(data)
        written.append(Part.of(entries, data))
    end = index_bytes(shapes, written)
    stream.write(end)
    return CodeLength.from_bits({HEADER: 8 * (_HEAD + len(end))}, realised=True)


def header_length(shapes: Shapes, parts: Iterable[Part]) -> CodeLength:
    """The same without writing."""
    return CodeLength.from_bits({HEADER: 8 * (_HEAD + len(index_bytes(shapes, parts)))})


@dataclass(frozen=True)
class Archive:
    """A .mdl in parts, opened: its index. Parts are read from the stream when they are asked for."""

    stream: BinaryIO
    shapes: Shapes
    parts: tuple[Part, ...]
    max_weights: int | None = None

    @classmethod
    def open(cls, stream: BinaryIO, max_weights: int | None = None) -> Archive:
        """Read the index.

        Raises
        ------
        MessageError
            If the stream is no .mdl in parts, damaged, or would make more than ``max_weights``, by default 2^21 and
            8,192 a byte.
        """
        size = stream.seek(0, 2)
        index = _index(stream, size)
        limit = message.room_for(size) if max_weights is None else max_weights
        coder = Coder.of_bits(np.unpackbits(np.frombuffer(index, np.uint8)))
        shapes = message.read_shapes(coder, limit)
        count = read_natural(coder)
        if count > coder.bits_left // _CRC_BITS:
            raise MessageError(f"expected {count} parts, but the index is too short for them")
        parts = tuple(
            Part(read_natural(coder), read_natural(coder), bits_value(coder.pop_bits(_CRC_BITS))) for _ in range(count)
        )
        if not coder.bits_read:
            raise MessageError("expected the end of the index, but it goes on")
        _check_parts(shapes, parts, size - _HEAD - _TAIL - len(index), max_weights)
        return cls(stream, shapes, parts, max_weights)

    @functools.cached_property
    def _ends(self) -> tuple[list[int], list[int], list[int]]:
        """Where tensors and parts end among all entries, and where parts end in the file."""
        tensors = itertools.accumulate(math.prod(shape) for _, shape in self.shapes.values())
        entries = itertools.accumulate(part.entries for part in self.parts)
        sizes = itertools.accumulate((part.size for part in self.parts), initial=_HEAD)
        return list(tensors), list(entries), list(sizes)

    @functools.cached_property
    def _order(self) -> list[str]:
        return list(self.shapes)

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self._order)}

    def pieces(self, number: int) -> list[Piece]:
        """What a part holds."""
        ends, of_parts, _ = self._ends
        stop, names = of_parts[number], self._order
        at, found = stop - self.parts[number].entries, []
        for place in range(bisect.bisect_right(ends, at), bisect.bisect_left(ends, stop) + 1):
            dtype, shape = self.shapes[names[place]]
            begin = ends[place] - math.prod(shape)
            if at < min(stop, ends[place]):
                found.append(Piece.of(names[place], dtype, shape, at - begin, min(stop, ends[place]) - begin))
                at = ends[place]
        return found

    def read(self, number: int, into: Mapping[str, Tensor] = types.MappingProxyType({})) -> list[tuple[Piece, Tensor]]:
        """One part, its pieces of the tensors ``into`` in their place there; MessageError if it is damaged."""
        part, pieces = self.parts[number], self.pieces(number)
        self.stream.seek(self._ends[2][number])
        data = self.stream.read(part.size)
        if zlib.crc32(data) != part.checksum:
            raise MessageError(f"part {number} is damaged: its checksum does not match")
        places = {p.name: into[p.name].reshape(-1)[p.start : p.stop].reshape(p.shape) for p in pieces if p.name in into}
        tensors = message.parse_part(data, {piece.name: (piece.dtype, piece.shape) for piece in pieces}, places)
        return [(piece, tensors[piece.name]) for piece in pieces]

    def numbers(self, name: str) -> range:
        """The parts that hold a tensor."""
        if name not in self._places:
            raise MessageError(f"the message holds no tensor {name!r}")
        ends, of_parts, _ = self._ends
        stop = ends[self._places[name]]
        start = stop - math.prod(self.shapes[name][1])
        if start == stop:
            return range(0)
        return range(bisect.bisect_right(of_parts, start), bisect.bisect_left(of_parts, stop) + 1)

    def chunks(self, names: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
        """The named tensors in pieces, flat and in order; a part that holds several in a row is read once."""
        last: tuple[int, list[tuple[Piece, Tensor]]] = (-1, [])
        for name in names:
            for number in self.numbers(name):
                if last[0] != number:
                    last = number, self.read(number)
                yield from ((name, tensor.reshape(-1)) for piece, tensor in last[1] if piece.name == name)

    def tensors(self, names: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Tensors as a whole, by default all."""
        wanted = dict.fromkeys(self.shapes if names is None else names)
        numbers = {number for name in wanted for number in self.numbers(name)}
        whole = {name: np.empty(shape, dtype) for name, (dtype, shape) in self.shapes.items() if name in wanted}
        for number in sorted(numbers):
            self.read(number, whole)
        return {name: whole[name] for name in wanted}


def is_archive(head: bytes) -> bool:
    """Whether a file that begins so is a .mdl in parts."""
    return head[:_HEAD] == MAGIC + bytes([VERSION])


def _index(stream: BinaryIO, size: int) -> bytes:
    stream.seek(0)
    if not is_archive(stream.read(_HEAD)) or size < _HEAD + _TAIL:
        raise MessageError("not a .mdl message in parts")
    stream.seek(size - _TAIL)
    tail = stream.read(_TAIL)
    length = int.from_bytes(tail[:8], "little")
    if length > size - _HEAD - _TAIL:
        raise MessageError(f"expected an index of {length} bytes, but the message has {size}")
    stream.seek(size - _TAIL - length)
    index = stream.read(length)
    if zlib.crc32(index) != int.from_bytes(tail[8:], "little"):
        raise MessageError("the message is damaged or cut: the checksum of its index does not match")
    return index


def _check_parts(shapes: Shapes, parts: tuple[Part, ...], size: int, max_weights: int | None) -> None:
    entries = sum(math.prod(shape) for _, shape in shapes.values())
    if sum(part.entries for part in parts) != entries or sum(part.size for part in parts) != size:
        raise MessageError("the parts of the message do not add up to its tensors and its size")
    for number, part in enumerate(parts):
        limit = message.room_for(part.size) if max_weights is None else max_weights
        if not part.entries:
            raise MessageError(f"part {number}: expected some weights, got none")
        if part.entries > limit:
            raise MessageError(
                f"part {number} would make {part.entries} weights, more than the {limit} allowed (see max_weights)"
            )
