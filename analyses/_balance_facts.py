"""What holds exactly of balance, as the largest deviation from it; and what balance costs in code length."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from analyses import _rows
from analyses._balance import Cell, at, bits, contributions, loss_share, participation, prepared
from analyses._dialled import EXAMPLES, INPUTS, Draw, lasso_at, ridge
from analyses._l1 import Problem
from analyses._penalty_paths import optimum, stopped
from mdl.curvature.objective import Objective
from mdl.length import LN2
from mdl.lengths.evidence import evidence
from mdl.masses import Array
from mdl.priors import Gaussian, Laplace
from mdl.training import Split
from mdl.trials import Trials

COPIED = ("wine", "breast_cancer")  # tables of which every input is there twice
STRENGTH = 0.03  # of L2, on models whose inputs are copied
#: Participation ratio of all weights at which Gaussian and Laplace priors are equally good.
EQUAL = math.pi / (2.0 * math.e)
_SCALE = 0.5  # of the prior of the evidence
_ALPHAS = (0.01, 1.0, 100.0)
_UNITS, _ITERATIONS = 8, 3000  # hidden units, and steps of the optimiser, where an input is there twice
_LONGER = 4  # times as many steps of the optimiser
_SMALLER = 0.03  # of a network's usual start
LEVEL = 0.1  # of training loss over the constant forecast's, where starts are compared
_DIGITS = 6


def facts(seed: int) -> list[dict[str, Any]]:
    """What holds exactly, as the largest deviation from it; and the lengths of one vector's rivals."""
    found = {
        **_copies(seed), **_orthonormal(seed), **_in_models(seed), **_units(seed), **_rotated(seed), **_densities(seed),
        **{f"{table}_{name}": value for table in COPIED for name, value in _messages(table, seed).items()},
    }  # fmt: skip
    return [
        _rows.kept({"part": "facts", "seed": seed, "fact": name, "value": value}, _DIGITS)
        for name, value in found.items()
    ]


