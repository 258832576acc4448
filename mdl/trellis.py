"""Trellis-coded quantisation: two coarse grids, and a state machine that says which of them a weight is rounded to.

Grid A has the points k + 1/4 in units of the step, grid B their mirror images -(k + 1/4). Both together are twice as
fine as either, so that a sequence of weights comes closer than it could on one grid, and a symbol k costs what it
costs on one grid. Which grid is next depends on the symbols before; Viterbi's algorithm finds the closest path.
Since B mirrors A, a symbol's cell is the same in size and in distance from zero on both: a prior that is even gives it
one mass, and the symbols are coded without knowing the state.

References
----------
Marcellin & Fischer, Trellis coded quantization of memoryless and Gauss-Markov sources, IEEE Trans. Communications 38
(1990). Fischer & Wang, Entropy-constrained trellis-coded quantization, IEEE Trans. Information Theory 38 (1992).
Ungerboeck, Channel coding with multilevel/phase signals, IEEE Trans. Information Theory 28 (1982), for the codes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.errors import QuantizationError
from mdl.masses import Array
from mdl.quantize import Symbols, checked_step, finite, to_int32

#: Parity checks h0, h1 of Ungerboeck's systematic feedback codes of rate 1/2, by the number of states.
CODES = {
    4: (0o5, 0o2), 8: (0o13, 0o4), 16: (0o23, 0o4), 32: (0o45, 0o10), 64: (0o103, 0o24), 128: (0o235, 0o126),
    256: (0o515, 0o362),
}  # fmt: skip
#: Squared error in squared steps that a trellis leaves; a uniform grid leaves 1/12. It hardly depends on the states.
SQUARED_ERROR = 0.066
_BATCH = 1 << 25  # bytes that a search keeps at a time: one for each weight and state, or
_COSTS = 24  # for each weight, with few states
_BEFORE = 8.0  # weights of the tensor's variance that count with those of a row or column
_FAR = np.float32(1e9)  # squared steps: of a path that does not begin where it has to


@dataclass(frozen=True)
class Trellis:
    """Two grids of width ``step``, mirror images of one another, and a trellis of 4 to 256 ``states`` between them.

    About the symbols, hence the bits, of a ``UniformGrid`` of the same step, with 20 (4 states) to 26 % (256) less
    squared error. The trellis begins anew every ``run`` weights, in row-major order, so that runs are searched side by
    side. A weight alone has no symbol: ``quantize`` takes all weights of a tensor, or whole runs of it.

    Parameters
    ----------
    step
        Distance of neighbouring points of one grid.
    states
        4, 8, 16, 32, 64, 128 or 256; the time of the search is proportional, that of reading is not.

    Raises
    ------
    QuantizationError
        For another number of states, or a step that is no positive number.

    Examples
    --------
    >>> grid = Trellis(0.5, states=4)
    >>> symbols = grid.quantize([0.3, -1.0, 0.1, 0.4])
    >>> symbols.tolist(), grid.dequantize(symbols).tolist()
    ([0, -2, 0, 1], [0.125, -0.875, 0.125, 0.625])
    """

    run: ClassVar[int] = 512

    step: float
    states: int = 8

    def __post_init__(self) -> None:
        object.__setattr__(self, "step", checked_step(self.step))
        if self.states not in CODES:
            raise QuantizationError(f"states: expected one of {', '.join(map(str, CODES))}, got {self.states!r}")

    def quantize(self, w: ArrayLike) -> Symbols:
        """The symbols of the closest path, shape of ``w``."""
        points = self.points(w)
        return self.closest([points.ravel()])[0].reshape(points.shape)

    def points(self, w: ArrayLike) -> Array:
        """Weights in steps, shape of ``w``; QuantizationError if one is too many of them from zero."""
        with np.errstate(over="ignore"):
            points = np.asarray(finite(w) / self.step)
        if points.size:
            ends = np.array([points.min(), points.max()])
            to_int32(ends * (1.0 + 2.0**-20), f"step {self.step:g}")  # room for a path that takes the next point
        return points

    def closest(self, points: Sequence[Array]) -> list[Symbols]:
        """The symbols of the closest path of each of several tensors, flat, by their ``points``.

        Their runs are searched side by side, which takes hardly longer for many small tensors than for one.
        """
        symbols = [np.empty(flat.size, np.int32) for flat in points]
        for pieces in _batches([flat.size for flat in points], self.run, self.states):
            lanes = _folded([points[tensor][piece] for tensor, piece in pieces], self.run)
            found = _unfolded(_search(lanes, self.states), [piece.stop - piece.start for _, piece in pieces], self.run)
            for (tensor, piece), one in zip(pieces, found, strict=True):
                symbols[tensor][piece] = one
        return symbols

    def dequantize(self, symbols: ArrayLike) -> Array:
        """The points of the path that the symbols take."""
        k = np.asarray(symbols)
        k = k if k.dtype.kind in "iu" else k.astype(np.int64)
        odd = (k.ravel() & k.dtype.type(1)).astype(np.uint8)
        (grids,) = _unfolded(_second_grid(_folded([odd], self.run), self.states), [k.size], self.run)
        points = k.astype(np.float64)
        points += 0.25
        points *= self.step
        bits = points.view(np.uint64)
        bits ^= grids.reshape(k.shape).astype(np.uint64) << np.uint64(63)  # the sign
        return points

    def cell(self, symbols: ArrayLike) -> tuple[Array, Array]:
        """Half a step either side of the first grid's point; on the second grid the cell is its mirror image."""
        k = np.asarray(symbols, np.float64)
        return (k - 0.25) * self.step, (k + 0.75) * self.step


