"""The length of weights alone, whatever their size: measured, written and read part by part in bounded memory.

Up to 2^22 entries are one message, more are an archive of parts, each with codings and parameters of its own.
"""

from __future__ import annotations

import base64
import hashlib
import io
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from mdl import tasks
from mdl.codes import archive, message
from mdl.codes.archive import Archive, Part, Piece
from mdl.codes.calibrated import calibrated
from mdl.codes.fitted import fit_scheme
from mdl.codes.scheme import PriorLike, Scheme, Tensor, naming
from mdl.codes.shortest import Shortest
from mdl.curvature import Calibration
from mdl.errors import MessageError, WeightsError
from mdl.files import write_atomically
from mdl.formats import Chunks, Shapes
from mdl.length import LN2, CodeLength
from mdl.priors import Gaussian
from mdl.quantize import Quantizer
from mdl.source import Checkpoint, Source, float_names, open_source, root_mean_square
from mdl.tables import to_html
from mdl.trials import Grid, quantizers_for
from mdl.weights import Weights, count_of, save_chunks

if TYPE_CHECKING:
    import pandas as pd

AnyPrior = PriorLike | Shortest


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
    >>> measure({"w": np.linspace(-1, 1, 101)}, prior=Gaussian(), step=2**-4).part_bits()["quantizer"]
    11.0
    """
    work = _Work.of(weights, prior, step, calibration)
    return work.length(work.coded(pieces) for pieces in work.parts)


def encode(
    weights: Any,
    prior: AnyPrior = Gaussian(),  # noqa: B008
    step: Grid | None = None,
    calibration: Calibration | None = None,
) -> bytes:
    """Weights as a .mdl message; ``decode`` gives the quantised weights back. Parameters as in ``measure``."""
    work = _Work.of(weights, prior, step, calibration, realise=True)
    return work.assembled(work.coded(pieces) for pieces in work.parts)[0]


@dataclass(frozen=True)
class Report:
    """A length with what it is the length of.

    ``loss`` is what a calibration expects the quantised weights to lose, nats an example, to second order. ``tensors``
    has a row ``(name, weights, bits, mse)`` for every tensor of floats if they were asked for.
    """

    length: CodeLength
    weights: int
    mse: float
    loss: float | None = None
    data: bytes = b""
    tensors: tuple[tuple[str, int, float, float], ...] = ()

    @property
    def bits_per_weight(self) -> float:
        """Everything but the header, a weight; 0 if there are none."""
        return self.length.comparable.bits / self.weights if self.weights else 0.0

    def as_dict(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        about = {"weights": self.weights, "bits_per_weight": self.bits_per_weight, "mse": self.mse}
        if self.loss is not None:
            about["loss"] = self.loss
        rows = [dict(zip(("name", "weights", "bits", "mse"), row, strict=True)) for row in self.tensors]
        return {**about, **self.length.as_dict(), **({"tensors": rows} if rows else {})}

    def table(self) -> pd.DataFrame:
        """``tensors`` as a table: ``name``, ``weights``, ``bits``, ``bits_per_weight``, ``mse``."""
        import pandas as pd

        rows = [(name, n, bits, bits / max(n, 1), mse) for name, n, bits, mse in self.tensors]
        return pd.DataFrame(rows, columns=["name", "weights", "bits", "bits_per_weight", "mse"])

    def without_tensors(self) -> Report:
        """The same in brief."""
        return replace(self, tensors=())

    def _repr_html_(self) -> str:
        about = str(self.without_tensors()).splitlines()[-1]
        rows = to_html(self.table()) if self.tensors else ""
        return f"<p>{about}</p>{self.length._repr_html_()}{rows}"

    def __str__(self) -> str:
        lines = [f"{name}: {bits:,.1f} bits, {bits / max(n, 1):.4f} a weight" for name, n, bits, _ in self.tensors]
        about = f"{self.weights:,} weights, {self.bits_per_weight:.4f} bits a weight, mean squared error {self.mse:.4g}"
        if self.loss is not None:
            about += f", expected loss {self.loss:.4g} nats an example"
        return "\n".join([*lines, str(self.length), about])


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
    work = _Work.of(weights, prior, step, calibration, realise=realise, errors=True)
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
    >>> w = {"w": np.linspace(-1, 1, 101)}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = encode_file(w, Path(folder, "w.mdl"), step=0.25)
    ...     found.length.bytes == Path(folder, "w.mdl").stat().st_size
    True
    """
    tasks.check(n_jobs, backend, scheduler)
    work = _Work.of(weights, prior, step, calibration, realise=True, errors=True)
    if len(work.parts) < 2:
        found = report(work.source, prior, step, calibration, realise=True)
        write_atomically(out, lambda stream: stream.write(found.data))
        return found
    folder = out.with_name(f".{out.name}.parts")
    store = tasks.Store.at(folder, work.facts)
    ways: dict[str, Any] = {"n_jobs": n_jobs, "backend": backend, "scheduler": scheduler}
    for _ in tasks.each(work.rows, work.parts, store=store, **ways, title=out.name, progress=progress):
        pass  # they are in the store
    coded: list[_Coded] = []

    def parts() -> Iterator[tuple[int, bytes]]:
        for pieces in work.parts:
            part = _Coded.of_rows(store.read(pieces) or work.rows(pieces))
            yield _entries(pieces), part.data
            coded.append(part.without_data())

    ends: list[CodeLength] = []
    write_atomically(out, lambda stream: ends.append(archive.write(stream, work.source.shapes, parts())))
    shutil.rmtree(folder)
    return _report(work, coded, _sum([part.length for part in coded] + ends), b"", tensors=False)


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


