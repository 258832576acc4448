"""Candidates: one estimator at many strengths, the data it learns from, and what training it gives."""

from __future__ import annotations

import copy
import functools
import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning

from mdl import likelihoods
from mdl.errors import DataError
from mdl.likelihoods import Likelihood
from mdl.masses import Array
from mdl.models import FeedForward, Model, wrap
from mdl.priors import Gaussian
from mdl.select.penalised import checked_estimator, penalty
from mdl.select.spectrum import Spectrum

_FINE = 10  # a regression's targets are stated to 2^-10 of their spread

#: Strengths λ where none are given: half decades from 1e-5 to 10.
STRENGTHS: tuple[float, ...] = tuple(float(f"{value:.6g}") for value in np.logspace(-5.0, 1.0, 13))


def checked_strengths(strengths: Sequence[float] | None, default: tuple[float, ...] = STRENGTHS) -> tuple[float, ...]:
    """Each once, ascending; DataError if one is not a finite number > 0, or there is none."""
    if strengths is None:
        return default
    try:
        values = np.unique(np.asarray(strengths, np.float64))
    except (TypeError, ValueError) as error:
        raise DataError(f"strengths: expected a list of numbers, got {strengths!r:.80}") from error
    if np.ndim(strengths) != 1 or not values.size or not (np.isfinite(values).all() and values[0] > 0.0):
        raise DataError(f"strengths: expected a list of finite numbers > 0, got {strengths!r:.80}")
    return tuple(values.tolist())


