"""Minimum description length in machine learning: code lengths of trained models, measured.

>>> import numpy as np, mdl
>>> w = {"layer": np.linspace(-1.0, 1.0, 1001)}
>>> length = mdl.measure(w, prior=mdl.Gaussian(), step=2**-6)
>>> np.array_equal(mdl.decode(mdl.encode(w, prior=mdl.Gaussian(), step=2**-6))["layer"], np.rint(w["layer"] * 64) / 64)
True
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mdl.bounds import Certificate, certificate, certify
    from mdl.codes.adaptive import KT
    from mdl.codes.contextual import Contextual
    from mdl.codes.scaled import Scaled
    from mdl.codes.shortest import Shortest
    from mdl.curvature import Calibration, calibrate
    from mdl.errors import MdlError, MessageError, PlatformError
    from mdl.length import CodeLength, compare
    from mdl.lengths.checkpoint import decode, encode, measure
    from mdl.lengths.evidence import evidence
    from mdl.lengths.lattice import encode_lattice, lattice
    from mdl.lengths.luckiness import lnml
    from mdl.lengths.mml import mml
    from mdl.lengths.nml import nml
    from mdl.lengths.prequential import (
        LossLog,
        decode_prequential,
        encode_prequential,
        prequential,
        prequential_log,
    )
    from mdl.lengths.refined import encode_refined, refined
    from mdl.lengths.relative_entropy import encode_relative_entropy, relative_entropy
    from mdl.lengths.two_part import decode_with_data, encode_with_data, two_part
    from mdl.lengths.variational import variational
    from mdl.models import FeedForward, Model, gather, wrap
    from mdl.monitor import lightning_callback, training_bits
    from mdl.priors import (
        Cauchy,
        Gaussian,
        GeneralizedGaussian,
        Hashed,
        Laplace,
        Logistic,
        Mixture,
        SpikeAndSlab,
        StudentT,
        Uniform,
    )
    from mdl.quantize import Codebook, DeadZone, FloatFormat, UniformGrid
    from mdl.select import MDLLogistic, MDLMLPClassifier, MDLRidge, MDLSearch
    from mdl.trellis import Trellis
    from mdl.weights import Weights, load, save

__version__ = "0.1.0"

__all__ = [
    "KT",
    "Calibration",
    "Cauchy",
    "Certificate",
    "CodeLength",
    "Codebook",
    "Contextual",
    "DeadZone",
    "FeedForward",
    "FloatFormat",
    "Gaussian",
    "GeneralizedGaussian",
    "Hashed",
    "Laplace",
    "Logistic",
    "LossLog",
    "MDLLogistic",
    "MDLMLPClassifier",
    "MDLRidge",
    "MDLSearch",
    "MdlError",
    "MessageError",
    "Mixture",
    "Model",
    "PlatformError",
    "Scaled",
    "Shortest",
    "SpikeAndSlab",
    "StudentT",
    "Trellis",
    "Uniform",
    "UniformGrid",
    "Weights",
    "calibrate",
    "certificate",
    "certify",
    "compare",
    "decode",
    "decode_prequential",
    "decode_with_data",
    "encode",
    "encode_lattice",
    "encode_prequential",
    "encode_refined",
    "encode_relative_entropy",
    "encode_with_data",
    "evidence",
    "gather",
    "lattice",
    "lightning_callback",
    "lnml",
    "load",
    "measure",
    "mml",
    "nml",
    "prequential",
    "prequential_log",
    "refined",
    "relative_entropy",
    "save",
    "training_bits",
    "two_part",
    "variational",
    "wrap",
]

#: The module behind each name of the front door: importing mdl imports none of them.
_NAMES = {
    "bounds": ("Certificate", "certificate", "certify"),
    "codes.adaptive": ("KT",),
    "codes.contextual": ("Contextual",),
    "codes.scaled": ("Scaled",),
    "codes.shortest": ("Shortest",),
    "curvature": ("Calibration", "calibrate"),
    "errors": ("MdlError", "MessageError", "PlatformError"),
    "length": ("CodeLength", "compare"),
    "lengths.evidence": ("evidence",),
    "lengths.lattice": ("encode_lattice", "lattice"),
    "lengths.luckiness": ("lnml",),
    "lengths.mml": ("mml",),
    "lengths.nml": ("nml",),
    "lengths.prequential": (
        "LossLog",
        "decode_prequential",
        "encode_prequential",
        "prequential",
        "prequential_log",
    ),
    "lengths.refined": ("encode_refined", "refined"),
    "lengths.relative_entropy": ("encode_relative_entropy", "relative_entropy"),
    "lengths.checkpoint": ("decode", "encode", "measure"),
    "lengths.two_part": ("decode_with_data", "encode_with_data", "two_part"),
    "lengths.variational": ("variational",),
    "models": ("FeedForward", "Model", "gather", "wrap"),
    "monitor": ("lightning_callback", "training_bits"),
    "priors": (
        "Cauchy",
        "Gaussian",
        "GeneralizedGaussian",
        "Hashed",
        "Laplace",
        "Logistic",
        "Mixture",
        "SpikeAndSlab",
        "StudentT",
        "Uniform",
    ),
    "quantize": ("Codebook", "DeadZone", "FloatFormat", "UniformGrid"),
    "select": ("MDLLogistic", "MDLMLPClassifier", "MDLRidge", "MDLSearch"),
    "trellis": ("Trellis",),
    "weights": ("Weights", "load", "save"),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}
_ROOMS = frozenset(module.name for module in pkgutil.iter_modules(__path__))


def __getattr__(name: str) -> Any:
    """A name of the front door, or a room, imported when it is first asked for (PEP 562)."""
    if name in _HOMES:
        found = getattr(importlib.import_module(f"mdl.{_HOMES[name]}"), name)
        globals()[name] = found
        return found
    if name in _ROOMS:
        return importlib.import_module(f"mdl.{name}")
    raise AttributeError(f"module 'mdl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})
