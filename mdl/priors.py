"""Priors: densities over one weight, the mass they give a quantisation cell, and their fit to weights.

A parameter that is ``None`` is *open*: ``fit`` chooses it so as to shorten the code. A parameter that is given stays as
given, and every parameter is charged to the message by the codes. Any family may be centred elsewhere with ``loc``.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from mdl import masses
from mdl.errors import PriorError
from mdl.fitting import Cells, minimise
from mdl.masses import Array


class Prior(Protocol):
    """The distribution that a weight is coded under; a short code is a large mass."""

    def logpdf(self, w: ArrayLike) -> Array:
        """Ln density at ``w``, nats, shape of ``w``."""
        ...

    def log_mass(self, lower: ArrayLike, upper: ArrayLike) -> Array:
        """Ln of the mass between two edges, nats."""
        ...

    def fit(self, w: ArrayLike, counts: ArrayLike | None = None, width: ArrayLike = 0.0) -> Prior:
        """The same family with its open parameters chosen to shorten the code for ``w``.

        ``counts`` says how often each value occurs; ``width`` is the width of the cell around each value, so that
        what is minimised is the length of the quantised weights (0: the density itself).
        """
        ...

    @property
    def parameters(self) -> tuple[float, ...]:
        """What a decoder must be told, in the order of the fields."""
        ...


@dataclass(frozen=True)
class _LocationScale:
    """Shared plumbing of the families that are a standard density shifted by ``loc`` and stretched by ``scale``."""

    scale: float | None = None
    loc: float = 0.0

    _at_least: ClassVar[dict[str, tuple[float, float]]] = {}  # further parameters: (lowest, highest) value

    def __post_init__(self) -> None:
        ranges = {"scale": (0.0, math.inf), **self._at_least}
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if value is not None and not low < value <= min(high, 1e300):
                raise PriorError(f"{type(self).__name__}: expected {low} < {name} <= {high}, got {value}")
        if not math.isfinite(self.loc):
            raise PriorError(f"{type(self).__name__}: expected a finite loc, got {self.loc}")

    def _standard_pdf(self, z: Array) -> Array:
        raise NotImplementedError

    def _standard_mass(self, lower: Array, upper: Array) -> Array:
        raise NotImplementedError

    @property
    def parameters(self) -> tuple[float, ...]:
        """The field values, all of them set."""
        values = tuple(getattr(self, name) for name in self.__match_args__)
        if None in values:
            raise PriorError(f"{type(self).__name__} has open parameters: fit it to weights first, or give them")
        return values

    def logpdf(self, w: ArrayLike) -> Array:
        """Ln density at ``w``, nats."""
        scale = self.parameters[0]
        return self._standard_pdf((np.asarray(w, float) - self.loc) / scale) - math.log(scale)

    def log_mass(self, lower: ArrayLike, upper: ArrayLike) -> Array:
        """Ln of the mass between two edges, nats; -inf for a cell without mass.

        Relative error at most 1e-12 out to 60 scales, beside what rounding ``(edge - loc) / scale`` changes.
        """
        scale = self.parameters[0]
        low, high = (np.asarray(edge, float) - self.loc for edge in (lower, upper))
        if not np.all(low <= high):
            raise PriorError("log_mass: expected lower <= upper for every cell")
        return self._standard_mass(low / scale, high / scale)

    def fit(self, w: ArrayLike, counts: ArrayLike | None = None, width: ArrayLike = 0.0) -> Self:
        """The open parameters that shorten the code for ``w``; see :class:`Prior`."""
        cells = Cells.of(w, counts, width)
        start = {f.name: self._start(f.name, cells) for f in dataclasses.fields(self) if getattr(self, f.name) is None}
        return minimise(lambda values: replace(self, **values), start, cells)

    def _start(self, name: str, cells: Cells) -> float:
        return cells.spread(self.loc) if name == "scale" else {"df": 4.0, "shape": 1.5}[name]


@dataclass(frozen=True)
class Gaussian(_LocationScale):
    """Normal distribution: its code length is an L2 penalty.

    Examples
    --------
    >>> prior = Gaussian(scale=2.0)
    >>> round(float(prior.log_mass(-1.0, 1.0)), 6)
    -0.959916
    >>> Gaussian.from_l2(1e-3, n=1000)
    Gaussian(scale=1.0, loc=0.0)
    """

    @classmethod
    def from_l2(cls, strength: float, n: int) -> Gaussian:
        """The prior that ``mean NLL + (strength/2) ||w||^2`` over n examples stands for: variance 1/(n strength)."""
        if not (0.0 < strength < math.inf and n >= 1):
            raise PriorError(f"from_l2: expected strength > 0 and n >= 1, got strength={strength}, n={n}")
        return cls(scale=1.0 / math.sqrt(n * strength))

    def _standard_pdf(self, z: Array) -> Array:
        return masses.gaussian_pdf(z)

    def _standard_mass(self, lower: Array, upper: Array) -> Array:
        return masses.gaussian_mass(lower, upper)


@dataclass(frozen=True)
class Laplace(_LocationScale):
    """Two-sided exponential: its code length is an L1 penalty."""

    def _standard_pdf(self, z: Array) -> Array:
        return masses.laplace_pdf(z)

    def _standard_mass(self, lower: Array, upper: Array) -> Array:
        return masses.laplace_mass(lower, upper)


@dataclass(frozen=True)
class Logistic(_LocationScale):
    """Logistic distribution: quadratic near its centre, L1 far out."""

    def _standard_pdf(self, z: Array) -> Array:
        return masses.logistic_pdf(z)

    def _standard_mass(self, lower: Array, upper: Array) -> Array:
        return masses.logistic_mass(lower, upper)


@dataclass(frozen=True)
class Cauchy(_LocationScale):
    """Cauchy distribution: outliers cost about two bits a doubling."""

    def _standard_pdf(self, z: Array) -> Array:
        return masses.cauchy_pdf(z)

    def _standard_mass(self, lower: Array, upper: Array) -> Array:
        return masses.cauchy_mass(lower, upper)


@dataclass(frozen=True)
class StudentT(_LocationScale):
    """Student's t with ``df`` degrees of freedom: from Cauchy (1) to Gaussian (infinite)."""

    df: float | None = None
    _at_least: ClassVar[dict[str, tuple[float, float]]] = {"df": (0.05, 1e4)}

    def _standard_pdf(self, z: Array) -> Array:
        return masses.student_t_pdf(z, self.parameters[2])

    def _standard_mass(self, lower: Array, upper: Array) -> Array:
        return masses.student_t_mass(lower, upper, self.parameters[2])


