"""Integer codes against codewords spelled out one bit at a time, published codewords, and hostile bits."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdl.codes.coder import Coder, decode, encode
from mdl.codes.integers import (
    EliasDelta,
    EliasGamma,
    EliasOmega,
    Fibonacci,
    GolombRice,
    LogStar,
    Rational,
    Signed,
)
from mdl.errors import CodeError, MessageError

INT32_MAX = 2**31 - 1


def gamma(n):
    return "0" * (n.bit_length() - 1) + f"{n:b}"


def delta(n):
    return gamma(n.bit_length()) + f"{n:b}"[1:]


def omega(n):
    word = "0"
    while n > 1:
        word = f"{n:b}" + word
        n = n.bit_length() - 1
    return word


def fibonacci(n):
    terms = [1, 2]
    while terms[-1] <= n:
        terms.append(terms[-1] + terms[-2])
    word = ""
    for term in reversed(terms):
        word = ("1" if term <= n else "0") + word
        n -= term if term <= n else 0
    return word.rstrip("0") + "1"


def golomb_rice(k):
    return lambda n: "0" * (n // 2**k) + "1" + (f"{n % 2**k:0{k}b}" if k else "")


def rational(denominator):
    def part(n):
        digits = f"{n:b}" if n else ""
        return "1" * len(digits) + "0" + digits

    def word(s):
        weight = Fraction(s, denominator)
        return ("1" if s < 0 else "0") + part(abs(weight.numerator)) + part(weight.denominator)

    return word


def signed(word, smallest):
    return lambda s: word((2 * s if s >= 0 else -2 * s - 1) + smallest)


ORACLES = {
    EliasGamma(): gamma,
    EliasDelta(): delta,
    EliasOmega(): omega,
    Fibonacci(): fibonacci,
    GolombRice(0): golomb_rice(0),
    GolombRice(3): golomb_rice(3),
    GolombRice(31): golomb_rice(31),
    Rational(1): rational(1),
    Rational(60): rational(60),
    Rational(INT32_MAX): rational(INT32_MAX),
    Signed(EliasGamma()): signed(gamma, 1),
    Signed(EliasDelta()): signed(delta, 1),
    Signed(EliasOmega()): signed(omega, 1),
    Signed(Fibonacci()): signed(fibonacci, 1),
    Signed(GolombRice(14)): signed(golomb_rice(14), 0),
}
PREFIX_CODES = list(ORACLES)
CODES = [*PREFIX_CODES, LogStar(), Signed(LogStar())]
all_codes = pytest.mark.parametrize("code", CODES, ids=repr)
prefix_codes = pytest.mark.parametrize("code", PREFIX_CODES, ids=repr)


def reader(word):
    """A coder whose bit lane begins with these characters."""
    coder = Coder()
    coder.push_bits(np.array([int(bit) for bit in word], np.uint8))
    return Coder.from_bytes(coder.to_bytes())


def symbols_of(code, seed=0, count=400):
    """Symbols of every magnitude, but without the longest Golomb-Rice codewords."""
    rng = np.random.default_rng(seed)
    inner = getattr(code, "code", code)
    reach = min(code.largest, 500 << inner.k) if isinstance(inner, GolombRice) else code.largest
    magnitudes = np.exp2(rng.uniform(0, np.log2(reach), count)).astype(np.int64)
    return np.maximum(magnitudes * rng.choice([-1, 1], count), code.smallest).astype(np.int32)


def with_ends(code, symbols):
    """And the two ends of the domain."""
    return np.concatenate([symbols, [code.smallest, code.largest]]).astype(np.int32)


@pytest.mark.parametrize(
    ("code", "symbol", "word"),
    [
        (EliasGamma(), 1, "1"),
        (EliasGamma(), 9, "0001001"),
        (EliasDelta(), 1, "1"),
        (EliasDelta(), 8, "00100000"),
        (EliasDelta(), 17, "001010001"),
        (EliasOmega(), 1, "0"),
        (EliasOmega(), 2, "100"),
        (EliasOmega(), 4, "101000"),
        (EliasOmega(), 16, "10100100000"),
        (EliasOmega(), 17, "10100100010"),
        (EliasOmega(), 100, "1011011001000"),
        (Fibonacci(), 1, "11"),
        (Fibonacci(), 2, "011"),
        (Fibonacci(), 4, "1011"),
        (Fibonacci(), 14, "1000011"),
        (Fibonacci(), 65, "0100100011"),
        (GolombRice(4), 0, "10000"),
        (GolombRice(4), 18, "010010"),
        (Rational(5), 0, "00101"),
        (Rational(5), 2, "0" + "11010" + "1110101"),
        (Rational(5), -10, "1" + "11010" + "101"),
        (Rational(100), 40, "0" + "11010" + "1110101"),
    ],
    ids=str,
)
def test_codewords_are_the_published_ones(code, symbol, word):
    assert code.codeword(symbol) == word
    assert code.pop(reader(word), 1).tolist() == [symbol]


@prefix_codes
def test_codewords_are_those_spelled_out_bit_by_bit(code):
    symbols = with_ends(code, symbols_of(code))
    words = [ORACLES[code](int(s)) for s in symbols]
    coder = Coder()
    code.push(coder, symbols)
    read = Coder.from_bytes(coder.to_bytes())
    joined = "".join(words)
    assert "".join(map(str, read.peek_bits(len(joined)).tolist())) == joined
    assert code.lengths(symbols).tolist() == [len(word) for word in words]
    np.testing.assert_allclose(code.nats(symbols), [len(word) * math.log(2) for word in words], rtol=1e-15)
    assert code.codeword(int(symbols[0])) == words[0]


@prefix_codes
def test_no_codeword_begins_another(code):
    first = max(code.smallest, -300)
    words = sorted(code.codeword(n) for n in range(first, first + 600))
    assert not [pair for pair in pairwise(words) if pair[1].startswith(pair[0])]


@all_codes
def test_kraft(code):
    first = max(code.smallest, -50_000)
    total = math.fsum(np.exp(-code.nats(np.arange(first, min(first + 100_000, code.largest)))))
    assert 0.0 < total <= 1.0 + 1e-12


@pytest.mark.parametrize("code", [EliasGamma(), Fibonacci(), GolombRice(5)], ids=repr)
def test_random_bits_decode_to_what_encodes_to_them(code):
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2, 60_000).astype(np.uint8)
    symbols = code.pop(reader(bits), 1000)
    coder = Coder()
    code.push(coder, symbols)
    count = int(code.lengths(symbols).sum())
    assert count > 1000
    assert Coder.from_bytes(coder.to_bytes()).peek_bits(count).tolist() == bits[:count].tolist()


@all_codes
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_round_trip(code, data):
    edges = st.sampled_from([code.smallest, code.smallest + 1, code.largest - 1, code.largest])
    symbols = data.draw(st.lists(st.integers(code.smallest, code.largest) | st.integers(1, 40) | edges, max_size=12))
    decoded = decode(code, encode(code, symbols), len(symbols))
    assert decoded.dtype == np.int32
    assert decoded.tolist() == symbols


@all_codes
def test_round_trip_over_many_windows_in_several_pushes(code):
    symbols = with_ends(code, symbols_of(code, count=60_000))
    split = symbols.size // 3
    coder = Coder()
    code.push(coder, symbols[split:])
    code.push(coder, symbols[:split])
    read = Coder.from_bytes(coder.to_bytes())
    np.testing.assert_array_equal(code.pop(read, split), symbols[:split])
    np.testing.assert_array_equal(code.pop(read, symbols.size - split), symbols[split:])
    assert read.finished


@pytest.mark.parametrize("code", [EliasOmega(), LogStar()], ids=repr)
def test_more_symbols_than_are_written_at_a_time(code):
    symbols = np.random.default_rng(2).geometric(0.01, 300_000).astype(np.int32)
    np.testing.assert_array_equal(decode(code, encode(code, symbols), symbols.size), symbols)


@all_codes
@pytest.mark.parametrize("seed", range(3))
def test_realised_length_is_the_ideal_one(code, seed):
    symbols = with_ends(code, symbols_of(code, seed, 3000))
    ideal_bits = code.nats(symbols).sum() / math.log(2)
    assert 8 * len(encode(code, symbols)) <= ideal_bits * 1.0002 + 64


@pytest.mark.parametrize("places", range(31))
def test_log_star_never_exceeds_its_ideal_length(places):
    for n in (2**places, 2**places + 1, 2**places + 2 ** max(places - 10, 0) - 1, 2 ** (places + 1) - 1):
        symbols = np.full(2000, n)
        assert 8 * len(encode(LogStar(), symbols)) <= LogStar().nats(symbols).sum() / math.log(2) * 1.0002 + 64


def log_star(x):
    total = mpmath.mpf(0)
    while (x := mpmath.log(x, 2)) > 0:
        total += x
    return total


def test_log_star_lengths():
    symbols = [1, 2, 3, 4, 5, 15, 16, 17, 255, 65535, 65536, 10**6, INT32_MAX]
    constant = mpmath.log(mpmath.mpf("2.8651084158399075"), 2)
    expected = [float((log_star(n) + constant) * mpmath.log(2)) for n in symbols]
    np.testing.assert_allclose(LogStar().nats(symbols), expected, rtol=1e-14)


def test_log_star_masses_sum_to_one():
    """The sum up to 65535 in full, the rest by Euler and Maclaurin.

    With u = log2 x the integral of 2^-log2*(x) from one tower 2^2^...^2 to the next is ln 2 times that between the two
    towers before; from 1 to 2 it is ln 2. From the fifth tower on they sum to (ln 2)^5 / (1 - ln 2).
    """
    top = 65536
    head = math.fsum(np.exp(-LogStar().nats(np.arange(1, top))))
    at_top = math.exp(-LogStar().nats(top))
    constant = 1.0 / math.exp(-LogStar().nats(1))
    tail = math.log(2) ** 5 / (1 - math.log(2)) / constant + at_top / 2
    assert head + tail == pytest.approx(1.0, abs=1e-13)
    assert constant == pytest.approx(2.865064, abs=1e-4)  # as published by Rissanen


def test_signed_order():
    words = [Signed(EliasDelta()).codeword(s) for s in (0, -1, 1, -2, 2)]
    assert words == [EliasDelta().codeword(n) for n in (1, 2, 3, 4, 5)]
    assert (Signed(EliasGamma()).smallest, Signed(EliasGamma()).largest) == (-(2**31), INT32_MAX)
    assert (Signed(GolombRice(0)).smallest, Signed(GolombRice(0)).largest) == (-(2**17), 2**17 - 1)


@pytest.mark.parametrize(
    ("code", "symbols", "names"),
    [
        (EliasGamma(), [3, 0], "from 1 to 2147483647, got 0"),
        (EliasDelta(), [-5], "got -5"),
        (LogStar(), [0], "got 0"),
        (Fibonacci(), [2**31], "2147483648"),
        (GolombRice(2), [-1], "from 0 to 1048575, got -1"),
        (GolombRice(0), [2**18], "got 262144"),
        (Signed(GolombRice(0)), [2**17], "from -131072 to 131071, got 131072"),
        (EliasOmega(), [1.0], "integers, got float64"),
    ],
    ids=str,
)
def test_symbols_outside_the_domain(code, symbols, names):
    with pytest.raises(CodeError, match=names):
        code.nats(symbols)
    with pytest.raises(CodeError):
        encode(code, symbols)


@pytest.mark.parametrize(
    "make",
    [
        lambda: GolombRice(-1),
        lambda: GolombRice(32),
        lambda: Rational(0),
        lambda: Rational(2**31),
        lambda: Signed(Rational(3)),
        lambda: Signed(Signed(EliasGamma())),
        lambda: LogStar().codeword(3),
        lambda: Signed(LogStar()).lengths([3]),
        lambda: GolombRice(0).push(Coder(), np.full(20_000, 2**18 - 1, np.int32)),
    ],
)
def test_what_cannot_be_is_refused(make):
    with pytest.raises(CodeError):
        make()


@all_codes
def test_shapes_and_emptiness(code):
    assert code.nats([]).shape == (0,)
    assert code.nats(np.full((2, 3), 1)).shape == (2, 3)
    assert code.nats(1).shape == ()
    assert decode(code, encode(code, []), 0).size == 0


@prefix_codes
def test_truncated_codewords(code):
    for symbol in (code.smallest, min(code.largest, 1000)):
        word = code.codeword(symbol)
        for cut in {0, len(word) // 2, len(word) - 1}:
            coder = Coder()
            coder._lane = np.array([int(bit) for bit in word[:cut]], np.uint8)
            with pytest.raises(MessageError):
                code.pop(coder, 1)


@prefix_codes
@pytest.mark.parametrize(
    "bits",
    [
        np.zeros(1_000_000, np.uint8),
        np.ones(1_000_000, np.uint8),
        np.tile([0, 1], 500_000),
        np.concatenate([np.zeros(60), [1], np.zeros(300)]),
        np.concatenate([np.zeros(5), np.ones(2000)]),
        np.concatenate([[0, 0], np.ones(61), [0], np.ones(3000)]),
    ],
    ids=["zeros", "ones", "alternating", "long gamma", "long delta", "long rational"],
)
def test_hostile_bits_decode_or_are_refused(code, bits):
    check_hostile(code, bits, 10)
    check_hostile(code, bits, bits.size)


@prefix_codes
@pytest.mark.parametrize("density", [0.02, 0.5, 0.98])
def test_random_bits_decode_or_are_refused(code, density):
    rng = np.random.default_rng(3)
    for count in (1, 3, 30, 300):
        check_hostile(code, rng.random(2000) < density, count)


def check_hostile(code, bits, count):
    coder = reader(np.asarray(bits, np.uint8))
    left = coder.bits_left
    try:
        symbols = code.pop(coder, count)
    except MessageError:
        return
    assert symbols.size == count
    assert code.lengths(symbols).sum() == left - coder.bits_left  # within the domain, and no second codeword for one


@pytest.mark.parametrize(
    "word",
    ["1" + "0" + "101", "0" + "11001" + "101", "0" + "11010" + "11010", "0" + "101" + "11011", "0" + "101" + "0"],
    ids=["minus zero", "leading zero", "not in lowest terms", "3 divides no 10", "over zero"],
)
def test_rational_has_one_codeword_a_weight(word):
    with pytest.raises(MessageError):
        Rational(10).pop(reader(word + "0" * 8), 1)


def test_omega_refuses_a_fifth_group():
    with pytest.raises(MessageError):
        EliasOmega().pop(reader("10" + "100" + "10000" + "1" + "0" * 16 + "1" + "0" * 100), 1)
