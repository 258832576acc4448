"""Prequential codes: a target costs what a learner trained on those before forecasts of it; no weights are sent.

L = sum over blocks of -ln p(block | model trained on the blocks before it), for classes and for numbers, ideal and as a
file that a reader decodes by training the same learner on the labels decoded so far.
"""

from mdl.lengths.prequential.code import Orders, PrequentialLength, differential, prequential, prequential_orders
from mdl.lengths.prequential.file import decode_prequential, encode_prequential, write_prequential
from mdl.lengths.prequential.log import LoggedLength, prequential_log
from mdl.lengths.prequential.log_file import LossLog
from mdl.lengths.prequential.plan import FRACTIONS, doubling
from mdl.lengths.prequential.switching import switch

__all__ = [
    "FRACTIONS",
    "LoggedLength",
    "LossLog",
    "Orders",
    "PrequentialLength",
    "decode_prequential",
    "differential",
    "doubling",
    "encode_prequential",
    "prequential",
    "prequential_log",
    "prequential_orders",
    "switch",
    "write_prequential",
]
