"""How a prior's open parameters are chosen: the cells it is fitted to, and the search for the shortest code."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from mdl.errors import PriorError
from mdl.masses import Array


class Density(Protocol):
    """What a fit asks of a prior."""

    def logpdf(self, w: ArrayLike) -> Array:
        """Ln density, nats."""
        ...

    def log_mass(self, lower: ArrayLike, upper: ArrayLike) -> Array:
        """Ln mass between two edges, nats."""
        ...


P = TypeVar("P", bound=Density)

_REACH = 40.0  # nats either way of the start that a parameter may move: e^40 is beyond any sense, and short of overflow


@dataclass(frozen=True)
class Cells:
    """Distinct values, the widths of their cells, and how often each occurs: what a fit looks at."""

    w: Array
    width: Array
    counts: Array

    @classmethod
    def of(cls, w: ArrayLike, counts: ArrayLike | None, width: ArrayLike) -> Cells:
        """Checked and flattened; values that never occur are dropped."""
        values = np.asarray(w, float).ravel()
        widths = np.broadcast_to(np.asarray(width, float), np.shape(w)).ravel()
        times = np.ones_like(values) if counts is None else np.asarray(counts, float).ravel()
        if times.shape != values.shape:
            raise PriorError(f"counts: expected one for each of {values.size} values, got {times.size}")
        if not (np.isfinite(values).all() and np.isfinite(widths).all()):
            raise PriorError("fit: expected finite weights and cell widths")
        kept = times > 0
        return cls(values[kept], widths[kept], times[kept])

    def nats(self, prior: Density) -> float:
        """Code length of all values under ``prior``; infinite where it gives one of them no mass."""
        if self.width.any():
            terms = prior.log_mass(self.w - 0.5 * self.width, self.w + 0.5 * self.width)
        else:
            terms = prior.logpdf(self.w)
        total = -float(self.counts @ terms)
        return math.inf if math.isnan(total) else total

    def spread(self, loc: float) -> float:
        """A positive size of the typical deviation from ``loc``: where the search for a scale starts."""
        total = self.counts.sum()
        deviation = float(self.counts @ np.abs(self.w - loc)) / total if total else 0.0
        smallest = 0.05 * float(self.width.max(initial=0.0)) + 1e-9 * float(np.abs(self.w).max(initial=0.0))
        return max(deviation, smallest) or 1.0


def minimise(make: Callable[[dict[str, float]], P], start: dict[str, float], cells: Cells) -> P:
    """The prior with the shortest code among positive parameters, searched on a log scale from ``start``."""
    names = list(start)
    origin = np.log(np.array(list(start.values())))

    def prior(logs: Array) -> P:
        return make(dict(zip(names, np.exp(logs).tolist(), strict=True)))

    def nats(logs: Array) -> float:
        if np.abs(logs - origin).max() > _REACH:
            return math.inf
        try:
            return cells.nats(prior(logs))
        except PriorError:  # outside the family's range
            return math.inf

    if not names or not cells.counts.any():
        return prior(origin)
    if len(names) == 1:
        return prior(np.array([_least(lambda x: nats(np.array([x])), origin[0])]))
    simplex = np.vstack([origin, origin + 0.5 * np.eye(len(names))])
    options = {"xatol": 1e-1, "fatol": 1e-2, "maxfev": 120 * len(names), "initial_simplex": simplex}
    with np.errstate(invalid="ignore"):  # the simplex may compare infinities
        best = optimize.minimize(nats, origin, method="Nelder-Mead", options=options)
    return prior(best.x)


def _least(nats: Callable[[float], float], start: float) -> float:
    """Where one parameter, as a logarithm, is best: within 3 of the start, and on from each end that gains a nat."""
    centre, before = start, math.inf
    while True:
        found = optimize.minimize_scalar(nats, bounds=(centre - 3, centre + 3), options={"xatol": 1e-4})
        if abs(found.x - centre) < 2.99 or found.fun > before - 1.0:
            return float(found.x)
        centre, before = float(found.x), float(found.fun)
