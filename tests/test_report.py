"""The page about weights or a sweep: its numbers, hostile names in it, and what a browser makes of it."""

from __future__ import annotations

import html
import html.parser
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import mdl
from mdl import report, sweep
from mdl.errors import DataError, MdlError
from tests.test_cli import ok, run

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
browser = pytest.mark.skipif(BROWSER is None, reason="no browser")
RNG = np.random.default_rng(0)
HOSTILE = (
    "<!--", "<script>document.title = 'run'</script>", "<img src={url}/img.png onerror='x'>",
    "\"'><link rel=stylesheet href={url}/a.css>", "<style>@import '{url}/b.css';</style>", "</table></main>",
    "&lt;b&gt;", "$\\frac{x$", "$$", "a_b^c", "\u202eabc", "\x1b[2J", "\u4e2d\u6587", "line\nline", "]]>", "w" * 300,
)  # fmt: skip
VOID = {"meta", "link", "img"}


class Parsed(html.parser.HTMLParser):
    """Elements, text, exact numbers and what is referred to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text, self.cells = "", []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data

    def values(self) -> list[float]:
        return [float(about["value"] or "") for tag, about in self.elements if tag == "data"]


def hostile_weights(path: Path, url: str = "http://127.0.0.1:9") -> Path:
    mdl.save({name.replace("{url}", url): RNG.normal(0, 0.1, (7, k + 1)) for k, name in enumerate(HOSTILE)}, path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_weights(tmp_path_factory.mktemp("w") / "w.npz")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mdl.datasets import load

    folder = tmp_path_factory.mktemp("sweep")
    sweep.sweep(
        load("wine"),
        ["logistic", "mlp"],
        [1e-3, 1e-1],
        [0],
        ["gaussian", "laplace"],
        out=folder,
        n_jobs=1,
        progress=False,
    )
    return folder


def written(source: Path, **options: Any) -> Parsed:
    out = source.parent / "page.html"
    report.write(source, out, **options)
    return Parsed(out.read_text("utf-8"))


def test_nothing_of_a_name_becomes_markup_and_nothing_is_fetched(weights: Path) -> None:
    page = written(weights)
    assert {tag for tag, _ in page.elements} == {
        "html", "head", "meta", "link", "title", "style", "body", "main", "h1", "h2", "section", "p", "figure", "img",
        "figcaption", "div", "table", "caption", "thead", "tbody", "tr", "th", "td", "data", "footer",
    }  # fmt: skip
    for _, about in page.elements:
        assert not [name for name in about if name.startswith("on") or name in ("srcset", "action", "data")]
        assert all(str(about[name]).startswith("data:") for name in ("src", "href") if name in about)
        assert "style" not in about
    shown = " ".join(page.cells)
    for name in HOSTILE[:2] + HOSTILE[5:10]:
        assert name in shown
    assert "\\u202e" in shown
    assert not [c for c in page.text if not c.isprintable() and c != "\n"]
    (policy,) = (about["content"] for _, about in page.elements if about.get("http-equiv"))
    assert str(policy).startswith("default-src 'none'")


def test_figures_hold_names_as_they_are(weights: Path) -> None:
    axes = mdl.plot.plot_tensors(mdl.lengths.checkpoint.report(weights, mdl.Gaussian(), None, tensors=True).table())
    axes.figure.canvas.draw()  # a name that were a formula would end here
    texts = [text.get_text() for text in axes.texts]
    assert len(texts) == 16
    assert texts[-1].startswith("1 others")
    assert any("..." in text and len(text) < 60 for text in texts)


def test_the_page_says_what_measure_says(weights: Path) -> None:
    page = written(weights, priors=["gaussian", "mixture"], step=0.03)
    lengths = {name: mdl.measure(weights, sweep.CODES[name], 0.03) for name in ("gaussian", "mixture")}
    best = min(lengths.values())
    assert {length.comparable.bits for length in lengths.values()} <= set(page.values())
    assert f"they take {best.comparable.bits:,.1f} bits" in page.text
    bests = [about for tag, about in page.elements if tag == "tr" and about.get("class") == "best"]
    assert len(bests) == 1
    rows = mdl.lengths.checkpoint.report(weights, sweep.CODES["gaussian"], 0.03, tensors=True).table()
    assert len([1 for bits in rows["weights"] if bits in page.values()]) == len(HOSTILE)


def test_a_page_of_a_sweep_says_what_its_summary_says(swept: Path) -> None:
    page = written(swept)
    found = sweep.summary(pd.read_csv(swept / "sweep.csv"))
    for column in ("model_bits", "data_bits", "total_bits", "test_bits_per_example", "excess_bits"):
        assert set(found[column]) <= set(page.values())
    for _, part in found.groupby("model"):
        best = part.loc[part["total_bits"].idxmin()]
        assert f"{best['total_bits']:,.1f} bits, at λ = {best['strength']:.3g} under the {best['prior']}" in page.text
    assert [tag for tag, _ in page.elements].count("img") == 6
    only = written(swept / "sweep.csv", priors=["laplace"])
    assert "gaussian" not in only.text


def test_a_sweep_of_hostile_words_is_text(swept: Path, tmp_path: Path) -> None:
    table = pd.read_csv(swept / "sweep.csv")
    words = {"gaussian": "<script>$x^{$", "laplace": "_\x1b[2J\u4e2d"}
    table.assign(prior=table["prior"].map(words), model="<i>$", dataset="<b>").to_csv(tmp_path / "s.csv", index=False)
    page = written(tmp_path / "s.csv")
    assert not {"script", "i", "b"} & {tag for tag, _ in page.elements}
    assert "<b>: <i>$" in page.text


def test_the_same_bytes_again_and_a_number_of_tensors_is_listed(tmp_path: Path) -> None:
    mdl.save({f"t{k:04}": RNG.normal(0, 0.1, 5 + k // 100) for k in range(520)}, tmp_path / "w.npz")
    report.write(tmp_path / "w.npz", tmp_path / "a.html", ["gaussian"])
    report.write(tmp_path / "w.npz", tmp_path / "b.html", ["gaussian"])
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    page = Parsed((tmp_path / "a.html").read_text())
    assert "20 more take" in page.text
    assert sum(cell.startswith("t0") for cell in page.cells) == 500


def test_weights_without_floats_have_a_page(tmp_path: Path) -> None:
    mdl.save({"counter": np.arange(5)}, tmp_path / "w.npz")
    page = written(tmp_path / "w.npz")
    assert "0 weights in 1 tensors" in page.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.drop(columns="prior"), "without prior"),
        (lambda table: table.assign(total_bits=np.nan), "column total_bits: expected finite"),
        (lambda table: table.assign(strength="x"), "column strength: expected finite"),
        (lambda table: table[:0], "expected a row"),
    ],
)
def test_tables_that_are_no_sweeps_are_refused(swept: Path, tmp_path: Path, change: Any, said: str) -> None:
    change(pd.read_csv(swept / "sweep.csv")).to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(DataError, match=said):
        report.write(tmp_path / "s.csv", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_sources_and_options_that_cannot_be_used_are_refused(swept: Path, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    for source, options, said in (
        (tmp_path, {}, "sweep.csv"),
        (tmp_path / "empty.csv", {}, "cannot be read"),
        (tmp_path / "missing.npz", {}, "missing.npz"),
        (swept, {"step": 0.1}, "step: expected none"),
        (swept, {"priors": ["cauchy"]}, "expected one of gaussian, laplace, got 'cauchy'"),
        (weights, {"priors": ["normal"]}, "got 'normal'"),
        (weights, {"step": -1.0}, "step"),
    ):
        with pytest.raises(MdlError, match=said):
            report.write(source, tmp_path / "page.html", **options)


def test_the_command_says_what_it_wrote(weights: Path, swept: Path, tmp_path: Path) -> None:
    said = json.loads(ok("report", weights, "-o", tmp_path / "w.html", "--json", "-p", "gaussian"))
    assert said == {
        "kind": "weights", "file": str(tmp_path / "w.html"), "bytes": (tmp_path / "w.html").stat().st_size
    }  # fmt: skip
    assert ok("report", swept, "-o", tmp_path / "s.html").splitlines() == [f"page {tmp_path / 's.html'}, of a sweep"]
    refused = run("report", weights, "-o", tmp_path / "x.html", "-p", "normal")
    assert (refused.returncode, refused.stdout, (tmp_path / "x.html").exists()) == (2, "", False)


# --- in a browser -----------------------------------------------------------------------------------------------------


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """An address of the folder on this machine, and what was asked of it."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def browse(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage",
        f"--user-data-dir={folder / 'profile'}", *arguments,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@browser
