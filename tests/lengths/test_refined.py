"""Refined messages against enumeration of every symbol, dense matrices, and what is read back."""

from __future__ import annotations

import collections
import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import linalg, special, stats
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.neural_network import MLPClassifier

import mdl
from mdl import likelihoods
from mdl.codes.contextual import Contextual, ContextualMatrix
from mdl.codes.families import BY_NAME
from mdl.codes.integers import EliasDelta, Signed
from mdl.codes.numbers import integer_bits
from mdl.errors import MdlError, PriorError, QuantizationError
from mdl.lengths import refined as package
from mdl.lengths.refined import encode_refined, refined, searched, shortest
from mdl.lengths.refined.lattice import Lattice, _with_constant_unit
from mdl.lengths.refined.moves import NEGLIGIBLE, Costs, Walk, _Dense, _Kronecker, curvature_at, key
from mdl.models import FeedForward
from mdl.quantize import DeadZone, UniformGrid
from mdl.trials import Trials

RNG = np.random.default_rng(0)
N = 120
X = RNG.normal(size=(N, 6))
SCORE = X @ [2.0, -1.0, 0.5, 0.0, 0.0, 0.0] + 0.7 * RNG.normal(size=N)
LABELS = np.digitize(SCORE, [-1.0, 1.0])
MODELS = {
    "logistic": (LogisticRegression(C=10.0).fit(X, SCORE > 0), SCORE > 0),
    "softmax": (LogisticRegression(C=10.0).fit(X, LABELS), LABELS),
    "ridge": (Ridge(alpha=0.1).fit(X, np.rint(10 * SCORE)), np.rint(10 * SCORE)),
    "poisson": (PoissonRegressor(alpha=1e-3).fit(X, LABELS), LABELS),
    "tanh": (
        MLPClassifier((4,), "tanh", solver="lbfgs", alpha=0.1, max_iter=5000, random_state=0).fit(X, LABELS),
        LABELS,
    ),
    "relu": (MLPClassifier((2, 2), solver="lbfgs", alpha=0.1, max_iter=5000, random_state=0).fit(X, LABELS), LABELS),
}
PRIORS = {
    "gaussian": mdl.Gaussian(),
    "given": mdl.Gaussian(scale=1.5),
    "laplace": mdl.Laplace(),
    "spike": mdl.SpikeAndSlab(),
    "uniform": mdl.Uniform(),
    "narrow": mdl.Uniform(scale=40.0),
    "hashed": mdl.Hashed(mdl.Gaussian(scale=1.0)),
    **{name: BY_NAME[name] for name in ("kt", "two-level", "elias-gamma")},
}


def case(name):
    estimator, y = MODELS[name]
    return mdl.wrap(estimator), y


def nats(found):
    return found.ideal().comparable.nats


# --- the law ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [None, 0.5, 2.0**-6], ids=str)
@pytest.mark.parametrize("prior", PRIORS)
def test_never_longer_than_rounding(prior, step):
    model, y = case("logistic")
    assert not mdl.two_part(model, X, y, PRIORS[prior], step) < refined(model, X, y, PRIORS[prior], step)


@pytest.mark.parametrize("name", MODELS)
def test_no_model_gets_longer(name):
    model, y = case(name)
    assert not mdl.two_part(model, X, y, quantizer=0.5) < refined(model, X, y, quantizer=0.5)


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_models_with_something_to_gain_get_shorter(name):
    model, y = case(name)
    assert refined(model, X, y).comparable.bits < 0.9 * mdl.two_part(model, X, y).comparable.bits


def test_a_search_over_priors_finds_the_shortest_and_reads_back():
    model, y = case("softmax")
    priors = mdl.Laplace(scale=9.0), mdl.Gaussian(), mdl.Laplace()
    found = searched(model, X, y, priors)
    assert nats(found) <= min(nats(shortest(model, X, y, prior)) for prior in priors)
    assert nats(searched(model, X, y, priors, ())) == min(nats(shortest(model, X, y, prior)) for prior in priors)
    assert found.ideal().comparable.bits < 0.97 * mdl.two_part(model, X, y).comparable.bits
    np.testing.assert_array_equal(mdl.decode_with_data(found.realise()[0], X)[1], y)


