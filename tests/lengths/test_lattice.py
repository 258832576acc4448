"""The lattice: never longer than the best grid, decoded from bytes alone and X, and as long as scipy says."""

from __future__ import annotations

import functools
import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

import mdl
from mdl import likelihoods
from mdl.codes.curved import CurvedGrid
from mdl.codes.shaped import ShapedCoding
from mdl.curvature import Objective
from mdl.errors import MdlError, MessageError, PriorError
from mdl.lengths import lattice as room
from mdl.lengths.lattice import encode_lattice, lattice, shortest
from mdl.models import FeedForward
from mdl.trials import Trials

SLACK_BITS = 64


def _standard(loader):
    X, y = loader(return_X_y=True)
    return StandardScaler().fit_transform(X), y


CANCER, DIABETES, DIGITS = map(_standard, (load_breast_cancer, load_diabetes, load_digits))
FEW = DIGITS[1] < 4
SOME = DIGITS[0][FEW][:200], DIGITS[1][FEW][:200]
COUNTS = DIABETES[0], DIABETES[1] // 25
PERCEPTRON = MLPClassifier(4, solver="lbfgs", alpha=1.0, max_iter=2000, random_state=0)
MODELS = {
    "logistic": (mdl.wrap(LogisticRegression(C=0.1).fit(*CANCER)), *CANCER),
    "softmax": (mdl.wrap(LogisticRegression(C=0.1).fit(*SOME)), *SOME),
    "ridge": (mdl.wrap(Ridge(10.0).fit(*DIABETES)), *DIABETES),
    "poisson": (mdl.wrap(PoissonRegressor().fit(*COUNTS)), *COUNTS),
    "mlp": (mdl.wrap(PERCEPTRON.fit(*SOME)), *SOME),
}
DECODE = """
import sys, numpy as np, mdl
model, y = mdl.decode_with_data(open(sys.argv[1], "rb").read(), np.load(sys.argv[2]))
np.savez(sys.argv[3], y=y, **model.weights)
"""


@functools.cache
def _found(name):
    return shortest(*MODELS[name])


@pytest.mark.parametrize(
    ("name", "share"), [("logistic", 0.95), ("softmax", 0.9), ("ridge", 1.0), ("poisson", 1.0), ("mlp", 0.9)]
)
def test_a_lattice_is_at_most_as_long_as_the_best_grid(name, share) -> None:
    grid = mdl.two_part(*MODELS[name]).comparable.bits
    assert _found(name).ideal().comparable.bits <= share * grid + 1e-9


def test_curved_steps_are_in_use() -> None:
    """Or else the tests of this file would say little about them."""
    shaped = [
        c for name in ("softmax", "mlp") for c in _found(name).scheme.codings.values() if isinstance(c, ShapedCoding)
    ]
    assert len(shaped) >= 2
    assert max(len(np.unique(coding.grid.steps)) for coding in shaped) > 3


@pytest.mark.parametrize("name", MODELS)
def test_realised_is_never_longer_than_ideal(name) -> None:
    data, realised = _found(name).realise()
    assert realised.realised
    assert realised.bits == pytest.approx(8 * len(data), abs=1e-6)
    assert realised.bits <= _found(name).ideal().bits * 1.0002 + SLACK_BITS


@pytest.mark.parametrize("name", ["softmax", "mlp"])
def test_a_second_process_decodes_labels_and_weights_exactly(name, tmp_path) -> None:
    _, X, y = MODELS[name]
    found = _found(name)
    (tmp_path / "m.mdl").write_bytes(found.realise()[0])
    np.save(tmp_path / "X.npy", X)
    files = [str(tmp_path / part) for part in ("m.mdl", "X.npy", "out.npz")]
    subprocess.run([sys.executable, "-c", DECODE, *files], check=True)
    read = np.load(tmp_path / "out.npz")
    np.testing.assert_array_equal(read["y"], y)
    for tensor, expected in found.scheme.quantized(found.tensors).items():
        np.testing.assert_array_equal(read[tensor], expected)


