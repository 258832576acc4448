"""Numbers in message headers: exact, short where the number is simple, and safe to read from hostile bits."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mdl.codes.coder import Coder
from mdl.codes.integers import EliasDelta
from mdl.codes.numbers import (
    integer_bits,
    natural_bits,
    read_integer,
    read_natural,
    read_real,
    real_bits,
    round_real,
)
from mdl.errors import CodeError, MessageError


def reader(bits):
    coder = Coder()
    coder.push_bits(np.asarray(bits, np.uint8))
    return Coder.from_bytes(coder.to_bytes())


def read_back(read, bits):
    coder = reader(bits)
    number = read(coder)
    assert coder.finished
    return number


@given(st.integers(0, 2**62))
@example(2**62)
def test_naturals_round_trip(number):
    assert read_back(read_natural, natural_bits(number)) == number


@given(st.integers(-(2**61), 2**61))
@example(-(2**61))
@example(2**61)
def test_integers_round_trip(number):
    assert read_back(read_integer, integer_bits(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(5e-324)
@example(-sys.float_info.max)
@example(sys.float_info.min)
def test_reals_round_trip(number):
    assert read_back(read_real, real_bits(number)) == number


@pytest.mark.parametrize("number", [0, 1, 2, 62, 63, 64, 10**6, 2**31 - 2])
def test_naturals_are_elias_delta_of_the_next(number):
    assert "".join(map(str, natural_bits(number).tolist())) == EliasDelta().codeword(number + 1)


@pytest.mark.parametrize(
    ("number", "size"), [(0.0, 1), (-0.0, 1), (1.0, 4), (-1.0, 4), (0.5, 7), (2.0**-6, 11), (3.0, 7), (2.0**-1074, 21)]
)
def test_simple_reals_are_short(number, size):
    assert real_bits(number).size == size


def test_minus_zero_reads_as_zero():
    assert math.copysign(1.0, read_back(read_real, real_bits(-0.0))) == 1.0


@pytest.mark.parametrize(
    "write",
    [
        lambda: natural_bits(-1),
        lambda: natural_bits(2**62 + 1),
        lambda: integer_bits(2**61 + 1),
        lambda: integer_bits(-(2**61) - 1),
        lambda: real_bits(math.nan),
        lambda: real_bits(-math.inf),
        lambda: round_real(math.inf, 3),
        lambda: round_real(1.0, 0),
        lambda: round_real(sys.float_info.max, 4),
    ],
)
def test_what_cannot_be_written_is_refused(write):
    with pytest.raises(CodeError, match="expected"):
        write()


@pytest.mark.parametrize(
    "bits",
    [
        [0] * 8,
        [0] * 5 + [1] * 4,
        [0] * 6 + [1] * 200,
        [0] * 5 + [1] * 6 + [1] * 62,  # 2^63 - 2
    ],
    ids=["no end", "cut", "seven digits of length", "over 2^62"],
)
def test_naturals_that_no_writer_writes(bits):
    with pytest.raises(MessageError):
        read_natural(reader(bits))


@pytest.mark.parametrize(
    ("half", "exponent"), [(2**52, 0), (0, 1024), (0, -1075), (2**52 - 1, 972), (0, 2**60)], ids=str
)
def test_reals_that_are_no_doubles(half, exponent):
    with pytest.raises(MessageError, match="double"):
        read_real(reader(np.concatenate([[1, 0], natural_bits(half), integer_bits(exponent)])))


@pytest.mark.parametrize("read", [read_natural, read_integer, read_real])
def test_random_bits_read_or_are_refused(read):
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(2000):
        coder = reader(rng.random(rng.integers(0, 90)) < rng.choice([0.1, 0.5, 0.9]))
        try:
            assert math.isfinite(read(coder))
            outcomes.add("read")
        except MessageError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


@given(st.floats(-1e300, 1e300), st.integers(1, 60))
def test_rounding_is_to_the_nearest(number, significant_bits):
    rounded = round_real(number, significant_bits)
    assert abs(rounded - number) <= max(abs(number) * 2.0**-significant_bits, 5e-324)
    mantissa = math.frexp(rounded)[0] * 2.0**significant_bits
    assert mantissa == int(mantissa)


@pytest.mark.parametrize(
    ("number", "bits", "rounded"), [(0.1, 4, 0.1015625), (7.0, 2, 8.0), (-5.0, 2, -4.0), (0.0, 3, 0.0)]
)
def test_rounding_known_values(number, bits, rounded):
    assert round_real(number, bits) == rounded