def pictures(width=12, count=600):
    """Pixels of noisy pictures of three kinds, and which kind each is; the class's blob lies elsewhere in each."""
    rng = np.random.default_rng(4)
    down, across = np.divmod(np.arange(width**2), width)
    kinds = np.stack([np.exp(-np.hypot(down - row, across - column) / 2.0) for row, column in [(3, 3), (8, 4), (5, 9)]])
    y = rng.integers(3, size=count)
    return kinds[y] + rng.normal(size=(count, width**2)), y


def test_weights_of_pixels_are_told_by_those_above_them():
    X, y = pictures()
    model = mdl.wrap(LogisticRegression(C=0.05).fit(X, y))
    plain, found = searched(model, X, y, again=()), searched(model, X, y)
    code = found.scheme.codings["layers.0.weight"].code
    assert (type(code), abs(code.width - 12) <= 1) == (ContextualMatrix, True)
    assert nats(found) < 0.97 * nats(plain)
    np.testing.assert_array_equal(mdl.decode_with_data(found.realise()[0], X)[1], y)


def test_costs_in_context_are_those_of_the_symbols_about():
    X, y = pictures()
    model = mdl.wrap(LogisticRegression(C=0.05).fit(X, y))
    lattice = Lattice.of(Trials(model, X, y).on(0.25, Contextual(width=12)), model, X, y)
    code = lattice.found.scheme.codings["layers.0.weight"].code
    weights = lattice.places["layers.0.weight"].positions
    costs, z = lattice.costs(), lattice.start.copy()
    masses = replace(code, reach=code.reach + 1).log_masses(*in_context(code, z[weights]))

    def spelled_out(z):
        levels, seen = in_context(code, z[weights])
        return -masses[levels, seen + code.reach + 1].sum()

    others = lattice.told(costs, z) - spelled_out(z)
    assert others == pytest.approx(lattice.found.ideal().part("intercepts"), abs=1e-9)
    for where in RNG.choice(weights, 20):
        z[where] += 1 if z[where] < code.reach else -1
        assert lattice.told(costs, z) - spelled_out(z) == pytest.approx(others, abs=1e-9)


def in_context(code, symbols):
    """Levels of symbols, and the symbols as they are seen there."""
    levels, signs = code.contexts(symbols)
    return levels, symbols * signs


def test_no_priors_to_search_are_refused():
    model, y = case("logistic")
    with pytest.raises(PriorError, match="expected some priors, got none"):
        searched(model, X, y, priors=())


@pytest.mark.parametrize("prior", ["gaussian", "hashed", "kt", "two-level"])
@pytest.mark.parametrize("name", MODELS)
def test_the_message_is_as_long_as_it_says_and_reads_back(name, prior):
    model, y = case(name)
    ideal, real = (refined(model, X, y, PRIORS[prior], 0.5, realised=r) for r in (False, True))
    message = encode_refined(model, X, y, PRIORS[prior], 0.5)
    assert real.realised
    assert not ideal.realised
    assert 8 * len(message) == pytest.approx(real.bits)
    assert real.bits <= 1.0002 * ideal.bits + 64
    read, labels = mdl.decode_with_data(message, X)
    np.testing.assert_array_equal(labels, y)
    symbols = [read.weights[n] / 0.5 for n in read.weights if n not in read.free]
    assert all((s == np.rint(s)).all() for s in symbols)
    # what the labels cost under the model that is read, counted anew
    spent = -read.likelihood.log_prob(read.predict(X), labels.astype(int)).sum()
    assert spent == pytest.approx(ideal.part("data"), abs=0.05)


