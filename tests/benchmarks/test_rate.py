"""Bits and seconds at equal error beside nncodec with dependent quantisation, on real weights: whole files."""

from __future__ import annotations

import functools
import importlib.metadata

import numpy as np
import pytest

import mdl
from mdl import rates
from tests.benchmarks import models
from tests.benchmarks.peers import NNCODEC, general, nncodec, planes, timed

QPS = (-36, -32, -28, -24, -20, -16)
ROUNDS = 3  # of decoding, on both sides
MANY = 10_000_000  # weights
FAST, SMALL = mdl.Gaussian(), mdl.Shortest()


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
    return request.param, mdl.load(path), nncodec(path, QPS, rounds=ROUNDS)


def _at_error(weights, states, mse):
    """The message with an error of at most ``mse``, and hardly less, as bytes; and the error of what it decodes to."""
    grid = rates.for_error(weights, mse, SMALL, functools.partial(mdl.Trellis, states=states))
    data = mdl.encode(weights, SMALL, grid)
    return data, _error(weights, mdl.decode(data))


def _error(weights, decoded):
    return sum(np.square(decoded[k] - v.astype(np.float64)).sum() for k, v in weights.items()) / weights.count


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


@pytest.mark.parametrize("qp", [-28, -20])
def test_coders(benchmark, record, model, qp):
    """All at nncodec's error: ours fast and small, nncodec, and general compressors on symbols of a uniform grid.

    Of so many weights that a tensor's fixed price hardly counts, the small setting is no slower than nncodec.
    """
    name, weights, peers = model
    peer, count = peers[qp], weights.count
    fast, small = rates.for_error(weights, peer["mse"], FAST), rates.for_error(weights, peer["mse"], SMALL, mdl.Trellis)
    low = planes(weights.values(), fast.step)
    coders = {
        "mdl, Gaussian": (lambda: mdl.encode(weights, FAST, fast), mdl.decode),
        "mdl, Shortest": (lambda: mdl.encode(weights, SMALL, small), mdl.decode),
        **{coder: (functools.partial(pack, low), unpack) for coder, (pack, unpack) in general().items()},
    }
    bits = {"nncodec": peer["bits"] / count}
    about = {"model": name, "weights": count, "qp": qp}
    record(**about, coder="nncodec", bits_per_weight=bits["nncodec"], encode_s=peer["encode_s"],
           decode_s=peer["decode_s"])  # fmt: skip
    for coder, (write, read) in coders.items():
        encode_s, data = timed(write)
        decode_s, back = timed(functools.partial(read, data), ROUNDS)
        bits[coder] = 8 * len(data) / count
        record(**about, coder=coder, bits_per_weight=bits[coder], encode_s=encode_s, decode_s=decode_s)
        assert back == low if isinstance(back, bytes) else _error(weights, back) <= peer["mse"]
        if coder == "mdl, Shortest" and count > MANY:
            assert encode_s <= peer["encode_s"]
            assert decode_s <= peer["decode_s"]
    benchmark.pedantic(mdl.decode, (mdl.encode(weights, FAST, fast),), rounds=1)
    assert min(bits, key=bits.get) == "mdl, Shortest"
