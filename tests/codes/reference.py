"""A reader of .mdl messages written from docs/format.md alone, in Python's own integers and floats.

It knows Gaussian and Laplace priors on uniform grids and trellises, with scales of rows and columns, signed Elias
delta, Krichevsky-Trofimov, contexts of rows above, and Bernoulli labels.
Nothing of the library is imported: what both read alike, the document says.
"""

from __future__ import annotations

import collections
import itertools
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

TOTAL = 1 << 24
DTYPES = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int64", "int32", "int16",
          "int8", "uint64", "uint32", "uint16", "uint8", "bool")  # fmt: skip
GAUSSIAN, LAPLACE = 0, 1
UNIFORM_GRID, TRELLIS = 0, 1
DISCRETIZED, SIGNED, ELIAS_DELTA, SCALED_MATRIX, DIRICHLET, CONTEXTUAL_MATRIX = 0, 1, 2, 4, 5, 13
BERNOULLI = 0
CHECKS = {4: (0o5, 0o2), 8: (0o13, 0o4), 16: (0o23, 0o4), 32: (0o45, 0o10), 64: (0o103, 0o24), 128: (0o235, 0o126),
          256: (0o515, 0o362)}  # fmt: skip

Read = Callable[["Reader", int], list[int]]  # a code: (reader, count) -> symbols
Predict = Callable[[str, dict[str, "Tensor"]], list[float]]


class Tensor(NamedTuple):
    """Values in row-major order."""

    dtype: str
    shape: tuple[int, ...]
    values: list[float]


class Grid(NamedTuple):
    """A uniform grid, or a trellis where there are states."""

    step: float
    states: int = 0

    def edges(self, first: int, last: int) -> tuple[float, float]:
        below = 0.25 if self.states else 0.5
        return (first - below) * self.step, (last + 1.0 - below) * self.step

    def weights(self, symbols: list[int]) -> list[float]:
        if not self.states:
            return [s * self.step for s in symbols]
        found, state = [], 0
        h0, h1 = CHECKS[self.states]
        for n, s in enumerate(symbols):
            state = state if n % 512 else 0
            g = state % 2
            found.append((-1 if g else 1) * (s + 0.25) * self.step)
            state = state // 2 ^ g * (h0 // 2) ^ (s + g) % 2 * (h1 // 2)
        return found


class Reader:
    """Both lanes of a message, and the sum of the checksums of the tables used."""

    def __init__(self, body: bytes) -> None:
        size = start = 0
        for byte in body:
            size |= (byte & 127) << 7 * start
            start += 1
            if byte < 128:
                break
        self.lane = "".join(f"{byte:08b}" for byte in body[start : start + size])
        entropy = body[start + size :]
        entropy += bytes(-len(entropy) % 4)
        self.words = list(struct.unpack(f"<{len(entropy) // 4}I", entropy))
        self.state = self.fingerprint = 0
        self._refill()

    def _refill(self) -> None:
        while self.state < 1 << 32 and self.words:
            self.state = self.state << 32 | self.words.pop()

    def symbol(self, table: list[int]) -> int:
        if len(table) == 1:
            return 0
        slot, symbol = self.state % TOTAL, 0
        while slot >= table[symbol]:
            slot, symbol = slot - table[symbol], symbol + 1
        self.state = (self.state >> 24) * table[symbol] + slot
        self._refill()
        return symbol

    def note(self, *rows: list[int]) -> None:
        packed = b"".join(struct.pack(f"<{len(row)}q", *row) for row in rows)
        self.fingerprint = (self.fingerprint + zlib.crc32(packed)) % 2**32

    def symbols(self, table: list[int], count: int) -> list[int]:
        self.note(table)
        return [self.symbol(table) for _ in range(count)]

    def bits(self, count: int) -> str:
        taken, self.lane = self.lane[:count], self.lane[count:]
        assert len(taken) == count, "the lane ends early"
        return taken

    def number(self, width: int) -> int:
        return int(self.bits(width) or "0", 2)

    def delta(self) -> int:
        zeros = 0
        while self.bits(1) == "0":
            zeros += 1
        length = int("1" + self.bits(zeros), 2)
        return int("1" + self.bits(length - 1), 2)

    def natural(self) -> int:
        return self.delta() - 1

    def integer(self) -> int:
        return unsigned(self.natural())

    def real(self) -> float:
        if self.bits(1) == "0":
            return 0.0
        sign = -1.0 if self.bits(1) == "1" else 1.0
        odd = 2 * self.natural() + 1
        return sign * math.ldexp(odd, self.integer())

    def text(self) -> str:
        size = self.natural()
        return bytes(self.number(8) for _ in range(size)).decode()


