"""Every tensor of a trained network under every prior, at several steps."""

from __future__ import annotations

import math
import re
from typing import Any

from analyses import _checkpoints, _rows
from analyses._checkpoints import Trained
from analyses._prior_lengths import DIGITS, FRACTION, FRACTIONS, excess_kurtosis, lengths, scaled_lengths, shortest

_NAME = 48  # characters of a tensor's name that are kept: its end


def rows(checkpoint: str) -> list[dict[str, Any]]:
    """A row a tensor and step."""
    return [row for tensor in _checkpoints.tensors(checkpoint) for row in _of(checkpoint, tensor)]


def _of(checkpoint: str, tensor: Trained) -> list[dict[str, Any]]:
    about = {
        "part": "checkpoint", "table": checkpoint, "tensor": re.split("[;/]", tensor.name)[-1][-_NAME:],
        "kind": tensor.kind, "n": tensor.values.size, "kurtosis": excess_kurtosis(tensor.values),
    }  # fmt: skip
    found = []
    for fraction in FRACTIONS:
        row = {**about, "fraction": fraction, **lengths(tensor.values, fraction)}
        row |= _by_line(tensor) if fraction == FRACTION else {}
        found.append(_rows.kept({**row, "shortest": shortest(row)}, DIGITS))
    return found


def _by_line(tensor: Trained) -> dict[str, float]:
    """With scales for rows and columns, where there are several of both."""
    shape = tensor.values.shape
    rows_, columns = shape[0], math.prod(shape[1:])
    return scaled_lengths(tensor.values) if len(shape) > 1 and rows_ > 1 and columns > 1 else {}
