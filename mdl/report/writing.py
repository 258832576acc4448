"""Which page a source gets, and its file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mdl.files import write_atomically
from mdl.report import sweeps, weights


def write(
    source: str | os.PathLike[str], out: str | os.PathLike[str], priors: Sequence[str] = (), step: float | None = None
) -> str:
    """Write a page about a file of weights, or about a sweep, and say which of them it was.

    The page holds its figures and asks nothing of anybody: no request leaves it, no script runs. The same source gives
    the same bytes.

    Parameters
    ----------
    source
        A file of weights as :func:`mdl.load` takes it, or a sweep: its folder, or its table as ``.csv``.
    out
        The ``.html`` to make or replace.
    priors
        Names. Of weights: those that are compared, by default ``gaussian``, ``laplace`` and ``student-t``. Of a sweep:
        those that are shown, by default all that it has.
    step
        Of weights: width of the cells, by default about 1/16 of the rms weight.

    Raises
    ------
    MdlError
        If the source cannot be read, or has no such prior.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from mdl import weights
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "w.npz")
    ...     weights.save({"w": np.linspace(-1.0, 1.0, 101)}, path)
    ...     write(path, Path(folder, "w.html")), Path(folder, "w.html").read_text()[:15]
    ('weights', '<!DOCTYPE html>')
    """
    path = Path(source)
    of_sweep = path.is_dir() or path.suffix.lower() == ".csv"
    text = sweeps.page_of(path, priors, step) if of_sweep else weights.page_of(path, priors, step)
    write_atomically(Path(out), lambda stream: stream.write(text.encode()))
    return "sweep" if of_sweep else "weights"