def unsigned(index: int) -> int:
    """0, -1, 1, -2, ... in this order."""
    return index // 2 if index % 2 == 0 else -(index + 1) // 2


def frequencies(log_masses: list[float]) -> list[int]:
    top = max(log_masses)
    masses = [math.exp(m - top) for m in log_masses]
    total = math.fsum(masses)
    return proportional([m / total for m in masses])


def proportional(masses: list[float]) -> list[int]:
    table = [1 + math.floor(m * (TOTAL - len(masses)) + 2**-20) for m in masses]
    table[table.index(max(table))] += TOTAL - sum(table)
    return table


def buckets_of_run(reader: Reader, table: list[int], count: int) -> list[int]:
    """Buckets of one run; those elsewhere are told after all others."""
    own = range(len(table))
    if count >= 1 << 15 and max(table) <= 3 << 22:
        for most in (64, 16, 8, 5, 4):
            if most < len(table):
                starts = range(len(table) - most + 2)
                masses = [sum(table[a : a + most - 1]) for a in starts]
                if 32 * (TOTAL - max(masses)) > TOTAL:
                    break
                own = range(masses.index(max(masses)), masses.index(max(masses)) + most - 1)
    others = [bucket for bucket in range(len(table)) if bucket not in own]
    rest = sum(table[bucket] for bucket in others)
    found = letters(reader, [table[bucket] for bucket in own] + [rest] * (rest > 0), count)
    buckets = [own.start + letter for letter in found]
    if others:
        away = [i for i in range(count) if found[i] == len(own)]
        told = reader.symbols(proportional([table[bucket] / rest for bucket in others]), len(away))
        for i, place in zip(away, told, strict=True):
            buckets[i] = others[place]
    return buckets


