"""Codes: symbols to nats, and to bytes that decode."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from numpy.typing import ArrayLike

from mdl.codes.coder import Coder, Symbols
from mdl.masses import Array


@runtime_checkable
class Code(Protocol):
    """A code for integer symbols.

    Guarantees that every implementation keeps and the tests check: the lengths satisfy Kraft's inequality; ``pop``
    returns what ``push`` was given; the bytes take at most 64 bits and 0.02 % more than ``nats`` says.
    """

    def nats(self, symbols: ArrayLike) -> Array:
        """Ideal length of each symbol, nats, shape of ``symbols``."""
        ...

    def push(self, coder: Coder, symbols: Symbols) -> None:
        """Write (n,) int32 symbols."""
        ...

    def pop(self, coder: Coder, count: int) -> Symbols:
        """Read them back."""
        ...
