"""The nets are exact, their gradients right, their lengths those counted by hand; one that is not is found out."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from analyses import _catalogue, _exact_search
from analyses import exact_solutions as analysis
from analyses._exact_nets import GO_ON, TASKS, Adder, Counter


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return _catalogue.committed("exact_solutions")


def test_the_exact_adder_adds_all_pairs_of_numbers() -> None:
    length, w = 5, np.array(Adder.exact)
    assert w.size == Adder.size == 22
    pairs = list(itertools.product(range(2**length), repeat=2))
    bits = np.array([[[a >> t & 1, b >> t & 1] for t in range(length)] for a, b in pairs])
    net = Adder.of(bits)
    added = (net._run(w)[1] > 0.0) @ (1 << np.arange(length))
    assert added.tolist() == [(a + b) % 2**length for a, b in pairs]
    assert net.wrong(w) == 0
    assert Adder.long().wrong(w) == 0


def test_the_exact_counter_gives_every_string_its_probability() -> None:
    w = np.array(Counter.exactly(48.0))
    for n in (1, 2, 7, 30):
        bits = Counter(np.array([n]), np.array([1])).nats(w) / math.log(2)
        assert bits == pytest.approx(-math.log2(GO_ON ** (n - 1) * (1.0 - GO_ON)), abs=1e-9)
    net = Counter.sample(200, 1)
    assert net.nats(w) / math.log(2) == pytest.approx(net.optimum_bits, abs=1e-9)
    assert Counter.excess_bits(w) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("task", TASKS)
def test_one_wrong_weight_is_found_out(task) -> None:
    net, exact = TASKS[task].sample(5, 0), np.array(TASKS[task].exact)
    assert net.kept(exact)["kept"] == 1
    for place, value in {"addition": [(10, 0.0), (15, 0.5)], "anbn": [(0, 1.001), (1, 1.01)]}[task]:
        wrong = exact.copy()
        wrong[place] = value
        assert net.kept(wrong)["kept"] == 0
        assert net.kept(wrong)["accuracy"] < 1.0


@pytest.mark.parametrize("task", TASKS)
def test_gradients_are_those_of_differences(task) -> None:
    net = TASKS[task].sample(20, 0)
    w = 0.3 * np.random.default_rng(0).normal(size=net.size)
    nats, gradient = net.with_gradient(w)
    assert nats == pytest.approx(net.nats(w), rel=1e-12)
    eye = 1e-6 * np.eye(net.size)
    assert gradient == pytest.approx([(net.nats(w + e) - net.nats(w - e)) / 2e-6 for e in eye], rel=1e-5, abs=1e-5)


def by_hand(weight: float) -> int:
    """A sign, and for numerator and denominator k ones, a zero and k digits."""
    exact = Fraction(weight).limit_denominator(12)
    return 1 + sum(2 * abs(part).bit_length() + 1 for part in (exact.numerator, exact.denominator))


@pytest.mark.parametrize("task", TASKS)
def test_the_rational_code_is_the_one_counted_by_hand(task) -> None:
    exact = np.array(TASKS[task].exact)
    symbols = np.rint(exact * 12).astype(np.int64)
    length = _exact_search._length(TASKS[task].sample(5, 0), symbols, _exact_search.CODE)
    assert length.weights == pytest.approx(sum(map(by_hand, exact)), abs=1e-9)
    assert sum(map(by_hand, exact)) == _exact_search.BY_HAND[task]


def test_a_search_never_ends_above_its_start_and_says_what_it_found() -> None:
    net, start = Counter.sample(20, 0), np.zeros(Counter.size, np.int64)
    best, trace = _exact_search._anneal(net, start, 0, 400, (30.0, 3.0))
    first, last = (sum(_exact_search._length(net, w, _exact_search.CODE)) for w in (start, best))
    assert (trace[0][1], trace[-1][1]) == pytest.approx((first, last), rel=1e-12)
    assert last < first
    assert all(a >= b for (_, a), (_, b) in itertools.pairwise(trace))


@pytest.mark.parametrize("name", ["L1", "L2"])
def test_descents_end_where_the_penalised_loss_is_stationary(name) -> None:
    net, strength = Adder.sample(20, 0), 0.03
    w = _exact_search._DESCENTS[name](net, np.array(Adder.exact), strength)
    slope = net.with_gradient(w)[1] / net.symbols
    if name == "L2":
        assert slope == pytest.approx(-strength * w, abs=1e-4)
    else:
        moved = np.abs(w) > 1e-6
        assert slope[moved] == pytest.approx(-strength * np.sign(w[moved]), abs=1e-3)
        assert (np.abs(slope[~moved]) <= strength + 1e-3).all()
    assert _exact_search._DESCENTS[name](net, np.array(Adder.exact), 1e3) == pytest.approx(np.zeros(22), abs=1e-3)


def test_committed_controls(table) -> None:
    golden, every, optimum = (table[table["part"] == part] for part in ("golden", "enumerated", "optimum"))
    assert golden["weights_bits"].to_numpy() == pytest.approx(golden["by_hand_bits"].to_numpy(), abs=1e-9)
    assert every["pairs"].tolist() == [4.0**length for length in every["length"]]
    assert (every["wrong"] == 0).all()
    assert (optimum["data_bits"] - optimum["optimum_bits"]).abs().max() < 1e-9


def test_searches_are_honest_about_what_they_found(table) -> None:
    found = table[table["part"] == "search"]
    exact = found[found["start"] == "exact"]
    assert (exact["weights_bits"] + exact["data_bits"] <= exact["exact_bits"] + 1e-6).all()
    traces = table[table["part"] == "trace"].groupby(["task", "start", "n", "seed"])["total_bits"].min()
    ends = found.set_index(["task", "start", "n", "seed"])
    assert (traces - ends["weights_bits"] - ends["data_bits"]).abs().max() < 1e-2


def test_the_verdict_follows_the_runs(table) -> None:
    said = analysis.parts(table)
    lost = table.copy()
    lost.loc[(lost["part"] == "search") & (lost["start"] == "exact"), "kept"] = 0.0
    assert said["the shortest message keeps binary addition"]
    assert not analysis.parts(lost)["the shortest message keeps binary addition"]
    assert "the shortest message in 0 %" in analysis.verdict(lost)
