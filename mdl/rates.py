"""Rate against error: the step that meets a target, and the curve that a choice of step moves along."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from mdl.codes.scheme import PriorLike
from mdl.codes.shortest import Shortest
from mdl.errors import QuantizationError
from mdl.lengths.two_part import Report, default_step, report
from mdl.priors import Gaussian
from mdl.quantize import Quantizer, UniformGrid
from mdl.weights import Weights, load

if TYPE_CHECKING:
    import pandas as pd

AnyPrior = PriorLike | Shortest

#: A quantizer of a given step, such as ``UniformGrid`` or ``lambda step: Trellis(step, states=64)``.
Grids = Callable[[float], Quantizer]

_CLOSE = 1e-3  # of a target, relatively
_TRIALS = 24
_OCTAVES = range(-3, 4)  # about the default step


def for_error(
    weights: Any,
    mse: float,
    prior: AnyPrior = Gaussian(),  # noqa: B008
    grid: Grids = UniformGrid,
) -> Quantizer:
    """The coarsest grid whose mean squared error is at most ``mse``, to a thousandth of it.

    Parameters
    ----------
    weights
        Anything that :func:`mdl.load` takes.
    mse
        Mean squared error over all weights of floating point, > 0.
    prior, grid
        What the weights are coded with, and quantizers by their step.

    Raises
    ------
    QuantizationError
        If no step within reach meets the target.

    Examples
    --------
    >>> import numpy as np
    >>> found = for_error({"w": np.linspace(-1, 1, 1001)}, mse=1e-4)
    >>> 0.034 < found.step < 0.036
    True
    """
    return _search(load(weights), lambda found: found.mse, mse, prior, grid, rising=True)


def for_bits(
    weights: Any,
    bits: float,
    prior: AnyPrior = Gaussian(),  # noqa: B008
    grid: Grids = UniformGrid,
) -> Quantizer:
    """The finest grid that takes at most ``bits`` a weight, header left out, to a thousandth; see :func:`for_error`.

    Examples
    --------
    >>> import numpy as np, mdl
    >>> w = {"w": np.random.default_rng(0).normal(size=5000)}
    >>> step = for_bits(w, 3.0)
    >>> 2.99 < mdl.measure(w, step=step).comparable.bits / 5000 <= 3.0
    True
    """
    return _search(load(weights), lambda found: found.bits_per_weight, bits, prior, grid, rising=False)


def curve(
    weights: Any,
    prior: AnyPrior = Gaussian(),  # noqa: B008
    grid: Grids = UniformGrid,
    steps: Iterable[float] | None = None,
) -> pd.DataFrame:
    """Bits a weight and mean squared error at every step, by default seven octaves about the default one.

    Returns
    -------
    DataFrame
        ``step``, ``bits_per_weight``, ``mse``, ``total_bits``, finest step last.

    Examples
    --------
    >>> import numpy as np
    >>> list(curve({"w": np.linspace(-1, 1, 99)}, steps=[0.5, 0.25]).columns)
    ['step', 'bits_per_weight', 'mse', 'total_bits']
    """
    import pandas as pd

    loaded = load(weights)
    chosen = [math.ldexp(default_step(loaded), -k) for k in _OCTAVES] if steps is None else list(steps)
    rows = []
    for step in sorted(chosen, reverse=True):
        found = report(loaded, prior, grid(step))
        rows.append((step, found.bits_per_weight, found.mse, found.length.bits))
    return pd.DataFrame(rows, columns=["step", "bits_per_weight", "mse", "total_bits"])


def _search(
    loaded: Weights,
    value: Callable[[Report], float],
    target: float,
    prior: AnyPrior,
    grid: Grids,
    *,
    rising: bool,
) -> Quantizer:
    """The step that meets the target from below: guesses, kept between a step that meets it and one that does not."""
    if not (math.isfinite(target) and target > 0.0):
        raise QuantizationError(f"target: expected a positive finite number, got {target!r}")
    step, low, high = default_step(loaded), 0.0, math.inf  # steps that meet the target, and that do not, if rising
    for _ in range(_TRIALS):
        reached = value(report(loaded, prior, grid(step)))
        if target * (1.0 - _CLOSE) <= reached <= target:
            return grid(step)
        if (reached <= target) == rising:
            low = step
        else:
            high = step
        step = _next(step, reached, target, low, high, rising)
    if (low if rising else high) not in (0.0, math.inf):
        return grid(low if rising else high)  # as near as this data comes
    raise QuantizationError(f"target: no step within reach comes to {target:g}; the nearest is {reached:g}")


def _next(step: float, reached: float, target: float, low: float, high: float, rising: bool) -> float:
    """The error goes as the square of the step, bits fall by one when it doubles; or half way, where that leaves."""
    aimed = 0.9998 * target if rising else target * (1.0 - 0.4 * _CLOSE)
    guess = step * (math.sqrt(aimed / reached) if rising and reached > 0.0 else 2.0 ** min(reached - aimed, 8.0))
    if rising and reached == 0.0:
        guess = 2.0 * step
    if low < guess < high:
        return guess
    return math.sqrt(low * high) if low > 0.0 and high < math.inf else (2.0 * low if high == math.inf else 0.5 * high)
