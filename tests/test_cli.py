"""The command line as its user meets it: what it prints, what it writes, and how it says no."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import font_manager
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

import mdl
from mdl import priors
from mdl.codes import families

RNG = np.random.default_rng(0)
TENSORS = {"a.weight": RNG.normal(0, 0.1, (40, 30)).astype(np.float32), "a.bias": np.zeros(30, np.float32)}


def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from mdl.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | variables)


def ok(*arguments: object, **variables: str) -> str:
    done = run(*arguments, **variables)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    mdl.save(TENSORS, path)
    return path


def test_measure_prints_one_json_object(checkpoint: Path) -> None:
    read = json.loads(ok("measure", checkpoint, "--step", 2**-6, "--json"))
    length = mdl.measure(TENSORS, step=2**-6)
    assert read["weights"] == 1230
    assert read["total_bits"] == pytest.approx(length.bits)
    assert read["parts"] == pytest.approx(length.part_bits())
    assert read["bits_per_weight"] == pytest.approx(length.comparable.bits / 1230)
    quantised = np.rint(TENSORS["a.weight"] * 64) / 64
    assert read["mse"] == pytest.approx(np.square(quantised - TENSORS["a.weight"]).sum() / 1230, rel=1e-6)


def test_measure_compares_every_prior_and_code_by_name(checkpoint: Path) -> None:
    names = [*priors.BY_NAME, *families.BY_NAME]
    read = json.loads(ok("measure", checkpoint, "--json", *(part for name in names for part in ("-p", name))))
    assert list(read["priors"]) == names
    assert read["priors"][read["prior"]]["total_bits"] == min(p["total_bits"] for p in read["priors"].values())


def test_a_calibration_meets_its_target(checkpoint: Path, tmp_path: Path) -> None:
    factors = {"a.weight": mdl.codes.calibrated.Factors(*(np.ones(n) for n in TENSORS["a.weight"].shape))}
    mdl.Calibration(factors, 1.0).save(tmp_path / "c.npz")
    more = ("--calibrate", tmp_path / "c.npz", "--target-loss", 0.1, "--json")
    measured = json.loads(ok("measure", checkpoint, *more))
    written = json.loads(ok("encode", checkpoint, "-o", tmp_path / "m.mdl", *more))
    error = mdl.decode(tmp_path / "m.mdl")["a.weight"] - TENSORS["a.weight"]
    assert written["loss"] == measured["loss"] <= 0.1
    assert written["loss"] == pytest.approx(0.5 * np.sum(np.square(error.astype(float))), rel=1e-5)


def test_measure_lists_tensors(checkpoint: Path) -> None:
    assert "a.weight" in ok("measure", checkpoint, "--tensors")


@pytest.mark.parametrize(
    "grid",
    [
        ("--step", 0.01), ("--format", "bfloat16"), ("--levels", 7), ("--step", 0.05, "--dead-zone", 0.25), (),
        ("--step", 0.05, "--states", 8), ("--target-bits", 3.0, "--scales"),
        ("--target-mse", 1e-4, "--states", 4, "--prior", "shortest"), ("--step", 0.1, "--prior", "contextual"),
    ],
    ids=["step", "format", "levels", "dead-zone", "default", "trellis", "scales", "shortest", "contextual"],
)  # fmt: skip
def test_encode_then_decode_gives_the_quantised_weights(checkpoint: Path, tmp_path: Path, grid) -> None:
    said = json.loads(ok("encode", checkpoint, "-o", tmp_path / "m.mdl", "--json", *grid))
    assert said["file_bytes"] == (tmp_path / "m.mdl").stat().st_size
    assert said["total_bits"] == pytest.approx(8 * said["file_bytes"])
    ok("decode", tmp_path / "m.mdl", "-o", tmp_path / "out.safetensors", "-q")
    expected = mdl.decode((tmp_path / "m.mdl").read_bytes())
    read = mdl.load(tmp_path / "out.safetensors")
    error = sum(np.square(read[name].astype(float) - TENSORS[name]).sum() for name in TENSORS) / 1230
    assert read == expected
    assert said["mse"] == pytest.approx(error)


def test_targets_are_met_and_a_trellis_meets_them_in_fewer_bits(checkpoint: Path) -> None:
    grid, trellis = (
        json.loads(ok("measure", checkpoint, "--target-mse", 1e-4, "--json", *more)) for more in ((), ("--states", 64))
    )
    assert max(grid["mse"], trellis["mse"]) <= 1e-4
    assert trellis["bits_per_weight"] < grid["bits_per_weight"] - 0.1
    told = json.loads(ok("measure", checkpoint, "--target-bits", 2.5, "--json"))
    assert 2.49 < told["bits_per_weight"] <= 2.5


def test_a_curve_is_a_table_and_a_figure(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "rates" / "curve.csv"
    out.parent.mkdir()
    said = json.loads(ok("measure", checkpoint, "-p", "gaussian", "-p", "laplace", "--curve", out, "--json"))
    table = pd.read_csv(out)
    assert table["bits_per_weight"].tolist() == pytest.approx([row["bits_per_weight"] for row in said["curve"]])
    assert table["prior"].tolist() == ["gaussian"] * 7 + ["laplace"] * 7
    assert (table.groupby("prior")["mse"].diff().dropna() < 0.0).all()
    assert {Path(name).name for name in said["files"]} == {"curve.csv", "curve.pdf", "curve.png"}
    assert {path.name for path in out.parent.iterdir()} == {"curve.csv", "curve.pdf", "curve.png"}


def test_one_tensor_is_decoded_alone(checkpoint: Path, tmp_path: Path) -> None:
    ok("encode", checkpoint, "-o", tmp_path / "m.mdl", "--jobs", 2, "-q")
    said = ok("decode", tmp_path / "m.mdl", "-o", tmp_path / "out.npz", "--tensor", "a.bias")
    assert said.splitlines() == ["Weights: 1 tensor, 30 weights, 120 bytes", "  a.bias  float32  30"]
    assert mdl.load(tmp_path / "out.npz") == mdl.load({"a.bias": TENSORS["a.bias"]})
    done = run("decode", tmp_path / "m.mdl", "-o", tmp_path / "out.npz", "--tensor", "a.bais")
    assert (done.returncode, done.stderr) == (2, "mdl: the message holds no tensor 'a.bais'\n")


def test_a_figure_is_drawn_in_silence_where_fonts_are_missing(checkpoint: Path, tmp_path: Path) -> None:
    fonts = copy.copy(font_manager.fontManager)
    fonts.ttflist = [font for font in fonts.ttflist if font.name == "DejaVu Sans"]
    font_manager.json_dump(fonts, tmp_path / f"fontlist-v{fonts.__version__}.json")
    ok("measure", checkpoint, "--curve", tmp_path / "curve.csv", MPLCONFIGDIR=str(tmp_path))
    assert (tmp_path / "curve.png").stat().st_size > 0


def test_labels_decode_from_inputs(tmp_path: Path) -> None:
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X)
    data = mdl.encode_with_data(mdl.wrap(LogisticRegression(C=0.1).fit(X, y)), X, y)
    (tmp_path / "m.mdl").write_bytes(data)
    np.save(tmp_path / "X.npy", X)
    ok(
        "decode",
        tmp_path / "m.mdl",
        "-o",
        tmp_path / "w.npz",
        "--inputs",
        tmp_path / "X.npy",
        "--labels",
        tmp_path / "y.npz",
    )
    np.testing.assert_array_equal(np.load(tmp_path / "y.npz")["y"], y)


def test_quiet_prints_nothing(checkpoint: Path) -> None:
    assert ok("measure", checkpoint, "-q") == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("measure", "missing.safetensors"), "missing.safetensors"),
        (("measure", "{file}", "--prior", "normal"), "expected one of gaussian"),
        (("measure", "{file}", "--step", "0"), "step"),
        (("measure", "{file}", "--step", "1e-12"), "2^31"),
        (("measure", "{file}", "--step", "nan"), "step"),
        (("measure", "{file}", "--format", "float7"), "float7"),
        (("measure", "{file}", "--step", "1", "--levels", "3"), "at most one"),
        (("measure", "{file}", "--step", "1", "--target-mse", "1"), "at most one"),
        (("measure", "{file}", "--states", "7"), "states: expected one of 4"),
        (("measure", "{file}", "--states", "8", "--format", "bfloat16"), "--states: expected a step"),
        (("measure", "{file}", "--states", "8", "--dead-zone", "0.3"), "at most one of --states and --dead-zone"),
        (("measure", "{file}", "--scales", "--prior", "kt"), "--scales: expected a prior"),
        (("measure", "{file}", "--target-mse", "-1"), "target: expected a positive"),
        (("measure", "{file}", "--target-bits", "1e-9"), "nothing within reach"),
        (("measure", "{file}", "--target-loss", "1"), "--target-loss: expected --calibrate beside it"),
        (("measure", "{file}", "--calibrate", "{file}"), "expected a calibration"),
        (("measure", "{file}", "--curve", "{out}", "--step", "1"), "--curve: expected no step"),
        (("encode", "{file}", "-o", "no/such/folder/m.mdl"), "m.mdl"),
        (("decode", "{file}", "-o", "{out}"), "not a .mdl"),
        (("decode", "missing.mdl", "-o", "{out}"), "missing.mdl"),
        (("sweep", "nothing.csv"), "nothing.csv"),
        (("sweep", "digits", "--model", "forest"), "forest"),
        (("sweep", "digits", "--prior", "normal"), "normal"),
        (("figures", "nothing"), "nothing"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_status_2(checkpoint: Path, tmp_path: Path, arguments, said) -> None:
    out = tmp_path / "out.npz"
    done = run(*(a.format(file=checkpoint, out=out) for a in arguments))
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.safetensors"]


def test_importing_the_library_leaves_heavy_packages_alone() -> None:
    heavy = ["torch", "onnx", "pandas", "matplotlib.pyplot", "sklearn", "sympy", "typer", "joblib"]
    code = f"import mdl, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_ladder_writes_table_and_figure_and_prints_every_rung(tmp_path: Path) -> None:
    from mdl.ladder import RUNGS

    done = run("ladder", "wine", "--strength", 1e-2, "--out", tmp_path, "--jobs", 1)
    assert done.returncode == 0, done.stderr
    assert all(rung.name in done.stdout for rung in RUNGS)
    assert {path.name for path in tmp_path.iterdir()} == {"ladder.csv", "ladder.pdf", "ladder.png"}


def test_ladder_of_a_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    read = json.loads(ok("ladder", "--model", checkpoint, "--out", tmp_path, "--json"))
    bits = {row["rung"]: row["bits"] for row in read["rungs"]}
    assert bits["float32"] == pytest.approx(32 * 1230)
    assert bits["gaussian"] < bits["brotli"] < bits["float16"]
    assert run("ladder").returncode == 2


def test_figures_are_redrawn_from_committed_tables(tmp_path: Path) -> None:
    read = json.loads(ok("figures", "certificates", "--out", tmp_path, "--json"))
    assert sorted(Path(file).name for file in read["files"]) == ["certificates.pdf", "certificates.png"]
    assert all(Path(file).is_file() for file in read["files"])


def test_figures_without_the_analyses_say_where_they_are(monkeypatch, capsys) -> None:
    from mdl import cli

    monkeypatch.setitem(sys.modules, "analyses", None)
    monkeypatch.delitem(sys.modules, "analyses._catalogue", raising=False)
    monkeypatch.setattr(sys, "argv", ["mdl", "figures"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "in the repository" in capsys.readouterr().err


def test_select_says_which_strength_is_shortest() -> None:
    read = json.loads(ok("select", "wine", "--code", "evidence", "--strengths", 4, "--json"))
    bits = [row["bits"] for row in read["strengths"]]
    assert read["strength"] == read["strengths"][int(np.argmin(bits))]["strength"]
    assert sum(row["weight"] for row in read["strengths"]) == pytest.approx(1.0)
    assert "shortest under evidence" in ok("select", "wine", "--code", "evidence", "--strengths", 4)
    refused = run("select", "wine", "--code", "cv")
    assert refused.returncode == 2
    assert refused.stderr.startswith("mdl: code: expected one of evidence")
