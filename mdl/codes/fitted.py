"""The scheme that makes tensors short: parameters fitted, rounded to what their bits are worth, shared if that pays."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from mdl.codes import Code
from mdl.codes.coder import Symbols
from mdl.codes.describe import describe
from mdl.codes.discretized import Discretized
from mdl.codes.integers import EliasDelta, Signed
from mdl.codes.numbers import round_real
from mdl.codes.scaled import Scaled
from mdl.codes.scheme import FREE, INTEGER_CODING, RUNS, ByMatrix, Coding, Histogram, PriorLike, Scheme, Tensor, naming
from mdl.errors import PriorError
from mdl.length import LN2
from mdl.priors import Prior
from mdl.quantize import Quantizer, UniformGrid
from mdl.trellis import Trellis, shrunk

P = TypeVar("P", bound=Prior)


def fit_scheme(
    tensors: Mapping[str, Tensor],
    quantizers: Mapping[str, Quantizer],
    prior: PriorLike,
    free: Mapping[str, UniformGrid] | None = None,
    chosen: Mapping[str, Symbols] = types.MappingProxyType({}),
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
    chosen
        Symbols of tensors whose quantizer they were chosen for already.
    """
    open_to_search = {
        name: quantizer
        for name, quantizer in quantizers.items()
        if name not in chosen and (isinstance(prior, ByMatrix) or isinstance(quantizer, Trellis))
    }
    chosen = {**searched(open_to_search, tensors, isinstance(prior, Scaled)), **chosen}
    counts = {
        name: Histogram.of_symbols(chosen[name]) if name in chosen else Histogram.of(quantizer, tensors[name], name)
        for name, quantizer in quantizers.items()
    }
    return fit_counts(tensors, quantizers, prior, free or {}, counts, chosen)


def searched(quantizers: Mapping[str, Quantizer], tensors: Mapping[str, Tensor], by_line: bool) -> dict[str, Symbols]:
    """The symbols of tensors at the least length for their error, as far as their quantizers leave a choice."""
    symbols: dict[str, Symbols] = {}
    alike: dict[Quantizer, list[str]] = {}
    for name, quantizer in quantizers.items():
        alike.setdefault(quantizer, []).append(name)
    for grid, names in alike.items():
        if isinstance(grid, Trellis):
            for some in _handfuls(names, tensors):
                symbols |= _along(grid, {name: tensors[name] for name in some}, by_line)
        else:
            symbols |= {name: Coding(grid, INTEGER_CODING.code).symbols(tensors[name], name) for name in names}
    return symbols


def _handfuls(names: Iterable[str], tensors: Mapping[str, Tensor]) -> Iterator[list[str]]:
    """Some names at a time: of one tensor, or of several with few weights together."""
    some: list[str] = []
    weights = 0
    for name in names:
        if some and weights + tensors[name].size > RUNS:
            yield some
            some, weights = [], 0
        some.append(name)
        weights += tensors[name].size
    if some:
        yield some


def _along(grid: Trellis, tensors: Mapping[str, Tensor], by_line: bool) -> dict[str, Symbols]:
    points = {}
    for name, tensor in tensors.items():
        with naming(name):
            points[name] = grid.points(shrunk(tensor, grid.step, by_line)).ravel()
    symbols = dict(zip(points, grid.closest(list(points.values())), strict=True))
    for name, tensor in tensors.items():
        Coding(grid, INTEGER_CODING.code).check(symbols[name], tensor.dtype, name)
    return symbols


def fit_counts(
    tensors: Mapping[str, Tensor],
    quantizers: Mapping[str, Quantizer],
    prior: PriorLike,
    free: Mapping[str, UniformGrid],
    counts: Mapping[str, Histogram],
    chosen: Mapping[str, Symbols] = types.MappingProxyType({}),
) -> Scheme:
    """``fit_scheme`` for tensors whose symbols have been counted already, and chosen already where they are."""
    one = prior.prior if isinstance(prior, ByMatrix) else prior
    fixed = {name: Coding(grid, Signed(EliasDelta()), FREE) for name, grid in free.items()}
    whole = {name: INTEGER_CODING for name in tensors if name not in quantizers and name not in free}
    each = {name: Coding(q, _fit(one, q, counts[name]), chosen=chosen.get(name)) for name, q in quantizers.items()}
    candidates = [each]
    if len(set(quantizers.values())) == 1 < len(quantizers):
        (quantizer,) = set(quantizers.values())
        shared = _fit(one, quantizer, Histogram.merge(list(counts.values())))
        candidates.append({name: Coding(quantizer, shared, chosen=chosen.get(name)) for name in quantizers})
    if isinstance(prior, ByMatrix):
        candidates.append({name: _by_matrix(prior, coding, tensors[name]) for name, coding in each.items()})
    schemes = []
    for fitted in candidates:
        codings = {**fixed, **whole, **fitted}
        schemes.append(Scheme({name: codings[name] for name in tensors}))
    penalised = {name: tensors[name] for name in quantizers}
    return min(schemes, key=lambda s: _of(s, quantizers).length(penalised, counts).nats)


def _by_matrix(family: ByMatrix, plain: Coding, tensor: Tensor) -> Coding:
    """A code for the matrix where that is shorter than one prior for all its entries."""
    if tensor.ndim < 2 or plain.quantizer is None:
        return plain
    symbols = plain.symbols(tensor)
    code = family.fit(plain.quantizer, symbols, math.prod(tensor.shape[1:]))
    if code is None:
        return plain
    by_matrix = dataclasses.replace(plain, code=code)
    return min(plain, by_matrix, key=lambda coding: Scheme({"": coding}).length({"": tensor}).nats)


def _of(scheme: Scheme, names: Collection[str]) -> Scheme:
    return Scheme({name: coding for name, coding in scheme.codings.items() if name in names})


def _fit(prior: Prior | Callable[[int, int], Code], quantizer: Quantizer, counted: Histogram) -> Code:
    lo, hi = counted.ends
    if callable(prior):
        return prior(lo, hi)
    if not hasattr(prior, "log_mass"):
        raise PriorError(f"expected one prior or family of codes, got {prior!r}")
    return rounded_code(prior.fit(*counted.cells(quantizer)), prior, quantizer, counted)


def rounded_code(fitted: Prior, given: Prior, quantizer: Quantizer, counted: Histogram) -> Code:
    """The code under a prior whose parameters that were open in ``given`` are rounded to what their bits are worth."""
    lo, hi = counted.ends

    def nats(candidate: Prior) -> float:
        terms = Discretized(candidate, quantizer, lo, hi).log_mass(counted.symbols)
        return sum(bits.size for _, bits in describe(candidate)) * LN2 - float(counted.counts @ terms)

    return Discretized(_first_minimum(_roundings(fitted, given), nats), quantizer, lo, hi)


def _roundings(fitted: P, given: Prior) -> Iterator[P]:
    """``fitted`` with its open reals to 1, 2, ... significant bits, where the family allows that, and as it is.

    Further bits that are zero make the same prior, which comes once.
    """
    last = None
    for bits in range(1, 25):
        with contextlib.suppress(PriorError):
            candidate = _rounded(fitted, given, bits)
            if candidate != last:
                yield (last := candidate)
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
