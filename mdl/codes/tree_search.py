"""The writer's side of a random tree: a path that the data like, found by the M algorithm.

After every step the paths are cut back to the most promising few. How promising a path is, its *score*, is
ln p(D | z drawn so far), the coordinates not yet drawn integrated out: Gaussian integrals in a quadratic model of the
data's length, which is made anew about the best path every few steps. The reader needs none of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from mdl.codes.coder import Symbols
from mdl.codes.random import BRANCH_BITS, Tree
from mdl.masses import Array

_STEPS, _MODELS = 8, 32  # so many steps in one quadratic model, or more where it would take more models
_LAST = 400  # paths whose true length is computed at the end
_BRANCHES = np.arange(1 << BRANCH_BITS)


class Target(Protocol):
    """The data's length as a function of the coordinates z (d,)."""

    @property
    def start(self) -> Array:
        """Where the data and the prior leave z, (d,)."""
        ...

    @property
    def bend(self) -> Array:
        """The curvature of ``nats`` there, (d, d)."""
        ...

    def nats(self, z: Array) -> float:
        """-ln p(D | z)."""
        ...

    def around(self, z: Array, first: int, bend: Array) -> tuple[Array, Array, Array]:
        """A quadratic model that holds where the data and the prior leave z, given its entries before ``first``.

        It is sought from z and the curvature ``bend``. Returns a point with the same first entries, and gradient (d,)
        and curvature (d, d) of ``nats`` there.
        """
        ...


@dataclass
class _Paths:
    """M paths and their scores; ``mean`` and ``noise`` (M, left) tell their conditional posteriors of what is left."""

    z: Array
    score: Array
    states: NDArray[np.int64]
    branches: NDArray[np.int8]
    mean: Array
    noise: Array

    def kept(self, parents: NDArray[np.intp]) -> _Paths:
        p = parents
        return _Paths(self.z[p], self.score[p], self.states[p], self.branches[p], self.mean[p], self.noise[p])

    def best(self) -> int:
        return int(self.score.argmax())


@dataclass(frozen=True)
class _Chain:
    """The conditional posterior of the coordinates from ``first`` on: mean + root noise, noise standard normal.

    ``bend`` is the curvature that it follows from.
    """

    first: int
    root: Array
    bend: Array

    def completed(self, paths: _Paths, index: int, drawn: int) -> Array:
        """One path, with the posterior mean of what it has not drawn yet."""
        z = paths.z[index].copy()
        told = drawn - self.first
        z[drawn:] = (paths.mean[index] + self.root[:, :told] @ paths.noise[index, :told])[told:]
        return z


def search(tree: Tree, target: Target, width: int = 4096) -> Symbols:
    """The branches (count,) of the path with the shortest data among those that were kept to the end.

    Parameters
    ----------
    tree
        What :meth:`RandomTree.bind` gives.
    target
        The data.
    width
        Paths kept after every step, >= 1: the excess over the evidence falls with its logarithm.
    """
    size, precision = tree.due.size, tree.scale**-2
    paths = _Paths(
        np.zeros((1, size)), np.zeros(1), np.zeros(1, np.int64), np.zeros((1, tree.count), np.int8),
        np.zeros((1, size)), np.zeros((1, size)),
    )  # fmt: skip
    chain, every = _Chain(0, np.zeros((size, 0)), target.bend), max(_STEPS, -(-tree.count // _MODELS))
    for step in range(tree.count):
        drawn = tree.drawn(step)
        if step % every == 0:
            chain = _remodel(paths, chain, target, drawn.start, precision)
        paths = _grown(paths, chain, tree, step, drawn, width)
    last = np.argsort(-paths.score, kind="stable")[:_LAST]
    lengths = [target.nats(paths.z[k]) for k in last]
    return paths.branches[last[int(np.argmin(lengths))]].astype(np.int32)


def _remodel(paths: _Paths, chain: _Chain, target: Target, first: int, precision: float) -> _Chain:
    """Scores and conditional posteriors of all paths in a new quadratic model about the best of them."""
    told = chain.completed(paths, paths.best(), first) if first else target.start
    centre, slope, bend = target.around(told, first, chain.bend)
    away = paths.z[:, :first] - centre[:first]
    posterior = linalg.cho_factor(bend[first:, first:] + precision * np.eye(len(centre) - first))
    pull = linalg.cho_solve(posterior, bend[first:, :first]) if first < len(centre) else bend[first:, :first]
    given = bend[:first, :first] - bend[:first, first:] @ pull
    paths.score = -(away @ slope[:first]) - 0.5 * np.einsum("md,md->m", away @ given, away)
    paths.mean = centre[first:] - away @ pull.T
    paths.noise = np.zeros_like(paths.mean)
    left = len(centre) - first
    covariance = linalg.cho_solve(posterior, np.eye(left)) if left else np.empty((0, 0))
    root = linalg.cholesky(0.5 * (covariance + covariance.T), lower=True) if left else covariance
    return _Chain(first, root, bend)


def _grown(paths: _Paths, chain: _Chain, tree: Tree, step: int, drawn: slice, width: int) -> _Paths:
    """All paths a step longer, the best ``width`` of them."""
    states = tree.follow(paths.states[:, None], _BRANCHES)
    count, fan = states.shape
    here, new = drawn.start - chain.first, drawn.stop - drawn.start
    at = slice(here, here + new)
    draws = tree.draws(step)[states] if new else np.empty((count, fan, 0))
    expected = paths.mean[:, at] + paths.noise[:, :here] @ chain.root[at, :here].T
    off = (draws - expected[:, None]).reshape(count * fan, new)
    noise = linalg.solve_triangular(chain.root[at, at], off.T, lower=True).T.reshape(count, fan, new) if new else draws
    gain = 0.5 * (draws**2).sum(axis=2) / tree.scale**2 - 0.5 * (noise**2).sum(axis=2)
    score = (paths.score[:, None] + gain).ravel()
    kept = np.argpartition(-score, width)[:width] if score.size > width else np.arange(score.size)
    parents, branches = np.divmod(kept, fan)
    grown = paths.kept(parents)
    grown.score, grown.states = score[kept], states[parents, branches]
    grown.branches[:, step] = branches
    grown.z[:, drawn], grown.noise[:, at] = draws[parents, branches], noise[parents, branches]
    return grown