@dataclass(eq=False)
class Candidates:
    """An estimator at k L2 strengths, and the examples that it is trained on.

    The strength λ is per example, mean NLL + (λ/2)‖w‖², so that the prior of weights has variance 1/(nλ), in units of
    the noise; see :mod:`mdl.penalties` for what that is as an argument of each estimator.

    Parameters
    ----------
    estimator
        An unfitted ``LogisticRegression``, ``Ridge``, ``MLPClassifier`` or ``MLPRegressor``.
    strengths
        (k,) ascending.
    X, y
        (n, features) inputs and (n,) targets that they are trained on.
    classes
        Their number; 0 for a regression.
    targets
        (n,) what is coded: class indices, or numbers stated to ``precision``.
    precision
        Of a regression's targets.
    seed
        Of the orders of prequential codes.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> x = np.linspace(-2, 2, 40)[:, None]
    >>> candidates = Candidates.of(LogisticRegression(), [1e-3, 1e-1], x, np.where(x[:, 0] > 0.3, "yes", "no"))
    >>> [round(model.weights["layers.0.weight"].item(), 1) for model in candidates.models], candidates.n_trainings
    ([7.4, 1.4], 2)
    """

    estimator: Any
    strengths: tuple[float, ...]
    X: Array
    y: NDArray[Any]
    classes: int
    targets: NDArray[Any]
    precision: float
    seed: int = 0
    n_trainings: int = field(init=False, default=0)
    seconds: Array = field(init=False)
    unconverged: set[int] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.seconds = np.zeros(len(self.strengths))

    @classmethod
    def of(cls, estimator: Any, strengths: Sequence[float], X: ArrayLike, y: ArrayLike, seed: int = 0) -> Candidates:
        """An estimator at these strengths.

        Raises
        ------
        MdlError
            If the estimator is of another kind, or its objective is no such penalty.
        DataError
            If a strength is not a finite number > 0, or y has a single class.
        """
        inputs, targets, lambdas = np.asarray(X, np.float64), np.asarray(y), checked_strengths(strengths)
        single = checked_estimator(estimator)
        if not is_classifier(single):
            numbers = targets.astype(np.float64)
            precision = _precision(numbers)
            stated = np.rint(numbers / precision) * precision
            return cls(single, lambdas, inputs, numbers, 0, stated, precision, seed)
        labels, indices = np.unique(targets, return_inverse=True)
        if labels.size < 2:
            raise DataError(f"y: expected at least two classes, got one class, {labels.tolist()}")
        return cls(single, lambdas, inputs, targets, labels.size, indices, 1.0, seed)

    @property
    def n(self) -> int:
        """Number of examples."""
        return len(self.targets)

    @property
    def ridge(self) -> bool:
        """Whether every candidate is a closed form."""
        return type(self.estimator).__name__ == "Ridge"

    @property
    def linear(self) -> bool:
        """Whether there are no hidden layers."""
        return not hasattr(self.estimator, "hidden_layer_sizes")

    @property
    def alphas(self) -> Array:
        """(k,) strengths as scikit-learn's ``Ridge(alpha=)``: nλ."""
        return self.n * np.asarray(self.strengths)

    def penalty(self, k: int, examples: int) -> dict[str, float]:
        """The k-th strength as the estimator's own argument, where it is trained on some of the examples."""
        return penalty(self.estimator, 1.0 / (self.n * self.strengths[k]), examples)

    @property
    def path(self) -> list[int]:
        """In which order candidates are trained, each from the one before.

        From the strongest penalty to the weakest; a perceptron's the other way, because its weights under a strong
        penalty are all zero, where the slope of a weaker one is zero too.
        """
        order = range(len(self.strengths))
        return list(reversed(order)) if self.linear else list(order)

    @functools.cached_property
    def likelihood(self) -> Likelihood:
        """What the candidates' predictions are parameters of."""
        if not self.classes:
            return likelihoods.Gaussian(self.precision)
        return likelihoods.Bernoulli() if self.classes == 2 else likelihoods.Categorical(self.classes)

    @functools.cached_property
    def spectrum(self) -> Spectrum:
        """The eigendecomposition that serves every strength of ridge."""
        return self._decompose(self.X, self.y)

    @functools.cached_property
    def fitted(self) -> tuple[Any, ...]:
        """(k,) estimators trained on all examples, along the path."""
        trained: dict[int, Any] = {}
        start = None
        for k in self.path:
            start = trained[k] = self.train(k, self.X, self.y, start)
        return tuple(trained[k] for k in range(len(self.strengths)))

    @functools.cached_property
    def models(self) -> tuple[Model, ...]:
        """(k,) trained models of ``targets``; those of ridge are computed from ``spectrum``."""
        if self.ridge:
            return tuple(self._ridge_model(self.spectrum, k) for k in range(len(self.strengths)))
        return tuple(_unlabelled(wrap(estimator, precision=self.precision)) for estimator in self.fitted)

    @functools.cached_property
    def priors(self) -> tuple[Gaussian, ...]:
        """(k,) priors that the strengths are, in units of the noise that fits each model."""
        priors = [Gaussian.from_l2(strength, self.n) for strength in self.strengths]
        if self.classes:
            return tuple(priors)
        fitted = [model.likelihood.fit(model.predict(self.X), self.targets) for model in self.models]
        noises = [getattr(likelihood, "scale", 1.0) for likelihood in fitted]
        return tuple(Gaussian(noise * prior.parameters[0]) for noise, prior in zip(noises, priors, strict=True))

    def train(self, k: int, X: Array, y: NDArray[Any], start: Any = None) -> Any:
        """The k-th estimator trained on some examples under the prior that it has on all of them.

        Parameters
        ----------
        k
            Which one.
        X, y
            (m, features) and (m,).
        start
            Another estimator, trained on the same examples, whose weights to start from.
        """
        own = self.penalty(k, len(y))
        warm = start is not None and hasattr(self.estimator, "warm_start")
        estimator = (copy.deepcopy(start) if warm else clone(self.estimator)).set_params(**own)
        began = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            (estimator.set_params(warm_start=True) if warm else estimator).fit(X, y)
        self.seconds[k] += time.perf_counter() - began
        self.n_trainings += 1
        for one in caught:
            if not issubclass(one.category, ConvergenceWarning):
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
            elif len(y) == self.n:
                self.unconverged.add(k)
        return estimator.set_params(warm_start=self.estimator.warm_start) if warm else estimator

    @property
    def is_trained(self) -> bool:
        """Whether all of them were trained on all examples already."""
        return "fitted" in self.__dict__

    def best(self, k: int) -> Any:
        """The k-th estimator trained on all examples; it is trained only if no code had it trained."""
        return self.fitted[k] if self.is_trained else self.train(k, self.X, self.y)

    def learner(self, k: int, near: dict[int, Any]) -> Any:
        """``fit(X, y, start) -> Model`` of the k-th estimator, for a prequential code of ``targets``.

        ``near`` holds, by number of examples, what another candidate learned from the same ones; it is updated.
        """

        def fit(X: Array, y: NDArray[Any], start: Model | None) -> Model:
            m = len(y)
            if self.ridge:
                near[m] = near[m] if m in near else self._decompose(X, y)
                return self._ridge_model(near[m], k)
            if self.classes and (y == y[0]).all():
                return self._flat
            near[m] = self.train(k, X, y, near.get(m))
            return wrap(near[m], precision=self.precision)

        return fit

    @property
    def _flat(self) -> FeedForward:
        """No opinion: one class alone teaches nothing."""
        outputs = 1 if self.classes == 2 else self.classes
        tensors = {"layers.0.weight": np.zeros((self.X.shape[1], outputs)), "layers.0.bias": np.zeros(outputs)}
        return FeedForward(tensors, self.likelihood)  # type: ignore[arg-type]

    def _decompose(self, X: Array, y: NDArray[Any]) -> Spectrum:
        self.n_trainings += 1
        return Spectrum.of(X, y, intercept=self.estimator.fit_intercept, weakest=float(self.alphas[0]))

    def _ridge_model(self, spectrum: Spectrum, k: int) -> FeedForward:
        coef = spectrum.coef(float(self.alphas[k]))
        tensors = {"layers.0.weight": coef[:, None], "layers.0.bias": np.array([spectrum.intercept(coef)])}
        return FeedForward(tensors, self.likelihood)  # type: ignore[arg-type]


def _unlabelled(model: Model) -> Model:
    """A model of class indices instead of labels."""
    return replace(model, classes=None) if isinstance(model, FeedForward) else model


def _precision(numbers: Array) -> float:
    """The power of two about 2^-10 of the numbers' spread, or as fine as 30 bits hold the largest."""
    spread, largest = float(numbers.std()), float(np.abs(numbers).max(initial=0.0))
    finest = math.frexp(largest)[1] - 30
    return math.ldexp(1.0, max(math.frexp(spread)[1] - _FINE, finest) if spread > 0.0 else finest)
