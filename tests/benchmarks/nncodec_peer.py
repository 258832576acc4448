"""Run by an environment that has nncodec: sizes, errors and times on a checkpoint, as JSON.

``python nncodec_peer.py CHECKPOINT.safetensors QP ...``
"""

import contextlib
import io
import json
import sys
import tempfile
import time

import numpy as np
from nncodec.nn import decode, encode
from safetensors.numpy import load_file

weights = {name: w for name, w in load_file(sys.argv[1]).items() if w.dtype == np.float32 and w.ndim}
count = sum(w.size for w in weights.values())
rows = []
for qp in map(int, sys.argv[2:]):
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        data = encode(weights, args={"qp": qp, "use_dq": True, "verbose": False, "results": folder})
        encoded = time.perf_counter()
        decoded = decode(data)
        done = time.perf_counter()
    error = sum(float(np.square(decoded[name].astype(np.float64) - w).sum()) for name, w in weights.items())
    times = {"encode_s": encoded - start, "decode_s": done - encoded}
    rows.append({"qp": qp, "bits_per_weight": 8 * len(data) / count, "mse": error / count, **times})
print(json.dumps(rows))
