"""The .mdl container: tensors, and labels under the model that they make; versioned, checksummed, exact.

docs/format.md describes every byte. ``read(write(...))`` returns what was written or raises ``MessageError``.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.codes.coder import Bits, Coder, Symbols
from mdl.codes.describe import (
    Described,
    bits_value,
    describe,
    fixed_bits,
    read,
    read_text,
    text_bits,
)
from mdl.codes.labels import Labels
from mdl.codes.numbers import integer_bits, natural_bits, read_integer, read_natural
from mdl.codes.scheme import Scheme, Tensor
from mdl.codes.shaped import Shaped, ShapedCoding
from mdl.errors import MdlError, MessageError, PlatformError, WeightsError
from mdl.length import HEADER, CodeLength
from mdl.likelihoods import Likelihood

MAGIC = b"\x93MDL"
VERSION = 1
_FRAME = len(MAGIC) + 1 + 4  # magic, version, CRC-32 of the rest
_CHECKSUM_BITS = 32

#: Tag = position. Append only.
DTYPES: tuple[np.dtype[Any], ...] = tuple(
    np.dtype(kind)
    for kind in (
        np.float64, np.float32, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2,
        np.int64, np.int32, np.int16, np.int8, np.uint64, np.uint32, np.uint16, np.uint8, np.bool_,
    )
)  # fmt: skip
_DTYPE_BITS = 4
_MAX_DIMENSIONS = 32

Shape = tuple[int, ...]
Shapes = Mapping[str, tuple[np.dtype[Any], Shape]]
Predict = Callable[[str, Mapping[str, Tensor]], ArrayLike]
Inputs = Callable[[str, Mapping[str, Tensor], str], ArrayLike]


@dataclass(frozen=True)
class DataPart:
    """Labels to send along: what a reader needs to predict, and the symbols to code under the predictions.

    ``architecture`` is any text from which the reader's ``predict`` rebuilds the model; ``predictions`` are those of
    the quantised tensors.
    """

    architecture: str
    likelihood: Likelihood
    predictions: NDArray[np.float64]
    symbols: Symbols

    @property
    def labels(self) -> Labels:
        """The code of the symbols."""
        ends = (int(self.symbols.min()), int(self.symbols.max())) if self.symbols.size else (0, 0)
        return Labels(self.likelihood, self.predictions, *(self.likelihood.span or ends))

    def description(self) -> Described:
        """What a reader is told of the labels, in reading order."""
        labels = self.labels
        ends = np.concatenate([integer_bits(labels.lo), natural_bits(labels.hi - labels.lo)])
        return [
            (HEADER, text_bits(self.architecture)),
            *describe(self.likelihood),
            (HEADER, natural_bits(self.symbols.size)),
            *([] if self.likelihood.span else [("support", ends)]),
        ]

    @property
    def fingerprint(self) -> int:
        """Of the tables that the labels are coded under."""
        coder = Coder()
        self.labels.push(coder, self.symbols)
        return coder.fingerprint


@dataclass(frozen=True)
class Message:
    """What a .mdl holds: quantised tensors, and, if it was written with data, the labels."""

    tensors: dict[str, Tensor]
    architecture: str | None = None
    likelihood: Likelihood | None = None
    labels: NDArray[Any] | None = None


def write(tensors: Mapping[str, Tensor], scheme: Scheme, data: DataPart | None = None) -> tuple[bytes, CodeLength]:
    """The message, and its size part by part; the parts add up to exactly the bytes written.

    Parameters
    ----------
    tensors
        ``{name: array}``; quantised here, by the scheme.
    scheme
        A coding for each of them, in the same order.
    data
        Labels to code as well.

    Raises
    ------
    WeightsError
        If a tensor has no place in the format.
    CodeError, PriorError, QuantizationError
        If the scheme does not fit the tensors.
    """
    coder = Coder() if data is None else Coder(bottom=data.fingerprint)
    spent: list[tuple[str, float]] = []
    if data is not None:
        bottom = coder.size_bits  # the fingerprint, which the header is charged for
        data.labels.push(coder, data.symbols)
        spent.append(("data", float(coder.size_bits - bottom)))
    checksum, of_tensors = _push_tensors(coder, tensors, scheme)
    described = [
        (HEADER, _header_bits(_shapes(tensors, scheme), data is not None)),
        (HEADER, checksum),
        *scheme.description(),
        *(data.description() if data is not None else []),
    ]
    coder.push_bits(np.concatenate([bits for _, bits in described]))
    body = coder.to_bytes()
    message = MAGIC + bytes([VERSION]) + zlib.crc32(body).to_bytes(4, "little") + body
    return message, _realised(message, described, [*of_tensors, *spent])


def write_part(tensors: Mapping[str, Tensor], scheme: Scheme) -> tuple[bytes, CodeLength]:
    """Tensors for a reader who has been told their names, types and shapes; ``parse_part`` reads them."""
    coder = Coder()
    checksum, spent = _push_tensors(coder, tensors, scheme)
    described = [(HEADER, checksum), *scheme.description()]
    coder.push_bits(np.concatenate([bits for _, bits in described]))
    part = coder.to_bytes()
    return part, _realised(part, described, spent)


def _push_tensors(coder: Coder, tensors: Mapping[str, Tensor], scheme: Scheme) -> tuple[Bits, list[tuple[str, float]]]:
    """The checksum of the tables, and what every tensor took, in reading order."""
    before, spent = coder.fingerprint, []
    for name, coding in list(scheme.codings.items())[::-1]:
        size = coder.size_bits
        coding.write(coder, tensors[name], name)
        spent.append((coding.part, float(coder.size_bits - size)))
    return fixed_bits((coder.fingerprint - before) % 2**_CHECKSUM_BITS, _CHECKSUM_BITS), spent[::-1]


def _realised(written: bytes, described: Described, spent: list[tuple[str, float]]) -> CodeLength:
    """The size of what was written, part by part; what is left is framing."""
    parts = [(part, float(bits.size)) for part, bits in described] + spent
    rest = 8 * len(written) - math.fsum(bits for _, bits in parts)
    return CodeLength.from_bits([*parts, (HEADER, rest)], realised=True)


def ideal(tensors: Mapping[str, Tensor], scheme: Scheme, data: DataPart | None = None) -> CodeLength:
    """The ideal length of the same message: what ``write`` approaches, header included."""
    length = scheme.length(tensors) + header_length(tensors, scheme, data)
    if data is None:
        return length
    described = [(part, float(bits.size)) for part, bits in data.description() if part != HEADER]
    nats = float(data.labels.nats(data.symbols).sum())
    return length + CodeLength.from_bits(described) + CodeLength((("data", nats),))


def header_length(tensors: Mapping[str, Tensor], scheme: Scheme, data: DataPart | None = None) -> CodeLength:
    """Length of what both sides share: framing, checksums, names, shapes, architecture."""
    bits = _header_bits(_shapes(tensors, scheme), data is not None).size + _CHECKSUM_BITS
    if data is not None:
        bits += _CHECKSUM_BITS + 1 + sum(b.size for part, b in data.description() if part == HEADER)
    return CodeLength.from_bits({HEADER: 8 * (_FRAME + 1) + bits})


def ideal_part(tensors: Mapping[str, Tensor], scheme: Scheme) -> CodeLength:
    """The ideal length of what ``write_part`` writes."""
    return scheme.length(tensors) + CodeLength.from_bits({HEADER: _CHECKSUM_BITS + 8})


def _shapes(tensors: Mapping[str, Tensor], scheme: Scheme) -> Shapes:
    return {name: (tensors[name].dtype, tensors[name].shape) for name in scheme.codings}


def _header_bits(shapes: Shapes, has_data: bool) -> Bits:
    return np.concatenate([fixed_bits(int(has_data), 1), shapes_bits(shapes)])


def shapes_bits(shapes: Shapes) -> Bits:
    """Number, names, types and shapes of tensors; WeightsError if one has no place in the format."""
    bits = [natural_bits(len(shapes))]
    for name, (dtype, shape) in shapes.items():
        if dtype not in DTYPES:
            raise WeightsError(f"tensor {name!r}: dtype {dtype} has no tag in the format")
        if len(shape) > _MAX_DIMENSIONS or not name or "\0" in name:
            raise WeightsError(f"tensor {name!r}: expected a name and at most {_MAX_DIMENSIONS} dimensions")
        bits += [text_bits(name), fixed_bits(DTYPES.index(dtype), _DTYPE_BITS)]
        bits += [natural_bits(extent) for extent in (len(shape), *shape)]
    return np.concatenate(bits)


def parse(
    data: bytes, predict: Predict | None = None, max_weights: int | None = None, inputs: Inputs | None = None
) -> Message:
    """Read a message.

    Parameters
    ----------
    data
        The bytes of a .mdl.
    predict
        ``(architecture, tensors) -> predictions`` for the labels' inputs; without it labels are left unread.
    max_weights
        Refuse to make more entries than this; by default 2^21 and 8,192 a byte of the message.
    inputs
        ``(architecture, tensors read so far, name) -> (n, fan_in)``, what enters the layer of a tensor that is coded
        with their help.

    Raises
    ------
    MessageError
        If the message is damaged, truncated, foreign or of another version.
    PlatformError
        If this platform computes other probabilities than the writer did.
    """
    limit = room_for(len(data)) if max_weights is None else max_weights
    coder = Coder.from_bytes(_unframed(bytes(data)))
    has_data = bool(coder.pop_bits(1)[0])
    shapes = read_shapes(coder, limit)
    of_tensors = bits_value(coder.pop_bits(_CHECKSUM_BITS))
    scheme = Scheme.read(coder, list(shapes))
    about = _DataHeader.read(coder) if has_data else None
    with np.errstate(all="ignore"):  # parameters that no writer chooses overflow; what comes of it is checked
        tensors = _read_tensors(coder, scheme, shapes, _of_layer(about, inputs), {})
        _check_tables(coder, of_tensors)
        if about is None:
            _check_end(coder.finished)
            return Message(tensors)
        labels = None if predict is None else about.labels(coder, predict, tensors)
    return Message(tensors, about.architecture, about.likelihood, labels)


def parse_part(data: bytes, shapes: Shapes, into: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read what ``write_part`` wrote of tensors of these types and shapes, some of them into given contiguous arrays.

    Errors as of ``parse``.
    """
    coder = Coder.from_bytes(data)
    of_tensors = bits_value(coder.pop_bits(_CHECKSUM_BITS))
    scheme = Scheme.read(coder, list(shapes))
    with np.errstate(all="ignore"):
        tensors = _read_tensors(coder, scheme, shapes, _of_layer(None, None), into)
        _check_tables(coder, of_tensors)
    _check_end(coder.finished)
    return tensors