def letters(reader: Reader, table: list[int], count: int) -> list[int]:
    """Letters of one run, in words while they last."""
    length = 1
    if len(table) > 1 and max(table) <= 3 << 22 and count >= 1 << 15:
        while len(table) ** (length + 1) <= 1 << 12:
            length += 1
    if length == 1:
        return reader.symbols(table, count) if count else []
    masses = [1.0]
    for _ in range(length):
        masses = [mass * (f / TOTAL) for mass in masses for f in table]
    words = reader.symbols(proportional(masses), count // length)
    spelt = [word // len(table) ** place % len(table) for word in words for place in reversed(range(length))]
    rest = count % length
    return spelt + (reader.symbols(table, rest) if rest else [])


def inside(reader: Reader, log_masses: list[float], count: int) -> list[int]:
    table = frequencies(log_masses if max(log_masses) > -math.inf else [0.0] * len(log_masses))
    return reader.symbols(table, count)


def alphabet(reader: Reader, log_masses: list[float], count: int, tail: int = 0) -> list[int]:
    """Symbols of one distribution: a bucket of neighbours, then the symbol inside.

    With a tail of so many symbols either side, each is one level of a short run, and one bucket.
    """
    if max(log_masses) == -math.inf:
        log_masses = [0.0] * len(log_masses)
    last = len(log_masses) - tail
    levels = log_masses
    if tail:
        levels = [log_sum(log_masses[:tail]), *log_masses[tail:last], log_sum(log_masses[last:])]
    first = [0, *range(tail, last + 1)] if tail else list(range(len(levels)))  # symbol of each level
    found: list[int] = []
    while len(found) < count:
        size = min(1 << 18, count - len(found))
        most = 1 << 10 if max(frequencies(levels)) <= 3 << 22 else 1 << 6
        if size < 1 << 15 and len(levels) <= most:
            places = reader.symbols(frequencies(levels), size)
            starts, stops = first, [*first[1:], len(log_masses)]
        else:
            starts = buckets(levels, first, tail)
            stops = [*starts[1:], len(log_masses)]
            sums = [log_sum(log_masses[a:b]) for a, b in zip(starts, stops, strict=True)]
            places = buckets_of_run(reader, frequencies(sums), size)
        symbols = [starts[place] for place in places]
        for place in sorted(set(places)):
            if stops[place] - starts[place] > 1:
                positions = [i for i in range(size) if places[i] == place]
                told = inside(reader, log_masses[starts[place] : stops[place]], len(positions))
                for i, symbol in zip(positions, told, strict=True):
                    symbols[i] += symbol
        found += symbols
    return found


def log_sum(log_masses: list[float]) -> float:
    top = max(log_masses)
    return top + math.log(math.fsum(math.exp(m - top) for m in log_masses)) if top > -math.inf else top


def buckets(levels: list[float], first: list[int], tail: int) -> list[int]:
    """The first symbol of each bucket."""
    starts, table = [0], frequencies(levels)
    unit = max(12, max(table).bit_length() - 5)
    ends = list(itertools.accumulate(table))
    for k in range(1, len(table)):
        heavy = table[k] >> unit or table[k - 1] >> unit
        if heavy or ends[k] >> unit + 2 != ends[k - 1] >> unit + 2 or (tail and k in (1, len(table) - 1)):
            starts.append(first[k])
    return starts


def gaussian_mass(a: float, b: float) -> float:
    """Ln of the mass from a to b; minus infinity some 38 scales out, where the tail function ends."""
    if a + b < 0.0:
        a, b = -b, -a  # so that the tail function does not cancel
    mass = 0.5 * (math.erfc(a / math.sqrt(2.0)) - math.erfc(b / math.sqrt(2.0)))
    return math.log(mass) if mass > 0.0 else -math.inf


def laplace_mass(a: float, b: float) -> float:
    """The same, however far out."""
    if a + b < 0.0:
        a, b = -b, -a
    if a < 0.0:
        return math.log(-0.5 * (math.expm1(a) + math.expm1(-b)))
    return -a - math.log(2.0) + math.log(-math.expm1(a - b))


def masses(mass: Callable[[float, float], float], loc: float, scale: float, grid: Grid) -> Callable[[int, int], float]:
    """Ln of the mass from one cell to another."""

    def log_mass(first: int, last: int) -> float:
        low, high = grid.edges(first, last)
        return mass((low - loc) / scale, (high - loc) / scale)

    return log_mass


def discretized(log_mass: Callable[[int, int], float], lo: int, hi: int) -> Read:
    def read(reader: Reader, count: int) -> list[int]:
        levels = hi - lo + 1
        if levels <= 1 << 16:
            return [lo + s for s in alphabet(reader, [log_mass(s, s) for s in range(lo, hi + 1)], count)]
        width = 1 << levels.bit_length() // 2
        runs = [log_mass(s, min(s + width - 1, hi)) for s in range(lo, hi + 1, width)]
        leading = alphabet(reader, runs, count)
        symbols = [lo + digit * width for digit in leading]
        for digit in sorted(set(leading)):
            start = lo + digit * width
            cells = [log_mass(s, s) for s in range(start, min(start + width - 1, hi) + 1)]
            positions = [i for i in range(count) if leading[i] == digit]
            for i, trailing in zip(positions, alphabet(reader, cells, len(positions)), strict=True):
                symbols[i] += trailing
        return symbols

    return read


def exponents(reader: Reader, lines: int) -> list[int]:
    lo, span, pitch, spread, middle = reader.integer(), reader.natural(), 0, 0, 0
    if span:
        pitch, spread, middle = reader.natural(), reader.natural(), reader.natural()
    log_mass = masses(gaussian_mass, lo + middle, 2.0 ** ((spread - 2) / 2), Grid(1.0))
    return [2**pitch * multiple for multiple in discretized(log_mass, lo, lo + span)(reader, lines)]


def groups_of_sums(rows: list[int], columns: list[int]) -> dict[int, int]:
    """The exponent of every sum of a row's and a column's."""
    pairs = collections.Counter(row + column for row in rows for column in columns)
    groups: list[list[int]] = []
    for total in sorted(pairs):
        if not groups or sum(pairs[t] for t in groups[-1]) >= 1 << 9 or total - groups[-1][0] >= 4:
            groups.append([])
        groups[-1].append(total)
    found = {}
    for group in groups:
        weight = sum(pairs[t] for t in group)
        mean = (2 * sum(t * pairs[t] for t in group) + weight) // (2 * weight)
        found |= dict.fromkeys(group, mean)
    return found


def scaled_matrix(mass: Any, loc: float, scale: float, grid: Grid, reach: int, columns: int) -> Read:
    def read(reader: Reader, count: int) -> list[int]:
        rows = exponents(reader, -(-count // columns))
        across = exponents(reader, min(count, columns))
        symbols, group = [0] * count, groups_of_sums(rows, across)
        block = max(1, (1 << 20) // len(across)) * len(across)
        for start in range(0, count, block):
            at: dict[int, list[int]] = {}
            for i in range(start, min(start + block, count)):
                at.setdefault(group[rows[i // columns] + across[i % columns]], []).append(i)
            for exponent, places in sorted(at.items()):
                wide = scale * 2.0 ** (exponent / 8)
                log_mass, half, near = masses(mass, loc, wide, grid), 1 << reach, 1
                while grid.edges(near, near)[0] < 16.0 * wide:
                    near *= 2
                told = alphabet(reader, [log_mass(s, s) for s in range(-half, half)], len(places), max(half - near, 0))
                for i, symbol in zip(places, told, strict=True):
                    symbols[i] = symbol - half
        return symbols

    return read


def dirichlet(lo: int, hi: int, alpha: float) -> Read:
    def read(reader: Reader, count: int) -> list[int]:
        counts, indices = [0] * (hi - lo + 1), []
        while len(indices) < count:
            size = min(max(1, len(indices) // 8), count - len(indices))
            total = len(indices) + alpha * len(counts)
            block = alphabet(reader, [math.log(n + alpha) - math.log(total) for n in counts], size)
            for index in block:
                counts[index] += 1
            indices += block
        return [lo + index for index in indices]

    return read


def contextual_matrix(reach: int, columns: int, width: int) -> Read:
    def read(reader: Reader, count: int) -> list[int]:
        found: list[int] = []
        counts = [[0] * (2 * reach + 1) for _ in range(8)]
        above = {1, 2} | ({width - 1, width, width + 1} - {0} if width else set())
        while len(found) < count:
            first, size = len(found), min(max(1, len(found) // 8), count - len(found))
            everywhere = [sum(level) for level in zip(*counts, strict=True)]
            shared = [16 * (n + 0.5) / (first + 0.5 * len(everywhere)) for n in everywhere]
            noted = []
            while len(found) < first + size:
                row = len(found) // columns
                places = range(len(found), min((row + 1) * columns, first + size))
                neighbours = [[found[at - up * columns] for up in above if up <= row] for at in places]
                levels = [min(7, sum(map(abs, values)).bit_length()) for values in neighbours]
                seen = [0] * len(places)
                for level in sorted(set(levels)):
                    here = [i for i in range(len(places)) if levels[i] == level]
                    total = math.log(sum(counts[level]) + 16)
                    log_masses = [math.log(n + p) - total for n, p in zip(counts[level], shared, strict=True)]
                    for i, index in zip(here, alphabet(reader, log_masses, len(here)), strict=True):
                        seen[i] = index
                noted += zip(levels, seen, strict=True)
                signs = [-1 if sum(values) < 0 else 1 for values in neighbours]
                found += [sign * (index - reach) for sign, index in zip(signs, seen, strict=True)]
            for level, index in noted:
                counts[level][index] += 1
        return found

    return read


def signed_delta(reader: Reader, count: int) -> list[int]:
    return [unsigned(reader.delta() - 1) for _ in range(count)]


def read_code(reader: Reader, grid: Grid | None) -> Read:
    tag = reader.natural()
    if tag in (DISCRETIZED, SCALED_MATRIX):
        mass = {GAUSSIAN: gaussian_mass, LAPLACE: laplace_mass}[reader.natural()]
        scale, loc = reader.real(), reader.real()
        assert grid is not None
        if tag == SCALED_MATRIX:
            return scaled_matrix(mass, loc, scale, grid, reader.integer(), reader.integer())
        return discretized(masses(mass, loc, scale, grid), reader.integer(), reader.integer())
    if tag == DIRICHLET:
        return dirichlet(reader.integer(), reader.integer(), reader.real())
    if tag == CONTEXTUAL_MATRIX:
        return contextual_matrix(reader.integer(), reader.integer(), reader.integer())
    assert tag == SIGNED
    assert reader.natural() == ELIAS_DELTA
    return signed_delta


def read_grid(reader: Reader) -> Grid:
    tag = reader.natural()
    if tag == TRELLIS:
        return Grid(reader.real(), reader.integer())
    assert tag == UNIFORM_GRID
    return Grid(reader.real())


def read_scheme(reader: Reader, tensors: int) -> Iterator[tuple[Grid | None, Read]]:
    """The grid and the code of each tensor."""
    codings: list[tuple[Grid | None, Read]] = []
    grids: list[Grid | None] = [None]
    for _ in range(tensors):
        age = reader.natural()
        if age == 0:
            grid_age = reader.natural()
            if grid_age == 0:
                grids.append(read_grid(reader))
            grid = grids[-max(grid_age, 1)]
            codings.append((grid, read_code(reader, grid)))
        yield codings[-max(age, 1)]


def read_labels(reader: Reader, logits: list[float]) -> list[int]:
    """Two classes, at most 4096 examples."""
    rows = []
    for logit in logits:
        logit = round(logit * 4096) / 4096
        log_masses = [-math.log1p(math.exp(-z)) for z in (-logit, logit)]
        rows.append(frequencies(log_masses))
    reader.note(*rows)
    return [reader.symbol(row) for row in rows]


def read_shapes(reader: Reader) -> list[tuple[str, str, tuple[int, ...]]]:
    shapes = []
    for _ in range(reader.natural()):
        name, dtype = reader.text(), DTYPES[reader.number(4)]
        shapes.append((name, dtype, tuple(reader.natural() for _ in range(reader.natural()))))
    return shapes


def read_tensors(reader: Reader, headers: Any, scheme: Any) -> dict[str, Tensor]:
    tensors = {}
    for (name, dtype, shape), (grid, code) in zip(headers, scheme, strict=True):
        symbols: list[Any] = code(reader, math.prod(shape))
        tensors[name] = Tensor(dtype, shape, symbols if grid is None else grid.weights(symbols))
    return tensors


def decode(message: bytes, predict: Predict | None = None) -> tuple[dict[str, Tensor], list[int]]:
    """Tensors, and labels if there are any."""
    assert message[:5] == b"\x93MDL\x01"
    assert int.from_bytes(message[5:9], "little") == zlib.crc32(message[9:])
    reader = Reader(message[9:])
    has_data = reader.number(1)
    headers = read_shapes(reader)
    fingerprint = reader.number(32)
    scheme = list(read_scheme(reader, len(headers)))
    if has_data:
        architecture = reader.text()
        assert reader.natural() == BERNOULLI
        count = reader.natural()
    tensors = read_tensors(reader, headers, scheme)
    assert reader.fingerprint == fingerprint, "tables differ from the writer's"
    labels = []
    if has_data and predict is not None:
        logits = predict(architecture, tensors)
        assert len(logits) == count
        labels = read_labels(reader, logits)
        assert reader.words == []
        assert reader.state == 2**32 + (reader.fingerprint - fingerprint) % 2**32, "tables differ from the writer's"
    if not has_data or predict is not None:
        assert set(reader.lane) <= {"0"}, "bits are left"
        assert len(reader.lane) < 8
    if not has_data:
        assert reader.state == 0
        assert reader.words == []
    return tensors, labels


def decode_parts(message: bytes) -> dict[str, list[Any]]:
    """The weights of every tensor of a message in parts, flat."""
    assert message[:5] == b"\x93MDL\x02"
    size = int.from_bytes(message[-12:-4], "little")
    index = message[-12 - size : -12]
    assert int.from_bytes(message[-4:], "little") == zlib.crc32(index)
    listing = Reader(b"\0")
    listing.lane = "".join(f"{byte:08b}" for byte in index)
    headers = read_shapes(listing)
    found: dict[str, list[Any]] = {name: [] for name, _, _ in headers}
    position = 5
    for _ in range(listing.natural()):
        entries, size, checksum = listing.natural(), listing.natural(), listing.number(32)
        part = message[position : position + size]
        position += size
        assert zlib.crc32(part) == checksum
        for name, tensor in read_part(part, pieces(headers, found, entries)).items():
            found[name] += tensor.values
    return found


def pieces(headers: Any, found: dict[str, list[Any]], entries: int) -> list[Any]:
    """What comes next, where so many entries of each tensor have been found already."""
    taken = []
    for name, dtype, shape in headers:
        whole, row = math.prod(shape), math.prod(shape[1:])
        start = len(found[name])
        count = min(whole - start, entries)
        if count == 0:
            continue
        by_row = len(shape) > 1 and start % row == 0 and count % row == 0
        taken.append((name, dtype, shape if count == whole else (count // row, *shape[1:]) if by_row else (count,)))
        entries -= count
    return taken


def read_part(part: bytes, headers: list[Any]) -> dict[str, Tensor]:
    reader = Reader(part)
    fingerprint = reader.number(32)
    tensors = read_tensors(reader, headers, list(read_scheme(reader, len(headers))))
    assert reader.fingerprint == fingerprint, "tables differ from the writer's"
    assert reader.state == 0
    return tensors
