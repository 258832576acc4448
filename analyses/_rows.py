"""Numbers of rows as a table keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def rounded(value: Any, digits: int) -> Any:
    """A real number to so many significant digits; anything else as it is."""
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def kept(row: Mapping[str, Any], digits: int) -> dict[str, Any]:
    """A row with its real numbers rounded."""
    return {name: rounded(value, digits) for name, value in row.items()}
