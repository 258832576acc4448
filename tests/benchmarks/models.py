"""Real trained weights to compress, as safetensors files of float32 matrices, which every coder here can read."""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy

from analyses._checkpoints import PACKAGES

NAMES = (*PACKAGES, "LeNet-300-100")
_SHARD = 1 << 30  # bytes


def matrices(name: str) -> dict[str, np.ndarray]:
    """Tensors of two and more dimensions, float32; PackageNotFoundError where the package is missing."""
    found = _lenet() if name not in PACKAGES else _of_package(*PACKAGES[name])
    return {key: value for key, value in found.items() if value.ndim > 1 and value.dtype == np.float32 and value.size}


def saved(name: str, folder: Path) -> Path:
    """The same as a file."""
    path = folder / f"{name}.safetensors"
    if not path.exists():
        safetensors.numpy.save_file({k: np.ascontiguousarray(v) for k, v in matrices(name).items()}, path)
    return path


def repeated(weights: Mapping[str, np.ndarray], folder: Path, count: int) -> Path:
    """A sharded checkpoint of so many weights: the given ones again and again, each time a little larger; its index."""
    shards: list[dict[str, np.ndarray]] = [{}]
    listed, total = {}, 0
    for copy, (name, tensor) in ((copy, item) for copy in itertools.count() for item in weights.items()):
        if total == count:
            break
        some = tensor.reshape(-1)[: count - total] * np.float32(1.01**copy)
        key = f"copy{copy}.{name}"
        shards[-1][key] = some.reshape(tensor.shape) if some.size == tensor.size else some
        listed[key] = f"model-{len(shards):05d}.safetensors"
        total += some.size
        if sum(one.nbytes for one in shards[-1].values()) > _SHARD or total == count:
            safetensors.numpy.save_file(shards[-1], folder / listed[key])
            shards[-1].clear()
            shards.append({})
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": listed}))
    return index


def _of_package(package: str, ending: str) -> dict[str, np.ndarray]:
    files = importlib.metadata.files(package) or []
    path = next(Path(file.locate()) for file in files if file.name.endswith(ending))
    return safetensors.numpy.load_file(path) if path.suffix == ".safetensors" else _onnx(path)


def _onnx(path: Path) -> dict[str, np.ndarray]:
    """Initializers and constants, masks with infinite values included: only matrices are kept."""
    import onnx
    from onnx import numpy_helper

    graphs, found = [onnx.load(path).graph], {}
    while graphs:
        graph = graphs.pop()
        found |= {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    graphs.append(attribute.g)
                elif node.op_type == "Constant" and attribute.type == onnx.AttributeProto.TENSOR:
                    found[node.output[0]] = numpy_helper.to_array(attribute.t)
    return found


def _lenet() -> dict[str, np.ndarray]:
    """300 and 100 units on 5,000 images of MNIST."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    from mdl import datasets

    data = datasets.load("mnist5k")
    net = MLPClassifier((300, 100), random_state=0, max_iter=40, n_iter_no_change=40, learning_rate_init=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # so many epochs are meant, not a minimum
        net.fit(data.X / 255.0, data.y)
    return {f"layers.{k}.weight": weight.astype(np.float32) for k, weight in enumerate(net.coefs_)}
