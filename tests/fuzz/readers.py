"""Every reader of files that somebody else may have written, with files to begin from and the way to damage them."""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import ml_dtypes
import numpy as np

import mdl
from mdl import datasets
from mdl.codes import archive
from mdl.codes.scaled import Scaled
from mdl.errors import DataError
from mdl.lengths.prequential import decode_prequential, encode_prequential
from mdl.tasks import Store
from tests.fuzz import mutate

CORPUS = Path(__file__).parents[1] / "corpus"
RNG = np.random.default_rng(7)
X = RNG.normal(size=(40, 5))
TENSORS: dict[str, Any] = {
    "layers.0.weight": RNG.normal(0.0, 0.3, (5, 4)).astype(np.float32),
    "layers.0.bias": np.zeros(4, np.float16),
    "steps": np.array(7),
    "mask": np.array([True, False]),
}


@dataclass(frozen=True)
class Reader:
    """``read`` of a file with this suffix; ``beside`` are the files that one of its seeds names."""

    suffix: str
    read: Callable[[Path], object]
    seeds: Callable[[Path], Sequence[bytes]]
    mutate: mutate.Mutate
    needs: str = "numpy"

    @property
    def missing(self) -> bool:
        """Whether the package that it reads with is not installed."""
        return importlib.util.find_spec(self.needs) is None


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def saved(folder: Path, name: str, tensors: dict[str, Any]) -> bytes:
    mdl.save(tensors, folder / name)
    return (folder / name).read_bytes()


def _safetensors(folder: Path) -> list[bytes]:
    narrow = {"b": np.ones(3, ml_dtypes.bfloat16), "f": np.ones((2, 2), ml_dtypes.float8_e4m3fn), "e": np.zeros((0, 3))}
    return [saved(folder, "seed.safetensors", tensors) for tensors in (TENSORS, narrow, {})]


def _index(folder: Path) -> list[bytes]:
    saved(folder, "one.safetensors", TENSORS)
    saved(folder, "two.safetensors", {"c": np.ones(3)})
    shards = {**dict.fromkeys(TENSORS, "one.safetensors"), "c": "two.safetensors"}
    return [json.dumps({"metadata": {"total_size": 96}, "weight_map": shards}).encode(), b'{"weight_map": {}}']


def _npy(_: Path) -> list[bytes]:
    arrays = (
        TENSORS["layers.0.weight"],
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array(1.0),
        np.zeros((0, 2)),
    )
    return [written(lambda stream, a=array: np.save(stream, a)) for array in arrays]


def _npz(_: Path) -> list[bytes]:
    return [
        written(lambda stream: np.savez(stream, **TENSORS)),
        written(lambda stream: np.savez_compressed(stream, **TENSORS, zeros=np.zeros(500))),
    ]


def _torch(_: Path) -> list[bytes]:
    import torch

    state = {name: torch.tensor(array) for name, array in TENSORS.items()}
    tied = {"a": state["layers.0.weight"], "b": state["layers.0.weight"][1:], "h": torch.ones(3, dtype=torch.bfloat16)}
    contents = (state, {"epoch": 3, "state_dict": tied})
    return [
        written(lambda stream, c=content, new=new: torch.save(c, stream, _use_new_zipfile_serialization=new))
        for content in contents
        for new in (True, False)
    ]


def _keras(_: Path) -> list[bytes]:
    import h5py

    def write(stream: io.BytesIO, **kind: Any) -> None:
        with h5py.File(stream, "w", **kind) as file:
            for name, array in TENSORS.items():
                file[name.replace(".", "/")] = array
            half = np.ones((2, 3), ml_dtypes.bfloat16).view("V2")
            file.create_dataset("half/vars/0", data=half).attrs["dtype"] = "bfloat16"
            file["optimizer/vars/0"] = np.array(7)

    return [written(write), written(lambda stream: write(stream, libver="latest"))]


