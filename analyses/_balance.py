"""How evenly neurons use their inputs: participation ratios, correlated pairs, what the strongest input is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analyses import _rows
from analyses._l1 import Problem
from analyses._penalty_paths import PENALTIES, optimum, stopped
from mdl import datasets
from mdl.curvature.objective import layer_inputs
from mdl.length import LN2
from mdl.masses import Array
from mdl.models import FeedForward
from mdl.priors import Gaussian, Laplace
from mdl.training import Split
from mdl.trials import Trials

ALIKE, APART = 0.8, 0.2  # correlations, without sign, of pairs of inputs that are near copies, and that are not
NEURONS = 8  # fewest among which ranks are compared
_DRAWS = 4  # of a random input for every neuron
_LEAST = 1e-8  # share of the greatest variance below which a direction of the inputs is rounding
_FINE = 2.0**-14  # of the largest weight: a step at which nothing of the weights is lost
_DIGITS = 4


@dataclass(frozen=True)
class Cell:
    """One split of one table, and the classifier whose paths over strengths and iterations are measured on it.

    ``inputs`` are ``standardised`` or ``whitened``; ``labels`` are ``true`` or ``shuffled``; no hidden units make it
    softmax regression. Lengths are measured where ``lengths`` says so.
    """

    table: str
    hidden: int
    inputs: str
    labels: str
    seed: int
    l2: tuple[float, ...]
    l1: tuple[float, ...]
    iterations: tuple[int, ...]
    most: int
    lengths: bool


def rows(cell: Cell) -> list[dict[str, Any]]:
    """A row for every penalty, setting (strength, or iterations) and layer."""
    split = prepared(cell)
    spread = _own_units(cell) if cell.inputs == "standardised" else None
    found = []
    for penalty in PENALTIES:
        for setting, (model, converged) in _path(cell, split, penalty).items():
            about = {
                "part": "models", "table": cell.table, "model": "network" if cell.hidden else "softmax",
                "inputs": cell.inputs, "labels": cell.labels, "seed": cell.seed, "penalty": penalty,
                "setting": setting, "converged": converged, "loss_share": loss_share(model, split),
                "test_bits": bits(model, split.X_test, split.y_test),
                **(_lengths(model, split) if cell.lengths else {}),
            }  # fmt: skip
            found += [_rows.kept({**about, **row}, _DIGITS) for row in _layers(model, split, cell.seed, spread)]
    return found


def _path(cell: Cell, split: Split, penalty: str) -> dict[float, tuple[FeedForward, bool]]:
    problem = Problem.of("mlp-relu" if cell.hidden else "logistic", cell.seed, split, cell.hidden)
    if penalty == "none":
        return {count: (model, True) for count, model in stopped(problem, cell.iterations).items()}
    strengths = cell.l2 if penalty == "L2" else cell.l1
    return {strength: optimum(problem, penalty, strength, cell.most) for strength in strengths}


# --- data -------------------------------------------------------------------------------------------------------------


def prepared(cell: Cell) -> Split:
    """The split without inputs that do not vary, whitened and with labels in random order where the cell says so."""
    split = Split.of(datasets.load(cell.table), cell.seed)
    varied = split.X.std(axis=0) > 0.0
    turn = whitening(split.X[:, varied]) if cell.inputs == "whitened" else np.eye(int(varied.sum()))
    split = replace(split, X=split.X[:, varied] @ turn, X_test=split.X_test[:, varied] @ turn)
    if cell.labels == "true":
        return split
    rng = np.random.default_rng(cell.seed)
    return replace(split, y=rng.permutation(split.y), y_test=rng.permutation(split.y_test))


def _own_units(cell: Cell) -> Array:
    """What inputs that vary are divided by to be standardised, nearly: their spreads over the whole table."""
    varied = Split.of(datasets.load(cell.table), cell.seed).X.std(axis=0) > 0.0
    return np.asarray(datasets.load(cell.table).X[:, varied].std(axis=0))


def whitening(X: Array) -> Array:
    """The symmetric matrix that makes inputs uncorrelated with variance one and moves them least, (d, d).

    Directions without variance become zero.

    References
    ----------
    A. Kessy, A. Lewin & K. Strimmer, Optimal whitening and decorrelation, The American Statistician 72 (2018): ZCA.
    """
    variances, axes = np.linalg.eigh(X.T @ X / len(X))
    kept = variances > _LEAST * variances.max()
    return (axes[:, kept] / np.sqrt(variances[kept])) @ axes[:, kept].T


# --- balance ----------------------------------------------------------------------------------------------------------


def participation(sizes: Array) -> Array:
    """(Σ|c|)² / (d Σc²) down the first axis: 1/d where one of d inputs contributes, 1 where all do alike; NaN if none.

    The square of the ratio of the two norms that Hoyer's sparseness is made of; of squares c² in place of |c| it is
    the participation ratio of a vibration.

    References
    ----------
    P. Hoyer, Non-negative matrix factorization with sparseness constraints, JMLR 5 (2004).
    R. Bell & P. Dean, Atomic vibrations in vitreous silica, Discussions of the Faraday Society 50 (1970).
    """
    size = np.abs(sizes)
    largest = size.max(axis=0)
    unit = np.divide(size, largest, out=np.full(size.shape, np.nan), where=largest > 0.0)
    return np.square(unit.sum(axis=0)) / np.square(unit).sum(axis=0) / len(size)


def contributions(weight: Array, entering: Array) -> Array:
    """|weight| times the input's standard deviation, (inputs, neurons)."""
    return np.abs(weight) * entering.std(axis=0)[:, None]


