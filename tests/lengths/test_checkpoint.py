"""Weights of any size: parts, files, single tensors, and what happens when writing stops half-way."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

import mdl
from mdl import clusters
from mdl.codes import archive, message
from mdl.codes.archive import Archive, Part, Piece
from mdl.codes.scaled import Scaled
from mdl.errors import MdlError, MessageError, WeightsError
from mdl.lengths import checkpoint
from mdl.lengths.checkpoint import decode_file, encode_file, report
from mdl.source import Checkpoint, open_source, sample
from mdl.trellis import Trellis
from mdl.trials import default_step
from tests.codes import reference

RNG = np.random.default_rng(3)
STEP = 2.0**-5
TENSORS = {
    "table": RNG.normal(0, 0.1, (90, 7)).astype(np.float32),
    "bias": RNG.normal(0, 0.1, 11).astype(np.float16),
    "empty": np.zeros((0, 4), np.float32),
    "n": RNG.integers(-9, 9, (3, 3)),
    "wide": RNG.laplace(0, 0.1, (2, 300)),
    "scalar": np.array(0.25),
}
SHAPES = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3), st.lists(st.integers(0, 9), max_size=3).map(tuple), max_size=6
)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch) -> None:
    monkeypatch.setattr(archive, "PART", 100)


def save(folder: Path, tensors=TENSORS) -> Path:
    path = folder / "model.safetensors"
    mdl.save(tensors, path)
    return path


# --- cutting ----------------------------------------------------------------------------------------------------------


@given(SHAPES, st.integers(1, 20))
def test_parts_hold_every_entry_once_and_in_order(shapes, most) -> None:
    specs = {name: (np.dtype(np.float32), shape) for name, shape in shapes.items()}
    parts = archive.cut(specs, most)
    expected = [(name, k) for name, shape in shapes.items() for k in range(math.prod(shape))]
    assert [(p.name, k) for part in parts for p in part for k in range(p.start, p.stop)] == expected
    assert all(0 < sum(p.stop - p.start for p in part) <= most for part in parts)
    assert all(math.prod(p.shape) == p.stop - p.start for part in parts for p in part)


@given(SHAPES, st.integers(1, 20))
def test_a_reader_finds_the_pieces_from_the_numbers_of_entries(shapes, most) -> None:
    specs = {name: (np.dtype(np.float32), shape) for name, shape in shapes.items()}
    parts = archive.cut(specs, most)
    listed = tuple(Part(sum(p.stop - p.start for p in part), 0, 0) for part in parts)
    opened = Archive(io.BytesIO(), specs, listed)
    assert [tuple(opened.pieces(k)) for k in range(len(parts))] == parts
    for name in specs:
        assert list(opened.numbers(name)) == [k for k, part in enumerate(parts) if name in {p.name for p in part}]


def test_rows_stay_whole_where_they_fit() -> None:
    parts = archive.cut({"w": (np.dtype(np.float32), (50, 7))}, 100)
    assert [part[0].shape for part in parts] == [(14, 7), (14, 7), (14, 7), (8, 7)]
    assert archive.cut({"w": (np.dtype(np.float32), (2, 150))}, 100)[0] == (
        Piece("w", 0, 100, np.dtype(np.float32), (100,)),
    )


# --- what comes back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prior", [mdl.Gaussian(), mdl.KT, Scaled()], ids=["gaussian", "kt", "scaled"])
def test_parts_decode_to_the_quantised_weights(prior) -> None:
    data = mdl.encode(TENSORS, prior, STEP)
    assert archive.is_archive(data)
    expected = {k: np.rint(v / STEP) * STEP if v.dtype.kind == "f" else v for k, v in mdl.load(TENSORS).items()}
    assert mdl.decode(data) == mdl.load({k: v.astype(TENSORS[k].dtype) for k, v in expected.items()})


def test_the_reference_reads_parts() -> None:
    data = mdl.encode(TENSORS, step=STEP)
    read = reference.decode_parts(data)
    assert list(read) == list(TENSORS)
    for name, tensor in mdl.decode(data).items():
        assert read[name] == tensor.ravel().tolist()


def test_the_length_is_that_of_the_bytes_and_near_the_ideal() -> None:
    for quantizer in (STEP, Trellis(STEP, 8)):
        found = report(TENSORS, mdl.Gaussian(), quantizer, realise=True)
        assert 8 * len(found.data) == pytest.approx(found.length.bits, abs=1e-6)
        ideal = mdl.measure(TENSORS, mdl.Gaussian(), quantizer)
        parts = len(archive.cut(mdl.load(TENSORS).shapes, 100))
        assert found.length.comparable.bits <= 1.0002 * ideal.comparable.bits + 64 * parts
        assert ideal.part("header") == pytest.approx(found.length.part("header"), abs=parts * 48)


def test_rows_of_a_cut_tensor_are_added_up() -> None:
    whole = report(TENSORS, mdl.Gaussian(0.125), STEP, tensors=True)
    assert [row[0] for row in whole.tensors] == list(mdl.load(TENSORS).floats)
    assert [row[1] for row in whole.tensors] == [v.size for v in mdl.load(TENSORS).floats.values()]
    table = report({"table": TENSORS["table"]}, mdl.Gaussian(0.125), STEP)
    error = np.square(np.rint(TENSORS["table"] / STEP) * STEP - TENSORS["table"].astype(float)).mean()
    assert dict((row[0], row[3]) for row in whole.tensors)["table"] == pytest.approx(error)  # noqa: C402
    assert table.mse == pytest.approx(error)


def test_one_tensor_is_read_without_the_others(tmp_path, monkeypatch) -> None:
    out = tmp_path / "w.mdl"
    encode_file(TENSORS, out, step=STEP)
    whole, read = mdl.decode(out), []
    parse_part = message.parse_part
    monkeypatch.setattr(message, "parse_part", lambda data, *more: read.append(more) or parse_part(data, *more))
    assert mdl.decode(out, names=["bias"]) == mdl.load({"bias": whole["bias"]})
    assert len(read) == 1
    assert mdl.decode(out, names=["empty", "scalar"])["empty"].shape == (0, 4)
    with pytest.raises(MessageError, match="no tensor 'other'"):
        mdl.decode(out, names=["other"])


def test_one_tensor_of_a_short_message(monkeypatch) -> None:
    monkeypatch.setattr(archive, "PART", 1 << 22)
    data = mdl.encode(TENSORS, step=STEP)
    assert list(mdl.decode(data, names=["bias"])) == ["bias"]
    with pytest.raises(MessageError, match="no tensor 'other'"):
        mdl.decode(data, names=["other"])


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_files_in_parts_hold_what_bytes_hold(tmp_path, suffix) -> None:
    path, out, back = save(tmp_path), tmp_path / "w.mdl", tmp_path / f"back{suffix}"
    found = encode_file(path, out, step=STEP)
    assert out.read_bytes() == mdl.encode(path, step=STEP) == mdl.encode(TENSORS, step=STEP)
    assert found.length.bytes == pytest.approx(out.stat().st_size, abs=1e-6)
    shapes = decode_file(out, back)
    assert mdl.load(back) == mdl.decode(out)
    assert shapes == mdl.load(TENSORS).shapes
    decode_file(out, back, names=["wide"])
    assert list(mdl.load(back)) == ["wide"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, out.name, back.name])


def test_two_processes_write_the_same_bytes(tmp_path) -> None:
    path = save(tmp_path)
    for jobs in (1, 2):
        encode_file(path, tmp_path / f"{jobs}.mdl", mdl.Laplace(), STEP, n_jobs=jobs)
    assert (tmp_path / "1.mdl").read_bytes() == (tmp_path / "2.mdl").read_bytes()


def test_workers_of_a_cluster_are_given_the_parts(tmp_path, monkeypatch) -> None:
    """A real one, with a worker killed on the way, is in test_clusters."""
    path, given = save(tmp_path), []

    def results(function, shared, parts, scheduler):
        given.extend([len(parts), scheduler])
        return (function(shared, part) for part in reversed(parts))

    monkeypatch.setattr(clusters, "results", results)
    encode_file(path, tmp_path / "far.mdl", mdl.Laplace(), STEP, backend="dask", scheduler="tcp://host:8786")
    encode_file(path, tmp_path / "near.mdl", mdl.Laplace(), STEP)
    assert given == [len(archive.cut(mdl.load(TENSORS).shapes, 100)), "tcp://host:8786"]
    assert (tmp_path / "far.mdl").read_bytes() == (tmp_path / "near.mdl").read_bytes()


@pytest.mark.parametrize("ways", [{"backend": "ray"}, {"scheduler": "tcp://host:8786"}, {"n_jobs": 0}], ids=str)
@pytest.mark.parametrize("most", [100, 1 << 22], ids=["parts", "one message"])
def test_ways_that_are_none_are_refused_before_anything_is_written(tmp_path, monkeypatch, ways, most) -> None:
    monkeypatch.setattr(archive, "PART", most)
    path = save(tmp_path)
    with pytest.raises(MdlError, match=next(iter(ways))):
        encode_file(path, tmp_path / "w.mdl", step=STEP, **ways)
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_writing_that_stopped_goes_on(tmp_path, monkeypatch) -> None:
    path, out = save(tmp_path), tmp_path / "w.mdl"
    done, write_part = [], message.write_part

    def counted(*arguments):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(arguments)
        return write_part(*arguments)

    monkeypatch.setattr(message, "write_part", counted)
    with pytest.raises(KeyboardInterrupt):
        encode_file(path, out, step=STEP)
    assert not out.exists()
    monkeypatch.setattr(message, "write_part", lambda *a: done.append(a) or write_part(*a))
    encode_file(path, out, step=STEP)
    assert len(done) == len(archive.cut(mdl.load(TENSORS).shapes, 100))
    assert out.read_bytes() == mdl.encode(path, step=STEP)
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, out.name]


def test_other_weights_do_not_take_over_the_parts_of_a_stopped_run(tmp_path, monkeypatch) -> None:
    path, out = save(tmp_path), tmp_path / "w.mdl"
    monkeypatch.setattr(checkpoint.archive, "write", lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        encode_file(path, out, step=STEP)
    monkeypatch.undo()
    monkeypatch.setattr(archive, "PART", 100)
    other = {name: -tensor for name, tensor in TENSORS.items()}
    save(tmp_path, other)
    encode_file(path, out, step=STEP)
    assert out.read_bytes() == mdl.encode(other, step=STEP)


def test_shards_are_read_in_pieces(tmp_path, monkeypatch) -> None:
    names = list(TENSORS)
    for shard, chosen in enumerate((names[:3], names[3:])):
        safetensors.numpy.save_file({k: TENSORS[k] for k in chosen}, tmp_path / f"{shard}.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {k: f"{int(names.index(k) > 2)}.safetensors" for k in names}}))
    source = open_source(index)
    assert isinstance(source, Checkpoint)
    largest = []
    fromfile = np.fromfile
    monkeypatch.setattr(np, "fromfile", lambda *a, **k: largest.append(a[2]) or fromfile(*a, **k))
    data = mdl.encode(index, step=STEP)
    assert max(largest) == 100
    assert data == mdl.encode(TENSORS, step=STEP)
    assert default_step(source) == default_step(mdl.load(TENSORS))


def test_values_that_are_not_finite_are_named_when_they_are_met(tmp_path) -> None:
    path = save(tmp_path)
    raw = bytearray(path.read_bytes())
    position = raw.index(TENSORS["wide"].tobytes()) + 8 * 150
    raw[position : position + 8] = np.array(np.nan).tobytes()
    path.write_bytes(raw)
    with pytest.raises(WeightsError, match=r"model.safetensors: tensor 'wide': 1 of"):
        mdl.measure(path, step=STEP)


def test_a_sample_of_a_large_tensor_is_spread_over_it() -> None:
    w = np.arange(5_000_000, dtype=np.float64)
    taken = sample(mdl.load({"w": w}), "w")
    assert taken.size <= 1 << 20
    assert abs(taken.mean() / w.mean() - 1.0) < 0.01


# --- damage -----------------------------------------------------------------------------------------------------------


def test_every_damaged_byte_is_noticed() -> None:
    data = mdl.encode({"a": TENSORS["table"], "b": TENSORS["bias"]}, step=2.0**-2)
    rng = np.random.default_rng(5)
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(rng.integers(8))
        with pytest.raises(MessageError):
            mdl.decode(bytes(damaged))


@pytest.mark.parametrize("length", [0, 5, 6, 16, 17, 40, -1, -12, -13])
def test_a_cut_file_is_refused(length) -> None:
    data = mdl.encode(TENSORS, step=STEP)
    with pytest.raises(MessageError):
        mdl.decode(data[:length])


def test_swapped_parts_are_noticed() -> None:
    w = {"w": RNG.normal(size=(40, 5)).astype(np.float32)}
    data = mdl.encode(w, step=STEP)
    first, second = Archive.open(io.BytesIO(data)).parts
    swapped = data[:5] + data[5 + first.size : 5 + first.size + second.size] + data[5 : 5 + first.size]
    with pytest.raises(MessageError):
        mdl.decode(swapped + data[len(swapped) :])


def forged(shapes, parts, body=b"") -> bytes:
    specs = {name: (np.dtype(np.float32), shape) for name, shape in shapes.items()}
    return archive.MAGIC + bytes([archive.VERSION]) + body + archive.index_bytes(specs, parts)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (forged({"w": (10**6, 10**6)}, [Part(10**12, 0, 0)]), "more than the"),
        (forged({"w": (10,)}, [Part(10, 5, 0)]), "do not add up"),
        (forged({"w": (10,)}, [Part(9, 0, 0)]), "do not add up"),
        (forged({"w": (10,)}, [Part(10, 0, 0), Part(0, 0, 0)]), "expected some weights, got none"),
        (forged({"w": (3_000_000,)}, [Part(3_000_000, 0, 0)], bytes(0)), "more than the"),
        (forged({}, []), None),
    ],
)
def test_forged_indices_are_refused(data, said) -> None:
    if said is None:
        assert len(mdl.decode(data)) == 0
        return
    with pytest.raises(MdlError, match=said):
        mdl.decode(data)


def test_a_notebook_shows_tensors_as_text() -> None:
    found = checkpoint.report({"<b>": np.ones(4), "w": np.zeros(2)}, mdl.Gaussian(), 0.5, tensors=True)
    assert found.table()["bits_per_weight"].tolist() == pytest.approx((found.table()["bits"] / [4, 2]).tolist())
    shown = found._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown
    assert shown.count("<table>") == 2
    assert found.without_tensors()._repr_html_().count("<table>") == 1
