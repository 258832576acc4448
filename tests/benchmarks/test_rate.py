"""Bits a weight at equal error beside nncodec with dependent quantisation, on real weights: whole files, both sides.

The peer is run by the interpreter that MDL_NNCODEC_PYTHON names; make_nncodec_env.sh makes one.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import mdl
from mdl import rates
from tests.benchmarks import models

HERE = Path(__file__).parent
QPS = (-36, -32, -28, -24, -20, -16)
NNCODEC = os.environ.get("MDL_NNCODEC_PYTHON")
ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module", params=models.NAMES)
def model(request, folder):
    """Its name, its matrices, and what nncodec makes of them at each qp."""
    if NNCODEC is None:
        pytest.skip("MDL_NNCODEC_PYTHON names no interpreter with nncodec")
    try:
        path = models.saved(request.param, folder)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("make data installs it")
    command = [NNCODEC, HERE / "nncodec_peer.py", path, "1", "--", *map(str, QPS)]
    done = subprocess.run(command, env=os.environ | ONE_CORE, stdout=subprocess.PIPE, text=True, check=True)
    return request.param, mdl.load(path), {row["qp"]: row for row in json.loads(done.stdout)}


def _at_error(weights, states, mse):
    """The message with an error of at most ``mse``, and hardly less, as bytes; and the error of what it decodes to."""
    grid = rates.for_error(weights, mse, mdl.Shortest(), functools.partial(mdl.Trellis, states=states))
    data = mdl.encode(weights, mdl.Shortest(), grid)
    decoded = mdl.decode(data)
    error = sum(np.square(decoded[k] - v.astype(np.float64)).sum() for k, v in weights.items()) / weights.count
    return data, error


@pytest.mark.parametrize("states", [8, 64])
@pytest.mark.parametrize("qp", QPS)
def test_rate(benchmark, record, model, qp, states):
    name, weights, peers = model
    peer = peers[qp]
    data, error = benchmark.pedantic(_at_error, (weights, states, peer["mse"]), rounds=1)
    ours, theirs = 8 * len(data) / weights.count, peer["bits"] / weights.count
    record(model=name, qp=qp, states=states, mse=peer["mse"], nncodec_bits=theirs, bits=ours, share=ours / theirs)
    assert error <= peer["mse"]
    assert ours <= theirs
