"""Single numbers as bits, for the headers of messages: naturals, integers, reals."""

from __future__ import annotations

import functools
import math
from typing import SupportsFloat, SupportsIndex

import numpy as np

from mdl.codes.coder import Bits, Coder
from mdl.errors import CodeError, MessageError

MAX_NATURAL = 1 << 62
_MANTISSA = 53  # bits of a double's significand
_LEAST_EXPONENT = -1074  # of the smallest subnormal
_TOP_EXPONENT = 1024  # every double is below 2^1024
_MOST_ZEROS = MAX_NATURAL.bit_length().bit_length() - 1  # before the length of the longest number


def natural_bits(number: SupportsIndex) -> Bits:
    """Elias delta of ``number`` + 1: about log2 n + 2 log2 log2 n bits.

    Parameters
    ----------
    number
        0 to 2^62.

    Returns
    -------
    (bits,) uint8
        To be given to :meth:`mdl.codes.coder.Coder.push_bits`.

    Raises
    ------
    CodeError
        If the number lies outside that range.

    Examples
    --------
    >>> natural_bits(0).tolist(), natural_bits(9).tolist()
    ([1], [0, 0, 1, 0, 0, 0, 1, 0])

    References
    ----------
    P. Elias, Universal codeword sets and representations of the integers, IEEE Trans. Inf. Theory 21 (1975).
    """
    value = int(number)
    if not 0 <= value <= MAX_NATURAL:
        raise CodeError(f"expected a number from 0 to 2^62, got {value}")
    return _delta(value + 1)


@functools.lru_cache(maxsize=1 << 12)
def _delta(number: int) -> Bits:
    """Elias delta of a number >= 1; searches tell small ones again and again."""
    digits = f"{number:b}"
    length = f"{len(digits):b}"
    bits = _as_bits("0" * (len(length) - 1) + length + digits[1:])
    bits.flags.writeable = False
    return bits


def integer_bits(number: SupportsIndex) -> Bits:
    """A signed integer in the order 0, -1, 1, -2, ... by ``natural_bits``; CodeError beyond -2^61 to 2^61.

    Examples
    --------
    >>> [integer_bits(n).size for n in (0, -1, 1, -64)]
    [1, 4, 4, 14]
    """
    value = int(number)
    if not -(MAX_NATURAL >> 1) <= value <= MAX_NATURAL >> 1:
        raise CodeError(f"expected a number from -2^61 to 2^61, got {value}")
    return natural_bits(2 * value if value >= 0 else -2 * value - 1)


def real_bits(number: SupportsFloat) -> Bits:
    """A finite double, exactly: numbers with few significant bits and small exponents are short.

    x = m 2^e with m odd: one bit for x != 0, the sign, (abs(m) - 1)/2 as a natural, e as an integer. -0.0 becomes 0.0.

    Raises
    ------
    CodeError
        If the number is infinite or NaN.

    Examples
    --------
    >>> [real_bits(x).size for x in (0.0, 1.0, 2.0**-6, 0.1)]
    [1, 4, 11, 74]
    """
    value = float(number)
    if not math.isfinite(value):
        raise CodeError(f"expected a finite number, got {value}")
    if value == 0.0:
        return _as_bits("0")
    numerator, denominator = abs(value).as_integer_ratio()
    twos = (numerator & -numerator).bit_length() - 1
    exponent = twos - (denominator.bit_length() - 1)
    sign = _as_bits("11" if value < 0.0 else "10")
    return np.concatenate([sign, natural_bits(numerator >> twos >> 1), integer_bits(exponent)])


def round_real(number: SupportsFloat, significant_bits: int) -> float:
    """The nearest number with so many significant bits, for an x that is not worth its own length; ties to even.

    Raises
    ------
    CodeError
        If the number, or what it rounds to, is not finite, or ``significant_bits`` < 1.

    Examples
    --------
    >>> round_real(0.1, 4), real_bits(round_real(0.1, 4)).size
    (0.1015625, 15)
    """
    value = float(number)
    if significant_bits < 1:
        raise CodeError(f"significant_bits: expected at least 1, got {significant_bits}")
    if not math.isfinite(value):
        raise CodeError(f"expected a finite number, got {value}")
    mantissa, exponent = math.frexp(value)
    try:
        return math.ldexp(round(math.ldexp(mantissa, significant_bits)), exponent - significant_bits)
    except OverflowError:
        raise CodeError(f"expected a number that {significant_bits} bits can round, got {value}") from None


def read_natural(coder: Coder) -> int:
    """Read what ``natural_bits`` wrote; MessageError if the bits end early or mean more than 2^62."""
    zeros = coder.peek_bits(_MOST_ZEROS + 1).tobytes().find(1)
    if zeros < 0:
        raise MessageError("expected a number of at most 62 bits, got a longer one or the end of the message")
    length = _value(coder.pop_bits(2 * zeros + 1), 0)
    number = _value(coder.pop_bits(length - 1), 1) - 1
    if number > MAX_NATURAL:
        raise MessageError(f"expected a number of at most 2^62, got {number}")
    return number


def read_integer(coder: Coder) -> int:
    """Read what ``integer_bits`` wrote; MessageError as in ``read_natural``."""
    index = read_natural(coder)
    return -(index + 1 >> 1) if index & 1 else index >> 1


def read_real(coder: Coder) -> float:
    """Read what ``real_bits`` wrote; MessageError if the bits end early or mean no double."""
    if not coder.pop_bits(1)[0]:
        return 0.0
    negative = bool(coder.pop_bits(1)[0])
    mantissa = 2 * read_natural(coder) + 1
    exponent = read_integer(coder)
    bits = mantissa.bit_length()
    if bits > _MANTISSA or exponent < _LEAST_EXPONENT or bits + exponent > _TOP_EXPONENT:
        raise MessageError(f"expected a double, got {mantissa} * 2^{exponent}")
    return math.ldexp(-mantissa if negative else mantissa, exponent)


def _as_bits(digits: str) -> Bits:
    return np.frombuffer(digits.encode("ascii"), np.uint8) - np.uint8(ord("0"))


def _value(bits: Bits, leading: int) -> int:
    """The number whose binary digits are ``leading`` and then ``bits``."""
    value = leading
    for bit in bits.tobytes():
        value = value << 1 | bit
    return value
