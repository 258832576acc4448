"""What moving a prior's centre does: along straight paths for linear models, to other solutions for a network."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy import special, stats

from analyses import _centre_networks, _rows
from analyses._centre_tasks import Problem, problem_of, split_of
from analyses._centred import Posterior, fitted, held_out, linear, seed_bits, sent, two_part_bits, with_constant
from analyses._sampled import Draws, forecast, sampled
from mdl import likelihoods
from mdl.curvature import Objective
from mdl.length import LN2
from mdl.masses import Array
from mdl.models import FeedForward
from mdl.priors import Gaussian

#: Tables, each with the examples learnt from; as many others are left for the solution of another split.
SIZES = {"diabetes": 100, "breast_cancer": 100, "digits": 400, "wine": 60}
RADII, FINE_RADII = (0.0, 0.5, 1.0, 2.0, 4.0), (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
DRAWS, FINE_DRAWS = 2, 4  # random directions a split
FEATURES, SMALL_SCALE = 5, 1.0  # where all labellings are tried
_QUICK_EXAMPLES, _EXAMPLES = 4, 8  # there
_FAST = ("diabetes", "breast_cancer")  # tables whose lengths take little time
_DRAWS = 4000  # from a posterior, to check Laplace's method
_DIGITS = 12  # significant, of a number in the table: invariances are seen there
Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One part of the measurements on one split of one table."""

    part: str
    table: str
    seed: int
    quick: bool = False

    @property
    def fine(self) -> bool:
        """Whether more centres are tried."""
        return self.table in _FAST and not self.quick


def rows(cell: Cell) -> list[Row]:
    """What is measured there."""
    about = {"part": cell.part, "table": cell.table, "seed": cell.seed}
    found = {"paths": _paths, "labellings": _labellings, "network": _network}[cell.part](cell)
    return [{**about, **_rows.kept(row, _DIGITS)} for row in found]


def _network(cell: Cell) -> list[Row]:
    return _centre_networks.rows(cell.table, cell.seed, cell.quick)


# --- paths ------------------------------------------------------------------------------------------------------------


def _paths(cell: Cell) -> list[Row]:
    """From zero straight in some direction, in multiples of the length of the solution about zero."""
    problem = problem_of(cell.table, cell.seed, SIZES[cell.table])
    zero = fitted(problem.objective)
    size = float(np.linalg.norm(zero.w))
    found = []
    for where in _directions(cell, problem, zero):
        for radius in FINE_RADII if cell.fine else RADII:
            about = {"direction": where.name, "draw": where.draw, "radius": radius}
            row = {**about, **_at(problem, zero, radius * size * where.unit)}
            if radius == 1.0:
                row |= _priced(problem, zero, size * where.unit, where)
                row |= _rescaled(problem, size * where.unit) if cell.table in _FAST else {}
                row["angle_cosine"] = float(where.unit @ zero.w) / size
            if isinstance(problem.objective.model.likelihood, likelihoods.Bernoulli):
                row |= _checked(cell, problem, zero, radius * size * where.unit)
            found.append(row)
    return found


@dataclass(frozen=True, eq=False)
class Direction:
    """Where a centre is moved to, and what the labels take that a decoder could find it from."""

    name: str
    draw: int
    unit: Array
    labels_bits: float


def _directions(cell: Cell, problem: Problem, zero: Posterior) -> list[Direction]:
    rng = np.random.default_rng([cell.seed, 1])
    random = [rng.normal(size=zero.w.size) for _ in range(FINE_DRAWS if cell.fine else DRAWS)]
    found: dict[tuple[str, int], tuple[Array, float]] = {("random", k): (w, math.nan) for k, w in enumerate(random)}
    found["own", 0] = zero.w, zero.bits
    for name, objective in problem.related.items():
        source = Posterior.of(objective, zero.scale)
        found[name, 0] = source.w, source.bits
    other, bits = found["other", 0]
    found["opposite", 0] = -other, bits
    if problem.objective.outputs > 1:
        renamed = other.reshape(-1, problem.objective.outputs)[:, rng.permutation(problem.objective.outputs)]
        found["renamed", 0] = renamed.ravel(), bits
    return [Direction(name, k, w / np.linalg.norm(w), bits) for (name, k), (w, bits) in found.items()]


def _at(problem: Problem, zero: Posterior, centre: Array) -> Row:
    """Length, its parts, capacity and held-out loss about one centre under the prior of zero."""
    objective = problem.objective
    found = Posterior.of(objective, zero.scale, centre, zero.w)
    test = held_out(objective.model_at(found.w), problem.X_test, problem.y_test)
    row = {
        "scale": zero.scale, "bits": found.bits, "penalty_bits": found.penalty / LN2, "data_bits": found.data / LN2,
        "complexity_bits": found.complexity / LN2, "freedom": found.freedom, "weights": objective.size,
        "derived_bits": zero.bits + _derived(objective, zero, centre) / LN2,
        "distance": float(np.linalg.norm(centre - zero.w)), "test_bits": test.bits, "test_error": test.error,
    }  # fmt: skip
    if isinstance(objective.model.likelihood, likelihoods.Gaussian):
        dense = dense_nats(objective, zero.scale, centre)
        row["dense_complexity_bits"] = (dense - found.penalty - found.data) / LN2
    return row


