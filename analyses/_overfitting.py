"""One training set under every strength: losses, effective parameters, code lengths."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, special
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier

from analyses import _rows
from analyses._held_out import HeldOut
from analyses._nested import TRUTHS, Cell
from analyses._problems import Drawn
from mdl.curvature import Objective
from mdl.length import LN2
from mdl.masses import Array
from mdl.models import Model
from mdl.priors import Gaussian
from mdl.select.candidates import Candidates
from mdl.select.codes import code_lengths
from mdl.select.laplace import hessian
from mdl.trials import Trials

#: Per example, mean NLL + (strength/2) ||w||^2: whole decades, and half decades in the middle.
STRENGTHS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.0316228, 0.1, 0.316228, 1.0, 10.0, 100.0)
HIDDEN = 8
#: Most examples of a prequential code, which trains again and again; and of which the refined code, which takes seconds
#: a strength, is measured, with at most so many weights.
_MOST_FORECAST = {"ridge": 3000, "logistic": 300, "mlp": 30}
_REFINED_AT, _MOST_REFINED = 100, 40
_DIGITS = 6  # significant, of a number in the table


def rows(cell: Cell) -> list[dict[str, Any]]:
    """A row a strength."""
    drawn = cell.table.split(cell.n, cell.seed)
    candidates = Candidates.of(_estimator(cell), STRENGTHS, drawn.X, drawn.y, cell.seed)
    held_out = HeldOut.of(candidates, drawn)
    test, errors = held_out.each()
    found = {
        "train_bits": _train(candidates), "test_bits": test, "test_error": errors,
        "tempered_bits": _tempered(held_out), "effective": effective(candidates), **_lengths(cell, candidates),
    }  # fmt: skip
    table = pd.DataFrame(found).map(_rows.rounded, digits=_DIGITS)
    about = {
        "family": cell.family, "table": cell.table.name, "shuffled": cell.table.shuffled, "n": cell.n,
        "seed": cell.seed, "weights": _weights(candidates), "strength": STRENGTHS,
    }  # fmt: skip
    converged = [k not in candidates.unconverged for k in range(len(STRENGTHS))]
    constant = _rows.rounded(_constant(drawn, candidates), _DIGITS)
    return pd.DataFrame(about).join(table).assign(constant_bits=constant, converged=converged).to_dict("records")


def _estimator(cell: Cell) -> Any:
    if cell.family == "ridge":
        return Ridge()
    if cell.family == "logistic":
        return LogisticRegression(tol=1e-6, max_iter=5000)
    return MLPClassifier(
        (HIDDEN,), activation="tanh", solver="lbfgs", tol=1e-6, max_iter=3000, max_fun=10_000, random_state=cell.seed
    )


def _weights(candidates: Candidates) -> int:
    model = candidates.models[0]
    return sum(tensor.size for name, tensor in model.weights.items() if name not in model.free)


def effective(candidates: Candidates) -> Array:
    """Trace H(H + nλ)^-1 at each strength λ, H the curvature of the data's length in the penalised weights, (k,)."""
    if candidates.ridge:
        return candidates.spectrum.freedom(candidates.alphas)
    found = []
    for model, alpha in zip(candidates.models, candidates.alphas, strict=True):
        objective = Objective(model, candidates.X, candidates.targets)
        w = objective.vector
        bend = np.linalg.eigvalsh(hessian(objective, w) if candidates.linear else objective.ggn(w)).clip(0.0)
        found.append(float((bend / (bend + alpha)).sum()))
    return np.array(found)


def _train(candidates: Candidates) -> Array:
    """Bits an example of the targets that were learnt, under the noise that fits them; of numbers in their spreads."""
    found = []
    for model in candidates.models:
        predictions = model.predict(candidates.X)
        fitted = model.likelihood.fit(predictions, candidates.targets)
        nats = -float(np.mean(fitted.log_prob(predictions, candidates.targets)))
        found.append((nats + (0.0 if candidates.classes else math.log(candidates.precision))) / LN2)
    return np.array(found)


def _tempered(held_out: HeldOut) -> Array:
    """Held-out bits an example with the logits of each strength at the temperature best there: an oracle's, (k,)."""
    if held_out.means is not None:
        return np.full(len(held_out.log_p), np.nan)
    labels = np.arange(held_out.y.size), held_out.y

    def bits(log_times: float, log_p: Array) -> float:
        return -float(special.log_softmax(math.exp(log_times) * log_p, axis=1)[labels].mean()) / LN2

    searched = [
        optimize.minimize_scalar(bits, bounds=(-12.0, 6.0), args=(log_p,), method="bounded") for log_p in held_out.log_p
    ]
    return np.array([found.fun for found in searched])


def _constant(drawn: Drawn, candidates: Candidates) -> float:
    """Held-out bits an example of what knows no input: the classes' shares, or the mean and the spread."""
    if candidates.classes:
        shares = np.bincount(drawn.y, minlength=candidates.classes) / len(drawn.y)
        return -float(np.log2(shares[drawn.y_test]).mean())
    variance = float(np.var(drawn.y)) * (1.0 + 1.0 / len(drawn.y)) + candidates.precision**2 / 12.0
    squares = (drawn.y_test - drawn.y.mean()) ** 2
    return float(np.mean(0.5 * squares / variance) + 0.5 * math.log(2.0 * math.pi * variance)) / LN2


def _lengths(cell: Cell, candidates: Candidates) -> dict[str, Array]:
    """Bits of all targets under each code; of shuffled ones and known truths under the evidence alone.

    The codes of ``mdl.select`` tell which strength is meant. The file fits a prior of its own and tells that.
    """
    codes = {"evidence_bits": "evidence"}
    if not cell.table.shuffled and cell.table.name not in TRUTHS:
        codes |= {"lnml_bits": "lnml"} if candidates.linear else {}
        codes |= {"prequential_bits": "prequential"} if cell.n <= _MOST_FORECAST[cell.family] else {}
        small = candidates.linear and cell.n == _REFINED_AT and _weights(candidates) <= _MOST_REFINED
        codes |= {"refined_bits": "refined"} if small else {}
        files = {"two_part_bits": np.array([_file_bits(model, candidates) for model in candidates.models])}
    else:
        files = {}
    ideal = {
        column: np.array([length.comparable.bits for length in code_lengths(code, candidates)])
        for column, code in codes.items()
    }
    return {**ideal, **files}


def _file_bits(model: Model, candidates: Candidates) -> float:
    """Size of the two-part file on its best grid, under the Gaussian that fits the weights, headers left out."""
    return Trials(model, candidates.X, candidates.targets).search(Gaussian()).realise()[1].comparable.bits
