"""Packages that come with an extra: imported when they are needed, and named when they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from mdl.errors import MissingPackageError

#: The extra of each, where it is not called like the package.
_EXTRAS = {"distributed": "dask", "h5py": "keras", "lightning.pytorch": "lightning"}


def optional(package: str, purpose: str) -> Any:
    """The imported package; MissingPackageError that says for what, and how to get it.

    Examples
    --------
    >>> optional("math", "counting").gcd(4, 6)
    2
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        extra = f'pip install "description-length[{_EXTRAS.get(package, package)}]"'
        raise MissingPackageError(f"{purpose} needs {package}, which is not installed: {extra}") from error