@pytest.mark.parametrize("name", MODELS)
def test_the_parts_are_those_of_the_model_that_is_decoded(name) -> None:
    _, X, y = MODELS[name]
    ideal = _found(name).ideal()
    model, labels = mdl.decode_with_data(_found(name).realise()[0], X)
    np.testing.assert_array_equal(labels, y)
    nats = -model.likelihood.log_prob(model.predict(X), y).sum()
    assert ideal.part("data") == pytest.approx(nats, rel=1e-3, abs=0.05)
    weights = sum(_by_scipy(_found(name).scheme.codings[t], model.weights[t]) for t in model.weights if "weight" in t)
    assert ideal.part("weights") == pytest.approx(weights, rel=1e-9)


def _by_scipy(coding, tensor):
    """-ln of each weight's share of the prior's mass: of all on a plain grid, of what the reach allows else."""
    prior = stats.norm(coding.code.prior.loc, coding.code.prior.scale)
    shaped = isinstance(coding, ShapedCoding)
    step = coding.grid.steps if shaped else np.full(tensor.size, coding.quantizer.step)
    w, step = tensor.ravel()[np.isfinite(step)], step[np.isfinite(step)]
    mass = prior.cdf(w + step / 2) - prior.cdf(w - step / 2)
    reach = (np.floor(coding.code.reach / step + 0.5) + 0.5) * step if shaped else np.full(w.size, np.inf)
    return -np.log(mass / (prior.cdf(reach) - prior.cdf(-reach))).sum()


def test_everything_that_a_reader_needs_is_charged() -> None:
    parts = _found("mlp").ideal().part_bits()
    told = {"quantizer", "prior", "support", "choice", "likelihood", "header"}
    assert set(parts) == {"weights", "intercepts", "data", *told}
    assert all(bits > 0 for bits in parts.values())


def test_the_front_door_is_the_message() -> None:
    data = encode_lattice(*MODELS["logistic"])
    assert data == encode_lattice(*MODELS["logistic"])
    assert lattice(*MODELS["logistic"], realised=True).bits == pytest.approx(8 * len(data))


def test_null_directions_cost_next_to_nothing() -> None:
    """Forty inputs that are always zero: not sent, so all that they may cost is the telling of another grid."""
    model, X, y = MODELS["softmax"]
    weight = np.vstack([model.weights["layers.0.weight"], np.zeros((40, 4))])
    wider = model.with_weights({**model.weights, "layers.0.weight": weight})
    found = shortest(wider, np.hstack([X, np.zeros((len(X), 40))]), y)
    assert found.ideal().comparable.bits <= _found("softmax").ideal().comparable.bits + 16
    coding = found.scheme.codings["layers.0.weight"]
    assert coding.bound.nats(coding.chosen)[-160:].sum() == 0.0


def test_other_inputs_do_not_decode() -> None:
    _, X, _ = MODELS["mlp"]
    data = _found("mlp").realise()[0]
    for other in (X * np.linspace(1, 3, X.shape[1]), X[::-1], X[:, ::-1]):
        with pytest.raises(MdlError):
            mdl.decode_with_data(data, other)
    with pytest.raises(MessageError, match="inputs X"):
        mdl.decode(data)


@pytest.mark.parametrize("name", ["softmax", "mlp"])
def test_large_models_are_rounded_by_what_the_reader_knows(name, monkeypatch) -> None:
    monkeypatch.setattr(room, "MAX_DENSE", 0)
    model, X, y = MODELS[name]
    found = shortest(model, X, y)
    assert found.ideal() < mdl.two_part(model, X, y)
    read, labels = mdl.decode_with_data(found.realise()[0], X)
    np.testing.assert_array_equal(labels, y)
    for tensor, expected in found.scheme.quantized(found.tensors).items():
        np.testing.assert_array_equal(read.weights[tensor], expected)


