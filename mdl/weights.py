"""Named tensors in and out of files."""

from __future__ import annotations

import contextlib
import html
import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from mdl.errors import WeightsError
from mdl.files import write_atomically
from mdl.formats import DTYPES, FLOATS, INTEGERS, READERS, TAGS, WRITERS, Array, Chunks, Shapes

_ROWS_SHOWN = 12
_CHUNK = 1 << 18  # entries: the temporaries of the finiteness check stay in cache, and small beside a checkpoint


class Weights(Mapping[str, Array]):
    """The tensors of a model: ordered, immutable, finite.

    Parameters
    ----------
    tensors
        ``{name: array}``, in the order to keep. Lists and scalars become arrays (a scalar has shape ``()``), torch
        tensors too. An array that is C-contiguous is shared, not copied: do not write to it afterwards.

    Raises
    ------
    WeightsError
        If a name is not a non-empty text, a tensor holds NaN or infinite values, or its dtype is not one of float16,
        float32, float64, bfloat16, float8_e4m3fn, float8_e5m2, an integer, or bool.

    Examples
    --------
    >>> w = Weights({"layer.weight": np.zeros((3, 2), np.float32), "steps": 7})
    >>> w
    Weights: 2 tensors, 6 weights, 32 bytes
      layer.weight  float32  3 x 2
      steps         int64    scalar
    >>> list(w.floats), list(w.integers), w.count
    (['layer.weight'], ['steps'], 6)
    >>> Weights({"layer.weight": [1.0, float("nan")]})
    Traceback (most recent call last):
    mdl.errors.WeightsError: tensor 'layer.weight': 1 of 2 values are NaN or infinite; drop or mask them first
    """

    __slots__ = ("_tensors",)
    _tensors: dict[str, Array]

    def __init__(self, tensors: Mapping[str, npt.ArrayLike]) -> None:
        if isinstance(tensors, Weights):
            self._tensors = tensors._tensors
        elif isinstance(tensors, Mapping):
            self._tensors = {_checked_name(name): _checked_tensor(name, value) for name, value in tensors.items()}
        else:
            raise WeightsError(f"tensors: expected a mapping of names to arrays, came {type(tensors).__name__}")

    @classmethod
    def of_checked(cls, tensors: Mapping[str, Array]) -> Weights:
        """Arrays that are known to be what tensors must be, such as those that a reader of messages has made."""
        weights = cls({})
        for name, tensor in tensors.items():
            view = tensor.view()
            view.flags.writeable = False
            weights._tensors[name] = view
        return weights

    def __getitem__(self, name: str) -> Array:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __eq__(self, other: object) -> bool:
        """Same names in the same order, and under each the same dtype, shape and values."""
        if not isinstance(other, Weights):
            return NotImplemented
        pairs = zip(self.values(), other.values(), strict=False)
        return list(self) == list(other) and all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type[Weights], tuple[dict[str, Array]]]:
        # numpy forgets that an array is read-only when it travels to another process; the constructor restores it
        return Weights, (self._tensors,)

    @property
    def shapes(self) -> Shapes:
        """Type and shape of every tensor, in order."""
        return {name: (tensor.dtype, tensor.shape) for name, tensor in self.items()}

    def read(self, name: str, start: int, stop: int) -> Array:
        """Entries ``start`` to ``stop`` of a tensor, row-major and flat."""
        return self[name].reshape(-1)[start:stop]

    @property
    def floats(self) -> Weights:
        """The tensors of floating point: what training chose, and what a prior is over."""
        return self._select(FLOATS)

    @property
    def integers(self) -> Weights:
        """The tensors of integers and bools: buffers, such as counters, index tables and masks."""
        return self._select(INTEGERS)

    @property
    def count(self) -> int:
        """Number of weights: entries of the tensors of floating point."""
        return count_of(self.shapes)

    @property
    def nbytes(self) -> int:
        """Size of all tensors, bytes; a tensor under two names counts twice."""
        return sum(tensor.nbytes for tensor in self.values())

    def _select(self, dtypes: Mapping[str, np.dtype[Any]]) -> Weights:
        chosen = Weights({})
        chosen._tensors = {name: tensor for name, tensor in self.items() if TAGS[tensor.dtype.name] in dtypes}
        return chosen

    def __repr__(self) -> str:
        return shown(self.shapes)

    def _repr_html_(self) -> str:
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in _rows(self.shapes)
        )
        head = "<tr><th>tensor</th><th>dtype</th><th>shape</th></tr>"
        return f"<table><caption>{_title(self.shapes)}</caption><thead>{head}</thead><tbody>{body}</tbody></table>"


