"""MDLSearch in the place of GridSearchCV."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder, scale

import mdl
from mdl.select import STRENGTHS, MDLSearch
from mdl.select.codes import chosen

WINE = load_wine(return_X_y=True, as_frame=True)
X, Y = scale(WINE[0]), WINE[1].to_numpy()
LAMBDAS = (1e-4, 1e-3, 1e-2, 1e-1)


@pytest.mark.parametrize("imported", ["import mdl", "import mdl, mdl.cli, mdl.sweep"])
def test_mdl_without_its_estimators_does_not_import_scikit_learn(imported):
    program = f"{imported}, sys; raise SystemExit('sklearn' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert {"MDLSearch", "MDLRidge", "MDLLogistic", "MDLMLPClassifier"} <= set(dir(mdl))
    assert mdl.MDLSearch is MDLSearch
    with pytest.raises(AttributeError, match="no attribute 'MDLLasso'"):
        _ = mdl.MDLLasso


@pytest.mark.parametrize("code", ["evidence", "prequential"])
def test_what_it_leaves(code):
    search = MDLSearch(LogisticRegression(tol=1e-8, max_iter=1000), LAMBDAS, code=code, eta=None, random_state=0).fit(
        X, Y
    )
    nats = [length.comparable.nats for length in search.code_lengths_]
    assert search.best_index_ == int(np.argmin(nats)) == chosen(search.code_lengths_)
    assert search.strength_ == LAMBDAS[search.best_index_]
    assert search.best_params_ == {"C": pytest.approx(1 / (len(Y) * search.strength_))}
    assert search.results_["nats"].tolist() == nats
    assert search.results_["bits"] * np.log(2) == pytest.approx(nats)
    assert search.results_["rank"].tolist() == (np.argsort(np.argsort(nats)) + 1).tolist()
    assert search.results_["strength"].tolist() == list(LAMBDAS)
    assert (search.results_["seconds"] > 0.0).all()
    assert 0.0 < search.results_["seconds"].sum() < search.seconds_
    assert search.n_trainings_ >= 4
    alone = LogisticRegression(C=search.best_params_["C"], tol=1e-8, max_iter=1000).fit(X, Y)
    assert search.predict_proba(X) == pytest.approx(alone.predict_proba(X), abs=1e-5)
    assert search.decision_function(X) == pytest.approx(alone.predict_log_proba(X), abs=1e-3)
    assert search.score(X, Y) == alone.score(X, Y)
    assert search.classes_.tolist() == [0, 1, 2]


def test_it_answers_as_a_grid_search_at_the_same_strength():
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8, max_iter=1000))
    search = MDLSearch(pipeline, LAMBDAS, code="evidence", eta=None).fit(*WINE)
    grid = GridSearchCV(pipeline, {name: [value] for name, value in search.best_params_.items()}).fit(*WINE)
    assert grid.best_params_ == search.best_params_
    assert search.predict_proba(WINE[0]) == pytest.approx(grid.predict_proba(WINE[0]), abs=1e-5)
    assert isinstance(search.best_estimator_, Pipeline)
    assert search.best_estimator_[:-1].transform(WINE[0]) == pytest.approx(X)
    assert list(search.feature_names_in_) == list(WINE[0].columns)


def test_probabilities_are_averaged_by_length():
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8, max_iter=1000))
    search = MDLSearch(pipeline, LAMBDAS, eta=0.5, random_state=0).fit(*WINE)
    nats = search.results_["nats"]
    shares = np.exp(-0.5 * (nats - nats.min()))
    shares[shares < 1e-3 * shares.sum()] = 0.0
    assert search.weights_ == pytest.approx(shares / shares.sum())
    assert len(search.estimators_) == np.count_nonzero(shares) > 1
    alone = [
        LogisticRegression(C=1 / (len(Y) * strength), tol=1e-8, max_iter=1000).fit(X, Y).predict_proba(X)
        for strength in LAMBDAS
    ]
    expected = np.tensordot(search.weights_, alone, 1)
    assert search.predict_proba(WINE[0]) == pytest.approx(expected, abs=1e-4)
    assert search.predict(WINE[0]).tolist() == expected.argmax(axis=1).tolist()
    assert search.decision_function(WINE[0]) == pytest.approx(np.log(expected), abs=1e-2)
    assert search.score(*WINE) == np.mean(expected.argmax(axis=1) == Y)


def test_numbers_are_averaged_by_length():
    search = MDLSearch(Ridge(), LAMBDAS, code="evidence", eta=0.1).fit(X, WINE[0]["alcohol"])
    alone = [Ridge(alpha=len(Y) * strength).fit(X, WINE[0]["alcohol"]).predict(X) for strength in LAMBDAS]
    assert search.predict(X) == pytest.approx(search.weights_ @ alone)
    ridge = mdl.MDLRidge(LAMBDAS, eta=0.1).fit(X, WINE[0]["alcohol"])
    assert ridge.weights_ == pytest.approx(search.weights_)
    assert ridge.predict(X) == pytest.approx(search.predict(X))


def test_two_classes_have_one_logit():
    search = MDLSearch(LogisticRegression(), LAMBDAS, random_state=0).fit(X, Y == 1)
    p = search.predict_proba(X)[:, 1]
    assert search.decision_function(X) == pytest.approx(np.log(p / (1.0 - p)))
    assert search.predict(X).dtype == bool


def test_without_strengths_there_are_the_default_ones():
    search = MDLSearch(Ridge(), code="evidence").fit(X, WINE[0]["alcohol"])
    assert len(search.code_lengths_) == len(STRENGTHS)


@pytest.mark.parametrize(
    "estimator",
    [Ridge(), MLPRegressor(hidden_layer_sizes=(3,), solver="lbfgs", max_iter=3000, random_state=0)],
    ids=["ridge", "mlp"],
)
def test_regressions(estimator):
    inputs, y = load_diabetes(return_X_y=True)
    y = scale(y)
    search = MDLSearch(make_pipeline(StandardScaler(), PCA(5), estimator), LAMBDAS, code="evidence").fit(inputs, y)
    assert search.score(inputs, y) > 0.3
    assert search.best_params_[next(iter(search.best_params_))] == pytest.approx(len(y) * search.strength_)
    assert not hasattr(search, "predict_proba")
    assert not hasattr(search, "classes_")


def test_transformers_see_frames_and_never_the_labels():
    frame = WINE[0].assign(kind=np.where(WINE[0]["hue"] > 1.0, "x", "y"))

    class Spy(VarianceThreshold):
        def fit(self, X, y=None):
            assert y is None
            return super().fit(X)

    columns = make_column_transformer((StandardScaler(), WINE[0].columns), (OneHotEncoder(), ["kind"]))
    pipeline = Pipeline([("c", columns), ("none", "passthrough"), ("spy", Spy()), ("l", LogisticRegression())])
    search = MDLSearch(pipeline, LAMBDAS, code="evidence").fit(frame, WINE[1])
    assert search.score(frame, WINE[1]) > 0.95
    assert [name for name, _ in search.best_estimator_.steps] == ["c", "spy", "l"]
    assert list(search.best_params_) == ["l__C"]


def test_a_transformer_that_needs_the_labels_is_refused():
    for transformer, said in (
        (TargetEncoder(), "TargetEncoder needs y"),
        (SelectKBest(k=2), "SelectKBest to be fitted"),
    ):
        search = MDLSearch(make_pipeline(StandardScaler(), transformer, LogisticRegression()))
        with pytest.raises(mdl.MdlError, match=f"pipeline step '{type(transformer).__name__.lower()}': .*{said}"):
            search.fit(X, Y)


def test_another_estimator_is_refused():
    with pytest.raises(mdl.MdlError, match=r"estimator: expected LogisticRegression.*got StandardScaler"):
        MDLSearch(make_pipeline(PCA(), StandardScaler())).fit(X, Y)
    with pytest.raises(mdl.MdlError, match="class_weight"):
        MDLSearch(LogisticRegression(class_weight="balanced")).fit(X, Y)


def test_without_refit_there_is_a_strength_but_no_answer():
    search = MDLSearch(LogisticRegression(), LAMBDAS, code="evidence", refit=False).fit(X, Y)
    assert search.strength_ in LAMBDAS
    assert not hasattr(search, "best_estimator_")
    with pytest.raises(NotFittedError):
        search.predict(X)


def test_the_estimator_given_stays_as_it_was():
    estimator = MLPClassifier((2,), solver="lbfgs", max_iter=2000)
    search = MDLSearch(estimator, (1e-2, 1e-1), code="evidence", random_state=0).fit(X, Y)
    assert estimator.random_state is None
    assert not hasattr(estimator, "coefs_")
    assert search.best_estimator_.warm_start is False


def test_the_one_chosen_says_that_it_did_not_converge():
    with pytest.warns(
        ConvergenceWarning, match="LogisticRegression did not converge at the strength 0.0001; raise max_iter"
    ):
        MDLSearch(LogisticRegression(max_iter=2), (1e-4,), code="evidence").fit(X, Y)


def test_prequential_depends_on_the_order_through_the_seed_only():
    lengths = [
        MDLSearch(LogisticRegression(), LAMBDAS, random_state=seed).fit(X, Y).code_lengths_ for seed in (0, 0, 1)
    ]
    assert lengths[0] == lengths[1]
    assert lengths[0] != lengths[2]
