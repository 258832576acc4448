"""Sizes, errors and times of nncodec on a safetensors file, as JSON; run by a Python that has nncodec.

python nncodec_peer.py FILE ROUNDS QP...
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from unittest.mock import MagicMock

import numpy as np
import torch
from safetensors.numpy import load_file

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


def measure(weights, qp, rounds):
    with tempfile.TemporaryDirectory() as folder:
        options = {"qp": qp, "use_dq": True, "verbose": False, "results": folder}
        encode_s, data = timed(1, lambda: encode(weights, args=options))
        decode_s, decoded = timed(rounds, lambda: decode(data))
    count = sum(tensor.size for tensor in weights.values())
    error = sum(np.square(decoded[name] - tensor.astype(np.float64)).sum() for name, tensor in weights.items())
    return {"qp": qp, "bits": 8 * len(data), "mse": error / count, "encode_s": encode_s, "decode_s": decode_s}


def main():
    path, rounds, *qps = sys.argv[1:]
    torch.set_num_threads(1)
    # nncodec leaves the process at anything but float32 tensors of one dimension or more
    weights = {k: v for k, v in load_file(path).items() if v.dtype == np.float32 and v.ndim}
    with contextlib.redirect_stdout(sys.stderr):  # nncodec prints
        rows = [measure(weights, int(qp), int(rounds)) for qp in qps]
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
