"""The plan of a prequential code: blocks, classes or precision, order; in bits, for a file.

It is what a writer and a reader agree on before the first target is known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.codes.coder import Coder, Symbols
from mdl.codes.describe import Described, fixed_bits, read_text, text_bits
from mdl.codes.numbers import integer_bits, natural_bits, read_integer, read_natural, read_real, real_bits
from mdl.errors import DataError, MessageError
from mdl.length import HEADER
from mdl.likelihoods import Gaussian
from mdl.models import Model, to_indices

#: The blocks of Voita and Titov (2020), as fractions of the examples.
FRACTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)


def doubling(n: int, first: int = 8) -> tuple[int, ...]:
    """Ends of blocks that double: first, 2 first, 4 first, ..., n; about log2(n / first) trainings.

    Parameters
    ----------
    n
        Examples, >= 1.
    first
        Size of the first block, >= 1, which is coded without a model.

    Raises
    ------
    DataError
        If either is less than 1.

    Examples
    --------
    >>> doubling(100)
    (8, 16, 32, 64, 100)

    References
    ----------
    L. Blier and Y. Ollivier, The description length of deep learning models, NeurIPS (2018).
    """
    if n < 1 or first < 1:
        raise DataError(f"blocks: expected at least one example and a first block of at least one, got {n} and {first}")
    sizes = (first << k for k in range(n.bit_length()))
    return (*(size for size in sizes if size < n), n)


def block_ends(n: int, blocks: Sequence[float] | None = None) -> tuple[int, ...]:
    """Ends of blocks as whole numbers: given so, given as fractions of n up to 1.0, or by default doubling.

    Fractions are rounded to the nearest example; blocks without an example are left out.

    Raises
    ------
    DataError
        If the ends do not grow from at least 1 to n.

    Examples
    --------
    >>> block_ends(1000, FRACTIONS)
    (1, 2, 4, 8, 16, 32, 62, 125, 250, 500, 1000)
    """
    if blocks is None:
        return doubling(n)
    ends = [float(end) for end in blocks]
    if ends and ends[-1] == 1.0 and n > 1:
        if not (sorted(ends) == ends and ends[0] > 0.0):
            raise DataError(f"blocks: expected fractions that grow from above 0 to 1, got {ends}")
        return tuple(dict.fromkeys(max(1, round(n * end)) for end in ends))
    whole = [int(end) for end in ends if math.isfinite(end)]
    if whole != ends or not ends or sorted(set(whole)) != whole or whole[0] < 1 or whole[-1] != n:
        raise DataError(f"blocks: expected ends that grow from at least 1 to n = {n}, or fractions to 1.0, got {ends}")
    return tuple(whole)


def _raw_order(count: int, seed: int, stream: int) -> NDArray[np.int64]:
    """A random order from raw words of Philox, which no version of numpy changes."""
    words = np.random.Philox(key=np.array([seed, stream], np.uint64)).random_raw(count)
    return np.argsort(words, kind="stable")


def _distinct(labels: NDArray[Any]) -> tuple[Any, ...]:
    try:
        return tuple(np.unique(labels).tolist())
    except TypeError as error:
        raise DataError(f"classes: expected labels of one kind, numbers or texts: {error}") from error


@dataclass(frozen=True)
class Plan:
    """What a writer and a reader agree on before the first target.

    Parameters
    ----------
    ends
        Where blocks end, ascending; the last is the number of examples.
    classes
        Labels in ascending order, at least two; None for numbers.
    precision
        Numbers are its multiples; None for labels.
    lo, hi
        Least and greatest symbol: class index, or multiple of the precision.
    seed
        Of a random order of the examples, 0 to 2^62; None keeps the given order.
    calibrate
        Whether classes are forecast at a temperature fitted to the forecasts before.
    replay
        Earlier examples that a callable is given again for each new one; None gives it all.
    """

    ends: tuple[int, ...]
    classes: tuple[Any, ...] | None
    precision: float | None
    lo: int
    hi: int
    seed: int | None = None
    calibrate: bool = False
    replay: float | None = None

    def __post_init__(self) -> None:
        labels = None if self.classes is None else np.asarray(self.classes)
        if labels is not None:
            kinds = labels.ndim == 1 and labels.dtype.kind in "iubUf"
            if not kinds or not 2 <= labels.size <= 2**16 or not np.array_equal(np.unique(labels), labels):
                raise DataError(f"classes: expected 2 to 65536 ascending numbers or texts, got {self.classes!r:.80}")
        if self.seed is not None and not 0 <= self.seed <= 2**62:
            raise DataError(f"seed: expected a whole number from 0 to 2^62, got {self.seed}")
        if self.replay is not None and not 0.0 <= self.replay < math.inf:
            raise DataError(f"replay: expected a number of examples >= 0, got {self.replay}")

    @classmethod
    def of(
        cls,
        y: ArrayLike,
        *,
        blocks: Sequence[float] | None = None,
        classes: Iterable[Any] | None = None,
        precision: float | None = None,
        seed: int | None = None,
        calibrate: bool = False,
        replay: float | None = None,
    ) -> Self:
        """For these targets: labels, or if a precision is given, numbers."""
        targets = np.asarray(y)
        if targets.ndim != 1 or not targets.size:
            raise DataError(f"y: expected (n,) targets, at least one, got shape {targets.shape}")
        ends = block_ends(targets.size, blocks)
        if precision is None:
            known = _distinct(targets if classes is None else np.asarray(list(classes)))
            return cls(ends, known, None, 0, len(known) - 1, seed, calibrate, replay)
        if classes is not None:
            raise DataError("expected classes (for labels) or a precision (for numbers), got both")
        symbols = Gaussian(precision).to_symbols(targets)
        return cls(ends, None, float(precision), int(symbols.min()), int(symbols.max()), seed, calibrate, replay)

    @property
    def n(self) -> int:
        """Number of examples."""
        return self.ends[-1]

    @property
    def blocks(self) -> list[slice]:
        """Examples of each block, in coding order."""
        return [slice(a, b) for a, b in zip((0, *self.ends), self.ends, strict=False)]

    def order(self) -> NDArray[np.int64]:
        """Which example is coded first, second, ...; (n,)."""
        return np.arange(self.n) if self.seed is None else _raw_order(self.n, self.seed, 0)

    def sample(self, count: int, of: int) -> NDArray[np.int64]:
        """``count`` of the first ``of`` examples at random, ascending."""
        return np.sort(_raw_order(of, self.seed or 0, of)[:count])

    def to_symbols(self, y: ArrayLike) -> Symbols:
        """Targets as integers lo..hi, (n,)."""
        if self.precision is not None:
            return Gaussian(self.precision).to_symbols(y)
        return to_indices(cast(Model, self), y).astype(np.int32)  # all that it asks for is ``classes``

    def from_symbols(self, symbols: Symbols) -> NDArray[Any]:
        """The targets that a reader sees, and hence those that the writer's learner is given too."""
        return np.array(self.classes)[symbols] if self.precision is None else symbols * self.precision

    def description(self) -> Described:
        """``(part, bits)`` in reading order; see :mod:`mdl.lengths.prequential.file`."""
        if self.precision is None:
            kind: Described = [(HEADER, fixed_bits(1, 1)), (HEADER, text_bits(json.dumps(list(self.classes or ()))))]
        else:
            support = np.concatenate([integer_bits(self.lo), natural_bits(self.hi - self.lo)])
            kind = [(HEADER, fixed_bits(0, 1)), ("likelihood", real_bits(self.precision)), ("support", support)]
        sizes = [natural_bits(block.stop - block.start) for block in self.blocks]
        replay = [] if self.replay is None else [(HEADER, real_bits(self.replay))]
        seed = [] if self.seed is None else [(HEADER, natural_bits(self.seed))]
        flags = (self.calibrate, self.replay is not None, self.seed is not None)
        return [
            *kind,
            (HEADER, np.concatenate([natural_bits(len(sizes)), *sizes])),
            (HEADER, np.array(flags, np.uint8)),
            *replay,
            *seed,
        ]

    @classmethod
    def read(cls, coder: Coder, n: int) -> Plan:
        """Read what ``description`` wrote for n examples; MessageError if it is no such plan."""
        classes, precision, lo, hi = None, None, 0, 0
        try:
            if coder.pop_bits(1)[0]:
                classes = tuple(json.loads(read_text(coder)))
                hi = len(classes) - 1
            else:
                precision, lo = read_real(coder), read_integer(coder)
                hi = lo + read_natural(coder)
                Gaussian(precision).to_symbols(np.array([lo, hi]) * precision)
            ends = cls._read_ends(coder, n)
            calibrate, replayed, shuffled = (bool(bit) for bit in coder.pop_bits(3))
            replay = read_real(coder) if replayed else None
            seed = read_natural(coder) if shuffled else None
            return cls(ends, classes, precision, lo, hi, seed, calibrate, replay)
        except MessageError:
            raise
        except (ValueError, TypeError, RecursionError, OverflowError) as error:
            raise MessageError(f"the message describes no plan: {error}") from error

    @staticmethod
    def _read_ends(coder: Coder, n: int) -> tuple[int, ...]:
        count = read_natural(coder)
        sizes = [read_natural(coder) for _ in range(count)] if count <= n else []
        if sum(sizes) != n or 0 in sizes:
            raise DataError(f"X: expected as many rows as the message has targets, got {n}")
        return tuple(int(end) for end in np.cumsum(sizes))
