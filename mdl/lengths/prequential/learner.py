"""A learner that is trained again as targets arrive, and what it forecasts of each block from those before.

A writer and a reader of a prequential code run the same ``Online``: it forecasts the next block from the targets
revealed so far, the block is coded under the forecast and revealed, and so on. Nothing that it uses, the scale of a
noise, a temperature, or the mass kept for unseen classes, depends on a target that a reader has not read yet.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from mdl.codes.coder import Symbols
from mdl.codes.labels import Labels
from mdl.errors import DataError, MdlError, MessageError
from mdl.lengths.prequential.plan import Plan
from mdl.likelihoods import Categorical, Gaussian, Likelihood
from mdl.masses import Array
from mdl.models import Model, checked_inputs, wrap

#: An unfitted scikit-learn estimator, or ``fit(X, y, start) -> Model`` where ``start`` is the model before, or None.
Learner = Any
Fit = Callable[[Array, NDArray[Any], Model | None], Any]

UNSEEN = 0.5  # count of a class before its first example (Krichevsky and Trofimov)
_OCTAVES = (-6.0, 3.0)  # of inverse temperatures
_NOTCHES = 16  # to an octave: coarse, so that a reader's arithmetic finds the same one


@dataclass(frozen=True)
class Mixed:
    """A likelihood of numbers with a share of the uniform code of lo..hi, so that no number there costs too much.

    Its predictions and its symbols are those of ``inner``; with a share of 1 they do not matter.
    """

    inner: Likelihood
    share: float
    lo: int
    hi: int

    @property
    def span(self) -> tuple[int, int]:
        """What the uniform share is spread over."""
        return self.lo, self.hi

    @property
    def resolution(self) -> float:
        """That of ``inner``."""
        return self.inner.resolution

    def log_prob(self, predictions: ArrayLike, y: ArrayLike) -> Array:
        """Ln probability of each target, nats, (n,)."""
        symbols = self.to_symbols(y)[:, None]
        return self.log_mass(predictions, symbols, symbols)[:, 0]

    def log_mass(self, predictions: ArrayLike, first: ArrayLike, last: ArrayLike) -> Array:
        """Ln of (1 - share) times the mass of ``inner`` plus share times the part of lo..hi, (n, k)."""
        low = np.maximum(np.atleast_2d(np.asarray(first, np.int64)), self.lo)
        high = np.minimum(np.atleast_2d(np.asarray(last, np.int64)), self.hi)
        with np.errstate(divide="ignore"):
            flat = np.log(self.share * np.maximum(high - low + 1, 0) / (self.hi - self.lo + 1.0))
        if self.share == 1.0:
            return np.broadcast_to(flat, (np.shape(predictions)[0], flat.shape[1]))
        return np.logaddexp(math.log1p(-self.share) + self.inner.log_mass(predictions, first, last), flat)

    def to_symbols(self, y: ArrayLike) -> Symbols:
        """Those of ``inner``."""
        return self.inner.to_symbols(y)

    def from_symbols(self, symbols: ArrayLike) -> NDArray[Any]:
        """Those of ``inner``."""
        return self.inner.from_symbols(symbols)

    def fit(self, predictions: ArrayLike, y: ArrayLike) -> Self:
        """Nothing to fit."""
        return self


@dataclass(frozen=True, eq=False)
class Forecast:
    """A likelihood and its predictions for the examples of one block."""

    likelihood: Likelihood
    predictions: Array

    def nats(self, symbols: Symbols) -> Array:
        """-ln probability of each symbol, (n,) nats, predictions as they are."""
        column = symbols[:, None]
        return np.maximum(-self.likelihood.log_mass(self.predictions, column, column)[:, 0], 0.0)

    def labels(self, plan: Plan) -> Labels:
        """The code that a file uses: predictions rounded to the likelihood's resolution."""
        return Labels(self.likelihood, self.predictions, plan.lo, plan.hi)


