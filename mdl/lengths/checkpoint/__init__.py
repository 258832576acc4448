"""The length of weights alone, whatever their size: measured, written and read part by part in bounded memory.

Up to 2^22 entries are one message, more are an archive of parts, each with codings and parameters of its own.
"""

from __future__ import annotations

import io
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from mdl import tasks
from mdl.codes import archive, message
from mdl.codes.archive import Archive
from mdl.curvature import Calibration
from mdl.errors import MessageError
from mdl.files import write_atomically
from mdl.formats import Chunks, Shapes
from mdl.length import LN2, CodeLength
from mdl.lengths.checkpoint.reports import Report
from mdl.lengths.checkpoint.work import AnyPrior, Coded, Work, added, entries
from mdl.priors import Gaussian
from mdl.trials import Grid
from mdl.weights import Weights, count_of, save_chunks

__all__ = ["AnyPrior", "Report", "decode", "decode_file", "encode", "encode_file", "measure", "report"]


def measure(
    weights: Any,
    prior: AnyPrior = Gaussian(),  # noqa: B008
    step: Grid | None = None,
    calibration: Calibration | None = None,
) -> CodeLength:
    """The ideal length of weights under a prior on a grid, nothing else: L(model).

    Parameters
    ----------
    weights
        Anything that :func:`mdl.load` takes: a path, a dict of arrays, ``Weights``. A safetensors file or a sharded
        index is read piece by piece.
    prior
        A prior, whose open parameters are fitted and charged; one with scales for rows and columns (``Scaled``); a
        family of codes such as ``KT``; or several, of which each tensor takes the shortest (``Shortest``).
    step
        A step, a quantizer, or one of either for every tensor of floats; by default the power of two about
        1/16 of the root mean square weight.
    calibration
        Says which weights matter, for what :func:`mdl.calibrate` makes: tensors that it knows are rounded together, on
        grids that it chooses.

    Returns
    -------
    CodeLength
        Parts ``weights``, ``buffers`` (tensors of integers, coded as they are), ``quantizer``, ``prior``, ``support``,
        ``choice`` and ``header``.

    Examples
    --------
    >>> import numpy as np
    >>> measure({"w": np.linspace(-1, 1, 101)}, prior=Gaussian(), step=2**-4).part_bits()["quantizer"]
    11.0
    """
    work = Work.of(weights, prior, step, calibration)
    return work.length(work.coded(pieces) for pieces in work.parts)


def encode(
    weights: Any,
    prior: AnyPrior = Gaussian(),  # noqa: B008
    step: Grid | None = None,
    calibration: Calibration | None = None,
) -> bytes:
    """Weights as a .mdl message; ``decode`` gives the quantised weights back. Parameters as in ``measure``."""
    work = Work.of(weights, prior, step, calibration, realise=True)
    return work.assembled(work.coded(pieces) for pieces in work.parts)[0]


def report(
    weights: Any,
    prior: AnyPrior,
    step: Grid | None,
    calibration: Calibration | None = None,
    *,
    realise: bool = False,
    tensors: bool = False,
) -> Report:
    """``measure``, or with ``realise`` the message that was written, with the error of the quantised weights."""
    work = Work.of(weights, prior, step, calibration, realise=realise, errors=True)
    coded = [work.coded(pieces) for pieces in work.parts]
    data, length = work.assembled(coded) if realise else (b"", work.length(coded))
    return _report(work, coded, length, data, tensors)


