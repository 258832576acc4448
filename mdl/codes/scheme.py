"""How the tensors of a model are coded: a quantizer and a code for each, and what a reader is told of them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdl.codes import Code
from mdl.codes.adaptive import Dirichlet, TwoLevel
from mdl.codes.coder import MAX_LEVELS, Coder, Symbols
from mdl.codes.contextual import Contextual, ContextualMatrix
from mdl.codes.describe import Described, describe, read
from mdl.codes.discretized import Discretized
from mdl.codes.integers import EliasDelta, Signed
from mdl.codes.numbers import natural_bits, read_natural
from mdl.codes.scaled import Scaled, ScaledMatrix
from mdl.errors import MdlError, MessageError, WeightsError
from mdl.length import LN2, CodeLength
from mdl.masses import Array
from mdl.priors import Prior
from mdl.quantize import Quantizer
from mdl.trellis import Trellis

#: A family of codes for matrices, with a prior for what it does not shorten.
ByMatrix = Scaled | Contextual

#: A prior, a family of codes for matrices, or one of codes by the smallest and largest symbol.
PriorLike = Prior | ByMatrix | Callable[[int, int], Code]

Tensor = NDArray[Any]

_IN_ORDER = Dirichlet | TwoLevel | ScaledMatrix | ContextualMatrix  # codes for which it is not enough to count symbols
_CHUNK = 1 << 16  # weights, whole runs of a trellis, at a time: an allocator maps larger temporaries anew each time
RUNS = 1 << 20  # the same where a trellis searches runs side by side: the more, the faster
_DENSE = 1 << 20  # widest range of symbols counted by bincount
FREE, BUFFERS, WEIGHTS = "intercepts", "buffers", "weights"


@dataclass(frozen=True)
class Coding:
    """How one tensor is coded. ``quantizer`` is None for a tensor of integers; ``part`` names what it is charged to.

    ``chosen`` are its symbols where a search chose them, which takes longer than to round a weight at a time.
    """

    quantizer: Quantizer | None
    code: Code
    part: str = WEIGHTS
    chosen: Symbols | None = dataclasses.field(default=None, kw_only=True, compare=False, repr=False)

    def symbols(self, tensor: Tensor, name: str = "") -> Symbols:
        """The tensor's symbols in row-major order, (size,) int32."""
        if self.chosen is not None:
            return self.chosen
        flat = tensor.reshape(-1)
        symbols = np.empty(flat.size, np.int32)
        for rows in _chunks(flat.size, self.quantizer):
            symbols[rows] = _to_symbols(self.quantizer, flat[rows], name)
        self.check(symbols, tensor.dtype, name)
        return symbols

    def check(self, symbols: Symbols, dtype: np.dtype[Any], name: str = "") -> None:
        """MdlError if the symbols stand for something that a tensor of that dtype cannot hold."""
        if symbols.size:
            _restore(self.quantizer, np.array([symbols.min(), symbols.max()]), dtype, name)

    def restore(self, symbols: Symbols, dtype: np.dtype[Any], shape: tuple[int, ...], name: str = "") -> Tensor:
        """The tensor that the symbols stand for; MdlError if there is none of that dtype.

        The symbols are used up: where a weight is as wide as a symbol, the tensor takes their memory.
        """
        self.check(symbols, dtype, name)
        owned = symbols.flags.owndata and symbols.flags.c_contiguous
        tensor = symbols.view(dtype) if owned and dtype.itemsize == symbols.itemsize else np.empty(symbols.size, dtype)
        self._restore_into(symbols, tensor)
        return tensor.reshape(shape)

    def _restore_into(self, symbols: Symbols, flat: Tensor) -> None:
        for rows in _slices(symbols.size, _CHUNK):
            flat[rows] = symbols[rows] if self.quantizer is None else self.quantizer.dequantize(symbols[rows])

    def write(self, coder: Coder, tensor: Tensor, name: str = "") -> None:
        """Write the tensor."""
        self.code.push(coder, self.symbols(tensor, name))

    def read(self, coder: Coder, dtype: np.dtype[Any], shape: tuple[int, ...], name: str = "") -> Tensor:
        """Read a tensor of that dtype and shape; MdlError if the message holds none."""
        if self._each_level_once(math.prod(shape)):
            tensor = np.empty(shape, dtype)
            self.read_into(coder, tensor, name)
            return tensor
        return self.restore(self.code.pop(coder, math.prod(shape)), dtype, shape, name)

    def read_into(self, coder: Coder, out: Tensor, name: str = "") -> None:
        """The same, into a contiguous array of that dtype and shape."""
        code: Any = self.code
        flat = out.reshape(-1)
        levels = self._levels(code, out.dtype) if self._each_level_once(out.size) else None
        if levels is not None:
            return code.pop_into(coder, flat, levels)
        symbols = code.pop(coder, out.size)
        self.check(symbols, out.dtype, name)
        self._restore_into(symbols, flat)

    def _each_level_once(self, count: int) -> bool:
        """Whether to restore every level of the alphabet, not every symbol."""
        if isinstance(self.quantizer, Trellis) or not isinstance(self.code, Discretized):
            return False
        return self.code.levels <= min(count, MAX_LEVELS)

    def _levels(self, code: Any, dtype: np.dtype[Any]) -> Tensor | None:
        """What every symbol of the code stands for; None if one stands for nothing."""
        try:
            return _restore(self.quantizer, np.arange(code.levels, dtype=np.int32) + np.int32(code.lo), dtype, "")
        except MdlError:
            return None

    def nats(self, tensor: Tensor, name: str = "", counted: Histogram | None = None) -> float:
        """Ideal length of the tensor, nats; from its histogram unless the code depends on the order."""
        if self.chosen is not None:
            return self._chosen_nats
        if self.quantizer is None or not self._counts_suffice:
            return self._in_order(self.symbols(tensor, name))
        return self._of_counts(Histogram.of(self.quantizer, tensor, name) if counted is None else counted)

    @functools.cached_property
    def _chosen_nats(self) -> float:
        """Of the chosen symbols; searches ask for it again and again."""
        symbols: Any = self.chosen
        return self._of_counts(Histogram.of_symbols(symbols)) if self._counts_suffice else self._in_order(symbols)

    @property
    def _counts_suffice(self) -> bool:
        return not (self.quantizer is None or isinstance(self.code, _IN_ORDER))

    def _of_counts(self, counted: Histogram) -> float:
        return float(self.code.nats(counted.symbols) @ counted.counts)

    def _in_order(self, symbols: Symbols) -> float:
        return self.code.total(symbols) if isinstance(self.code, ScaledMatrix) else float(self.code.nats(symbols).sum())

    def squared_error(self, tensor: Tensor) -> float:
        """Sum of squared differences between the tensor and what a reader gets."""
        flat, total = tensor.reshape(-1), 0.0
        for rows in _chunks(flat.size, self.quantizer):
            symbols = self.symbols(flat[rows]) if self.chosen is None else self.chosen[rows].copy()
            got = self.restore(symbols, tensor.dtype, (-1,))
            difference = got.astype(np.float64) - flat[rows].astype(np.float64)
            total += float(difference @ difference)
        return total


