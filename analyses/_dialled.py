"""Linear models of normal inputs whose correlation is dialled and whose true weights are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize
from sklearn.linear_model import lars_path

from analyses import _rows
from analyses._balance import participation
from mdl.length import LN2
from mdl.masses import Array

INPUTS = 10
EXAMPLES = 40
TRUTHS = ("equal", "one")
#: Where paths are compared: how far the training error has gone from that of least squares to that of no inputs.
SHARES = (0.0, 0.02, 0.1, 0.4)
_LOG_ALPHAS = (-30.0, 30.0)
_DIGITS = 4


@dataclass(frozen=True)
class Draw:
    """One training set: the correlation of any two inputs, and whether all inputs have the same weight or one has all.

    The signal has the variance of the noise, which is one.
    """

    correlation: float
    truth: str
    seed: int

    @property
    def covariance(self) -> Array:
        """Of the inputs, (d, d)."""
        return (1.0 - self.correlation) * np.eye(INPUTS) + self.correlation

    @property
    def weights(self) -> Array:
        """The true ones, (d,)."""
        direction = np.ones(INPUTS) if self.truth == "equal" else np.eye(INPUTS)[0]
        return direction / np.sqrt(direction @ self.covariance @ direction)

    def data(self) -> tuple[Array, Array]:
        """Inputs (n, d) and targets (n,)."""
        rng = np.random.default_rng(self.seed)
        X = rng.standard_normal((EXAMPLES, INPUTS)) @ np.linalg.cholesky(self.covariance).T
        return X, X @ self.weights + rng.standard_normal(EXAMPLES)


def rows(draw: Draw) -> list[dict[str, Any]]:
    """Ridge and the lasso at the same training errors; a row each, and the strength of neither is chosen."""
    X, y = draw.data()
    least = float(np.square(y - X @ np.linalg.lstsq(X, y, rcond=None)[0]).sum())
    found = []
    for share in SHARES:
        level = least + share * (float(y @ y) - least)
        for penalty, weights in {"L2": ridge_at(X, y, level), "L1": lasso_at(X, y, level)}.items():
            about = {
                "part": "dial", "correlation": draw.correlation, "truth": draw.truth, "seed": draw.seed,
                "penalty": penalty if share else "none", "share": share,
            }  # fmt: skip
            if share or penalty == "L2":
                found.append(_rows.kept({**about, **measured(draw, weights)}, _DIGITS))
    return found


def measured(draw: Draw, weights: Array) -> dict[str, float]:
    """Balance, and in closed form what the population loses: by the weights, and by the strongest input's absence."""
    sizes, left = np.abs(weights), weights.copy()
    left[sizes.argmax()] = 0.0
    risk = excess_bits(draw, weights)
    return {
        "pr": float(participation(weights)), "excess_bits": risk, "lost_bits": excess_bits(draw, left) - risk,
    }  # fmt: skip


def excess_bits(draw: Draw, weights: Array) -> float:
    """Bits a new target takes more than under the true weights, the noise known: (w - w*)ᵀΣ(w - w*) / 2 nats."""
    off = weights - draw.weights
    return 0.5 * float(off @ draw.covariance @ off) / LN2


def ridge(X: Array, y: Array, alpha: float) -> Array:
    """The least of |y - Xw|² + alpha |w|², (d,)."""
    return np.asarray(np.linalg.solve(X.T @ X + alpha * np.eye(X.shape[1]), X.T @ y))


def ridge_at(X: Array, y: Array, level: float) -> Array:
    """Ridge at the strength where the training error is ``level``; least squares where none has so small an error."""
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    along = U.T @ y

    def above(log_alpha: float) -> float:
        left = np.exp(log_alpha) / (s**2 + np.exp(log_alpha))
        return float(y @ y) - float((along**2 * (1.0 - left**2)).sum()) - level

    log_alpha = (
        float(optimize.brentq(above, _LOG_ALPHAS[0], _LOG_ALPHAS[1])) if above(_LOG_ALPHAS[0]) < 0.0 else -np.inf
    )
    return np.asarray(Vt.T @ (along * s / (s**2 + np.exp(log_alpha))))


def lasso_at(X: Array, y: Array, level: float) -> Array:
    """The lasso where the training error is ``level``: on a stretch between knots of its path it is a parabola."""
    _, _, path = lars_path(X, y, method="lasso")
    errors = np.square(y[:, None] - X @ path).sum(axis=0)
    after = int(np.argmax(errors <= level)) if (errors <= level).any() else path.shape[1] - 1
    before = path[:, after - 1]
    step = path[:, after] - before
    residual, moved = y - X @ before, X @ step
    a, b, c = float(moved @ moved), -2.0 * float(residual @ moved), float(residual @ residual) - level
    root = (-b - np.sqrt(max(b * b - 4.0 * a * c, 0.0))) / (2.0 * a)
    return before + float(np.clip(root, 0.0, 1.0)) * step
