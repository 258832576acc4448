"""Every code keeps the laws; broken ones are caught."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mdl.codes
from mdl.codes import adaptive, integers
from tests import examples, laws


@pytest.mark.parametrize(("law", "case"), examples.cases(laws.code_laws, examples.codes()))
def test_law(law: Any, case: Any) -> None:
    law(case)


# --- the laws catch what breaks them ----------------------------------------------------------------------------------


class Overpromising(integers.EliasGamma):
    """Lengths a tenth too short."""

    def nats(self, symbols: Any) -> Any:
        return 0.9 * super().nats(symbols)


class Forgetful(adaptive.Dirichlet):
    """Every symbol after the first a tenth of a nat cheaper: Kraft fails for words only."""

    def nats(self, symbols: Any) -> Any:
        nats = super().nats(symbols)
        nats[1:] -= 0.1
        return nats


class Negative(integers.EliasGamma):
    """A refund for every symbol."""

    def nats(self, symbols: Any) -> Any:
        return super().nats(symbols) - 10.0


class Columns(integers.EliasGamma):
    """Lengths in a column."""

    def nats(self, symbols: Any) -> Any:
        return super().nats(symbols)[..., None]


class OffByOne(integers.EliasGamma):
    """Reads the next number."""

    def pop(self, coder: Any, count: int) -> Any:
        return super().pop(coder, count) + np.int32(1)


class Wide(integers.EliasGamma):
    """Reads int64."""

    def pop(self, coder: Any, count: int) -> Any:
        return super().pop(coder, count).astype(np.int64)


class Wasteful(integers.EliasGamma):
    """Promises 1 % less than the codewords take, in a range where Kraft has room for it."""

    def nats(self, symbols: Any) -> Any:
        return 0.99 * super().nats(symbols)


class Clipping(adaptive.Dirichlet):
    """Takes foreign symbols for the nearest of its own."""

    def _indices(self, symbols: Any) -> Any:
        return super()._indices(np.clip(symbols, self.lo, self.hi))


class Brittle(integers.EliasGamma):
    """Fails in its own way on damaged bytes."""

    def pop(self, coder: Any, count: int) -> Any:
        try:
            return super().pop(coder, count)
        except ValueError as error:
            raise KeyError("foreign") from error


BROKEN = [
    (laws.lengths_satisfy_kraft, Overpromising(), range(1, 2**31), ()),
    (laws.lengths_satisfy_kraft, Forgetful(0, 1), range(2), ()),
    (laws.lengths_are_lengths, Negative(), range(1, 100), ()),
    (laws.lengths_are_lengths, Columns(), range(1, 100), ()),
    (laws.decoding_returns_the_symbols, OffByOne(), range(1, 100), ()),
    (laws.decoding_returns_the_symbols, Wide(), range(1, 100), ()),
    (laws.long_messages_keep_the_rate, Wasteful(), range(3, 100), ()),
    (laws.foreign_symbols_are_refused, Clipping(0, 5), range(6), (6,)),
    (laws.damaged_bytes_are_survived, Brittle(), range(1, 100), ()),
]


@pytest.mark.parametrize(
    ("law", "code", "symbols", "foreign"),
    [pytest.param(*b, id=f"{b[0].__name__}-{type(b[1]).__name__}") for b in BROKEN],
)
def test_law_catches(law: Any, code: Any, symbols: range, foreign: tuple[int, ...]) -> None:
    with pytest.raises((AssertionError, KeyError, pytest.fail.Exception)):
        law((code, symbols, foreign))
    with pytest.raises((AssertionError, KeyError, IndexError, TypeError, pytest.fail.Exception)):
        laws.check_code(code, symbols, foreign)


def test_the_rate_law_is_what_catches_waste() -> None:
    for law in (laws.lengths_satisfy_kraft, laws.decoding_returns_the_symbols, laws.damaged_bytes_are_survived):
        law((Wasteful(), range(3, 100), ()))


def test_every_law_has_a_code_that_breaks_it() -> None:
    assert set(laws.CODE_LAWS) == {law for law, *_ in BROKEN}


def test_check_code_passes_a_sound_one() -> None:
    laws.check_code(integers.EliasGamma(), range(1, 100), (0,))


def test_a_code_without_an_example_is_noticed() -> None:
    with pytest.raises(LookupError, match="write an example for Brittle"):
        examples.instances([Brittle, integers.EliasGamma], examples.CODES)


def test_every_example_is_found_and_no_bare_base_class() -> None:
    found = examples.classes(mdl.codes, mdl.codes.Code)
    assert set(found) == set(examples.CODES)
    assert mdl.codes.Code not in found


def test_small_symbols_lie_in_the_range_and_near_zero() -> None:
    assert laws._small(range(-(2**31), 2**31), 4).tolist() == [-2, -1, 0, 1]
    assert laws._small(range(5, 9), 100).tolist() == [5, 6, 7, 8]
    assert laws._small(range(-9, -2), 3).tolist() == [-5, -4, -3]
    assert laws._small(range(1, 2**31), 3).tolist() == [1, 2, 3]