def pair_gap(weight: Array, correlations: Array, chosen: NDArray[np.bool_]) -> float:
    """Mean of |w_i - w_k| / (|w_i| + |w_k|) over neurons and the chosen pairs of inputs, signs of correlations aside.

    0 where both have the same weight, 1 where one of them has it all or they cancel; pairs of zeros do not count.
    """
    i, k = np.nonzero(np.triu(chosen, 1))
    one, other = weight[i], np.sign(correlations[i, k])[:, None] * weight[k]
    both = np.abs(one) + np.abs(other)
    return float((np.abs(one - other)[both > 0.0] / both[both > 0.0]).mean()) if (both > 0.0).any() else math.nan


def _layers(model: FeedForward, split: Split, seed: int, spread: Array | None) -> list[dict[str, Any]]:
    found = []
    for layer, (name, entering) in enumerate(layer_inputs(model, split.X).items()):
        weight = np.asarray(model.weights[name], np.float64)
        sizes = contributions(weight, entering)
        alive = sizes.max(axis=0) > 0.0
        if not alive.any():
            continue
        row = {"layer": layer, **_evenness(weight[:, alive], sizes[:, alive])}
        row |= _links(weight[:, alive], sizes[:, alive], entering) | _lost(model, name, entering, split, seed)
        if layer == 0:
            row |= _pairs(weight[:, alive], entering)
            if spread is not None:
                row["own_units_pr"] = _mean(participation(weight[:, alive] / spread[:, None]))
        found.append(row)
    return found


def _evenness(weight: Array, sizes: Array) -> dict[str, float]:
    """Means over neurons."""
    return {
        "weights_pr": _mean(participation(weight)), "pr": _mean(participation(sizes)),
        "squares_pr": _mean(participation(np.square(sizes))), "largest": _mean(np.abs(weight).max(axis=0)),
    }  # fmt: skip


def _links(weight: Array, sizes: Array, entering: Array) -> dict[str, float]:
    """Over neurons, rank correlations of the largest weight with balance, and with what its input has of the sum.

    ``reliance`` is the variance that the strongest input brings over that of the whole sum that enters the neuron.
    """
    largest = np.abs(weight).max(axis=0)
    reliance = np.square(sizes.max(axis=0)) / np.maximum((entering @ weight).var(axis=0), 1e-300)
    return {
        "reliance": _mean(np.minimum(reliance, 1e6)), "link_pr": _rank(largest, participation(sizes)),
        "link_reliance": _rank(largest, reliance),
    }  # fmt: skip


