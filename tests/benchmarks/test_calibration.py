"""Bits at equal loss on examples not seen, beside nncodec with dependent quantisation: whole files, biases included."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import safetensors.numpy
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import mdl
from mdl import datasets
from tests.benchmarks.peers import NNCODEC, nncodec

QPS = range(-36, -5, 2)
PRICES = 10.0 ** np.arange(-9.5, -5.4, 0.25)
MORE = (0.003, 0.01, 0.03, 0.1)  # nats an example lost
MOST = 0.03  # at which fewer bits are asked for: beyond, so little is left of either file that luck decides
FEWER = 0.8  # of nncodec's bits
EXAMPLES = 256

#: Damping was chosen on other networks, of the digits and of another split.
MODELS = {
    "LeNet-300-100, mnist5k": ("mnist5k", (300, 100), {"max_iter": 40, "n_iter_no_change": 40}),
    "MLP-50 tanh, mnist5k": ("mnist5k", (50,), {"max_iter": 60, "activation": "tanh", "alpha": 1.0}),
}


def _trained(name):
    """The model, 256 of its training examples, and what other weights cost on examples not seen, nats an example."""
    dataset, hidden, settings = MODELS[name]
    data = datasets.load(dataset)
    X, held_out, y, answers = train_test_split(
        data.X / data.X.max(), data.y, test_size=0.3, random_state=0, stratify=data.y
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = mdl.wrap(MLPClassifier(hidden, random_state=0, **settings).fit(X, y))
    model = model.with_weights({k: np.float32(v) for k, v in model.weights.items()})
    some = np.random.default_rng(0).permutation(len(X))[:EXAMPLES]
    indices = mdl.models.to_indices(model, answers)

    def loss(weights):
        return -float(model.likelihood.log_prob(model.with_weights(weights).predict(held_out), indices).mean())

    return model, X[some], y[some], loss


def _peers(model, loss, folder):
    """(bits, loss) of nncodec at every qp."""
    path = folder / "model.safetensors"
    safetensors.numpy.save_file({k: np.ascontiguousarray(v) for k, v in model.weights.items()}, path)
    rows = nncodec(path, QPS, "--decoded", folder)
    decoded = (safetensors.numpy.load_file(folder / f"{qp}.safetensors") for qp in QPS)
    return [(row["bits"], loss(weights)) for row, weights in zip(rows.values(), decoded, strict=True)]


def _ours(model, X, y, loss):
    calibration = mdl.calibrate(model, X, y)
    messages = (mdl.encode(model.weights, mdl.Shortest(), calibration=calibration.at(price)) for price in PRICES)
    return [(8 * len(data), loss(mdl.decode(data))) for data in messages]


def _fewest(curve, loss):
    return min((bits for bits, reached in curve if reached <= loss), default=np.inf)


@pytest.mark.skipif(NNCODEC is None, reason="MDL_NNCODEC_PYTHON names no interpreter with nncodec")
@pytest.mark.parametrize("name", MODELS)
def test_calibration(benchmark, record, tmp_path, name):
    model, X, y, loss = _trained(name)
    whole = loss(model.weights)
    theirs = _peers(model, loss, tmp_path)
    ours = benchmark.pedantic(_ours, (model, X, y, loss), rounds=1)
    for more in MORE:
        bits, peer = (_fewest(curve, whole + more) for curve in (ours, theirs))
        count = model.weights.count
        record(model=name, loss=whole, more=more, nncodec_bits=peer / count, bits=bits / count, share=bits / peer)
        assert bits <= FEWER * peer or more > MOST
