"""Models trained under L1 and under L2: does the code length of their weights tell which of the two it was?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyses import _l1, _rows
from analyses._drawn_weights import TRUTHS
from analyses._prior_lengths import DIGITS, excess_kurtosis, lengths, shortest
from mdl import datasets, training
from mdl.length import LN2
from mdl.masses import Array
from mdl.models import Model
from mdl.training import Split

PENALTIES = ("L2", "L1")
#: Whose code length each penalty is.
PRIOR_OF = {"L2": "gaussian", "L1": "laplace"}
STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
VALIDATION = 0.25  # of the training examples, by which a strength is chosen
DRAWS = 4  # from each prior, of as many weights as a model has
#: Table, model, and how many of its rows are taken; all where there is none.
CASES: tuple[tuple[str, str, int | None], ...] = (
    ("wine", "logistic", None),
    ("breast_cancer", "logistic", None),
    ("digits", "logistic", None),
    ("breast_cancer", "mlp-tanh", None),
    ("digits", "mlp-tanh", 600),
)


@dataclass(frozen=True)
class Task:
    """One split of one table under one model."""

    table: str
    model: str
    examples: int | None
    seed: int
    strengths: Sequence[float] = STRENGTHS


def rows(task: Task) -> list[dict[str, Any]]:
    """Every penalty and strength, which of them a validation set takes, and draws of as many weights."""
    split = _split(task)
    found = []
    for penalty in PENALTIES:
        taken = _chosen(task, penalty, split)
        found += [_trained(task, penalty, s, split) | {"chosen": s == taken} for s in task.strengths]
    n = found[0]["n"]
    return [_rows.kept(row, DIGITS) for row in [*found, *_controls(task, n)]]


def train(model: str, penalty: str, strength: float, seed: int, split: Split) -> tuple[Model, bool]:
    """The optimum of mean NLL + strength ||w||_1, or + (strength/2) ||w||^2, intercepts free."""
    return (_l1.train if penalty == "L1" else training.train)(model, strength, seed, split)


def weights(model: Model) -> Array:
    """All that a penalty touches, in a row."""
    return np.concatenate([model.weights[name].ravel() for name in model.weights if name not in model.free])


def _split(task: Task) -> Split:
    data = datasets.load(task.table)
    if task.examples:
        some = np.random.default_rng(task.seed).permutation(len(data.y))[: task.examples]
        data = dataclasses.replace(data, X=data.X[some], y=data.y[some])
    return Split.of(data, task.seed)


def _chosen(task: Task, penalty: str, split: Split) -> float:
    """The strength with the least loss on a validation set, which the model was not trained on."""
    from sklearn.model_selection import train_test_split

    X, X_test, y, y_test = train_test_split(
        split.X, split.y, test_size=VALIDATION, random_state=task.seed, stratify=split.y
    )
    inner = dataclasses.replace(split, X=X, y=y, X_test=X_test, y_test=y_test)
    return min(task.strengths, key=lambda s: _held_out_bits(train(task.model, penalty, s, task.seed, inner)[0], inner))


def _trained(task: Task, penalty: str, strength: float, split: Split) -> dict[str, Any]:
    model, converged = train(task.model, penalty, strength, task.seed, split)
    w = weights(model)
    row = {
        "part": "trained", "table": task.table, "model": task.model, "penalty": penalty, "strength": strength,
        "seed": task.seed, "n": w.size, "converged": converged, "zeros": float((w == 0.0).mean()),
        "held_out_bits": _held_out_bits(model, split), "kurtosis": excess_kurtosis(w), **lengths(w),
    }  # fmt: skip
    return {**row, "shortest": shortest(row)}


def _controls(task: Task, n: int) -> list[dict[str, Any]]:
    """What as many weights tell that were drawn from the two priors."""
    found = []
    for penalty, prior in PRIOR_OF.items():
        for draw in range(DRAWS):
            rng = np.random.default_rng([task.seed, draw, n, len(prior)])
            row = {"part": "control", "table": task.table, "model": task.model, "penalty": penalty, "seed": task.seed,
                   "n": n, **lengths(TRUTHS[prior][0](rng, n))}  # fmt: skip
            found.append({**row, "shortest": shortest(row)})
    return found


def _held_out_bits(model: Model, split: Split) -> float:
    """Bits a label."""
    return -float(model.likelihood.log_prob(model.predict(split.X_test), split.y_test).mean()) / LN2