def _derived(objective: Objective, zero: Posterior, centre: Array) -> float:
    """What a centre adds, to second order about zero: cᵀMc/2 - wᵀc/s², M = H(H + I/s²)^-1/s², nats."""
    values, vectors = _decomposed(objective, zero)
    along = vectors.T @ centre
    share = values / (values + zero.scale**-2)
    return float(0.5 * share @ along**2 - zero.w @ centre) / zero.scale**2


@functools.lru_cache(maxsize=1)
def _decomposed(objective: Objective, zero: Posterior) -> tuple[Array, Array]:
    values, vectors = np.linalg.eigh(objective.ggn(zero.w))
    return np.maximum(values, 0.0), vectors


def dense_nats(objective: Objective, scale: float, centre: Array) -> float:
    """-ln N(y; Xc, s²XXᵀ + noise² I) in cells of the targets' precision: ridge's evidence without any mode."""
    X, likelihood = objective.X, cast(likelihoods.Gaussian, objective.model.likelihood)
    covariance = scale**2 * X @ X.T + (likelihood.scale or 1.0) ** 2 * np.eye(len(X))
    density = stats.multivariate_normal(X @ centre, covariance).logpdf(objective.targets)
    return -float(density) - len(X) * math.log(likelihood.precision)


def _checked(cell: Cell, problem: Problem, zero: Posterior, centre: Array) -> Row:
    """By importance sampling: the length, and the held-out loss of the average over the posterior.

    And the length of the same examples with both classes' names exchanged.
    """
    own, rng = problem.objective, np.random.default_rng([cell.seed, 6])
    exchanged = Objective(own.model, own.X, 1 - own.targets.astype(int))
    found = Posterior.of(own, zero.scale, centre, zero.w)
    draws = Draws.about(own, found, _DRAWS, rng)
    posterior = sampled(draws, Gaussian(zero.scale).logpdf(draws.w - centre).sum(axis=1))
    p = forecast(own, draws.w, posterior.weights, problem.X_test)
    return {
        "sampled_bits": posterior.nats / LN2 + found.bits - found.evidence_bits, "effective": posterior.effective,
        "averaged_test_bits": -float(np.log2(np.where(problem.y_test > 0, p, 1.0 - p)).mean()),
        "exchanged_bits": Posterior.of(exchanged, zero.scale, -centre).bits,
    }  # fmt: skip


def _priced(problem: Problem, zero: Posterior, centre: Array, where: Direction) -> Row:
    """Two parts about it, and what it costs: a seed, or weights, or the labels that it was learnt from."""
    objective = problem.objective
    about = Posterior.of(objective, zero.scale, centre, zero.w)
    row = {
        "two_part_bits": two_part_bits(objective, about, centre),
        "zero_two_part_bits": two_part_bits(objective, zero, np.zeros(objective.size)),
        "labels_bits": where.labels_bits,
    }  # fmt: skip
    if where.name == "random":
        cost = seed_bits(where.draw, float(np.linalg.norm(centre)))
        return {**row, "centre_bits": cost, "sent_bits": cost + about.bits}
    message = sent(objective, [zero], centre)
    return {**row, "centre_bits": message.centre, "sent_bits": message.total}


def _rescaled(problem: Problem, centre: Array) -> Row:
    """About it with the scale that is best there."""
    found = fitted(problem.objective, centre)
    test = held_out(problem.objective.model_at(found.w), problem.X_test, problem.y_test)
    return {"own_scale": found.scale, "own_scale_bits": found.bits, "own_scale_test_bits": test.bits}


# --- all labellings ---------------------------------------------------------------------------------------------------


def _labellings(cell: Cell) -> list[Row]:
    """Luckiness NML of logistic regression on few examples, its normaliser summed over all labellings."""
    split, rng = split_of(cell.table, cell.seed, 0.0), np.random.default_rng([cell.seed, 2])
    examples = _QUICK_EXAMPLES if cell.quick else _EXAMPLES
    X, y = with_constant(split.X[:examples, :FEATURES]), split.y[:examples]
    model = linear(X.shape[1], likelihoods.Bernoulli())
    own = Posterior.of(Objective(model, X, y), SMALL_SCALE).w
    size = float(np.linalg.norm(own))
    directions = {"own": own, **{f"random {k}": rng.normal(size=own.size) for k in range(2)}}
    found = []
    for name, direction in directions.items():
        for radius in RADII:
            centre = radius * size * direction / np.linalg.norm(direction)
            about = Posterior.of(Objective(model, X, y), SMALL_SCALE, centre)
            found.append({
                "direction": name.split()[0], "draw": int(name[-1]) if name[-1].isdigit() else 0, "radius": radius,
                "scale": SMALL_SCALE, "lnml_complexity_bits": labelling_complexity(model, X, SMALL_SCALE, centre) / LN2,
                "complexity_bits": about.complexity / LN2, "freedom": about.freedom, "weights": own.size,
                "examples": len(y),
            })  # fmt: skip
    return found


def labelling_complexity(model: FeedForward, X: Array, scale: float, centre: Array) -> float:
    """Ln Σ_y max_w p(y | w) exp(-‖w - centre‖²/2s²) over all labellings of two classes, nats."""
    nats = []
    for labels in itertools.product((0, 1), repeat=len(X)):
        found = Posterior.of(Objective(model, X, np.array(labels)), scale, centre)
        nats.append(found.data + found.penalty)
    return float(special.logsumexp(-np.array(nats)))