@dataclass(frozen=True)
class GeneralizedGaussian(_LocationScale):
    """Density proportional to e^-|z|^shape: an Lp penalty with p = ``shape``."""

    shape: float | None = None
    _at_least: ClassVar[dict[str, tuple[float, float]]] = {"shape": (0.1, 20.0)}

    def _standard_pdf(self, z: Array) -> Array:
        return masses.generalized_gaussian_pdf(z, self.parameters[2])

    def _standard_mass(self, lower: Array, upper: Array) -> Array:
        return masses.generalized_gaussian_mass(lower, upper, self.parameters[2])


@dataclass(frozen=True)
class Uniform(_LocationScale):
    """Uniform on ``loc`` +- ``scale``: every weight in the range costs the same, no weight outside has a code."""

    def _standard_pdf(self, z: Array) -> Array:
        return masses.uniform_pdf(z)

    def _standard_mass(self, lower: Array, upper: Array) -> Array:
        return masses.uniform_mass(lower, upper)

    def fit(self, w: ArrayLike, counts: ArrayLike | None = None, width: ArrayLike = 0.0) -> Uniform:
        """The narrowest range that covers every cell."""
        if self.scale is not None:
            return self
        cells = Cells.of(w, counts, width)
        reach = float((np.abs(cells.w - self.loc) + 0.5 * cells.width).max(initial=0.0))
        return replace(self, scale=reach or 1.0)