def test_single_precision_survives():
    model, y = case("tanh")
    single = model.with_weights({name: w.astype(np.float32) for name, w in model.weights.items()})
    read, labels = mdl.decode_with_data(encode_refined(single, X, y), X)
    assert {w.dtype for w in read.weights.values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(labels, y)


def test_grids_that_are_given_are_kept():
    model, y = case("tanh")
    steps = {name: 0.25 * 2**k for k, name in enumerate(n for n in model.weights if n not in model.free)}
    found = shortest(model, X, y, mdl.Gaussian(), steps)
    assert {n: found.scheme.codings[n].quantizer for n in steps} == {n: UniformGrid(s) for n, s in steps.items()}


def test_wider_grids_are_searched_and_only_shorten():
    model, y = case("softmax")
    start, descent = Trials(model, X, y).on(0.25, mdl.Gaussian()), package._Descent(model, X, y, mdl.Gaussian())
    narrow = descent.run(start)
    widened = descent.widen(narrow)
    assert nats(widened) < nats(narrow) - 1.0
    assert nats(narrow) <= nats(start)
    assert widened.scheme.codings["layers.0.weight"].quantizer.step > 0.25
    assert nats(descent.each(widened)) == nats(widened)  # a single penalised tensor has been searched already


# --- a problem small enough to enumerate ------------------------------------------------------------------------------

STEP = 0.75


def gamma_bits(symbols):
    """Elias's gamma code of symbols ranked 0, -1, 1, -2, 2, ..."""
    rank = np.where(symbols < 0, -2 * symbols - 1, 2 * symbols)
    return 2 * np.floor(np.log2(rank + 1)) + 1


def enumerated(inputs, y, bias_step):
    """Least of the weights', intercept's and labels' nats over 9^3 symbols and 7 of the intercept."""
    z = np.array(list(itertools.product(range(-4, 5), repeat=3)))
    weights, totals = math.log(2) * gamma_bits(z).sum(axis=1), []
    for b in range(-3, 4):
        logits = STEP * z @ inputs.T + bias_step * b
        data = -special.log_expit(np.where(y, logits, -logits)).sum(axis=1)
        totals.append(weights + data + Signed(EliasDelta()).nats([b])[0])
    return np.min(totals)


def decided(found):
    length = found.ideal()
    return sum(length.part(part) for part in ("weights", "intercepts", "data"))


def test_enumeration_of_a_tiny_problem_is_reached_or_nearly():
    gaps, rounding = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        inputs = rng.normal(size=(25, 3)) @ rng.normal(size=(3, 3))  # correlated, so that symbols depend on each other
        y = rng.random(25) < special.expit(inputs @ rng.normal(size=3))
        tensors = {"layers.0.weight": rng.normal(size=(3, 1)), "layers.0.bias": np.zeros(1)}
        model, prior = FeedForward(tensors, likelihoods.Bernoulli()), BY_NAME["elias-gamma"]
        found = shortest(model, inputs, y, prior, STEP)
        best = enumerated(inputs, y, found.scheme.codings["layers.0.bias"].quantizer.step)
        gaps.append(decided(found) - best)
        rounding.append(decided(Trials(model, inputs, y).on(STEP, prior)) - best)
    assert min(gaps) > -0.02  # logits are rounded to 2^-12 before labels are coded
    assert np.sum(np.array(gaps) < 0.02) >= 18  # the others are local minima: three symbols would have to move at once
    assert max(gaps) < math.log(2)
    assert np.mean(rounding) > 2.0  # there was something to gain


@pytest.mark.parametrize("name", ["logistic", "softmax"])
def test_no_other_symbol_of_a_weight_makes_the_end_shorter(name):
    model, y = case(name)
    found = shortest(model, X, y, mdl.Laplace(scale=1.0), 0.5)
    tensors = found.scheme.quantized(found.tensors)

    def total(weight):
        read = model.with_weights({**tensors, "layers.0.weight": weight})
        mass = np.diff(stats.laplace.cdf(np.stack([weight - 0.25, weight + 0.25])), axis=0)
        ends = sum(integer_bits(int(2 * w)).size for w in (weight.min(), weight.max()))
        return ends * math.log(2) - read.likelihood.log_prob(read.predict(X), y.astype(int)).sum() - np.log(mass).sum()

    end = tensors["layers.0.weight"]
    for i, change in itertools.product(range(end.size), (-0.5, 0.5)):
        moved = end.copy()
        moved.flat[i] += change
        assert total(moved) > total(end) - 1e-5


# --- parts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "logistic"])
def test_biases_become_weights_of_the_same_function(activation):
    sizes, tensors = (6, 4, 3, 2), {}
    for k, (a, b) in enumerate(itertools.pairwise(sizes)):
        tensors |= {f"layers.{k}.weight": RNG.normal(size=(a, b)), f"layers.{k}.bias": RNG.normal(size=b)}
    model = FeedForward(tensors, likelihoods.Categorical(2), activation)
    network, places = _with_constant_unit(model)
    np.testing.assert_allclose(network.predict(np.column_stack([X, np.ones(N)])), model.predict(X), rtol=1e-12)
    vector = np.concatenate([network.weights[f"layers.{k}.weight"].ravel() for k in range(3)])
    for name, place in places.items():
        np.testing.assert_allclose(vector[place.positions] * place.divisor, tensors[name].ravel(), rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "prior"),
    [("tanh", "gaussian"), *(("relu", prior) for prior in ("laplace", "spike", "uniform", "elias-gamma", "kt"))],
)
def test_the_lattice_starts_at_the_message(name, prior):
    model, y = case(name)
    found = Trials(model, X, y).search(PRIORS[prior])
    lattice = Lattice.of(found, model, X, y)
    for name, tensor in lattice.tensors(lattice.start).items():
        np.testing.assert_array_equal(tensor, found.scheme.quantized(found.tensors)[name])
    at_start = lattice.objective.nats(lattice.fixed + lattice.steps * lattice.start)
    assert at_start == pytest.approx(found.ideal().part("data"), abs=0.05)
    costs, parts = lattice.costs().of(lattice.start).sum(), found.ideal()
    learnt = sum(frequencies(found, name) for name in found.tensors if name.endswith("weight"))
    weights = learnt if prior == "kt" else parts.part("weights")
    assert costs == pytest.approx(weights + parts.part("intercepts"), rel=1e-9)


