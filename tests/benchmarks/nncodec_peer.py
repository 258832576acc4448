"""Sizes, errors and times of nncodec on a safetensors file, as JSON; run by a Python that has nncodec.

python nncodec_peer.py FILE ROUNDS [--decoded FOLDER] [--plain] QP...

What it decodes is left in FOLDER, as QP.safetensors. ``--plain`` is without dependent quantisation.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

# Only nncodec's data sets use it; beside a CPU build of torch, torchvision cannot be imported.
sys.modules["torchvision"] = MagicMock()

from nncodec.nn import decode, encode  # noqa: E402


def timed(rounds, function):
    """Shortest of some times, seconds, and what the function returns."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return min(times), result


def measure(weights, qp, rounds, out, dependent):
    with tempfile.TemporaryDirectory() as folder:
        options = {"qp": qp, "use_dq": dependent, "verbose": False, "results": folder}
        encode_s, data = timed(1, lambda: encode(weights, args=options))
        decode_s, decoded = timed(rounds, lambda: decode(data))
    if out is not None:
        save_file({k: np.ascontiguousarray(v, np.float32) for k, v in decoded.items()}, out / f"{qp}.safetensors")
    count = sum(tensor.size for tensor in weights.values())
    error = sum(np.square(decoded[name] - tensor.astype(np.float64)).sum() for name, tensor in weights.items())
    return {"qp": qp, "bits": 8 * len(data), "mse": error / count, "encode_s": encode_s, "decode_s": decode_s}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("rounds", type=int)
    parser.add_argument("--decoded", type=Path)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("qps", type=int, nargs="+")
    given = parser.parse_args()
    torch.set_num_threads(1)
    # nncodec leaves the process at anything but float32 tensors of one dimension or more
    weights = {k: v for k, v in load_file(given.path).items() if v.dtype == np.float32 and v.ndim}
    with contextlib.redirect_stdout(sys.stderr):  # nncodec prints
        rows = [measure(weights, qp, given.rounds, given.decoded, not given.plain) for qp in given.qps]
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
