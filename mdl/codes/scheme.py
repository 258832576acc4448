"""How the tensors of a model are coded: a quantizer and a code for each, chosen to shorten the whole, and described."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mdl.codes import Code
from mdl.codes.adaptive import Dirichlet, TwoLevel
from mdl.codes.coder import MAX_LEVELS, Coder, Symbols
from mdl.codes.describe import Described, describe, read
from mdl.codes.discretized import Discretized
from mdl.codes.integers import EliasDelta, Signed
from mdl.codes.numbers import natural_bits, read_natural, round_real
from mdl.errors import MdlError, MessageError, PriorError, WeightsError
from mdl.length import LN2, CodeLength
from mdl.masses import Array
from mdl.priors import Prior
from mdl.quantize import Quantizer, UniformGrid

#: A prior, or a family of codes by the smallest and largest symbol, such as ``KT``.
PriorLike = Prior | Callable[[int, int], Code]

Tensor = NDArray[Any]
P = TypeVar("P", bound=Prior)

_CHUNK = 1 << 15  # weights quantised at a time: an allocator maps larger temporaries anew each time
_DENSE = 1 << 20  # widest range of symbols counted by bincount
FREE, BUFFERS, WEIGHTS = "intercepts", "buffers", "weights"


@dataclass(frozen=True)
class Coding:
    """How one tensor is coded. ``quantizer`` is None for a tensor of integers; ``part`` names what it is charged to."""

    quantizer: Quantizer | None
    code: Code
    part: str = WEIGHTS

    def symbols(self, tensor: Tensor, name: str = "") -> Symbols:
        """The tensor's symbols in row-major order, (size,) int32."""
        flat = tensor.reshape(-1)
        symbols = np.empty(flat.size, np.int32)
        for rows in _chunks(flat.size):
            symbols[rows] = _to_symbols(self.quantizer, flat[rows], name)
        if symbols.size:  # what a reader would refuse is not written
            _restore(self.quantizer, np.array([symbols.min(), symbols.max()]), tensor.dtype, name)
        return symbols

    def restore(self, symbols: Symbols, dtype: np.dtype[Any], shape: tuple[int, ...], name: str = "") -> Tensor:
        """The tensor that the symbols stand for; MdlError if there is none of that dtype.

        The symbols are used up: where a weight is as wide as a symbol, the tensor takes their memory.
        """
        if symbols.size:
            _restore(self.quantizer, np.array([symbols.min(), symbols.max()]), dtype, name)
        owned = symbols.flags.owndata and symbols.flags.c_contiguous
        tensor = symbols.view(dtype) if owned and dtype.itemsize == symbols.itemsize else np.empty(symbols.size, dtype)
        for rows in _chunks(symbols.size):
            tensor[rows] = symbols[rows] if self.quantizer is None else self.quantizer.dequantize(symbols[rows])
        return tensor.reshape(shape)

    def write(self, coder: Coder, tensor: Tensor, name: str = "") -> None:
        """Write the tensor."""
        self.code.push(coder, self.symbols(tensor, name))

    def read(self, coder: Coder, dtype: np.dtype[Any], shape: tuple[int, ...], name: str = "") -> Tensor:
        """Read a tensor of that dtype and shape; MdlError if the message holds none."""
        code, count = self.code, math.prod(shape)
        if isinstance(code, Discretized) and code.levels <= min(count, MAX_LEVELS):
            levels = self._levels(code, dtype)
            if levels is not None:
                return code.pop_as(coder, count, levels).reshape(shape)
        return self.restore(code.pop(coder, count), dtype, shape, name)

    def _levels(self, code: Discretized, dtype: np.dtype[Any]) -> Tensor | None:
        """What every symbol of the code stands for, so that none is restored twice; None if one stands for nothing."""
        try:
            return _restore(self.quantizer, np.arange(code.levels, dtype=np.int32) + np.int32(code.lo), dtype, "")
        except MdlError:
            return None

    def nats(self, tensor: Tensor, name: str = "", counted: Histogram | None = None) -> float:
        """Ideal length of the tensor, nats; from its histogram unless the code depends on the order."""
        if self.quantizer is None or isinstance(self.code, Dirichlet | TwoLevel):
            return float(self.code.nats(self.symbols(tensor, name)).sum())
        counted = counted or Histogram.of(self.quantizer, tensor, name)
        return float(self.code.nats(counted.symbols) @ counted.counts)

    def squared_error(self, tensor: Tensor) -> float:
        """Sum of squared differences between the tensor and what a reader gets."""
        flat, total = tensor.reshape(-1), 0.0
        for rows in _chunks(flat.size):
            got = self.restore(self.symbols(flat[rows]), tensor.dtype, (-1,))
            difference = got.astype(np.float64) - flat[rows].astype(np.float64)
            total += float(difference @ difference)
        return total


def _to_symbols(quantizer: Quantizer | None, values: Tensor, name: str) -> Symbols:
    _check_kind(quantizer, values.dtype, name)
    if quantizer is None:
        return _as_int32(values, name)
    try:
        return quantizer.quantize(values)
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


