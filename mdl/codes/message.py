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
Shapes = dict[str, tuple[np.dtype[Any], Shape]]
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

    def charge(part: str, push: Callable[[], None]) -> None:
        before = coder.size_bits
        push()
        spent.append((part, float(coder.size_bits - before)))

    if data is not None:
        charge("data", lambda: data.labels.push(coder, data.symbols))
    of_data = coder.fingerprint
    for name, coding in list(scheme.codings.items())[::-1]:
        charge(coding.part, lambda c=coding, n=name: c.write(coder, tensors[n], n))  # type: ignore[misc]
    of_tensors = (coder.fingerprint - of_data) % 2**_CHECKSUM_BITS
    described = [
        (HEADER, _header_bits({name: tensors[name] for name in scheme.codings}, data is not None)),
        (HEADER, fixed_bits(of_tensors, _CHECKSUM_BITS)),
        *scheme.description(),
        *(data.description() if data is not None else []),
    ]
    coder.push_bits(np.concatenate([bits for _, bits in described]))
    body = coder.to_bytes()
    message = MAGIC + bytes([VERSION]) + zlib.crc32(body).to_bytes(4, "little") + body
    parts = [(part, float(bits.size)) for part, bits in described] + spent[::-1]
    rest = 8 * len(message) - math.fsum(bits for _, bits in parts)
    return message, CodeLength.from_bits([*parts, (HEADER, rest)], realised=True)


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
    bits = _header_bits({name: tensors[name] for name in scheme.codings}, data is not None).size + _CHECKSUM_BITS
    if data is not None:
        bits += _CHECKSUM_BITS + 1 + sum(b.size for part, b in data.description() if part == HEADER)
    return CodeLength.from_bits({HEADER: 8 * (_FRAME + 1) + bits})


def _header_bits(tensors: Mapping[str, Tensor], has_data: bool) -> Bits:
    bits = [fixed_bits(int(has_data), 1), natural_bits(len(tensors))]
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            raise WeightsError(f"tensor {name!r}: dtype {tensor.dtype} has no tag in the format")
        if tensor.ndim > _MAX_DIMENSIONS or not name or "\0" in name:
            raise WeightsError(f"tensor {name!r}: expected a name and at most {_MAX_DIMENSIONS} dimensions")
        bits += [text_bits(name), fixed_bits(DTYPES.index(tensor.dtype), _DTYPE_BITS)]
        bits += [natural_bits(extent) for extent in (tensor.ndim, *tensor.shape)]
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
    limit = _room_for(data) if max_weights is None else max_weights
    coder = Coder.from_bytes(_unframed(bytes(data)))
    has_data = bool(coder.pop_bits(1)[0])
    shapes = _read_header(coder, limit)
    of_tensors = bits_value(coder.pop_bits(_CHECKSUM_BITS))
    scheme = Scheme.read(coder, list(shapes))
    about = _DataHeader.read(coder) if has_data else None
    with np.errstate(all="ignore"):  # parameters that no writer chooses overflow; what comes of it is checked
        tensors = _read_tensors(coder, scheme, shapes, _of_layer(about, inputs))
        if coder.fingerprint != of_tensors:
            raise PlatformError("the weights' probability tables differ from the writer's: another arithmetic")
        if about is None:
            _check_end(coder.finished)
            return Message(tensors)
        labels = None if predict is None else about.labels(coder, predict, tensors)
    return Message(tensors, about.architecture, about.likelihood, labels)


def _room_for(data: bytes) -> int:
    """How many weights a message may make unless its reader allows more: a wrong one must not fill the memory."""
    return (1 << 21) + 8192 * len(data)


def _room(shape: Shape) -> int:
    """Entries of a tensor; of one without any, as if its extents of 0 were 1, since arrays have limits there too."""
    return math.prod(extent or 1 for extent in shape)


def _check_count(count: int, limit: int, error: type[MdlError]) -> None:
    if count > limit:
        raise error(f"the message would make {count} weights, more than the {limit} allowed (see max_weights)")


def _of_layer(about: _DataHeader | None, inputs: Inputs | None) -> Callable[[Mapping[str, Tensor], str], ArrayLike]:
    """``inputs`` of this message's architecture."""

    def of_layer(tensors: Mapping[str, Tensor], name: str) -> ArrayLike:
        if about is None or inputs is None:
            raise MessageError(f"tensor {name!r} is coded with the help of the inputs X; decode the message with them")
        return inputs(about.architecture, tensors, name)

    return of_layer


def _read_tensors(
    coder: Coder, scheme: Scheme, shapes: Shapes, inputs: Callable[[Mapping[str, Tensor], str], ArrayLike]
) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, (dtype, shape) in shapes.items():
        coding = scheme.codings[name]
        try:
            quantizer: Any = coding.quantizer
            if isinstance(quantizer, Shaped):
                coding = ShapedCoding.of(coding, np.asarray(inputs(tensors, name), np.float64), shape)
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


def _read_header(coder: Coder, limit: int) -> Shapes:
    shapes: Shapes = {}
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
    _check_count(sum(_room(shape) for _, shape in shapes.values()), limit, MessageError)
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
