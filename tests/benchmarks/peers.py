"""The other coders: nncodec, run by the Python that MDL_NNCODEC_PYTHON names, and general compressors on byte planes.

make_nncodec_env.sh makes such a Python.
"""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mdl.lengths import baselines

HERE = Path(__file__).parent
ONE_CORE = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
NNCODEC = os.environ.get("MDL_NNCODEC_PYTHON")


def nncodec(path: Path, qps: Iterable[int], *options: object, rounds: int = 1) -> dict[int, dict[str, float]]:
    """Bits, error and seconds at each qp, with dependent quantisation unless "--plain" is an option."""
    if NNCODEC is None:
        pytest.skip("MDL_NNCODEC_PYTHON names no interpreter with nncodec")
    command = [NNCODEC, HERE / "nncodec_peer.py", path, str(rounds), *options, "--", *map(str, qps)]
    done = subprocess.run(command, env=ONE_CORE, stdout=subprocess.PIPE, text=True, check=True)
    return {row["qp"]: row for row in json.loads(done.stdout)}


def general() -> dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]]:
    """Compression and its inverse, by name and level."""
    brotli, zstandard = pytest.importorskip("brotli"), pytest.importorskip("zstandard")
    return {
        "brotli-11": (lambda data: brotli.compress(data, quality=11), brotli.decompress),
        "zstd-19": (zstandard.ZstdCompressor(level=19).compress, zstandard.ZstdDecompressor().decompress),
        "xz-9": (lambda data: lzma.compress(data, preset=9), lzma.decompress),
    }


def planes(tensors: Iterable[np.ndarray], step: float) -> bytes:
    """What general compressors are given: nearest multiples of the step, their low bytes before their high ones."""
    symbols = [np.rint(tensor.ravel().astype(np.float64) / step).astype(np.int32) for tensor in tensors]
    return baselines._planes(baselines._narrow(symbols))


def timed(function: Callable[[], Any], rounds: int = 1) -> tuple[float, Any]:
    """The least of so many times, in seconds, and what the function returns: a busy machine only adds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return min(times), result