def _copies(seed: int) -> dict[str, float]:
    """A column twice and three times: copies have equal weights under L2, and any split is as good under L1."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((EXAMPLES, 4))
    y = X @ np.array([2.0, 1.0, 0.0, -1.0]) + rng.standard_normal(EXAMPLES)
    doubled = np.column_stack([X, X[:, 0], X[:, 0]])
    apart, merged = [], []
    for alpha in _ALPHAS:
        w = ridge(doubled, y, alpha)
        apart.append(float(np.ptp(w[[0, 4, 5]]) / abs(w[0])))
        scaled = ridge(np.column_stack([np.sqrt(3.0) * X[:, 0], X[:, 1:]]), y, alpha)
        merged.append(float(abs(w[[0, 4, 5]].sum() / (np.sqrt(3.0) * scaled[0]) - 1.0)))
    even, odd = np.full(3, 1.0 / 3.0), np.array([1.0, 0.0, 0.0])
    return {
        "copies_apart": max(apart), "copies_merged": max(merged),
        "l1_of_splits": float(abs(np.abs(even).sum() - np.abs(odd).sum())),
        "l2_of_splits": float(np.square(odd).sum() / np.square(even).sum()),
    }  # fmt: skip


def _orthonormal(seed: int) -> dict[str, float]:
    """Uncorrelated inputs of one variance: L2 shrinks all weights alike, L1 shrinks all by as much."""
    rng = np.random.default_rng(seed)
    X = np.linalg.qr(rng.standard_normal((EXAMPLES, INPUTS)))[0]
    y = X @ rng.standard_normal(INPUTS) + 0.1 * rng.standard_normal(EXAMPLES)
    free = X.T @ y
    changes = [abs(float(participation(ridge(X, y, a)) / participation(free)) - 1.0) for a in _ALPHAS]
    cut = np.quantile(np.abs(free), 0.5)
    soft = np.sign(free) * np.maximum(np.abs(free) - cut, 0.0)
    level = float(np.square(y - X @ soft).sum())
    return {
        "orthonormal_change": max(changes), "orthonormal_pr": float(participation(free)),
        "orthonormal_l1_pr": float(participation(soft)),
        "soft_threshold": float(np.abs(lasso_at(X, y, level) - soft).max()),
    }  # fmt: skip


def _in_models(seed: int) -> dict[str, float]:
    """A model and a network trained under L2 on a table with one input twice; and the bound for similar inputs.

    Without a penalty every step of the optimiser is a sum of gradients, which are the same for copies: what their
    weights differ by at the start they differ by at the end.

    Where the gradient vanishes, a weight is the mean over examples of input times what arrives at the neuron, over the
    strength: copies have the same, and others differ by at most |what arrives| |x_i - x_k| / (n strength), as in the
    grouping effect of H. Zou & T. Hastie, Regularization and variable selection via the elastic net, JRSS B 67 (2005).
    """
    split = _table("wine", seed)
    X, X_test = (np.column_stack([Z, Z[:, 0]]) for Z in (split.X, split.X_test))
    twice = replace(split, X=X, X_test=X_test)
    problem, start = Problem.of("logistic", seed, twice), np.random.default_rng([seed, 2])
    problem = replace(problem, start=start.standard_normal(problem.start.size))  # from zero copies would stay alike
    softmax = optimum(problem, "L2", STRENGTH, _ITERATIONS)[0]
    free = np.asarray(optimum(problem, "L2", 0.0, 30)[0].weights["layers.0.weight"])
    begun = np.asarray(problem.network(problem.start).weights["layers.0.weight"])
    network = optimum(Problem.of("mlp-relu", seed, twice, _UNITS), "L2", STRENGTH, _ITERATIONS)[0]
    w, inner = (np.asarray(model.weights["layers.0.weight"]) for model in (softmax, network))
    objective = Objective(softmax, X, twice.y)
    arriving = np.linalg.norm(objective.link.slope(softmax.predict(X), objective.targets), axis=0)
    apart = np.linalg.norm(X[:, :, None] - X[:, None, :], axis=0)
    bound = arriving * apart[:, :, None] / (len(X) * STRENGTH)
    others = apart > 0.0
    return {
        "softmax_copies_apart": float(np.abs(w[0] - w[-1]).max() / np.abs(w).max()),
        "network_copies_apart": float(np.abs(inner[0] - inner[-1]).max() / np.abs(inner).max()),
        "free_difference_moved": float(np.abs((free[0] - free[-1]) - (begun[0] - begun[-1])).max()),
        "free_moved": float(np.abs(free[0] - begun[0]).max()),
        "free_copies_apart": float(np.abs(free[0] - free[-1]).max() / np.abs(free).max()),
        "bound_used": float((np.abs(w[:, None] - w[None])[others] / bound[others]).max()),
    }


def _units(seed: int) -> dict[str, float]:
    """Inputs in other units with weights to match: scores and contributions stay, the ratio of weights does not."""
    rng = np.random.default_rng(seed)
    X, w = rng.standard_normal((EXAMPLES, INPUTS)), rng.standard_normal(INPUTS)
    units = np.logspace(-2.0, 2.0, INPUTS)
    other, there = X * units, w / units
    ratios = [float(participation(v * Z.std(axis=0))) for v, Z in ((w, X), (there, other))]
    return {
        "units_scores": float(np.abs(other @ there - X @ w).max()), "units_contributions": abs(ratios[0] - ratios[1]),
        "units_pr": float(participation(w)), "units_other_pr": float(participation(there)),
    }  # fmt: skip


def _rotated(seed: int) -> dict[str, float]:
    """The table of one true input in rotated coordinates, where every coordinate is a mixture of inputs.

    L2 finds the same function, whose ratio is another; L1 finds another function.

    References
    ----------
    A. Ng, Feature selection, L1 vs. L2 regularization, and rotational invariance, ICML (2004).
    """
    X, y = Draw(0.0, "one", seed).data()
    turn = np.linalg.qr(np.random.default_rng([seed, 1]).standard_normal((INPUTS, INPUTS)))[0]
    level = 0.5 * float(y @ y)
    here, there = (ridge(Z, y, 10.0) for Z in (X, X @ turn))
    sparse, other = (lasso_at(Z, y, level) for Z in (X, X @ turn))
    return {
        "rotation_l2_moved": float(np.abs(X @ (turn @ there - here)).max()),
        "rotation_l1_moved": float(np.abs(X @ (turn @ other - sparse)).max()),
        "rotation_pr": float(participation(here)), "rotation_other_pr": float(participation(there)),
    }  # fmt: skip


def _densities(seed: int) -> dict[str, float]:
    """-ln density, bits: of two vectors of one norm, one weight has it all or all are equal; and of random weights.

    The latter under priors whose scales are fitted: what the Laplace prior saves is a function of the ratio alone.
    """
    one, even = np.eye(INPUTS)[0], np.full(INPUTS, INPUTS**-0.5)
    found = {
        f"{name}_even_over_one_bits": _minus_log2(prior, even) - _minus_log2(prior, one)
        for name, prior in {"gaussian": Gaussian(0.3), "laplace": Laplace(0.3)}.items()
    }
    w = np.random.default_rng(seed).standard_t(3.0, size=100)
    fitted = Gaussian(float(np.sqrt((w**2).mean()))), Laplace(float(np.abs(w).mean()))
    gaussian, laplace = (_minus_log2(prior, w) for prior in fitted)
    saved = w.size * saved_by_laplace(float(participation(w)))
    return found | {"law_error_bits": abs(gaussian - laplace - saved), "law_saved_bits": gaussian - laplace}


def _minus_log2(prior: Gaussian | Laplace, w: Array) -> float:
    return -float(np.asarray(prior.logpdf(w)).sum()) / LN2


def saved_by_laplace(ratio: Any) -> Any:
    """Bits a weight that a Laplace prior saves over a Gaussian one, both with the scale of greatest likelihood.

    These give 1/2 ln(2πe mean w²) and ln(2e mean |w|) nats a weight, and the ratio is (mean |w|)² / mean w².
    """
    return 0.5 * np.log2(EQUAL / ratio)


def _table(name: str, seed: int) -> Split:
    return prepared(Cell(name, 0, "standardised", "true", seed, (), (), (), 0, lengths=False))


def _messages(table: str, seed: int) -> dict[str, float]:
    """Every input twice: copies that share their weight, as L2 has them, over one that has it all; the same function.

    By the penalty itself, and by the shortest messages in two parts. What the evidence is about, the inputs once and
    twice, is the same where the prior's variance is halved.
    """
    split = _table(table, seed)
    twice = replace(split, X=np.hstack([split.X, split.X]))
    even = optimum(Problem.of("logistic", seed, twice), "L2", STRENGTH, _ITERATIONS)[0]
    name, weight = "layers.0.weight", np.asarray(even.weights["layers.0.weight"])
    half = len(weight) // 2
    both = weight[:half] + weight[half:]
    one = even.with_weights({**even.weights, name: np.vstack([both, np.zeros_like(both)])})
    found = {"copies_penalty_bits": 0.5 * len(split.y) * STRENGTH * float((weight**2).sum() - (both**2).sum()) / LN2}
    for prior in (Gaussian(), Laplace()):
        lengths = [Trials(model, twice.X, twice.y).search(prior).ideal().comparable.bits for model in (even, one)]
        found[f"copies_{type(prior).__name__.lower()}_bits"] = lengths[0] - lengths[1]
    return (
        found
        | _evidences(split, twice, seed)
        | {"copies_function": abs(bits(even, twice.X, twice.y) - bits(one, twice.X, twice.y))}
    )


def _evidences(once: Split, twice: Split, seed: int) -> dict[str, float]:
    nats = []
    for split, scale in ((once, _SCALE), (twice, _SCALE / math.sqrt(2.0))):
        problem = Problem.of("logistic", seed, split)
        parts = evidence(problem.network(problem.start), split.X, split.y, Gaussian(scale)).part_bits()
        nats.append(parts["weights"] + parts["data"])
    return {"copies_evidence": abs(nats[0] - nats[1])}


def longer(cell: Cell) -> list[dict[str, Any]]:
    """How the balance of a network's hidden units changes where the optimiser may make more steps, under L2."""
    split = prepared(cell)
    problem = Problem.of("mlp-relu", cell.seed, split, cell.hidden)
    found = []
    for strength in cell.l2:
        models = [optimum(problem, "L2", strength, count)[0] for count in (cell.most, _LONGER * cell.most)]
        ratios = [participation(contributions(model.weights["layers.0.weight"], split.X)).mean() for model in models]
        about = {"part": "longer", "table": cell.table, "seed": cell.seed, "penalty": "L2", "setting": strength}
        found.append(_rows.kept({**about, "pr": float(ratios[0]), "longer_pr": float(ratios[1])}, _DIGITS))
    return found


def starts(cell: Cell) -> list[dict[str, Any]]:
    """Balance of a network's hidden units without a penalty, from its usual start and from a small one."""
    split = prepared(cell)
    usual = Problem.of("mlp-relu", cell.seed, split, cell.hidden)
    row: dict[str, Any] = {"part": "starts", "table": cell.table, "seed": cell.seed, "penalty": "none"}
    for name, size in {"pr": 1.0, "small_start_pr": _SMALLER}.items():
        problem = replace(usual, start=np.where(usual.penalised, size, 1.0) * usual.start)
        models = stopped(problem, cell.iterations).values()
        ratios = [participation(contributions(model.weights["layers.0.weight"], split.X)).mean() for model in models]
        row[name] = float(at(np.array([loss_share(m, split) for m in models]), np.array(ratios), np.array([LEVEL]))[0])
    return [_rows.kept(row, _DIGITS)]
