"""What a length is compared with: flat labels, literal weights, general compressors, order-0 entropy, BIC and AIC."""

from __future__ import annotations

import importlib
import lzma
import math
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.codes.coder import Symbols
from mdl.codes.describe import describe
from mdl.codes.integers import EliasDelta, Signed
from mdl.codes.scheme import BUFFERS, WEIGHTS, Coding, Histogram, Tensor
from mdl.errors import CodeError, DataError, MdlError
from mdl.length import CodeLength
from mdl.quantize import FloatFormat, Quantizer, UniformGrid
from mdl.weights import load

_WIDTHS = (np.int8, np.int16, np.int32)
_WIDTH_BITS = 2  # tell which of them


def uniform_labels(y: ArrayLike, classes: int | None = None) -> CodeLength:
    """The labels without any model: n ln k nats.

    Parameters
    ----------
    y
        (n,) labels of any kind.
    classes
        Their number k, which the reader knows; by default the number of distinct labels.

    Raises
    ------
    DataError
        If there are more distinct labels than classes.

    Examples
    --------
    >>> uniform_labels([0, 1, 2, 3]).bits
    8.0
    """
    labels = np.asarray(y)
    distinct = np.unique(labels).size
    known = max(distinct, 1) if classes is None else classes
    if known < max(distinct, 1):
        raise DataError(f"classes: expected at least the {distinct} that occur, got {known}")
    return CodeLength((("data", labels.size * math.log(known)),))


def uniform_targets(y: ArrayLike, resolution: float) -> CodeLength:
    """Real targets without any model: n ln of the number of multiples of ``resolution`` in their range.

    Parameters
    ----------
    y
        (n,) targets; the reader knows their least and greatest.
    resolution
        What they are rounded to, > 0, in units of y.

    Raises
    ------
    DataError
        If a target is not finite or the resolution not positive.

    Examples
    --------
    >>> round(uniform_targets([0.0, 0.1, 0.7], resolution=0.1).bits, 9)  # three of eight values
    9.0
    """
    targets = np.asarray(y, np.float64)
    if not np.isfinite(targets).all():
        raise DataError("y: expected finite targets, got NaN or infinite ones")
    if not 0.0 < resolution < math.inf:
        raise DataError(f"resolution: expected a positive finite number, got {resolution}")
    ends = np.rint(np.array([targets.min(), targets.max()]) / resolution) if targets.size else np.zeros(2)
    return CodeLength((("data", targets.size * math.log1p(ends[1] - ends[0])),))


def literal(weights: Any, format: str = "float32") -> CodeLength:
    """The weights as they lie in a file: their number times the width of a float format.

    Parameters
    ----------
    weights
        Anything that :func:`mdl.load` takes. Tensors of integers keep the width they have.
    format
        Of :class:`mdl.quantize.FloatFormat`; weights are rounded to it.

    Raises
    ------
    QuantizationError
        If the format is unknown or a weight is beyond its largest value.

    Examples
    --------
    >>> literal({"w": np.zeros(100)}, "bfloat16").bits
    1600.0
    """
    loaded, quantizer = load(weights), FloatFormat(format)
    for name, tensor in loaded.floats.items():
        Histogram.of(quantizer, tensor, name)  # refuses what does not fit, a chunk at a time
    bits = {WEIGHTS: float(loaded.count * quantizer.bits_per_weight), BUFFERS: 8.0 * loaded.integers.nbytes}
    return CodeLength.from_bits(bits, realised=True)


def compressed(weights: Any, step: float | Quantizer, compressor: str = "xz", level: int | None = None) -> CodeLength:
    """Quantised weights through a general compressor: the bytes of their symbols, which decompress.

    All tensors' symbols are joined in order, as integers of 8, 16 or 32 bits, whichever holds them all; the first bytes
    of all come first, then the second. Tensors of integers are compressed apart, as they are.

    Parameters
    ----------
    weights
        Anything that :func:`mdl.load` takes.
    step
        A step, or a quantizer; ``FloatFormat("float32")`` compresses the floats themselves, as ranks among all floats.
    compressor
        ``deflate``, ``xz``, and with the extra "compressors" ``zstd`` and ``brotli``.
    level
        As the compressor counts; by default its strongest.

    Returns
    -------
    CodeLength
        Realised; parts ``weights``, ``buffers``, ``quantizer`` and ``choice`` (kind of quantizer, width).

    Raises
    ------
    MdlError
        If the compressor is unknown, is not installed, or has no such level.
    QuantizationError
        If the step is too small or the format cannot hold a weight.

    Examples
    --------
    >>> length = compressed({"w": np.tile([0.5, -0.25], 500)}, step=0.25, compressor="deflate")
    >>> length.part_bits()["weights"] < 300
    True
    """
    loaded, quantizer = load(weights), _quantizer(step)
    pack = _packer(compressor, level)
    described = [(part, float(bits.size)) for part, bits in describe(quantizer)]
    symbols = [_symbols(quantizer, tensor, name) for name, tensor in loaded.floats.items()]
    buffers = [_planes(tensor.reshape(-1)) for tensor in loaded.integers.values()]
    spent = [(WEIGHTS, 8.0 * pack(_planes(_narrow(symbols)))), (BUFFERS, 8.0 * pack(b"".join(buffers)))]
    return CodeLength.from_bits([*spent, *described, ("choice", float(_WIDTH_BITS))], realised=True)


