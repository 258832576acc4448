"""The laws of priors, quantisers and codes; those of priors are spelt out in tests/prior_laws.py.

A law is a function that takes one instance and fails by AssertionError. ``check_prior``, ``check_quantizer`` and
``check_code`` run all of them; the tests run each law on each instance of tests/examples.py under an id of its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdl.codes import coder
from mdl.errors import CodeError, MessageError, QuantizationError
from mdl.masses import Array
from mdl.trellis import Trellis
from tests.prior_laws import check_prior, prior_laws

__all__ = ["check_code", "check_prior", "check_quantizer", "code_laws", "prior_laws", "quantizer_laws"]

ULP = float(np.finfo(float).eps)
SEARCH = settings(max_examples=60, deadline=None, derandomize=True, database=None, report_multiple_bugs=False)


# --- quantisers -------------------------------------------------------------------------------------------------------


def _weights(reach: float) -> st.SearchStrategy[float]:
    log_uniform = st.builds(lambda s, t: s * reach * 2.0**t, st.sampled_from((-1.0, 1.0)), st.floats(-60.0, 0.0))
    return st.one_of(st.just(0.0), st.floats(-reach, reach), log_uniform)


def _symbols(case: tuple[Any, float]) -> st.SearchStrategy[int]:
    quantizer, reach = case
    lo, hi = quantizer.quantize([-reach, reach]).tolist()
    return st.one_of(st.integers(lo, hi), st.integers(*np.clip([-9, 9], lo, hi).tolist()))


def symbols_are_fixed_points(case: tuple[Any, float]) -> None:
    """quantize(dequantize(s)) is s, as int32."""
    quantizer, _ = case

    @SEARCH
    @given(st.lists(_symbols(case), max_size=20))
    def law(symbols: list[int]) -> None:
        again = quantizer.quantize(quantizer.dequantize(symbols))
        assert again.dtype == np.int32
        assert again.tolist() == symbols

    law()


def weights_lie_in_their_cells(case: tuple[Any, float]) -> None:
    """The cell of quantize(w), edges included, holds w and what it is decoded to, to 2 ulp; shapes are kept."""
    quantizer, reach = case

    @SEARCH
    @given(st.lists(_weights(reach), min_size=1, max_size=20))
    def law(weights: list[float]) -> None:
        w = np.array(weights).reshape(1, -1)
        symbols = quantizer.quantize(w)
        lower, upper = quantizer.cell(symbols)
        slack = 2.0 * ULP * np.abs(w)
        assert symbols.shape == lower.shape == upper.shape == w.shape
        for points in (w, quantizer.dequantize(symbols)):
            assert (lower - slack <= points).all(), f"{points} below {lower}"
            assert (points <= upper + slack).all(), f"{points} above {upper}"

    law()


def cells_share_edges(case: tuple[Any, float]) -> None:
    """The cell of s ends where that of s + 1 begins, and no cell is empty."""
    quantizer, reach = case
    hi = int(quantizer.quantize(reach))

    @SEARCH
    @given(_symbols(case))
    def law(symbol: int) -> None:
        lower, upper = quantizer.cell([symbol, min(symbol + 1, hi)])
        assert lower[0] < upper[0]
        assert upper[0] == lower[1] or symbol == hi

    law()


def quantizing_is_monotone(case: tuple[Any, float]) -> None:
    """A larger weight has no smaller symbol."""
    quantizer, reach = case

    @SEARCH
    @given(st.lists(_weights(reach), min_size=2, max_size=40))
    def law(weights: list[float]) -> None:
        assert (np.diff(quantizer.quantize(np.sort(weights)).astype(np.int64)) >= 0).all()

    law()


def non_finite_weights_are_refused(case: tuple[Any, float]) -> None:
    """NaN and infinities have no symbol; the error counts them. No weights, no symbols."""
    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(QuantizationError, match="1 of 2"):
            case[0].quantize([0.0, bad])
    assert case[0].quantize([]).shape == (0,)


QUANTIZER_LAWS = (
    symbols_are_fixed_points,
    weights_lie_in_their_cells,
    cells_share_edges,
    quantizing_is_monotone,
    non_finite_weights_are_refused,
)


#: Of a trellis, which rounds a sequence and not a weight; tests/test_trellis.py has its own.
SEQUENCE_LAWS = (symbols_are_fixed_points, cells_share_edges, non_finite_weights_are_refused)


def quantizer_laws(case: tuple[Any, float]) -> tuple[Callable[[Any], None], ...]:
    """The laws for a quantizer."""
    return SEQUENCE_LAWS if isinstance(case[0], Trellis) else QUANTIZER_LAWS


def check_quantizer(quantizer: Any, reach: float) -> None:
    """All laws of a quantizer, for weights from -reach to reach."""
    for law in QUANTIZER_LAWS:
        law((quantizer, reach))


# --- codes ------------------------------------------------------------------------------------------------------------

CodeCase = tuple[Any, range, tuple[int, ...]]  # a code, symbols that the laws may use, symbols that it must refuse


def _small(symbols: range, most: int) -> Array:
    """The ``most`` symbols nearest to zero."""
    nearest = min(max(0, symbols.start), symbols.stop - 1)
    lo = max(symbols.start, min(nearest - most // 2, symbols.stop - most))
    return np.arange(lo, min(symbols.stop, lo + most))


def _alone(code: Any, symbols: Iterable[int]) -> Array:
    return np.array([float(code.nats(np.array([s], np.int32))[0]) for s in symbols])


def lengths_satisfy_kraft(case: CodeCase) -> None:
    """The sum of e^-nats is at most 1 over single symbols, and over all words of three symbols."""
    code, symbols, _ = case
    few = _small(symbols, 300)
    alone = _alone(code, few)
    memoryless = np.array_equal(code.nats(few.astype(np.int32)), alone)
    terms = code.nats(_small(symbols, 1 << 17).astype(np.int32)) if memoryless else alone
    assert math.fsum(np.exp(-terms)) <= 1.0 + 1e-12
    letters = _small(symbols, 5).astype(np.int32).tolist()
    words = [code.nats(np.array(word, np.int32)).sum() for word in itertools.product(letters, repeat=3)]
    assert math.fsum(np.exp(-np.array(words))) <= 1.0 + 1e-12


def lengths_are_lengths(case: CodeCase) -> None:
    """One finite length >= 0 nats a symbol, of its shape."""
    code, symbols, _ = case
    chosen = _small(symbols, 40).astype(np.int32)
    for some in (chosen, chosen[:1], chosen[:0]):
        nats = code.nats(some)
        assert nats.shape == some.shape
        assert np.isfinite(nats).all()
        assert (nats >= 0.0).all()


def decoding_returns_the_symbols(case: CodeCase) -> None:
    """decode(encode(s)) is s, as int32; and the bytes are at most 64 bits and 0.02 % longer than the ideal."""
    code, symbols, _ = case
    small = _small(symbols, 12).tolist()

    @SEARCH
    @given(st.lists(st.one_of(st.sampled_from(small), st.integers(symbols.start, symbols.stop - 1)), max_size=60))
    def law(message: list[int]) -> None:
        check_message(code, np.array(message, np.int32))

    law()


def check_message(code: Any, message: Any) -> None:
    """Round trip and rate of one message."""
    data = coder.encode(code, message)
    decoded = coder.decode(code, data, message.size)
    assert decoded.dtype == np.int32
    np.testing.assert_array_equal(decoded, message)
    ideal = float(code.nats(message).sum()) / math.log(2.0)
    assert 8 * len(data) <= ideal * 1.0002 + 64.0, f"{8 * len(data)} bits realised, {ideal:.1f} ideal"


def long_messages_keep_the_rate(case: CodeCase) -> None:
    """Typical symbols, a few symbols from all over the alphabet, and one symbol for ever: rounding must not add up."""
    code, symbols, _ = case
    rng = np.random.default_rng(2)
    small = _small(symbols, 2000).astype(np.int32)
    nats = _alone(code, small[:300]) if small.size <= 300 else code.nats(small)
    p = np.exp(-nats[: small.size])
    typical = rng.choice(small[: p.size], 30_000, p=p / p.sum())
    scattered = rng.choice(rng.integers(symbols.start, symbols.stop, 12).astype(np.int32), 3_000)
    for message in (typical, scattered, np.full(10_000, typical[0]), np.full(500, small[nats.argmax()])):
        check_message(code, message)


def foreign_symbols_are_refused(case: CodeCase) -> None:
    """A symbol outside the alphabet is a CodeError that says so, before anything is written."""
    code, symbols, foreign = case
    for outside in foreign:
        message = np.array([symbols.start, outside], np.int32)
        named = outside if hasattr(code, "lo") or hasattr(code, "smallest") else ""  # else an inner code's symbol
        for refused in (code.nats, lambda m: coder.encode(code, m)):
            with pytest.raises(CodeError, match=rf"expected .* to .*, got .*{named}\b"):
                refused(message)


def damaged_bytes_are_survived(case: CodeCase) -> None:
    """Cut, random or miscounted bytes decode to wrong symbols or raise MessageError: nothing else, and no panic."""
    code, symbols, _ = case
    rng = np.random.default_rng(3)
    message = np.concatenate([rng.choice(_small(symbols, 9), 30), rng.integers(symbols.start, symbols.stop, 6)])
    data = coder.encode(code, message)
    cuts = [data[:k] for k in np.unique(np.linspace(0, len(data) - 1, 20).astype(int))]
    noise = [bytes([k]) + rng.bytes(k + 12) for k in range(12)]
    for damaged, count in [(cut, 36) for cut in cuts] + [(some, 30) for some in noise] + [(data, 35), (data, 37)]:
        try:
            decoded = coder.decode(code, damaged, count)
        except MessageError:
            continue
        assert decoded.dtype == np.int32
        assert decoded.shape == (count,)


CODE_LAWS = (
    lengths_satisfy_kraft,
    lengths_are_lengths,
    decoding_returns_the_symbols,
    long_messages_keep_the_rate,
    foreign_symbols_are_refused,
    damaged_bytes_are_survived,
)


def code_laws(_: Any) -> tuple[Callable[[Any], None], ...]:
    """The laws for a code, which are those for every code."""
    return CODE_LAWS


def check_code(code: Any, symbols: range, foreign: tuple[int, ...] = ()) -> None:
    """All laws of a code, for messages of these symbols of its alphabet, and foreign ones that it must refuse."""
    for law in CODE_LAWS:
        law((code, symbols, foreign))