@dataclass(frozen=True)
class SpikeAndSlab:
    """A point mass at zero, and with probability ``density`` any other prior: its code length counts weights (L0).

    The point belongs to the cell that holds 0 (its lower edge included, its upper excluded), so that cells that tile
    the line share it once.
    """

    density: float | None = None
    slab: Prior = dataclasses.field(default_factory=Gaussian)

    def __post_init__(self) -> None:
        if self.density is not None and not 0.0 < self.density <= 1.0:
            raise PriorError(f"SpikeAndSlab: expected 0 < density <= 1, got {self.density}")
        if isinstance(self.slab, SpikeAndSlab | Hashed):
            raise PriorError(f"SpikeAndSlab: expected a slab with a density, got {type(self.slab).__name__}")

    @property
    def parameters(self) -> tuple[float, ...]:
        """The density, then the slab's parameters."""
        if self.density is None:
            raise PriorError("SpikeAndSlab has open parameters: fit it to weights first, or give them")
        return (self.density, *self.slab.parameters)

    def logpdf(self, w: ArrayLike) -> Array:
        """Ln density of the slab's share; +inf at the spike itself unless density is 1."""
        density = self.parameters[0]
        smooth = math.log(density) + self.slab.logpdf(w)
        return np.where((np.asarray(w) == 0.0) & (density < 1.0), np.inf, smooth)

    def log_mass(self, lower: ArrayLike, upper: ArrayLike) -> Array:
        """Ln of the mass between two edges, nats."""
        density = self.parameters[0]
        smooth = math.log(density) + self.slab.log_mass(lower, upper)
        if density == 1.0:
            return smooth
        holds_zero = (np.asarray(lower) <= 0.0) & (np.asarray(upper) > 0.0)
        return np.where(holds_zero, np.logaddexp(smooth, math.log1p(-density)), smooth)

    def fit(self, w: ArrayLike, counts: ArrayLike | None = None, width: ArrayLike = 0.0) -> SpikeAndSlab:
        """The slab for what is not zero, then the density given the slab, alternated (EM)."""
        cells = Cells.of(w, counts, width)
        half = 0.5 * cells.width
        zero = (cells.w - half <= 0.0) & (cells.w + half > 0.0) | (cells.w == 0.0)
        zeros, others = float(cells.counts[zero].sum()), float(cells.counts[~zero].sum())
        counts_of_slab = np.where(zero, 0.0, cells.counts)
        slab_zeros, slab = 0.0, self.slab
        for _ in range(5):
            slab = self.slab.fit(cells.w, counts_of_slab, cells.width)
            mass = np.exp(slab.log_mass(cells.w[zero] - half[zero], cells.w[zero] + half[zero]))
            at_zero = float(cells.counts[zero] @ mass) / max(zeros, 1.0)
            # the best density leaves the slab as many zeros as it predicts from what is not zero
            slab_zeros = min(zeros, others * at_zero / max(1.0 - at_zero, 1e-12))
            counts_of_slab = np.where(zero, cells.counts * (slab_zeros / max(zeros, 1.0)), cells.counts)
        best = min(max((others + slab_zeros) / max(others + zeros, 1.0), 1e-6), 1.0)
        return SpikeAndSlab(best if self.density is None else self.density, slab)


