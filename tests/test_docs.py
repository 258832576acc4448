"""The documentation: its examples run, it quotes what exists, and what it builds with does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from analyses import _catalogue
from docs._ext import derivations, examples, latex, offline, quoted, reference

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.parent.name != "reference")
RUN = [path for path in PAGES if examples.blocks(path.read_text("utf-8"))]


def name(path: Path) -> str:
    return str(path.relative_to(DOCS))


@pytest.mark.parametrize("path", RUN, ids=name)
def test_the_examples_of_a_page_run(path: Path) -> None:
    page = examples.Examples()
    for kind, status, code in examples.blocks(path.read_text("utf-8")):
        if kind == "run":
            page.run(code)
        else:
            for command in examples.commands(code):
                page.shell(command, status)


def test_every_front_door_command_has_a_how_to() -> None:
    from typer.main import get_command

    from mdl.cli import app

    pages = " ".join(path.read_text("utf-8") for path in (DOCS / "howto").glob("*.md"))
    assert all(f"mdl {command} " in pages for command in get_command(app).commands)


def test_what_a_page_quotes_exists() -> None:
    """What an answer quotes of itself is seen in test_analyses."""
    pages = {path: path.read_text("utf-8") for path in PAGES}
    quotes = {(path, *each) for path, text in pages.items() for each in re.findall(r"{{\s*(\w+)\.(\w+)\s*}}", text)}
    answers = {_catalogue.COMMITTED / f"{name}.md": name for name in _catalogue.names()}
    of_others = {(path, owner, key) for path, owner, key in quotes if answers.get(path) != owner}
    known = {owner: quoted.pieces(owner) for owner in {owner for _, owner, _ in of_others}}
    assert {"answers", "theory", "shares"} < set(known)
    for path, owner, key in of_others:
        assert key in known[owner], f"{name(path)}: {owner}.{key}"


def test_examples_share_a_namespace_and_a_folder() -> None:
    page = examples.Examples()
    assert page.run("x = 2\nprint(x)\nx + 1") == "2\n3\n"
    page.run("with open('made', 'w') as stream:\n    print(x, file=stream)")
    assert page.shell("cat made") == "2\n"
    with pytest.raises(ZeroDivisionError):
        page.run("1 / 0")
    with pytest.raises(examples.ExampleError, match="expected status 0, got 1"):
        page.shell("cat missing")
    assert "missing" in page.shell("cat missing", status=1)


def test_blocks_are_found_with_their_status() -> None:
    text = "a\n\n```{run}\nx = 1\n```\n\n```python\ny\n```\n\n```{shell}\n:status: 2\n\nmdl x\n```\n"
    assert examples.blocks(text) == [("run", 0, "x = 1\n"), ("shell", 2, "\nmdl x\n")]
    assert examples.commands("\nmdl x\n") == ["mdl x"]


def test_the_reference_has_a_page_for_every_room_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "gone.md").write_text("a room that was")
    reference.write(tmp_path)
    rooms = {path.stem for path in reference.PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"}
    pages = {path.stem for path in tmp_path.iterdir()}
    assert pages == {room for room in rooms if not room.startswith(("_", "py"))} | {"index", "mdl"}
    assert "automodule:: mdl.lengths.nml.linear" in (tmp_path / "lengths.md").read_text("utf-8")
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    reference.write(tmp_path)
    assert written == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


def test_pages_that_load_from_elsewhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<link rel="stylesheet" href="own.css"><a href="https://there/"><script async src="//cdn/x.js"></script>'
        '<link href="https://fonts/f" rel="stylesheet"><link rel="canonical" href="https://here/"><img src="a.png">'
    )
    (tmp_path / "b.css").write_text("@import 'http://x/y.css'; a { background: url(https://z/i.png) } b { url(c.png) }")
    assert offline.loaded(tmp_path) == [
        "a.html: //cdn/x.js",
        "a.html: https://fonts/f",
        "b.css: http://x/y.css",
        "b.css: https://z/i.png",
    ]


def test_formulas_are_those_of_the_library() -> None:
    found = derivations.formulas()
    assert found["lattice_overhead_bits"] == "0.2546"
    assert found["bernoulli_2_bits"] == "1.322"  # log2 of 5/2
    assert found["penalties"].count("\n") == 10
    assert all(row.count("|") == 6 for row in found["penalties"].splitlines())


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"\frac12 \ln x", r"\frac{1}{2} \ln x"),
        (r"\tfrac12\sum", r"\tfrac{1}{2}\sum"),
        (r"\frac 3 4", r"\frac{3}{4}"),
        (r"\frac{1}{2}", r"\frac{1}{2}"),
    ],
)
def test_fractions_of_two_digits_are_told_apart(written: str, read: str) -> None:
    assert latex.braced(written) == read


def test_intervals_in_tables_do_not_break_within_their_parentheses() -> None:
    assert quoted.unbroken("| 1 (0 to 2) | x to y |") == "| 1 (0\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}2) | x to y |"
    assert quoted.unbroken("in prose 1 (0 to 2)") == "in prose 1 (0 to 2)"
