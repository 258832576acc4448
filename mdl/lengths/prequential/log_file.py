"""A training log: a loss a batch, from CSV or JSON lines, checked to be one that a length can be read off."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.errors import DataError
from mdl.masses import Array

#: Names that a column is found under if none is given.
COLUMNS = {
    "loss": ("loss", "train_loss", "train/loss", "train_loss_step", "nll"),
    "size": ("batch_size", "size"),
    "step": ("step", "global_step", "iteration", "batch", "batch_idx"),
    "epoch": ("epoch",),
}

_Records = list[tuple[int, dict[str, Any]]]


@dataclass(frozen=True, eq=False)
class LossLog:
    """One loss a batch, in the order of training.

    Parameters
    ----------
    losses
        (batches,) finite numbers >= 0.
    sizes
        (batches,) examples, or whatever the losses are a mean over (tokens); or one number for all batches.
    steps
        (batches,) whole numbers, where the log has them.
    epochs
        (batches,) numbers, where the log has them.
    skipped
        Rows of the file that had no training loss.

    Raises
    ------
    DataError
        If a number is missing, NaN, infinite or negative, or sizes are no whole numbers > 0.

    Examples
    --------
    >>> LossLog([0.7, 0.6], sizes=32).sizes.tolist()
    [32, 32]
    """

    losses: Array
    sizes: NDArray[np.int64]
    steps: NDArray[np.int64] | None = None
    epochs: Array | None = None
    skipped: int = 0

    def __init__(
        self,
        losses: ArrayLike,
        sizes: ArrayLike,
        steps: ArrayLike | None = None,
        epochs: ArrayLike | None = None,
        skipped: int = 0,
    ) -> None:
        found = _finite("losses", losses)
        if found.size == 0:
            raise DataError("losses: expected at least one")
        if found.min() < 0.0:
            row = int(np.argmin(found))
            raise DataError(
                f"losses: expected numbers >= 0, got {found[row]:g} in row {row + 1}: a density is no probability; "
                "state targets to a precision"
            )
        counts = _whole("sizes", np.broadcast_to(np.asarray(sizes), found.shape) if np.ndim(sizes) == 0 else sizes)
        if counts.shape == found.shape and counts.min() < 1:
            raise DataError(f"sizes: expected at least one example a batch, got {counts.min()}")
        columns = {
            "losses": found,
            "sizes": counts,
            "steps": None if steps is None else _whole("steps", steps),
            "epochs": None if epochs is None else _finite("epochs", epochs),
        }
        for name, values in columns.items():
            if values is not None and values.shape != found.shape:
                raise DataError(f"{name}: expected one for each of {found.size} losses, got shape {values.shape}")
            object.__setattr__(self, name, values)
        object.__setattr__(self, "skipped", skipped)

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str],
        *,
        loss: str | None = None,
        size: str | int | None = None,
        step: str | None = None,
        epoch: str | None = None,
    ) -> Self:
        r"""From a file with a row a batch: ``.csv`` with a header, or ``.jsonl``, an object a line.

        Rows without a loss, such as those of validation, are left out and counted. A loss that says NaN is refused.

        Parameters
        ----------
        path
            The file.
        loss, step, epoch
            Columns. By default those that are called as in ``COLUMNS``; steps and epochs may be missing.
        size
            A column, or a number of examples that is the same in every row.

        Raises
        ------
        DataError
            If the file cannot be read, a column is missing, or a number is none.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "log.csv")
        ...     _ = path.write_text("step,loss,batch_size\n0,2.5,32\n1,2.0,16\n")
        ...     log = LossLog.read(path)
        >>> log.losses.tolist(), log.sizes.tolist(), log.steps.tolist()
        ([2.5, 2.0], [32, 16], [0, 1])
        """
        file = Path(path)
        records = _records(file)
        names = list(dict.fromkeys(name for _, record in records for name in record))
        column = _column(file, names, "loss", loss)
        kept = [(line, record) for line, record in records if record.get(column) not in (None, "")]
        if not kept:
            raise DataError(f"{file}: expected losses in column {column!r}, got none")
        sizes: Any = size if isinstance(size, int) else None
        if sizes is None:
            sizes = _numbers(file, kept, _column(file, names, "size", size))
        rest = {}
        for what, given in (("step", step), ("epoch", epoch)):
            found = _column(file, names, what, given, needed=False)
            rest[f"{what}s"] = None if found is None else _numbers(file, kept, found)
        try:
            return cls(_numbers(file, kept, column), sizes, **rest, skipped=len(records) - len(kept))
        except DataError as error:
            raise DataError(f"{file}: {error}") from error


def _finite(name: str, values: ArrayLike) -> Array:
    found = np.asarray(values, np.float64)
    if found.ndim != 1:
        raise DataError(f"{name}: expected shape (batches,), got {found.shape}")
    bad = np.flatnonzero(~np.isfinite(found))
    if bad.size:
        raise DataError(
            f"{name}: {bad.size} of {found.size} are NaN or infinite, the first is {found[bad[0]]} in row {bad[0] + 1}"
        )
    return found


def _whole(name: str, values: ArrayLike) -> NDArray[np.int64]:
    found = _finite(name, values)
    bad = np.flatnonzero((found != np.rint(found)) | (np.abs(found) >= 2.0**53))
    if bad.size:
        raise DataError(f"{name}: expected whole numbers, got {found[bad[0]]:g} in row {bad[0] + 1}")
    return found.astype(np.int64)


def _records(file: Path) -> _Records:
    readers = {".csv": _csv_records, ".jsonl": _json_records, ".ndjson": _json_records}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise DataError(f"{file}: expected a log that ends in one of {', '.join(readers)}")
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            records = list(reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read: {error}") from error
    except ValueError as error:
        raise DataError(f"{file}: {error}") from error
    if not records:
        raise DataError(f"{file}: expected at least one row, got none")
    return records


def _csv_records(stream: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(stream, strict=True)
    for record in reader:
        if None in record:
            raise DataError(f"line {reader.line_num}: expected {len(record) - 1} cells, got more")
        yield reader.line_num, record


def _json_records(stream: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"line {number}: expected a JSON object: {error}") from error
        if not isinstance(record, dict):
            raise DataError(f"line {number}: expected a JSON object, got {type(record).__name__}")
        yield number, record


def _column(file: Path, names: Sequence[str], what: str, given: object, *, needed: bool = True) -> Any:
    """The name of a column, given or found; None if there is none and none is needed."""
    if given is not None:
        if given not in names:
            raise DataError(f"{file}: expected a column {given!r}, got {', '.join(names)[:200]}")
        return given
    found = [name for name in COLUMNS[what] if name in names]
    if len(found) > 1 and needed:
        raise DataError(f"{file}: {what}: expected one column, got {' and '.join(found)}; say which")
    if not found and needed:
        more = ", or the number of examples in every row" if what == "size" else ""
        raise DataError(
            f"{file}: {what}: expected a column {' or '.join(COLUMNS[what])}{more}, got {', '.join(names)[:200]}"
        )
    return found[0] if found else None


def _numbers(file: Path, records: _Records, column: str) -> list[float]:
    values = []
    for line, record in records:
        value = record.get(column)
        try:
            if not isinstance(value, str | int | float) or isinstance(value, bool):
                raise ValueError
            values.append(float(value))
        except (ValueError, OverflowError):
            raise DataError(f"{file}: line {line}: {column}: expected a number, got {value!r:.40}") from None
    return values