def frequencies(found, name):
    """What a tensor's symbols take by their own frequencies, which stand for what such a code learns on the way."""
    symbols = collections.Counter(found.scheme.codings[name].symbols(found.tensors[name]).tolist())
    levels = {0} | {symbol + by for symbol in symbols for by in (-1, 0, 1)}
    total = symbols.total() + 0.5 * len(levels)
    return -sum(count * math.log((count + 0.5) / total) for count in symbols.values())


def test_costs_are_of_the_tensor_that_a_symbol_is_in():
    rows, keys = np.array([0, 1, -1, 1]), np.concatenate([key(0, [-1, 0, 1]), key(1, [-1, 0])])
    costs = Costs(rows, keys, np.arange(1.0, 6.0))
    assert costs.of(np.array([-1, -1, 7, 1])).tolist() == [1.0, 4.0, 0.0, math.inf]
    assert costs.of(np.array([[0, 1], [-1, -2]]), np.array([3, 0])).tolist() == [[5.0, 3.0], [4.0, math.inf]]


def test_kronecker_blocks_are_those_of_the_dense_matrix():
    factors = tuple((random_psd(a), random_psd(b)) for a, b in ((3, 2), (2, 4)))
    dense = linalg.block_diag(*(np.kron(A, B) for A, B in factors))
    curvature = _Kronecker(factors, np.array([0, 6]))
    np.testing.assert_allclose(curvature.diagonal, np.diagonal(dense))
    np.testing.assert_allclose([curvature.column(i) for i in range(14)], dense)
    i = np.array([13, 0, 6, 5, 5])
    np.testing.assert_allclose(curvature.block(i), dense[np.ix_(i, i)])


def random_psd(d):
    root = RNG.normal(size=(d, d + 1))
    return root @ root.T


