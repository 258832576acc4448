"""Mutations of files that know what they damage: lengths, offsets, JSON, zip records, protobuf, cells of a table.

Each takes bytes and a ``random.Random`` and gives other bytes, with a right checksum where a reader would stop at it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from mdl.codes import archive

_LONGEST = 1 << 20
Mutate = Callable[[bytes, random.Random], bytes]

INTEGERS = (
    0,
    1,
    -1,
    2,
    7,
    127,
    128,
    255,
    2**15,
    2**16,
    2**31 - 1,
    2**31,
    2**32,
    2**40,
    10**12,
    2**62,
    2**63 - 1,
    2**64,
)
TEXTS = ("", "\0", "../x", "/etc/passwd", "C:\\x", "a" * 3000, "__metadata__", "\u202e", "1e999", "nan", "[" * 500)
VALUES: tuple[Any, ...] = (
    *INTEGERS,
    -(2**63),
    1.5,
    1e308,
    True,
    None,
    [],
    {},
    [[]],
    *TEXTS,
    "F32",
    "I64",
    "BF16",
    "F8_E4M3",
)
CELLS = ("", "nan", "inf", "-inf", "1e400", "1e308", "-0", "0x10", "1_000", '"', '""', "'", "\0", "é", "9" * 400,
         "True", "2020-01-01", "1+2j", " ", "1,2", "\r", "#", "NA", "a" * 999)  # fmt: skip


def anyhow(data: bytes, rng: random.Random) -> bytes:
    """Flips, cuts, insertions, repetitions, and numbers of all sizes where others were."""
    raw = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(raw) + 1)
        kind = rng.randrange(7)
        if kind == 0 and at < len(raw):
            raw[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(raw):
            raw[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 2:
            del raw[at : at + rng.choice((1, 2, 8, 100))]
        elif kind == 3:
            raw[at:at] = rng.randbytes(rng.choice((1, 2, 8, 100)))
        elif kind == 4:
            raw[at:at] = raw[at : at + rng.choice((4, 30, 300))]
        elif kind == 5:
            size = rng.choice((1, 2, 4, 8))
            raw[at : at + size] = (rng.choice(INTEGERS) % 256**size).to_bytes(size, rng.choice(("little", "big")))
        elif rng.random() < 0.2:
            del raw[at:]
    return bytes(raw)


def words(data: bytes, rng: random.Random) -> bytes:
    """Of a binary tree of offsets such as HDF5: numbers where numbers were, and offsets that others had."""
    raw = bytearray(data)
    small = [at for at in range(len(raw) - 8) if 0 < int.from_bytes(raw[at : at + 8], "little") < len(raw)]
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.choice(small) if small and rng.random() < 0.7 else rng.randrange(len(raw))
        other = rng.choice(small) if small else 0
        size = rng.choice((1, 2, 4, 8, 8))
        number = rng.choice(
            (rng.choice(INTEGERS), rng.randrange(len(raw)), int.from_bytes(raw[other : other + 8], "little"))
        )
        raw[at : at + size] = (number % 256**size).to_bytes(size, "little")
    return bytes(raw)


# ---- JSON


def json_value(value: Any, rng: random.Random) -> Any:
    """One node somewhere in it replaced, removed, doubled or wrapped."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        kind = rng.randrange(8)
        if kind == 0:
            return {k: v for k, v in value.items() if k != key}
        if kind == 1:
            return {(str(rng.choice(VALUES)) if k == key else k): v for k, v in value.items()}
        if kind == 2:
            return {**value, str(rng.choice(TEXTS)): value[key]}
        return {**value, key: json_value(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = rng.randrange(len(value))
        items = [json_value(value[at], rng)] * rng.choice((0, 1, 1, 1, 2, 70))
        return [*value[:at], *items, *value[at + 1 :]]
    if rng.random() < 0.1:
        for _ in range(rng.choice((1, 50, 400))):
            value = [value] if rng.random() < 0.5 else {"a": value}
        return value
    if isinstance(value, int) and rng.random() < 0.4:
        return value + rng.choice((-8, -4, -1, 1, 4, 8))
    return rng.choice(VALUES)


def json_text(data: bytes, rng: random.Random) -> bytes:
    """JSON whose nodes are mutated, now and then its text; also nested deeper than any stack."""
    if rng.random() < 0.02:
        deep = rng.choice((1000, 100_000))
        return (b'{"weight_map":' * deep) if rng.random() < 0.5 else b"[" * deep + b"]" * deep
    if rng.random() < 0.3:
        return anyhow(data, rng)
    value = json.loads(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        value = json_value(value, rng)
    return json.dumps(value).encode()


def safetensors(data: bytes, rng: random.Random) -> bytes:
    """Its header mutated and its length put right, mostly; its data cut or grown at times."""
    (size,) = struct.unpack("<Q", data[:8])
    header, body = json_text(data[8 : 8 + size], rng), data[8 + size :]
    if rng.random() < 0.1:
        body = anyhow(body, rng)
    length = rng.choice(INTEGERS) % 2**64 if rng.random() < 0.05 else len(header)
    return struct.pack("<Q", length) + header + body


def rows(data: bytes, rng: random.Random) -> bytes:
    """Stored rows, mutated, under a digest that is right."""
    value = json_value(json.loads(data)["rows"], rng)
    digest = hashlib.sha256(json.dumps(value).encode()).hexdigest()
    return json.dumps({"sha256": digest, "rows": value}).encode()


# ---- npy and zip


def npy(data: bytes, rng: random.Random) -> bytes:
    """Its header's text mutated, and its length put right."""
    size = int.from_bytes(data[8:10], "little")
    text, body = data[10 : 10 + size].decode("latin-1"), data[10 + size :]
    tokens = (
        "(",
        ")",
        ",",
        "'<f4'",
        "'|O'",
        "'>f8'",
        "'<U9'",
        "'V3'",
        "'<m8[s]'",
        "[('a','<f4')]",
        "True",
        "None",
        "-1",
        "1" * 30,
    )
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice((*tokens, *map(str, INTEGERS))) + text[at + rng.choice((0, 1, 3, 5)) :]
    if rng.random() < 0.02:
        text = "{'descr':" + "(" * rng.choice((50, 5000))
    raw = text.encode("latin-1", "replace")[:65535]
    return data[:8] + len(raw).to_bytes(2, "little") + raw + body


def zipped(member: Mutate) -> Mutate:
    """Of an archive: what is in it mutated under checksums that are right, or its records as they are."""

    def mutate(data: bytes, rng: random.Random) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
        chosen = rng.randrange(len(members))
        with zipfile.ZipFile(stream, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
            for place, (name, content) in enumerate(members):
                if place == chosen:
                    kind = rng.randrange(12)
                    if kind == 0:
                        continue
                    if kind == 1:
                        name = rng.choice(("../x.npy", "x", "/x.npy", "x" * 999, name.replace("/", "//"), "é.npy"))
                    elif kind == 2:
                        content += bytes(rng.choice((1, 100, 10**6)))
                    else:
                        content = member(content, rng) if content else rng.randbytes(9)
                archive.writestr(zipfile.ZipInfo(name), content, archive.compression)
        return stream.getvalue()

    return mutate


# ---- protobuf


def fields(data: bytes) -> list[tuple[int, bytes]] | None:
    """(tag, what follows it) of every field of a message, or None if it is none."""
    found, at = [], 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind, start = tag & 7, at
        if kind == 0:
            _, at = _varint(data, at)
        elif kind == 2:
            size, at = _varint(data, at)
            at += size
        else:
            at += {1: 8, 5: 4}.get(kind, len(data) + 1)
        if at > len(data) or not tag >> 3:
            return None
        found.append((tag, data[start:at]))
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 0x80:
            return value, at
    return 0, len(data) + 1


def as_varint(value: int) -> bytes:
    value %= 2**64
    raw = bytearray()
    while True:
        raw.append((value & 0x7F) | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(raw)


def protobuf(data: bytes, rng: random.Random) -> bytes:
    """A field somewhere in it mutated, removed, doubled or of another number; lengths put right on the way up."""
    found = fields(data)
    if not found or rng.random() < 0.1:
        return anyhow(data, rng)
    at = rng.randrange(len(found))
    tag, content = found[at]
    kind = rng.randrange(10)
    if kind == 0:
        found[at : at + 1] = []
    elif kind == 1:
        found[at : at + 1] = [found[at]] * rng.choice((2, 2, 50))
    elif kind == 2:
        found[at] = (rng.choice(found)[0] & ~7 | tag & 7, content)
    elif tag & 7 == 0:
        found[at] = (tag, as_varint(rng.choice((*INTEGERS, rng.randrange(24)))))
    elif tag & 7 == 2:
        _, start = _varint(content, 0)
        inner = protobuf(content[start:], rng)
        found[at] = (tag, as_varint(len(inner)) + inner)
    else:
        found[at] = (tag, rng.randbytes(len(content)))
    return b"".join(as_varint(tag) + content for tag, content in found)


# ---- messages and tables


def message(data: bytes, rng: random.Random) -> bytes:
    """A .mdl with a checksum that is right."""
    body = anyhow(data[9:], rng)
    if rng.random() < 0.5:  # what comes first is read last and last first: the header is at the end
        body = data[9 : -rng.randrange(1, 40)] + anyhow(data[-40:], rng)
    return data[:5] + zlib.crc32(body).to_bytes(4, "little") + body


def parts(data: bytes, rng: random.Random) -> bytes:
    """A .mdl in parts: its index mutated, or a part, cut, grown, doubled or left out; checksums right, mostly."""
    size = int.from_bytes(data[-12:-4], "little")
    body, index = data[5 : -12 - size], data[-12 - size : -12]
    if rng.random() < 0.5:
        index = anyhow(index, rng)
    else:
        opened = archive.Archive.open(io.BytesIO(data), 10**9)
        found = list(opened.parts)
        ends = list(itertools.accumulate((part.size for part in found), initial=0))
        contents = [body[start:stop] for start, stop in itertools.pairwise(ends)]
        at, kind = rng.randrange(len(found)), rng.randrange(6)
        if kind == 0:
            del found[at], contents[at]
        elif kind == 1:
            found.insert(at, found[at])
            contents.insert(at, contents[at])
        elif kind == 2:
            found[at] = found[at]._replace(entries=max(0, found[at].entries + rng.choice((-1, 1, 2**20, 10**12))))
        else:
            contents[at] = anyhow(contents[at], rng)
            if rng.random() < 0.9:
                found[at] = archive.Part.of(found[at].entries, contents[at])
        return data[:5] + b"".join(contents) + archive.index_bytes(opened.shapes, found)
    return data[:5] + body + index + len(index).to_bytes(8, "little") + zlib.crc32(index).to_bytes(4, "little")


def table(data: bytes, rng: random.Random) -> bytes:
    """A CSV, some of whose cells are others."""
    rows = [line.split(",") for line in data.decode().splitlines()]
    for _ in range(rng.choice((1, 1, 2, 5))):
        row = rng.choice(rows)
        at = rng.randrange(len(row))
        kind = rng.randrange(6)
        if kind == 0:
            row.insert(at, rng.choice(CELLS))
        elif kind == 1 and len(row) > 1:
            del row[at]
        elif kind == 2:
            rows[:] = [[*line[:at], rng.choice(CELLS), *line[at + 1 :]] for line in rows]
        elif kind == 3:
            rows[:] = rows * 2 if len(rows) < 200 else rows[:5]
        else:
            row[at] = rng.choice(CELLS)
    return "\n".join(",".join(row) for row in rows).encode()


def one_of(*mutations: Mutate) -> Mutate:
    """Each as often; one that cannot parse what an earlier one made leaves it to ``anyhow``."""

    def mutate(data: bytes, rng: random.Random) -> bytes:
        with contextlib.suppress(Exception):
            return rng.choice(mutations)(data, rng)
        return anyhow(data, rng)

    return mutate


def several(mutate: Mutate, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """A seed, mutated once or a few times, or two of them spliced."""
    data = rng.choice(seeds)
    if rng.random() < 0.03:
        other = rng.choice(seeds)
        return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = mutate(data, rng)[:_LONGEST]
    return data
