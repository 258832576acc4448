"""``python -m tests.fuzz [READER ...] [--cases N]``: every reader in a process of its own, and a table of how it went.

A tenth as many again are chosen by atheris, where it is installed. Status 1 if a case failed; what it was is printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from typing import Any

from tests.fuzz.readers import READERS

COLUMNS = ("cases", "accepted", "per_second", "slowest", "megabytes")


def attempt(how: str, name: str, cases: int, seed: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"tests.fuzz.{how}", name, "--cases", str(cases), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}, {how}: status {done.returncode}\n{done.stderr[-3000:]}", file=sys.stderr, flush=True)
    return done


def row(name: str, cases: int, seed: int) -> dict[str, Any]:
    """How a reader fared: numbers of the cases at random, and how many atheris chose."""
    if READERS[name].missing:
        return {"reader": name, "status": f"needs {READERS[name].needs}"}
    began = time.perf_counter()
    done = attempt("one", name, cases, seed)
    found: dict[str, Any] = {"reader": name, "status": "failed"} if done.returncode else json.loads(done.stdout)
    if not done.returncode and importlib.util.find_spec("atheris"):
        done = attempt("guided", name, cases // 10, seed)
        found["guided"] = cases // 10
    found["status"] = "failed" if done.returncode else "passed"
    return {**found, "seconds": round(time.perf_counter() - began)}


def main() -> int:
    """The command."""
    import pandas as pd

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("readers", nargs="*", metavar="READER", help=", ".join(READERS))
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows = []
    for name in given.readers or READERS:
        rows.append(row(name, given.cases, given.seed))
        print(json.dumps(rows[-1]), flush=True)
    table = pd.DataFrame(rows).set_index("reader").reindex(columns=[*COLUMNS, "guided", "seconds", "status"])
    print(table.astype(object).where(table.notna(), "").to_string())
    return int(any(row["status"] == "failed" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
