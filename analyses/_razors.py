"""Codes of one alphabet, all with Kraft sum one, each with its own order; what turns one into another."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special

from mdl.codes.describe import describe
from mdl.codes.discretized import Discretized
from mdl.codes.integers import EliasDelta, LogStar, Rational, Signed
from mdl.length import LN2
from mdl.masses import Array
from mdl.priors import Gaussian, Hashed
from mdl.quantize import UniformGrid

STEP_OCTAVES = 4  # the step is 2^-4
GRID = UniformGrid(2.0**-STEP_OCTAVES)
REACH = 16 << STEP_OCTAVES  # symbols go from -256 to 256, weights from -16 to 16
SYMBOLS = np.arange(-REACH, REACH + 1)
SALTS = 10  # of each hashed code on each split
SCALES = (0.25, 1.0, 4.0)  # of the Gaussian whose masses are dealt out
SCALE = 1.0  # the one that is meant where none is named: a unit of a standardised input moves a logit by about one
TOLD = tuple(2.0**k for k in range(-4, 5))  # scales of which a model's best is told


def gaussian(scale: float = SCALE) -> Array:
    """Bits of every symbol."""
    return _bits(Discretized(Gaussian(scale), GRID, -REACH, REACH).log_masses)


def hashed(salt: int, scale: float = SCALE) -> Array:
    """Bits of every symbol, the Gaussian's masses dealt out by SHA-256."""
    return _bits(Discretized(Hashed(Gaussian(scale), salt), GRID, -REACH, REACH).log_masses)


def reversed_order(bits: Array) -> Array:
    """The same lengths in the opposite order: the longest where they were the shortest."""
    dealt_out = np.empty_like(bits)
    dealt_out[np.argsort(bits, kind="stable")] = np.sort(bits)[::-1]
    return dealt_out


def uniform() -> Array:
    """Bits of every symbol, all the same: only the data tell models with equally many weights apart."""
    return np.full(SYMBOLS.size, np.log2(SYMBOLS.size))


def universal() -> dict[str, Array]:
    """Bits of every symbol under universal codes of the integers, given that it lies in the alphabet."""
    codes = {
        "Elias delta": Signed(EliasDelta()),
        "log*": Signed(LogStar()),
        "rational": Rational(1 << STEP_OCTAVES),
    }
    return {name: _bits(-code.nats(SYMBOLS)) for name, code in codes.items()}


@functools.cache
def codes() -> dict[str, Array]:
    """Bits of every symbol under each code with one order; hashed ones have a salt as well."""
    return {
        **{f"Gaussian {scale:g}": gaussian(scale) for scale in SCALES},
        **universal(),
        "uniform": uniform(),
        **{f"reversed {scale:g}": reversed_order(gaussian(scale)) for scale in SCALES},
    }


def salts(seed: int) -> range:
    """Those of a split; no two splits have one in common, so that they differ as other orders would."""
    return range(SALTS * seed, SALTS * (seed + 1))


def salted(seed: int) -> dict[str, list[Array]]:
    """Bits of every symbol under hashed codes, one for each salt."""
    return {f"hashed {scale:g}": [hashed(salt, scale) for salt in salts(seed)] for scale in SCALES}


def told(seed: int) -> dict[str, list[list[Array]]]:
    """Codes of which a model takes its shortest and says which: for each salt, a table for each scale."""
    return {
        "Gaussian, scale told": [[gaussian(scale) for scale in TOLD]],
        "hashed, scale told": [[hashed(salt, scale) for scale in TOLD] for salt in salts(seed)],
        "reversed, scale told": [[reversed_order(gaussian(scale)) for scale in TOLD]],
    }


def kraft(bits: Array) -> float:
    """The sum of two to the minus length."""
    return float(np.exp2(-bits).sum())


def _bits(log_masses: Array) -> Array:
    """Renormalised to the alphabet, which both ends know."""
    return -(log_masses - special.logsumexp(log_masses)) / LN2


