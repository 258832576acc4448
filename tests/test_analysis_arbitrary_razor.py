"""Codes with one Kraft sum and several orders: what is equal about them, and what the analysis makes of them."""

from __future__ import annotations

import hashlib
import itertools
import math

import numpy as np
import pandas as pd
import pytest

from analyses import _catalogue, _razed, _razors, _shortest
from analyses import arbitrary_razor as analysis
from analyses._problems import Drawn
from mdl.priors import Gaussian, Hashed

CODES = {**_razors.codes(), **{name: tables[0] for name, tables in _razors.salted(0).items()}}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return _catalogue.committed("arbitrary_razor")


@pytest.mark.parametrize("bits", CODES.values(), ids=CODES)
def test_every_code_spends_all_of_krafts_inequality(bits) -> None:
    assert math.fsum(2.0**-length for length in bits.tolist()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("scale", _razors.SCALES)
def test_orders_share_their_lengths(scale) -> None:
    gaussian = _razors.gaussian(scale)
    turned = _razors.reversed_order(gaussian)
    for other in (turned, _razors.hashed(0, scale), _razors.hashed(3, scale)):
        assert np.sort(other) == pytest.approx(np.sort(gaussian), rel=1e-12)
    assert gaussian.argmin() == _razors.REACH
    assert turned[_razors.REACH] == turned.max()
    closer = np.abs(_razors.SYMBOLS[:, None]) < np.abs(_razors.SYMBOLS)
    assert (np.subtract.outer(turned, turned)[closer] >= 0.0).all()


@pytest.mark.parametrize("size", [0, 3, 55, 56, 64, 200])
def test_the_digest_spelled_out_is_sha256(size) -> None:
    message = bytes(range(256))[:size]
    assert _razors.sha256(message) == hashlib.sha256(message).digest()


def test_the_programs_that_are_measured_deal_out_masses_as_the_codes_do() -> None:
    low, high = _razors.GRID.cell(_razors.SYMBOLS[::32])
    masses = Gaussian(1.0).log_mass(low, high)
    edges = [a.tobytes() + b.tobytes() for a, b in zip(low, high, strict=True)]
    for digest in (_razors.sha256, lambda text: hashlib.sha256(text).digest()):
        assert _razors.dealt(masses.tolist(), edges, 5, digest) == Hashed(Gaussian(1.0), 5).log_mass(low, high).tolist()
    bits = _razors.gaussian()
    assert _razors.turned(bits.tolist()) == _razors.reversed_order(bits).tolist()
    found = _razors.constants()
    assert 0.0 < found["tag and salt"] < found["program, SHA-256 given"] < found["program, SHA-256 spelled out"]


def test_over_all_orders_every_model_has_the_same_mean_length() -> None:
    lengths = [1.0, 2.0, 3.5, 4.0, 9.0]
    orders = list(itertools.permutations(lengths))
    for weights in ([0, 0, 0], [4, 2, 2], [0, 1, 3]):
        mean = math.fsum(order[w] for order in orders for w in weights) / len(orders)
        assert mean == pytest.approx(len(weights) * sum(lengths) / len(lengths), rel=1e-12)


def test_a_search_ends_where_no_weight_has_a_better_symbol() -> None:
    rng = np.random.default_rng(0)
    X, bits = rng.normal(size=(30, 2)), _razors.hashed(1)
    y = (X[:, 0] + 0.5 * rng.normal(size=30) > 0.0).astype(int)
    (*_, before, last) = _shortest.search(bits, Drawn(X, y, X, y), 30)
    assert before["weights_bits"] == last["weights_bits"]
    total = last["weights_bits"] + last["data_bits"]
    assert total == pytest.approx(_best_by_turns(bits, X, y), abs=0.02)
    assert last["test_bits"] == pytest.approx(last["data_bits"] / 30, abs=1e-3)


def _best_by_turns(bits, X, y) -> float:
    """The same descent, written out: every symbol of every weight, in turn, until nothing changes."""
    inputs, at = np.column_stack([X, np.ones(len(X))]), [_razors.REACH] * 3

    def total(places) -> float:
        logits = inputs @ (_razors.SYMBOLS[places] / 16.0)
        return float(bits[places].sum() + np.logaddexp2(0.0, np.where(y == 1, -logits, logits) / math.log(2)).sum())

    for _ in range(30):
        for j in range(3):
            at[j] = min(range(_razors.SYMBOLS.size), key=lambda s, j=j: total([*at[:j], s, *at[j + 1 :]]))
    return total(at)


def test_what_is_dealt_out_among_models_is_what_they_had() -> None:
    cell = _razed.Cell("wine", "true", 0)
    found = list(_razed.trained(cell.drawn()))
    bits, groups = np.arange(65.0) ** 2, [pd.RangeIndex(13), pd.RangeIndex(13, 39), pd.RangeIndex(39, 65)]
    for dealt in _razed._dealt(found, bits, groups, 0):
        assert all(sorted(dealt[of]) == sorted(bits[of]) for of in groups)
        assert (dealt != bits).any()


def test_the_committed_models_are_enough_and_on_the_grid(table) -> None:
    whole = table[(table["part"] == "rank") & (table["labels"] == "true") & (table["architecture"] == "all")]
    assert whole[whole["code"] == "uniform"]["models"].sum() >= 500
    assert (table[table["part"] == "model"]["clipped"] == 0).all()


def test_committed_kraft_sums_and_the_law_of_hashed_lengths(table) -> None:
    assert (table[table["part"] == "kraft"]["kraft"] - 1.0).abs().max() < 1e-9
    law = table[table["part"] == "law"]
    off = (law["bits_per_weight"] - law["expected_bits"]) / law["error_bits"]
    assert len(law) >= 6
    assert off.abs().max() < 4.0


def test_shuffled_labels_never_compress(table) -> None:
    noise = table[(table["part"] == "search") & (table["labels"] == "shuffled")]
    last = noise[noise["sweep"] == noise["sweep"].max()]
    assert (last["weights_bits"] + last["data_bits"] > last["n"]).all()
    assert last["test_bits"].mean() > 1.0


def test_a_larger_constant_protects_fewer_pairs(table) -> None:
    for _, part in table[table["part"] == "kept"].groupby(["table", "labels", "seed"]):
        assert (part.sort_values("constant_bits")["kept"].diff().dropna() <= 0.0).all()


def test_the_verdict_follows_the_ranks(table) -> None:
    assert not all(analysis.parts(table).values())
    good = table.copy()
    rank, universal = good["part"] == "rank", good["code"].isin(_razors.universal())
    good.loc[rank & universal, "tau"] = 0.7
    good.loc[rank & good["code"].str.startswith("reversed", na=False), "tau"] = -0.3
    assert analysis.verdict(good).startswith("Yes")
    good.loc[rank & (good["code"] == _razed.GAUSSIAN), "tau"] = 0.0
    assert "not that under the Gaussian code shorter is better" in analysis.verdict(good)
