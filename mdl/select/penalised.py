"""Estimators of scikit-learn whose strength can be chosen: which argument sets it, and what it forbids beside it."""

from __future__ import annotations

from typing import Any

from mdl.errors import MdlError, PenaltyError
from mdl.penalties import CONVENTIONS

_ARGUMENTS = {"LogisticRegression": "C", "Ridge": "alpha", "MLPClassifier": "alpha", "MLPRegressor": "alpha"}

# what the objective must be for a strength to be a prior: argument -> values that leave it so
_ALLOWED: dict[str, dict[str, tuple[Any, ...]]] = {
    "LogisticRegression": {
        "class_weight": (None,),
        "dual": (False,),
        "l1_ratio": (None, 0, 0.0),
        "penalty": ("l2", "deprecated"),
        "solver": ("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga"),  # liblinear penalises the intercept
    },
    "Ridge": {"positive": (False,)},
    "MLPClassifier": {"early_stopping": (False,)},
    "MLPRegressor": {"early_stopping": (False,), "loss": ("squared_error",)},
}


def checked_estimator(estimator: Any) -> Any:
    """The estimator itself.

    Raises
    ------
    MdlError
        If it is of another kind, or its objective is not mean NLL + (λ/2)‖w‖².
    """
    kind = type(estimator).__name__
    if kind not in _ARGUMENTS or isinstance(estimator, type):
        raise MdlError(
            f"estimator: expected {', '.join(_ARGUMENTS)} or a Pipeline that ends in one, got {estimator!r:.80}"
        )
    given = estimator.get_params(deep=False)
    for name, allowed in _ALLOWED[kind].items():
        if name in given and not any(given[name] is value or given[name] == value for value in allowed):
            raise PenaltyError(
                f"{kind}({name}=): expected {' or '.join(map(repr, allowed))}, for which the strength is that of an L2 "
                f"penalty on all examples alike, got {given[name]!r}"
            )
    return estimator


def penalty(estimator: Any, variance: float, n: int) -> dict[str, float]:
    """The estimator's own argument for a prior of this variance when it is trained on n examples.

    Noise is taken to have variance 1: that of ``Ridge`` in units of the target's own spread, which it does not depend
    on, that of ``MLPRegressor`` in units of the target.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression, Ridge
    >>> penalty(LogisticRegression(), 0.5, n=100), penalty(Ridge(), 0.5, n=100)
    ({'C': 0.5}, {'alpha': 2.0})
    """
    kind = type(estimator).__name__
    convention = CONVENTIONS[_convention(kind)]
    facts: dict[str, Any] = {"batch": _batch(estimator, n), "noise_variance": 1.0}
    needed = {fact: facts[fact] for fact in convention.needs}
    return {_ARGUMENTS[kind]: convention.value(variance, n=n, **needed)}


def _convention(kind: str) -> str:
    return f"sklearn.{kind}.{_ARGUMENTS[kind]}"


def _batch(estimator: Any, n: int) -> int:
    """Examples a step: all for lbfgs and for estimators without batches."""
    size = getattr(estimator, "batch_size", "auto")
    if getattr(estimator, "solver", "") not in ("sgd", "adam"):
        return n
    return min(n, 200 if size == "auto" else int(size))