def test_later_layers_move_to_where_a_quadratic_function_is_least() -> None:
    model, X, y = MODELS["mlp"]
    layer = room._Layer(Trials(model, X, y), model, 0)
    error = np.random.default_rng(0).normal(0, 0.1, 256)
    as_they_are, half, whole = layer._suited(mdl.Gaussian(0.5), error)
    objective = Objective(model, X, y)
    w = model.weights["layers.1.weight"]
    bend = objective.ggn(objective.vector) + np.diag(np.repeat([4.0, 1.0 / np.mean(w**2)], [256, 16]))
    best = -np.linalg.solve(bend[256:, 256:], bend[256:, :256] @ error).reshape(4, 4)
    assert as_they_are == {}
    np.testing.assert_allclose(whole["layers.1.weight"] - w, best, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(half["layers.1.weight"] - w, 0.5 * best, rtol=1e-6, atol=1e-9)


def test_polishing_shortens(monkeypatch) -> None:
    model, X, y = MODELS["softmax"]
    trials = Trials(model, X, y)
    layer = room._Layer(trials, trials.with_coded_free(), 0)
    nats, rough = layer.sent(CurvedGrid(1.0, (0.25,)), mdl.Gaussian(0.25), own=False)
    polished = layer.polished(rough)
    assert layer._length(polished.coding, polished.network.weights) < 0.98 * nats
    again = layer.polished(polished)
    np.testing.assert_array_equal(again.coding.chosen, polished.coding.chosen)


def test_no_single_move_shortens_a_polished_model() -> None:
    """Every symbol of the softmax model one up and one down, by the lengths of whole messages."""
    model, X, y = MODELS["softmax"]
    found, name = _found("softmax"), "layers.0.weight"
    coding = found.scheme.codings[name]
    assert isinstance(coding, ShapedCoding)
    tensors = found.scheme.quantized(found.tensors)
    trials, here = Trials(model, X, y), found.ideal().part("weights") + found.ideal().part("data")
    rng, tried = np.random.default_rng(0), 0
    for at in rng.permutation(np.flatnonzero(np.isfinite(coding.grid.steps)))[:100]:
        symbols = coding.chosen.copy()
        symbols[at] += rng.choice([-1, 1])
        if abs(symbols[at]) * coding.grid.steps[at] > np.abs(tensors[name]).max():
            continue
        moved = {**tensors, name: coding.grid.dequantize(symbols).reshape(64, 4)}
        data = trials.data_under(moved)
        other = coding.bound.nats(symbols).sum() + data.labels.nats(data.symbols).sum()
        assert other > here - 0.05  # predictions are rounded to 2^-12 in a message, and were not when it was polished
        tried += 1
    assert tried > 20


def test_given_parameters_are_kept_and_charged_in_full() -> None:
    model, X, y = MODELS["logistic"]
    prior = mdl.Gaussian(scale=0.31415)
    found = shortest(model, X, y, prior)
    assert found.scheme.codings["layers.0.weight"].code.prior == prior
    assert found.ideal().part_bits()["prior"] > 60
    assert _found("logistic").ideal() < found.ideal()
    mdl.decode_with_data(found.realise()[0], X)


@pytest.mark.parametrize(
    ("weight", "bias", "dtype"),
    [
        ([[0.0], [0.0], [0.0]], 0.25, float),
        ([[1e6], [0.0], [1e-6]], 0.25, float),
        ([[1e9], [1.0], [1.0]], 1e-9, float),
        ([[0.3], [0.1], [2.0]], 0.25, np.float32),
    ],
)
def test_odd_weights_have_a_length(weight, bias, dtype) -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(30, 3)) * [1e-6, 1.0, 1.0]
    tensors = {"layers.0.weight": np.array(weight, dtype), "layers.0.bias": np.array([bias], dtype)}
    model = FeedForward(tensors, likelihoods.Bernoulli())
    y = (model.predict(X) + rng.logistic(size=30) > 0).astype(int)
    found = shortest(model, X, y)
    assert math.isfinite(found.ideal().bits)
    read, labels = mdl.decode_with_data(found.realise()[0], X)
    np.testing.assert_array_equal(labels, y)
    assert read.weights["layers.0.weight"].dtype == dtype


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda m, X, y: (m, X, y, mdl.Laplace()), PriorError, "Gaussian prior, got Laplace"),
        (lambda m, X, y: (m, X[:-1], y), MdlError, "targets"),
        (lambda m, X, y: (_whole(m), X, y), MdlError, "weights of floats"),
    ],
    ids=["prior", "count", "integers"],
)
def test_what_has_no_lattice_is_refused(change, error, said) -> None:
    with pytest.raises(error, match=said):
        lattice(*change(*MODELS["logistic"]))


def _whole(model):
    return model.with_weights({name: np.rint(w).astype(np.int32) for name, w in model.weights.items()})
