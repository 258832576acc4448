"""Codes that weights can be given instead of a prior, by name: families by the smallest and largest symbol."""

from __future__ import annotations

from collections.abc import Callable

from mdl.codes import Code
from mdl.codes.adaptive import KT, TwoLevel
from mdl.codes.integers import EliasDelta, EliasGamma, EliasOmega, Fibonacci, GolombRice, LogStar, Signed

BY_NAME: dict[str, Callable[[int, int], Code]] = {
    "kt": KT,
    "two-level": lambda lo, hi: TwoLevel(KT(lo - (lo > 0), hi - (hi > 0))),
    "elias-gamma": lambda lo, hi: Signed(EliasGamma()),
    "elias-delta": lambda lo, hi: Signed(EliasDelta()),
    "elias-omega": lambda lo, hi: Signed(EliasOmega()),
    "fibonacci": lambda lo, hi: Signed(Fibonacci()),
    "log-star": lambda lo, hi: Signed(LogStar()),
    "golomb-rice": lambda lo, hi: Signed(GolombRice(max(0, (hi - lo).bit_length() - 3))),
}
