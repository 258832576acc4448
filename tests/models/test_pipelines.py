"""Pipelines: the length of the last step on transformed inputs, refused where a reader could not transform alike."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.random_projection import GaussianRandomProjection

import mdl
from mdl.errors import DataError, MdlError, PlatformError
from mdl.models import FeedForward, Model, Transformed

RNG = np.random.default_rng(3)
X = RNG.normal(3.0, 5.0, (60, 4))
TWO = (X[:, 0] > 3.0).astype(int)
REAL = np.rint(X[:, 0] + RNG.normal(size=60))


@pytest.mark.parametrize(
    "pipeline",
    [
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(), PCA(2), PolynomialFeatures(), LogisticRegression()),
        make_pipeline(FunctionTransformer(np.tanh), StandardScaler(with_mean=False), LogisticRegression()),
        make_pipeline(StandardScaler(), "passthrough", MLPClassifier((3,), max_iter=20, tol=1.0, random_state=0)),
    ],
    ids=["scaler", "several", "function", "mlp"],
)
def test_a_pipeline_has_the_length_of_its_last_step_on_what_its_transformers_make_of_x(pipeline) -> None:
    pipeline.fit(X, TWO)
    model, inside = mdl.wrap(pipeline), pipeline[:-1].transform(X)
    assert isinstance(model, Model)
    head = mdl.wrap(pipeline[-1])
    np.testing.assert_allclose(model.likelihood.log_prob(model.predict(X), TWO),
                               np.log(pipeline.predict_proba(X)[np.arange(60), TWO]), rtol=1e-8)  # fmt: skip
    message = mdl.encode_with_data(model, X, TWO)
    assert message == mdl.encode_with_data(head, inside, TWO)
    assert mdl.two_part(model, X, TWO) == mdl.two_part(head, inside, TWO)
    for given in ({"X": inside}, {"X": X, "model": model}):
        decoded, y = mdl.decode_with_data(message, **given)
        np.testing.assert_array_equal(y, TWO)
        assert isinstance(decoded, FeedForward)


@pytest.mark.parametrize("method", ["evidence", "variational", "lattice", "refined", "mml", "lnml", "two_part"])
def test_every_method_takes_a_pipeline(method) -> None:
    pipeline = make_pipeline(StandardScaler(), Ridge(1.0)).fit(X, REAL)
    by_pipeline = getattr(mdl, method)(mdl.wrap(pipeline), X, REAL)
    assert by_pipeline == getattr(mdl, method)(mdl.wrap(pipeline[-1]), pipeline[:-1].transform(X), REAL)


def test_tables_with_named_columns_and_words() -> None:
    frame = pd.DataFrame({"x": X[:, 0], "kind": np.where(X[:, 1] > 3, "b", "a")})
    columns = make_column_transformer((StandardScaler(), ["x"]), (OneHotEncoder(), ["kind"]))
    pipeline = make_pipeline(columns, LogisticRegression()).fit(frame, TWO)
    message = mdl.encode_with_data(mdl.wrap(pipeline), frame, TWO)
    np.testing.assert_array_equal(mdl.decode_with_data(message, frame, mdl.wrap(pipeline))[1], TWO)


def test_new_inputs_are_transformed_as_the_pipeline_was_fitted() -> None:
    pipeline = make_pipeline(StandardScaler(), Ridge(1.0)).fit(X, REAL)
    np.testing.assert_allclose(mdl.wrap(pipeline).predict(X[:7]), pipeline.predict(X[:7]), rtol=1e-10)


@pytest.mark.parametrize(
    "transformer",
    [
        SelectKBest(k=2),
        GaussianRandomProjection(3, random_state=None),
    ],
    ids=["with y", "at random"],
)
def test_a_transformer_that_the_reader_cannot_repeat_is_refused(transformer) -> None:
    model = mdl.wrap(make_pipeline(transformer, LogisticRegression()).fit(X, TWO))
    with pytest.raises(DataError, match="X alone"):
        mdl.two_part(model, X, TWO)


def test_a_transformer_that_was_fitted_to_other_inputs_is_refused() -> None:
    model = mdl.wrap(make_pipeline(StandardScaler(), LogisticRegression()).fit(X, TWO))
    with pytest.raises(DataError, match="other inputs"):
        mdl.two_part(model, X[:40], TWO[:40])


def test_the_inputs_before_they_are_transformed_do_not_decode() -> None:
    model = mdl.wrap(make_pipeline(StandardScaler(), LogisticRegression()).fit(X, TWO))
    with pytest.raises(PlatformError, match="other inputs"):
        mdl.decode_with_data(mdl.encode_with_data(model, X, TWO), X)


def test_a_pipeline_of_one_step_is_that_step_and_one_that_is_not_fitted_is_refused() -> None:
    assert isinstance(mdl.wrap(make_pipeline(Ridge()).fit(X, REAL)), FeedForward)
    assert isinstance(mdl.wrap(make_pipeline(StandardScaler(), Ridge()).fit(X, REAL)), Transformed)
    with pytest.raises(MdlError, match="not fitted"):
        mdl.wrap(make_pipeline(StandardScaler(), Ridge()))
