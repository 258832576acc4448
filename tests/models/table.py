"""Every kind of input, measured, encoded, decoded, and coded with its data: the table of docs/howto/models.md.

``python -m tests.models.table`` writes it. The weights are those of digits.npz: a perceptron and two linear models that
scikit-learn trained on the digits; each library's own writer puts them into a file of its kind.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

import mdl
from mdl.likelihoods import Categorical
from tests.models import graphs

HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "docs" / "howto" / "inputs.csv"
STEP = 2.0**-5
IMAGES, DIGITS = load_digits(return_X_y=True)
X, Y = IMAGES[:500] / 16.0, DIGITS[:500]
_HELPERS = {"function": "function", "onnx": "graph", "torch": "module", "feedforward": "transformers"}
HEADER = ("input", "needs", "measure: bits a weight", "encode: bytes", "decode", "two_part: bits", "its message")

LAYERS = ("hidden.weight", "hidden.bias", "out.weight", "out.bias")
Tensors = dict[str, np.ndarray]


def trained(model: str) -> Tensors:
    """``mlp``, ``linear`` or ``scaled``, as float32."""
    with np.load(HERE / "digits.npz") as stored:
        return {name.partition("/")[2]: stored[name] for name in stored.files if name.startswith(f"{model}/")}


def perceptron(weights: Mapping[str, Any], inputs: Any) -> Any:
    """Logits: what a user writes who has weights alone."""
    w = {name: np.asarray(tensor, np.float64) for name, tensor in weights.items()}
    first, bias, second, last = w.values()
    return np.maximum(inputs @ first + bias, 0.0) @ second + last


@dataclass(frozen=True)
class Kind:
    """``make(folder)`` gives what ``mdl.load`` takes (a file or weights) and what codes the data."""

    name: str
    make: Callable[[Path], tuple[Any, mdl.Model]]
    needs: str = ""

    @property
    def can_run(self) -> bool:
        """Whether its packages are installed."""
        return all(importlib.util.find_spec(name) for name in self.needs.split(" and ") if name)

    def row(self, folder: Path) -> list[str]:
        """What came of it; a decoded weight off the grid or a wrong label is an error."""
        source, model = self.make(folder)
        weights = mdl.load(source)
        data = mdl.encode(weights, mdl.Laplace(), STEP)
        decoded = mdl.decode(data)
        if any(np.abs(decoded[name] - weights[name].astype(float)).max() > STEP / 2 for name in weights.floats):
            raise AssertionError(f"{self.name}: decoded weights are off the grid")
        measured = mdl.measure(weights, mdl.Laplace(), STEP).comparable.bits / weights.count
        total = mdl.two_part(model, X, Y, mdl.Laplace(), STEP).comparable.bits
        message = mdl.encode_with_data(model, X, Y, mdl.Laplace(), STEP)
        again = mdl.decode_with_data(message, X, model)
        alone = isinstance(model, mdl.FeedForward)
        if not np.array_equal(again[1], Y) or (alone and not np.array_equal(mdl.decode_with_data(message, X)[1], Y)):
            raise AssertionError(f"{self.name}: the labels do not come back")
        by = "read alone" if alone else f"read with the {_HELPERS[model.architecture.split()[0]]}"
        exact = "exact" if mdl.decode(mdl.encode(decoded, mdl.Laplace(), STEP)) == decoded else "differs"
        return [self.name, self.needs, f"{measured:.3f}", f"{len(data):,}", exact, f"{total:,.0f}", by]


def _function(source: Any) -> tuple[Any, mdl.Model]:
    return source, mdl.wrap(perceptron, Categorical(10), weights=source, free=list(mdl.load(source))[1::2])


def _saved(name: str) -> Callable[[Path], tuple[Any, mdl.Model]]:
    def make(folder: Path) -> tuple[Any, mdl.Model]:
        mdl.save(trained("mlp"), folder / name)
        return _function(folder / name)

    return make


def _half(folder: Path) -> tuple[Any, mdl.Model]:
    import ml_dtypes

    tensors = {name: tensor.astype(ml_dtypes.bfloat16) for name, tensor in trained("mlp").items()}
    mdl.save(tensors, folder / "half.safetensors")
    return _function(folder / "half.safetensors")


def _sharded(folder: Path) -> tuple[Any, mdl.Model]:
    where = {}
    for k, (name, tensor) in enumerate(trained("mlp").items()):
        where[name] = f"model-{k}.safetensors"
        mdl.save({name: tensor}, folder / where[name])
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": where}))
    return _function(index)


def _keras(folder: Path) -> tuple[Any, mdl.Model]:
    import h5py

    with h5py.File(folder / "model.weights.h5", "w") as file:
        for k, tensor in enumerate(trained("mlp").values()):
            file[f"layers/dense{'_1' if k > 1 else ''}/vars/{k % 2}"] = tensor
    return _function(folder / "model.weights.h5")


def _module(chain: bool) -> Callable[[Path], tuple[Any, mdl.Model]]:
    def make(folder: Path) -> tuple[Any, mdl.Model]:
        import torch

        first, bias, second, last = (torch.from_numpy(tensor) for tensor in trained("mlp").values())
        layers = [torch.nn.Linear(64, len(bias)), torch.nn.ReLU(), torch.nn.Linear(len(bias), 10)]
        module = torch.nn.Sequential(*layers if chain else [torch.nn.Flatten(), *layers])
        for layer, weight, its_bias in zip(layers[::2], (first, second), (bias, last), strict=True):
            layer.load_state_dict({"weight": weight.T, "bias": its_bias})
        path = folder / "model.pt"
        torch.save(module.state_dict(), path)
        module.load_state_dict(torch.load(path, weights_only=True))
        return path, mdl.wrap(module, torch.nn.CrossEntropyLoss())

    return make


def _graph(folder: Path) -> tuple[Any, mdl.Model]:
    path = graphs.save(folder / "model.onnx", dict(zip(LAYERS, trained("mlp").values(), strict=True)))
    return path, mdl.wrap(path, Categorical(10))


def _estimator(name: str) -> Callable[[Path], tuple[Any, mdl.Model]]:
    def make(folder: Path) -> tuple[Any, mdl.Model]:
        estimator = fitted(name)
        model = mdl.wrap(estimator)
        return dict(model.weights), model

    return make


def fitted(name: str) -> Any:
    """An estimator of scikit-learn with the stored weights."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    tensors = trained(name)
    if name == "mlp":
        first, bias, second, last = tensors.values()
        perceptron = MLPClassifier((len(bias),), max_iter=9, tol=1e9, n_iter_no_change=1).fit(X, Y)
        perceptron.coefs_, perceptron.intercepts_ = [first, second], [bias, last]
        return perceptron
    linear = LogisticRegression(tol=1e9).fit(X, Y)
    linear.coef_, linear.intercept_ = tensors["weight"].T, tensors["bias"]
    return linear if name == "linear" else make_pipeline(StandardScaler().fit(X), linear)


KINDS = (
    Kind("a dict of arrays, and a function", lambda folder: _function(trained("mlp"))),
    Kind("`.npz`, and a function", _saved("model.npz")),
    Kind("`.safetensors`, and a function", _saved("model.safetensors")),
    Kind("`.safetensors` in bfloat16, and a function", _half),
    Kind("`.safetensors.index.json`, and a function", _sharded),
    Kind("`.weights.h5` of Keras, and a function", _keras, "h5py"),
    Kind("`.onnx`", _graph, "onnx and onnxruntime"),
    Kind("`.pt` of a torch `Sequential` of dense layers", _module(chain=True), "torch"),
    Kind("`.pt` of any torch `Module`", _module(chain=False), "torch"),
    Kind("scikit-learn `MLPClassifier`", _estimator("mlp")),
    Kind("scikit-learn `LogisticRegression`", _estimator("linear")),
    Kind("scikit-learn `Pipeline`", _estimator("scaled")),
)


def row(kind: Kind) -> list[str]:
    """In a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return kind.row(Path(folder))


def main() -> None:
    """Write the table; every package must be installed."""
    rows = [HEADER, *map(row, KINDS)]
    with TABLE.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