def order0_entropy(weights: Any, step: float | Quantizer) -> CodeLength:
    """The empirical entropy of the symbols of all tensors together, times their number: a bound, not a code.

    No code that gives each symbol a fixed probability is shorter, whatever its table; this one's table is not charged.
    Tensors of integers are left out.

    Parameters
    ----------
    weights
        Anything that :func:`mdl.load` takes.
    step
        A step, or a quantizer.

    Examples
    --------
    >>> order0_entropy({"w": [0.0, 0.0, 1.0, 2.0]}, step=1.0).bits
    6.0
    """
    quantizer = _quantizer(step)
    counted = Histogram.merge([Histogram.of(quantizer, tensor, name) for name, tensor in load(weights).floats.items()])
    total = max(int(counted.counts.sum()), 1)
    return CodeLength(((WEIGHTS, float(counted.counts @ -np.log(counted.counts / total))),))


def bic(nats: float, parameters: int, n: int) -> CodeLength:
    """Schwarz's criterion as a length: (d/2) ln n for d parameters, and the data at their maximum likelihood.

    Parameters
    ----------
    nats
        -ln likelihood of the data at the optimum, >= 0.
    parameters
        d, free parameters of the model.
    n
        Examples.

    Raises
    ------
    MdlError
        If d is negative or n is not positive.

    Examples
    --------
    >>> bic(10.0, parameters=2, n=100).nats == 10.0 + math.log(100)
    True

    References
    ----------
    G. Schwarz, Estimating the dimension of a model, Ann. Statist. 6 (1978).
    """
    _check_counts(parameters, n)
    return CodeLength(((WEIGHTS, 0.5 * parameters * math.log(n)), ("data", nats)))


def aic(nats: float, parameters: int) -> CodeLength:
    """Half of Akaike's criterion: one nat a parameter, and the data. No code; it is given in the unit of lengths.

    Examples
    --------
    >>> aic(10.0, parameters=2).nats
    12.0

    References
    ----------
    H. Akaike, A new look at the statistical model identification, IEEE Trans. Automat. Control 19 (1974).
    """
    _check_counts(parameters, 1)
    return CodeLength(((WEIGHTS, float(parameters)), ("data", nats)))


def _check_counts(parameters: int, n: int) -> None:
    if parameters < 0 or n < 1:
        raise MdlError(f"expected parameters >= 0 and n >= 1, got {parameters} and {n}")


def _quantizer(step: float | Quantizer) -> Quantizer:
    return step if isinstance(step, Quantizer) else UniformGrid(step)


def _symbols(quantizer: Quantizer, tensor: Tensor, name: str) -> Symbols:
    return Coding(quantizer, Signed(EliasDelta())).symbols(tensor, name)


def _narrow(symbols: list[Symbols]) -> NDArray[Any]:
    """All symbols, in the narrowest integers that hold every one."""
    joined = np.concatenate([*symbols, np.empty(0, np.int32)])
    lo, hi = (int(joined.min()), int(joined.max())) if joined.size else (0, 0)
    kind = next(kind for kind in _WIDTHS if np.iinfo(kind).min <= lo and hi <= np.iinfo(kind).max)
    return joined.astype(kind)


def _planes(values: NDArray[Any]) -> bytes:
    """The lowest byte of every entry, then the second of every entry, and so on."""
    little = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"))
    return little.view(np.uint8).reshape(values.size, values.itemsize).T.tobytes()


def _packer(compressor: str, level: int | None) -> Callable[[bytes], int]:
    """A function that compresses, checks that it decompresses, and returns the number of bytes."""
    if compressor not in _COMPRESSORS:
        raise MdlError(f"compressor: expected one of {', '.join(_COMPRESSORS)}, got {compressor!r}")
    strongest, pair = _COMPRESSORS[compressor]
    level = strongest if level is None else level
    compress, decompress = pair(level)

    def size(data: bytes) -> int:
        try:
            packed = compress(data) if data else b""
        except Exception as error:
            raise MdlError(f"{compressor} at level {level}: {error}") from error
        if data and decompress(packed) != data:
            raise CodeError(f"{compressor} does not give back what it was given")
        return len(packed)

    return size


Pair = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MdlError(f"{name} is not installed: pip install 'description-length[compressors]'") from error


def _deflate(level: int) -> Pair:
    return lambda data: zlib.compress(data, level), zlib.decompress


def _xz(level: int) -> Pair:
    return lambda data: lzma.compress(data, preset=level), lzma.decompress


def _zstd(level: int) -> Pair:
    package = _package("zstandard")
    return lambda data: package.ZstdCompressor(level=level).compress(data), package.ZstdDecompressor().decompress


def _brotli(level: int) -> Pair:
    package = _package("brotli")
    return lambda data: package.compress(data, quality=level), package.decompress


#: Name: (strongest level, its pair of functions).
_COMPRESSORS: Mapping[str, tuple[int, Callable[[int], Pair]]] = {
    "deflate": (9, _deflate),
    "xz": (9 | lzma.PRESET_EXTREME, _xz),
    "zstd": (22, _zstd),
    "brotli": (11, _brotli),
}
