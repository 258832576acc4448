"""Expectation propagation: a Gaussian factor, a *site*, for the likelihood of each example of a linear model.

Sites and a Gaussian prior make a Gaussian posterior that has nearly the moments of the true one, and an estimate of the
evidence: of the common approximations the closest where there are many weights and classes are nearly separated. Any
number of coordinates may be given; then both are conditional on them.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import linalg, special

from mdl.curvature.links import NODES, SHARES, Link, ScalarLink
from mdl.curvature.objective import CHUNK, outer_sum
from mdl.masses import Array

_DRAWS = 128  # an example, where there are several predictions; in pairs of opposite sign
_AT_ONCE = 1 << 17  # doubles of draws: they stay near the processor
_DAMPING = 0.5  # of all sites' steps, which are made at once
_MOST = 0.8  # of a marginal's precision that one step may take for a site


class Sites(NamedTuple):
    """exp(shift·u - ½ u·precision u) of each example's predictions u (c,)."""

    precision: Array  # (n, c, c)
    shift: Array  # (n, c)


class Conditional(NamedTuple):
    """What sites and prior say of the coordinates that follow the given ones.

    ``slope`` and ``curvature`` are those of the sites' -ln in all coordinates, at ``z``.
    """

    sites: Sites
    z: Array  # (d,) the given coordinates, then the mean of the others
    covariance: Array  # of the others
    slope: Array  # (d,)
    curvature: Array  # (d, d)
    nats: float  # estimate of -ln p(y | given coordinates)


