"""Likelihoods: the code length of data given predictions.

Each turns predictions (logits, means, log rates) into the probabilities of *symbols*: class indices, counts, or
multiples of the precision to which a real target is stated, so that no length is negative.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from mdl import masses
from mdl.errors import DataError
from mdl.masses import Array

Symbols = NDArray[np.int32]


@runtime_checkable
class Likelihood(Protocol):
    """Data given predictions, of which there is a row for each of n examples."""

    def log_prob(self, predictions: ArrayLike, y: ArrayLike) -> Array:
        """Ln probability of each target as stated, nats, (n,)."""
        ...

    def log_mass(self, predictions: ArrayLike, first: ArrayLike, last: ArrayLike) -> Array:
        """Ln probability of the run of symbols ``first..last``, both included, (n, k) for (n, k) or (k,) symbols."""
        ...

    def to_symbols(self, y: ArrayLike) -> Symbols:
        """Targets as integers, (n,)."""
        ...

    def from_symbols(self, symbols: ArrayLike) -> NDArray[Any]:
        """Integers as targets, (n,)."""
        ...

    def fit(self, predictions: ArrayLike, y: ArrayLike) -> Self:
        """The same family, its open parameters chosen to shorten the code for ``y``."""
        ...

    @property
    def span(self) -> tuple[int, int] | None:
        """Least and greatest symbol where the family says them; None where the data do."""
        ...

    @property
    def resolution(self) -> float:
        """What predictions are rounded to multiples of before a writer and a reader compute tables from them."""
        ...


_RESOLUTION = 2.0**-12  # of logits and log rates: coarse beside rounding errors, fine beside what a bit can tell


def _columns(symbols: ArrayLike) -> NDArray[np.int64]:
    """(k,) or (n, k) integers, ready to meet (n, 1) predictions."""
    return np.atleast_2d(np.asarray(symbols, np.int64))


def _rows(predictions: ArrayLike, what: str) -> Array:
    values = np.asarray(predictions, np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise DataError(f"{what}: expected (n,) finite predictions, got shape {values.shape}")
    return values[:, None]


def _whole_numbers(y: ArrayLike, low: int, high: int, what: str) -> Symbols:
    values = np.asarray(y)
    if values.ndim != 1 or values.dtype.kind not in "iufb":
        raise DataError(f"{what}: expected (n,) numbers, got {values.dtype} of shape {values.shape}")
    if values.size and not ((values == np.rint(values)).all() and low <= values.min() <= values.max() <= high):
        raise DataError(f"{what}: expected whole numbers from {low} to {high}, got {values.min()} to {values.max()}")
    return values.astype(np.int32)


def _of_own_symbol(likelihood: Likelihood, predictions: ArrayLike, y: ArrayLike) -> Array:
    symbols = likelihood.to_symbols(y)[:, None]
    if symbols.shape[0] != np.shape(predictions)[0]:
        raise DataError(f"expected a prediction for each of {symbols.shape[0]} targets, got {np.shape(predictions)[0]}")
    return likelihood.log_mass(predictions, symbols, symbols)[:, 0]


@dataclass(frozen=True)
class Bernoulli:
    """Two classes, 0 and 1; predictions are (n,) logits of class 1.

    Examples
    --------
    >>> Bernoulli().log_prob([0.0, 2.0], [1, 1]).round(4).tolist()
    [-0.6931, -0.1269]
    """

    @property
    def span(self) -> tuple[int, int]:
        """Both classes."""
        return (0, 1)

    @property
    def resolution(self) -> float:
        """2^-12 nats."""
        return _RESOLUTION

    def log_prob(self, predictions: ArrayLike, y: ArrayLike) -> Array:
        """Ln of the logistic function of +-logit."""
        return _of_own_symbol(self, predictions, y)

    def log_mass(self, predictions: ArrayLike, first: ArrayLike, last: ArrayLike) -> Array:
        """Runs of classes; a run of both has mass 1."""
        logits = _rows(predictions, "Bernoulli")
        low, high = _columns(first), _columns(last)
        return np.where(low < high, 0.0, special.log_expit(np.where(low == 1, logits, -logits)))

    def to_symbols(self, y: ArrayLike) -> Symbols:
        """Class indices, checked."""
        return _whole_numbers(y, 0, 1, "Bernoulli targets")

    def from_symbols(self, symbols: ArrayLike) -> NDArray[Any]:
        """Class indices."""
        return np.asarray(symbols, np.int64)

    def fit(self, predictions: ArrayLike, y: ArrayLike) -> Self:
        """Nothing to fit."""
        return self


@dataclass(frozen=True)
class Categorical:
    """``classes`` classes; predictions are (n, classes) logits. Where it is open, their columns say how many."""

    classes: int | None = None

    def __post_init__(self) -> None:
        if self.classes is not None and not 2 <= self.classes <= 2**16:
            raise DataError(f"Categorical: expected 2 to 65536 classes, got {self.classes}")

    @property
    def count(self) -> int:
        """Number of classes; DataError while it is open."""
        if self.classes is None:
            raise DataError("Categorical: the number of classes is open; fit it to predictions first, or give it")
        return self.classes

    @property
    def span(self) -> tuple[int, int] | None:
        """All classes, once their number is known."""
        return None if self.classes is None else (0, self.classes - 1)

    @property
    def resolution(self) -> float:
        """2^-12 nats."""
        return _RESOLUTION

    def log_prob(self, predictions: ArrayLike, y: ArrayLike) -> Array:
        """Ln softmax at the class."""
        return _of_own_symbol(self, predictions, y)

    def log_mass(self, predictions: ArrayLike, first: ArrayLike, last: ArrayLike) -> Array:
        """Runs of classes, by cumulative sums of the softmax where they are longer than one."""
        logits, count = np.asarray(predictions, np.float64), self.count
        if logits.ndim != 2 or logits.shape[1] != count or not np.isfinite(logits).all():
            raise DataError(f"Categorical: expected finite logits (n, {count}), got shape {logits.shape}")
        log_p = special.log_softmax(logits, axis=1)
        shape = (logits.shape[0], _columns(first).shape[1])
        low, high = np.broadcast_to(_columns(first), shape), np.broadcast_to(_columns(last), shape)
        single = np.take_along_axis(log_p, low, axis=1)
        if (low == high).all():
            return single
        cumulative = np.concatenate([np.zeros((shape[0], 1)), np.cumsum(np.exp(log_p), axis=1)], axis=1)
        run = np.take_along_axis(cumulative, high + 1, 1) - np.take_along_axis(cumulative, low, 1)
        with np.errstate(divide="ignore"):
            return np.where(low == high, single, np.log(run))

    def to_symbols(self, y: ArrayLike) -> Symbols:
        """Class indices, checked."""
        return _whole_numbers(y, 0, self.count - 1, "Categorical targets")

    def from_symbols(self, symbols: ArrayLike) -> NDArray[Any]:
        """Class indices."""
        return np.asarray(symbols, np.int64)

    def fit(self, predictions: ArrayLike, y: ArrayLike) -> Self:
        """As many classes as predictions have columns, if that is open."""
        if self.classes is not None:
            return self
        shape = np.shape(predictions)
        if len(shape) != 2:
            raise DataError(f"Categorical: expected a column of logits for each class, got shape {shape}")
        return replace(self, classes=shape[1])


@dataclass(frozen=True)
class Gaussian:
    """Real targets stated to ``precision`` (1.0: whole units), normal about (n,) predicted means.

    A target is the cell of width ``precision`` about it; ``scale`` is the noise's standard deviation, open until
    fitted.
    """

    precision: float = 1.0
    scale: float | None = None

    def __post_init__(self) -> None:
        for name in ("precision", "scale"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < math.inf:
                raise DataError(f"Gaussian likelihood: expected {name} > 0, got {value}")

    @property
    def span(self) -> None:
        """As the data have it."""
        return None

    @property
    def resolution(self) -> float:
        """2^-12 of the scale's power of two."""
        return math.ldexp(_RESOLUTION, math.frexp(self.scale or 1.0)[1])

    def log_prob(self, predictions: ArrayLike, y: ArrayLike) -> Array:
        """Ln mass of the target's cell."""
        return _of_own_symbol(self, predictions, y)

    def log_mass(self, predictions: ArrayLike, first: ArrayLike, last: ArrayLike) -> Array:
        """Runs of cells."""
        if self.scale is None:
            raise DataError("Gaussian likelihood: its scale is open; fit it to data first, or give it")
        means = _rows(predictions, "Gaussian likelihood")
        lower = (_columns(first) - 0.5) * self.precision
        upper = (_columns(last) + 0.5) * self.precision
        return masses.gaussian_mass((lower - means) / self.scale, (upper - means) / self.scale)

    def to_symbols(self, y: ArrayLike) -> Symbols:
        """Multiples of the precision, checked to be so within 1e-6 of it."""
        values = np.asarray(y)
        if values.ndim != 1 or values.dtype.kind not in "iufb" or not np.isfinite(values.astype(float)).all():
            raise DataError(f"Gaussian targets: expected (n,) finite numbers, got {values.dtype}, shape {values.shape}")
        steps = values.astype(np.float64) / self.precision
        if steps.size and (np.abs(steps - np.rint(steps)).max() > 1e-6 or np.abs(steps).max() >= 2**31):
            raise DataError(
                f"Gaussian targets: expected multiples of the precision {self.precision:g} below 2^31 of it; "
                "round the targets, or state another precision"
            )
        return np.rint(steps).astype(np.int32)

    def from_symbols(self, symbols: ArrayLike) -> NDArray[Any]:
        """Multiples of the precision."""
        return np.asarray(symbols, np.float64) * self.precision

    def fit(self, predictions: ArrayLike, y: ArrayLike) -> Self:
        """Root mean square residual (plus the cell's own spread), 8 significant bits."""
        if self.scale is not None:
            return self
        residual = self.to_symbols(y) * self.precision - np.asarray(predictions, np.float64)
        variance = float(np.mean(residual**2)) if residual.size else 0.0
        scale = math.sqrt(variance + self.precision**2 / 12.0)
        mantissa, exponent = math.frexp(scale)
        return replace(self, scale=math.ldexp(round(mantissa * 256), exponent - 8))


