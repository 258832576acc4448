r"""The realised prequential code: a file of targets, which another process decodes by training on those decoded so far.

The file, byte by byte: ``\x93MDP``, version 1, the CRC-32 of what follows (little-endian), and what
:meth:`mdl.codes.coder.Coder.to_bytes` makes of its two lanes. The bit lane holds the plan:

- 1 and the labels, a JSON list as a text; or 0, the precision as a real, the least symbol as an integer and the span
  as a natural;
- the number of blocks and the size of each, naturals;
- three bits: calibrated, replayed, shuffled; then the replay as a real and the seed as a natural, where they are.

The entropy lane holds the blocks, the first to be read first: each as :class:`mdl.codes.labels.Labels` under the
forecast from the blocks before it. Below them all lies the fingerprint, the sum of the CRC-32s of all tables, as the
``bottom`` of the :class:`mdl.codes.coder.Coder`. The learner is not in the file: a reader must have it, and X.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.codes.coder import Coder, Symbols
from mdl.codes.labels import Labels
from mdl.errors import MessageError, PlatformError
from mdl.length import HEADER, CodeLength
from mdl.lengths.prequential.code import DATA, FIRST, shown
from mdl.lengths.prequential.learner import Learner, Online
from mdl.lengths.prequential.plan import Plan
from mdl.models import checked_inputs

MAGIC = b"\x93MDP"
VERSION = 1
_FRAME = len(MAGIC) + 1 + 4


def encode_prequential(
    learner: Learner, X: ArrayLike, y: ArrayLike, *, start: Any = None, progress: bool = False, **plan: Any
) -> bytes:
    """The targets as a file, block by block under the learner's forecasts; ``decode_prequential`` reads it.

    Parameters
    ----------
    learner, X, y, start, progress
        As :func:`prequential` has them. The learner must do the same thing whenever it is trained on the same data.
    plan
        ``blocks``, ``classes``, ``precision``, ``seed``, ``calibrate``, ``replay``, as there; they are in the file.

    Returns
    -------
    bytes
        At most 64 bits and 0.02 % more than the ideal length, and the header: what both sides share.

    Raises
    ------
    DataError, MdlError
        As :func:`prequential` does.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> X = np.linspace(-1, 1, 64)[:, None]
    >>> y = np.where(X[:, 0] > 0, "right", "left")
    >>> data = encode_prequential(LogisticRegression(), X, y, seed=0)
    >>> bool((decode_prequential(data, LogisticRegression(), X) == y).all())
    True
    """
    return write_prequential(learner, X, y, start=start, progress=progress, **plan)[0]


def write_prequential(
    learner: Learner, X: ArrayLike, y: ArrayLike, *, start: Any = None, progress: bool = False, **plan: Any
) -> tuple[bytes, CodeLength]:
    """What ``encode_prequential`` gives, and its size part by part; the parts add up to exactly the bytes written."""
    agreed = Plan.of(y, **plan)
    online = Online(learner, agreed, X, start)
    symbols = agreed.to_symbols(y)[agreed.order()]
    codes: list[tuple[Labels, Symbols]] = []
    for block in shown(agreed.blocks, progress):
        codes.append((online.forecast(block).labels(agreed), symbols[block]))
        online.reveal(symbols[block])
    coder = Coder()
    _push(coder, codes)
    coder = Coder(bottom=coder.fingerprint)
    sizes = _push(coder, codes)
    described = agreed.description()
    coder.push_bits(np.concatenate([bits for _, bits in described]))
    body = coder.to_bytes()
    data = MAGIC + bytes([VERSION]) + zlib.crc32(body).to_bytes(4, "little") + body
    parts = [(name, float(bits.size)) for name, bits in described]
    parts += [(FIRST if start is None else DATA, sizes[0]), (DATA, math.fsum(sizes[1:]))]
    rest = 8 * len(data) - math.fsum(bits for _, bits in parts)
    return data, CodeLength.from_bits([*parts, (HEADER, rest)], realised=True)


def _push(coder: Coder, codes: list[tuple[Labels, Symbols]]) -> list[float]:
    """Bits of each block; the first is pushed last, to be read first."""
    sizes = []
    for code, symbols in codes[::-1]:
        before = coder.size_bits
        code.push(coder, symbols)
        sizes.append(float(coder.size_bits - before))
    return sizes[::-1]


def decode_prequential(
    data: bytes, learner: Learner, X: ArrayLike, *, start: Any = None, progress: bool = False
) -> NDArray[Any]:
    """The targets of a file, (n,), in the order of X, given the inputs, the learner and the start that the writer had.

    Labels are as they were; numbers are multiples of their precision.

    Raises
    ------
    MessageError
        If the file is damaged, cut, foreign, of another version, or of another number of targets than X has rows.
    PlatformError
        If X or the learner is another, or this platform's arithmetic trains it differently. Nothing is returned.
    """
    coder = Coder.from_bytes(_unframed(bytes(data)))
    inputs = checked_inputs(X)
    plan = Plan.read(coder, inputs.shape[0])
    if not coder.bits_read:
        raise MessageError("expected the end of the plan, but it goes on")
    online = Online(learner, plan, inputs, start)
    differs = "another learner or start, other inputs X, or another platform's arithmetic"
    try:
        for block in shown(plan.blocks, progress):
            online.reveal(online.forecast(block).labels(plan).pop(coder, block.stop - block.start))
    except ValueError as error:  # on labels that nobody wrote a learner may fail in any way
        raise PlatformError(f"the forecasts differ from the writer's: {differs} ({error})") from error
    if coder.fingerprint != coder.bottom:
        raise PlatformError(f"the forecasts' probability tables differ from the writer's: {differs}")
    return online.targets()


def _unframed(data: bytes) -> bytes:
    if len(data) < _FRAME or not data.startswith(MAGIC):
        raise MessageError(f"not a prequential file: expected it to begin with {MAGIC!r}, got {data[:4]!r}")
    if data[len(MAGIC)] != VERSION:
        raise MessageError(f"expected format version {VERSION}, got {data[len(MAGIC)]}")
    body = data[_FRAME:]
    if zlib.crc32(body) != int.from_bytes(data[len(MAGIC) + 1 : _FRAME], "little"):
        raise MessageError("the file is damaged or cut: its checksum does not match")
    return body
