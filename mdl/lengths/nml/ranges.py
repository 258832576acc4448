"""What every normalised maximum likelihood of a restricted parameter is made of: its range, its parts."""

from __future__ import annotations

import math

from mdl.codes.numbers import integer_bits
from mdl.length import LN2, CodeLength


def power_of_two(number: float) -> tuple[float, float]:
    """The least power of two that is no less, and the nats of its exponent."""
    mantissa, exponent = math.frexp(number)
    exponent -= mantissa == 0.5
    return math.ldexp(1.0, exponent), integer_bits(exponent).size * LN2


def of_parts(complexity: float, data: float, told: float | None) -> CodeLength:
    """The parts in message order: ``range`` if it was told, ``complexity``, ``data``; nats."""
    parts = (("complexity", max(complexity, 0.0)), ("data", data))  # C >= 1 but for rounding
    return CodeLength(parts if told is None else (("range", told), *parts))
