"""Refined two-part codes: symbols moved from the nearest ones to those that make model and data together shortest.

Rounding each weight to the nearest cell is the best choice for the weights alone, not for the message. Here symbols are
moved while the total falls, and the steps widened while that helps; what is sent is an ordinary two-part message.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.codes.contextual import Contextual
from mdl.codes.scheme import PriorLike, Scheme, Tensor
from mdl.errors import MdlError, PriorError, QuantizationError
from mdl.length import CodeLength
from mdl.lengths.refined.lattice import Lattice
from mdl.lengths.refined.moves import NEGLIGIBLE
from mdl.masses import Array
from mdl.models import FeedForward, Model, shared
from mdl.priors import Gaussian, Laplace
from mdl.quantize import UniformGrid
from mdl.trials import Found, Grid, Trials

__all__ = ["encode_refined", "refined", "searched", "shortest"]

_ROUNDS = 40  # of refitting the prior and the curvature on one grid
_HOPES = 32  # moves, and pairs, tried in the end though they are predicted to lose
_NOTCHES = 24  # wider grids tried, at most
_WORSE = 3  # of them in a row that do not help


def refined(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: PriorLike = Gaussian(),  # noqa: B008
    quantizer: Grid | None = None,
    *,
    realised: bool = False,
) -> CodeLength:
    """L(model) + L(y | X, model) with every symbol where it makes the sum short, not where it is nearest to its weight.

    Greedy descent on the total: a quadratic model of the data's length predicts what moving a symbol by one or to zero
    changes, the code says what it saves; moves are taken, alone or in pairs, in the order of their gain, and kept only
    as far as the true total falls. The prior is fitted again between rounds. It ends in a local minimum. It takes
    seconds for a thousand weights, minutes for some ten thousand.

    Parameters
    ----------
    model
        A feed-forward network, what :func:`mdl.wrap` returns.
    X, y
        (n, features) inputs, which the reader has too, and (n,) targets, which are sent.
    prior
        A prior, whose open parameters are fitted and charged, or a family of codes such as ``KT``.
    quantizer
        For the penalised weights: a step or a ``UniformGrid``, or one of either a tensor. By default the steps are
        searched, from those of ``two_part`` to wider ones. Free tensors always have a grid of their own, and their
        symbols are moved as well.
    realised
        Write the message and report its size instead of the ideal length.

    Returns
    -------
    CodeLength
        Parts as in :func:`mdl.two_part`: the message is of the same kind, and its steps are sent. Its ideal length,
        header left out, is never more than that of ``two_part`` with the same arguments.

    Raises
    ------
    MdlError
        If the model is no feed-forward network, a quantizer no uniform grid, or X and y do not fit the model.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.preprocessing import scale
    >>> from mdl.models import wrap
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = wrap(LogisticRegression(C=0.1).fit(scale(X), y))
    >>> rounded = Trials(model, scale(X), y).search(Gaussian()).ideal()
    >>> rounded.bits - refined(model, scale(X), y).bits > 10
    True

    References
    ----------
    P. A. Chou, T. Lookabaugh and R. M. Gray, Entropy-constrained vector quantization, IEEE Trans. ASSP 37 (1989).
    B. Hassibi and D. Stork, Second order derivatives for network pruning: optimal brain surgeon, NIPS 5 (1993).
    """
    found = shortest(model, X, y, prior, quantizer)
    return found.realise()[1] if realised else found.ideal()


def encode_refined(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: PriorLike = Gaussian(),  # noqa: B008
    quantizer: Grid | None = None,
) -> bytes:
    r"""The message whose size ``refined(..., realised=True)`` reports; :func:`mdl.decode_with_data` reads it.

    Parameters as in ``refined``.

    Examples
    --------
    >>> from mdl.likelihoods import Bernoulli
    >>> from mdl.models import FeedForward
    >>> x = np.arange(-8.0, 8.0)[:, None]
    >>> model = FeedForward({"layers.0.weight": [[2.1]], "layers.0.bias": [0.9]}, Bernoulli())
    >>> encode_refined(model, x, x[:, 0] >= 0)[:4]
    b'\x93MDL'
    """
    return shortest(model, X, y, prior, quantizer).realise()[0]


def shortest(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: PriorLike = Gaussian(),  # noqa: B008
    quantizer: Grid | None = None,
) -> Found:
    """The message itself, to be measured or written. Parameters as in ``refined``.

    Examples
    --------
    >>> from mdl.likelihoods import Bernoulli
    >>> x = np.arange(-8.0, 8.0)[:, None]
    >>> model = FeedForward({"layers.0.weight": [[2.1]], "layers.0.bias": [0.9]}, Bernoulli())
    >>> found = shortest(model, x, x[:, 0] >= 0, quantizer=0.25)
    >>> found.scheme.codings["layers.0.weight"].quantizer
    UniformGrid(step=0.25)
    """
    descent = _descent(model, X, y, prior)
    trials = Trials(descent.model, descent.X, y)
    start = trials.search(prior) if quantizer is None else trials.on(quantizer, prior)
    for name, coding in start.scheme.codings.items():
        if not isinstance(coding.quantizer, UniformGrid | None):
            raise QuantizationError(f"tensor {name!r}: expected a step or a UniformGrid, got {coding.quantizer!r}")
    best = descent.run(start)
    if quantizer is None:
        best = descent.each(descent.widen(best))
    return descent.run(best, _HOPES)


def searched(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    priors: Iterable[PriorLike] = (Gaussian(), Laplace()),
    again: Iterable[PriorLike] = (Gaussian(), Laplace(), Contextual()),
) -> Found:
    """The shortest message under any of some priors; it says which. Other parameters as in ``refined``.

    The search begins from rounded weights under each of ``priors``; from the symbols of the shortest message it goes on
    under each of ``again``, among them codes for which it would not find symbols by itself.

    Raises
    ------
    PriorError
        If there are no priors to choose from.

    Examples
    --------
    >>> from mdl.likelihoods import Bernoulli
    >>> x = np.arange(-8.0, 8.0)[:, None]
    >>> model = FeedForward({"layers.0.weight": [[2.1]], "layers.0.bias": [0.9]}, Bernoulli())
    >>> searched(model, x, x[:, 0] >= 0).ideal().bits <= refined(model, x, x[:, 0] >= 0).bits
    True
    """
    candidates = [shortest(model, X, y, prior) for prior in priors]
    if not candidates:
        raise PriorError("searched: expected some priors, got none")
    best = min(candidates, key=_nats)
    for prior in again:
        descent = _descent(model, X, y, prior)
        best = min(best, descent.run(descent.again(best, {}), _HOPES), key=_nats)
    return best


def _nats(found: Found) -> float:
    return found.ideal().comparable.nats


def _descent(model: Model, X: ArrayLike, y: ArrayLike, prior: PriorLike) -> _Descent:
    network, inputs = shared(model, X)
    if not isinstance(network, FeedForward):
        raise MdlError(f"model: expected a FeedForward network, got {type(network).__name__}")
    return _Descent(network, inputs, np.asarray(y), prior)


@dataclass(frozen=True, eq=False)
class _Descent:
    """Shorter and shorter messages of one model and its data under one prior."""

    model: FeedForward
    X: Array
    y: NDArray[Any]
    prior: PriorLike

    def on(self, found: Found, tensors: Mapping[str, Tensor], grids: Mapping[str, UniformGrid]) -> Found:
        """The message with these tensors on these grids, that of the free tensors as in ``found`` or chosen anew."""
        trials = Trials(self.model.with_weights(tensors), self.X, self.y)
        anew = trials.on(grids, self.prior)
        free = {name: found.scheme.codings[name] for name in self.model.free}
        scheme = Scheme({**anew.scheme.codings, **free})
        return min(anew, replace(anew, scheme=scheme, data=trials.data_under(scheme.quantized(tensors))), key=_nats)

    def run(self, found: Found, hopes: int = 0) -> Found:
        """Symbols moved on the message's own grids, the prior fitted again after each round, while the total falls."""
        grids = self._grids(found)
        for _ in range(_ROUNDS):
            lattice = Lattice.of(found, self.model, self.X, self.y)
            moved = self.on(found, lattice.tensors(lattice.descend(hopes)), grids)
            if _nats(moved) > _nats(found) - NEGLIGIBLE:
                break
            found = moved
        return found

    def again(self, found: Found, grids: Mapping[str, UniformGrid]) -> Found:
        """``run`` on other grids, begun from the symbols of ``found``; ``found`` itself if the prior forbids them."""
        try:
            tensors = found.scheme.quantized(found.tensors)
            return self.run(self.on(found, tensors, {**self._grids(found), **grids}))
        except PriorError:  # a given prior leaves some cell without mass
            return found

    def widen(self, best: Found) -> Found:
        """The best message on the grids of ``best`` and wider ones, each begun from the symbols of the one before."""
        found, worse = best, 0
        for _ in range(_NOTCHES):
            grids = {name: UniformGrid(_wider(grid.step)) for name, grid in self._grids(found).items()}
            found = self.again(found, grids)
            worse = 0 if _nats(found) < _nats(best) else worse + 1
            best = min(best, found, key=_nats)
            if worse == _WORSE:
                break
        return best

    def each(self, best: Found) -> Found:
        """The same with the grid of one tensor after another narrower or wider, where that helps."""
        names = list(self._grids(best))
        for name in names if len(names) > 1 else []:
            for neighbour in (_narrower, _wider):
                grid = UniformGrid(neighbour(self._grids(best)[name].step))
                best = min(best, self.again(best, {name: grid}), key=_nats)
        return best

    def _grids(self, found: Found) -> dict[str, UniformGrid]:
        """Of the penalised tensors."""
        codings = found.scheme.codings.items()
        grids = {name: coding.quantizer for name, coding in codings if name not in self.model.free}
        return {name: grid for name, grid in grids.items() if isinstance(grid, UniformGrid)}


def _wider(step: float) -> float:
    """The next larger number among 2·2^k and 3·2^k, whose descriptions are short."""
    mantissa, exponent = math.frexp(step)
    return math.ldexp(0.75 if mantissa < 0.75 else 1.0, exponent)


def _narrower(step: float) -> float:
    """The next smaller of them."""
    mantissa, exponent = math.frexp(step)
    return math.ldexp(0.75 if mantissa > 0.75 else 0.5 if mantissa > 0.5 else 0.375, exponent)
