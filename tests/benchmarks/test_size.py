"""Memory and time of the command line on 1e6 to 1e8 weights, and on as many as MDL_BENCH_WEIGHTS lists."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest

import mdl
from mdl.source import open_source
from tests.benchmarks import models
from tests.benchmarks.peers import HERE, ONE_CORE

COUNTS = [10**6, 10**7, 10**8, *map(int, os.environ.get("MDL_BENCH_WEIGHTS", "").split())]
MEMORY = 1.5e9


def _probed(*arguments):
    start = time.perf_counter()
    probe = [sys.executable, HERE / "memory_probe.py", *map(str, arguments), "--quiet"]
    done = subprocess.run(probe, env=ONE_CORE, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout), time.perf_counter() - start


@pytest.mark.parametrize("count", COUNTS, ids="{:.0e}".format)
def test_size(benchmark, record, weights, tmp_path, count):
    index = models.repeated(weights.floats, tmp_path, count)
    out, back = tmp_path / "w.mdl", tmp_path / "back.safetensors"
    commands = {"measure": [index], "encode": [index, "-o", out], "decode": [out, "-o", back]}
    for command, arguments in commands.items():
        peak, seconds = _probed(command, *arguments)
        record(weights=count, command=command, megabytes=peak / 1e6, seconds=seconds, ns_a_weight=1e9 * seconds / count)
        assert peak < MEMORY
    name = next(reversed(open_source(back).shapes))
    alone = benchmark.pedantic(mdl.decode, (out,), {"names": [name]}, rounds=3)[name]
    whole = open_source(back).read(name, 0, alone.size)
    assert np.array_equal(alone.ravel(), whole)
