"""Labels: their lengths against scipy's distributions, their digits against a decoder in Python's integers."""

from __future__ import annotations

import dataclasses
import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from mdl import likelihoods
from mdl.codes.coder import Coder, decode, encode
from mdl.codes.labels import Labels
from mdl.errors import CodeError, DataError, MessageError
from mdl.length import LN2
from tests.codes.reference import Reader, frequencies, gaussian_mass

RNG = np.random.default_rng(11)
LOGITS = RNG.normal(0.0, 2.0, 50)
UNIT = 2.0**-12


def bernoulli(logit: float, first: int, last: int) -> float:
    p = special.expit(logit)
    return sum((1.0 - p, p)[first : last + 1])


def categorical(logits: Any, first: int, last: int) -> float:
    return float(special.softmax(logits)[first : last + 1].sum())


def gaussian(mean: float, first: int, last: int) -> float:
    return math.exp(gaussian_mass((first * 0.5 - 0.25 - mean) / 3.0, (last * 0.5 + 0.25 - mean) / 3.0))


def poisson(log_rate: float, first: int, last: int) -> float:
    return float(stats.poisson.pmf(np.arange(first, last + 1), math.exp(log_rate)).sum())


CASES: list[tuple[Any, Any, int, int, Any]] = [  # likelihood, predictions, lo, hi, mass of a run of symbols
    (likelihoods.Bernoulli(), LOGITS, 0, 1, bernoulli),
    (likelihoods.Bernoulli(), LOGITS, 1, 1, bernoulli),
    (likelihoods.Categorical(5), RNG.normal(0.0, 2.0, (50, 5)), 1, 3, categorical),
    (likelihoods.Categorical(300), RNG.normal(0.0, 1.0, (50, 300)), 0, 299, categorical),
    (likelihoods.Gaussian(0.5, scale=3.0), LOGITS, -9, 30, gaussian),
    (likelihoods.Gaussian(0.5, scale=3.0), LOGITS, -110, 170, gaussian),
    (likelihoods.Poisson(), LOGITS, 0, 90, poisson),
    (likelihoods.Poisson(), 3.0 + np.abs(LOGITS) / 2, 0, 300, poisson),
]
cases = pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{c[2]}-{c[3]}")


def typical(case: Any) -> Any:
    """Symbols that are likely, and both ends of the alphabet."""
    _, predictions, lo, hi, mass = case
    likely = [max(range(max(lo, -9), min(hi, 40) + 1), key=lambda s: mass(row, s, s)) for row in predictions]
    return np.array([lo, hi, *likely[2:]], np.int32)


@cases
def test_lengths_are_those_of_the_rounded_predictions(case: Any) -> None:
    likelihood, predictions, lo, hi, mass = case
    symbols = np.clip(typical(case), lo, lo + 8)  # where the oracle has digits
    rounded = np.rint(predictions / likelihood.resolution) * likelihood.resolution
    expected = [-math.log(mass(row, s, s)) for row, s in zip(rounded, symbols.tolist(), strict=True)]
    np.testing.assert_allclose(Labels(likelihood, predictions, lo, hi).nats(symbols), expected, rtol=1e-9, atol=1e-12)


@cases
def test_digits_are_read_by_an_independent_decoder(case: Any) -> None:
    likelihood, predictions, lo, hi, mass = case
    rounded = np.rint(predictions / likelihood.resolution) * likelihood.resolution
    symbols = typical(case)
    data = encode(Labels(likelihood, predictions, lo, hi), symbols)
    assert read(Reader(data), rounded, lo, hi, mass) == symbols.tolist()


def read(reader: Reader, rows: Any, lo: int, hi: int, mass: Any) -> list[int]:
    """docs/format.md, "Labels", for at most 1024 rows."""
    width, found = hi - lo, [0] * len(rows)
    for shift in reversed(range(0, max(width.bit_length(), 1), 8)):
        for i, row in enumerate(rows):
            levels = min(256, (width >> shift) + 1)
            runs = [((found[i] << 8) + k << shift, ((found[i] << 8) + k + 1 << shift) - 1) for k in range(levels)]
            masses = [mass(row, lo + a, lo + min(b, width)) if a <= width else 0.0 for a, b in runs]
            logs = [math.log(m) if m > 0.0 else -math.inf for m in masses]
            found[i] = (found[i] << 8) + reader.symbol(frequencies(logs))
    return [lo + offset for offset in found]


