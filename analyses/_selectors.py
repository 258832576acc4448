"""What the leaderboard compares: every code of ``mdl.select``, and what people use instead of a code.

A selector gives each strength a number of nats for all n examples, the smaller the better.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from sklearn.linear_model import RidgeCV

from mdl.lengths.variational import variational
from mdl.masses import Array
from mdl.select.candidates import Candidates
from mdl.select.codes import CODES, code_lengths
from mdl.select.held_out import dealt, held_out

Selector = Callable[[Candidates], Array]

#: The peer that a code has to beat.
PEER = "cv-10"
#: Those that take long, with the most examples and weights that they are measured for.
SLOW = {"lattice": (60, 15), "refined": (60, 15), "variational": (60, 15), "two-part-fitted": (60, 200)}


def selectors(family: str) -> dict[str, Selector]:
    """All that are defined for a family of models, by name; cross-validation first."""
    found: dict[str, Selector] = {
        PEER: partial(_cross_validation, folds=10),
        "cv-5": partial(_cross_validation, folds=5),
        "hold-out": _hold_out,
        **{name: partial(_code, name) for name in CODES},
        "variational": _variational,
    }
    if family != "ridge":
        del found["prac-mdl-comp"]
        found["cv-10, one error"] = _one_standard_error
    else:
        found |= {"gcv": _generalised, "loo": _leave_one_out}
    if family == "mlp":
        del found["lnml"], found["cv-10, one error"]
    return found


def _code(name: str, candidates: Candidates) -> Array:
    return np.array([length.comparable.nats for length in code_lengths(name, candidates)])


def _cross_validation(candidates: Candidates, folds: int) -> Array:
    """Stratified folds; log loss, or for a regression the logarithm of the squared error, which orders as it does."""
    return held_out(candidates, dealt(candidates, min(folds, candidates.n)))


def _hold_out(candidates: Candidates) -> Array:
    """One fifth is forecast by what was trained on the others."""
    part = dealt(candidates, 5)[0]
    return held_out(candidates, [part]) * candidates.n / part.size


def _one_standard_error(candidates: Candidates) -> Array:
    """The strongest penalty whose ten-fold score is within one standard error of the best; 0 there, 1 elsewhere."""
    parts = dealt(candidates, 10)
    means = np.stack([held_out(candidates, [part]) / part.size for part in parts])
    mean, best = means.mean(axis=0), int(means.mean(axis=0).argmin())
    error = means[:, best].std(ddof=1) / np.sqrt(len(parts))
    return (np.arange(mean.size) != np.flatnonzero(mean <= mean[best] + error)[-1]).astype(float)


def _generalised(candidates: Candidates) -> Array:
    """Generalised cross-validation of ridge, as half n times the logarithm of its squared error."""
    residual, _, _ = candidates.spectrum.terms(candidates.alphas)
    left = np.maximum(candidates.n - 1.0 - candidates.spectrum.freedom(candidates.alphas), 1e-9)
    return 0.5 * candidates.n * np.log(residual * candidates.n / left**2 + 1e-300)


def _leave_one_out(candidates: Candidates) -> Array:
    """Leave-one-out of ridge, scikit-learn's own, likewise."""
    found = RidgeCV(candidates.alphas, store_cv_results=True).fit(candidates.X, candidates.y)
    return 0.5 * candidates.n * np.log(found.cv_results_.mean(axis=0))


def _variational(candidates: Candidates) -> Array:
    pairs = zip(candidates.models, candidates.priors, strict=True)
    lengths = [variational(model, candidates.X, candidates.targets, prior) for model, prior in pairs]
    return np.array([length.comparable.nats - length.part("prior") for length in lengths])