def _pairs(weight: Array, entering: Array) -> dict[str, float]:
    correlations = np.corrcoef(entering, rowvar=False)
    size = np.abs(correlations)
    return {
        "alike_gap": pair_gap(weight, correlations, size > ALIKE),
        "apart_gap": pair_gap(weight, correlations, size < APART),
    }


def _mean(values: Array) -> float:
    return float(values.mean())


def _rank(one: Array, other: Array) -> float:
    """Spearman's correlation; NaN for few neurons, or where all are alike."""
    enough = one.size >= NEURONS and np.ptp(one) > 0.0 and np.ptp(other) > 0.0
    return float(stats.spearmanr(one, other).statistic) if enough else math.nan


# --- ablation ---------------------------------------------------------------------------------------------------------


def without(model: FeedForward, name: str, entering: Array, inputs: NDArray[np.int64]) -> FeedForward:
    """The model with one input of every neuron of a layer held at that input's mean, ``inputs`` (neurons,)."""
    weight, bias = model.weights[name].copy(), name.replace("weight", "bias")
    neurons = np.arange(weight.shape[1])
    moved = model.weights[bias] + weight[inputs, neurons] * entering.mean(axis=0)[inputs]
    weight[inputs, neurons] = 0.0
    return model.with_weights({**model.weights, name: weight, bias: moved})


def _lost(model: FeedForward, name: str, entering: Array, split: Split, seed: int) -> dict[str, float]:
    """Held-out bits an example that the strongest input of every neuron is worth, and a random one."""
    whole = bits(model, split.X_test, split.y_test)
    sizes = contributions(np.asarray(model.weights[name], np.float64), entering)
    rng = np.random.default_rng([seed, 1])
    taken = {"lost_bits": sizes.argmax(axis=0)}
    taken |= {f"random_{k}": rng.integers(len(sizes), size=sizes.shape[1]) for k in range(_DRAWS)}
    more = {
        key: bits(without(model, name, entering, inputs), split.X_test, split.y_test) - whole
        for key, inputs in taken.items()
    }
    return {"lost_bits": more.pop("lost_bits"), "random_lost_bits": float(np.mean(list(more.values())))}


# --- lengths ----------------------------------------------------------------------------------------------------------


def bits(model: FeedForward, X: Array, y: NDArray[Any]) -> float:
    """Bits that a label takes."""
    return -float(model.likelihood.log_prob(model.predict(X), y).mean()) / LN2


def loss_share(model: FeedForward, split: Split) -> float:
    """The training loss over that of the labels' frequencies, the best constant forecast."""
    shares = np.bincount(split.y, minlength=split.classes) / len(split.y)
    return bits(model, split.X, split.y) / -float(np.log2(shares[split.y]).mean())


def at(shares: Array, values: Array, levels: Array) -> Array:
    """A path at levels of training loss, by straight lines in its logarithm; NaN outside of the path."""
    order = np.argsort(shares)
    along = np.log(np.asarray(shares)[order])
    return np.asarray(np.interp(np.log(levels), along, np.asarray(values)[order], left=np.nan, right=np.nan))


def _lengths(model: FeedForward, split: Split) -> dict[str, float]:
    """The shortest two-part message under each prior; the ratio of all weights, and their lengths on a fine grid."""
    name, whole = "layers.0.weight", model.weights["layers.0.weight"].ravel()
    trials, fine = Trials(model, split.X, split.y), _FINE * float(np.abs(whole).max())
    found: dict[str, float] = {"weights": whole.size, "whole_pr": float(participation(whole))}
    for key, prior in {"gaussian": Gaussian(), "laplace": Laplace()}.items():
        found[f"{key}_bits"] = trials.search(prior).ideal().comparable.bits
        if fine > 0.0:
            found[f"{key}_fine_bits"] = trials.on({name: fine}, prior).ideal().part_bits()["weights"]
    return found