def _onnx(folder: Path) -> list[bytes]:
    from onnx import TensorProto, helper, numpy_helper

    saved(folder, "one.safetensors", TENSORS)
    initial = [numpy_helper.from_array(array, name) for name, array in TENSORS.items()]
    typed = helper.make_tensor("t", TensorProto.FLOAT, [2], [0.5, 1.5])
    outside = TensorProto(name="x", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="one.safetensors")
    outside.external_data.add(key="length", value="8")
    constant = helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.ones(3, np.float32)))
    inner = helper.make_graph([constant], "inner", [], [], [typed])
    nodes = [constant, helper.make_node("If", ["c"], ["o"], then_branch=inner, else_branch=inner),
             helper.make_node("Constant", [], ["f"], value_floats=[0.25, 0.75])]  # fmt: skip
    graphs = [helper.make_graph(nodes, "g", [], [], initial), helper.make_graph([], "g", [], [], [typed, outside])]
    return [helper.make_model(graph).SerializeToString() for graph in graphs]


def _messages(_: Path) -> list[bytes]:
    wide = {"a": RNG.normal(size=(9, 8)), "b": RNG.standard_t(3, 60), "n": RNG.integers(-9, 9, 30)}
    ways: list[dict[str, Any]] = [
        {"step": 0.1}, {"prior": mdl.Laplace()}, {"prior": mdl.Mixture()}, {"prior": mdl.StudentT(), "step": 2.0**-9},
        {"prior": mdl.SpikeAndSlab(), "step": mdl.Trellis(0.1, 8)}, {"step": mdl.FloatFormat("bfloat16")},
        {"prior": mdl.Shortest()}, {"prior": Scaled(mdl.Gaussian()), "step": 0.1}, {"prior": mdl.KT, "step": 0.25},
        {"prior": mdl.Hashed(), "step": 0.5}, {"step": mdl.DeadZone(0.25)}, {"step": mdl.Codebook((-1.0, 0.0, 1.0))},
    ]  # fmt: skip
    return [mdl.encode(wide, **way) for way in ways]


def _parts(_: Path) -> list[bytes]:
    with mock.patch.object(archive, "PART", 40):
        return [*_messages(_), mdl.encode({"empty": np.zeros((0, 3)), "w": np.linspace(-1.0, 1.0, 99)}, step=0.25)]


def _labels(_: Path) -> list[bytes]:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neural_network import MLPClassifier

    kinds = (X[:, 0] > 0.0).astype(int) + (X[:, 1] > 0.5)
    fitted = [
        (LogisticRegression().fit(X, kinds > 0), kinds > 0),
        (MLPClassifier((3,), max_iter=5000, alpha=1.0, solver="lbfgs", random_state=0).fit(X, kinds), kinds),
        (Ridge().fit(X, np.rint(9 * X[:, 2])), np.rint(9 * X[:, 2])),
    ]
    shaped = [(mdl.encode_lattice, fitted[1]), (mdl.encode_relative_entropy, fitted[0])]
    plain = [mdl.encode_with_data(mdl.wrap(model), X, y) for model, y in fitted]
    return [*plain, *(encode(mdl.wrap(model), X, y) for encode, (model, y) in shaped)]


def _forecast(learner: Any, y: Any, **plan: Any) -> Sequence[bytes]:
    return [encode_prequential(learner, X, y, seed=seed, **plan) for seed in (None, 3)]


def _prequential(_: Path) -> list[bytes]:
    kinds, named = (X[:, 0] > 0.0).astype(int) + (X[:, 1] > 0.5), np.where(X[:, 0] > 0.0, "right", "left")
    return [*_forecast(classifier(), kinds), *_forecast(classifier(), named)]


def _numbers(_: Path) -> list[bytes]:
    return [*_forecast(regressor(), X[:, 2].round(1), precision=0.1)]


def classifier() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=0.1, tol=0.1)


def regressor() -> Any:
    from sklearn.linear_model import Ridge

    return Ridge()


