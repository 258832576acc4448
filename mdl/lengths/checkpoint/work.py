"""Weights as parts to be coded one by one: what of them, how, and the length and bytes of each."""

from __future__ import annotations

import base64
import hashlib
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mdl import tasks
from mdl.codes import archive, message
from mdl.codes.archive import Part, Piece
from mdl.codes.calibrated import calibrated
from mdl.codes.fitted import fit_scheme
from mdl.codes.scheme import PriorLike, Scheme, Tensor, naming
from mdl.codes.shortest import Shortest
from mdl.curvature import Calibration
from mdl.errors import WeightsError
from mdl.formats import Shapes
from mdl.length import CodeLength
from mdl.quantize import Quantizer
from mdl.source import Checkpoint, Source, float_names, open_source
from mdl.trials import Grid, default_step, quantizers_for

AnyPrior = PriorLike | Shortest


@dataclass(frozen=True)
class Coded:
    """A part: its length, its bytes if they were asked for, ``(name, weights, nats, squared error, loss)`` a piece."""

    length: CodeLength
    data: bytes
    rows: tuple[tuple[str, int, float, float, float], ...]

    def without_data(self) -> Coded:
        """The same in brief."""
        return Coded(self.length, b"", self.rows)

    def as_rows(self) -> tasks.Rows:
        """For a store."""
        return [{"data": base64.b64encode(self.data).decode(), "parts": self.length.parts, "rows": self.rows}]

    @classmethod
    def of_rows(cls, rows: tasks.Rows) -> Coded:
        """From a store."""
        (row,) = rows
        length = CodeLength(tuple((part, nats) for part, nats in row["parts"]), realised=True)
        return cls(length, base64.b64decode(row["data"]), tuple(tuple(one) for one in row["rows"]))


@dataclass(frozen=True)
class Work:
    """What is coded, and how."""

    source: Source
    parts: Sequence[tuple[Piece, ...]]
    prior: AnyPrior
    quantizers: Mapping[str, Quantizer]
    calibration: Calibration | None
    realise: bool
    errors: bool

    @classmethod
    def of(
        cls,
        weights: Any,
        prior: AnyPrior,
        step: Grid | None,
        calibration: Calibration | None = None,
        *,
        realise: bool = False,
        errors: bool = False,
    ) -> Work:
        """The weights, all at once or cut into parts, on grids of a step or as given."""
        source = open_source(weights)
        if calibration is not None:
            _check_known(calibration, source)
        grid = default_step(source) if step is None else step
        parts = archive.cut(source.shapes, archive.PART) if _entries_of(source.shapes) > archive.PART else [()]
        return cls(source, parts, prior, quantizers_for(float_names(source), grid), calibration, realise, errors)

    @property
    def facts(self) -> list[str]:
        """All that a part's bytes depend on."""
        if isinstance(self.source, Checkpoint):
            identity = self.source.identity
        else:
            identity = [hashlib.sha256(part).hexdigest() for part in _all_bytes(self.source)]
        calibration = self.calibration.identity if self.calibration else ""
        return [*identity, repr(self.prior), repr(dict(self.quantizers)), calibration]

    def coded(self, pieces: tuple[Piece, ...]) -> Coded:
        """One part; no pieces stand for everything in one message."""
        tensors = self._tensors(pieces)
        scheme = self._scheme(tensors)
        if pieces:
            ideal, write = message.ideal_part, message.write_part
        else:
            ideal, write = message.ideal, message.write
        data, length = write(tensors, scheme) if self.realise else (b"", ideal(tensors, scheme))
        return Coded(length, data, tuple(self._rows(tensors, scheme)) if self.errors else ())

    def rows(self, pieces: tuple[Piece, ...]) -> tasks.Rows:
        """The same for a store."""
        return self.coded(pieces).as_rows()

    def _tensors(self, pieces: tuple[Piece, ...]) -> dict[str, Tensor]:
        if not pieces:
            shapes = self.source.shapes
            return {name: self.source.read(name, 0, math.prod(s)).reshape(s) for name, (_, s) in shapes.items()}
        return {p.name: self.source.read(p.name, p.start, p.stop).reshape(p.shape) for p in pieces}

    def _scheme(self, tensors: Mapping[str, Tensor]) -> Scheme:
        quantizers = {name: self.quantizers[name] for name in tensors if name in self.quantizers}
        chosen = {}
        if self.calibration:
            factors, price = self.calibration.factors, self.calibration.price
            for name in [name for name in quantizers if name in factors]:
                with naming(name):
                    quantizers[name], chosen[name] = calibrated(tensors[name], factors[name], price)
        if isinstance(self.prior, Shortest):
            return self.prior.scheme(tensors, quantizers, chosen)
        return fit_scheme(tensors, quantizers, self.prior, chosen=chosen)

    def _rows(self, tensors: Mapping[str, Tensor], scheme: Scheme) -> Iterator[tuple[str, int, float, float, float]]:
        for name, tensor in tensors.items():
            if name in self.quantizers:
                coding, loss = scheme.codings[name], 0.0
                if self.calibration:
                    quantized = coding.restore(coding.symbols(tensor, name).copy(), tensor.dtype, tensor.shape)
                    loss = self.calibration.loss(name, tensor.astype(np.float64) - quantized)
                yield name, tensor.size, coding.nats(tensor, name), coding.squared_error(tensor), loss

    def length(self, coded: Iterable[Coded]) -> CodeLength:
        """Of the whole, ideal."""
        lengths = [part.length for part in coded]
        if len(self.parts) < 2:
            return lengths[0]
        sizes = (Part(entries(p), math.ceil(one.bytes), 0) for p, one in zip(self.parts, lengths, strict=True))
        return added([*lengths, archive.header_length(self.source.shapes, sizes)])

    def assembled(self, coded: Iterable[Coded]) -> tuple[bytes, CodeLength]:
        """The whole message, and its length."""
        found = list(coded)
        if len(self.parts) < 2:
            return found[0].data, found[0].length
        stream = io.BytesIO()
        parts = ((entries(p), one.data) for p, one in zip(self.parts, found, strict=True))
        end = archive.write(stream, self.source.shapes, parts)
        return stream.getvalue(), added([*(part.length for part in found), end])


def _check_known(calibration: Calibration, source: Source) -> None:
    """WeightsError unless its tensors are there, of floats, each in one piece."""
    floats = float_names(source)
    for name in calibration.factors:
        if name not in floats:
            came = "one of integers" if name in source.shapes else "none"
            raise WeightsError(f"the calibration's {name!r}: expected a tensor of floats among the weights, got {came}")
        size = math.prod(source.shapes[name][1])
        if size > archive.PART:
            raise WeightsError(f"tensor {name!r}: expected at most {archive.PART} entries to be calibrated, got {size}")


def added(lengths: Sequence[CodeLength]) -> CodeLength:
    """One length of several."""
    return CodeLength(tuple(part for one in lengths for part in one.parts), all(one.realised for one in lengths))


def entries(pieces: Iterable[Piece]) -> int:
    """How many there are in these pieces."""
    return sum(piece.stop - piece.start for piece in pieces)


def _entries_of(shapes: Shapes) -> int:
    return sum(math.prod(shape) for _, shape in shapes.values())


def _all_bytes(source: Source) -> Iterator[Any]:
    for name, (_, shape) in source.shapes.items():
        yield np.ascontiguousarray(source.read(name, 0, math.prod(shape))).view(np.uint8)
