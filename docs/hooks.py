"""Writes the reference when the documentation is built: a page for every room of mdl/, found by walking it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

PACKAGE = Path(__file__).resolve().parents[1] / "mdl"


def modules_of(room: Path) -> list[Path]:
    """The public modules of a room, itself if it is one file."""
    found = sorted(room.glob("*.py")) if room.is_dir() else [room]
    return [path for path in found if not path.name.startswith("_")]


def rooms() -> dict[str, list[Path]]:
    """``{room: its modules}``, alphabetically; rooms without public modules are left out."""
    found = {path.stem: modules_of(path) for path in sorted(PACKAGE.iterdir()) if path.is_dir() or path.suffix == ".py"}
    return {room: modules for room, modules in found.items() if modules}


def dotted(module: Path) -> str:
    return ".".join(module.relative_to(PACKAGE.parent).with_suffix("").parts)


def claim(module: Path) -> str:
    """The line that a module opens with."""
    return (ast.get_docstring(ast.parse(module.read_text("utf-8"))) or "").partition("\n")[0]


def page(room: str, modules: list[Path]) -> str:
    return "\n\n".join([f"# {room}", *(f"::: {dotted(module)}" for module in modules)]) + "\n"


def contents(found: dict[str, list[Path]]) -> str:
    rows = [
        f"| [`{dotted(module)}`]({room}.md) | {claim(module).replace('|', '&#124;')} |"
        for room, modules in found.items()
        for module in modules
    ]
    return "\n".join(["# Reference", "", "| module | what it does |", "|---|---|", *rows]) + "\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Called by mkdocs with the pages it found; adds those of the reference."""
    from mkdocs.structure.files import File

    found = rooms()
    files.append(File.generated(config, "reference/index.md", content=contents(found)))
    for room, modules in found.items():
        files.append(File.generated(config, f"reference/{room}.md", content=page(room, modules)))
    return files
