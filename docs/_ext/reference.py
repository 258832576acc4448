"""Writes the reference when the documentation is built: a page for every room of mdl/, found by walking it."""

from __future__ import annotations

import importlib
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mdl

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PACKAGE = Path(mdl.__file__).parent
_COLON = "\ue000"  # of the private use area: stands for a colon while napoleon looks for one


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir) / "reference"))
    app.connect("missing-reference", resolve_import)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # napoleon has 500
    app.connect("autodoc-process-docstring", keep_bars, priority=600)
    app.connect("autodoc-process-signature", plain_aliases)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True}


def write(folder: Path) -> None:
    """All pages; one of a room that is gone is removed, one that is as it was is left alone."""
    pages = {"index": contents(rooms()), "mdl": front_door()} | {room: page(room, rooms()[room]) for room in rooms()}
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.stem not in pages:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def rooms() -> dict[str, list[str]]:
    """``{room: its public modules}``, alphabetically."""
    paths = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
    found: dict[str, list[str]] = {}
    for path in paths:
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if not any(part.startswith("_") for part in parts):
            found.setdefault(parts[0], []).append(".".join(("mdl", *parts)))
    return found


def page(room: str, modules: list[str]) -> str:
    """A section a module; a package shows what it defines, not what it imports from its modules."""
    sections = [f"# {room}"]
    for module in modules:
        options = (":members:", ":ignore-module-all:", ":show-inheritance:")
        lines = [f".. automodule:: {module}", *(f"   {option}" for option in options)]
        heading = [] if module == f"mdl.{room}" else [f"## {module.removeprefix('mdl.')}"]
        sections += [*heading, "\n".join(["```{eval-rst}", *lines, "```"])]
    return "\n\n".join(sections) + "\n"


def contents(found: dict[str, list[str]]) -> str:
    """Every module with the line that it opens with."""
    rows = [
        f"| [{module.removeprefix('mdl.')}]({room}.md) | {cell(importlib.import_module(module))} |"
        for room, modules in found.items()
        for module in modules
    ]
    toctree = ["```{toctree}", ":hidden:", "", "mdl", *found, "```"]
    intro = "The [front door](mdl.md) is what `import mdl` gives; the rooms behind it:"
    return (
        "\n".join(["# Reference", "", intro, "", "| module | what it does |", "|---|---|", *rows, "", *toctree]) + "\n"
    )


def front_door() -> str:
    """What ``import mdl`` gives, with links to where it is documented."""
    rows = [f"| {{py:obj}}`{name} <{home(getattr(mdl, name))}>` | {cell(getattr(mdl, name))} |" for name in mdl.__all__]
    return "\n".join(["# The front door", "", "| `mdl.` | what it does |", "|---|---|", *rows]) + "\n"


def cell(thing: Any) -> str:
    """The first line of a docstring, in a table."""
    line = (thing.__doc__ or "").strip().partition("\n")[0]
    return line.replace("``", "`").replace("|", "&#124;").replace("*", "\\*")


def home(thing: Any) -> str:
    """Where a thing is defined."""
    return f"{thing.__module__}.{thing.__qualname__}"


def resolve_import(app: Sphinx, env: Any, node: Any, contnode: Any) -> Any:
    """A link to a name where it was imported to leads to where it is defined."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith("mdl."):
        return None
    module, _, name = target.rpartition(".")
    try:
        real = home(getattr(importlib.import_module(module), name))
    except (ImportError, AttributeError):
        return None
    if real == target:
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], real, node, contnode)


def keep_colons(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """What stands before a colon in the first line of a property is no type, as napoleon would have it."""
    if what in {"attribute", "data", "property"} and lines:
        lines[0] = re.sub(r"(?<!:):(?= )", _COLON, lines[0])


def keep_bars(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """|w| is an absolute value here; reStructuredText would look for a substitution of that name."""
    example = False
    for place, line in enumerate(lines):
        example = line.strip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            literal = re.split(r"(``.*?``)", line)
            parts = (part if part.startswith("``") else part.replace("|", "\\|") for part in literal)
            lines[place] = "".join(parts).replace(_COLON, ":")


def plain_aliases(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Names of types that are aliases, as they stand in the source; Sphinx wraps them within a union."""
    signature, returns = (
        text and re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", text) for text in (signature, returns)
    )
    return signature, returns


def skip(app: Sphinx, what: str, name: str, obj: Any, skipped: bool, options: Any) -> bool | None:
    """What scikit-learn adds to every estimator is documented there."""
    return True if re.fullmatch(r"set_\w+_request", name) else None