def _chunks(size: int) -> Iterator[slice]:
    return (slice(start, min(start + _CHUNK, size)) for start in range(0, size, _CHUNK))


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
    def of(cls, quantizer: Quantizer, tensor: Tensor, name: str = "") -> Histogram:
        """Of a tensor's symbols, counted chunk by chunk."""
        flat = tensor.reshape(-1)
        return cls.merge([_count(_to_symbols(quantizer, flat[rows], name)) for rows in _chunks(flat.size)])

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
            name: coding.restore(coding.symbols(tensors[name], name), tensors[name].dtype, tensors[name].shape)
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


INTEGER_CODING = Coding(None, Signed(EliasDelta()), BUFFERS)


def fit_scheme(
    tensors: Mapping[str, Tensor],
    quantizers: Mapping[str, Quantizer],
    prior: PriorLike,
    free: Mapping[str, UniformGrid] | None = None,
) -> Scheme:
    """The shortest scheme with these quantisers: one prior for all tensors that share a quantizer, or one a tensor.

    Parameters
    ----------
    tensors
        ``{name: array}``; those of integers are coded as they are.
    quantizers
        One for every tensor of floats that is not ``free``.
    prior
        Its open parameters are fitted to the quantised weights and rounded to the precision that is worth its bits.
    free
        Grids of the tensors that no penalty touches, coded by signed Elias delta, apart.
    """
    free = free or {}
    counts = {name: Histogram.of(quantizer, tensors[name], name) for name, quantizer in quantizers.items()}
    return fit_counts(tensors, quantizers, prior, free, counts)


def fit_counts(
    tensors: Mapping[str, Tensor],
    quantizers: Mapping[str, Quantizer],
    prior: PriorLike,
    free: Mapping[str, UniformGrid],
    counts: Mapping[str, Histogram],
) -> Scheme:
    """``fit_scheme`` for tensors whose symbols have been counted already."""
    fixed = {name: Coding(grid, Signed(EliasDelta()), FREE) for name, grid in free.items()}
    whole = {name: INTEGER_CODING for name in tensors if name not in quantizers and name not in free}
    each = {name: Coding(q, _fit(prior, q, counts[name])) for name, q in quantizers.items()}
    candidates = [each]
    if len(set(quantizers.values())) == 1 < len(quantizers):
        (quantizer,) = set(quantizers.values())
        shared = Coding(quantizer, _fit(prior, quantizer, Histogram.merge(list(counts.values()))))
        candidates.append(dict.fromkeys(quantizers, shared))
    schemes = []
    for fitted in candidates:
        codings = {**fixed, **whole, **fitted}
        schemes.append(Scheme({name: codings[name] for name in tensors}))
    penalised = {name: tensors[name] for name in quantizers}
    return min(schemes, key=lambda s: _of(s, quantizers).length(penalised, counts).nats)


def _of(scheme: Scheme, names: Collection[str]) -> Scheme:
    return Scheme({name: coding for name, coding in scheme.codings.items() if name in names})


def _fit(prior: PriorLike, quantizer: Quantizer, counted: Histogram) -> Code:
    lo, hi = counted.ends
    if callable(prior):
        return prior(lo, hi)
    w, counts, width = counted.cells(quantizer)
    fitted = prior.fit(w, counts, width)

    def nats(candidate: Prior) -> float:
        terms = Discretized(candidate, quantizer, lo, hi).log_mass(counted.symbols)
        return sum(bits.size for _, bits in describe(candidate)) * LN2 - float(counts @ terms)

    return Discretized(_first_minimum(_roundings(fitted, prior), nats), quantizer, lo, hi)


def _roundings(fitted: P, given: Prior) -> Iterator[P]:
    """``fitted`` with its open reals to 1, 2, ... significant bits, where the family allows that, and as it is."""
    for bits in range(1, 25):
        with contextlib.suppress(PriorError):
            yield _rounded(fitted, given, bits)
    yield fitted


def _first_minimum(candidates: Iterator[P], nats: Callable[[P], float]) -> P:
    """The best of candidates whose lengths fall and then rise, without trying all."""
    best = next(candidates)
    shortest, worse = nats(best), 0
    for candidate in candidates:
        length = nats(candidate)
        if length < shortest:
            best, shortest, worse = candidate, length, 0
        elif math.isfinite(length):
            worse += 1
        if worse == 3:
            break
    return best


def _rounded(fitted: P, given: Prior, bits: int) -> P:
    """``fitted`` with the reals that were open in ``given`` rounded to so many significant bits."""
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(fitted):  # type: ignore[arg-type]
        value, before = getattr(fitted, field.name), getattr(given, field.name)
        if dataclasses.is_dataclass(value):
            changes[field.name] = _rounded(value, before, bits)  # type: ignore[type-var]
        elif before is None and isinstance(value, tuple):
            changes[field.name] = tuple(round_real(v, bits) for v in value)
        elif before is None:
            changes[field.name] = round_real(value, bits)
    return dataclasses.replace(fitted, **changes)  # type: ignore[type-var]
