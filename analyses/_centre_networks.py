"""A perceptron whose prior is centred on zero, on a random point, and on solutions of its own and of other tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from analyses._centre_tasks import Problem, problem_of, split_of
from analyses._centred import Posterior, classes, fitted, held_out, network
from analyses._copies import copied, separation
from analyses._sampled import all_modes
from mdl.curvature import Objective
from mdl.length import LN2
from mdl.masses import Array

SIZES = {"digits": 300, "wine": 60}
HIDDEN = 8
SCALES = (0.25, 0.375, 0.5, 0.75, 1.0)
SEARCHES = 3  # for a mode, where none is known nearby
#: Small enough to sample all modes, about these centres; these also learn random labels.
SAMPLED, ASKED = "wine", ("zero", "random", "other")
_CHAINS, _HEATS = 128, 240
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Centre:
    """Where the prior is centred, and where searches for the mode start."""

    name: str
    w: Array
    starts: list[Array]


def rows(table: str, seed: int, quick: bool) -> list[Row]:
    """A row a centre."""
    rng, split = np.random.default_rng([seed, 3]), split_of(table, seed, 0.0)
    drawn = [network(split.X.shape[1] + 1, HIDDEN, classes(split.classes), rng) for _ in range(SEARCHES + 1)]
    problem = problem_of(table, seed, SIZES[table], drawn[0])
    *starts, fresh = (problem.objective.join(model.weights) for model in drawn)
    zero = min((fitted(problem.objective, 0.0, w, SCALES) for w in starts), key=lambda found: found.bits)
    shuffled = Objective(problem.objective.model, problem.objective.X, rng.permutation(problem.objective.targets))
    found = []
    for centre in _centres(problem, zero, starts, fresh, rng):
        row = _about(problem, zero, centre)
        if centre.name in ASKED:
            row |= _of_random_labels(shuffled, zero, centre)
            row |= _sampled(problem, zero, centre, rng, quick) if table == SAMPLED else {}
        if centre.name == "zero":
            row["separation"] = separation(problem.objective, zero)
        found.append(row)
    return found


def _centres(
    problem: Problem, zero: Posterior, starts: list[Array], fresh: Array, rng: np.random.Generator
) -> list[Centre]:
    """Zero and a random point have as many searches; at a solution the search starts there."""
    sources = {name: Posterior.of(task, zero.scale, 0.0, fresh).w for name, task in problem.related.items()}
    other, random = sources.pop("other"), rng.normal(size=zero.w.size)
    random *= float(np.linalg.norm(zero.w) / np.linalg.norm(random))
    copy = copied(problem.objective, other, rng.permutation(HIDDEN), rng.choice([-1.0, 1.0], HIDDEN))
    again = Posterior.of(problem.objective, zero.scale, 0.0, fresh).w
    return [
        Centre("zero", 0.0 * other, starts),
        Centre("random", random, [random, *starts[1:]]),
        Centre("other", other, [other]),
        Centre("copy", copy, [copy]),
        Centre("other, searched elsewhere", other, starts[:1]),
        Centre("own seed", again, [again]),
        *(Centre(name, w, [w]) for name, w in sources.items()),
    ]


def _about(problem: Problem, zero: Posterior, centre: Centre) -> Row:
    searched = [Posterior.of(problem.objective, zero.scale, centre.w, start) for start in centre.starts]
    found = min(searched, key=lambda one: one.bits)
    test = held_out(problem.objective.model_at(found.w), problem.X_test, problem.y_test)
    return {
        "direction": centre.name, "scale": zero.scale, "bits": found.bits, "penalty_bits": found.penalty / LN2,
        "data_bits": found.data / LN2, "complexity_bits": found.complexity / LN2, "freedom": found.freedom,
        "weights": found.w.size, "distance": float(np.linalg.norm(centre.w - zero.w)),
        "moved": float(np.linalg.norm(found.w - centre.w)), "test_bits": test.bits, "test_error": test.error,
    }  # fmt: skip


def _of_random_labels(shuffled: Objective, zero: Posterior, centre: Centre) -> Row:
    """What is left of labels in random order once they are learnt, bits an example, and how many are not fitted."""
    found = Posterior.of(shuffled, zero.scale, centre.w, centre.starts[0])
    left = held_out(shuffled.model_at(found.w), shuffled.X, shuffled.targets.astype(np.int64))
    return {"random_left_bits": left.bits, "random_error": left.error}


def _sampled(problem: Problem, zero: Posterior, centre: Centre, rng: np.random.Generator, quick: bool) -> Row:
    """The length with all modes, and the held-out loss of the average over them."""
    chains, heats = (8, 20) if quick else (_CHAINS, _HEATS)
    about = problem.objective, zero.scale, centre.w
    found = all_modes(about, problem.X_test, problem.y_test, rng, chains, heats)
    return {
        "sampled_bits": found.nats / LN2 + zero.bits - zero.evidence_bits, "averaged_test_bits": found.test_bits,
    }  # fmt: skip