def shrunk(w: ArrayLike, step: float, by_line: bool) -> Array:
    """Weights as they are best given to ``quantize`` where bits count besides the error: w (1 - D / variance).

    At the least length for its error D, what a Gaussian weight is restored to has the variance less D, and the weight
    is that plus independent noise; so the path to be close to is that of the weights' conditional means (Cover &
    Thomas, Elements of Information Theory, 2006, section 10.3.2).

    Parameters
    ----------
    w
        A tensor.
    step
        Of the trellis.
    by_line
        Whether every row and column (of all dimensions but the first) has a variance of its own, or the tensor one.
    """
    values = finite(w)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        steps = np.asarray(values / step)
        lines = len(values) if by_line and values.ndim > 1 and values.size else 1
        matrix = np.square(steps, out=steps).reshape(lines, -1)
        whole = matrix.mean() if matrix.size else 0.0
        if not 0.0 < whole < np.inf:
            return values
        lost = np.full((1, 1), SQUARED_ERROR / whole)
        if matrix.shape[0] > 1:
            rows, columns = (  # the fewer weights in a line, the less its own variance is believed
                (matrix.mean(axis=axis, keepdims=True) / whole) ** (size / (size + _BEFORE))
                for axis, size in ((1, matrix.shape[1]), (0, matrix.shape[0]))
            )
            lost = np.multiply(lost / rows, 1.0 / columns, out=matrix)
    np.minimum(lost, 0.5, out=lost)  # a weight is not shrunk to nothing
    kept = np.subtract(1.0, lost, out=lost)
    return values * (kept.reshape(values.shape) if kept.size > 1 else kept[0, 0])


class _Steps(NamedTuple):
    """A trellis as tables. A branch is 2 * grid + z, z the bit that a symbol drives the state with."""

    before: NDArray[np.intp]  # (2, states): the two states before
    branch: NDArray[np.intp]  # (2, states): the branches that lead from them


@functools.cache
def _steps(states: int) -> _Steps:
    """Of a systematic feedback encoder in observer form: the state is a register, its lowest bit says which grid."""
    state, z = np.divmod(np.arange(2 * states), 2)
    after = _after(state, state & 1, z, states)
    order = np.argsort(after, kind="stable").reshape(states, 2).T
    return _Steps(state[order], (2 * (state & 1) + z)[order])


def _after(state: NDArray[Any], grid: NDArray[Any], z: NDArray[Any], states: int) -> NDArray[Any]:
    h0, h1 = (state.dtype.type(check >> 1) for check in CODES[states])
    return state >> state.dtype.type(1) ^ h0 * grid ^ h1 * z