def room_for(size: int) -> int:
    """How many weights so many bytes may make unless their reader allows more: they must not fill the memory."""
    return (1 << 21) + 8192 * size


def _check_tables(coder: Coder, of_tensors: int) -> None:
    if coder.fingerprint != of_tensors:
        raise PlatformError("the weights' probability tables differ from the writer's: another arithmetic")


def _room(shape: Shape) -> int:
    """Entries of a tensor; of one without any, as if its extents of 0 were 1, since arrays have limits there too."""
    return math.prod(extent or 1 for extent in shape)


def _of_layer(about: _DataHeader | None, inputs: Inputs | None) -> Callable[[Mapping[str, Tensor], str], ArrayLike]:
    """``inputs`` of this message's architecture."""

    def of_layer(tensors: Mapping[str, Tensor], name: str) -> ArrayLike:
        if about is None or inputs is None:
            raise MessageError(f"tensor {name!r} is coded with the help of the inputs X; decode the message with them")
        return inputs(about.architecture, tensors, name)

    return of_layer


def _read_tensors(
    coder: Coder,
    scheme: Scheme,
    shapes: Shapes,
    inputs: Callable[[Mapping[str, Tensor], str], ArrayLike],
    into: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, (dtype, shape) in shapes.items():
        coding = scheme.codings[name]
        try:
            quantizer: Any = coding.quantizer
            if isinstance(quantizer, Shaped):
                coding = ShapedCoding.of(coding, np.asarray(inputs(tensors, name), np.float64), shape)
            elif not hasattr(coding.code, "pop"):
                raise MessageError(f"tensor {name!r}: {coding.code} codes no weights on {quantizer}")
            if name in into:
                coding.read_into(coder, into[name], name)
                tensors[name] = into[name]
            else:
                tensors[name] = coding.read(coder, dtype, shape, name)
        except MessageError:
            raise
        except MdlError as error:
            raise MessageError(f"tensor {name!r} does not decode: {error}") from error
    return tensors


def _check_end(reached: bool) -> None:
    if not reached:
        raise MessageError("expected the end of the message, but it goes on")


def _unframed(data: bytes) -> memoryview:
    if len(data) < _FRAME or not data.startswith(MAGIC):
        raise MessageError(f"not a .mdl message: expected it to begin with {MAGIC!r}, got {data[:4]!r}")
    if data[len(MAGIC)] != VERSION:
        raise MessageError(f"expected format version {VERSION}, got {data[len(MAGIC)]}")
    body = memoryview(data)[_FRAME:]
    if zlib.crc32(body) != int.from_bytes(data[len(MAGIC) + 1 : _FRAME], "little"):
        raise MessageError("the message is damaged or cut: its checksum does not match")
    return body


def read_shapes(coder: Coder, limit: int) -> Shapes:
    """Read what ``shapes_bits`` wrote; MessageError if the tensors would have more than ``limit`` entries."""
    shapes: dict[str, tuple[np.dtype[Any], Shape]] = {}
    count = read_natural(coder)
    if count > coder.bits_left:
        raise MessageError(f"expected the names of {count} tensors, but the message is too short for them")
    for _ in range(count):
        name = read_text(coder)
        tag = bits_value(coder.pop_bits(_DTYPE_BITS))
        dimensions = read_natural(coder)
        if not name or "\0" in name or name in shapes:
            raise MessageError(f"tensor {name!r}: expected a name, and no name twice")
        if tag >= len(DTYPES) or dimensions > _MAX_DIMENSIONS:
            raise MessageError(f"tensor {name!r}: impossible dtype tag {tag} or {dimensions} dimensions")
        shapes[name] = DTYPES[tag], tuple(read_natural(coder) for _ in range(dimensions))
    count = sum(_room(shape) for _, shape in shapes.values())
    if count > limit:
        raise MessageError(f"the message would make {count} weights, more than the {limit} allowed (see max_weights)")
    return shapes


@dataclass(frozen=True)
class _DataHeader:
    """What ``DataPart.description`` tells."""

    architecture: str
    likelihood: Likelihood
    count: int
    lo: int
    hi: int

    @classmethod
    def read(cls, coder: Coder) -> _DataHeader:
        architecture = read_text(coder)
        likelihood: Likelihood = read(coder, "likelihood")
        count = read_natural(coder)
        if likelihood.span:
            lo, hi = likelihood.span
        else:
            lo = read_integer(coder)
            hi = lo + read_natural(coder)
        if not -(2**31) <= lo <= hi < 2**31:
            raise MessageError(f"expected labels within 32 bits, got {lo} to {hi}")
        return cls(architecture, likelihood, count, lo, hi)

    def labels(self, coder: Coder, predict: Predict, tensors: Mapping[str, Tensor]) -> NDArray[Any]:
        """Read the labels with the model's predictions."""
        of_tensors = coder.fingerprint
        try:
            values = np.asarray(predict(self.architecture, tensors), np.float64)
            if values.shape[:1] != (self.count,):
                raise MessageError(f"the message holds {self.count} labels, but predictions are {values.shape}")
            symbols = Labels(self.likelihood, values, self.lo, self.hi).pop(coder, self.count)
        except MessageError:
            raise
        except MdlError as error:
            raise MessageError(f"the labels do not decode: {error}") from error
        if (coder.fingerprint - of_tensors) % 2**_CHECKSUM_BITS != coder.bottom:
            raise PlatformError(
                "the predictions' probability tables differ from the writer's: other inputs X, or another platform's "
                "arithmetic"
            )
        _check_end(coder.bits_read)
        return self.likelihood.from_symbols(symbols)
