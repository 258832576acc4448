"""What a length is compared with: labels sent flat, weights sent literally, general compressors, entropy, BIC and AIC."""

from __future__ import annotations

import importlib
import lzma
import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.codes.scheme import BUFFERS, WEIGHTS, Coding, Histogram, Scheme
from mdl.codes.integers import EliasDelta, Signed
from mdl.errors import CodeError, DataError, MdlError
from mdl.length import LN2, CodeLength
from mdl.quantize import FloatFormat, Quantizer, UniformGrid
from mdl.weights import load

Compress = Callable[[bytes], bytes]