def _batches(sizes: Sequence[int], run: int, states: int) -> Iterator[list[tuple[int, slice]]]:
    """Pieces of tensors, in order, of whole runs but for a tensor's last, as many at a time as may be kept."""
    most = max(1, _BATCH // (run * max(states, _COSTS)))
    batch: list[tuple[int, slice]] = []
    room = most
    for tensor, size in enumerate(sizes):
        start = 0
        while start < size:
            stop = min(size, start + room * run)
            batch.append((tensor, slice(start, stop)))
            room -= -(-(stop - start) // run)
            start = stop
            if not room:
                yield batch
                batch, room = [], most
    if batch:
        yield batch


def _folded(flats: Sequence[NDArray[Any]], run: int) -> NDArray[Any]:
    """(positions, runs): the runs of all side by side, the last of each filled up with zeros."""
    lanes = [-(-flat.size // run) for flat in flats]
    padded = np.zeros((sum(lanes), run), flats[0].dtype)
    for start, count, flat in zip(np.cumsum([0, *lanes]), lanes, flats, strict=False):
        padded[start : start + count].reshape(-1)[: flat.size] = flat
    return np.ascontiguousarray(padded[:, : max(flat.size for flat in flats)].T)


def _unfolded(lanes: NDArray[Any], sizes: Sequence[int], run: int) -> Iterator[NDArray[Any]]:
    """The runs end to end again, by the sizes of what was folded."""
    start = 0
    for size in sizes:
        stop = start + -(-size // run)
        yield lanes[:, start:stop].T.reshape(-1)[:size]
        start = stop


def _second_grid(odd: NDArray[np.uint8], states: int) -> NDArray[np.uint8]:
    """1 for symbols (positions, runs) on the second grid, from 1 for odd symbols.

    The state machine is linear: with polynomials in the delay, all coefficients modulo 2, feedback(D) grid = input(D)
    odd. One over the feedback is a product of few-termed polynomials, feedback(D) feedback(D^2) feedback(D^4) ..., up
    to powers of the delay that no run is long enough for. So no position waits for the one before it.
    """
    feedback, driven = _polynomials(states)
    grids = _filtered(np.packbits(odd, axis=1), driven)
    delay = 1
    while delay < len(grids):
        grids = _filtered(grids, tuple(delay * power for power in feedback))
        delay *= 2
    return np.unpackbits(grids, axis=1, count=odd.shape[1])


@functools.cache
def _polynomials(states: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The powers of the delay in the feedback, 0 first, and in what odd symbols drive."""
    h0, h1 = (check >> 1 for check in CODES[states])
    powers = range(1, states.bit_length())
    return (0, *(p for p in powers if (h0 ^ h1) >> p - 1 & 1)), tuple(p for p in powers if h1 >> p - 1 & 1)


def _filtered(bits: NDArray[np.uint8], powers: tuple[int, ...]) -> NDArray[np.uint8]:
    """The sum modulo 2 of bits (positions, ...) delayed by so many positions."""
    total = np.zeros_like(bits)
    for power in powers:
        total[power:] ^= bits[: max(len(bits) - power, 0)]
    return total


def _search(points: Array, states: int) -> Symbols:
    """Viterbi's algorithm on all runs at once: (positions, runs) weights in steps to their symbols."""
    steps = _steps(states)
    even = 2.0 * np.floor(0.5 * points)
    digits, costs = _nearest((points - even).astype(np.float32))
    total = np.full((states, points.shape[1]), _FAR, np.float32)
    total[0] = 0.0
    second = np.empty((points.shape[0], *total.shape), np.bool_)  # of the two ways into each state, the shorter
    one, other, cost = (np.empty_like(total) for _ in range(3))
    for taken, here in zip(second, costs, strict=True):
        for sums, before, branch in zip((one, other), *steps, strict=True):
            np.take(total, before, axis=0, out=sums, mode="clip")
            sums += np.take(here, branch, axis=0, out=cost, mode="clip")
        np.less(other, one, out=taken)
        np.minimum(one, other, out=total)
    found, grids = _traced(digits, second, total.argmin(axis=0), steps)
    return found + np.where(grids, -even, even).astype(np.int32)


def _nearest(points: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The nearest symbol of each branch, and its squared distance, (positions, branches, runs), for 0 <= points < 2.

    A branch of the first grid has the even (z = 0) or the odd symbols; on the second grid it is the other way round.
    """
    shape = points.shape[0], 4, points.shape[1]
    symbols, costs = np.empty(shape, np.int8), np.empty(shape, np.float32)
    for branch, (sign, odd) in enumerate(((1, 0), (1, 1), (-1, 1), (-1, 0))):
        mirrored = np.float32(sign) * points - np.float32(0.25 + odd)
        nearest = np.float32(2.0) * np.rint(np.float32(0.5) * mirrored)
        symbols[:, branch] = nearest + np.float32(odd)
        costs[:, branch] = np.square(mirrored - nearest)
    return symbols, costs


def _traced(
    digits: NDArray[np.int8], second: NDArray[np.bool_], state: NDArray[np.intp], steps: _Steps
) -> tuple[Symbols, NDArray[np.bool_]]:
    """From the last states back to the first: the symbols on the way, and which of them lie on the second grid."""
    path = np.empty((digits.shape[0], digits.shape[2]), np.int32)
    grids = np.empty(path.shape, np.bool_)
    runs = np.arange(state.size)
    for position in reversed(range(digits.shape[0])):
        way = second[position, state, runs].view(np.uint8)
        branch = steps.branch[way, state]
        path[position], grids[position] = digits[position, branch, runs], branch > 1
        state = steps.before[way, state]
    return path, grids
