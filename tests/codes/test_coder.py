"""The bytes of a message: read by a decoder of twenty lines that shares nothing with the library's, and golden."""

from __future__ import annotations

import math
import zlib
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdl.codes.alphabet import _LETTERS, _WORDS, RUN, Alphabet, Tails, _own_letters, groups
from mdl.codes.coder import MAX_LEVELS, PRECISION, TOTAL, Coder, as_symbols, decode, encode, frequencies
from mdl.codes.integers import EliasGamma
from mdl.errors import CodeError, MessageError
from tests.laws import SEARCH


class Reference:
    """A reader in Python's integers. Entropy lane: rANS, 64-bit state, 32-bit words from the last on, 24-bit tables."""

    def __init__(self, data: bytes) -> None:
        size = shift = start = 0
        while True:
            byte, start = data[start], start + 1
            size, shift = size | (byte & 127) << shift, shift + 7
            if byte < 128:
                break
        self.bits = "".join(f"{byte:08b}" for byte in data[start : start + size])
        entropy = data[start + size :]
        entropy += bytes(-len(entropy) % 4)
        self.words = [int.from_bytes(entropy[i : i + 4], "little") for i in range(0, len(entropy), 4)]
        self.state = 0
        self.refill()

    def refill(self) -> None:
        while self.state < 1 << 32 and self.words:
            self.state = self.state << 32 | self.words.pop()

    def pop(self, table: list[int]) -> int:
        slot, symbol = self.state % TOTAL, 0
        while slot >= table[symbol]:
            slot, symbol = slot - table[symbol], symbol + 1
        self.state = (self.state >> PRECISION) * table[symbol] + slot
        self.refill()
        return symbol

    def pop_bits(self, count: int) -> list[int]:
        taken, self.bits = self.bits[:count], self.bits[count:]
        return [int(bit) for bit in taken]


masses = st.lists(st.one_of(st.floats(-40.0, 3.0), st.just(-math.inf)), min_size=2, max_size=9)
tables = masses.filter(lambda m: max(m) > -math.inf).map(frequencies)
chunk = tables.flatmap(lambda t: st.tuples(st.just(t), st.lists(st.integers(0, t.size - 1), max_size=30)))
bit_chunk = st.lists(st.integers(0, 1), max_size=30)


@SEARCH
@given(st.lists(st.one_of(chunk, bit_chunk), max_size=6))
def test_reference_decoder_reads_what_the_coder_writes(message: list[Any]) -> None:
    coder = Coder()
    for part in reversed(message):
        if isinstance(part, tuple):
            coder.push(part[0], np.array(part[1], np.int32))
        else:
            coder.push_bits(np.array(part, np.uint8))
    reference, reader = Reference(coder.to_bytes()), Coder.from_bytes(coder.to_bytes())
    for part in message:
        if isinstance(part, tuple):
            assert [reference.pop(part[0].tolist()) for _ in part[1]] == part[1]
            assert reader.pop(part[0], len(part[1])).tolist() == part[1]
        else:
            assert reference.pop_bits(len(part)) == part
            assert reader.pop_bits(len(part)).tolist() == part
    assert reference.words == []
    assert reference.state == 0
    assert set(reference.bits) <= {"0"}
    assert reader.finished
    assert reader.fingerprint == coder.fingerprint


@pytest.mark.parametrize("levels", [2, 3, 1000])
def test_reference_decoder_reads_a_table_for_each_symbol(levels: int) -> None:
    rng = np.random.default_rng(0)
    rows = frequencies(rng.normal(0.0, 4.0, (200, levels)))
    symbols = rng.integers(0, levels, 200).astype(np.int32)
    coder = Coder()
    coder.push(rows, symbols)
    reference = Reference(coder.to_bytes())
    assert [reference.pop(row) for row in rows.tolist()] == symbols.tolist()
    assert Coder.from_bytes(coder.to_bytes()).pop(rows, 200).tolist() == symbols.tolist()