def dealt(masses: Sequence[float], edges: Sequence[bytes], salt: int, digest: Callable[[bytes], bytes]) -> list[float]:
    """The masses, the largest to the cell whose edges have the least digest: what turns a code into a hashed one."""
    prefix = salt.to_bytes(8, "little", signed=True)
    order = sorted(range(len(masses)), key=lambda i: digest(prefix + edges[i]))
    found = [0.0] * len(masses)
    for i, mass in zip(order, sorted(masses, reverse=True), strict=True):
        found[i] = mass
    return found


def turned(masses: Sequence[float]) -> list[float]:
    """The masses in the opposite order: what turns a code into the reversed one."""
    found = [0.0] * len(masses)
    for i, mass in zip(sorted(range(len(masses)), key=masses.__getitem__), sorted(masses, reverse=True), strict=True):
        found[i] = mass
    return found


def rotated(word: int, places: int) -> int:
    """A word of 32 bits, turned to the right."""
    return (word >> places | word << 32 - places) % 2**32


def sha256(message: bytes) -> bytes:
    """SHA-256 spelled out (FIPS 180-4), for a language that has none."""
    primes = [p for p in range(2, 312) if all(p % q for q in range(2, p))]
    constants = [int(p ** (1 / 3) % 1 * 2**32) for p in primes]
    state = [int(p**0.5 % 1 * 2**32) for p in primes[:8]]
    message += b"\x80" + bytes(-(len(message) + 9) % 64) + (8 * len(message)).to_bytes(8, "big")
    for start in range(0, len(message), 64):
        words = [int.from_bytes(message[i : i + 4], "big") for i in range(start, start + 64, 4)]
        for t in range(16, 64):
            x, y = words[t - 15], words[t - 2]
            low = rotated(x, 7) ^ rotated(x, 18) ^ x >> 3
            high = rotated(y, 17) ^ rotated(y, 19) ^ y >> 10
            words.append((words[t - 16] + low + words[t - 7] + high) % 2**32)
        a, b, c, d, e, f, g, h = state
        for word, constant in zip(words, constants, strict=True):
            one = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + (e & f ^ ~e & g) + constant + word
            two = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + (a & b ^ a & c ^ b & c)
            a, b, c, d, e, f, g, h = (one + two) % 2**32, a, b, c, (d + one) % 2**32, e, f, g
        state = [(x + y) % 2**32 for x, y in zip(state, (a, b, c, d, e, f, g, h), strict=True)]
    return b"".join(word.to_bytes(4, "big") for word in state)


def constants() -> dict[str, float]:
    """Bits that turn the Gaussian code into another, each an upper bound on the constant between two languages.

    A tag and a salt where both ends have this library; else the program's text, deflated, in a language with SHA-256,
    in one without, and for the reversed order.
    """
    priors = Hashed(Gaussian(SCALE), SALTS - 1), Gaussian(SCALE)
    told_bits = [sum(bits.size for _, bits in describe(prior)) for prior in priors]
    return {
        "tag and salt": float(told_bits[0] - told_bits[1]),
        "program, reversed": deflated_bits(turned),
        "program, SHA-256 given": deflated_bits(dealt),
        "program, SHA-256 spelled out": deflated_bits(dealt, rotated, sha256),
    }


def deflated_bits(*functions: Callable[..., object]) -> float:
    """Size of the functions' text without comments, docstrings and annotations of types."""
    text = "\n".join(_bare(function) for function in functions)
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    return 8.0 * len(squeezed.compress(text.encode()) + squeezed.flush())


def _bare(function: Callable[..., object]) -> str:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    if not isinstance(tree, ast.FunctionDef):
        raise TypeError(f"expected a function, got {function!r}")
    tree.body, tree.returns = tree.body[1:], None
    for argument in tree.args.args:
        argument.annotation = None
    return ast.unparse(tree)