def count_of(shapes: Shapes) -> int:
    """Number of weights: entries of the tensors of floating point."""
    return sum(math.prod(shape) for dtype, shape in shapes.values() if TAGS[dtype.name] in FLOATS)


def shown(shapes: Shapes) -> str:
    """A title, and a line for each of the first tensors."""
    rows = _rows(shapes)
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    lines = [f"  {name:<{widths[0]}}  {dtype:<{widths[1]}}  {shape}".rstrip() for name, dtype, shape in rows]
    return "\n".join([f"Weights: {_title(shapes)}", *lines])


def _title(shapes: Shapes) -> str:
    nbytes = sum(math.prod(shape) * dtype.itemsize for dtype, shape in shapes.values())
    return f"{len(shapes)} tensor{'s' * (len(shapes) != 1)}, {count_of(shapes):,} weights, {nbytes:,} bytes"


def _rows(shapes: Shapes) -> list[tuple[str, str, str]]:
    many = len(shapes)
    kept = many if many <= _ROWS_SHOWN else _ROWS_SHOWN - 1
    first = list(shapes.items())[:kept]
    rows = [(name, dtype.name, " x ".join(map(str, shape)) or "scalar") for name, (dtype, shape) in first]
    return rows if kept == many else [*rows, (f"... and {many - kept} more", "", "")]


def _checked_name(name: object) -> str:
    if not isinstance(name, str):
        raise WeightsError(f"tensor name: expected a str, came {name!r} ({type(name).__name__})")
    # what no file can hold: zip members end at a NUL, and a lone surrogate has no UTF-8
    if not name or "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
        raise WeightsError(f"tensor name: expected non-empty text without NUL or surrogates, came {name!r}")
    return name