@pytest.mark.parametrize("levels", [2, 3, 21, 257])
def test_the_last_bits_of_simple_fractions_change_no_frequency(levels):
    """Counts make masses of which multiples are whole: platforms that differ by an ulp would differ by one there."""
    rng = np.random.default_rng(levels)
    for _ in range(300):
        counts = rng.integers(1, 9, levels) + rng.choice([0.0, 0.5])
        exact = [Fraction(float(count)) * (TOTAL - levels) / Fraction(float(counts.sum())) for count in counts]
        table = np.array([1 + math.floor(mass + Fraction(1, 2**20)) for mass in exact])
        table[table.argmax()] += TOTAL - table.sum()
        for ulps in (-4.0, 0.0, 4.0):
            off = np.log(counts) * (1.0 + ulps * np.finfo(float).eps * rng.choice([-1, 1], levels))
            np.testing.assert_array_equal(frequencies(off - np.log(counts.sum())), table)


GOLDEN = "023e800000c0872ff103bf04"  # bytes of the bit lane; its bits; the entropy lane


def golden() -> tuple[Coder, Any]:
    table = frequencies(np.log([0.5, 0.25, 0.125, 0.125]))
    coder = Coder()
    coder.push(table, np.array([0, 1, 2, 3, 0, 0, 1, 2, 0, 3, 1, 0] * 2, np.int32))
    coder.push_bits(np.array([1, 0, 1], np.uint8))
    coder.push_bits(np.array([0, 0, 1, 1, 1, 1], np.uint8))  # pushed last, read first
    return coder, table


def test_golden_bytes() -> None:
    coder, table = golden()
    assert table.tolist() == [8388608, 4194304, 2097152, 2097152]
    assert coder.to_bytes().hex() == GOLDEN
    reference = Reference(bytes.fromhex(GOLDEN))
    assert reference.pop_bits(9) == [0, 0, 1, 1, 1, 1, 1, 0, 1]
    assert [reference.pop(table.tolist()) for _ in range(12)] == [0, 1, 2, 3, 0, 0, 1, 2, 0, 3, 1, 0]


def test_an_empty_message_is_one_byte() -> None:
    assert Coder().to_bytes() == b"\0"
    assert encode(EliasGamma(), []) == b"\0"
    assert Coder.from_bytes(b"\0").finished


@SEARCH
@given(st.integers(0, 400))
def test_bit_lane_is_packed_and_its_length_is_leb128(count: int) -> None:
    coder = Coder()
    coder.push_bits(np.ones(8 * count, np.uint8))
    size = bytes([count]) if count < 128 else bytes([count & 127 | 128, count >> 7])
    assert coder.to_bytes() == size + b"\xff" * count


# --- frequencies ------------------------------------------------------------------------------------------------------


@SEARCH
@given(st.lists(st.one_of(st.floats(-800.0, 800.0), st.just(-math.inf)), min_size=1, max_size=200))
def test_frequencies_are_positive_and_sum_to_the_total(logs: list[float]) -> None:
    logs[0] = max(logs[0], -800.0)
    table = frequencies(logs)
    assert table.sum() == TOTAL
    assert table.min() >= 1
    p = np.exp(np.array(logs) - max(logs))
    ideal = p / p.sum() * TOTAL
    assert (np.abs(table - ideal) <= 1.0 + ideal * len(logs) / TOTAL + (table == table.max()) * len(logs)).all()


def test_frequencies_of_the_largest_alphabet_and_of_rows() -> None:
    logs = np.random.default_rng(0).normal(0.0, 5.0, (3, MAX_LEVELS))
    table = frequencies(logs)
    assert table.sum(axis=-1).tolist() == [TOTAL] * 3
    assert table.min() >= 1
    assert (table[1] == frequencies(logs[1])).all()
    assert frequencies([-3.0]).tolist() == [TOTAL]


def test_frequencies_do_not_depend_on_a_common_factor() -> None:
    logs = np.log([0.2, 0.3, 0.5])
    assert frequencies(logs).tolist() == frequencies(logs + 1000.0 * math.log(2.0)).tolist()