@dataclass(frozen=True)
class Mixture:
    """A mixture of Gaussians (soft weight sharing, Nowlan & Hinton 1992).

    ``components`` is the number to fit; ``weights``, ``locs`` and ``scales`` are given together or left open. Weights
    are relative: they are divided by their sum.
    """

    components: int = 3
    weights: tuple[float, ...] | None = None
    locs: tuple[float, ...] | None = None
    scales: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.components <= 32:
            raise PriorError(f"Mixture: expected 1 to 32 components, got {self.components}")
        given = [p for p in (self.weights, self.locs, self.scales) if p is not None]
        if len(given) not in (0, 3) or any(len(p) != self.components for p in given):
            raise PriorError("Mixture: expected weights, locs and scales together, one value a component")
        if given and not (
            all(0 < v < 1e300 for p in (given[0], given[2]) for v in p) and all(map(math.isfinite, given[1]))
        ):
            raise PriorError("Mixture: expected positive weights and scales, and finite locs")

    @property
    def parameters(self) -> tuple[float, ...]:
        """Weights, locations, scales."""
        if self.weights is None or self.locs is None or self.scales is None:
            raise PriorError("Mixture has open parameters: fit it to weights first, or give them")
        return (*self.weights, *self.locs, *self.scales)

    def _log_shares(self, terms: Callable[[Array, Array], Array]) -> Array:
        """Ln weight + ``terms(scale, loc)`` of each component, stacked along a first axis."""
        weights, locs, scales = np.array(self.parameters).reshape(3, self.components, 1)
        return np.log(weights / weights.sum()) + terms(scales, locs)

    def _log_masses(self, lower: ArrayLike, upper: ArrayLike) -> Array:
        low, high = np.broadcast_arrays(np.asarray(lower, float), np.asarray(upper, float))
        flat_low, flat_high = low.ravel(), high.ravel()
        return self._log_shares(lambda s, m: masses.gaussian_mass((flat_low - m) / s, (flat_high - m) / s))

    def _log_densities(self, w: ArrayLike) -> Array:
        flat = np.asarray(w, float).ravel()
        return self._log_shares(lambda s, m: masses.gaussian_pdf((flat - m) / s) - np.log(s))

    def logpdf(self, w: ArrayLike) -> Array:
        """Ln density at ``w``, nats."""
        return np.logaddexp.reduce(self._log_densities(w), axis=0).reshape(np.shape(w))

    def log_mass(self, lower: ArrayLike, upper: ArrayLike) -> Array:
        """Ln of the mass between two edges, nats."""
        shape = np.broadcast_shapes(np.shape(lower), np.shape(upper))
        return np.logaddexp.reduce(self._log_masses(lower, upper), axis=0).reshape(shape)

    def fit(self, w: ArrayLike, counts: ArrayLike | None = None, width: ArrayLike = 0.0) -> Mixture:
        """Expectation-maximisation on the cells, from scales spread over two octaves around the data's own."""
        if self.weights is not None:
            return self
        cells = Cells.of(w, counts, width)
        spread, total = cells.spread(0.0), max(cells.counts.sum(), 1.0)
        k = self.components
        scales = spread * 2.0 ** np.linspace(-2.0, 2.0, k) if k > 1 else np.array([1.25 * spread])
        fitted = replace(self, weights=(1.0 / k,) * k, locs=(0.0,) * k, scales=tuple(scales.tolist()))
        lower, upper = cells.w - 0.5 * cells.width, cells.w + 0.5 * cells.width
        floor = (0.1 * float(cells.width.max(initial=0.0)) + 1e-3 * spread) ** 2
        before = math.inf
        for _ in range(100):
            shares = fitted._log_masses(lower, upper) if cells.width.any() else fitted._log_densities(cells.w)
            log_total = np.logaddexp.reduce(shares, axis=0)
            nats = -float(cells.counts @ log_total)
            if not before - nats > 1e-5 * total:
                break
            before = nats
            fitted = _maximise(fitted, np.exp(shares - log_total) * cells.counts, cells, floor)
        return fitted


