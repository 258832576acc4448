"""Code lengths: named parts in nats; the one place where nats become bits."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

LN2 = math.log(2.0)

#: The part that describes what both sides share anyway (names, shapes, framing); comparisons leave it out.
HEADER = "header"


@dataclass(frozen=True)
class CodeLength:
    """The length of a message as the sum of its named parts.

    Parameters
    ----------
    parts
        ``(name, nats)`` pairs in message order. Equal names are merged.
    realised
        True when bytes of exactly this size were written and decode; False for a length computed in reals.

    Raises
    ------
    ValueError
        If a part is NaN or negative: no message is shorter than nothing.

    Examples
    --------
    >>> a = CodeLength.from_bits({"weights": 96.0, "data": 32.0})
    >>> a.bits, a.bytes, a.part("data") / LN2
    (128.0, 16.0, 32.0)
    >>> print(a)
    weights      96.0 bits
    data         32.0 bits
    total       128.0 bits  (ideal)
    """

    parts: tuple[tuple[str, float], ...]
    realised: bool = False

    def __post_init__(self) -> None:
        merged: dict[str, float] = {}
        for name, nats in self.parts:
            if not nats >= 0.0:  # catches NaN as well
                raise ValueError(f"part {name!r}: expected a length >= 0 nats, got {nats}")
            merged[name] = merged.get(name, 0.0) + float(nats)
        object.__setattr__(self, "parts", tuple(merged.items()))

    @classmethod
    def of(cls, parts: Mapping[str, float] | Iterable[tuple[str, float]], *, realised: bool = False) -> CodeLength:
        """A length from ``{name: nats}``."""
        items = parts.items() if isinstance(parts, Mapping) else parts
        return cls(tuple(items), realised)

    @classmethod
    def from_bits(
        cls, parts: Mapping[str, float] | Iterable[tuple[str, float]], *, realised: bool = False
    ) -> CodeLength:
        """A length from ``{name: bits}``."""
        items = parts.items() if isinstance(parts, Mapping) else parts
        return cls(tuple((name, bits * LN2) for name, bits in items), realised)

    @property
    def nats(self) -> float:
        """Total length, nats."""
        return math.fsum(nats for _, nats in self.parts)

    @property
    def bits(self) -> float:
        """Total length, bits."""
        return self.nats / LN2

    @property
    def bytes(self) -> float:
        """Total length, bytes; whole for a realised file, fractional for an ideal length."""
        return self.bits / 8.0

    def part(self, name: str) -> float:
        """Length of one part, nats; 0 if the message has no such part."""
        return dict(self.parts).get(name, 0.0)

    def part_bits(self) -> dict[str, float]:
        """All parts, ``{name: bits}``."""
        return {name: nats / LN2 for name, nats in self.parts}

    @property
    def comparable(self) -> CodeLength:
        """The same length without its header: what two codes of the same thing are compared by."""
        return CodeLength(tuple(p for p in self.parts if p[0] != HEADER), self.realised)

    def __add__(self, other: CodeLength) -> CodeLength:
        """Lengths of messages sent one after the other; realised only if both are."""
        return CodeLength(self.parts + other.parts, self.realised and other.realised)

    def __lt__(self, other: CodeLength) -> bool:
        """Shorter, headers left out."""
        return self.comparable.nats < other.comparable.nats

    def as_dict(self) -> dict[str, object]:
        """What ``--json`` prints of a length."""
        return {"total_bits": self.bits, "realised": self.realised, "parts": self.part_bits()}

    def _rows(self) -> list[tuple[str, str]]:
        rows = [*self.part_bits().items(), ("total", self.bits)]
        return [(name, f"{bits:,.1f}") for name, bits in rows]

    @property
    def _kind(self) -> str:
        return "realised" if self.realised else "ideal"

    def __str__(self) -> str:
        rows = self._rows()
        name_width = max(len(name) for name, _ in rows) + 3
        bits_width = max(len(bits) for _, bits in rows) + 1
        lines = [f"{name:<{name_width}}{bits:>{bits_width}} bits" for name, bits in rows]
        return "\n".join(lines) + f"  ({self._kind})"

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td>{html.escape(name)}</td><td style='text-align:right'>{bits}</td></tr>"
            for name, bits in self._rows()
        )
        return f"<table><thead><tr><th>{self._kind}</th><th>bits</th></tr></thead><tbody>{cells}</tbody></table>"


def compare(lengths: Mapping[str, CodeLength]) -> pd.DataFrame:
    """Several codes of the same thing, best first.

    Headers are left out of totals and differences: names, shapes and framing are shared by every code.

    Parameters
    ----------
    lengths
        ``{label: CodeLength}``.

    Returns
    -------
    pandas.DataFrame
        Indexed by label; ``total_bits``, ``difference_bits`` to the best, ``realised``, then a column ``NAME_bits``
        a part.

    Examples
    --------
    >>> a, b = CodeLength.from_bits({"data": 9.0}), CodeLength.from_bits({"data": 5.0})
    >>> compare({"a": a, "b": b})["difference_bits"].to_dict()
    {'b': 0.0, 'a': 4.0}
    """
    import pandas as pd

    if not lengths:
        raise ValueError("compare: expected at least one code length, got none")
    rows = {}
    for label, length in lengths.items():
        kept = length.comparable
        parts = {f"{name}_bits": bits for name, bits in kept.part_bits().items()}
        rows[label] = {"total_bits": kept.bits, "difference_bits": 0.0, "realised": length.realised, **parts}
    table = pd.DataFrame.from_dict(rows, orient="index").sort_values("total_bits", kind="stable")
    table["difference_bits"] = table["total_bits"] - table["total_bits"].iloc[0]
    return table
