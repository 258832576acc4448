"""Where the data and a Gaussian prior's penalty together are shortest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, optimize

from mdl.curvature.objective import MAX_DENSE, Objective
from mdl.errors import MdlError
from mdl.masses import Array

_NEWTON_NATS = 1e-10  # stop where the next step would shorten the data by less than this
_GRADIENT = 1e-6  # stop where no entry of the gradient exceeds this for each example


def mode(objective: Objective, precision: ArrayLike, loc: ArrayLike = 0.0, start: ArrayLike | None = None) -> Array:
    """The w that minimises ``nats(w) + ½ Σ precision (w - loc)²``, (d,).

    Newton's method for a linear model, until the next step would gain less than 1e-10 nats; L-BFGS otherwise, until no
    entry of the gradient exceeds 1e-6 an example, at a minimum near ``start``.

    Parameters
    ----------
    objective
        The data's length.
    precision
        Of a Gaussian prior, 1/variance, >= 0, one or one a weight.
    loc
        The prior's means, one or one a weight.
    start
        (d,); by default the model's own weights.

    Raises
    ------
    MdlError
        If the search ends elsewhere: some combination of weights moves neither data nor penalty (precision 0), or the
        minimum lies on a kink of relu.

    Examples
    --------
    >>> from mdl import likelihoods
    >>> from mdl.models import FeedForward
    >>> model = FeedForward({"layers.0.weight": [[0.0]], "layers.0.bias": [0.0]}, likelihoods.Gaussian(0.5, scale=1.0))
    >>> mode(Objective(model, [[1.0], [2.0]], [1.0, 2.0]), precision=5.0)  # xᵀy / (xᵀx + 5)
    array([0.5])
    """
    strength = np.broadcast_to(np.asarray(precision, np.float64), (objective.size,))
    centre = np.broadcast_to(np.asarray(loc, np.float64), (objective.size,))
    if not (np.isfinite(strength).all() and (strength >= 0.0).all()):
        raise MdlError(f"precision: expected finite numbers >= 0, got {precision!r}")
    w = objective.vector if start is None else np.array(start, np.float64)

    def value(at: Array) -> float:
        return objective.nats(at) + 0.5 * float(strength @ (at - centre) ** 2)

    def slope(at: Array) -> Array:
        return objective.gradient(at) + strength * (at - centre)

    if not objective.size:
        return w
    if objective.linear and objective.size <= MAX_DENSE:
        return _newton(value, slope, lambda at: objective.ggn(at) + np.diag(strength), w)
    return _lbfgs(value, slope, w, _GRADIENT * max(1, len(objective.X)))


def _newton(
    value: Callable[[Array], float], slope: Callable[[Array], Array], hessian: Callable[[Array], Array], w: Array
) -> Array:
    """Newton's method with halved steps on a convex function."""
    here = value(w)
    for _ in range(200):
        g = slope(w)
        try:
            step = linalg.cho_solve(linalg.cho_factor(hessian(w)), g)
        except linalg.LinAlgError:
            break
        gain = 0.5 * float(g @ step)  # what the step would shorten if the function were quadratic
        if gain <= _NEWTON_NATS:
            return w - step
        size, there = 1.0, value(w - step)
        while there > here - 0.2 * size * gain and size > 1e-9:
            size *= 0.5
            there = value(w - size * step)
        w, here = w - size * step, there
    raise MdlError("mode: the data do not determine every weight; expected a precision > 0")


def _lbfgs(value: Callable[[Array], float], slope: Callable[[Array], Array], w: Array, tolerance: float) -> Array:
    options = {"maxiter": 20_000, "maxfun": 40_000, "maxcor": 30, "ftol": 0.0, "gtol": tolerance}
    largest = np.inf
    for _ in range(3):  # its line search may give up early; its memory emptied, it goes on
        w = optimize.minimize(value, w, jac=slope, method="L-BFGS-B", options=options).x
        largest = float(np.abs(slope(w)).max())
        if largest <= tolerance:
            return w
    raise MdlError(f"mode: expected a gradient of at most {tolerance:.3g} everywhere, got {largest:.3g} (a kink?)")
