"""Every error that mdl raises on purpose; each is a ValueError and says what was expected and what came."""


class MdlError(ValueError):
    """Base of all errors of this library."""


class WeightsError(MdlError):
    """Weights that cannot be coded: non-finite, wrong dtype, unreadable file."""


class MissingPackageError(WeightsError):
    """A file or model whose reader needs a package that is not installed."""


class DataError(MdlError):
    """Inputs or targets that cannot be used: missing, non-numeric, a single class, wrong length."""


class PriorError(MdlError):
    """A prior whose parameters are invalid, or that gives a weight no mass."""


class QuantizationError(MdlError):
    """A step, codebook or float format that cannot hold the weights."""


class PenaltyError(MdlError):
    """A trainer's argument that corresponds to no prior."""


class CodeError(MdlError):
    """A symbol outside a code's alphabet, or an alphabet too large to realise."""


class MessageError(MdlError):
    """A .mdl that is damaged, truncated, foreign, or written by an unknown version."""


class PlatformError(MessageError):
    """A whole .mdl whose probabilities this platform's arithmetic does not reproduce."""