@pytest.mark.parametrize("kind", ["weights", "sweep"])
@pytest.mark.parametrize("width", [400, 1400])
def test_a_browser_shows_all_of_it_within_its_width(
    swept: Path, weights: Path, tmp_path: Path, kind: str, width: int
) -> None:
    report.write(swept if kind == "sweep" else weights, tmp_path / "page.html")
    browse(
        tmp_path, f"--window-size={width},3000", f"--screenshot={tmp_path / 'shot.png'}", f"file://{tmp_path}/page.html"
    )
    shot = np.asarray(Image.open(tmp_path / "shot.png").convert("L"))
    assert shot.shape[1] == width
    assert (shot[:, -8:] == 255).all()  # nothing runs over the edge
    assert (shot[:, :8] == 255).all()
    assert 0.02 < (shot < 200).mean() < 0.5
    body = shot[:, 16:-16] < 200
    assert body.any(axis=0).mean() > 0.9 if width == 400 else True  # and the width is used


@browser
def test_no_request_leaves_the_page_and_no_name_is_run(tmp_path: Path) -> None:
    with served(tmp_path) as (url, asked):
        report.write(hostile_weights(tmp_path / "w.npz", url), tmp_path / "page.html")
        dom = browse(tmp_path, "--dump-dom", f"{url}/page.html").stdout
        assert asked == ["/page.html"]
        assert "<title>Code length of w.npz</title>" in dom
        # the probe sees what is not escaped: the same page, open to names
        open_ = html.unescape((tmp_path / "page.html").read_text())
        (tmp_path / "open.html").write_text(re.sub("<meta http-equiv[^>]*>", "", open_, count=1))
        dom = browse(tmp_path, "--dump-dom", f"{url}/open.html").stdout
        assert "<title>run</title>" in dom
        assert "/img.png" in asked


@browser
def test_it_prints(swept: Path, tmp_path: Path) -> None:
    report.write(swept, tmp_path / "page.html")
    browse(tmp_path, f"--print-to-pdf={tmp_path / 'page.pdf'}", f"file://{tmp_path}/page.html")
    data = (tmp_path / "page.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 4
