"""Every analysis runs; what its page shows comes from the committed table, down to the pixel and the digit."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import image
from PIL import Image

from analyses import __main__ as listing
from analyses import _catalogue, _command, _text
from mdl.errors import MdlError

ANALYSES = _catalogue.names()
PAGES = _catalogue.COMMITTED
QUOTED = re.compile(r"{{\s*(\w+)\.(\w+)\s*}}")


@pytest.mark.parametrize("name", ANALYSES)
def test_an_analysis_runs_quickly_and_leaves_table_and_figures(name, tmp_path, capsys) -> None:
    _command.main(name, ["--quick", "--jobs", "1", "--out", str(tmp_path)])
    said = capsys.readouterr().out
    assert _catalogue.load(name).CLAIM in said
    table = _catalogue.read(tmp_path / f"{name}.csv")
    assert _catalogue.load(name).verdict(table) in said
    stems = set(_catalogue.load(name).figures(table))
    made = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert made >= {f"{name}.csv"} | {f"{stem}.{kind}" for stem in stems for kind in ("pdf", "png")}


@pytest.mark.parametrize("name", ANALYSES)
def test_figures_redrawn_are_the_committed_ones_and_have_captions(name, tmp_path) -> None:
    drawn = _catalogue.redraw([name], tmp_path)
    assert {path.stem for path in drawn} == set(_catalogue.load(name).captions(_catalogue.committed(name))) != set()
    for path in drawn:
        there = PAGES / path.name
        assert there.is_file()
        if path.suffix == ".png" and Image.open(there).text["Software"] == f"matplotlib {mpl.__version__}":
            assert differing(path, there) <= 10  # a processor may round a pixel's shade another way


def differing(one: Path, other: Path) -> float:
    """Pixels of two images that are told apart by eye; all of them if the sizes differ."""
    ours, theirs = image.imread(one), image.imread(other)
    return np.inf if ours.shape != theirs.shape else float((np.abs(ours - theirs).max(axis=-1) > 0.1).sum())


def test_one_changed_number_makes_another_figure(tmp_path) -> None:
    analysis, table = _catalogue.load("ladder"), _catalogue.committed("ladder")
    changed = table.assign(ideal_bits=table["ideal_bits"].where(table["rung"] != "evidence", table["ideal_bits"] + 1.0))
    (path,) = [path for path in _catalogue.draw(analysis, changed, tmp_path) if path.name == "ladder_mnist5k.png"]
    assert differing(path, PAGES / path.name) > 10


@pytest.mark.parametrize("name", ANALYSES)
def test_a_page_shows_every_figure_and_quotes_numbers_that_the_committed_table_gives(name) -> None:
    page = (PAGES / f"{name}.md").read_text("utf-8")
    known = _catalogue.quoted(name)
    assert all(isinstance(text, str) and text and re.fullmatch(r"[a-z]\w*", key) for key, text in known.items())
    assert not re.search(r"\bnan\b|\binf\b", " ".join(known.values()))
    quoted = {key for owner, key in QUOTED.findall(page) if owner == name}
    assert {"claim", "verdict"} <= quoted <= set(known)
    assert all(f"{{figure}} {stem}.png" in page for stem in _captions(known) - _elsewhere(name))


@pytest.mark.parametrize("name", ANALYSES)
def test_no_number_on_a_page_is_typed(name) -> None:
    assert typed((PAGES / f"{name}.md").read_text("utf-8")) == []


def _captions(known: dict[str, str]) -> set[str]:
    return {key.removeprefix("caption_") for key in known if key.startswith("caption_")}


def _elsewhere(name: str) -> set[str]:
    """Figures that another page shows."""
    others = [path for path in PAGES.parent.rglob("*.md") if path.stem != name]
    return {stem for path in others for stem in re.findall(r"{figure} (?:\S+/)?(\w+)\.png", path.read_text("utf-8"))}


def typed(page: str) -> list[str]:
    """Numbers in prose. Names (``float32``, ``L2``), years, code, links, the numbers of a list and what a theorem says
    (95 % confidence, the bits of a seam) are not measured; a formula may hold whole numbers only.
    """
    page = re.sub(r"```{(?:toctree|run|shell)}.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE)
    page = re.sub(r"\$\$(.*?)\$\$", lambda found: f"${' '.join(found[1].split())}$", page, flags=re.DOTALL)
    page = re.sub(r"{{.*?}}|`[^`]*`|\]\([^)]*\)|^    .*$|^\d+\. ", "", page, flags=re.MULTILINE)
    decimals = [text for text in re.findall(r"\$[^$]+\$", page) if re.search(r"\d[.,]\d", text)]
    page = re.sub(r"\$[^$]+\$", "", page)
    page = re.sub(r"\b(19|20)\d\d\b|\b95 % confidence|\b64 bits\b", "", page)
    return decimals + re.findall(r"(?<![\w-])[-−]?\d[\d.,eE−-]*(?![\w])", page)


def test_typed_numbers_are_found() -> None:
    page = (
        "1. Under L2, {{ a.b }} of 3.1 bits (`0.5`) and $x^2/24$, 1,122 in 1978 with 12 % and $0.254$.\n\n    code 7\n"
    )
    assert typed(page) == ["$0.254$", "3.1", "1,122", "12"]


def test_the_listing_has_every_claim_and_verdict(capsys, monkeypatch) -> None:
    listing.main(["--json"])
    found = json.loads(capsys.readouterr().out)["analyses"]
    assert [answer["name"] for answer in found] == ANALYSES
    assert all(set(answer) == {"name", "claim", "verdict"} and all(answer.values()) for answer in found)
    monkeypatch.setattr(_catalogue, "answers", lambda: found)  # all verdicts take seconds
    listing.main([])
    said = " ".join(capsys.readouterr().out.split())
    assert all(answer["name"] in said and answer["claim"] in said for answer in found)


def test_figures_are_redrawn_on_request(tmp_path, capsys) -> None:
    listing.main(["figures", "certificates", "--out", str(tmp_path)])
    names = {"certificates.pdf", "certificates.png"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert {Path(line).name for line in capsys.readouterr().out.splitlines()} == names


def test_a_name_that_is_none_is_named(capsys) -> None:
    with pytest.raises(MdlError, match="nothing"):
        _catalogue.load("nothing")
    with pytest.raises(SystemExit) as ended:
        listing.main(["figures", "nothing"])
    assert ended.value.code == 2
    assert "nothing" in capsys.readouterr().err


def test_a_module_runs_as_a_command(tmp_path) -> None:
    command = [sys.executable, "-m", "analyses.l2_is_a_prior", "--help"]
    assert "--quick" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_rows_are_computed_once(tmp_path) -> None:
    options = _command.Options(tmp_path, quick=True, jobs=1)
    tasks = [("wine", "true", 0)]
    compute = _catalogue.load("random_labels").shares
    first = options.rows(compute, tasks)
    (stored,) = (tmp_path / "rows").iterdir()
    before = stored.stat().st_mtime_ns
    pd.testing.assert_frame_equal(options.rows(compute, tasks), first)
    assert stored.stat().st_mtime_ns == before


def test_what_shows_does_not_change_what_is_stored(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(_catalogue, "FOLDER", tmp_path)
    source = (
        '"""Why?"""\nfrom analyses import _helper, _text\nCLAIM = "a"\nN = 3\ndef verdict(table):\n    return "b"\n'
    )

    def said(module: str, helper: str) -> str:
        (tmp_path / "one.py").write_text(module)
        (tmp_path / "_helper.py").write_text(helper)
        return _command._source("one")

    assert said(source, "K = 1") == said(source.replace('"a"', '"A"').replace('"b"', '"B"') + "# why\n", "K = 1  # one")
    assert said(source, "K = 1") != said(source.replace("N = 3", "N = 4"), "K = 1")
    assert said(source, "K = 1") != said(source, "K = 2")


@pytest.mark.parametrize(
    ("shown", "value", "said"),
    [
        (_text.thousands, 20874.9, "20,875"),
        (_text.thousands, float("nan"), "–"),
        (_text.fixed(3), -0.0034, "−0.003"),
        (_text.percent(1), 0.0123, "1.2"),
        (_text.significant(2), 5.2e-5, "5.2·10⁻⁵"),
        (_text.significant(2), -5.2e-5, "−5.2·10⁻⁵"),
        (_text.significant(2), 0.00312, "0.0031"),
        (_text.significant(3), 1234.0, "1,230"),
        (_text.listed, ["a", "b", "c"], "a, b and c"),
        (_text.listed, ["a"], "a"),
    ],
)
def test_numbers_as_pages_print_them(shown, value, said) -> None:
    assert shown(value) == said


def test_a_table_in_markdown() -> None:
    rows = pd.DataFrame({"bits": [1234.5, 2.0], "code": ["a", "b"]})
    said = _text.table(rows, {"code": str, "bits": _text.thousands})
    assert said == "| code | bits |\n| --- | --: |\n| a | 1,234 |\n| b | 2 |"