@pytest.mark.parametrize(
    ("logs", "message"),
    [
        pytest.param([], "0 levels", id="empty"),
        pytest.param(np.zeros(MAX_LEVELS + 1), "65537 levels", id="too many"),
        pytest.param([-math.inf, -math.inf], "without mass", id="no mass"),
        pytest.param([math.nan, 0.0], "NaN", id="NaN"),
        pytest.param([math.inf, 0.0], "without mass", id="infinite"),
        pytest.param([[0.0, 0.0], [-math.inf, -math.inf]], "without mass", id="one row without"),
    ],
)
def test_frequencies_refuse(logs: Any, message: str) -> None:
    with pytest.raises(CodeError, match=message):
        frequencies(logs)


# --- rate, fingerprints, ends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 7, 1000, 50_000])
def test_at_most_40_bits_beyond_the_frequencies(count: int) -> None:
    rng = np.random.default_rng(1)
    table = frequencies(np.log(rng.dirichlet(np.full(40, 0.3))))
    symbols = rng.choice(40, count, p=table / TOTAL).astype(np.int32)
    coder = Coder()
    coder.push(table, symbols)
    ideal = -np.log2(table[symbols] / TOTAL).sum()
    assert ideal - 1e-6 * count - 1 <= 8 * len(coder.to_bytes()) <= ideal + 40.0


def test_fingerprint_sums_the_checksums_of_the_tables_whatever_the_order() -> None:
    one, two = frequencies([0.0, 1.0]), frequencies([0.0, 1.0, 2.0])
    symbols = np.array([0, 1], np.int32)
    crc = [zlib.crc32(b"".join(int(f).to_bytes(8, "little") for f in table)) for table in (one, two)]
    writer = Coder()
    writer.push(one, symbols)
    writer.push(two, symbols)
    writer.push(two, symbols)
    assert writer.fingerprint == (crc[0] + 2 * crc[1]) % 2**32
    reader = Coder.from_bytes(writer.to_bytes())
    for table in (two, two, one):
        reader.pop(table, 2)
    assert reader.fingerprint == writer.fingerprint
    assert reader.finished


def test_a_single_level_costs_nothing() -> None:
    coder = Coder()
    coder.push(frequencies([0.0]), np.zeros(1000, np.int32))
    assert coder.to_bytes() == b"\0"
    assert coder.pop(frequencies([0.0]), 1000).tolist() == [0] * 1000


def test_what_is_left_over_is_noticed() -> None:
    data = encode(EliasGamma(), [9, 8, 7])
    assert decode(EliasGamma(), data, 3).tolist() == [9, 8, 7]
    with pytest.raises(MessageError, match="bytes are left after 2 symbols"):
        decode(EliasGamma(), data, 2)
    coder, _ = golden()
    reader = Coder.from_bytes(coder.to_bytes())
    assert not reader.finished
    reader.pop_bits(9)
    assert not reader.finished


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "before its first number", id="empty"),
        pytest.param(b"\x80", "before its first number", id="number cut"),
        pytest.param(b"\xff" * 9, "before its first number", id="number endless"),
        pytest.param(b"\x05ab", "bit lane of 5 bytes, but only 2 follow", id="lane cut"),
        pytest.param(b"\xff\xff\xff\xff\x7fab", "but only 2 follow", id="lane huge"),
        pytest.param(b"\x00\x01\x00", "zero byte", id="entropy lane ends in zero"),
        pytest.param(b"\x01\x00\x00", "zero byte", id="entropy lane is zero"),
    ],
)
def test_foreign_bytes_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(MessageError, match=message):
        Coder.from_bytes(data)


@pytest.mark.parametrize("count", [-1, 25])
def test_bits_beyond_the_lane_are_refused(count: int) -> None:
    with pytest.raises(MessageError, match=f"expected {count} more bits, but the message has 24"):
        Coder.from_bytes(b"\x03abc").pop_bits(count)


def test_peeking_reads_nothing() -> None:
    reader = Coder.from_bytes(b"\x01\xa5")
    assert reader.peek_bits(99).tolist() == reader.pop_bits(8).tolist() == [1, 0, 1, 0, 0, 1, 0, 1]
    assert reader.bits_left == 0
    assert reader.peek_bits(1).size == 0