@dataclass(frozen=True)
class Poisson:
    """Counts; predictions are (n,) log rates."""

    @property
    def span(self) -> None:
        """As the data have it."""
        return None

    @property
    def resolution(self) -> float:
        """2^-12 nats."""
        return _RESOLUTION

    def log_prob(self, predictions: ArrayLike, y: ArrayLike) -> Array:
        """Ln probability of the count."""
        return _of_own_symbol(self, predictions, y)

    def log_mass(self, predictions: ArrayLike, first: ArrayLike, last: ArrayLike) -> Array:
        """Runs of counts, by the incomplete gamma function where they are longer than one."""
        log_rate = _rows(predictions, "Poisson")
        if log_rate.size and log_rate.max() > 30.0:
            raise DataError(f"Poisson: expected log rates of at most 30, got {log_rate.max():.3g}")
        rate, low, high = np.exp(log_rate), _columns(first), _columns(last)
        single = low * log_rate - rate - special.gammaln(low + 1.0)
        if (low == high).all():
            return single
        below = np.where(low > 0, special.gammaincc(np.maximum(low, 1), rate), 0.0)
        with np.errstate(divide="ignore"):
            run = np.log(np.maximum(special.gammaincc(high + 1.0, rate) - below, 0.0))
        return np.where(low == high, single, np.maximum(run, single))

    def to_symbols(self, y: ArrayLike) -> Symbols:
        """Counts, checked."""
        return _whole_numbers(y, 0, 2**31 - 1, "Poisson targets")

    def from_symbols(self, symbols: ArrayLike) -> NDArray[Any]:
        """Counts."""
        return np.asarray(symbols, np.int64)

    def fit(self, predictions: ArrayLike, y: ArrayLike) -> Self:
        """Nothing to fit."""
        return self
