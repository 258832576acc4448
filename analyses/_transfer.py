"""Digits with a prior centred on the solution of a related task: what the labels take, and what is predicted."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from analyses import _rows
from analyses._centred import SCALES, Posterior, classes, fitted, held_out, linear, network, sent, with_constant
from analyses._sampled import all_modes
from mdl import datasets, likelihoods
from mdl.curvature import Objective
from mdl.length import LN2
from mdl.masses import Array
from mdl.models import FeedForward

SIZES = (10, 20, 40, 80, 160)  # examples of a pair of classes
SOURCE, TAUGHT = 50, 80  # examples a class that the related task has, and that are kept for learning; others are tests
DEGREES = 20.0  # that the images of the related task are turned by
NETWORK_SIZES, UNITS = (25, 50, 100), 10
NETWORK_SCALES = (0.125, 0.25, 0.5, 0.75, 1.0)
_START = 0.1  # how far from its centre a network's search starts, in standard deviations of usual first weights
#: Numbers of examples where all modes are sampled, the centres of pairs about which they are, and chains and heats.
SAMPLED = {"pairs": (10, 40, 160), "networks": (25,)}
SAMPLED_PAIRS = ("zero", "same task", "turned images", "one class shared")
_SAMPLING = {"pairs": (64, 120), "networks": (128, 160)}
_DIGITS = 7  # significant, of a number in the table
Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """A pair of classes to tell apart, or five classes for a network, and the related task, by seed."""

    part: str
    seed: int
    quick: bool = False


def rows(cell: Cell) -> list[Row]:
    """Length and loss about every centre, for every number of examples."""
    found = _pairs(cell) if cell.part == "pairs" else _networks(cell)
    about = {"part": cell.part, "seed": cell.seed}
    return [{**about, **_rows.kept(row, _DIGITS)} for row in found]


@functools.lru_cache(maxsize=2)
def _images(degrees: float) -> tuple[Array, NDArray[Any]]:
    """Pixels from -1 to 1, turned, with the constant input."""
    loaded = datasets.load("digits")
    images = loaded.X.reshape(-1, 8, 8)
    if degrees:
        images = ndimage.rotate(images, degrees, axes=(1, 2), reshape=False, order=1)
    return with_constant(images.reshape(len(images), -1) / 8.0 - 1.0), loaded.y


@dataclass(frozen=True, eq=False)
class Rows:
    """Which images of each class are learnt from, belong to the related task, or are tests."""

    taught: NDArray[Any]  # (classes, TAUGHT)
    source: NDArray[Any]  # (classes, SOURCE)
    test: list[NDArray[Any]]

    @classmethod
    def of(cls, rng: np.random.Generator) -> Rows:
        """Each class in a random order."""
        _, y = _images(0.0)
        orders = [rng.permutation(np.flatnonzero(y == label)) for label in range(10)]
        return cls(
            np.array([order[:TAUGHT] for order in orders]),
            np.array([order[TAUGHT : TAUGHT + SOURCE] for order in orders]),
            [order[TAUGHT + SOURCE :] for order in orders],
        )


def _task(model: FeedForward, chosen: list[NDArray[Any]], degrees: float = 0.0) -> Objective:
    """The images of these rows, the k-th list called class k."""
    X, _ = _images(degrees)
    rows, y = np.concatenate(chosen), np.repeat(np.arange(len(chosen)), [len(one) for one in chosen])
    return Objective(model, X[rows], y)


# --- pairs of classes -------------------------------------------------------------------------------------------------


def _pairs(cell: Cell) -> list[Row]:
    """Logistic regression of two classes about zero and about the solutions of other tasks with two classes."""
    rng = np.random.default_rng([cell.seed, 4])
    digits, picked = Rows.of(rng), rng.permutation(10)[:4]
    model = linear(65, likelihoods.Bernoulli())
    tasks = _pair_sources(model, digits, picked, rng)
    same = fitted(tasks["same task"])
    # nothing is to be learnt from shuffled labels, and the best scale would say so; the same one makes a centre of it
    sources = {name: Posterior.of(task, same.scale) for name, task in tasks.items()}
    moved = np.append(same.w[rng.permutation(64)], same.w[64])
    centres = {"zero": (0.0 * same.w, math.nan), **{name: (f.w, f.bits) for name, f in sources.items()}}
    centres["permuted pixels"] = moved, same.bits
    test = _task(model, [digits.test[label] for label in picked[:2]])
    found = []
    for n in SIZES[1:2] if cell.quick else SIZES:
        task = _task(model, [digits.taught[label, : n // 2] for label in picked[:2]])
        zero = fitted(task)
        for name, (centre, bits) in centres.items():
            about = zero if name == "zero" else fitted(task, centre)
            cost = {} if name == "zero" else {"labels_bits": bits, "sent_bits": sent(task, [zero, about], centre).total}
            row = {"n": n, "centre": name, **_measured(task, about, test), **cost}
            found.append(row | _sampled(cell, row, (task, about.scale, centre), test, rng))
    return found


def _pair_sources(model: FeedForward, digits: Rows, picked: Array, rng: np.random.Generator) -> dict[str, Objective]:
    a, b, c, d = (digits.source[label] for label in picked)
    same = _task(model, [a, b])
    return {
        "same task": same,
        "turned images": _task(model, [a, b], DEGREES),
        "one class shared": _task(model, [c, b]),
        "other classes": _task(model, [c, d]),
        "shuffled labels": Objective(model, same.X, rng.permutation(same.y)),
    }


def _measured(task: Objective, about: Posterior, test: Objective) -> Row:
    loss = held_out(task.model_at(about.w), test.X, test.y)
    return {
        "bits": about.bits, "scale": about.scale, "freedom": about.freedom, "test_bits": loss.bits,
        "test_error": loss.error, "test_size": len(test.y),
    }  # fmt: skip


def _sampled(
    cell: Cell, row: Row, about: tuple[Objective, float, Array], test: Objective, rng: np.random.Generator
) -> Row:
    """With all modes at the same scale: the length, and the held-out loss of the average over the posterior."""
    chosen = cell.part == "networks" or row["centre"] in SAMPLED_PAIRS
    if not (cell.quick or (chosen and row["n"] in SAMPLED[cell.part])):
        return {}
    chains, heats = (8, 10) if cell.quick else _SAMPLING[cell.part]
    found = all_modes(about, test.X, test.targets.astype(int), rng, chains, heats)
    told = math.log2(len(SCALES))  # which scale it is, as in the length at one mode
    return {"sampled_bits": found.nats / LN2 + told, "averaged_test_bits": found.test_bits}


# --- a network and other classes --------------------------------------------------------------------------------------


def _networks(cell: Cell) -> list[Row]:
    """Five classes learnt after the other five: hidden units of the first network are the second's centre."""
    rng = np.random.default_rng([cell.seed, 5])
    digits, picked = Rows.of(rng), rng.permutation(10)
    units = 4 if cell.quick else UNITS
    first, second = (network(65, units, classes(5), rng) for _ in range(2))
    source = _task(first, [digits.source[label] for label in picked[5:]])
    learnt = fitted(source, 0.0, source.vector, NETWORK_SCALES[2:4])
    same = _task(first, [digits.source[label] for label in picked[:5]])
    again = fitted(same, 0.0, same.vector, NETWORK_SCALES[2:4])
    hidden = source.split(learnt.w)["layers.0.weight"]
    moved = np.vstack([hidden[rng.permutation(64)], hidden[64:]])
    centres = {
        "zero": (0.0 * learnt.w, math.nan), "same task": (again.w, again.bits),
        "other classes": (_hidden_only(source, hidden), learnt.bits),
        "permuted pixels": (_hidden_only(source, moved), learnt.bits),
    }  # fmt: skip
    test = _task(second, [digits.test[label] for label in picked[:5]])
    found = []
    for n in NETWORK_SIZES[:1] if cell.quick else NETWORK_SIZES:
        task = _task(second, [digits.taught[label, : n // 5] for label in picked[:5]])
        for name, (centre, bits) in centres.items():
            start = centre + (1.0 if name == "zero" else _START) * task.vector
            about = fitted(task, centre, start, NETWORK_SCALES[2:4] if cell.quick else NETWORK_SCALES)
            cost = {} if name == "zero" else {"labels_bits": bits}
            row = {"n": n, "centre": name, **_measured(task, about, test), **cost}
            found.append(row | _sampled(cell, row, (task, about.scale, centre), test, rng))
    return found


def _hidden_only(task: Objective, hidden: Array) -> Array:
    """These hidden units; outputs about zero, since nothing is known of the new classes."""
    return task.join({"layers.0.weight": hidden, "layers.1.weight": 0.0 * task.split(task.vector)["layers.1.weight"]})
