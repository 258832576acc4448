"""Choices beyond the strength: degrees of a polynomial, widths of a perceptron, penalties; what each chooser costs."""

from __future__ import annotations

import functools
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy import special
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier

from analyses._held_out import HeldOut
from analyses._problems import Drawn, Problem
from analyses._selectors import PEER, selectors
from mdl import datasets, wrap
from mdl.length import LN2
from mdl.lengths.prequential import doubling, prequential
from mdl.likelihoods import Bernoulli
from mdl.masses import Array
from mdl.models import FeedForward, Model
from mdl.priors import Gaussian, Laplace, Mixture, Prior
from mdl.select.averaging import ETA, weights
from mdl.select.candidates import STRENGTHS, Candidates
from mdl.select.codes import ORDERS, chosen, code_lengths
from mdl.select.held_out import PARTS, Rows, dealt
from mdl.trials import Trials

DEGREES = tuple(range(1, 9))
WIDTHS = (1, 2, 4, 8, 16, 32)
WIDTH_STRENGTH, ITERATIONS = 1e-2, 100  # of all perceptrons
PENALTIES = ("L2", "L1")
PENALTY_STRENGTHS = tuple(float(f"{strength:.6g}") for strength in np.logspace(-3.0, 0.0, 7))
PRIORS: dict[str, Prior] = {"Gaussian": Gaussian(), "Laplace": Laplace(), "mixture": Mixture(2)}
#: The penalty that is the code length under a prior; a mixture's is neither.
PENALTY_OF = {"Gaussian": "L2", "Laplace": "L1"}
_SHARED = (PEER, "hold-out", "evidence", "two-part", "prequential", "rotated", "bic", "aic")
_FIRST = 8  # examples of a prequential code's first block
_MOST_TEST_ROWS = 2000

