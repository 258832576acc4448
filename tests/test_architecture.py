"""The house: imports point up the list of rooms only, and only the rooms named in it exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "mdl"
ROOMS = (
    "errors", "tables", "length", "masses", "fitting", "priors", "penalties", "quantize", "trellis", "likelihoods",
    "codes", "files", "optional", "clusters", "tasks", "hdf5", "onnx_graphs", "formats", "weights", "source", "models",
    "curvature", "trials", "lengths", "rates", "monitor", "bounds", "datasets", "training", "ladder", "sweep", "select",
    "symbolic", "plot", "report", "cli",
)  # fmt: skip
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Rooms of mdl that a module names in any import, those inside functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "mdl":
            names = [f"mdl.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        found |= {name.split(".")[1] for name in names if name.startswith("mdl.")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_up(path: Path) -> None:
    below = [name for name in imported_rooms(path) if ROOMS.index(name) > ROOMS.index(room(path))]
    assert below == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "lengths").rglob("*.py")), ids=lambda path: path.stem)
def test_methods_never_import_one_another(path: Path) -> None:
    """A method is a file or a package; only the modules of one package know each other."""
    own = path.relative_to(PACKAGE / "lengths").parts[0].removesuffix(".py")
    tree = ast.parse(path.read_text("utf-8"))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    methods = {module.split(".")[2] for module in modules if module.startswith("mdl.lengths.")}
    assert methods <= {own}
    assert "mdl.lengths" not in modules


def test_every_room_is_in_the_list_and_exists() -> None:
    assert {room(path) for path in MODULES} == set(ROOMS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_opens_with_its_job(path: Path) -> None:
    said = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]
    assert said.endswith("."), said
