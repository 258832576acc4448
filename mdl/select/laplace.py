"""Logistic regression near its modes under many priors, with one matrix product a Newton step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import linalg, special

from mdl.curvature import Objective
from mdl.masses import Array
from mdl.models import FeedForward
from mdl.priors import Cauchy
from mdl.quantize import UniformGrid
from mdl.select.candidates import Candidates

_NATS = 1e-12  # a step that would gain less is the last
_STEPS = 100
_INTERCEPTS = Cauchy(1.0)


class Mode(NamedTuple):
    """A linear classifier where data and prior together are shortest, its intercepts as a reader gets them; nats."""

    intercepts: float  # what telling them costs
    data: float  # -ln p(y | X, w)
    penalty: float  # ½ ‖w‖²/s²
    complexity: float  # ½ ln det(I + s²H)


def modes(candidates: Candidates) -> Iterator[Mode]:
    """Each candidate's own mode, found from its trained weights."""
    for model, strength in zip(candidates.models, candidates.strengths, strict=True):
        rounded, nats = with_told_intercepts(model, candidates.n)  # type: ignore[arg-type]
        objective = Objective(rounded, candidates.X, candidates.targets)
        told = nats if candidates.estimator.fit_intercept else 0.0  # a reader knows where there are none
        yield Mode(told, *mode_of(objective, candidates.n * strength))


def with_told_intercepts(model: FeedForward, n: int) -> tuple[FeedForward, float]:
    """Intercepts on a grid of step 2^k <= 2/√n, which n tells, and the nats of their cells under Cauchy(1).

    n examples tell a logit to no better than 2/√n, so that a cell costs the data a fraction of a bit. An integer code
    jumps by two bits from one power of two to the next; this one does not, and neighbouring strengths stay comparable.
    """
    grid = UniformGrid(math.ldexp(1.0, math.floor(math.log2(2.0 / math.sqrt(n)))))
    bias = model.weights["layers.0.bias"]
    symbols = grid.quantize(bias)
    nats = -float(_INTERCEPTS.log_mass(*grid.cell(symbols)).sum())
    tensors = {**model.weights, "layers.0.bias": np.asarray(grid.dequantize(symbols))}
    return model.with_weights(tensors), nats


def mode_of(objective: Objective, precision: float) -> tuple[float, float, float]:
    """Data, penalty and complexity of a linear classifier under N(0, 1/precision), from its own weights onwards."""
    w = objective.vector

    def nats(at: Array) -> float:
        return objective.nats(at) + 0.5 * precision * float(at @ at)

    for _ in range(_STEPS):
        factor = linalg.cholesky(hessian(objective, w) + precision * np.eye(w.size), lower=True, check_finite=False)
        slope = objective.gradient(w) + precision * w
        step = linalg.cho_solve((factor, True), slope, check_finite=False)
        gain = 0.5 * float(slope @ step)  # what the step would shorten if the function were quadratic
        if gain > _NATS:
            here = nats(w)
            while nats(w - step) > here - 0.1 * gain and float(step @ step) > 0.0:
                step *= 0.5
        w = w - step
        if gain <= _NATS:
            break
    log_det = float(np.log(np.diag(factor)).sum()) - 0.5 * w.size * math.log(precision)
    return objective.nats(w), 0.5 * precision * float(w @ w), max(log_det, 0.0)


def hessian(objective: Objective, w: Array) -> Array:
    """That of ``objective.nats`` for a linear classifier, (d, d), as ``Objective.ggn`` has it.

    Σᵢ xᵢxᵢᵀ ⊗ (diag pᵢ - pᵢpᵢᵀ) is a block a class less one product of a matrix with itself, which takes half the
    work of all pairs of classes.
    """
    X, logits = objective.X, objective.model_at(w).predict(objective.X)
    if logits.ndim == 1:
        p = special.expit(logits)
        root = X * np.sqrt(p * (1.0 - p))[:, None]
        return root.T @ root
    p = special.softmax(logits, axis=1)
    features, classes = X.shape[1], p.shape[1]
    weighted = (X[:, :, None] * p[:, None, :]).reshape(len(X), -1)
    H = -(weighted.T @ weighted)
    blocks = H.reshape(features, classes, features, classes)
    for a in range(classes):
        root = X * np.sqrt(p[:, a, None])
        blocks[:, a, :, a] += root.T @ root
    return H