def checked_names(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """As they came; WeightsError if a name is no text that every file can hold."""
    return {_checked_name(name): value for name, value in tensors.items()}


def _checked_tensor(name: str, value: object) -> Array:
    try:
        array = _as_array(value)
    except WeightsError as error:
        raise WeightsError(f"tensor {name!r}: {error}") from None
    except Exception as error:
        raise WeightsError(f"tensor {name!r}: expected an array, came {type(value).__name__} ({error})") from error
    bad = _count_non_finite(array) if TAGS[array.dtype.name] in FLOATS else 0
    if bad:
        raise WeightsError(
            f"tensor {name!r}: {bad} of {array.size} values are NaN or infinite; drop or mask them first"
        )
    return array


def _as_array(value: object) -> Array:
    torch = sys.modules.get("torch")  # a tensor of torch can only come from a torch that is loaded
    if torch is not None and isinstance(value, torch.Tensor):
        value = _from_torch(torch, value)
    if np.ma.is_masked(value):
        raise WeightsError("expected plain values, came masked ones; compress or fill them first")
    array = np.asarray(value)
    tag = TAGS.get(array.dtype.name)
    if tag is None:
        raise WeightsError(
            "expected float16/32/64, bfloat16, float8_e4m3fn, float8_e5m2, an integer type or bool, "
            f"came {array.dtype.name} (from {type(value).__name__})"
        )
    view = np.asarray(array, dtype=DTYPES[tag], order="C").view()
    view.flags.writeable = False
    return view


def _from_torch(torch: Any, tensor: Any) -> Array:
    # numpy() knows neither bfloat16 nor float8: their bits pass as integers
    bits = {torch.bfloat16: torch.int16, torch.float8_e4m3fn: torch.uint8, torch.float8_e5m2: torch.uint8}
    if tensor.dtype not in bits:
        return np.asarray(tensor.numpy(force=True))
    plain = tensor.detach().cpu().view(bits[tensor.dtype]).numpy()
    return np.asarray(plain).view(getattr(ml_dtypes, str(tensor.dtype).removeprefix("torch.")))


def _count_non_finite(array: Array) -> int:
    flat = array.reshape(-1)
    chunks = (flat[start : start + _CHUNK] for start in range(0, flat.size, _CHUNK))
    return sum(chunk.size - int(np.count_nonzero(np.isfinite(chunk))) for chunk in chunks)


def load(source: str | os.PathLike[str] | Mapping[str, npt.ArrayLike]) -> Weights:
    """Read the tensors of a model from a file, or take them from a mapping.

    Nothing in a file is executed, and a file that claims more than it holds is refused at no cost.

    Parameters
    ----------
    source
        A mapping ``{name: array}``, or a path that ends in

        - ``.safetensors``, or ``.safetensors.index.json`` for a model cut into shards beside the index;
        - ``.npz``, or ``.npy``, whose one tensor is named like the file;
        - ``.pt``, ``.pth``, ``.bin``: a state dict of torch, alone or under "state_dict" or "model". Tensors that share
          storage keep all their names;
        - ``.h5``: what Keras saves as ``.weights.h5``, without the optimizer's;
        - ``.onnx``: initializers, constants and the tensors of subgraphs and functions. Strings and single
          infinite numbers (what masks are filled with) are left out.

    Raises
    ------
    WeightsError
        If the file is missing, unknown, damaged, needs a package that is not installed, or holds what `Weights`
        refuses. The message names the file.

    Examples
    --------
    >>> load({"bias": [0.5, -0.5]})["bias"]
    array([ 0.5, -0.5])
    """
    if isinstance(source, Mapping):
        return Weights(source)
    if not isinstance(source, (str, os.PathLike)):
        raise WeightsError(f"source: expected a path or a mapping of names to arrays, came {type(source).__name__}")
    path = Path(source)
    with reading(path) as suffix:
        return Weights(READERS[suffix](path))


@contextlib.contextmanager
def reading(path: Path) -> Iterator[str]:
    """The suffix that says how a file is read; whatever goes wrong meanwhile becomes a WeightsError that names it."""
    try:
        yield _suffix(path)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error.__cause__
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        raise WeightsError(f"{path}: cannot be read: {reason or type(error).__name__}") from error


def _suffix(path: Path) -> str:
    known = [suffix for suffix in READERS if path.name.lower().endswith(suffix)]
    if not known:
        raise WeightsError(f"expected a name that ends in one of {', '.join(READERS)}, came {path.name!r}")
    if not path.is_file():
        raise WeightsError("expected a file, came " + ("something else" if path.exists() else "no such file"))
    return known[0]


def save(weights: Mapping[str, npt.ArrayLike], path: str | os.PathLike[str]) -> None:
    """Write tensors to ``.safetensors`` or ``.npz``, whole or not at all; `load` gives them back exactly.

    Parameters
    ----------
    weights
        Tensors; what `Weights` refuses is refused here.
    path
        The file to make or replace. ``.npz`` cannot hold bfloat16 and float8.

    Raises
    ------
    WeightsError
        If the suffix is unknown or the format cannot hold a tensor.
    MdlError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> w = Weights({"bias": np.array([0.5, -0.5], ml_dtypes.bfloat16)})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(w, f"{folder}/model.safetensors")
    ...     load(f"{folder}/model.safetensors") == w
    True
    """
    kept = Weights(weights)
    save_chunks(kept.shapes, lambda names: ((name, kept[name].reshape(-1)) for name in names), path)


def save_chunks(shapes: Shapes, chunks: Chunks, path: str | os.PathLike[str]) -> None:
    """``save`` for tensors that are made piece by piece: ``chunks(names)`` gives those in order, flat."""
    path = Path(path)
    write = WRITERS.get(path.suffix.lower())
    if write is None:
        raise WeightsError(f"{path}: expected a name that ends in one of {', '.join(WRITERS)}, came {path.name!r}")
    write_atomically(path, lambda stream: write(shapes, chunks, stream))
