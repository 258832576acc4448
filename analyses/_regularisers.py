"""Which regulariser is which prior: derived by :mod:`mdl.symbolic`, held against the densities of :mod:`mdl.priors`."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd
import sympy as sp

from analyses import _text
from mdl import symbolic
from mdl.masses import Array
from mdl.priors import (
    Cauchy,
    Gaussian,
    GeneralizedGaussian,
    Laplace,
    Logistic,
    Mixture,
    Prior,
    SpikeAndSlab,
    StudentT,
    Uniform,
)
from mdl.symbolic import DF, LOC, SCALE, SHAPE, STEP, N, W, as_function, penalty, strength

_REACH = sp.Symbol("b", positive=True)  # scale of an elastic net's Laplace
_STEP = 1e-6  # of the cells whose masses stand for a density where there is a spike
_POINTS = 64


@dataclass(frozen=True)
class Regulariser:
    """A term of a training objective, ``strength`` times ``term``, and the prior that it is the code length under.

    ``costs`` is n strength term, in nats a weight; ``numbers`` is a prior with numbers, for a comparison.
    """

    name: str
    prior: str
    term: sp.Expr
    strength: sp.Expr | None
    density: sp.Expr
    costs: sp.Expr
    numbers: tuple[Prior, ...]

    def in_numbers(self, w: Array) -> tuple[Array, Array]:
        """The penalty at ``w``, and -ln of the prior there, nats; equal up to a constant."""
        values: dict[str, float] = {STEP.name: _STEP}
        for prior in self.numbers:
            values |= symbolic.parameters(prior)
        if len(self.numbers) > 1:
            values[_REACH.name] = self.numbers[1].parameters[0]
            values[SCALE.name] = self.numbers[0].parameters[0]
        return as_function(self.costs)(w=w, **values), -np.sum([_log_prior(prior, w) for prior in self.numbers], axis=0)

    def gap_nats(self, seed: int) -> float:
        """The largest difference between differences of the two, over random weights."""
        w = np.random.default_rng(seed).uniform(-3.0, 3.0, _POINTS)
        w[0] = 0.0
        costs, lengths = self.in_numbers(w)
        return float(np.abs((costs - costs[0]) - (lengths - lengths[0])).max())


def _log_prior(prior: Prior, w: Array) -> Array:
    if isinstance(prior, SpikeAndSlab):
        return prior.log_mass(w - 0.5 * _STEP, w + 0.5 * _STEP)
    return prior.logpdf(w)


def _multiple(name: str, term: sp.Expr, numbers: Prior) -> Regulariser:
    """A regulariser that the prior's penalty is a multiple of (PriorError if it is none), about the prior's centre."""
    found, density = strength(numbers, term), symbolic.density(numbers)
    if numbers.parameters[1] == 0.0:
        density = symbolic.centred(density)
    else:
        term = term.subs(W, W - LOC)
    return Regulariser(name, type(numbers).__name__, term, found, density, N * found * term, (numbers,))


def _whole(name: str, shown: str, numbers: Prior) -> Regulariser:
    """A penalty that no strength multiplies: the prior's own."""
    costs, density = penalty(numbers), symbolic.density(numbers)
    if not isinstance(numbers, Mixture):
        costs, density = symbolic.centred(costs), symbolic.centred(density)
    return Regulariser(name, shown, costs, None, density, costs, (numbers,))


def _elastic_net() -> Regulariser:
    """The product of a Gaussian and a Laplace, which is a prior once it is divided by its integral."""
    costs = symbolic.centred(penalty(Gaussian()) + penalty(Laplace()).subs(SCALE, _REACH))
    right = sp.Symbol("u", positive=True)
    half = sp.integrate(sp.exp(-costs.subs(W, right)), (right, 0, sp.oo))
    density = sp.exp(-costs) / (2 * sp.simplify(half))
    return Regulariser(
        "elastic net", "Gaussian × Laplace, normalised", costs, None, density, costs, (Gaussian(0.8), Laplace(0.5))
    )


@functools.cache
def derived() -> tuple[Regulariser, ...]:
    """Every regulariser, with its prior."""
    return (
        _multiple("L2 (ridge, weight decay)", W**2 / 2, Gaussian(0.7)),
        _multiple("L2 about another centre", W**2 / 2, Gaussian(0.7, loc=0.4)),
        _multiple("L1 (lasso)", sp.Abs(W), Laplace(0.7)),
        _elastic_net(),
        _multiple("bridge, Lp", sp.Abs(W) ** SHAPE, GeneralizedGaussian(0.7, shape=0.6)),
        _multiple("logarithm", sp.log(1 + W**2 / SCALE**2), Cauchy(0.7)),
        _multiple("logarithm of any strength", sp.log(1 + W**2 / (DF * SCALE**2)), StudentT(0.7, df=3.0)),
        _multiple("log cosh", sp.log(sp.cosh(W / (2 * SCALE))), Logistic(0.7)),
        _whole("weights within bounds", "Uniform", Uniform(4.0)),
        _whole("L0 (count)", "SpikeAndSlab, uniform slab", SpikeAndSlab(0.3, Uniform(4.0))),
        _whole("L0 + L2", "SpikeAndSlab, Gaussian slab", SpikeAndSlab(0.3, Gaussian(0.7))),
        _whole("soft weight sharing", "Mixture", Mixture(2, (0.7, 0.3), (0.1, -0.5), (0.3, 1.2))),
    )  # fmt: skip


def gaps(seed: int) -> list[dict[str, object]]:
    """Rows: every regulariser, and how far it is from -ln of its prior."""
    return [{"name": one.name, "seed": seed, "gap_nats": one.gap_nats(seed)} for one in derived()]


@functools.cache
def table() -> str:
    """All of them in Markdown."""
    rows = [
        {
            "penalty": one.name,
            "its term, a weight": _inline(one.term),
            "strength": "" if one.strength is None else _inline(one.strength),
            "prior": f"`{one.prior}`" if one.prior.isidentifier() else one.prior,
            "its density": _inline(one.density),
        }
        for one in derived()
    ]
    frame = pd.DataFrame(rows)
    return _text.table(frame, dict.fromkeys(frame.columns, str))


def _inline(formula: sp.Expr) -> str:
    """Within a cell of a table, where a bar would end it."""
    latex = symbolic.latex(formula)
    for bar in (r"\left|", r"\right|", "|"):
        latex = latex.replace(bar, bar[:-1] + r"\vert ")
    return f"${latex}$"
