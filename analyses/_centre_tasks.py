"""A task, and others that may know something about it: where the centre of a prior may come from."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from analyses._centred import classes, linear, with_constant
from mdl import datasets, likelihoods
from mdl.codes.numbers import round_real
from mdl.curvature import Objective
from mdl.lengths.evidence import ridge_evidence
from mdl.masses import Array
from mdl.models import FeedForward
from mdl.training import Split

DEGREES = 20.0  # that the images of the related task are turned by


@dataclass(frozen=True, eq=False)
class Problem:
    """A task, and others that may know something about it: all objectives of the same model."""

    objective: Objective
    related: dict[str, Objective]
    X_test: Array
    y_test: NDArray[Any]


def problem_of(table: str, seed: int, n: int, model: FeedForward | None = None) -> Problem:
    """The first n examples of a split; the next n are the other split, as they are and changed."""
    rng = np.random.default_rng(seed)
    own = split_of(table, seed, 0.0)
    y, y_test = _targets(own)
    inputs = with_constant(own.X)
    model = model or linear(inputs.shape[1], classes(own.classes) if own.classes else _noise(inputs[:n], y[:n]))
    later = slice(n, 2 * n)
    related = {
        "other": Objective(model, inputs[later], y[later]),
        "shuffled": Objective(model, inputs[later], rng.permutation(y[later])),
    }
    if table == "digits":
        related["rotated"] = Objective(model, with_constant(split_of(table, seed, DEGREES).X)[later], y[later])
    return Problem(Objective(model, inputs[:n], y[:n]), related, with_constant(own.X_test), y_test)


@functools.lru_cache(maxsize=4)
def split_of(table: str, seed: int, degrees: float) -> Split:
    """The same rows, whatever the images are turned by."""
    loaded = datasets.load(table)
    if degrees:
        images = ndimage.rotate(loaded.X.reshape(-1, 8, 8), degrees, axes=(1, 2), reshape=False, order=1)
        loaded = datasets.from_arrays(f"{table}, turned", images.reshape(len(images), -1), loaded.y, task=loaded.task)
    return Split.of(loaded, seed)


def _targets(split: Split) -> tuple[NDArray[Any], NDArray[Any]]:
    """Classes as they are; numbers in standard deviations, to so many digits that a density stands for a mass."""
    if split.classes:
        return split.y, split.y_test
    return tuple(np.round((y - split.y.mean()) / split.y.std(), 3) for y in (split.y, split.y_test))  # type: ignore


def _noise(X: Array, y: Array) -> likelihoods.Gaussian:
    """Known noise: that of the shortest evidence about zero."""
    found = ridge_evidence(X, y, np.logspace(-2.0, 4.0, 61), precision=1e-3)
    return likelihoods.Gaussian(1e-3, scale=round_real(found.noise[int(found.nats.argmin())], 4))
