"""Rate against error: the step that meets a target, and the curve that a choice of step moves along."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from mdl.curvature import Calibration
from mdl.errors import QuantizationError
from mdl.lengths.checkpoint import AnyPrior, report
from mdl.priors import Gaussian
from mdl.quantize import Quantizer, UniformGrid
from mdl.source import open_source
from mdl.trials import default_step

if TYPE_CHECKING:
    import pandas as pd

#: A quantizer of a given step, such as ``UniformGrid`` or ``lambda step: Trellis(step, states=64)``.
Grids = Callable[[float], Quantizer]

_CLOSE = 1e-3  # of a target, relatively
_CLOSE_LOSS = 0.05  # the same of a loss, which jumps with the steps that are chosen
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
    source = open_source(weights)

    def reached(step: float) -> float:
        return report(source, prior, grid(step)).mse

    return grid(_search(reached, mse, default_step(source), power=2.0))


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
    source = open_source(weights)

    def reached(step: float) -> float:
        return report(source, prior, grid(step)).bits_per_weight

    return grid(_search(reached, bits, default_step(source), power=None))


def for_loss(weights: Any, loss: float, calibration: Calibration) -> Calibration:
    """The calibration at the price whose weights lose at most ``loss`` nats an example, to second order; see ``loss``.

    Parameters
    ----------
    weights
        Anything that :func:`mdl.load` takes.
    loss
        Nats an example, > 0, as :class:`mdl.Calibration` has it. What a model loses on other examples is for
        its user to see: far from the weights the second order is not all.
    calibration
        What :func:`mdl.calibrate` makes. What its weights lose does not depend on the prior that they are coded under.

    Examples
    --------
    >>> import numpy as np, mdl
    >>> from mdl.codes.calibrated import Factors
    >>> w = np.random.default_rng(0).normal(size=(40, 30))
    >>> found = for_loss({"w": w}, 0.5, mdl.Calibration({"w": Factors(np.eye(40), np.ones(30))}, price=1.0))
    >>> 5e-4 < found.price < 2e-3
    True
    """
    source = open_source(weights)
    known = sum(math.prod(source.shapes[name][1]) for name in calibration.factors if name in source.shapes)

    def reached(price: float) -> float:
        return report(source, Gaussian(), None, calibration.at(price)).loss or 0.0

    return calibration.at(_search(reached, loss, loss / max(known, 1), power=1.0, close=_CLOSE_LOSS))


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

    loaded = open_source(weights)
    chosen = [math.ldexp(default_step(loaded), -k) for k in _OCTAVES] if steps is None else list(steps)
    rows = []
    for step in sorted(chosen, reverse=True):
        found = report(loaded, prior, grid(step))
        rows.append((step, found.bits_per_weight, found.mse, found.length.bits))
    return pd.DataFrame(rows, columns=["step", "bits_per_weight", "mse", "total_bits"])


def _search(
    value: Callable[[float], float], target: float, start: float, *, power: float | None, close: float = _CLOSE
) -> float:
    """Where ``value`` meets the target from below: guesses, between one that meets it and one that does not.

    It goes about as the given power of its argument; without one it falls by one, as bits do, when that doubles.
    """
    if not (math.isfinite(target) and target > 0.0):
        raise QuantizationError(f"target: expected a positive finite number, got {target!r}")
    at, low, high, rising = start, 0.0, math.inf, power is not None  # those that meet it, and that do not, if rising
    for _ in range(_TRIALS):
        reached = value(at)
        if target * (1.0 - close) <= reached <= target:
            return at
        if (reached <= target) == rising:
            low = at
        else:
            high = at
        at = _next(at, reached, target * (1.0 - 0.2 * close), low, high, power)
    if (low if rising else high) not in (0.0, math.inf):
        return low if rising else high  # as near as this data comes
    raise QuantizationError(f"target: nothing within reach comes to {target:g}; the nearest is {reached:g}")


def _next(at: float, reached: float, aimed: float, low: float, high: float, power: float | None) -> float:
    """The guess that the law makes; or half way, where that leaves what is known."""
    if power is None:
        guess = at * 2.0 ** min(reached - aimed, 8.0)
    else:
        guess = at * (aimed / reached) ** (1.0 / power) if reached > 0.0 else 2.0 * at
    if low < guess < high:
        return guess
    return math.sqrt(low * high) if low > 0.0 and high < math.inf else (2.0 * low if high == math.inf else 0.5 * high)
