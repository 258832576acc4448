"""Steps shaped by curvature: a grid for every weight, as fine as the layer's inputs say the data can tell.

The data's length bends in proportion to H'H about a unit's weights, H the inputs of its layer, and the prior's by I.
With c H'H / m + I = R'R (R upper triangular), cells of width spacing / R_ii along the weights, rounded from the last to
the first with error feedback, tile space by boxes of the posterior's shape; m, the mean of H'H's diagonal, makes of c
how much more the data tell of a weight than the prior does.
Writer and reader compute R from what they share; the feedback is the writer's business, and no part of the code.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from mdl.codes import Code
from mdl.codes.coder import Coder, Symbols
from mdl.codes.discretized import Discretized
from mdl.errors import CodeError, QuantizationError
from mdl.masses import Array
from mdl.priors import Prior
from mdl.quantize import UniformGrid

#: Below this, R_ii^2 - 1 says that the data tell nothing of a weight: it is zero, and not sent.
TOLD = 2.0**-10

_QUARTERS = np.array([1.0, 2.0**-0.25, 2.0**-0.5, 2.0**-0.75])  # of an octave, downwards


@dataclass(frozen=True)
class CurvedGrid:
    """A quantizer whose step for weight (i, k) is ``spacing / R_ii``, R'R = c_k H'H / m + I for inputs H (n, fan_in).

    m is the mean of H'H's diagonal, so that c is how much more the data tell of a weight than the prior, on average.

    Steps are rounded to quarters of an octave of the spacing, so that no platform's last digit matters. A weight of
    which the data tell nothing while those before it are unknown (R_ii^2 - 1 < 2^-10, such as that of an input which is
    always zero) is zero itself.

    Parameters
    ----------
    spacing
        In units of the weights; about 3 or 4 of the prior's scales is best.
    curvatures
        One c for all units, or one a unit, >= 0; none stands for c = 1, and 0 makes all steps even.

    Raises
    ------
    QuantizationError
        If a number is out of range, there is no curvature for each unit, or H'H is too ill-conditioned to factor.

    Examples
    --------
    >>> inputs = np.array([[1.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    >>> CurvedGrid(spacing=4.0, curvatures=(1.5,)).bind(inputs, (2, 1)).steps.tolist()
    [2.0, inf]

    References
    ----------
    L. Babai, On Lovasz' lattice reduction and the nearest lattice point problem, Combinatorica 6 (1986).
    E. Frantar, S. Ashkboos, T. Hoefler and D. Alistarh, GPTQ, ICLR 2023, which rounds on even steps.
    """

    spacing: float
    curvatures: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 1e-150 <= self.spacing <= 1e150:
            raise QuantizationError(f"spacing: expected a positive finite number, got {self.spacing!r}")
        if not all(0.0 <= c <= 1e150 for c in self.curvatures):
            raise QuantizationError(f"curvatures: expected finite numbers >= 0, got {self.curvatures!r}")

    def bind(self, inputs: Array, shape: tuple[int, ...]) -> SteppedGrid:
        """The steps of a weight tensor (fan_in, units) whose layer has these inputs (n, fan_in)."""
        units = shape[1]
        each = self.curvatures or (1.0,)
        if len(each) not in (1, units):
            raise QuantizationError(f"curvatures: expected one, or one for each of {units}, got {len(each)}")
        distinct, unit = np.unique(each, return_inverse=True)
        relative = products(inputs)
        columns = [self._steps(float(c), np.diag(factor(relative, float(c)))) for c in distinct]
        return SteppedGrid(np.stack(columns, axis=1)[:, np.broadcast_to(unit, units)].ravel())

    def _steps(self, curvature: float, diagonal: Array) -> Array:
        if curvature == 0.0:
            return np.full(diagonal.size, self.spacing)
        quarters = np.rint(4.0 * np.log2(diagonal)).astype(np.int64)
        steps = self.spacing * np.ldexp(_QUARTERS[quarters % 4], -(quarters // 4))
        return np.where(diagonal**2 - 1.0 < TOLD, np.inf, steps)


def products(inputs: Array) -> Array:
    """H'H / m, (fan_in, fan_in), with a mean diagonal of 1; zeros if all inputs are zero."""
    with np.errstate(over="ignore", invalid="ignore"):  # what comes of huge inputs is refused by ``factor``
        raw = inputs.T @ inputs
        return raw / (float(raw.trace()) / max(len(raw), 1) or 1.0)


def factor(relative: Array, curvature: float) -> Array:
    """R, upper triangular, with R'R = curvature ``relative`` + I; QuantizationError if rounding errors hide the I.

    Examples
    --------
    >>> factor(np.array([[1.0, 1.0], [1.0, 1.0]]), curvature=3.0).round(4).tolist()
    [[2.0, 1.5], [0.0, 1.3229]]
    """
    try:
        return linalg.cholesky(curvature * relative + np.eye(len(relative))) if len(relative) else relative
    except (linalg.LinAlgError, ValueError) as error:
        raise QuantizationError(f"curvature {curvature:g}: expected inputs that it can be multiplied with") from error


@dataclass(frozen=True, eq=False)
class SteppedGrid:
    """A uniform grid for each weight: ``steps`` (size,), infinite for a weight that is zero whatever the data.

    Examples
    --------
    >>> grid = SteppedGrid(np.array([0.25, 1.0, np.inf]))
    >>> grid.quantize([0.3, 0.3, 0.3]).tolist(), grid.dequantize([1, 3, 0]).tolist()
    ([1, 0, 0], [0.25, 3.0, 0.0])
    """

    steps: Array

    def __post_init__(self) -> None:
        if self.steps.ndim != 1 or not (self.steps >= 1e-300).all():
            raise QuantizationError(f"steps: expected (size,) positive numbers, got shape {self.steps.shape}")

    @property
    def count(self) -> int:
        """Number of weights."""
        return self.steps.size

    def quantize(self, w: ArrayLike) -> Symbols:
        """Nearest multiple of each weight's own step, (size,) int32."""
        values = np.asarray(w, np.float64)
        if values.shape != self.steps.shape or not np.isfinite(values).all():
            raise QuantizationError(f"expected ({self.count},) finite weights, got shape {values.shape}")
        multiples = np.rint(values / self.steps)
        if multiples.size and np.abs(multiples).max() > 2**31 - 1:
            raise QuantizationError(f"a weight is {np.abs(multiples).max():.3g} steps from zero, at most 2^31 - 1 fit")
        return multiples.astype(np.int32)

    def dequantize(self, symbols: ArrayLike) -> Array:
        """Symbol times step, (size,)."""
        values = np.asarray(symbols, np.float64)
        if values.shape != self.steps.shape:
            raise QuantizationError(f"expected ({self.count},) symbols, got shape {values.shape}")
        return values * self._finite

    def cell(self, symbols: ArrayLike) -> tuple[Array, Array]:
        """Half a step either side; the whole line for a weight that is not sent."""
        centre, half = self.dequantize(symbols), 0.5 * self.steps
        return centre - half, centre + half

    @functools.cached_property
    def _finite(self) -> Array:
        return np.where(np.isfinite(self.steps), self.steps, 0.0)

    @functools.cached_property
    def groups(self) -> tuple[tuple[float, NDArray[np.intp]], ...]:
        """Each distinct finite step, ascending, and which weights have it, in order."""
        order = np.argsort(self.steps, kind="stable")
        ordered = self.steps[order]
        first = np.flatnonzero(ordered != np.concatenate([[0.0], ordered[:-1]]))
        pieces = np.split(order, first[1:]) if order.size else []
        distinct = ordered[first].tolist()
        return tuple((step, where) for step, where in zip(distinct, pieces, strict=True) if math.isfinite(step))


@dataclass(frozen=True)
class ByStep:
    """A code for a :class:`SteppedGrid`: under one prior, the weights of each step apart, none of them beyond a reach.

    The symbols of the weights with step s go from -h to h, with h = floor(reach / s + 1/2); a single one costs nothing.
    Their lengths are those of the prior's masses among these, to which it is renormalised.

    Parameters
    ----------
    prior
        Without open parameters.
    reach
        At least the largest absolute value of a quantised weight; a number of few bits.

    Examples
    --------
    >>> from mdl.priors import Gaussian
    >>> code = ByStep(Gaussian(1.0), reach=1.0).bind(SteppedGrid(np.array([1.0, 4.0])))
    >>> code.nats([0, 0]).round(4).tolist()  # masses of -1, 0, 1 under the prior: 0.2417, 0.3829, 0.2417
    [0.8165, 0.0]
    """

    prior: Prior
    reach: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.reach < math.inf:
            raise CodeError(f"reach: expected a finite number >= 0, got {self.reach}")

    def bind(self, grid: SteppedGrid) -> Code:
        """The code of one tensor's symbols."""
        return _Stepwise(self, grid)

    def last(self, step: float) -> int:
        """The largest symbol of the weights with this step."""
        levels = math.floor(min(self.reach / step + 0.5, 2.0**31))
        if levels >= 2**31:
            raise CodeError(f"reach: expected at most 2^31 - 1 steps of {step:g}, got {self.reach:g}")
        return levels


@dataclass(frozen=True, eq=False)
class _Stepwise:
    """``ByStep`` for one tensor."""

    code: ByStep
    grid: SteppedGrid

    @functools.cached_property
    def _groups(self) -> tuple[tuple[Discretized, NDArray[np.intp]], ...]:
        """Where several symbols are possible."""
        lasts = ((step, self.code.last(step), where) for step, where in self.grid.groups)
        return tuple(
            (Discretized(self.code.prior, UniformGrid(step), -last, last), where) for step, last, where in lasts if last
        )

    def _checked(self, symbols: ArrayLike) -> Symbols:
        values = np.asarray(symbols, np.int32)
        if values.shape != (self.grid.count,):
            raise CodeError(f"expected ({self.grid.count},) symbols, got shape {values.shape}")
        sent = np.zeros(values.size, np.bool_)
        for _, where in self._groups:
            sent[where] = True
        if values[~sent].any():
            raise CodeError(f"expected 0 to 0 where the step leaves no other symbol, got {values[~sent].max()}")
        return values

    def nats(self, symbols: ArrayLike) -> Array:
        """-ln of each symbol's share of the mass of all that are possible, nats."""
        values = self._checked(symbols)
        nats = np.zeros(values.size)
        for code, where in self._groups:
            ends = code.quantizer.cell([code.lo, code.hi])
            every = float(self.code.prior.log_mass(ends[0][0], ends[1][1]))
            nats[where] = np.maximum(code.nats(values[where]) + every, 0.0)
        return nats

    def push(self, coder: Coder, symbols: Symbols) -> None:
        """Write all symbols, those of the smallest step to be read first."""
        values = self._checked(symbols)
        for code, where in self._groups[::-1]:
            code.push(coder, values[where])

    def pop(self, coder: Coder, count: int) -> Symbols:
        """Read all symbols."""
        if count != self.grid.count:
            raise CodeError(f"expected to read {self.grid.count} symbols, got {count}")
        symbols = np.zeros(count, np.int32)
        for code, where in self._groups:
            symbols[where] = code.pop(coder, where.size)
        return symbols


def round_back(target: Array, R: Array, grid: SteppedGrid, prior: Prior, reach: float) -> Symbols:
    """Symbols of the weights (fan_in, units), from the last row to the first, each the cheapest given those after it.

    For unit k, the data and the prior's -ln density together are about ½ ‖R_k (q - w_k)‖² nats above their least. Once
    the rows after i are rounded, the least over the rows before it is ½ R_ii² (t - q_i)² plus a constant, with the
    target t = w_i + Σ_{j>i} (R_ij / R_ii) (w_j - q_j). Of the two multiples next to t that ``reach`` allows, the one is
    taken for which this is shorter, the density's share being replaced by the length of the symbol.

    Parameters
    ----------
    target
        (fan_in, units).
    R
        (units, fan_in, fan_in) or (1, fan_in, fan_in), upper triangular.
    grid
        Steps of the weights in row-major order.
    prior
        What symbols are coded under.
    reach
        Largest size of a rounded weight, up to half a step.

    Returns
    -------
    Symbols
        (size,) int32, row-major.

    Raises
    ------
    QuantizationError
        If the steps make more than 2^20 symbols possible.

    Examples
    --------
    >>> from mdl.priors import Gaussian
    >>> R = np.array([[[10.0, 10.0], [0.0, 1.0]]])  # what the second weight loses the first makes good
    >>> grid = SteppedGrid(np.array([0.25, 1.0]))
    >>> round_back(np.array([[1.0], [0.45]]), R, grid, Gaussian(1.0), reach=4.0).tolist()
    [6, 0]

    References
    ----------
    L. Babai, On Lovasz' lattice reduction and the nearest lattice point problem, Combinatorica 6 (1986).
    """
    fan_in, units = target.shape
    table = Lengths.of(grid, prior, reach)
    steps, starts, lasts = (a.reshape(fan_in, units) for a in (grid.steps, table.starts, table.lasts))
    sent = np.isfinite(steps)
    error, chosen = np.zeros((fan_in, units)), np.zeros((fan_in, units), np.int64)
    for i in range(fan_in)[::-1]:
        bend = R[:, i, i]
        carried = (
            R[0, i, i + 1 :] @ error[i + 1 :]
            if len(R) == 1
            else np.einsum("kj,jk->k", R[:, i, i + 1 :], error[i + 1 :])
        )
        t = target[i] + carried / bend
        scaled = np.where(sent[i], steps[i], 1.0)
        below = np.clip(np.floor(t / scaled), -lasts[i], lasts[i]).astype(np.int64)
        either = np.stack([below, np.minimum(below + 1, lasts[i])])
        cost = 0.5 * (bend * (t - either * scaled)) ** 2 + table.excess[starts[i] + either]
        chosen[i] = np.where(cost[1] < cost[0], either[1], either[0])
        error[i] = target[i] - chosen[i] * scaled
    return chosen.ravel().astype(np.int32)


@dataclass(frozen=True, eq=False)
class Lengths:
    """The length of every possible symbol of every step, for searches: ``nats[starts + symbol]``, up to ``lasts``.

    ``excess`` is the length over the prior's -ln density at the weight. Neither is renormalised to what is possible.
    """

    nats: Array
    excess: Array
    starts: NDArray[np.int64]
    lasts: NDArray[np.int64]

    @classmethod
    def of(cls, grid: SteppedGrid, prior: Prior, reach: float) -> Lengths:
        """Of the symbols of a grid's weights (size,) within a reach; QuantizationError if they are more than 2^20."""
        code = ByStep(prior, reach)
        starts, lasts = np.zeros(grid.count, np.int64), np.zeros(grid.count, np.int64)
        nats, weights, end = [np.zeros(1)], [np.zeros(1)], 1  # the first is that of weights which are not sent
        for step, where in grid.groups:
            last = code.last(step)
            if end + 2 * last >= 1 << 20:
                raise QuantizationError(f"step {step:g}: expected at most 2^20 symbols in all; use larger steps")
            starts[where], lasts[where] = end + last, last
            even, symbols = UniformGrid(step), np.arange(-last, last + 1)
            nats.append(-prior.log_mass(*even.cell(symbols)))
            weights.append(even.dequantize(symbols))
            end += symbols.size
        every = np.concatenate(nats)
        return cls(every, every + prior.logpdf(np.concatenate(weights)), starts, lasts)