def _to_symbols(quantizer: Quantizer | None, values: Tensor, name: str) -> Symbols:
    _check_kind(quantizer, values.dtype, name)
    if quantizer is None:
        return _as_int32(values, name)
    with naming(name):
        return quantizer.quantize(values)


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Errors say which tensor they are about."""
    try:
        yield
    except ValueError as error:
        raise type(error)(f"tensor {name!r}: {error}") from error


def _check_kind(quantizer: Quantizer | None, dtype: np.dtype[Any], name: str) -> None:
    if (quantizer is None) != (dtype.kind in "biu"):
        raise WeightsError(f"tensor {name!r}: integers are coded as they are, floats by a quantizer; got {dtype}")


def _restore(quantizer: Quantizer | None, symbols: Symbols, dtype: np.dtype[Any], name: str) -> Tensor:
    _check_kind(quantizer, dtype, name)
    if quantizer is not None:
        with np.errstate(over="ignore"):
            return restored(quantizer.dequantize(symbols), dtype, name)
    values = symbols.astype(dtype)
    if not (values == symbols).all():
        raise WeightsError(f"tensor {name!r}: a quantised weight is beyond the largest {dtype}")
    return values


def restored(weights: Array, dtype: np.dtype[Any], name: str) -> Tensor:
    """Quantised weights in the tensor's own dtype; WeightsError if one is beyond its largest number."""
    with np.errstate(over="ignore"):
        values = weights.astype(dtype)
    if not np.isfinite(values).all():
        raise WeightsError(f"tensor {name!r}: a quantised weight is beyond the largest {dtype}")
    return values


def _chunks(size: int, quantizer: Quantizer | None) -> Iterator[slice]:
    return _slices(size, RUNS if isinstance(quantizer, Trellis) else _CHUNK)


def _slices(size: int, rows: int) -> Iterator[slice]:
    return (slice(start, min(start + rows, size)) for start in range(0, size, rows))


def _as_int32(flat: Tensor, name: str) -> Symbols:
    if flat.size and not -(2**31) <= int(flat.min()) <= int(flat.max()) < 2**31:
        raise WeightsError(f"tensor {name!r}: expected integers within 32 bits, got {flat.min()} to {flat.max()}")
    return flat.astype(np.int32)