def default_step(source: Source) -> float:
    """The power of two about 1/16 of the root mean square of all weights; 1 if they are all zero."""
    rms = root_mean_square(source)
    return math.ldexp(1.0, round(math.log2(rms)) - 4) if rms > 0.0 else 1.0


@dataclass(frozen=True)
class _Coded:
    """A part: its length, its bytes if they were asked for, ``(name, weights, nats, squared error, loss)`` a piece."""

    length: CodeLength
    data: bytes
    rows: tuple[tuple[str, int, float, float, float], ...]

    def without_data(self) -> _Coded:
        return _Coded(self.length, b"", self.rows)

    def as_rows(self) -> tasks.Rows:
        return [{"data": base64.b64encode(self.data).decode(), "parts": self.length.parts, "rows": self.rows}]

    @classmethod
    def of_rows(cls, rows: tasks.Rows) -> _Coded:
        (row,) = rows
        length = CodeLength(tuple((part, nats) for part, nats in row["parts"]), realised=True)
        return cls(length, base64.b64decode(row["data"]), tuple(tuple(one) for one in row["rows"]))


@dataclass(frozen=True)
class _Work:
    """What is coded, and how."""

    source: Source
    parts: Sequence[tuple[Piece, ...]]
    prior: AnyPrior
    quantizers: Mapping[str, Quantizer]
    calibration: Calibration | None
    realise: bool
    errors: bool

    @classmethod
    def of(
        cls,
        weights: Any,
        prior: AnyPrior,
        step: Grid | None,
        calibration: Calibration | None = None,
        *,
        realise: bool = False,
        errors: bool = False,
    ) -> _Work:
        source = open_source(weights)
        if calibration is not None:
            _check_known(calibration, source)
        grid = default_step(source) if step is None else step
        parts = archive.cut(source.shapes, archive.PART) if _entries_of(source.shapes) > archive.PART else [()]
        return cls(source, parts, prior, quantizers_for(float_names(source), grid), calibration, realise, errors)

    @property
    def facts(self) -> list[str]:
        """All that a part's bytes depend on."""
        if isinstance(self.source, Checkpoint):
            identity = self.source.identity
        else:
            identity = [hashlib.sha256(part).hexdigest() for part in _all_bytes(self.source)]
        calibration = self.calibration.identity if self.calibration else ""
        return [*identity, repr(self.prior), repr(dict(self.quantizers)), calibration]

    def coded(self, pieces: tuple[Piece, ...]) -> _Coded:
        """One part; no pieces stand for everything in one message."""
        tensors = self._tensors(pieces)
        scheme = self._scheme(tensors)
        if pieces:
            ideal, write = message.ideal_part, message.write_part
        else:
            ideal, write = message.ideal, message.write
        data, length = write(tensors, scheme) if self.realise else (b"", ideal(tensors, scheme))
        return _Coded(length, data, tuple(self._rows(tensors, scheme)) if self.errors else ())

    def rows(self, pieces: tuple[Piece, ...]) -> tasks.Rows:
        """The same for a store."""
        return self.coded(pieces).as_rows()

    def _tensors(self, pieces: tuple[Piece, ...]) -> dict[str, Tensor]:
        if not pieces:
            shapes = self.source.shapes
            return {name: self.source.read(name, 0, math.prod(s)).reshape(s) for name, (_, s) in shapes.items()}
        return {p.name: self.source.read(p.name, p.start, p.stop).reshape(p.shape) for p in pieces}

    def _scheme(self, tensors: Mapping[str, Tensor]) -> Scheme:
        quantizers = {name: self.quantizers[name] for name in tensors if name in self.quantizers}
        chosen = {}
        if self.calibration:
            factors, price = self.calibration.factors, self.calibration.price
            for name in [name for name in quantizers if name in factors]:
                with naming(name):
                    quantizers[name], chosen[name] = calibrated(tensors[name], factors[name], price)
        if isinstance(self.prior, Shortest):
            return self.prior.scheme(tensors, quantizers, chosen)
        return fit_scheme(tensors, quantizers, self.prior, chosen=chosen)

    def _rows(self, tensors: Mapping[str, Tensor], scheme: Scheme) -> Iterator[tuple[str, int, float, float, float]]:
        for name, tensor in tensors.items():
            if name in self.quantizers:
                coding, loss = scheme.codings[name], 0.0
                if self.calibration:
                    quantized = coding.restore(coding.symbols(tensor, name).copy(), tensor.dtype, tensor.shape)
                    loss = self.calibration.loss(name, tensor.astype(np.float64) - quantized)
                yield name, tensor.size, coding.nats(tensor, name), coding.squared_error(tensor), loss

    def length(self, coded: Iterable[_Coded]) -> CodeLength:
        """Of the whole, ideal."""
        lengths = [part.length for part in coded]
        if len(self.parts) < 2:
            return lengths[0]
        sizes = (Part(_entries(p), math.ceil(one.bytes), 0) for p, one in zip(self.parts, lengths, strict=True))
        return _sum([*lengths, archive.header_length(self.source.shapes, sizes)])

    def assembled(self, coded: Iterable[_Coded]) -> tuple[bytes, CodeLength]:
        """The whole message, and its length."""
        found = list(coded)
        if len(self.parts) < 2:
            return found[0].data, found[0].length
        stream = io.BytesIO()
        parts = ((_entries(p), one.data) for p, one in zip(self.parts, found, strict=True))
        end = archive.write(stream, self.source.shapes, parts)
        return stream.getvalue(), _sum([*(part.length for part in found), end])


