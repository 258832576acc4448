"""What the hidden units of one network do with the data, what it takes to send it, and what rescaling units changes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg, optimize

import mdl
from analyses import _measures as measures
from analyses import _rows
from analyses._files import files
from mdl import datasets, training
from mdl.curvature import Objective
from mdl.masses import Array
from mdl.models import FeedForward
from mdl.training import Split
from mdl.trials import Trials

FLAT = 0.1  # of the steepest slope: a unit with less is saturated, or under ReLU inactive
SPREADS = (0.5, 1.0, 2.0)  # standard deviations of the logarithms of random factors, one a unit
FACTORS = (0.125, 0.25, 0.5, 2.0, 4.0, 8.0)  # of all units alike
_DIGITS = 6  # significant, of a number in the table
_SCALES = 12.0  # nats either way of the root mean square that a scale is searched


@dataclass(frozen=True)
class Cell:
    """One network; with ``rescale``, and if it is one of ReLU units, its rescalings too."""

    table: str
    model: str
    strength: float
    seed: int
    rescale: bool


def rows(cell: Cell) -> list[dict[str, object]]:
    """A row for the network and one for each rescaling of it."""
    split = Split.of(datasets.load(cell.table), cell.seed)
    model, converged = training.train(cell.model, cell.strength, cell.seed, split)
    hidden = isinstance(model, FeedForward) and model.depth > 1
    about = {"model": cell.model, "strength": cell.strength, "seed": cell.seed}
    found = [
        {"kind": "network", **about, "n": len(split.y), "converged": converged, **_quality(model, split),
         **_weights(model, split, cell.strength), **(_behaviour(model, split, cell.strength) if hidden else {})}
    ]  # fmt: skip
    if cell.rescale and cell.model == "mlp-relu":
        found += [{"kind": "rescaled", **about, **row} for row in _rescalings(model, split, cell)]
    return [_rows.kept(row, _DIGITS) for row in found]


def _quality(model: Any, split: Split) -> dict[str, float]:
    test = -np.asarray(model.likelihood.log_prob(model.predict(split.X_test), split.y_test))
    train = -np.asarray(model.likelihood.log_prob(model.predict(split.X), split.y))
    wrong = measures.logits(model, split.X_test).argmax(axis=1) != split.y_test
    return {
        "train_bits": float(train.mean()) / measures.LN2, "test_bits": float(test.mean()) / measures.LN2,
        "test_error": float(wrong.mean()),
    }  # fmt: skip


def _weights(model: Any, split: Split, strength: float) -> dict[str, float]:
    """The norm, and what the weights take; totals too."""
    chosen = files(Trials(model, split.X, split.y), model)
    trained = mdl.Gaussian(1.0 / math.sqrt(len(split.y) * strength))
    evidence = mdl.evidence(model, split.X, split.y, trained, curvature="kronecker")
    return {
        "squared_norm": measures.squared_norm(model),
        "faithful_bits": chosen.faithful.comparable.bits,
        "faithful_weights_bits": chosen.faithful.part_bits()["weights"],
        "evidence_bits": evidence.bits,
        "evidence_weights_bits": evidence.part_bits()["weights"],
    }


# --- units ------------------------------------------------------------------------------------------------------------


def _behaviour(model: FeedForward, split: Split, strength: float) -> dict[str, float]:
    """Means over units count each by the variance that it adds to the scores."""
    a = list(measures.layer_inputs(model, split.X).values())[1]
    adds = a.var(axis=0) * (measures.matrices(model)[1] ** 2).sum(axis=1)
    share = adds / adds.sum() if adds.any() else np.full(adds.size, 1.0 / adds.size)
    flat = (measures.relative_slopes(model, split.X) < FLAT).mean(axis=0)
    uneven, left = measures.imbalance(model, split.X, split.y, strength)
    size = sum(norm**2 for norm in measures.unit_norms(model))
    active = (measures.preactivations(model, split.X)[0] > 0.0).mean(axis=0)
    return {
        "bend": float(share @ measures.bend(model, split.X)),
        "flat": float(share @ flat),
        "unlinear": measures.unlinear(model, split.X, split.X_test),
        "gradient": float(np.sqrt(np.mean(measures.example_gradients(model, split.X, split.y) ** 2))),
        "patterns": measures.patterns(model, split.X) / len(split.y),
        "minority": float(share @ np.minimum(active, 1.0 - active)),
        "imbalance": float(np.abs(uneven).max() / size.max()),
        "unfinished": float(np.abs(left).max() / size.max()),
        "unexplained": float(np.abs(uneven - left).max() / size.max()),
    }


# --- rescaling --------------------------------------------------------------------------------------------------------


def _rescalings(model: FeedForward, split: Split, cell: Cell) -> list[dict[str, object]]:
    """As trained, by random factors a unit, balanced again, and by one factor of the whole layer."""
    units = measures.unit_norms(model)[0].size
    random = np.random.default_rng([cell.seed, 2]).standard_normal(units)
    changed: dict[tuple[str, float], FeedForward] = {("trained", 1.0): model}
    changed |= {("units", spread): measures.rescaled(model, np.exp(spread * random)) for spread in SPREADS}
    changed["balanced", SPREADS[-1]] = measures.balanced(changed["units", SPREADS[-1]])
    changed |= {("layer", factor): measures.rescaled(model, np.full(units, factor)) for factor in FACTORS}
    before = model.predict(split.X_test)
    return [
        {"rescaling": kind, "size": size, "moved": float(np.abs(other.predict(split.X_test) - before).max()),
         **_measured(other, split, cell.strength)}
        for (kind, size), other in changed.items()
    ]  # fmt: skip


def _measured(model: FeedForward, split: Split, strength: float) -> dict[str, float]:
    X, y = split.X, split.y
    trials = Trials(model, X, y)
    chosen = files(trials, model)
    weights, diagonal = measures.curvature(model, X, y)
    trained = mdl.Gaussian(1.0 / math.sqrt(len(y) * strength))
    return {
        "squared_norm": measures.squared_norm(model),
        "path_norm": measures.path_norm(model),
        "spectral": measures.spectral_product(model),
        "trace": float(diagonal.sum()) / len(y),
        "fisher_rao": measures.fisher_rao(model, X, y) / len(y),
        "patterns": measures.patterns(model, X) / len(y),
        "data_bits": _quality(model, split)["train_bits"] * len(y),
        "uniform_bits": split.uniform_bits,
        "relative_precision_bits": measures.relative_precision_bits(weights, diagonal),
        "two_part_bits": trials.search(mdl.Gaussian(), chosen.near).ideal().comparable.bits,
        "one_step_bits": chosen.one_step.comparable.bits,
        "faithful_bits": chosen.faithful.comparable.bits,
        "evidence_trained_bits": mdl.evidence(model, X, y, trained, curvature="kronecker").bits,
        "evidence_bits": mdl.evidence(model, X, y, curvature="kronecker").bits,
        "evidence_tensor_bits": evidence_a_scale_a_tensor(model, X, y),
    }


def evidence_a_scale_a_tensor(model: FeedForward, X: Array, y: Any) -> float:
    """Laplace evidence with Kronecker factors and the best scale of a Gaussian prior for each tensor, bits.

    Biases are as they are, and what they and the scales take is left out.
    """
    objective = Objective(model, X, y)
    w = objective.vector
    nats = objective.nats(w)
    factors, tensors = objective.kronecker(w), objective.split(w)
    for name, tensor in tensors.items():
        a, b = (np.maximum(linalg.eigvalsh(factor), 0.0) for factor in factors[name])
        nats += least_over_scales(float((tensor**2).sum()), tensor.size, np.outer(a, b).ravel())
    return nats / measures.LN2


def least_over_scales(square: float, size: int, eigenvalues: Array) -> float:
    """Min over s of square/2s² + ½ Σ ln(1 + s² eigenvalue), nats."""
    start = 0.5 * math.log(square / size) if square > 0.0 else 0.0

    def nats(log_scale: float) -> float:
        variance = math.exp(2.0 * log_scale)
        return 0.5 * square / variance + 0.5 * float(np.log1p(variance * eigenvalues).sum())

    bounds = (start - _SCALES, start + _SCALES)
    return float(optimize.minimize_scalar(nats, bounds=bounds, method="bounded", options={"xatol": 1e-6}).fun)
