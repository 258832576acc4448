"""Hostile messages: refused with MessageError or harmless, each within a second and 100 MB, in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mdl import likelihoods, models, priors, quantize
from mdl.codes import adaptive, message
from mdl.codes.coder import Coder
from mdl.codes.contextual import ContextualMatrix
from mdl.codes.describe import FAMILIES, describe, fixed_bits, text_bits
from mdl.codes.discretized import Discretized
from mdl.codes.message import DTYPES, MAGIC, DataPart, parse, write
from mdl.codes.numbers import integer_bits, natural_bits
from mdl.codes.scaled import ScaledMatrix
from mdl.codes.scheme import INTEGER_CODING, Coding, Scheme
from mdl.errors import MdlError, MessageError
from mdl.quantize import UniformGrid
from mdl.trellis import Trellis
from mdl.weights import Weights

ROOT = Path(__file__).parents[2]
SECONDS, MEGABYTES = 1.0, 100.0
HARMLESS = "harmless"
N = 40
X = np.random.default_rng(43).normal(0.0, 1.0, (N, 5))

# --- the process that reads -------------------------------------------------------------------------------------------


def predict(architecture: str, tensors: Any) -> Any:
    return models.from_architecture(architecture, tensors, likelihoods.Bernoulli()).predict(X)


def judge(data: bytes) -> tuple[str, float, float]:
    """What reading comes to, seconds, and megabytes at the peak."""
    tracemalloc.start()
    start = time.process_time()
    try:
        Weights(parse(data, predict).tensors)
        verdict = HARMLESS
    except MessageError:
        verdict = MessageError.__name__
    except Exception as error:
        verdict = f"{type(error).__name__}: {error}"
    seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return verdict, seconds, peak / 1e6


def worker() -> None:
    """One verdict for each line of hexadecimal digits; last, how much the process has grown, MB."""
    judge(message.write({}, Scheme({}))[0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for line in sys.stdin:
        print(json.dumps(judge(bytes.fromhex(line))), flush=True)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps(grown / 1e6))


def judged(messages: Iterable[bytes]) -> list[tuple[str, float, float]]:
    """Verdicts of a process that takes warnings for errors."""
    messages = list(messages)
    code = "from tests.codes.test_hostile import worker; worker()"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        input="\n".join(m.hex() for m in messages),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *verdicts, grown = map(json.loads, done.stdout.splitlines())
    assert len(verdicts) == len(messages)
    assert grown < MEGABYTES
    return verdicts


def framed(body: bytes) -> bytes:
    return MAGIC + b"\1" + zlib.crc32(body).to_bytes(4, "little") + body


# --- corruptions ------------------------------------------------------------------------------------------------------


def whole() -> list[bytes]:
    """Messages of several codes, with and without labels."""
    rng = np.random.default_rng(41)
    grid, wide = UniformGrid(2.0**-4), UniformGrid(2.0**-16)
    tensors = {
        "layers.0.weight": rng.normal(0.0, 0.5, (5, 1)),
        "layers.0.bias": rng.normal(0.0, 0.5, 1).astype(np.float32),
    }
    more = {"a": rng.normal(0.0, 1.0, (9, 8)), "b": rng.normal(0.0, 1.0, 60), "n": rng.integers(-9, 9, 30)}
    small = Scheme({name: Coding(grid, Discretized(priors.Laplace(0.5), grid, -40, 40)) for name in tensors})
    large = Scheme(
        {
            "a": Coding(wide, Discretized(priors.StudentT(0.5, 0.0, 3.0), wide, -(2**20), 2**20)),
            "b": Coding(grid, adaptive.TwoLevel(adaptive.KT(-99, 99))),
            "n": INTEGER_CODING,
        }
    )
    logits = models.FeedForward(Weights(small.quantized(tensors)), likelihoods.Bernoulli()).predict(X)
    labels = DataPart("feedforward identity", likelihoods.Bernoulli(), logits, (logits > 0.3).astype(np.int32))
    return [write(tensors, small, labels)[0], write(more, large)[0]]


def corrupted(count: int) -> list[bytes]:
    """Bit flips, cuts, insertions, and splices of two messages, a quarter each; never a whole message."""
    rng = np.random.default_rng(42)
    originals, found = whole(), []
    while len(found) < count:
        data, other = (bytearray(originals[k]) for k in rng.permutation(2))
        at, to = sorted(rng.integers(0, len(data), 2).tolist())
        kind = len(found) % 4
        if kind == 0:
            for bit in rng.integers(0, 8 * len(data), rng.integers(1, 5)).tolist():
                data[bit // 8] ^= 1 << bit % 8
        elif kind == 1:
            del data[at : max(to, at + 1) if rng.random() < 0.5 else len(data)]
        elif kind == 2:
            data[at:at] = rng.bytes(int(rng.integers(1, 9)))
        else:
            data[at:] = other[int(rng.integers(0, len(other))) :]
        if bytes(data) not in originals:
            found.append(bytes(data))
    return found


CORRUPTED = corrupted(300)


@pytest.mark.parametrize(
    ("messages", "allowed"),
    [
        (CORRUPTED, {MessageError.__name__}),
        ([framed(data[9:]) for data in CORRUPTED], {MessageError.__name__, HARMLESS}),
        ([framed(data[9:cut]) for data in whole() for cut in range(9, len(data), 3)], {MessageError.__name__}),
    ],
    ids=["as they are", "with a checksum that is right", "cut, with a checksum that is right"],
)
def test_corruptions_are_refused_quickly(messages: list[bytes], allowed: set[str]) -> None:
    verdicts = judged(messages)
    assert {verdict for verdict, _, _ in verdicts} <= allowed
    assert max(seconds for _, seconds, _ in verdicts) < SECONDS
    assert max(peak for _, _, peak in verdicts) < MEGABYTES


def test_the_judge_accepts_whole_messages() -> None:
    """A worker that refused everything would pass the other tests."""
    assert {verdict for verdict, _, _ in judged(whole())} == {HARMLESS}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93MDL",
        b"\x93MDL\2" + framed(b"\0")[5:],
        b"PK\3\4" + bytes(20),
        framed(b""),
        framed(b"\xff" * 20),
        framed(b"\0"),
    ],
    ids=["nothing", "cut", "version 2", "a zip file", "no body", "an endless length", "no bits"],
)
def test_foreign_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        parse(data)


# --- headers made by hand ---------------------------------------------------------------------------------------------

GRID = UniformGrid(2.0**-4)
FLOAT64, FLOAT16, INT64 = (DTYPES.index(np.dtype(kind)) for kind in (np.float64, np.float16, np.int64))
NARROW = Coding(GRID, Discretized(priors.Gaussian(1.0), GRID, -2, 2))
CONSTANT = Coding(GRID, Discretized(priors.Gaussian(1.0), GRID, 0, 0))
TRELLIS_CONSTANT = Discretized(priors.Gaussian(1.0), Trellis(1.0, 256), 0, 0)
SLOW = priors.Mixture(32, (1.0,) * 32, tuple(np.linspace(-1.0, 1.0, 32).tolist()), (2.0,) * 32)


def tag(family: type) -> Any:
    return next(natural_bits(families.index(family)) for families in FAMILIES.values() if family in families)


def header(shape: Iterable[int], dtype: int = FLOAT64, name: Any = None, tensors: int = 1, data: int = 0) -> list[Any]:
    extents = list(shape)
    name = text_bits("w") if name is None else name
    return [
        fixed_bits(data, 1),
        natural_bits(tensors),
        name,
        fixed_bits(dtype, 4),
        *map(natural_bits, [len(extents), *extents]),
        fixed_bits(0, 32),
    ]


def told(coding: Coding) -> list[Any]:
    return [bits for _, bits in Scheme({"w": coding}).description()]


def forged(*chunks: list[Any], tail: bytes = b"") -> bytes:
    coder = Coder()
    coder.push_bits(np.concatenate([bits for chunk in chunks for bits in chunk]))
    return framed(coder.to_bytes() + tail)


def coded(prior: Any, lo: int, hi: int, quantizer: Any = GRID) -> list[Any]:
    return told(Coding(quantizer, Discretized(prior, quantizer, lo, hi)))


def labels(likelihood: Any, count: int, lo: int, hi: int) -> list[Any]:
    about = [text_bits("feedforward identity"), *(bits for _, bits in describe(likelihood))]
    return [*about, natural_bits(count), integer_bits(lo), natural_bits(hi - lo), fixed_bits(0, 32)]


def scales(lo: int, span: int) -> list[Any]:
    """The exponents of one axis of a scaled matrix, as far apart as may be told."""
    return [integer_bits(lo), *map(natural_bits, (span, 0, 15, span // 2))]


def scaled_matrix(reach: int) -> Coding:
    return Coding(GRID, ScaledMatrix(priors.StudentT(1.0, 0.0, 1.5), GRID, reach, 1000))


NEW = [natural_bits(0), natural_bits(0)]  # a new coding, a new quantizer
NOISE = np.random.default_rng(44).bytes(60) + b"\1"

HOSTILE: dict[str, bytes] = {
    "10^12 weights": forged(header([10**12]), told(CONSTANT)),
    "2^60 by 2^60 by 2^60": forged(header([2**60] * 3), told(CONSTANT)),
    "all weights that are allowed": forged(header([1 << 21]), told(CONSTANT)),
    "as many on a wide alphabet": forged(
        header([1 << 21]), coded(priors.Gaussian(99.0), -(2**15), 2**15 - 1), tail=NOISE
    ),
    "as many by counts": forged(header([1 << 21]), told(Coding(GRID, adaptive.KT(-(2**15), 2**15 - 1))), tail=NOISE),
    "as many zeros and others": forged(header([1 << 21]), told(Coding(GRID, adaptive.TwoLevel(adaptive.KT(0, 9))))),
    "as many by codewords": forged(header([1 << 21], INT64), told(INTEGER_CODING)),
    "no weights, huge extents": forged(header([0, 2**40, 2**40]), told(CONSTANT)),
    "no weights, large extents": forged(header([0, 2**21, 2**21]), told(CONSTANT)),
    "2^60 dimensions": forged(header([])[:4], [natural_bits(2**60)], told(CONSTANT)),
    "33 dimensions": forged(header([1] * 33), told(CONSTANT)),
    "2^60 tensors": forged(header([1], tensors=2**60), told(CONSTANT)),
    "a name of a gigabyte": forged(header([1], name=natural_bits(10**9)), told(CONSTANT)),
    "a name that is not UTF-8": forged(header([1], name=np.concatenate([natural_bits(1), fixed_bits(255, 8)]))),
    "no name": forged(header([1], name=text_bits("")), told(CONSTANT)),
    "a NUL in a name": forged(header([1], name=text_bits("a\0")), told(CONSTANT)),
    "no such dtype": forged(header([1], dtype=15), told(CONSTANT)),
    "priors 100 deep": forged(header([1]), told(CONSTANT)[:-3], [tag(priors.Hashed)] * 100),
    "a codebook of 10^9 levels": forged(
        header([1]), NEW, [tag(quantize.Codebook), natural_bits(10**9), fixed_bits(0, 99)]
    ),
    "a quantizer for integers": forged(header([1], INT64), told(CONSTANT)),
    "no quantizer for floats": forged(header([1]), told(INTEGER_CODING), [np.ones(9, np.uint8)]),
    "a prior without a quantizer": forged(
        header([1]), [natural_bits(0), natural_bits(1), tag(Discretized), fixed_bits(0, 60)]
    ),
    "a coding that never came": forged(header([1]), [natural_bits(7), fixed_bits(0, 60)]),
    "steps beyond doubles": forged(
        header([9]), coded(priors.Gaussian(1.0), 2**31 - 9, 2**31 - 1, UniformGrid(1e300)), tail=NOISE
    ),
    "weights beyond float16": forged(
        header([9], FLOAT16), coded(priors.Gaussian(1e9), -9, 9, UniformGrid(1e6)), tail=NOISE
    ),
    "a scale near 0": forged(header([9]), coded(priors.Gaussian(1e-300), -9, 9), tail=NOISE),
    "a scale near infinity": forged(header([9]), coded(priors.Gaussian(1e300, loc=-1e308), -9, 9), tail=NOISE),
    "symbols that float8 lacks": forged(
        header([9]), coded(priors.Gaussian(1.0), 0, 9999, quantize.FloatFormat("float8_e5m2"))
    ),
    "an alphabet of 2^32 under 32 components": forged(  # a table of 2^16 levels for each weight
        header([10]), coded(SLOW, -(2**31), 2**31 - 1, UniformGrid(1e-9)), tail=NOISE[:20] + b"\1"
    ),
    "as many scales as there can be": forged(
        header([300, 1000]), told(scaled_matrix(13)), scales(-100, 200), scales(-100, 200), tail=NOISE * 60
    ),
    "scales as large tables as may be": forged(
        header([300, 1000]), told(scaled_matrix(11)), scales(-15, 30), scales(-15, 30), tail=NOISE * 60
    ),
    "as many rows in contexts as there can be": forged(
        header([1 << 12, 1]), told(Coding(GRID, ContextualMatrix(127, 1, 28))), tail=NOISE * 60
    ),
    "rows in contexts beyond that": forged(header([1 << 21]), told(Coding(GRID, ContextualMatrix(1, 9, 0)))),
    "all weights on a trellis": forged(header([1 << 21]), told(Coding(Trellis(1.0, 256), TRELLIS_CONSTANT))),
    "an alphabet of 2^32 in a heavy tail": forged(
        header([1 << 20]), coded(priors.StudentT(1e-9, 0.0, 1.5), -(2**31), 2**31 - 1), tail=NOISE
    ),
    "10^12 labels": forged(header([1], data=1), told(CONSTANT), labels(likelihoods.Bernoulli(), 10**12, 0, 1)),
    "labels of classes that are not": forged(
        header([1], data=1), told(CONSTANT), labels(likelihoods.Categorical(3), N, 0, 9**9)
    ),
    "labels beyond 32 bits": forged(
        header([1], data=1), told(CONSTANT), labels(likelihoods.Gaussian(1.0, 1.0), N, 0, 2**40)
    ),
    "a likelihood that is a prior": forged(header([1], data=1), told(CONSTANT), [text_bits(""), tag(priors.Gaussian)]),
}


@pytest.fixture(scope="module")
def verdicts() -> dict[str, tuple[str, float, float]]:
    return dict(zip(HOSTILE, judged(HOSTILE.values()), strict=True))


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_headers_are_refused_quickly(verdicts: Any, case: str) -> None:
    verdict, seconds, megabytes = verdicts[case]
    assert verdict == MessageError.__name__
    assert seconds < SECONDS
    assert megabytes < MEGABYTES


def test_damage_is_found_before_anything_is_made() -> None:
    """PlatformError is kept for messages whose checksum is right."""
    data = bytearray(whole()[0])
    data[-1] ^= 1
    with pytest.raises(MdlError, match="damaged or cut"):
        parse(bytes(data))