#: Quantity and feature, columns of each table. The quantity is that of ``_problems``; the feature, of those with a
#: kurtosis below 10 and more values than the highest degree has coefficients, the one of the largest rank correlation,
#: before any model was fitted. Wine and diabetes are for a quick run.
PAIRS: dict[str, tuple[int, int]] = {
    "keel:texture": (24, 29), "keel:phoneme": (2, 0), "keel:sonar": (30, 31), "keel:twonorm": (5, 14),
    "keel:wisconsin": (1, 2), "keel:contraceptive": (0, 3), "keel:penbased": (8, 9), "keel:heart": (7, 0),
    "keel:saheart": (0, 7), "keel:bupa": (0, 3), "keel:ring": (3, 19), "wine": (0, 12), "diabetes": (2, 3),
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One choice to make on one split of one table."""

    choice: str
    table: str
    n: int
    seed: int


@dataclass(eq=False)
class Penalised:
    """Logistic regression of two classes under one penalty at one strength, as :class:`Candidates` are of one L2.

    The strength is per example, mean NLL + λ‖w‖₁ or + (λ/2)‖w‖²: a Laplace prior of scale 1/(nλ), a Gaussian of
    variance 1/(nλ). The prior stays as it is while examples arrive, and the intercept is free.
    """

    penalty: str
    strength: float
    drawn: Drawn

    def fit(self, X: Array, y: NDArray[Any], start: Model | None = None) -> Model:
        """Trained on some of the examples; one class alone teaches nothing."""
        if (y == y[0]).all():
            tensors = {"layers.0.weight": np.zeros((X.shape[1], 1)), "layers.0.bias": np.zeros(1)}
            return FeedForward(tensors, Bernoulli())  # type: ignore[arg-type]
        C = 1.0 / (len(self.drawn.y) * self.strength)
        if self.penalty == "L2":
            return wrap(LogisticRegression(C=C, solver="newton-cg", max_iter=200).fit(X, y))
        # liblinear penalises the intercept, at this scale by next to nothing
        lasso = LogisticRegression(C=C, l1_ratio=1.0, solver="liblinear", intercept_scaling=100.0, max_iter=1000)
        return wrap(lasso.set_params(random_state=0).fit(X, y))

    @functools.cached_property
    def models(self) -> tuple[Model, ...]:
        """The one trained on all examples."""
        return (self.fit(self.drawn.X, self.drawn.y),)


Options = Sequence[Candidates] | Sequence[Penalised]
#: Nats of every option, by name of the chooser; those that share their work are made together.
Choosers = Sequence[Callable[[Any], dict[str, Array]]]


@dataclass(frozen=True, eq=False)
class Choice:
    """What is chosen among: names, a function that makes all options untrained, forecasts of each, who chooses."""

    names: tuple[str, ...]
    options: Callable[[], Options]
    held_out: HeldOut
    choosers: Choosers


def rows(cell: Cell) -> list[dict[str, Any]]:
    """What every chooser makes of one split, and what that costs on the examples held out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # all choosers get the same trainer as it is
        choice = {"degree": _degrees, "width": _widths, "prior": _penalties}[cell.choice](cell)
        bits, errors = choice.held_out.each()
        best = int(bits.argmin())
        about = {
            "choice": cell.choice, "table": cell.table.removeprefix("keel:"), "n": cell.n, "seed": cell.seed,
            "best_option": choice.names[best], "best_bits": round(float(bits[best]), 5),
            "best_error": round(float(errors[best]), 5), **_of_families(choice.names, bits),
        }  # fmt: skip
        return [{**about, **row} for chooser in choice.choosers for row in _used(chooser, choice)]


def _of_families(names: tuple[str, ...], bits: Array) -> dict[str, float | None]:
    """Bits of the best strength of each penalty, where penalties are chosen."""
    own = {penalty: [b for name, b in zip(names, bits, strict=True) if penalty in name] for penalty in PENALTIES}
    return {f"{penalty.lower()}_bits": round(float(min(part)), 5) if part else None for penalty, part in own.items()}


def _used(chooser: Callable[[Any], dict[str, Array]], choice: Choice) -> list[dict[str, Any]]:
    """The option that it takes, and the average that it weighs, each with all the work."""
    bits, errors = choice.held_out.each()
    best = int(bits.argmin())
    began = time.perf_counter()
    options = choice.options()
    lengths = chooser(options)
    scoring = time.perf_counter() - began
    found = []
    for name, nats in lengths.items():
        began = time.perf_counter()
        for way, eta in {"chosen": None, "averaged": ETA}.items():
            shares = weights(nats, eta)
            for k in np.flatnonzero(shares):
                _ = options[k].models  # trained, unless that was done
            found.append({
                "selector": name, "way": way, "option": choice.names[int(nats.argmin())],
                "excess_bits": round(choice.held_out.bits(shares) - float(bits[best]), 5),
                "excess_error": round(choice.held_out.error(shares) - float(errors[best]), 5),
                "length_bits": round(float(nats.min()) / LN2, 2),
                "seconds": round(scoring + time.perf_counter() - began, 3),
            })  # fmt: skip
    return found


# --- degrees ----------------------------------------------------------------------------------------------------------


def _degrees(cell: Cell) -> Choice:
    drawn = _of_one_feature(cell)
    inputs = [legendre.legvander(x, DEGREES[-1])[:, 1:] for x in _scaled(drawn)]  # ridge has its own intercept
    each = [Drawn(inputs[0][:, :d], drawn.y, inputs[1][:, :d], drawn.y_test) for d in DEGREES]
    make = partial(_ridges, each, cell.seed)
    held_out = [HeldOut.of(option, own) for option, own in zip(make(), each, strict=True)]
    forecasts, means = (np.concatenate(parts) for parts in zip(*((h.log_p, h.means) for h in held_out), strict=True))
    names = tuple(f"degree {d}" for d in DEGREES)
    return Choice(names, make, HeldOut(forecasts, means, drawn.y_test), _shared("ridge"))


def _of_one_feature(cell: Cell) -> Drawn:
    """A quantity and one feature, split as :meth:`Problem.split` does, the quantity standardised."""
    X, (target, feature) = datasets.load(cell.table).X, PAIRS[cell.table]
    order = np.random.default_rng(cell.seed).permutation(len(X))
    rows, test = order[: cell.n], order[cell.n : cell.n + _MOST_TEST_ROWS]
    y = (X[:, target] - X[rows, target].mean()) / X[rows, target].std()
    return Drawn(X[rows, feature], y[rows], X[test, feature], y[test])


def _scaled(drawn: Drawn) -> tuple[Array, Array]:
    """Inputs on [-1, 1], the range of those learnt from; others are set to its ends, beyond which nothing is known."""
    low, high = drawn.X.min(), drawn.X.max()
    half = 0.5 * (high - low) or 1.0
    return tuple(((x - 0.5 * (low + high)) / half).clip(-1.0, 1.0) for x in (drawn.X, drawn.X_test))  # type: ignore


def _ridges(each: Sequence[Drawn], seed: int) -> list[Candidates]:
    """Ridge of each degree at the strength of its shortest evidence."""
    found = []
    for own in each:
        grid = Candidates.of(Ridge(), STRENGTHS, own.X, own.y, seed)
        strength = STRENGTHS[chosen(code_lengths("evidence", grid))]
        found.append(Candidates.of(Ridge(), [strength], own.X, own.y, seed))
    return found


# --- widths -----------------------------------------------------------------------------------------------------------


def _widths(cell: Cell) -> Choice:
    drawn = Problem("", "mlp", cell.table, cell.n).split(cell.seed)
    make = partial(_perceptrons, drawn, cell.seed)
    held_out = [HeldOut.of(option, drawn) for option in make()]
    forecasts = HeldOut(np.concatenate([one.log_p for one in held_out]), None, drawn.y_test)
    choosers = [*_shared("mlp"), partial(_named, "evidence, all orders", _all_orders)]
    return Choice(tuple(f"width {h}" for h in WIDTHS), make, forecasts, choosers)


def _perceptrons(drawn: Drawn, seed: int) -> list[Candidates]:
    found = []
    for width in WIDTHS:
        perceptron = MLPClassifier((width,), solver="lbfgs", max_iter=ITERATIONS, random_state=seed)
        found.append(Candidates.of(perceptron, [WIDTH_STRENGTH], drawn.X, drawn.y, seed))
    return found


def _all_orders(options: Sequence[Candidates]) -> Array:
    """The evidence of one mode, times the modes that are the same units in another order: ln h! nats less."""
    return _each(selectors("mlp")["evidence"], options) - special.gammaln(1.0 + np.array(WIDTHS))


def _shared(family: str) -> Choosers:
    known = selectors(family)
    return [partial(_named, name, partial(_each, known[name])) for name in _SHARED]


def _named(name: str, chooser: Callable[[Any], Array], options: Options) -> dict[str, Array]:
    return {name: chooser(options)}


def _each(selector: Callable[[Candidates], Array], options: Sequence[Candidates]) -> Array:
    return np.concatenate([selector(option) for option in options])


# --- penalties --------------------------------------------------------------------------------------------------------


def _penalties(cell: Cell) -> Choice:
    drawn = Problem("", "logistic", cell.table, cell.n).split(cell.seed)
    make = partial(_logistics, drawn)
    outputs = [option.models[0].predict(drawn.X_test) for option in make()]
    logits = np.stack([np.stack([np.zeros(len(f)), f], 1) for f in outputs])
    names = tuple(f"{option.penalty} {option.strength:g}" for option in make())
    return Choice(names, make, HeldOut(special.log_softmax(logits, axis=2), None, drawn.y_test), _codes(drawn, cell))


def _logistics(drawn: Drawn) -> list[Penalised]:
    return [Penalised(penalty, strength, drawn) for penalty in PENALTIES for strength in PENALTY_STRENGTHS]


def _codes(drawn: Drawn, cell: Cell) -> Choosers:
    """Those that need no curvature; folds, parts and orders are those of ``mdl.select``."""
    split = Candidates.of(LogisticRegression(), [1.0], drawn.X, drawn.y, cell.seed)
    fifth = dealt(split, 5)[0]
    alone = {
        PEER: partial(_parts, dealt(split, 10)),
        "hold-out": lambda options: _parts([fifth], options) * cell.n / fifth.size,
        "rotated": partial(_parts, dealt(split, PARTS)),
        "prequential": partial(_prequential, cell.seed),
    }
    return [*(partial(_named, name, chooser) for name, chooser in alone.items()), _two_parts]


def _parts(parts: Sequence[Rows], options: Sequence[Penalised]) -> Array:
    """Nats of all parts, each forecast by every option trained on the examples outside it."""
    total = np.zeros(len(options))
    for part in parts:
        drawn = options[0].drawn
        others = np.setdiff1d(np.arange(len(drawn.y)), part)
        order, ends = np.concatenate([others, part]), (others.size, len(drawn.y))
        for k, option in enumerate(options):
            length = prequential(option.fit, drawn.X[order], drawn.y[order], blocks=ends, classes=range(2))
            total[k] += length.after(others.size).nats
    return total


def _prequential(seed: int, options: Sequence[Penalised]) -> Array:
    drawn = options[0].drawn
    ends = doubling(len(drawn.y), _FIRST)
    orders = range(seed, seed + ORDERS)
    return np.array([
        np.mean([prequential(o.fit, drawn.X, drawn.y, blocks=ends, classes=range(2), seed=k).nats for k in orders])
        for o in options
    ])  # fmt: skip


def _two_parts(options: Sequence[Penalised]) -> dict[str, Array]:
    """Under each prior, under that whose length the penalty is, and under the shortest; which of three is told."""
    each = [_of_priors(option) for option in options]
    found = {f"two-part, {prior}": np.array([nats[prior] for nats in each]) for prior in PRIORS}
    prior_of = {penalty: prior for prior, penalty in PENALTY_OF.items()}
    matched = [nats[prior_of[option.penalty]] for option, nats in zip(options, each, strict=True)]
    return {**found, "two-part, matched": np.array(matched), "two-part, shortest": np.min(list(found.values()), axis=0)}


def _of_priors(option: Penalised) -> dict[str, float]:
    """On the best naive grid, parameters fitted and charged; all but the first search from its best step."""
    trials = Trials(option.models[0], option.drawn.X, option.drawn.y)
    nats, near = {}, None
    for name, prior in PRIORS.items():
        message = trials.search(prior, near)
        nats[name] = message.ideal().comparable.nats + math.log(len(PRIORS))
        near = near or message.scheme.codings["layers.0.weight"].quantizer.step  # type: ignore[union-attr]
    return nats
