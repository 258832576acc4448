"""Two small recurrent nets that compute a rule exactly: binary addition with a carry, and a^n b^n with a counter.

A weight vector is flat. Each net holds the strings that it is trained on, and gives what they take as a function of the
weights, with its gradient.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy import signal, special

from mdl.length import LN2
from mdl.masses import Array

STEEPNESS = 16.0  # of the adder's sigmoids: at a margin of one half they are within e^-8 of a threshold
MARGIN = 8.0  # of the counter's certain choices at the start, in powers of two
LENGTH = 10  # pairs of bits of an addition learnt from
LONG, LONG_PAIRS = 400, 100  # those of an addition tested on, and how many
GO_ON = 2.0 / 3.0  # probability that another a follows, so that odds are two to one: a logit of one in base two
LONG_COUNT = 300  # the largest n tested on
_CHAINS = 40  # n up to which the expected excess is summed: what is beyond has a probability below 10^-7


class Net(Protocol):
    """A task with its strings."""

    size: ClassVar[int]
    exact: ClassVar[tuple[float, ...]]

    def nats(self, w: Array) -> float:
        """What the strings take."""
        ...

    def with_gradient(self, w: Array) -> tuple[float, Array]:
        """The same and its derivative."""
        ...

    @property
    def symbols(self) -> int:
        """Predictions that are made."""
        ...

    @property
    def optimum_bits(self) -> float:
        """What the strings take under the true probabilities."""
        ...

    def kept(self, w: Array) -> Mapping[str, Any]:
        """Whether the rule holds on strings much longer than any learnt from, and by how much it is missed."""
        ...


def _split(w: Array, *shapes: tuple[int, ...]) -> list[Array]:
    pieces = np.split(w, np.cumsum([math.prod(shape) for shape in shapes])[:-1])
    return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]


def _decayed(entering: Array, r: Array) -> Array:
    """Sums c[t] = r c[t-1] + entering[t] along each row."""
    return np.asarray(signal.lfilter([1.0], [1.0, -float(r)], entering, axis=1))


@dataclass(frozen=True, eq=False)
class Adder:
    """Three sigmoids with a memory, read out by one: sum bits of two numbers, the lowest bits first.

    ``h[t] = s(k (x[t] U + h[t-1] V + b))`` and P(sum bit) = ``s(k (h[t] v + c))``, k the steepness. In the exact net
    the units say whether at least one, two and three of both bits and the carry are set; the second is the carry.
    """

    size: ClassVar[int] = 22
    exact: ClassVar[tuple[float, ...]] = (
        *(1.0, 1.0, 1.0, 1.0, 1.0, 1.0), *(0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0), *(-0.5, -1.5, -2.5),
        *(1.0, -1.0, 1.0), -0.5,
    )  # fmt: skip
    _SHAPES: ClassVar[tuple[tuple[int, ...], ...]] = ((2, 3), (3, 3), (3,), (3,), ())

    x: Array  # (n, length, 2)
    y: Array  # (n, length)

    @classmethod
    def of(cls, x: NDArray[Any]) -> Self:
        """Pairs of numbers (n, length, 2), as bits, and their sums modulo two to the length."""
        carry, sums = np.zeros(len(x), np.int64), []
        for t in range(x.shape[1]):
            total = x[:, t].sum(axis=1) + carry
            carry = total // 2
            sums.append(total % 2)
        return cls(x.astype(np.float64), np.stack(sums, axis=1).astype(np.float64))

    @classmethod
    def sample(cls, n: int, seed: int, length: int = LENGTH) -> Self:
        """So many random pairs."""
        return cls.of(np.random.default_rng(seed).integers(2, size=(n, length, 2)))

    @classmethod
    def every(cls, length: int) -> Self:
        """All pairs of numbers of so many bits."""
        bits = np.arange(4**length)[:, None] >> np.arange(2 * length) & 1
        return cls.of(bits.reshape(-1, length, 2))

    @classmethod
    def long(cls) -> Self:
        """Random pairs, and one whose carry runs through all bits."""
        ones = np.zeros((1, LONG, 2), np.int64)
        ones[:, :, 0], ones[:, 0, 1] = 1, 1
        return cls.of(np.vstack([ones, np.random.default_rng(0).integers(2, size=(LONG_PAIRS, LONG, 2))]))

    @property
    def symbols(self) -> int:
        return self.y.size

    @property
    def optimum_bits(self) -> float:
        return 0.0

    def _run(self, w: Array) -> tuple[list[Array], Array]:
        """States, the first zero, and the steep logits (n, length)."""
        U, V, b, v, c = _split(w, *self._SHAPES)
        entering = self.x @ U + b
        states = [np.zeros((len(self.x), 3))]
        for t in range(self.x.shape[1]):
            states.append(special.expit(STEEPNESS * (entering[:, t] + states[-1] @ V)))
        return states, STEEPNESS * (np.stack(states[1:], axis=1) @ v + c)

    def nats(self, w: Array) -> float:
        _, logits = self._run(w)
        return -float(special.log_expit((2.0 * self.y - 1.0) * logits).sum())

    def with_gradient(self, w: Array) -> tuple[float, Array]:
        _, V, _, v, _ = _split(w, *self._SHAPES)
        states, logits = self._run(w)
        slope = STEEPNESS * (special.expit(logits) - self.y)
        after, before = np.stack(states[1:], axis=1), np.stack(states[:-1], axis=1)
        arriving = np.empty_like(after)
        later = np.zeros_like(states[0])
        for t in reversed(range(self.x.shape[1])):
            h = after[:, t]
            arriving[:, t] = STEEPNESS * h * (1.0 - h) * (slope[:, t, None] * v + later @ V.T)
            later = arriving[:, t]
        pieces = (
            np.einsum("nti,ntj->ij", self.x, arriving), np.einsum("nti,ntj->ij", before, arriving),
            arriving.sum(axis=(0, 1)), np.einsum("nt,nti->i", slope, after), slope.sum(),
        )  # fmt: skip
        nats = -float(special.log_expit((2.0 * self.y - 1.0) * logits).sum())
        return nats, np.concatenate([np.ravel(piece) for piece in pieces])

    def wrong(self, w: Array) -> int:
        """Number of wrong bits."""
        return int(((self._run(w)[1] > 0.0) != (self.y > 0.5)).sum())

    def kept(self, w: Array) -> Mapping[str, Any]:
        long = Adder.long()
        wrong = long.wrong(w)
        excess = min(long.nats(w) / LN2 / long.symbols, 1e6)
        return {"kept": int(wrong == 0), "accuracy": float(1.0 - wrong / long.symbols), "excess_bits": excess}


@dataclass(frozen=True, eq=False)
class Counter:
    """A linear counter, read out by a softmax in base two: the symbols of #, a n times, b n times, #.

    ``c[t] = r c[t-1] + x[t] u`` and P(next) ~ 2^(x[t] U + c[t] v), x one of a, b, #. In the exact net the counter goes
    up with a and down with b; after a b, the end is likely once it is zero.
    """

    size: ClassVar[int] = 16
    exact: ClassVar[tuple[float, ...]] = ()  # set below, by a margin
    _SHAPES: ClassVar[tuple[tuple[int, ...], ...]] = ((), (3,), (3, 3), (3,))

    counts: NDArray[Any]  # n of each string
    repeats: NDArray[Any]  # how often it occurs

    @classmethod
    def sample(cls, n: int, seed: int) -> Self:
        """So many random strings: the n of each is geometric."""
        drawn = np.random.default_rng(seed).geometric(1.0 - GO_ON, size=n)
        return cls(*np.unique(drawn, return_counts=True))

    @classmethod
    def exactly(cls, margin: float) -> tuple[float, ...]:
        """Weights whose certain choices are 2^margin times likelier than any other."""
        return (
            1.0, *(1.0, -1.0, 0.0), *(1.0, 0.0, 0.0), *(-margin, 0.0, margin), *(margin, 0.0, 0.0),
            *(0.0, 0.0, -2.0 * margin),
        )  # fmt: skip

    @property
    def symbols(self) -> int:
        return int(self.repeats @ (2 * self.counts + 1))

    @property
    def optimum_bits(self) -> float:
        return float(self.repeats @ optimum_bits(self.counts))

    @functools.cached_property
    def _strings(self) -> tuple[Array, NDArray[Any], Array]:
        """Inputs (strings, steps, 3), next symbols (strings, steps), and how often each step counts."""
        step = np.arange(2 * int(self.counts.max()) + 1)
        n = self.counts[:, None]
        came = np.where(step == 0, 2, np.where(step <= n, 0, 1))
        follows = np.where(step < n, 0, np.where(step < 2 * n, 1, 2))
        return np.eye(3)[came], follows, np.where(step <= 2 * n, self.repeats[:, None], 0).astype(np.float64)

    def _run(self, w: Array) -> tuple[Array, Array, Array]:
        """Counters before and after each step, (strings, steps), and nats to the base of each symbol."""
        x, _, _ = self._strings
        r, u, U, v = _split(w, *self._SHAPES)
        after = _decayed(x @ u, r)
        before = np.pad(after[:, :-1], ((0, 0), (1, 0)))
        return before, after, LN2 * (x @ U + after[:, :, None] * v)

    def nats(self, w: Array) -> float:
        _, follows, weight = self._strings
        log_p = special.log_softmax(self._run(w)[2], axis=2)
        return -float((weight * np.take_along_axis(log_p, follows[..., None], 2)[..., 0]).sum())

    def with_gradient(self, w: Array) -> tuple[float, Array]:
        x, follows, weight = self._strings
        r, _, _, v = _split(w, *self._SHAPES)
        before, after, logits = self._run(w)
        log_p = special.log_softmax(logits, axis=2)
        slope = LN2 * weight[..., None] * (np.exp(log_p) - np.eye(3)[follows])
        arriving = _decayed((slope @ v)[:, ::-1], r)[:, ::-1]
        pieces = (
            (arriving * before).sum(), np.einsum("nt,nti->i", arriving, x), np.einsum("nti,ntj->ij", x, slope),
            np.einsum("nt,nti->i", after, slope),
        )  # fmt: skip
        nats = -float((weight * np.take_along_axis(log_p, follows[..., None], 2)[..., 0]).sum())
        return nats, np.concatenate([np.ravel(piece) for piece in pieces])

    def repaired(self, w: Array) -> Array:
        """The weights with the exact net's counter, and the readout as it is."""
        return np.concatenate([self.exact[:4], w[4:]])

    def kept(self, w: Array) -> Mapping[str, Any]:
        every = Counter(np.arange(1, LONG_COUNT + 1), np.ones(LONG_COUNT, np.int64))
        x, follows, weight = every._strings
        with np.errstate(over="ignore", invalid="ignore"):
            log_p = special.log_softmax(every._run(w)[2], axis=2)
        certain = (weight > 0.0) & (x[..., 0] < 0.5)  # at the start, and from the first b on
        right = np.take_along_axis(log_p, follows[..., None], 2)[..., 0] > -LN2
        wrong = (certain & ~right).sum(axis=1)
        reach = LONG_COUNT if not wrong.any() else int((wrong > 0).argmax())
        accuracy = float(1.0 - wrong.sum() / certain.sum())
        return {
            "kept": int(reach == LONG_COUNT),
            "reach": reach,
            "accuracy": accuracy,
            "excess_bits": self.excess_bits(w),
        }

    @staticmethod
    def excess_bits(w: Array) -> float:
        """Expected bits a string above the entropy of n, over n up to 40; at most a million."""
        counts = np.arange(1, _CHAINS + 1)
        probability = np.exp2(-optimum_bits(counts))
        total = sum(
            p * Counter(counts[k : k + 1], np.ones(1, np.int64)).nats(w) / LN2 for k, p in enumerate(probability)
        )
        return float(min(total - probability @ optimum_bits(counts), 1e6))


Counter.exact = Counter.exactly(MARGIN)


def optimum_bits(counts: NDArray[Any]) -> Array:
    """-log2 of the probability of a^n b^n."""
    return -((counts - 1) * np.log2(GO_ON) + np.log2(1.0 - GO_ON))


TASKS: dict[str, type[Adder] | type[Counter]] = {"addition": Adder, "anbn": Counter}
