"""Students whose prior is swept through the one that their teachers were drawn from, in scale, centre and shape."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from analyses import _rows
from analyses._centred import Posterior, linear, network, with_constant
from analyses._sampled import Draws, annealed, forecast, outputs, sampled
from mdl import likelihoods
from mdl.codes.numbers import round_real
from mdl.curvature import Objective
from mdl.length import LN2, CodeLength
from mdl.lengths.two_part import two_part
from mdl.masses import Array
from mdl.models import FeedForward
from mdl.priors import Gaussian, Laplace, Prior, StudentT, Uniform

WEIGHTS, SCALE = 16, 0.5  # of linear teachers: inputs, and the prior's standard deviation
SIZES = (30, 120)  # examples
STEPS = tuple(range(-4, 5))  # of scales, half octaves from the true one
SHIFTS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)  # of centres, in units of the true one; 0 is zero
AWAY = 1.5  # how far the true centre is from zero in each weight, in prior scales
SHAPE_SIZE = 60
INPUTS, HIDDEN, NETWORK_SCALE, NETWORK_SIZE = 4, 3, 1.5, 100
NETWORK_SHIFTS = (-1.0, 0.0, 0.5, 1.0, 1.5, 2.0)
STARTS, CHAINS, _FEW_CHAINS = 2, 192, 32
_DRAWS, _SHAPE_DRAWS = 4000, 16_000  # from a posterior; more where other priors weigh them
_FRESH = 400  # inputs that forecasts are made for
_DIGITS = 7  # significant, of a number in the table
Row = dict[str, Any]


def shapes(scale: float) -> dict[str, Prior]:
    """Four priors of the same variance."""
    return {
        "Gaussian": Gaussian(scale),
        "Laplace": Laplace(scale / math.sqrt(2.0)),
        "Student t": StudentT(scale / math.sqrt(2.0), df=4.0),
        "uniform": Uniform(scale * math.sqrt(3.0)),
    }


def drawn(shape: str, scale: float, size: int, rng: np.random.Generator) -> Array:
    """Weights from one of them."""
    standard = {
        "Gaussian": rng.standard_normal,
        "Laplace": lambda size: rng.laplace(scale=math.sqrt(0.5), size=size),
        "Student t": lambda size: rng.standard_t(4.0, size) * math.sqrt(0.5),
        "uniform": lambda size: rng.uniform(-math.sqrt(3.0), math.sqrt(3.0), size),
    }[shape]
    return scale * standard(size)


@dataclass(frozen=True)
class Cell:
    """One teacher: what of the student is swept, with how many examples."""

    part: str
    seed: int
    n: int
    shape: str = "Gaussian"
    quick: bool = False


def rows(cell: Cell) -> list[Row]:
    """What each student's prior makes of it."""
    sweep = {"scale": _scales, "centre": _centres, "shape": _shapes, "ridge": _ridge}
    sweep |= {"network scale": _network_scales, "network centre": _network_centres}
    about = {"part": cell.part, "seed": cell.seed, "n": cell.n, "teacher": cell.shape}
    return [{**about, **_rows.kept(row, _DIGITS)} for row in sweep[cell.part](cell)]


