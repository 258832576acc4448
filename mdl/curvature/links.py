"""-ln p(y | f) as a function of the predictions f: its slope and its curvature, for canonical likelihoods."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from scipy import special

from mdl import likelihoods
from mdl.errors import DataError, MdlError
from mdl.likelihoods import Likelihood
from mdl.masses import Array


class Link(Protocol):
    """-ln p(y | f) of targets (n,) as a function of predictions (n, outputs), canonical: its Hessian is free of y."""

    def nats(self, f: Array, y: Array) -> Array:
        """-ln p, (n,)."""
        ...

    def slope(self, f: Array, y: Array) -> Array:
        """Derivative in f, (n, outputs)."""
        ...

    def root(self, f: Array) -> Array:
        """S with S Sᵀ the Hessian in f, (n, outputs, outputs)."""
        ...

    def mean_curvature(self, f: Array, weights: Array) -> Array:
        """The Hessian's mean over draws f (k, n, outputs) with weights (k, n), (n, outputs, outputs)."""
        ...


@runtime_checkable
class ScalarLink(Link, Protocol):
    """A link of one output, whose expectation under a Gaussian is known."""

    def expected(self, m: Array, v: Array, y: Array) -> tuple[Array, Array, Array]:
        """E[-ln p(y | f)] for f ~ N(m, v), and its derivatives in m and in v, each (n,)."""
        ...


# A rule for E over N(0, 1): equal steps are spectrally accurate for the logistic function, whose nearest poles lie
# π/√v off the line: to 1e-10 at a variance of 100, to 1e-6 at 300.
NODES = np.linspace(-9.0, 9.0, 225)
SHARES = np.exp(-0.5 * NODES**2) / np.exp(-0.5 * NODES**2).sum()


class _OneOutput:
    """What links of one output share."""

    def root(self, f: Array) -> Array:
        raise NotImplementedError

    def mean_curvature(self, f: Array, weights: Array) -> Array:
        roots = self.root(f.reshape(-1, 1)).reshape(weights.shape)
        return np.asarray((weights * roots**2).sum(axis=0))[:, None, None]


@dataclass(frozen=True)
class _Logit(_OneOutput):
    """Bernoulli."""

    def nats(self, f: Array, y: Array) -> Array:
        return np.logaddexp(0.0, np.where(y > 0, -f[:, 0], f[:, 0]))

    def slope(self, f: Array, y: Array) -> Array:
        return special.expit(f) - y[:, None]

    def root(self, f: Array) -> Array:
        return np.sqrt(special.expit(f) * special.expit(-f))[:, :, None]

    def expected(self, m: Array, v: Array, y: Array) -> tuple[Array, Array, Array]:
        f = m[:, None] + np.sqrt(v)[:, None] * NODES
        p, q = special.expit(f), special.expit(-f)
        return np.logaddexp(0.0, f) @ SHARES - y * m, p @ SHARES - y, 0.5 * (p * q) @ SHARES


@dataclass(frozen=True)
class _Softmax:
    """Categorical."""

    def nats(self, f: Array, y: Array) -> Array:
        return special.logsumexp(f, axis=1) - f[np.arange(len(f)), y.astype(np.int64)]

    def slope(self, f: Array, y: Array) -> Array:
        slope = special.softmax(f, axis=1)
        slope[np.arange(len(f)), y.astype(np.int64)] -= 1.0
        return slope

    def root(self, f: Array) -> Array:
        p = special.softmax(f, axis=1)
        r = np.sqrt(p)  # diag(p) - p pᵀ = diag(r) (I - r rᵀ) diag(r), and I - r rᵀ is its own square
        return r[:, :, None] * (np.eye(p.shape[1]) - r[:, :, None] * r[:, None, :])

    def mean_curvature(self, f: Array, weights: Array) -> Array:
        p = special.softmax(f, axis=2).transpose(1, 0, 2)
        weighted = weights.T[:, :, None] * p
        H = -(weighted.swapaxes(1, 2) @ p)
        H[:, np.arange(p.shape[2]), np.arange(p.shape[2])] += weighted.sum(axis=1)
        return H


@dataclass(frozen=True)
class _Identity(_OneOutput):
    """Gaussian: the density at the target times the cell's width, which is the cell's mass up to O(width²/scale²)."""

    precision: float
    scale: float

    def nats(self, f: Array, y: Array) -> Array:
        z = (y - f[:, 0]) / self.scale
        return 0.5 * z**2 + math.log(self.scale * math.sqrt(2.0 * math.pi) / self.precision)

    def slope(self, f: Array, y: Array) -> Array:
        return (f - y[:, None]) / self.scale**2

    def root(self, f: Array) -> Array:
        return np.full((*f.shape, 1), 1.0 / self.scale)

    def expected(self, m: Array, v: Array, y: Array) -> tuple[Array, Array, Array]:
        bend = np.full(m.shape, 0.5 / self.scale**2)
        return self.nats(m[:, None], y) + bend * v, (m - y) / self.scale**2, bend


@dataclass(frozen=True)
class _Log(_OneOutput):
    """Poisson."""

    def nats(self, f: Array, y: Array) -> Array:
        return _exp(f[:, 0]) - y * f[:, 0] + special.gammaln(y + 1.0)

    def slope(self, f: Array, y: Array) -> Array:
        return _exp(f) - y[:, None]

    def root(self, f: Array) -> Array:
        return _exp(0.5 * f)[:, :, None]

    def expected(self, m: Array, v: Array, y: Array) -> tuple[Array, Array, Array]:
        rate = _exp(m + 0.5 * v)
        return rate - y * m + special.gammaln(y + 1.0), rate - y, 0.5 * rate


def _exp(x: Array) -> Array:
    return np.exp(np.minimum(x, 300.0))  # a search that oversteps is turned back by a large number, not by an overflow


def link(likelihood: Likelihood) -> Link:
    """The likelihood as a function of its predictions; MdlError for one that is not canonical, or open."""
    if isinstance(likelihood, likelihoods.Gaussian):
        if likelihood.scale is None or likelihood.scale < 0.5 * likelihood.precision:
            raise DataError(
                f"likelihood: expected a noise scale of at least half the precision {likelihood.precision:g}, so that "
                f"the density stands for a cell's mass, got {likelihood.scale}; state the targets more finely"
            )
        return _Identity(likelihood.precision, likelihood.scale)
    known: dict[type, Link] = {
        likelihoods.Bernoulli: _Logit(), likelihoods.Categorical: _Softmax(), likelihoods.Poisson: _Log()
    }  # fmt: skip
    if type(likelihood) not in known:
        raise MdlError(
            "likelihood: expected Bernoulli, Categorical, Gaussian or Poisson, whose predictions are canonical, "
            f"got {type(likelihood).__name__}"
        )
    return known[type(likelihood)]