@dataclass(frozen=True, eq=False)
class Propagation:
    """-ln p(y | z) of examples whose predictions are offset + A Z C', with independent z ~ N(0, 1/precision).

    Parameters
    ----------
    inputs
        A, (n, r).
    contrasts
        C, (K, c), orthonormal columns; Z (r, c), row-major, is z (r c,).
    offset
        (K,).
    targets
        y, (n,).
    link
        -ln p(y | predictions).
    precision
        Of the prior.

    Examples
    --------
    >>> from mdl import likelihoods
    >>> from mdl.curvature import link
    >>> fair = link(likelihoods.Bernoulli())
    >>> one = Propagation(np.ones((1, 1)), np.eye(1), np.zeros(1), np.ones(1), fair, precision=1.0)
    >>> round(one.settled(one.about(np.zeros(1)), np.zeros(1)).nats / math.log(2.0), 6)
    1.0

    References
    ----------
    T. Minka, Expectation propagation for approximate Bayesian inference, UAI 2001.
    M. Kuss & C. Rasmussen, Assessing approximate inference for binary Gaussian process classification, JMLR 6 (2005).
    E. Ionides, Truncated importance sampling, J. Comp. Graph. Stat. 17 (2008), for the weights of draws.
    """

    inputs: Array
    contrasts: Array
    offset: Array
    targets: Array
    link: Link
    precision: float

    def about(self, z: Array) -> Sites:
        """Laplace's sites: second order about a point (d,)."""
        u = self._along(z)
        f = u @ self.contrasts.T + self.offset
        root = self.contrasts.T @ self.link.root(f)
        precision = root @ root.swapaxes(1, 2)
        return Sites(precision, _times(precision, u) - self.link.slope(f, self.targets) @ self.contrasts)

    def settled(self, sites: Sites, z: Array, first: int = 0, *, steps: int = 32, gain: float = 0.1) -> Conditional:
        """The posterior given z[:first] after at most so many steps from these sites.

        They end where the evidence changes by less than ``gain`` nats; ``nats`` is that before the last step. Where a
        step leaves what numbers can say, the sites before it stand for the likelihood, in ``nats`` too.
        """
        if first == len(z):
            f = self._along(z) @ self.contrasts.T + self.offset
            exact = float(self.link.nats(f, self.targets).sum())
            return self._given(self.about(z), z, first)._replace(nats=exact)
        before = math.inf
        for _ in range(steps):
            here = self._given(sites, z, first)
            stepped = self._stepped(here, first)
            if stepped is None:
                return here
            sites, nats = stepped
            if abs(nats - before) < gain:
                break
            before = nats
        return self._given(sites, z, first)._replace(nats=nats)

    def _along(self, z: Array) -> Array:
        return np.asarray(self.inputs @ z.reshape(-1, self.contrasts.shape[1]))

    def _given(self, sites: Sites, z: Array, first: int) -> Conditional:
        """``nats`` are those of the sites in place of the likelihood."""
        told, left = z.copy(), len(z) - first
        told[first:] = 0.0
        u = self._along(told)
        curvature = outer_sum(self.inputs, sites.precision)
        root = linalg.cholesky(curvature[first:, first:] + self.precision * np.eye(left), lower=True)
        covariance = linalg.cho_solve((root, True), np.eye(left)) if left else root
        pull = (self.inputs.T @ (sites.shift - _times(sites.precision, u))).ravel()[first:]
        told[first:] = covariance @ pull
        log_det = 2.0 * float(np.log(np.diag(root)).sum()) - left * math.log(self.precision)
        own = float((u * (sites.shift - 0.5 * _times(sites.precision, u))).sum())
        nats = 0.5 * log_det - 0.5 * float(pull @ told[first:]) - own
        slope = (self.inputs.T @ (_times(sites.precision, self._along(told)) - sites.shift)).ravel()
        return Conditional(sites, told, 0.5 * (covariance + covariance.T), slope, curvature, nats)

    def _stepped(self, here: Conditional, first: int) -> tuple[Sites, float] | None:
        """The sites after a step, and the evidence before it; None where numbers cannot say them."""
        try:
            with np.errstate(all="ignore"):
                sites, nats = self._step(here, first)
        except np.linalg.LinAlgError:
            return None
        finite = np.isfinite(sites.precision).all() and np.isfinite(sites.shift).all() and math.isfinite(nats)
        return (sites, nats) if finite else None

    def _step(self, here: Conditional, first: int) -> tuple[Sites, float]:
        """All sites half way to where each gives its marginal the moments that its likelihood gives; the evidence.

        Of r = ln p - ln site, under the marginal N(m, V) of its predictions tilted by exp(r): with the mean slope g and
        B = E[-r''] - Var[r'], the moments are m + V g and V - V B V, so that D = (I - B V)⁻¹ B is to be added to the
        precision and D (m + V g) + g to the shift.
        """
        c = self.contrasts.shape[1]
        covariance = np.zeros((len(here.z),) * 2)
        covariance[first:, first:] = here.covariance
        m, V = self._along(here.z), predicted(self.inputs, covariance, c)
        root = roots(V)
        log_z, g, B = self._tilted(here.sites, m, root)
        most = np.linalg.eigvalsh(root.swapaxes(1, 2) @ B @ root)[:, -1]
        B = B * np.minimum(1.0, _MOST / np.maximum(most, 1e-300))[:, None, None]
        D = np.linalg.solve(np.eye(c) - B @ V, B)
        values, vectors = np.linalg.eigh(here.sites.precision + _DAMPING * 0.5 * (D + D.swapaxes(1, 2)))
        precision = (vectors * np.maximum(values, 0.0)[:, None, :]) @ vectors.swapaxes(1, 2)
        shift = here.sites.shift + _DAMPING * (_times(D, m + _times(V, g)) + g)
        return Sites(precision, shift), here.nats - log_z

    def _tilted(self, sites: Sites, m: Array, root: Array) -> tuple[float, Array, Array]:
        """Σ ln E exp(r), and g (n, c) and B (n, c, c) of every example, by draws from the marginals."""
        log_z, g, B = 0.0, np.empty_like(m), np.empty_like(root)
        rows_at_once = max(1, _AT_ONCE // (len(self._log_shares) * len(self.contrasts)))
        for start in range(0, len(m), rows_at_once):
            rows = slice(start, min(start + rows_at_once, len(m)))
            u = m[rows] + np.einsum("nab,knb->kna", root[rows], self._noise(rows))
            here = Sites(sites.precision[rows], sites.shift[rows])
            chunk, g[rows], B[rows] = self._moments(here, u, self.targets[rows])
            log_z += chunk
        return log_z, g, B

    def _moments(self, sites: Sites, u: Array, y: Array) -> tuple[float, Array, Array]:
        """The same of draws u (k, n, c)."""
        k, n, _ = u.shape
        f = u @ self.contrasts.T + self.offset
        flat, tiled = f.reshape(k * n, -1), np.tile(y, k)
        bent = np.matmul(sites.precision, u[..., None])[..., 0]
        log_ratio = -self.link.nats(flat, tiled).reshape(k, n) - (u * (sites.shift - 0.5 * bent)).sum(axis=2)
        log_weight = log_ratio + self._log_shares
        log_mean = special.logsumexp(log_weight, axis=0)
        weight = np.exp(log_weight - log_mean)
        if not isinstance(self.link, ScalarLink):
            weight = np.minimum(weight, k**-0.5)
            weight /= weight.sum(axis=0)
        r = bent - sites.shift - (self.link.slope(flat, tiled) @ self.contrasts).reshape(u.shape)
        g = (weight[:, :, None] * r).sum(axis=0)
        off = (r - g).transpose(1, 2, 0)
        variance = (off * weight.T[:, None, :]) @ off.swapaxes(1, 2)
        bend = self.contrasts.T @ self.link.mean_curvature(f, weight) @ self.contrasts
        return float(log_mean.sum()), g, bend - sites.precision - variance

    def _noise(self, rows: slice) -> Array:
        """Standard normals (k, rows or 1, c): the same at every step, so that steps settle."""
        if isinstance(self.link, ScalarLink):
            return NODES[:, None, None]
        kept = self._drawn.shape[1]
        return self._drawn[:, np.arange(rows.start, rows.stop) % kept]

    @functools.cached_property
    def _drawn(self) -> Array:
        rows = min(len(self.inputs), max(1, CHUNK // (_DRAWS * len(self.contrasts))))
        half = np.random.default_rng(0).standard_normal((_DRAWS // 2, rows, self.contrasts.shape[1]))
        return np.concatenate([half, -half])

    @functools.cached_property
    def _log_shares(self) -> Array:
        """Of the nodes, (k, 1)."""
        if isinstance(self.link, ScalarLink):
            return np.log(SHARES)[:, None]
        return np.full((_DRAWS, 1), -math.log(_DRAWS))


def _times(matrices: Array, vectors: Array) -> Array:
    """(n, c, c) by (n, c)."""
    return np.asarray((matrices @ vectors[:, :, None])[:, :, 0])


def roots(V: Array) -> Array:
    """S with S Sᵀ = V for each of (n, K, K) covariances, which rounding may have left without a Cholesky factor."""
    eye = np.eye(V.shape[1])
    try:
        return np.linalg.cholesky(V + 1e-12 * np.einsum("naa->n", V)[:, None, None] * eye + 1e-30 * eye)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(V)
        return vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]


def predicted(X: Array, covariance: Array, outputs: int) -> Array:
    """Covariance of each example's predictions, (n, outputs, outputs)."""
    features = X.shape[1]
    blocks = covariance.reshape(features, outputs, features, outputs)
    columns = [
        np.einsum("ng,ngb->nb", X, (X @ blocks[:, a].reshape(features, -1)).reshape(len(X), features, outputs))
        for a in range(outputs)
    ]
    V = np.stack(columns, axis=1)
    return 0.5 * (V + V.swapaxes(1, 2))
