"""Run one command of mdl and print the peak of this process's resident memory, bytes.

python memory_probe.py ARGUMENTS OF MDL...
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from mdl.cli import app


def peak_bytes():
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss counts what the parent held before this process began its own program
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    app(sys.argv[1:], standalone_mode=False)
    print(peak_bytes())
