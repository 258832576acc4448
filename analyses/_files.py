"""Two-part files of one network: the shortest, and the shortest of those that keep its fit."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

import mdl
from analyses import _measures as measures
from mdl.length import CodeLength
from mdl.models import FeedForward
from mdl.priors import Prior
from mdl.trials import Trials

FAITHFUL_BITS = 0.05  # that the data may take more, an example, than on the finest step
_OCTAVES = 8  # of steps, from twice the largest weight downwards


class Files(NamedTuple):
    """Ideal lengths under a Gaussian prior, and the step to search near."""

    one_step: CodeLength
    faithful: CodeLength
    near: float


def files(trials: Trials, model: FeedForward, prior: Prior = mdl.Gaussian()) -> Files:  # noqa: B008
    """The shortest with one step for all weights, and the shortest on which the data take hardly more than need be."""
    top = math.frexp(max(float(np.abs(W).max()) for W in measures.matrices(model)))[1] + 1
    tried = {step: trials.on(step, prior).ideal() for step in (math.ldexp(1.0, top - k) for k in range(_OCTAVES))}
    near = min(tried, key=lambda step: tried[step].comparable.nats)
    most = min(length.part("data") for length in tried.values()) + len(trials.inputs) * FAITHFUL_BITS * measures.LN2
    kept = [length for length in tried.values() if length.part("data") <= most]
    return Files(tried[near], min(kept, key=lambda length: length.comparable.nats), near)
