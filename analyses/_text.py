"""Numbers as pages print them: pieces of Markdown, made from a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from mdl import plot


def thousands(value: float) -> str:
    """A count or a number of bits, rounded to one: ``20,875``; a dash where there is none."""
    return "–" if math.isnan(value) else f"{value:,.0f}"


def fixed(digits: int) -> Callable[[float], str]:
    """So many digits after the point, with a true minus sign; a dash where there is no number."""
    return lambda value: "–" if math.isnan(value) else f"{value:.{digits}f}".replace("-", "−")


def significant(digits: int) -> Callable[[float], str]:
    """So many significant digits, powers of ten as such: ``5.2·10⁻⁵``."""

    def shown(value: float) -> str:
        if math.isnan(value):
            return "–"
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        if -3 <= int(exponent) < 5:
            return f"{float(f'{value:.{digits}g}'):,.{max(0, digits - 1 - int(exponent))}f}".replace("-", "−")
        power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"{mantissa}·10{power}".replace("-", "−")

    return shown


def percent(digits: int = 0) -> Callable[[float], str]:
    """A share as a percentage, without its sign: 0.27 is ``27``."""
    return lambda share: fixed(digits)(100.0 * share)


def between(low: str, high: str) -> str:
    """``12 to 27``, or the one number if they are the same."""
    return low if low == high else f"{low} to {high}"


def interval(values: Any, said: Callable[[float], str]) -> str:
    """Mean and 95 % interval of independent values: ``0.24 (0.13 to 0.38)``."""
    mean, low, high = map(said, plot.mean_interval(values))
    return f"{mean} ({low} to {high})"


def listed(words: list[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def table(rows: pd.DataFrame, formats: Mapping[str, Callable[[Any], str]]) -> str:
    """A Markdown table of these columns, in their order, each through its format; numbers are set to the right."""
    cells = [[formats[name](value) for name, value in zip(formats, row, strict=True)] for row in _values(rows, formats)]
    rules = ["--:" if pd.api.types.is_numeric_dtype(rows[name]) else "---" for name in formats]
    return "\n".join("| " + " | ".join(row) + " |" for row in [list(formats), rules, *cells])


def _values(rows: pd.DataFrame, columns: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return list(rows[list(columns)].itertuples(index=False, name=None))