@cases
def test_predictions_that_differ_in_the_last_places_make_no_difference(case: Any) -> None:
    likelihood, predictions, lo, hi, _ = case
    assert (np.abs(predictions / likelihood.resolution % 1.0 - 0.5) > 1e-6).all(), "no prediction is on an edge"
    code = Labels(likelihood, predictions, lo, hi)
    other = Labels(likelihood, predictions * (1.0 + 1e-13) - 1e-14, lo, hi)
    assert decode(other, encode(code, typical(case)), 50).tolist() == typical(case).tolist()


@cases
def test_chunks(case: Any) -> None:
    """More rows than are held at a time: round trip, rate, and memory."""
    likelihood, predictions, lo, hi, _ = case
    code = Labels(likelihood, np.concatenate([predictions] * 43), lo, hi)
    symbols = np.tile(typical(case), 43)
    tracemalloc.start()
    data = encode(code, symbols)
    assert decode(code, data, symbols.size).tolist() == symbols.tolist()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64e6
    kept = symbols[code.nats(symbols) < 14.0]  # a rarer one is dearer in bytes: tables have 24 bits
    assert kept.size > 40 * 43
    short = Labels(likelihood, code.predictions[code.nats(symbols) < 14.0], lo, hi)
    assert 8 * len(encode(short, kept)) <= short.nats(kept).sum() / LN2 * 1.0002 + 64


def test_the_order_of_labels_is_chunk_by_chunk() -> None:
    """1024 rows, then the rest: a reader may stop between them."""
    logits = RNG.normal(0.0, 1.0, 1500)
    symbols = (logits > 0).astype(np.int32)
    data = encode(Labels(likelihoods.Bernoulli(), logits, 0, 1), symbols)
    first, coder = Labels(likelihoods.Bernoulli(), logits[:1024], 0, 1), Coder.from_bytes(data)
    assert first.pop(coder, 1024).tolist() == symbols[:1024].tolist()


def test_a_symbol_without_mass_costs_no_more_than_a_table_can_say() -> None:
    """Mass 0 in doubles, still decodable."""
    code = Labels(likelihoods.Gaussian(1.0, scale=1e-3), np.zeros(3), -5, 5)
    assert decode(code, encode(code, [5, 0, -5]), 3).tolist() == [5, 0, -5]
    assert len(encode(code, [5, 0, -5])) <= 7


def test_no_labels() -> None:
    code = Labels(likelihoods.Bernoulli(), np.empty(0), 0, 0)
    assert encode(code, []) == b"\0"
    assert decode(code, b"\0", 0).tolist() == []


@pytest.mark.parametrize(
    ("likelihood", "lo", "hi", "error"),
    [
        (likelihoods.Bernoulli(), 1, 0, CodeError),
        (likelihoods.Bernoulli(), 0, 2, DataError),
        (likelihoods.Categorical(3), 0, 3, DataError),
        (likelihoods.Categorical(3), -1, 2, DataError),
        (likelihoods.Poisson(), -1, 5, DataError),
        (likelihoods.Gaussian(1e300, scale=1.0), -(2**30), 2**30, DataError),
    ],
    ids=lambda v: getattr(v, "__name__", str(v)),
)
def test_symbols_that_the_likelihood_lacks_are_refused(likelihood: Any, lo: int, hi: int, error: type) -> None:
    predictions = np.zeros((4, 3)) if isinstance(likelihood, likelihoods.Categorical) else np.zeros(4)
    with np.errstate(over="ignore"), pytest.raises(error, match=r"expected|finite"):
        Labels(likelihood, predictions, lo, hi)


def test_errors() -> None:
    code = Labels(likelihoods.Poisson(), np.zeros(3), 2, 9)
    for symbols, says in (([2, 3], "expected 3 symbols"), ([2, 3, 10], "expected 2 to 9, got 2 to 10")):
        with pytest.raises(CodeError, match=says):
            code.nats(symbols)
        with pytest.raises(CodeError, match=says):
            encode(code, symbols)
    with pytest.raises(CodeError, match="expected to read 3 symbols, got 4"):
        decode(code, b"\0", 4)
    with pytest.raises(DataError, match="finite"):
        encode(dataclasses.replace(code, predictions=np.array([0.0, np.nan, 0.0])), [2, 2, 2])
    with pytest.raises(MessageError, match="left after"):
        decode(code, encode(code, [9, 9, 9]) + b"\1\1\1\1\1", 3)
