"""What a new process waits for: importing mdl, and the first length, beside numpy and scipy.special alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

ROUNDS = 9  # the least of so many times: a busy machine only adds
CASES = {
    "import numpy, scipy.special": ("import numpy, scipy.special", None),
    "import mdl": ("import mdl", 0.3),
    "first measure": ("import mdl; mdl.measure({'w': [0.5, 0.25]}, prior=mdl.Gaussian(), step=0.5)", 3.0),
}  # and the time at most, as a multiple of the first's


def seconds(code: str) -> float:
    """Within a fresh interpreter, whose own start is not counted."""
    program = f"import time; start = time.perf_counter(); {code}; print(time.perf_counter() - start)"
    runs = [subprocess.run([sys.executable, "-c", program], capture_output=True, check=True) for _ in range(ROUNDS)]
    return min(float(run.stdout) for run in runs)


@pytest.fixture(scope="module")
def reference() -> float:
    return seconds("import numpy, scipy.special")


@pytest.mark.parametrize("case", CASES)
def test_import(case, benchmark, record, reference) -> None:
    code, at_most = CASES[case]
    taken = benchmark.pedantic(seconds, args=(code,), rounds=1)
    record(case=case, seconds=taken, times=taken / reference)
    assert at_most is None or taken < at_most * reference