def _maximise(mixture: Mixture, responsibility: Array, cells: Cells, floor: float) -> Mixture:
    """The M step: moments of each component, (components, cells) responsibilities, variance at least ``floor``."""
    mass = responsibility.sum(axis=1) + 1e-12
    locs = responsibility @ cells.w / mass
    second = (responsibility * (cells.w - locs[:, None]) ** 2).sum(axis=1) / mass
    weights = np.maximum(mass / mass.sum(), 1e-9)
    scales = np.sqrt(np.maximum(second, floor))
    return replace(mixture, weights=tuple(weights.tolist()), locs=tuple(locs.tolist()), scales=tuple(scales.tolist()))


@dataclass(frozen=True)
class Hashed:
    """An arbitrary razor: the masses that ``base`` gives the cells of an alphabet, dealt out in SHA-256 order.

    A legitimate code with the same Kraft sum as ``base`` and no preference for small weights: the largest mass goes
    to the cell whose edges have the smallest digest. It orders quantised values, not reals, so the cells that it is
    given *are* the alphabet, and it has no density of its own: ``logpdf`` treats the points that it is given alike.
    """

    base: Prior = dataclasses.field(default_factory=Gaussian)
    salt: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.base, Hashed):
            raise PriorError("Hashed: expected a prior that is not hashed itself")

    @property
    def parameters(self) -> tuple[float, ...]:
        """The base's parameters; the salt is part of the family."""
        return self.base.parameters

    def logpdf(self, w: ArrayLike) -> Array:
        """The base's ln densities at the points ``w``, dealt out in SHA-256 order."""
        points = np.asarray(w, float)
        return self._deal(self.base.logpdf(points), points, points)

    def log_mass(self, lower: ArrayLike, upper: ArrayLike) -> Array:
        """The base's ln masses of the cells of an alphabet, dealt out in SHA-256 order, nats."""
        low, high = np.broadcast_arrays(np.asarray(lower, float), np.asarray(upper, float))
        return self._deal(self.base.log_mass(low, high), low, high)

    def _deal(self, terms: Array, low: Array, high: Array) -> Array:
        dealt = np.empty(terms.size)
        dealt[_digest_order(low.tobytes(), high.tobytes(), self.salt)] = np.sort(terms, axis=None)[::-1]
        return dealt.reshape(terms.shape)

    def fit(self, w: ArrayLike, counts: ArrayLike | None = None, width: ArrayLike = 0.0) -> Hashed:
        """The base fitted to the weights, or to their whole range, since a hash order may need any cell of it."""
        cells = Cells.of(w, counts, width)
        narrow = replace(self, base=self.base.fit(w, counts, width))
        if not cells.width.any():
            return narrow
        low, high = (cells.w - 0.5 * cells.width).min(), (cells.w + 0.5 * cells.width).max()
        centres, size = np.linspace(low, high, 65, retstep=True)
        wide = replace(self, base=self.base.fit(centres[1:] - 0.5 * size, None, size))
        return min((narrow, wide), key=cells.nats)


@functools.lru_cache(maxsize=64)
def _digest_order(low: bytes, high: bytes, salt: int) -> Any:
    """Indices of the cells by the SHA-256 digest of salt and both edges (little-endian doubles)."""
    prefix = salt.to_bytes(8, "little", signed=True)
    edges = zip(np.frombuffer(low, "S8"), np.frombuffer(high, "S8"), strict=True)
    digests = [hashlib.sha256(prefix + a.ljust(8, b"\0") + b.ljust(8, b"\0")).digest()[:16] for a, b in edges]
    return np.argsort(np.array(digests, dtype="S16"), kind="stable")


#: Every family with its parameters open, by the name that the command line and tables use.
BY_NAME: dict[str, Prior] = {
    "gaussian": Gaussian(),
    "laplace": Laplace(),
    "logistic": Logistic(),
    "cauchy": Cauchy(),
    "student-t": StudentT(),
    "generalized-gaussian": GeneralizedGaussian(),
    "uniform": Uniform(),
    "spike-and-slab": SpikeAndSlab(),
    "mixture": Mixture(),
    "hashed": Hashed(),
}