def _stored(folder: Path) -> list[bytes]:
    store = Store.at(folder / "rows")
    tables = [[{"strength": 0.1, "bits": 12.5, "prior": "gaussian"}, {"strength": 1.0, "bits": None}], []]
    for number, rows in enumerate(tables):
        store.write(number, rows)
    return [store.path(number).read_bytes() for number in range(len(tables))]


def _read_stored(path: Path) -> object:
    with mock.patch.object(Store, "path", return_value=path):
        rows = Store(path.parent, ()).read("task")
    if rows is None:  # it is computed again, which is what a store does about damage
        raise DataError("no rows")
    return rows


def _rows() -> tuple[np.ndarray, np.ndarray]:
    return X[:15, :3].round(3), np.arange(15) % 3


def _csv(_: Path) -> list[bytes]:
    values, kinds = _rows()
    lines = ["a,b,c,y", *(",".join(map(str, (*row, kind))) for row, kind in zip(values, kinds, strict=True))]
    return ["\n".join(lines).encode(), "\n".join(lines).replace(",1\n", ",cat\n").encode()]


def _parquet(_: Path) -> list[bytes]:
    import pandas as pd

    values, kinds = _rows()
    frame = pd.DataFrame(values, columns=list("abc")).assign(y=kinds)
    return [written(frame.to_parquet), written(frame.assign(y=kinds.astype(str)).to_parquet)]


def _table_npz(_: Path) -> list[bytes]:
    values, kinds = _rows()
    return [written(lambda stream: np.savez(stream, X=values, y=kinds))]


def _dataset(path: Path) -> object:
    return datasets.load(path, target="y")


READERS: dict[str, Reader] = {
    "safetensors": Reader(".safetensors", mdl.load, _safetensors, mutate.one_of(mutate.safetensors, mutate.anyhow)),
    "index": Reader(".safetensors.index.json", mdl.load, _index, mutate.one_of(mutate.json_text)),
    "npy": Reader(".npy", mdl.load, _npy, mutate.one_of(mutate.npy, mutate.anyhow)),
    "npz": Reader(".npz", mdl.load, _npz, mutate.one_of(mutate.zipped(mutate.npy), mutate.anyhow)),
    "torch": Reader(".pt", mdl.load, _torch, mutate.one_of(mutate.zipped(mutate.anyhow), mutate.anyhow), "torch"),
    "onnx": Reader(".onnx", mdl.load, _onnx, mutate.one_of(mutate.protobuf, mutate.protobuf, mutate.anyhow), "onnx"),
    "keras": Reader(".weights.h5", mdl.load, _keras, mutate.one_of(mutate.words, mutate.anyhow), "h5py"),
    "message": Reader(
        ".mdl", lambda path: mdl.decode(path.read_bytes()), _messages, mutate.one_of(mutate.message, mutate.anyhow)
    ),
    "labels": Reader(
        ".mdl",
        lambda path: mdl.decode_with_data(path.read_bytes(), X),
        _labels,
        mutate.one_of(mutate.message, mutate.message, mutate.anyhow),
    ),
    "parts": Reader(".mdl", mdl.decode, _parts, mutate.one_of(mutate.parts, mutate.anyhow)),
    "prequential": Reader(
        ".mdlp",
        lambda path: decode_prequential(path.read_bytes(), classifier(), X),
        _prequential,
        mutate.one_of(mutate.message, mutate.message, mutate.anyhow),
    ),
    "prequential_numbers": Reader(
        ".mdlp",
        lambda path: decode_prequential(path.read_bytes(), regressor(), X),
        _numbers,
        mutate.one_of(mutate.message, mutate.message, mutate.anyhow),
    ),
    "rows": Reader(".json", _read_stored, _stored, mutate.one_of(mutate.rows, mutate.json_text)),
    "csv": Reader(".csv", _dataset, _csv, mutate.one_of(mutate.table, mutate.anyhow)),
    "parquet": Reader(".parquet", _dataset, _parquet, mutate.one_of(mutate.anyhow)),
    "table_npz": Reader(".npz", _dataset, _table_npz, mutate.one_of(mutate.zipped(mutate.npy), mutate.anyhow)),
}
