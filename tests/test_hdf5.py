"""Keras' weights in HDF5: read as Keras wrote them; what leads out of the file, or claims too much, is refused."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import mdl
from mdl.errors import WeightsError

h5py = pytest.importorskip("h5py")

RNG = np.random.default_rng(2)
KERNEL = RNG.normal(size=(4, 3)).astype(np.float32)


def written(path: Path, write: Callable[[Any], object]) -> Path:
    with h5py.File(path, "w") as file:
        write(file)
    return path


def keras(file: Any) -> None:
    """As ``Model.save_weights`` of Keras 3 lays out a compiled model with twelve layers, one of them a dropout."""
    for k in range(11):
        own = file.create_group(f"layers/dense{f'_{k}' if k else ''}").create_group("vars")
        own["0"], own["1"] = KERNEL + k, np.full(3, k, np.float32)
    file.create_group("layers/dropout/vars")
    file["layers/dropout/seed_generator/vars/0"] = np.array([1, 2], np.uint32)
    file["optimizer/vars/0"] = np.array(7)
    half = KERNEL.astype(ml_dtypes.bfloat16)
    file.create_dataset("layers/half/vars/0", data=half.view("V2")).attrs["dtype"] = "bfloat16"
    file.create_dataset("layers/half/vars/1", data=half.astype(np.float32)).attrs["dtype"] = "bfloat16"


def test_what_keras_writes_is_read_layer_after_layer(tmp_path) -> None:
    weights = mdl.load(written(tmp_path / "model.weights.h5", keras))
    dense = [f"layers/dense{f'_{k}' if k else ''}/vars/{v}" for k in range(11) for v in (0, 1)]
    assert list(weights) == [
        *dense,
        "layers/dropout/seed_generator/vars/0",
        "layers/half/vars/0",
        "layers/half/vars/1",
    ]
    for k in range(11):
        np.testing.assert_array_equal(weights[dense[2 * k]], KERNEL + k)
    for name in ("layers/half/vars/0", "layers/half/vars/1"):
        assert weights[name].dtype == ml_dtypes.bfloat16
        np.testing.assert_array_equal(weights[name], KERNEL.astype(ml_dtypes.bfloat16))
    assert mdl.decode(mdl.encode(weights, step=0.25))["layers/dense/vars/0"].shape == (4, 3)


def _external(file: Any) -> None:
    other = Path(file.filename).with_name("other.h5")
    written(other, lambda inner: inner.create_dataset("w", data=KERNEL))
    file["w"] = h5py.ExternalLink(str(other), "w")


def _raw(file: Any) -> None:
    secret = Path(file.filename).with_name("secret")
    secret.write_bytes(bytes(48))
    file.create_dataset("w", (12,), np.float32, external=[(str(secret), 0, 48)])


def _virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((4, 3), np.float32)
    other = Path(file.filename).with_name("other.h5")
    written(other, lambda inner: inner.create_dataset("w", data=KERNEL))
    layout[:] = h5py.VirtualSource(str(other), "w", (4, 3))
    file.create_virtual_dataset("w", layout)


def _cycle(file: Any) -> None:
    group = file.create_group("a/b")
    group["again"] = file["a"]


def _twice(file: Any) -> None:
    file["w"] = KERNEL
    file["v"] = file["w"]


def _deep(file: Any) -> None:
    file["/".join("a" * 2000) + "/w"] = KERNEL


def _claimed(file: Any) -> None:
    space = h5py.h5s.create_simple((10**12,))
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
    h5py.h5d.create(file.id, b"w", h5py.h5t.IEEE_F32LE, space, plan)


HOSTILE = {
    "a soft link": (lambda file: file.update({"w": h5py.SoftLink("/v")}), "SoftLink"),
    "a soft cycle": (lambda file: file.update({"w": h5py.SoftLink("/")}), "SoftLink"),
    "another file": (_external, "ExternalLink"),
    "values elsewhere": (_raw, "in another"),
    "a virtual dataset": (_virtual, "chunks or parts"),
    "a cycle": (_cycle, "two names"),
    "one dataset twice": (_twice, "two names"),
    "deep nesting": (_deep, "at most 64"),
    "a claim of 1e12 weights": (_claimed, "more than the file holds"),
    "a zip bomb": (lambda f: f.create_dataset("w", (10**9,), "f4", chunks=(10**7,), compression="gzip"), "filters"),
    "chunks": (lambda f: f.create_dataset("w", (10**9,), np.float32, chunks=(10**7,)), "chunks"),
    "a named type": (lambda file: file.update({"w": np.dtype("f4")}), "Datatype"),
    "texts": (lambda file: file.update({"w": "text"}), "expected numbers"),
    "objects": (lambda f: f.create_dataset("w", data=[b"a"], dtype=h5py.special_dtype(vlen=bytes)), "expected numbers"),
    "references": (lambda f: f.create_dataset("w", data=[f.ref], dtype=h5py.ref_dtype), "expected numbers"),
    "records": (lambda file: file.update({"w": np.zeros(2, "f4,i4")}), "expected numbers"),
    "complex numbers": (lambda file: file.update({"w": np.zeros(2, complex)}), "expected numbers"),
    "nothing": (lambda file: file.update({"w": h5py.Empty("f4")}), "more than the file holds"),
    "an attribute that lies": (
        lambda file: file.create_dataset("w", data=np.zeros(2, "V3")).attrs.update({"dtype": "bfloat16"}),
        "expected numbers",
    ),
    "NaN": (lambda file: file.update({"w": np.full(3, np.nan)}), "NaN"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_what_keras_never_writes_is_refused_at_no_cost(what, tmp_path) -> None:
    write, said = HOSTILE[what]
    path = written(tmp_path / "model.weights.h5", write)
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match=said):
        mdl.load(path)
    assert time.perf_counter() - began < 1.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_datasets_that_share_bytes_are_refused(tmp_path) -> None:
    """Two contiguous datasets at one place of the file: the second's address is overwritten by the first's."""

    def number(value: int) -> bytes:
        return value.to_bytes(8, "little")

    path = tmp_path / "model.weights.h5"
    many = np.arange(100_000, dtype=np.float32)
    written(path, lambda file: file.update({"v": many, "w": many + 1}))
    with h5py.File(path) as file:
        first, second = (file[name].id.get_offset() for name in ("v", "w"))
    data = path.read_bytes()
    assert second + many.nbytes == len(data)
    path.write_bytes(data[:second].replace(number(second), number(first)).replace(number(len(data)), number(second)))
    with h5py.File(path) as file:
        assert file["w"][1] == 1.0  # the library itself sees nothing wrong
    with pytest.raises(WeightsError, match="'w': claims"):
        mdl.load(path)


def test_damage_is_refused_and_never_a_crash(tmp_path) -> None:
    """In a process of its own, since a C library reads it: 200 files with a byte changed, or cut."""
    whole = written(tmp_path / "whole.weights.h5", keras).read_bytes()
    (tmp_path / "files").mkdir()
    for k in range(200):
        data = bytearray(whole)
        place = int(RNG.integers(len(data)))
        if k % 4:
            data[place] ^= 1 << int(RNG.integers(8))
        else:
            del data[place:]
        (tmp_path / "files" / f"{k:03d}.h5").write_bytes(data)
    program = (
        "import sys, pathlib, mdl\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try: mdl.load(path)\n"
        "    except mdl.MdlError: pass\n"
        "print('done')"
    )
    run = [sys.executable, "-c", program, str(tmp_path / "files")]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


def test_what_is_no_hdf5_is_refused(tmp_path) -> None:
    (tmp_path / "model.h5").write_bytes(b"no such thing")
    with pytest.raises(WeightsError, match="cannot be read"):
        mdl.load(tmp_path / "model.h5")


def test_a_missing_package_is_named(tmp_path, monkeypatch) -> None:
    path = written(tmp_path / "model.weights.h5", keras)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(WeightsError, match=r"needs h5py.*description-length\[keras\]"):
        mdl.load(path)
