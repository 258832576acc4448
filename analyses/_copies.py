"""Other weights of the same function: tanh units in another order, some with all their signs turned."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from scipy import linalg, special

from analyses._centred import Posterior
from mdl.curvature import Objective
from mdl.length import LN2
from mdl.masses import Array


def copied(objective: Objective, w: Array, order: Array, signs: Array) -> Array:
    """Unit k of the copy is unit ``order[k]``, its signs turned first where ``signs[order[k]]`` is -1."""
    tensors = objective.split(w)
    return objective.join({
        "layers.0.weight": (tensors["layers.0.weight"] * signs)[:, order],
        "layers.1.weight": (tensors["layers.1.weight"] * signs[:, None])[order],
    })  # fmt: skip


def count_bits(units: int) -> float:
    """Log2 of the number of copies."""
    return float(special.gammaln(units + 1)) / LN2 + units


def nearest(objective: Objective, w: Array) -> Iterator[Array]:
    """Copies that make all others: one unit's signs turned, or two units exchanged, as they are or both turned."""
    units = objective.split(w)["layers.0.weight"].shape[1]
    for k in range(units):
        yield copied(objective, w, np.arange(units), np.where(np.arange(units) == k, -1.0, 1.0))
    for j, k in itertools.combinations(range(units), 2):
        order = np.arange(units)
        order[[j, k]] = k, j
        for sign in (1.0, -1.0):
            yield copied(objective, w, order, np.where(np.isin(np.arange(units), (j, k)), sign, 1.0))


def separation(objective: Objective, found: Posterior) -> float:
    """Half the way to the nearest copy, in standard deviations of the posterior along that way.

    Where it is large, copies do not overlap, and each adds as much to the evidence about zero as the mode itself.
    """
    root = linalg.cholesky(objective.ggn(found.w) + np.eye(found.w.size) / found.scale**2, lower=True)
    ways = [copy - found.w for copy in nearest(objective, found.w)]
    return min(float(way @ way / 2.0 / np.linalg.norm(linalg.solve_triangular(root, way, lower=True))) for way in ways)
