"""MDLSearch: the strength of a scikit-learn estimator chosen by code length, where GridSearchCV holds examples out."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import Tags, check_array, check_random_state, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d, validate_data

from mdl.errors import DataError, MdlError
from mdl.length import LN2, CodeLength
from mdl.select.averaging import ETA, trained, weights
from mdl.select.candidates import STRENGTHS, Candidates, checked_strengths
from mdl.select.codes import CODE, code_lengths
from mdl.select.penalised import checked_estimator


def _has(method: str) -> Any:
    """Whether the estimator that answers, or is going to, has this method."""

    def check(search: Any) -> bool:
        getattr(search.best_estimator_ if hasattr(search, "best_estimator_") else search._untrained(), method)
        return True

    return check


class ByCodeLength(BaseEstimator):
    """What the estimators of this room share: candidates, their lengths, and those that answer by their shares."""

    strengths: Sequence[float] | None
    code: str
    eta: float | None
    random_state: Any

    def _untrained(self) -> Any:
        """The estimator whose strength is chosen, or a Pipeline that ends in it."""
        raise NotImplementedError

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Measure a code length at every strength, and train where it is short.

        Parameters
        ----------
        X
            (n, features) inputs, or what the pipeline's transformers take.
        y
            (n,) labels or numbers.

        Raises
        ------
        DataError
            If y has a single class or several columns, or a strength is not a finite number > 0.
        MdlError
            If there is no such code, the estimator is of another kind, or a transformer needs y.
        """
        began = time.perf_counter()
        strengths = checked_strengths(self.strengths, STRENGTHS)
        *transformers, last = _steps(self._untrained())
        checked_estimator(last[1])
        validate_data(self, X, y=y, skip_check_array=True)
        targets = self._targets(y)
        check_consistent_length(X, targets)
        fitted, columns = _transformed(transformers, X)
        inputs = check_array(
            columns, dtype=np.float64, ensure_min_samples=2, input_name="X", estimator=type(self).__name__
        )
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        candidates = Candidates.of(_seeded(last[1], seed), strengths, inputs, targets, seed)
        lengths = code_lengths(self.code, candidates)
        self._keep(candidates, lengths)
        self._refit(candidates, fitted, last[0], getattr(columns, "columns", None))
        self.n_trainings_ = candidates.n_trainings
        self.seconds_ = time.perf_counter() - began
        return self

    def _targets(self, y: ArrayLike) -> NDArray[Any]:
        """(n,) labels or finite numbers; of labels the classes are kept."""
        if is_classifier(self):
            labels = column_or_1d(check_array(y, ensure_2d=False, dtype=None, input_name="y"), warn=True)
            check_classification_targets(labels)
            self.classes_ = np.unique(labels)
            return labels
        numbers = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        if numbers.ndim > 1 and numbers.shape[1] > 1:
            raise DataError(f"y: expected shape (n,), one number an example, got {numbers.shape}")
        return column_or_1d(numbers, warn=True)

    def _keep(self, candidates: Candidates, lengths: tuple[CodeLength, ...]) -> None:
        nats = np.array([length.comparable.nats for length in lengths])
        self.code_lengths_ = lengths
        self.weights_ = weights(nats, self.eta)
        self.best_index_ = int(weights(nats, None).argmax())
        self.strength_ = candidates.strengths[self.best_index_]
        self.results_ = {
            "strength": np.array(candidates.strengths),
            "nats": nats,
            "bits": nats / LN2,
            "rank": 1 + np.argsort(np.argsort(nats, kind="stable"), kind="stable"),
            "weight": self.weights_,
            "seconds": candidates.seconds,
        }

    def _refit(self, candidates: Candidates, transformers: list[tuple[str, Any]], name: str, columns: Any) -> None:
        kept = trained(candidates, self.weights_)
        if late := sorted(candidates.unconverged & kept.keys()):
            warnings.warn(
                f"{type(candidates.estimator).__name__} did not converge at the strength"
                f"{'s' * (len(late) > 1)} {', '.join(f'{candidates.strengths[k]:g}' for k in late)}; raise max_iter",
                ConvergenceWarning,
                stacklevel=3,
            )
        if columns is not None and all(isinstance(column, str) for column in columns):
            for one in kept.values():
                one.feature_names_in_ = np.asarray(columns, dtype=object)
        self.transformer_ = make_pipeline(*(step for _, step in transformers)) if transformers else None
        self.estimators_ = tuple(kept[k] for k in sorted(kept))
        best = kept[self.best_index_]
        self.best_estimator_ = Pipeline([*transformers, (name, best)]) if transformers else best

    @available_if(_has("predict"))
    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Labels or numbers, (n,)."""
        check_is_fitted(self, "estimators_")
        if not is_classifier(self):
            return self._average("predict", X)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    @available_if(_has("predict_proba"))
    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Probabilities of ``classes_``, (n, classes)."""
        return self._average("predict_proba", X)

    @available_if(_has("predict_proba"))
    def predict_log_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Logarithms of ``predict_proba``, nats."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    @available_if(_has("decision_function"))
    def decision_function(self, X: ArrayLike) -> NDArray[Any]:
        """The logit of the second of two classes, (n,), or ``predict_log_proba``, (n, classes)."""
        logs = self.predict_log_proba(X)
        return logs[:, 1] - logs[:, 0] if logs.shape[1] == 2 else logs

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Accuracy of a classifier, R² of a regression."""
        return float((accuracy_score if is_classifier(self) else r2_score)(y, self.predict(X)))

    def _average(self, method: str, X: ArrayLike) -> NDArray[Any]:
        check_is_fitted(self, "estimators_")
        inputs = X if self.transformer_ is None else self.transformer_.transform(X)
        shares = self.weights_[self.weights_ > 0.0]
        answers = (getattr(one, method)(inputs) for one in self.estimators_)
        return sum(share * answer for share, answer in zip(shares, answers, strict=True))

    def __sklearn_tags__(self) -> Tags:
        """Those of the estimator that is searched; one target, and no sparse inputs."""
        tags, own = super().__sklearn_tags__(), get_tags(self._untrained())
        tags.estimator_type = own.estimator_type
        tags.classifier_tags = copy.deepcopy(own.classifier_tags)
        tags.regressor_tags = copy.deepcopy(own.regressor_tags)
        tags.target_tags.required = True
        tags.target_tags.multi_output = False
        tags.input_tags.sparse = False
        return tags


class MDLSearch(MetaEstimatorMixin, ByCodeLength):
    """The L2 strength of an estimator by the code length of the training data, each strength's share falling with it.

    Drops in for ``GridSearchCV``. The strength λ is per example, mean NLL + (λ/2)‖w‖², whatever the estimator calls it:
    ``LogisticRegression(C=1/(nλ))``, ``Ridge(alpha=nλ)`` (the noise being as large as the target's own spread),
    ``MLPClassifier(alpha=)`` and ``MLPRegressor(alpha=)`` by the batch (noise of variance 1: standardise the target).

    Parameters
    ----------
    estimator
        One of these four, or a ``Pipeline`` that ends in one. Transformers before it are fitted once, to X alone: X is
        shared with the reader of a code, y is not. One that needs y is refused.
    strengths
        λ > 0; by default half decades from 1e-5 to 10. Which of k was chosen costs ln k nats, under every code alike.
    code
        A name in :data:`mdl.select.codes.CODES`.
    eta
        Predictions are averaged over strengths with weights exp(-eta nats): a mixture cannot be as wrong as one choice.
        None has the strength of the shortest code predict alone.
    refit
        Whether estimators are trained on all examples, and answer.
    random_state
        Of the orders of prequential codes, and of an estimator that has none of its own.

    Attributes
    ----------
    strength_
        The λ with the shortest code.
    weights_
        (k,) shares of the strengths in predictions; below 1/1000 they are 0.
    code_lengths_
        A :class:`mdl.CodeLength` for each strength, ascending.
    results_
        ``{"strength", "nats", "bits", "rank", "weight", "seconds"}``, (k,) each: lengths without header, and what
        training that candidate took.
    estimators_, transformer_
        Those with a share, ascending, and what the pipeline does before them or None.
    best_index_, best_params_, best_estimator_
        Of the shortest code: which one, its argument in scikit-learn's convention, and itself.
    classes_, n_features_in_, feature_names_in_
        As everywhere in scikit-learn.
    n_trainings_, seconds_
        Of the whole search.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_wine(return_X_y=True)
    >>> search = MDLSearch(make_pipeline(StandardScaler(), LogisticRegression()), code="evidence").fit(X, y)
    >>> round(search.strength_, 4), sorted(search.best_params_)
    (0.001, ['logisticregression__C'])

    References
    ----------
    J. Rissanen, Modeling by shortest data description, Automatica 14 (1978).
    """

    def __init__(
        self,
        estimator: Any,
        strengths: Sequence[float] | None = None,
        *,
        code: str = CODE,
        eta: float | None = ETA,
        refit: bool = True,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.strengths = strengths
        self.code = code
        self.eta = eta
        self.refit = refit
        self.random_state = random_state

    def _untrained(self) -> Any:
        return self.estimator

    def _keep(self, candidates: Candidates, lengths: tuple[CodeLength, ...]) -> None:
        super()._keep(candidates, lengths)
        *_, (name, _) = _steps(self.estimator)
        prefix = f"{name}__" if isinstance(self.estimator, Pipeline) else ""
        own = candidates.penalty(self.best_index_, candidates.n)
        self.best_params_ = {f"{prefix}{argument}": value for argument, value in own.items()}

    def _refit(self, candidates: Candidates, transformers: list[tuple[str, Any]], name: str, columns: Any) -> None:
        if self.refit:
            super()._refit(candidates, transformers, name, columns)


def _steps(estimator: Any) -> list[tuple[str, Any]]:
    """Transformers, then the estimator; those that do nothing are left out."""
    steps = list(estimator.steps) if isinstance(estimator, Pipeline) else [("", estimator)]
    return [step for step in steps[:-1] if step[1] not in (None, "passthrough")] + steps[-1:]


def _transformed(transformers: list[tuple[str, Any]], X: Any) -> tuple[list[tuple[str, Any]], Any]:
    """Transformers fitted one after the other without y, and what they make of X."""
    fitted = []
    for name, transformer in transformers:
        if get_tags(transformer).target_tags.required:
            raise MdlError(
                f"pipeline step {name!r}: expected a transformer of X alone, which the reader of a code has too, but "
                f"{type(transformer).__name__} needs y; transform before, or choose the features otherwise"
            )
        own = clone(transformer)
        try:
            X = own.fit_transform(X) if hasattr(own, "fit_transform") else own.fit(X).transform(X)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"pipeline step {name!r}: expected {type(own).__name__} to be fitted to X alone, which the reader of a "
                f"code has too, and it says: {error}"
            ) from error
        fitted.append((name, own))
    return fitted, X


def _seeded(estimator: Any, seed: int) -> Any:
    """An estimator whose training repeats."""
    open_seed = "random_state" in estimator.get_params(deep=False) and estimator.random_state is None
    return clone(estimator).set_params(random_state=seed) if open_seed else estimator