def encode_file(
    weights: Any,
    out: Path,
    prior: AnyPrior = Gaussian(),  # noqa: B008
    step: Grid | None = None,
    calibration: Calibration | None = None,
    *,
    n_jobs: int = 1,
    backend: str = "loky",
    scheduler: str | None = None,
    progress: bool = False,
) -> Report:
    """``encode`` into a file, in memory that does not grow with the weights; killed and called again, it goes on.

    Parts that are done wait in a folder beside ``out``, which is removed in the end.

    Parameters
    ----------
    weights, prior, step, calibration
        As in ``measure``.
    out
        The .mdl to make or replace.
    n_jobs
        Processes, each of which holds a part; -1 for one a core.
    backend, scheduler
        ``"dask"`` has the parts coded by the workers of a cluster, as in :func:`mdl.sweep`. What is read from files is
        read by the workers, which need them at the same paths; the message is written here. One part is coded here.
    progress
        Whether to show a bar on stderr.

    Raises
    ------
    MdlError
        As ``encode``, and if the processes or the cluster cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> w = {"w": np.linspace(-1, 1, 101)}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = encode_file(w, Path(folder, "w.mdl"), step=0.25)
    ...     found.length.bytes == Path(folder, "w.mdl").stat().st_size
    True
    """
    tasks.check(n_jobs, backend, scheduler)
    work = Work.of(weights, prior, step, calibration, realise=True, errors=True)
    if len(work.parts) < 2:
        found = report(work.source, prior, step, calibration, realise=True)
        write_atomically(out, lambda stream: stream.write(found.data))
        return found
    folder = out.with_name(f".{out.name}.parts")
    store = tasks.Store.at(folder, work.facts)
    ways: dict[str, Any] = {"n_jobs": n_jobs, "backend": backend, "scheduler": scheduler}
    for _ in tasks.each(work.rows, work.parts, store=store, **ways, title=out.name, progress=progress):
        pass  # they are in the store
    coded: list[Coded] = []

    def parts() -> Iterator[tuple[int, bytes]]:
        for pieces in work.parts:
            part = Coded.of_rows(store.read(pieces) or work.rows(pieces))
            yield entries(pieces), part.data
            coded.append(part.without_data())

    ends: list[CodeLength] = []
    write_atomically(out, lambda stream: ends.append(archive.write(stream, work.source.shapes, parts())))
    shutil.rmtree(folder)
    return _report(work, coded, added([part.length for part in coded] + ends), b"", tensors=False)


def decode(data: bytes | str | os.PathLike[str], max_weights: int | None = None, names: Iterable[str] = ()) -> Weights:
    """The quantised weights of a .mdl message, exactly as the writer had them; MessageError if it is damaged.

    Parameters
    ----------
    data
        The bytes of a message, or the path of a file.
    max_weights
        Bounds what a message may make of the memory: by default 2^21 weights and 8,192 for every byte, which only a
        message of many equal weights exceeds.
    names
        Tensors to read, by default all. Of a message in parts the others are not read.

    Examples
    --------
    >>> decode(encode({"w": [0.3, -0.1]}, step=0.25))["w"].tolist()
    [0.25, 0.0]
    """
    with _opened(data) as stream:
        wanted = list(names)
        if archive.is_archive(stream.read(8)):
            return Weights.of_checked(Archive.open(stream, max_weights).tensors(wanted or None))
        stream.seek(0)
        found = message.parse(stream.read(), max_weights=max_weights).tensors
    return Weights.of_checked({name: _named(found, name) for name in wanted or found})


def decode_file(path: Path, out: Path, max_weights: int | None = None, names: Iterable[str] = ()) -> Shapes:
    """``decode`` from one file into another, .safetensors or .npz, a part at a time; what tensors there are."""
    with _opened(path) as stream:
        if not archive.is_archive(stream.read(8)):
            found = decode(path, max_weights, names)
            save_chunks(found.shapes, _of_weights(found), out)
            return found.shapes
        opened = Archive.open(stream, max_weights)
        shapes = {name: _named(opened.shapes, name) for name in list(names) or opened.shapes}
        save_chunks(shapes, opened.chunks, out)
    return shapes


def _report(work: Work, coded: Sequence[Coded], length: CodeLength, data: bytes, tensors: bool) -> Report:
    """Pieces of a tensor become one row."""
    sums: dict[str, list[float]] = {name: [0.0] * 4 for name in work.quantizers}
    for name, *values in (row for part in coded for row in part.rows):
        sums[name] = [a + b for a, b in zip(sums[name], values, strict=True)]
    rows = [(name, int(n), nats / LN2, error / max(n, 1)) for name, (n, nats, error, _) in sums.items() if tensors]
    weights = count_of(work.source.shapes)
    mse = math.fsum(error for _, _, error, _ in sums.values()) / max(weights, 1)
    loss = math.fsum(loss for _, _, _, loss in sums.values()) if work.calibration else None
    return Report(length, weights, mse, loss, data, tuple(rows))


def _opened(data: bytes | str | os.PathLike[str]) -> BinaryIO:
    return Path(data).open("rb") if isinstance(data, str | os.PathLike) else io.BytesIO(data)


def _named(found: Mapping[str, Any], name: str) -> Any:
    if name not in found:
        raise MessageError(f"the message holds no tensor {name!r}")
    return found[name]


def _of_weights(weights: Weights) -> Chunks:
    return lambda names: ((name, weights.read(name, 0, weights[name].size)) for name in names)
