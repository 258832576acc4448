"""Ridge regression at every strength from one eigendecomposition: its evidence, its weights, its degrees of freedom."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from mdl.masses import Array

# A strength below this share of the largest eigenvalue would meet the rounding errors of XᵀX: X itself is decomposed.
_SAFE = 1e-10
_NONE = np.empty((0, 0))


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Inputs and targets, centred where an intercept is free, in the basis where every strength is a sum of few terms.

    The eigendecomposition is that of XᵀX or XXᵀ, whichever is smaller. Where the weakest strength is less than 1e-10 of
    the largest eigenvalue, so that squaring X would show, it is the singular value decomposition of X.

    Examples
    --------
    >>> X, y = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]), np.array([1.0, 2.0, 0.5])
    >>> spectrum = Spectrum.of(X, y, intercept=False)
    >>> spectrum.coef(1.0).round(6).tolist()  # x_j·y / (x_j·x_j + 1)
    [0.5, 0.8]
    >>> spectrum.penalised(np.array([1.0])).round(6).tolist()  # 1 - 1/2, 4 - 16/5, 1/4
    [1.55]
    """

    squares: Array  # (r,) eigenvalues, >= 0
    along: Array  # (r,) targets along the left singular vectors
    rest: float  # what of the targets' square is orthogonal to them all
    n: int
    mean_x: Array  # (d,)
    mean_y: float
    right: Array  # (d, r) right singular vectors; or in their stead
    left: Array  # (n, r) left ones, and
    inputs: Array  # (n, d) what maps them

    @classmethod
    def of(cls, X: Array, y: ArrayLike, *, intercept: bool = True, weakest: float = math.inf) -> Spectrum:
        """Decompose.

        Parameters
        ----------
        X, y
            (n, d) and (n,), finite.
        intercept
            Whether both are centred.
        weakest
            The least strength, scikit-learn's ``Ridge(alpha=)``, that will be asked for.
        """
        targets = np.asarray(y, np.float64)
        mean_x = X.mean(axis=0) if intercept else np.zeros(X.shape[1])
        mean_y = float(targets.mean()) if intercept else 0.0
        inputs, targets = (X - mean_x if intercept else X), targets - mean_y
        squares, along, right, left = _decomposed(inputs, targets, weakest)
        rest = max(0.0, float(targets @ targets - along @ along))
        return cls(squares, along, rest, len(X), mean_x, mean_y, right, left, inputs if left.size else _NONE)

    def penalised(self, alphas: Array) -> Array:
        """Least of ‖y - Xw‖² + alpha ‖w‖² over w, (k,) for (k,) alphas."""
        a = alphas[:, None]
        return self.rest + (self.along**2 * a / (self.squares + a)).sum(axis=1)

    def terms(self, alphas: Array) -> tuple[Array, Array, Array]:
        """At (k,) alphas: ‖y - Xw‖², alpha ‖w‖² and ½ ln det(I + XᵀX/alpha), (k,) each."""
        a, energy = alphas[:, None], self.along**2
        shrunk = a / (self.squares + a)
        residual = self.rest + (energy * shrunk**2).sum(axis=1)
        penalty = (energy * shrunk * (1.0 - shrunk)).sum(axis=1)
        return residual, penalty, 0.5 * np.log1p(self.squares / a).sum(axis=1)

    def freedom(self, alphas: Array) -> Array:
        """Trace XᵀX(XᵀX + alpha I)^-1, (k,): the number of weights that the penalty leaves free."""
        return (self.squares / (self.squares + alphas[:, None])).sum(axis=1)

    def coef(self, alpha: float) -> Array:
        """Ridge's weights, (d,)."""
        return self.average(np.array([alpha]), np.ones(1))

    def average(self, alphas: Array, shares: Array) -> Array:
        """Sum of ridge's weights at (k,) alphas times (k,) shares, (d,)."""
        shrunk = self.along * (shares[:, None] / (self.squares + alphas[:, None])).sum(axis=0)
        if self.left.size:
            return self.inputs.T @ (self.left @ shrunk)
        return self.right @ (np.sqrt(self.squares) * shrunk)

    def intercept(self, coef: NDArray[np.float64]) -> float:
        """What is free beside these weights; 0 where nothing was centred."""
        return float(self.mean_y - self.mean_x @ coef)

    @functools.cached_property
    def spread(self) -> float:
        """Root mean square of the centred targets."""
        return math.sqrt((self.rest + float(self.along @ self.along)) / self.n)


def _decomposed(X: Array, y: Array, weakest: float) -> tuple[Array, Array, Array, Array]:
    """Eigenvalues, targets along the left singular vectors, and the right ones or the left ones."""
    n, d = X.shape
    if weakest < _SAFE * float(np.einsum("ij,ij->", X, X)):  # at least the largest eigenvalue
        U, singular, Vt = linalg.svd(X, full_matrices=False, check_finite=False)
        return singular**2, U.T @ y, Vt.T, _NONE
    if d > n:
        squares, left = _eigh(X @ X.T)
        return squares, left.T @ y, _NONE, left
    squares, right = _eigh(X.T @ X)
    kept = squares > np.finfo(float).eps * n * squares.max(initial=0.0)
    along = np.where(kept, right.T @ (X.T @ y) / np.sqrt(np.where(kept, squares, 1.0)), 0.0)
    return np.where(kept, squares, 0.0), along, right, _NONE


def _eigh(gram: Array) -> tuple[Array, Array]:
    """Eigenvalues, none below 0, and vectors."""
    values, vectors = linalg.eigh(gram, driver="evd", overwrite_a=True, check_finite=False)
    return np.maximum(values, 0.0), vectors
