"""A strength for a dataset by its name: what ``mdl select`` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mdl.datasets import Dataset
from mdl.select.averaging import ETA
from mdl.select.candidates import STRENGTHS
from mdl.select.codes import CODE, RIDGE_CODE
from mdl.select.search import MDLSearch
from mdl.training import HIDDEN, MODELS, default_models, model_name

_ITERATIONS = 2000


def search(
    dataset: Dataset,
    model: str | None = None,
    strengths: Sequence[float] | None = None,
    code: str | None = None,
    eta: float | None = ETA,
    seed: int = 0,
) -> MDLSearch:
    """All examples of a dataset, standardised, and a model of :data:`mdl.training.MODELS` at every strength.

    Parameters
    ----------
    dataset
        What :func:`mdl.datasets.load` gives. A regression's target is standardised as well.
    model
        A name, by default the linear model for the dataset's task.
    strengths, eta
        As of :class:`mdl.select.MDLSearch`.
    code
        A name in :data:`mdl.select.codes.CODES`; by default the evidence for ridge, ``rotated`` otherwise.
    seed
        Of what is random in codes and training.

    Returns
    -------
    MDLSearch
        Fitted.

    Raises
    ------
    DataError
        If the model is not for the dataset's task.
    MdlError
        If there is no such code, or it is not defined for this model.

    Examples
    --------
    >>> from mdl.datasets import load
    >>> found = search(load("wine"), code="evidence")
    >>> found.strength_, len(found.estimators_) > 1
    (0.001, True)
    """
    name = model_name(model or default_models(dataset)[0], dataset.task)
    y = dataset.y
    if dataset.task == "regression":
        y = (y - y.mean()) / (y.std() or 1.0)
    pipeline = make_pipeline(StandardScaler(), _estimator(name, dataset.task == "regression"))
    chosen = code or (RIDGE_CODE if name == "ridge" else CODE)
    return MDLSearch(pipeline, strengths, code=chosen, eta=eta, random_state=seed).fit(dataset.X, y)


def grid(count: int) -> tuple[float, ...]:
    """So many strengths over the default range, equally far apart in the logarithm.

    Examples
    --------
    >>> grid(3)
    (1e-05, 0.01, 10.0)
    """
    return tuple(float(f"{strength:.6g}") for strength in np.geomspace(STRENGTHS[0], STRENGTHS[-1], count))


def _estimator(name: str, regression: bool) -> Any:
    if name == "ridge":
        return Ridge()
    if name == "logistic":
        return LogisticRegression(solver="newton-cg", max_iter=_ITERATIONS)
    kind = MLPRegressor if regression else MLPClassifier
    network = {"hidden_layer_sizes": (HIDDEN,), "activation": MODELS[name], "solver": "lbfgs"}
    return kind(**network, max_iter=_ITERATIONS, max_fun=10 * _ITERATIONS)