# --- a teacher and what it says ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Taught:
    """Labels that a teacher gave, and the probabilities that it gives for fresh inputs."""

    objective: Objective
    fresh: Array
    truth: Array

    @classmethod
    def by(cls, model: FeedForward, w: Array, X: Array, fresh: Array, rng: np.random.Generator) -> Taught:
        """Labels drawn from the teacher's own probabilities."""
        blank = Objective(model, X, np.zeros(len(X), int))
        p = special.expit(outputs(blank, w[None], X)[0, :, 0])
        truth = special.expit(outputs(blank, w[None], fresh)[0, :, 0])
        return cls(Objective(model, X, (rng.random(len(X)) < p).astype(int)), fresh, truth)

    def excess(self, p: Array) -> float:
        """Expected held-out bits of forecasts p over the teacher's own, an example."""
        p = np.clip(p, 1e-12, 1.0 - 1e-12)
        return float(np.mean(special.rel_entr(self.truth, p) + special.rel_entr(1.0 - self.truth, 1.0 - p))) / LN2

    def measured(self, nats: float, w: Array, weights: Array, found: Posterior) -> Row:
        """Lengths, and losses of the average over (k, d) weights and of the mode; both sides know the prior."""
        return {
            "bits": nats / LN2, "excess_bits": self.excess(forecast(self.objective, w, weights, self.fresh)),
            "laplace_bits": (found.penalty + found.complexity + found.data) / LN2, "freedom": found.freedom,
            "plugged_excess_bits": self.excess(forecast(self.objective, found.w[None], np.ones(1), self.fresh)),
        }  # fmt: skip

    def linear_under(self, scale: float, centre: Array, rng: np.random.Generator) -> Row:
        """A linear student with a Gaussian prior."""
        found = Posterior.of(self.objective, scale, centre)
        draws = Draws.about(self.objective, found, _DRAWS, rng)
        posterior = sampled(draws, Gaussian(scale).logpdf(draws.w - centre).sum(axis=1))
        return {
            **self.measured(posterior.nats, draws.w, posterior.weights, found),
            "effective": posterior.effective,
        }  # fmt: skip

    def network_under(self, scale: float, centre: Array, rng: np.random.Generator, quick: bool) -> Row:
        """A network with a Gaussian prior; its mode is the best of a few searches from draws of the prior."""
        starts = centre + scale * rng.standard_normal((1 if quick else STARTS, centre.size))
        found = min((Posterior.of(self.objective, scale, centre, start) for start in starts), key=lambda f: f.bits)
        w, nats = annealed(self.objective, scale, centre, rng, _FEW_CHAINS if quick else CHAINS)
        return self.measured(nats, w, np.full(len(w), 1.0 / len(w)), found)


def _linear(cell: Cell, shape: str, away: float = 0.0) -> tuple[Taught, Array, np.random.Generator]:
    """A logistic regression of Gaussian inputs; its prior's centre, of random signs, is known."""
    rng = np.random.default_rng([cell.seed, cell.n])
    X, fresh = (rng.standard_normal((k, WEIGHTS)) for k in (cell.n, _FRESH))
    centre = away * SCALE * rng.choice([-1.0, 1.0], WEIGHTS)
    w = centre + drawn(shape, SCALE, WEIGHTS, rng)
    return Taught.by(linear(WEIGHTS, likelihoods.Bernoulli()), w, X, fresh, rng), centre, rng


# --- linear students --------------------------------------------------------------------------------------------------


def _scales(cell: Cell) -> Iterator[Row]:
    taught, centre, rng = _linear(cell, "Gaussian")
    for step in STEPS:
        scale = SCALE * 2.0 ** (0.5 * step)
        row = taught.linear_under(scale, centre, rng)
        yield {"step": step, "ratio": scale / SCALE, **row, "two_part_bits": _two_part(taught, scale)}


def _two_part(taught: Taught, scale: float) -> float:
    """The shortest grid for the mode, less what says which prior it is: both sides know."""
    objective, prior = taught.objective, Gaussian(round_real(scale, 8))
    found = Posterior.of(objective, scale)
    length = two_part(objective.model_at(found.w), objective.X, objective.y, prior).comparable
    return CodeLength(tuple(part for part in length.parts if part[0] not in ("prior", "choice"))).bits


def _centres(cell: Cell) -> Iterator[Row]:
    taught, centre, rng = _linear(cell, "Gaussian", AWAY)
    for shift in SHIFTS:
        yield {"shift": shift, **taught.linear_under(SCALE, shift * centre, rng)}


