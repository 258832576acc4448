"""MDLRidge, MDLLogistic, MDLMLPClassifier: scikit-learn estimators that choose their own L2 strength by code length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from mdl.select.averaging import ETA, weights
from mdl.select.candidates import Candidates, checked_strengths
from mdl.select.codes import CODE, RIDGE_CODE, code_lengths, ridge_noise
from mdl.select.search import ByCodeLength

#: Strengths of :class:`MDLRidge` where none are given: tenths of a decade from 1e-6 to 100.
RIDGE_STRENGTHS: tuple[float, ...] = tuple(float(f"{value:.6g}") for value in np.logspace(-6.0, 2.0, 81))


class MDLRidge(RegressorMixin, BaseEstimator):
    """Ridge regression with its strength by code length, all strengths from one eigendecomposition.

    Parameters
    ----------
    strengths
        λ > 0, per example and relative to a noise as large as the target's own spread: ``Ridge(alpha=nλ)``. By default
        tenths of a decade from 1e-6 to 100.
    code
        A name in :data:`mdl.select.codes.CODES`; the evidence is exact.
    eta
        As of :class:`MDLSearch`.
    fit_intercept
        Whether inputs and target are centred.
    random_state
        Of the orders of prequential codes.

    Attributes
    ----------
    strength_, alpha_
        The λ with the shortest code, and what it is as ``Ridge(alpha=)``.
    code_lengths_
        A :class:`mdl.CodeLength` for each strength, ascending. The target is stated to about 2^-10 of its spread.
    noise_
        Scale of the noise, in units of the target, under which the evidence at ``alpha_`` is the shortest.
    weights_
        (k,) shares of the strengths.
    coef_, intercept_
        (features,) and a number: the average over strengths, which predicts what the average of their predictions is.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> ridge = MDLRidge().fit(*load_diabetes(return_X_y=True))
    >>> round(ridge.alpha_, 3), round(ridge.noise_)
    (0.035, 54)

    References
    ----------
    D. MacKay, Bayesian interpolation, Neural Computation 4 (1992).
    """

    def __init__(
        self,
        strengths: Sequence[float] | None = None,
        *,
        code: str = RIDGE_CODE,
        eta: float | None = ETA,
        fit_intercept: bool = True,
        random_state: Any = None,
    ) -> None:
        self.strengths = strengths
        self.code = code
        self.eta = eta
        self.fit_intercept = fit_intercept
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Choose the strength, and the weights at it.

        Parameters
        ----------
        X, y
            (n, features) and (n,), at least two examples.

        Raises
        ------
        DataError
            If a strength is not a finite number > 0.
        MdlError
            If there is no such code.
        """
        lambdas = checked_strengths(self.strengths, RIDGE_STRENGTHS)
        inputs, targets = validate_data(self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        candidates = Candidates.of(Ridge(fit_intercept=self.fit_intercept), lambdas, inputs, targets, seed)
        self.code_lengths_ = code_lengths(self.code, candidates)
        nats = np.array([length.comparable.nats for length in self.code_lengths_])
        self.weights_, best = weights(nats, self.eta), int(weights(nats, None).argmax())
        self.strength_ = candidates.strengths[best]
        self.alpha_ = float(candidates.alphas[best])
        self.noise_ = float(ridge_noise(candidates)[best])
        self.coef_ = candidates.spectrum.average(candidates.alphas, self.weights_)
        self.intercept_ = candidates.spectrum.intercept(self.coef_)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Numbers, (n,)."""
        check_is_fitted(self)
        return validate_data(self, X, reset=False, dtype=np.float64) @ self.coef_ + self.intercept_


class MDLLogistic(ClassifierMixin, ByCodeLength):
    """Logistic or softmax regression with its strength by code length.

    Parameters
    ----------
    strengths
        λ > 0, per example; by default half decades from 1e-5 to 10.
    code
        A name in :data:`mdl.select.codes.CODES`.
    eta
        As of :class:`MDLSearch`: probabilities are averaged over strengths, unless it is None.
    fit_intercept
        Whether there are intercepts, which no penalty touches.
    tol, max_iter
        Of scikit-learn's ``LogisticRegression(solver="newton-cg")``.
    random_state
        Of the orders of prequential codes.

    Attributes
    ----------
    strength_, C_
        The λ with the shortest code, and what it is as ``LogisticRegression(C=)``: 1/(nλ).
    code_lengths_, results_, weights_, estimators_, best_index_, best_estimator_, n_trainings_, seconds_
        As of :class:`MDLSearch`.
    coef_, intercept_, classes_, n_iter_
        As of ``LogisticRegression``, at ``strength_``; iterations are those of all ``estimators_``. Probabilities that
        are averages have no weights of their own.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.preprocessing import scale
    >>> X, y = load_wine(return_X_y=True)
    >>> logistic = MDLLogistic(code="evidence").fit(scale(X), y)
    >>> round(logistic.strength_, 4), logistic.coef_.shape
    (0.001, (3, 13))
    """

    def __init__(
        self,
        strengths: Sequence[float] | None = None,
        *,
        code: str = CODE,
        eta: float | None = ETA,
        fit_intercept: bool = True,
        tol: float = 1e-5,
        max_iter: int = 1000,
        random_state: Any = None,
    ) -> None:
        self.strengths = strengths
        self.code = code
        self.eta = eta
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    def _untrained(self) -> LogisticRegression:
        options = {"fit_intercept": self.fit_intercept, "tol": self.tol, "max_iter": self.max_iter}
        return LogisticRegression(solver="newton-cg", **options)

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Choose the strength, and train at it. Parameters and errors as of :meth:`MDLSearch.fit`."""
        super().fit(X, y)
        best = self.best_estimator_
        self.C_, self.coef_, self.intercept_ = float(best.C), best.coef_, best.intercept_
        self.n_iter_ = sum(int(np.max(one.n_iter_)) for one in self.estimators_)
        return self


class MDLMLPClassifier(ClassifierMixin, ByCodeLength):
    """A multilayer perceptron with its strength by code length, trained by L-BFGS on all examples.

    Parameters
    ----------
    hidden_layer_sizes, activation, max_iter
        As of ``MLPClassifier``.
    strengths
        λ > 0, per example; by default half decades from 1e-5 to 10.
    code
        A name in :data:`mdl.select.codes.CODES`.
    random_state
        Of the first weights, the same for all strengths, and of the orders of prequential codes.

    Attributes
    ----------
    strength_, alpha_
        The λ with the shortest code, and what it is as ``MLPClassifier(alpha=)``: nλ.
    code_lengths_, results_, weights_, estimators_, best_index_, best_estimator_, n_trainings_, seconds_
        As of :class:`MDLSearch`.
    coefs_, intercepts_, classes_, n_iter_
        As of ``MLPClassifier``, at ``strength_``.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.preprocessing import scale
    >>> X, y = load_wine(return_X_y=True)
    >>> network = MDLMLPClassifier((8,), strengths=[1e-3, 1e-1], code="evidence", random_state=0).fit(scale(X), y)
    >>> network.strength_, [tensor.shape for tensor in network.coefs_]
    (0.001, [(13, 8), (8, 3)])
    """

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (100,),
        activation: str = "relu",
        *,
        strengths: Sequence[float] | None = None,
        code: str = CODE,
        eta: float | None = ETA,
        max_iter: int = 1000,
        random_state: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.strengths = strengths
        self.code = code
        self.eta = eta
        self.max_iter = max_iter
        self.random_state = random_state

    def _untrained(self) -> MLPClassifier:
        sizes = {"hidden_layer_sizes": self.hidden_layer_sizes, "activation": self.activation}
        return MLPClassifier(solver="lbfgs", max_iter=self.max_iter, max_fun=10 * self.max_iter, **sizes)

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Choose the strength, and train at it. Parameters and errors as of :meth:`MDLSearch.fit`."""
        super().fit(X, y)
        best = self.best_estimator_
        self.alpha_, self.n_iter_ = float(best.alpha), int(best.n_iter_)
        self.coefs_, self.intercepts_ = best.coefs_, best.intercepts_
        return self