@dataclass(frozen=True)
class Histogram:
    """Distinct symbols, ascending, and how often each occurs."""

    symbols: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of_symbols(cls, symbols: Symbols) -> Histogram:
        """Of symbols that are there already."""
        return _count(symbols) if symbols.size else cls.merge([])

    @classmethod
    def of(cls, quantizer: Quantizer, tensor: Tensor, name: str = "") -> Histogram:
        """Of a tensor's symbols, counted chunk by chunk."""
        flat = tensor.reshape(-1)
        chunks = _chunks(flat.size, quantizer)
        return cls.merge([_count(_to_symbols(quantizer, flat[rows], name)) for rows in chunks])

    @classmethod
    def merge(cls, histograms: Collection[Histogram]) -> Histogram:
        """Of several tensors together."""
        if len(histograms) == 1:
            return next(iter(histograms))
        empty = np.empty(0, np.int64)
        symbols, inverse = np.unique(np.concatenate([empty, *(h.symbols for h in histograms)]), return_inverse=True)
        counts = np.concatenate([empty, *(h.counts for h in histograms)])
        return cls(symbols, np.bincount(inverse, counts, symbols.size).astype(np.int64))

    @property
    def ends(self) -> tuple[int, int]:
        """Smallest and largest symbol; (0, 0) if there is none."""
        return (int(self.symbols[0]), int(self.symbols[-1])) if self.symbols.size else (0, 0)

    @functools.cached_property
    def entropy(self) -> float:
        """Nats of all symbols if each occurs with its own frequency: nothing that gives it one mass takes less."""
        return float(self.counts @ np.log(self.counts.sum() / self.counts))

    def cells(self, quantizer: Quantizer) -> tuple[Array, NDArray[np.int64], Array]:
        """What a prior is fitted to: centre, count and width of every cell (an endless one cut at its weight)."""
        weight = quantizer.dequantize(self.symbols)
        lower, upper = (np.where(np.isfinite(edge), edge, weight) for edge in quantizer.cell(self.symbols))
        return 0.5 * (lower + upper), self.counts, upper - lower


def _count(symbols: Symbols) -> Histogram:
    lo, hi = int(symbols.min()), int(symbols.max())
    if hi - lo < _DENSE:
        dense = np.bincount(symbols - np.int32(lo)) if lo else np.bincount(symbols)
        used = np.flatnonzero(dense)
        return Histogram(used + lo, dense[used])
    return Histogram(*(a.astype(np.int64) for a in np.unique(symbols, return_counts=True)))


INTEGER_CODING = Coding(None, Signed(EliasDelta()), BUFFERS)


@dataclass(frozen=True)
class Scheme:
    """A coding for every tensor. Equal codings are described once."""

    codings: Mapping[str, Coding]

    def description(self) -> Described:
        """Bits that tell a reader all codings, in reading order."""
        parts: Described = []
        seen: dict[tuple[Quantizer | None, Code], int] = {}
        quantizers: dict[Quantizer | None, int] = {None: 0}
        for coding in self.codings.values():
            age = _age(seen, (coding.quantizer, coding.code))
            parts.append(("choice", natural_bits(age)))
            if age:
                continue
            quantizer_age = _age(quantizers, coding.quantizer)
            parts.append(("choice", natural_bits(quantizer_age)))
            if quantizer_age == 0:
                parts += describe(coding.quantizer)
            if implied_code(coding.quantizer) is None:
                parts += describe(coding.code, _known(coding.quantizer))
        return parts

    @staticmethod
    def read(coder: Coder, names: Collection[str]) -> Scheme:
        """Read what ``description`` wrote for tensors of these names."""
        seen: list[tuple[Quantizer | None, Code]] = []
        quantizers: list[Quantizer | None] = [None]
        codings = {}
        for name in names:
            age = read_natural(coder)
            if age == 0:
                quantizer_age = read_natural(coder)
                if quantizer_age == 0:
                    quantizers.append(read(coder, "quantizer"))
                quantizer = _aged(quantizers, max(quantizer_age, 1))
                code = implied_code(quantizer) or read(coder, "code", _known(quantizer))
                seen.append((quantizer, code))
            codings[name] = Coding(*_aged(seen, max(age, 1)))
        return Scheme(codings)

    def length(self, tensors: Mapping[str, Tensor], counts: Mapping[str, Histogram] | None = None) -> CodeLength:
        """Ideal length of description and tensors."""
        parts = [(part, bits.size * LN2) for part, bits in self.description()]
        for name, coding in self.codings.items():
            parts.append((coding.part, coding.nats(tensors[name], name, (counts or {}).get(name))))
        return CodeLength(tuple(parts))

    def quantized(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors as a reader will get them."""
        return {
            name: coding.restore(coding.symbols(tensors[name], name).copy(), tensors[name].dtype, tensors[name].shape)
            for name, coding in self.codings.items()
        }


def implied_code(quantizer: object) -> Code | None:
    """The code of a quantizer's symbols where there is only one."""
    return getattr(quantizer, "code", None)


def _age(seen: dict[Any, int], thing: object) -> int:
    """0 if new, else 1 for the latest, 2 for the one before it, ...; it is in ``seen`` from now on."""
    return len(seen) - seen.setdefault(thing, len(seen))


def _aged(seen: list[Any], age: int) -> Any:
    if not 1 <= age <= len(seen):
        raise MessageError(f"the message refers to coding {age} of {len(seen)} so far")
    return seen[-age]


def _known(quantizer: Quantizer | None) -> dict[str, object]:
    """What the description of a code need not repeat."""
    return {} if quantizer is None else {"quantizer": quantizer}