def _report(work: _Work, coded: Sequence[_Coded], length: CodeLength, data: bytes, tensors: bool) -> Report:
    """Pieces of a tensor become one row."""
    sums: dict[str, list[float]] = {name: [0.0] * 4 for name in work.quantizers}
    for name, *values in (row for part in coded for row in part.rows):
        sums[name] = [a + b for a, b in zip(sums[name], values, strict=True)]
    rows = [(name, int(n), nats / LN2, error / max(n, 1)) for name, (n, nats, error, _) in sums.items() if tensors]
    weights = count_of(work.source.shapes)
    mse = math.fsum(error for _, _, error, _ in sums.values()) / max(weights, 1)
    loss = math.fsum(loss for _, _, _, loss in sums.values()) if work.calibration else None
    return Report(length, weights, mse, loss, data, tuple(rows))


def _check_known(calibration: Calibration, source: Source) -> None:
    """WeightsError unless its tensors are there, of floats, each in one piece."""
    floats = float_names(source)
    for name in calibration.factors:
        if name not in floats:
            came = "one of integers" if name in source.shapes else "none"
            raise WeightsError(f"the calibration's {name!r}: expected a tensor of floats among the weights, got {came}")
        size = math.prod(source.shapes[name][1])
        if size > archive.PART:
            raise WeightsError(f"tensor {name!r}: expected at most {archive.PART} entries to be calibrated, got {size}")


def _sum(lengths: Sequence[CodeLength]) -> CodeLength:
    return CodeLength(tuple(part for one in lengths for part in one.parts), all(one.realised for one in lengths))


def _entries(pieces: Iterable[Piece]) -> int:
    return sum(piece.stop - piece.start for piece in pieces)


def _entries_of(shapes: Shapes) -> int:
    return sum(math.prod(shape) for _, shape in shapes.values())


def _all_bytes(source: Source) -> Iterator[Any]:
    for name, (_, shape) in source.shapes.items():
        yield np.ascontiguousarray(source.read(name, 0, math.prod(shape))).view(np.uint8)


def _opened(data: bytes | str | os.PathLike[str]) -> BinaryIO:
    return Path(data).open("rb") if isinstance(data, str | os.PathLike) else io.BytesIO(data)


def _named(found: Mapping[str, Any], name: str) -> Any:
    if name not in found:
        raise MessageError(f"the message holds no tensor {name!r}")
    return found[name]


def _of_weights(weights: Weights) -> Chunks:
    return lambda names: ((name, weights.read(name, 0, weights[name].size)) for name in names)
