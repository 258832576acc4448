"""The writer's side of a random tree: a path that the data like, found by the M algorithm.

After every step the paths are cut back to the most promising few. How promising a path is, its *score*, is
ln p(D | z drawn so far), the coordinates not yet drawn integrated out: Gaussian integrals over Gaussian factors that
stand for the data, which are made anew for the best path every few steps. The reader needs none of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from mdl.codes.coder import Symbols
from mdl.codes.random import BRANCH_BITS, Tree
from mdl.masses import Array

_STEPS, _MODELS = 16, 32  # so many steps with the same factors, or more where factors would be made more often
_TRIED = 6  # paths whose factors are found when they are made anew, at most
_NO_GAIN = 0.5  # nats
_LAST = 400  # paths whose true length is computed at the end
_BRANCHES = np.arange(1 << BRANCH_BITS)


class Conditional(Protocol):
    """What Gaussian factors for the data, and the prior, say of the coordinates that follow the given ones."""

    @property
    def z(self) -> Array:
        """The given coordinates, then the mean of the others, (d,)."""
        ...

    @property
    def covariance(self) -> Array:
        """Of the others."""
        ...

    @property
    def slope(self) -> Array:
        """Of the factors' -ln in all coordinates, (d,)."""
        ...

    @property
    def curvature(self) -> Array:
        """The same, (d, d)."""
        ...

    @property
    def nats(self) -> float:
        """About -ln p(D | the given coordinates)."""
        ...


class Target(Protocol):
    """The data's length as a function of the coordinates z (d,)."""

    @property
    def start(self) -> Conditional:
        """What data and prior say of z."""
        ...

    def nats(self, z: Array) -> float:
        """-ln p(D | z)."""
        ...

    def given(self, z: Array, first: int, near: Any) -> Conditional:
        """What data and prior say of z given its entries before ``first``, sought from what they say given others."""
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
    """The posterior of the coordinates from ``first`` on given a path's others: mean + root noise, standard normal."""

    first: int
    root: Array
    best: Conditional

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
    size = tree.due.size
    paths = _Paths(
        np.zeros((1, size)), np.zeros(1), np.zeros(1, np.int64), np.zeros((1, tree.count), np.int8),
        np.zeros((1, size)), np.zeros((1, size)),
    )  # fmt: skip
    chain, every = _Chain(0, np.zeros((size, 0)), target.start), max(_STEPS, -(-tree.count // _MODELS))
    for step in range(tree.count):
        drawn = tree.drawn(step)
        if step % every == 0:
            chain = _remodel(paths, chain, target, drawn.start)
        paths = _grown(paths, chain, tree, step, drawn, width)
    last = np.argsort(-paths.score, kind="stable")[:_LAST]
    lengths = [target.nats(paths.z[k]) for k in last]
    return paths.branches[last[int(np.argmin(lengths))]].astype(np.int32)


def _remodel(paths: _Paths, chain: _Chain, target: Target, first: int) -> _Chain:
    """Scores and conditional posteriors of all paths with new factors, those of the best of them.

    Factors of one path may promise of a distant one what the data do not hold. The length is convex in what is drawn,
    and convex functions lie above their tangents: a path that seems better than the one in the middle gets factors of
    its own, and the score of every path is the least that any of them give it.
    """
    found: list[Conditional] = []
    score, index = np.full(len(paths.score), np.inf), paths.best()
    while len(found) < _TRIED:
        told = chain.completed(paths, index, first) if first else target.start.z
        found.append(target.given(told, first, found[-1] if found else chain.best))
        score = np.minimum(score, found[0].nats - found[-1].nats + _scores(paths, found[-1], first))
        index, before = int(score.argmax()), index
        if score[index] <= score[before] + _NO_GAIN:
            break
    best = min(found, key=lambda one: one.nats)
    away = paths.z[:, :first] - best.z[:first]
    paths.score = score
    paths.mean = best.z[first:] - away @ (best.covariance @ best.curvature[first:, :first]).T
    paths.noise = np.zeros_like(paths.mean)
    root = linalg.cholesky(best.covariance, lower=True) if first < len(best.z) else best.covariance
    return _Chain(first, root, best)


def _scores(paths: _Paths, about: Conditional, first: int) -> Array:
    """With the factors of one path, and as a difference from it."""
    away, bend = paths.z[:, :first] - about.z[:first], about.curvature
    given = bend[:first, :first] - bend[:first, first:] @ about.covariance @ bend[first:, :first]
    return np.asarray(-(away @ about.slope[:first]) - 0.5 * np.einsum("md,md->m", away @ given, away))


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