# --- symbols ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "symbols",
    [[], [1, 2], np.array([1, 2], np.int64), np.array([1, 2], np.uint8), np.arange(6, dtype=np.int32)[::2], range(3)],
    ids=repr,
)
def test_symbols_become_contiguous_int32(symbols: Any) -> None:
    found = as_symbols(symbols)
    assert found.dtype == np.int32
    assert found.flags.c_contiguous
    assert found.tolist() == list(symbols)


@pytest.mark.parametrize(
    ("symbols", "message"),
    [
        pytest.param([0.5], "integers, got float64", id="floats"),
        pytest.param([[1, 2]], r"1-D array of integers, got int64 of shape \(1, 2\)", id="two dimensions"),
        pytest.param(3, r"shape \(\)", id="a scalar"),
        pytest.param([True], "got bool", id="booleans"),
        pytest.param([2**31], "32 bits, got 2147483648", id="too large"),
        pytest.param([-(2**31) - 1, 0], "32 bits, got -2147483649 to 0", id="too small"),
        pytest.param([2**63], "32 bits", id="uint64"),
        pytest.param(["a"], "got <U1", id="text"),
    ],
)
def test_other_symbols_are_refused(symbols: Any, message: str) -> None:
    with pytest.raises(CodeError, match=message):
        as_symbols(symbols)


# --- alphabets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [1, 2, 5000, MAX_LEVELS])
@pytest.mark.parametrize("spread", [0.0, 3.0, 200.0])
def test_alphabet_keeps_the_rate_of_rare_symbols(levels: int, spread: float) -> None:
    """A symbol of mass 2^-60 costs no more than 60 bits, though a table ends at 24; and the mean is the entropy."""
    rng = np.random.default_rng(2)
    logs = -spread * np.abs(np.linspace(-1.0, 1.0, levels)) ** 2 + rng.normal(0.0, 0.5, levels)
    logs -= np.logaddexp.reduce(logs)
    for symbols in (
        rng.choice(levels, 5000, p=np.exp(logs)),
        rng.integers(0, levels, 300),
        np.full(300, logs.argmin()),
    ):
        symbols = symbols.astype(np.int32)
        coder = Coder()
        Alphabet(logs).push(coder, symbols)
        data = coder.to_bytes()
        assert Alphabet(logs).pop(Coder.from_bytes(data), symbols.size).tolist() == symbols.tolist()
        assert 8 * len(data) <= -logs[symbols].sum() / math.log(2.0) * 1.0002 + 64.0


@pytest.mark.parametrize("dtype", [np.float64, np.float32, ml_dtypes.bfloat16, np.int8])
@pytest.mark.parametrize("levels", [1, 3, 9, 12, 5000])
@pytest.mark.parametrize("count", [0, 7, RUN + 33001])
def test_alphabet_reads_symbols_as_what_they_stand_for(levels: int, count: int, dtype: Any) -> None:
    """One by one and in words of several lengths, with what is left over, and more than one run."""
    rng = np.random.default_rng(3)
    logs = -8.0 * np.linspace(-1.0, 1.0, levels) ** 2
    symbols = rng.choice(levels, count, p=np.exp(logs) / np.exp(logs).sum()).astype(np.int32)
    symbols[::97] = rng.integers(0, levels, symbols[::97].size)
    values = rng.normal(0.0, 9.0, levels).astype(dtype)
    coder = Coder()
    Alphabet(logs, lo=-5).push(coder, symbols - 5)
    data = coder.to_bytes()
    assert (Alphabet(logs, lo=-5).pop(Coder.from_bytes(data), count) == symbols - 5).all()
    read = np.empty(count, dtype)
    Alphabet(logs, lo=-5).pop_into(Coder.from_bytes(data), read, values)
    assert read.tobytes() == values[symbols].tobytes()