def temperature(log_p: Array, labels: NDArray[np.int64]) -> float:
    """The most probable inverse temperature beta of the labels under softmax(beta log_p), to 1/16 of an octave.

    log2 beta is normal beforehand, with mean 0 and deviation 1: a few labels that were all forecast right would
    otherwise have it infinite, and the next block would pay for that.

    Parameters
    ----------
    log_p
        (n, K) forecasts, nats; -inf for classes that the model did not know.
    labels
        (n,) class indices; those that were not known are left out. Without any, beta is 1.

    References
    ----------
    J. Bornschein, Y. Li and M. Hutter, Sequential learning of neural networks for prequential MDL, ICLR (2023): there
    a gradient step at a time, here all at once over the forecasts of the later half of the examples seen.
    """
    known = np.isfinite(log_p[np.arange(labels.size), labels])
    if not known.any():
        return 1.0
    kept, rows = log_p[known], np.arange(int(known.sum()))

    def nats(octave: float) -> float:
        return 0.5 * octave**2 - float(special.log_softmax(2.0**octave * kept, axis=1)[rows, labels[known]].sum())

    found = optimize.minimize_scalar(nats, bounds=_OCTAVES, method="bounded", options={"xatol": 0.01}).x
    return 2.0 ** (round(found * _NOTCHES) / _NOTCHES)


