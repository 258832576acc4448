"""What moves a small net from its weights: gradients of a penalised loss, and a search for the shortest message."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from analyses._exact_nets import TASKS, Adder, Counter, Net
from mdl.codes.integers import Rational
from mdl.length import LN2
from mdl.masses import Array

STRENGTHS = tuple(float(f"{strength:.6g}") for strength in np.logspace(-6.0, 1.0, 8))
ITERATIONS = 300
NEAR, RANDOM = 0.05, 0.5  # standard deviations of what is added to the exact weights, and of random ones
#: Weights of the search are multiples of 1/12, at most 64; a decoder knows the twelve.
CODE = Rational(12)
_REACH = 64 * CODE.denominator
#: Denominators that trained weights are rounded to; which one is told.
DENOMINATORS = (1, 2, 3, 4, 6, 12, 24, 60, 240, 1000)
EVALUATIONS = {"exact": 6000, "empty": 40000}
#: First and last temperature, bits; that from an empty net was chosen among four on strings that are not used here.
HEAT = {"exact": (4.0, 0.3), "empty": (30.0, 3.0)}
SATURATED = 40.0  # margin of a counter whose certain choices leave no gradient
_TRACE = 80  # points of a search that are kept


@dataclass(frozen=True)
class Training:
    """Strings and a start; every objective is minimised from there."""

    task: str
    n: int
    seed: int
    start: str

    def net(self) -> Net:
        return TASKS[self.task].sample(self.n, self.seed)

    def first(self) -> Array:
        """The weights to start from."""
        net, rng = TASKS[self.task], np.random.default_rng([self.seed, 1])
        if self.start == "random":
            return rng.normal(scale=RANDOM, size=net.size)
        if self.start == "saturated":
            return np.array(Counter.exactly(SATURATED))
        noise = rng.normal(scale=NEAR, size=net.size) if self.start == "near" else 0.0
        return np.array(net.exact) + noise


@dataclass(frozen=True)
class Searching:
    """Strings, a start and a budget; the length of weights and strings is minimised from there."""

    task: str
    n: int
    seed: int
    start: str
    evaluations: int


def train(task: Training) -> list[dict[str, Any]]:
    """Cross-entropy alone, and with L1 and L2 at each strength."""
    net, first = task.net(), task.first()
    chosen = [("cross-entropy", 0.0), *((name, strength) for name in ("L1", "L2") for strength in STRENGTHS)]
    if task.start == "random":
        chosen = chosen[:1]
    about = {"part": "train", "task": task.task, "n": task.n, "seed": task.seed, "start": task.start}
    return [
        {**about, "objective": name, "strength": strength, **_measured(net, _DESCENTS[name](net, first, strength))}
        for name, strength in chosen
    ]


def search(task: Searching) -> list[dict[str, Any]]:
    """Annealing on total length; the last row is the shortest message found."""
    net = TASKS[task.task].sample(task.n, task.seed)
    first = np.array(TASKS[task.task].exact if task.start == "exact" else np.zeros(TASKS[task.task].size))
    symbols = np.rint(first * CODE.denominator).astype(np.int64)
    best, trace = _anneal(net, symbols, task.seed, task.evaluations, HEAT[task.start])
    about = {"task": task.task, "n": task.n, "seed": task.seed, "start": task.start, "objective": "MDL"}
    length = _length(net, best, CODE)
    found = {"weights_bits": length.weights, "data_bits": length.data, **net.kept(best / CODE.denominator)}
    whole = {"train_bits": length.data, "symbols": net.symbols, **_references(net)}
    return [
        *({"part": "trace", **about, "evaluations": k, "total_bits": round(bits, 3)} for k, bits in trace),
        {"part": "search", **about, "evaluations": task.evaluations, **found, **whole},
    ]


def _references(net: Net) -> dict[str, float]:
    """What the strings take at best, and what the exact net and they take."""
    symbols = np.rint(np.array(net.exact) * CODE.denominator).astype(np.int64)
    return {"optimum_bits": net.optimum_bits, "exact_bits": sum(_length(net, symbols, CODE))}


def _smooth(net: Net, first: Array, strength: float) -> Array:
    def loss(w: Array) -> tuple[float, Array]:
        nats, gradient = net.with_gradient(w)
        return nats / net.symbols + 0.5 * strength * float(w @ w), gradient / net.symbols + strength * w

    return np.asarray(optimize.minimize(loss, first, jac=True, method="L-BFGS-B", options=_OPTIONS).x)


def _lasso(net: Net, first: Array, strength: float) -> Array:
    """L1 is smooth in the positive and the negative part of the weights."""

    def loss(parts: Array) -> tuple[float, Array]:
        nats, gradient = net.with_gradient(parts[: net.size] - parts[net.size :])
        slope = np.concatenate([gradient, -gradient]) / net.symbols + strength
        return nats / net.symbols + strength * float(parts.sum()), slope

    both = np.concatenate([np.maximum(first, 0.0), np.maximum(-first, 0.0)])
    bounds = optimize.Bounds(0.0, np.inf)
    found = optimize.minimize(loss, both, jac=True, method="L-BFGS-B", bounds=bounds, options=_OPTIONS).x
    return np.asarray(found[: net.size] - found[net.size :])


#: Lengths of the exact nets by hand: a sign, and 2k + 1 bits for a numerator and a denominator of k bits. Zeros take 5,
#: ones 7, halves 9, three halves 11, five halves 13, the margin of eight 13 and twice it 15.
BY_HAND = {"addition": 12 * 7 + 6 * 5 + 2 * 9 + 11 + 13, "anbn": 4 * 7 + 8 * 5 + 3 * 13 + 15}


def facts(margin: float) -> list[dict[str, Any]]:
    """Controls: lengths beside hand counts, an enumeration of all short additions, and the optimum of a^n b^n."""
    rows: list[dict[str, Any]] = []
    for task, net in TASKS.items():
        symbols = np.rint(np.array(net.exact) * CODE.denominator).astype(np.int64)
        bits = float(CODE.nats(symbols).sum()) / LN2
        rows.append({"part": "golden", "task": task, "weights_bits": bits, "by_hand_bits": BY_HAND[task]})
    for length in range(1, 7):
        every = Adder.every(length)
        wrong = every.wrong(np.array(Adder.exact))
        rows.append({"part": "enumerated", "length": length, "pairs": len(every.x), "wrong": wrong})
    for n in (20, 200):
        net = Counter.sample(n, 0)
        data = net.nats(np.array(Counter.exactly(margin))) / LN2
        rows.append({"part": "optimum", "task": "anbn", "n": n, "data_bits": data, "optimum_bits": net.optimum_bits})
    return rows


_OPTIONS = {"maxiter": ITERATIONS, "ftol": 0.0, "gtol": 1e-9}
_DESCENTS = {"cross-entropy": _smooth, "L2": _smooth, "L1": _lasso}


def _measured(net: Net, w: Array) -> dict[str, Any]:
    rounded = _shortest_rounding(net, w)
    repaired = {"repaired": net.kept(net.repaired(w))["kept"]} if isinstance(net, Counter) else {}
    return {
        "train_bits": net.nats(w) / LN2,
        "symbols": net.symbols,
        "weights_bits": rounded.weights,
        "data_bits": rounded.data,
        **_references(net),
        **net.kept(w),
        **repaired,
    }


class Length(NamedTuple):
    """Bits of weights and strings."""

    weights: float
    data: float


def _length(net: Net, symbols: NDArray[np.int64], code: Rational) -> Length:
    return Length(float(code.nats(symbols).sum()) / LN2, net.nats(symbols / code.denominator) / LN2)


def _shortest_rounding(net: Net, w: Array) -> Length:
    """The weights as fractions with the denominator that makes weights and strings shortest, which is told."""
    lengths = []
    for denominator in DENOMINATORS:
        limit = Rational(denominator).largest
        symbols = np.rint(np.clip(w * denominator, -limit, limit)).astype(np.int64)
        lengths.append(_length(net, symbols, Rational(denominator)))
    best = min(lengths, key=sum)
    return best._replace(weights=best.weights + math.log2(len(DENOMINATORS)))


def _anneal(
    net: Net, first: NDArray[np.int64], seed: int, evaluations: int, heat: tuple[float, float]
) -> tuple[NDArray[np.int64], list[tuple[int, float]]]:
    """The shortest that was met, and after how many evaluations the shortest was how long."""
    rng = np.random.default_rng([seed, 2])
    table = CODE.nats(np.arange(-_REACH, _REACH + 1)) / LN2
    draws = rng.choice(np.arange(-_REACH, _REACH + 1), size=evaluations, p=np.exp2(-table) / np.exp2(-table).sum())

    def bits(symbols: NDArray[np.int64]) -> float:
        return float(table[symbols + _REACH].sum()) + net.nats(symbols / CODE.denominator) / LN2

    hot, cold = heat
    at, now = first, bits(first)
    best, shortest, trace = at, now, [(0, now)]
    for k, draw in enumerate(draws):
        moved = _moved(at, int(draw), rng)
        length = bits(moved)
        if length - now <= -hot * (cold / hot) ** (k / evaluations) * math.log(rng.random()):
            at, now = moved, length
        if now < shortest:
            best, shortest = at, now
        if (k + 1) % max(1, evaluations // _TRACE) == 0:
            trace.append((k + 1, shortest))
    return best, trace


def _moved(at: NDArray[np.int64], draw: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """One weight changed, or in a third of cases two: drawn from the code, none, turned, doubled, halved, or a step."""
    moved = at.copy()
    for _ in range(1 + (rng.random() < 1 / 3)):
        j, kind = int(rng.integers(at.size)), int(rng.integers(6))
        step = int(rng.choice([-12, -6, -4, 4, 6, 12]))
        moved[j] = (draw, 0, -moved[j], 2 * moved[j], moved[j] // 2, moved[j] + step)[kind]
    return np.clip(moved, -_REACH, _REACH)