def test_the_curvature_is_exact_where_that_is_quick(monkeypatch):
    model, y = case("softmax")
    objective = Lattice.of(Trials(model, X, y).on(0.5, mdl.Gaussian()), model, X, y).objective
    w = objective.vector
    exact = curvature_at(objective, w)
    slope = (objective.gradient(w + 1e-5 * np.eye(w.size)[4]) - objective.gradient(w - 1e-5 * np.eye(w.size)[4])) / 2e-5
    np.testing.assert_allclose(exact.column(4), slope, atol=1e-6)
    monkeypatch.setattr("mdl.lengths.refined.moves._DENSE", 0)
    model, y = case("tanh")
    assert refined(model, X, y).comparable.bits < 0.9 * mdl.two_part(model, X, y).comparable.bits
    model, y = case("ridge")  # whose curvature does not vary between examples, so that its factors are exact
    objective = Lattice.of(Trials(model, X, y).on(0.5, mdl.Gaussian()), model, X, y).objective
    np.testing.assert_allclose(curvature_at(objective, objective.vector).diagonal, np.diagonal(objective.ggn(w[:7])))


@pytest.mark.parametrize("seed", range(10))
def test_a_walk_ends_where_no_move_and_no_pair_of_moves_gains(seed):
    rng = np.random.default_rng(seed)
    d = 6
    matrix, steps = random_psd(d), np.exp(rng.normal(size=d))
    target = 2.0 * rng.normal(size=d)
    levels = np.arange(-6, 7)
    costs = Costs(np.zeros(d, int), key(0, levels), 0.7 * np.abs(levels) + 0.3 * (levels != 0))

    def total(z):
        return 0.5 * (steps * z - target) @ matrix @ (steps * z - target) + costs.of(z).sum()

    z = rng.integers(-4, 5, d)
    walk = Walk(z, matrix @ (steps * z - target) * steps, steps, costs, _Dense(matrix), refused=[])
    totals = [total(z)]
    for i, change in itertools.islice(walk.moves(), 500):
        z[i] += change
        totals.append(total(z))
    assert totals[-1] < totals[0]
    # a move of a pair may lose alone, the two together may not
    assert all(b < a or c < a for a, b, c in zip(totals, totals[1:], [*totals[2:], math.inf], strict=False))
    singles = [(i, c) for i in range(d) for c in {-1, 1, -z[i]} - {0}]
    for moves in [(s,) for s in singles] + [p for p in itertools.combinations(singles, 2) if p[0][0] != p[1][0]]:
        there = z.copy()
        for i, change in moves:
            there[i] += change
        assert total(there) > totals[-1] - 2 * NEGLIGIBLE


def test_a_refused_symbol_stays():
    costs = Costs(np.zeros(2, int), key(0, [-1, 0, 1]), np.zeros(3))
    walk = Walk(np.zeros(2, int), np.array([-5.0, -4.0]), np.ones(2), costs, _Dense(np.eye(2)), refused=[0])
    assert list(walk.moves()) == [(1, 1)]


def test_steps_go_through_short_numbers():
    up = [0.3]
    for _ in range(5):
        up.append(package._wider(up[-1]))
    assert up == [0.3, 0.375, 0.5, 0.75, 1.0, 1.5]
    down = [1.6]
    for _ in range(5):
        down.append(package._narrower(down[-1]))
    assert down == [1.6, 1.5, 1.0, 0.75, 0.5, 0.375]


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_what_is_no_network_is_refused():
    with pytest.raises(MdlError, match="a FeedForward network or another Model, got SimpleNamespace"):
        refined(SimpleNamespace(), X, LABELS)


def test_a_grid_that_is_not_uniform_is_refused_by_name():
    model, y = case("logistic")
    with pytest.raises(QuantizationError, match=r"'layers.0.weight': expected a step or a UniformGrid, got DeadZone"):
        refined(model, X, y, quantizer=DeadZone(0.5))


def test_a_prior_without_room_for_the_weights_is_refused():
    model, y = case("logistic")
    with pytest.raises(PriorError, match="no mass"):
        refined(model, X, y, mdl.Uniform(scale=0.1), 0.125)