class Online:
    """A learner, and the targets revealed to it so far: forecasts of one block after another.

    Parameters
    ----------
    learner
        An unfitted estimator of scikit-learn that :func:`mdl.wrap` knows, cloned and fitted to all examples seen (with
        ``random_state=0`` if it has none), or ``fit(X, y, start) -> Model``.
    plan
        What both sides agree on.
    X
        (n, features), in the given order.
    start
        A model that both sides have beforehand: it forecasts the first block, which otherwise costs uniform symbols.

    Raises
    ------
    DataError
        If X has not the plan's number of rows, or later if the learner's model does not fit the plan.
    MdlError
        If the learner is none.
    """

    def __init__(self, learner: Learner, plan: Plan, X: ArrayLike, start: Any = None) -> None:
        inputs = checked_inputs(X)
        if inputs.shape[0] != plan.n:
            raise DataError(f"X: expected a row for each of {plan.n} targets, got {inputs.shape[0]}")
        self._is_estimator = hasattr(learner, "fit") and hasattr(learner, "get_params")
        if not (self._is_estimator or callable(learner)) or isinstance(learner, type):
            raise MdlError(f"learner: expected an unfitted estimator or fit(X, y, start) -> Model, got {learner!r:.80}")
        if self._is_estimator and plan.replay is not None:
            raise MdlError("replay: expected a callable learner, which goes on from the model before; got an estimator")
        self._learner, self._plan = learner, plan
        self._X = inputs[plan.order()]
        self._model: Model | None = None if start is None else wrap(start, precision=plan.precision or 1.0)
        self._fresh = slice(0, 0)  # the block revealed last, not trained on yet
        self._forecasts: list[Array] = []
        self.symbols = np.empty(plan.n, np.int32)
        self.seen = 0
        self.trainings = 0

    def forecast(self, block: slice) -> Forecast:
        """Of the next block, from the targets revealed so far: trains once."""
        if self.seen:
            self._train()
        X = self._X[block]
        return self._of_classes(X) if self._plan.precision is None else self._of_numbers(X, self._plan.precision)

    def reveal(self, symbols: Symbols) -> None:
        """The block's symbols, in coding order; MessageError if one is outside lo..hi."""
        if symbols.size and not self._plan.lo <= symbols.min() <= symbols.max() <= self._plan.hi:
            raise MessageError(f"expected symbols from {self._plan.lo} to {self._plan.hi}")
        self._fresh = slice(self.seen, self.seen + symbols.size)
        self.symbols[self._fresh] = symbols
        self.seen += symbols.size
        if len(self._forecasts) == 1 and self._plan.precision is not None and self._model is None:
            self._forecasts[0] = np.full(symbols.size, symbols.mean() * self._plan.precision)

    def targets(self) -> NDArray[Any]:
        """All targets, in the given order."""
        targets = self._plan.from_symbols(self.symbols)
        ordered = np.empty_like(targets)
        ordered[self._plan.order()] = targets
        return ordered

    def _train(self) -> None:
        rows = self._rows()
        y = self._plan.from_symbols(self.symbols[rows])
        if self._is_estimator and self._plan.precision is None and np.ptp(self.symbols[rows]) == 0:
            return  # one class so far: an estimator refuses, and there is nothing to learn
        fit: Fit = self._fit_clone if self._is_estimator else self._learner
        self._model = wrap(fit(self._X[rows], y, self._model), precision=self._plan.precision or 1.0)
        self.trainings += 1

    def _rows(self) -> NDArray[np.int64]:
        """Examples to train on: all that were seen, or the newest block and a sample of those before it."""
        if self._plan.replay is None:
            return np.arange(self.seen)
        new = np.arange(self._fresh.start, self._fresh.stop)
        count = min(self._fresh.start, round(self._plan.replay * new.size))
        return np.concatenate([self._plan.sample(count, self._fresh.start), new])

    def _fit_clone(self, X: Array, y: NDArray[Any], _: Model | None) -> Any:
        from sklearn.base import clone
        from sklearn.exceptions import ConvergenceWarning

        estimator = clone(self._learner)
        if estimator.get_params().get("random_state", 0) is None:
            estimator.set_params(random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the length is of this learner, converged or not
            return estimator.fit(X, y)

    def _of_classes(self, X: Array) -> Forecast:
        plan, count = self._plan, self._plan.hi + 1
        known, log_p = self._of_known(X)
        whole = np.full((X.shape[0], count), -np.inf)
        whole[:, known] = log_p
        if self._forecasts:  # they are kept for this only
            half = self.seen // 2
            past = np.concatenate(self._forecasts)[half:]
            beta = temperature(past, self.symbols[half : self.seen].astype(np.int64))
            log_p = special.log_softmax(beta * log_p, axis=1)
        if plan.calibrate:
            self._forecasts.append(whole)
        unseen = count - known.size
        prior = UNSEEN / (self.seen + UNSEEN * count)
        shared = np.full((X.shape[0], count), math.log(prior))
        shared[:, known] = log_p + math.log1p(-unseen * prior) if unseen else log_p
        return Forecast(Categorical(count), shared)

    def _of_known(self, X: Array) -> tuple[NDArray[np.int64], Array]:
        """Indices of the classes that the model knows, (k,), and their forecasts, (n, k) nats."""
        count = self._plan.hi + 1
        if self._model is None:
            known = np.arange(count) if not self.seen else self.symbols[:1].astype(np.int64)
            return known, np.full((X.shape[0], known.size), -math.log(known.size))
        predictions = self._model.predict(X)
        likelihood = self._model.likelihood.fit(predictions, np.zeros(len(X)))  # an open number of classes at most
        k = getattr(likelihood, "classes", 2)
        labels = getattr(self._model, "classes", None)
        known = np.arange(k)
        if labels is not None or k != count:
            known = self._indices(known if labels is None else np.array(labels))
        if known.size != k or np.unique(known).size != k:
            raise DataError(f"learner: expected a model with a label for each of its {k} classes, got {labels}")
        return known, likelihood.log_mass(predictions, np.arange(k), np.arange(k))

    def _indices(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        try:
            return self._plan.to_symbols(labels).astype(np.int64)
        except DataError as error:
            raise DataError(f"learner: its model knows a class that y does not have; give classes ({error})") from error

    def _of_numbers(self, X: Array, precision: float) -> Forecast:
        plan, model = self._plan, self._model
        if model is None:
            self._forecasts.append(np.zeros(X.shape[0]))
            return Forecast(Mixed(Gaussian(precision), 1.0, plan.lo, plan.hi), np.zeros(X.shape[0]))
        likelihood: Likelihood = model.likelihood
        if getattr(likelihood, "precision", precision) != precision:
            raise DataError(f"learner: expected a model of targets stated to {precision}, got {likelihood}")
        predictions = model.predict(X)
        if isinstance(likelihood, Gaussian) and likelihood.scale is None:
            likelihood = self._scaled(likelihood)
        self._forecasts.append(predictions)
        return Forecast(likelihood, predictions)

    def _scaled(self, likelihood: Gaussian) -> Likelihood:
        """The noise fitted to the errors of forecasts already made, on the later half of the examples seen."""
        if not self.seen:
            raise DataError("start: a Gaussian whose scale is open forecasts nothing yet; give its scale")
        half = self.seen // 2
        past = np.concatenate(self._forecasts)[half:]
        fitted = likelihood.fit(past, self._plan.from_symbols(self.symbols[half : self.seen]))
        return Mixed(fitted, 1.0 / (self.seen + 2.0), self._plan.lo, self._plan.hi)
