"""Classifiers trained without a penalty, under L2 and under L1 by one optimiser from one start: L-BFGS-B."""

from __future__ import annotations

from collections.abc import Callable, Collection

from analyses._l1 import Problem, minimum
from analyses._l1 import optimum as l1_optimum
from mdl.masses import Array
from mdl.models import FeedForward

PENALTIES = ("none", "L2", "L1")


def optimum(problem: Problem, penalty: str, strength: float, iterations: int) -> tuple[FeedForward, bool]:
    """A minimum of mean NLL + (strength/2) ||w||² or + strength ||w||_1, and whether the gradient vanished."""
    if penalty == "L1":
        return l1_optimum(problem, strength, iterations)
    found = minimum(_smooth(problem, strength), problem.start, iterations)
    return problem.network(found.x), bool(found.nit < iterations)


def stopped(problem: Problem, iterations: Collection[int]) -> dict[int, FeedForward]:
    """What the optimiser has without a penalty after so many iterations, those that it makes."""
    kept: dict[int, FeedForward] = {}
    count = 0

    def keep(at: Array) -> None:
        nonlocal count
        count += 1
        if count in iterations:
            kept[count] = problem.network(at)

    minimum(_smooth(problem, 0.0), problem.start, max(iterations), callback=keep)
    return kept


def _smooth(problem: Problem, strength: float) -> Callable[[Array], tuple[float, Array]]:
    """The mean loss and its gradient under L2; what is neither penalised nor free stays as it is."""
    n, pull, moved = len(problem.objective.X), strength * problem.penalised, problem.penalised | problem.free

    def loss(w: Array) -> tuple[float, Array]:
        slope = problem.objective.gradient(w) / n * moved
        return problem.objective.nats(w) / n + 0.5 * float(pull @ w**2), slope + pull * w

    return loss
