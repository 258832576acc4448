"""Which likelihood a loss of torch is the -ln of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mdl import likelihoods
from mdl.errors import MdlError
from mdl.likelihoods import Likelihood

#: By the names of ``torch.nn`` and of ``torch.nn.functional``; the argument is the precision of real targets.
_LIKELIHOODS: dict[str, Callable[[float], Likelihood]] = {
    "CrossEntropyLoss": lambda _: likelihoods.Categorical(),
    "NLLLoss": lambda _: likelihoods.Categorical(),  # its predictions are ln p, which are logits too
    "BCEWithLogitsLoss": lambda _: likelihoods.Bernoulli(),
    "MSELoss": likelihoods.Gaussian,
    "PoissonNLLLoss": lambda _: likelihoods.Poisson(),
}
_FUNCTIONS = {
    "cross_entropy": "CrossEntropyLoss",
    "nll_loss": "NLLLoss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "mse_loss": "MSELoss",
    "poisson_nll_loss": "PoissonNLLLoss",
}
#: Settings that make of a loss something else than -ln of a probability, by the value at which they do not.
_PLAIN = {"weight": None, "pos_weight": None, "label_smoothing": 0.0, "log_input": True}


def likelihood_of(loss: Any, precision: float) -> Likelihood:
    """A likelihood as it is; a loss of torch as the likelihood that it is the -ln of.

    Parameters
    ----------
    loss
        A likelihood, or ``CrossEntropyLoss()``, ``NLLLoss()``, ``BCEWithLogitsLoss()``, ``MSELoss()`` or
        ``PoissonNLLLoss()`` of ``torch.nn``, or the function of ``torch.nn.functional``.
    precision
        To which real targets are stated, for a squared error.

    Raises
    ------
    MdlError
        If it is none of them, or has weights or smoothing, which make it no -ln of a probability.
    """
    if isinstance(loss, Likelihood):
        return loss
    name = getattr(loss, "__name__", type(loss).__name__)
    name = _FUNCTIONS.get(name, name)
    if name not in _LIKELIHOODS:
        given = "none" if loss is None else name
        raise MdlError(
            f"likelihood: expected one of mdl.likelihoods, or a loss of torch among {', '.join(_LIKELIHOODS)}, "
            f"got {given}"
        )
    if other := [key for key, plain in _PLAIN.items() if getattr(loss, key, plain) != plain]:
        raise MdlError(
            f"likelihood: {name} with {other[0]} is no -ln of a probability; if the predictions are logits (or log "
            f"rates) all the same, hand over mdl.likelihoods.{type(_LIKELIHOODS[name](1.0)).__name__}"
        )
    return _LIKELIHOODS[name](precision)