@pytest.mark.parametrize("scale", [0.01, 0.3, 30.0, 3000.0])
@pytest.mark.parametrize("size", [1, 40, 5000])
@pytest.mark.parametrize("count", [0, 300, 32767, 32768, RUN + 4099])
def test_tails_change_no_length(scale: float, size: int, count: int) -> None:
    """Met often and never, in runs that are short, long and several; as long as without tails."""
    half, rng = size + 100, np.random.default_rng(4)
    logs = -np.abs(np.arange(-half, half) / scale)
    logs -= np.logaddexp.reduce(logs)
    tails = Tails(size, (np.logaddexp.reduce(logs[:size]), np.logaddexp.reduce(logs[-size:])),
                  lambda above: logs[-size:] if above else logs[:size])  # fmt: skip
    alphabet = Alphabet(logs[size:-size], -100, tails)
    symbols = rng.choice(np.arange(-half, half), count, p=np.exp(logs)).astype(np.int32)
    symbols[::1999] = rng.integers(-half, half, symbols[::1999].size)
    coder = Coder()
    alphabet.push(coder, symbols)
    data = coder.to_bytes()
    assert (alphabet.pop(Coder.from_bytes(data), count) == symbols).all()
    assert 8 * len(data) <= -logs[symbols + half].sum() / math.log(2.0) * 1.0002 + 64.0


def test_levels_come_one_by_one_where_that_loses_no_rate() -> None:
    """A level takes a count at least: more than 2^10 are too many, and 2^6 beside one that has most of the mass."""
    flat = {levels: Alphabet(np.zeros(levels)) for levels in (64, 65, 1024, 1025)}
    assert [levels for levels, alphabet in flat.items() if alphabet._one_by_one(32767)] == [64, 65, 1024]
    assert not any(alphabet._one_by_one(32768) for alphabet in flat.values())
    for share, several in ((0.74, True), (0.76, False)):
        for levels in (64, 65):
            logs = np.log(np.append(share, np.full(levels - 1, (1.0 - share) / (levels - 1))))
            assert Alphabet(logs)._one_by_one(100) == (several or levels == 64)


def test_many_alphabets_at_once_are_those_made_one_by_one() -> None:
    rng = np.random.default_rng(5)
    masses = [rng.normal(0.0, spread, levels) for spread, levels in ((0.0, 1), (3.0, 7), (9.0, 3000), (1.0, 2))]
    masses.append(np.full(4, -np.inf))
    tails = [None, Tails(3, (-1.0, -np.inf), lambda above: np.zeros(3)), None, None, None]
    for many, mass, lo, ends in zip(Alphabet.several(masses, range(5), tails), masses, range(5), tails, strict=True):
        one = Alphabet(mass, lo, ends)
        for symbols in (np.arange(lo, lo + mass.size, dtype=np.int32), np.full(5000, lo, np.int32)):
            written = [Coder(), Coder()]
            many.push(written[0], symbols)
            one.push(written[1], symbols)
            assert written[0].to_bytes() == written[1].to_bytes()
    with pytest.raises(CodeError, match="with a NaN or an infinite mass"):
        Alphabet.several([np.array([0.0, np.nan]), np.zeros(2)], [0, 0], [None, None])
    with pytest.raises(CodeError, match="an alphabet of 65537 levels: expected 1 to 65536"):
        Alphabet(np.zeros(MAX_LEVELS + 1))


def test_at_most_a_thirty_second_is_told_apart() -> None:
    rest = TOTAL // 64
    for more, own in ((0, slice(1, 8)), (1, slice(0, 9))):
        table = np.array([rest + more, *[TOTAL // 7 - rest] * 7, rest])
        table[3] += TOTAL - table.sum()
        assert _own_letters(table) == own


def test_letters_are_as_many_as_make_words() -> None:
    assert list(_LETTERS) == [max(n for n in range(2, 65) if n**k <= _WORDS) for k in range(2, 7)]


def test_alphabet_of_masses_that_vanish() -> None:
    logs = np.array([0.0, -np.inf, -1e9, -np.inf, -np.inf])
    coder = Coder()
    Alphabet(logs).push(coder, np.arange(5, dtype=np.int32))
    assert Alphabet(logs).pop(Coder.from_bytes(coder.to_bytes()), 5).tolist() == [0, 1, 2, 3, 4]


def test_groups_are_ascending_and_keep_their_order() -> None:
    labels = np.array([3, 1, 3, 2, 1], np.int32)
    found = [(label, places.tolist()) for label, places in groups(labels, 10 * np.arange(5))]
    assert found == [(1, [10, 40]), (2, [30]), (3, [0, 20])]
    assert list(groups(labels[:0], np.arange(0))) == []