def _shapes(cell: Cell) -> Iterator[Row]:
    """All students weigh the same draws."""
    taught, _, rng = _linear(cell, cell.shape)
    found = Posterior.of(taught.objective, SCALE)
    draws = Draws.about(taught.objective, found, _SHAPE_DRAWS, rng)
    forecasts = special.expit(outputs(taught.objective, draws.w, taught.fresh)[:, :, 0])
    for name, prior in shapes(SCALE).items():
        posterior = sampled(draws, prior.logpdf(draws.w).sum(axis=1))
        excess = taught.excess(posterior.weights @ forecasts)
        yield {
            "student": name, "bits": posterior.nats / LN2, "excess_bits": excess, "effective": posterior.effective,
        }  # fmt: skip


# --- ridge in closed form ---------------------------------------------------------------------------------------------


def _ridge(cell: Cell) -> Iterator[Row]:
    """Expectations over teachers and noise; only the inputs are drawn."""
    X = np.random.default_rng([cell.seed, cell.n]).standard_normal((cell.n, WEIGHTS))
    for step in STEPS:
        ratio = 2.0 ** (0.5 * step)
        yield {
            "step": step, "ratio": ratio, "bits": ridge_nats(X, SCALE * ratio) / LN2,
            "risk": ridge_risk(X, SCALE * ratio),
        }  # fmt: skip


def ridge_nats(X: Array, scale: float, centre: Array | float = 0.0) -> float:
    """Expected -ln N(y; Xc, s²XXᵀ + I) over y = Xw + noise, w ~ N(0, SCALE² I), c the student's centre; nats."""
    gram, n = X @ X.T, len(X)
    student, truth = scale**2 * gram + np.eye(n), SCALE**2 * gram + np.eye(n)
    missed = X @ np.broadcast_to(centre, X.shape[1])
    squares = np.trace(np.linalg.solve(student, truth)) + missed @ np.linalg.solve(student, missed)
    return 0.5 * float(squares + np.linalg.slogdet(student)[1] + n * math.log(2.0 * math.pi))


def ridge_risk(X: Array, scale: float, centre: Array | float = 0.0) -> float:
    """Expected squared error in the weights of the student's posterior mean, over the same."""
    precision = X.T @ X + np.eye(X.shape[1]) / scale**2
    inverse = np.linalg.inv(precision)
    bias = inverse / scale**2
    missed = bias @ np.broadcast_to(centre, X.shape[1])
    return float(np.trace(inverse @ X.T @ X @ inverse) + SCALE**2 * np.trace(bias @ bias.T) + missed @ missed)


# --- networks ---------------------------------------------------------------------------------------------------------


def _taught_network(cell: Cell, scale: float, centred: bool) -> tuple[Taught, Array, np.random.Generator]:
    rng = np.random.default_rng([cell.seed, cell.n, 1])
    X, fresh = (with_constant(rng.standard_normal((k, INPUTS))) for k in (cell.n, _FRESH))
    model = network(INPUTS + 1, HIDDEN, likelihoods.Bernoulli(), rng)
    size = (INPUTS + 2) * HIDDEN
    centre = NETWORK_SCALE * rng.standard_normal(size) if centred else np.zeros(size)
    w = centre + scale * rng.standard_normal(size)
    return Taught.by(model, w, X, fresh, rng), centre, rng


def _network_scales(cell: Cell) -> Iterator[Row]:
    taught, centre, rng = _taught_network(cell, NETWORK_SCALE, centred=False)
    for step in STEPS[::4] if cell.quick else STEPS:
        scale = NETWORK_SCALE * 2.0 ** (0.5 * step)
        row = taught.network_under(scale, centre, rng, cell.quick)
        yield {"step": step, "ratio": scale / NETWORK_SCALE, **row}


def _network_centres(cell: Cell) -> Iterator[Row]:
    """At half the scale: what is known is a network that is near the teacher."""
    scale = 0.5 * NETWORK_SCALE
    taught, centre, rng = _taught_network(cell, scale, centred=True)
    for shift in NETWORK_SHIFTS[1::2] if cell.quick else NETWORK_SHIFTS:
        yield {"shift": shift, **taught.network_under(scale, shift * centre, rng, cell.quick)}
