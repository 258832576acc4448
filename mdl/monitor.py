"""Lengths while a model is being trained: model bits, data bits and their sum, epoch by epoch."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from mdl.codes.scheme import PriorLike
from mdl.errors import MdlError
from mdl.length import LN2
from mdl.lengths.two_part import two_part
from mdl.models import wrap
from mdl.optional import optional
from mdl.priors import Gaussian
from mdl.trials import Grid

if TYPE_CHECKING:
    import pandas as pd


def training_bits(
    model: Any,
    X: ArrayLike,
    y: ArrayLike,
    likelihood: Any = None,
    prior: PriorLike = Gaussian(),  # noqa: B008
    quantizer: Grid | None = None,
) -> dict[str, float]:
    """Model bits, data bits and their total as the model is now: numbers for any logger.

    They are those of :func:`mdl.two_part`, header left out. The model stays as it is.

    Parameters
    ----------
    model, likelihood
        What :func:`mdl.wrap` takes: an estimator, a module of torch and its loss.
    X, y
        (n, ...) inputs and (n,) targets: those trained on, for the length of a message about them.
    prior
        Of the weights.
    quantizer
        A step, a quantizer, or one of either a tensor. By default the step with the shortest total, which takes a
        dozen passes over X and more; say one for a large module.

    Returns
    -------
    dict
        ``{"model_bits": .., "data_bits": .., "total_bits": ..}``.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.neural_network import MLPClassifier
    >>> from sklearn.preprocessing import scale
    >>> X, y = load_wine(return_X_y=True)
    >>> net = MLPClassifier((4,), solver="sgd", learning_rate_init=0.1, random_state=0)
    >>> bits = []
    >>> for epoch in range(9):
    ...     net = net.partial_fit(scale(X), y, classes=range(3))
    ...     bits.append(training_bits(net, scale(X), y, quantizer=2**-6))
    >>> bits[8]["data_bits"] < bits[0]["data_bits"]
    True
    """
    length = two_part(wrap(model, likelihood), X, y, prior, quantizer).comparable
    data = length.part("data") / LN2
    return {"model_bits": length.bits - data, "data_bits": data, "total_bits": length.bits}


class EpochLengths:
    """What :func:`lightning_callback` does in a trainer; its ``table()`` has a row for every measurement."""

    def __init__(self, X: Any, y: Any, likelihood: Any, network: str, every: int, **options: Any) -> None:
        if every < 1:
            raise MdlError(f"every: expected at least one epoch, got {every}")
        self.network, self.every = network, every
        self.rows: list[dict[str, float]] = []
        self._options: dict[str, Any] = {"X": X, "y": y, "likelihood": likelihood, **options}

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Measure in the first process, tell the others, log in all of them."""
        epoch = int(trainer.current_epoch)
        if (epoch + 1) % self.every:
            return
        network = pl_module.get_submodule(self.network)
        bits = trainer.strategy.broadcast(training_bits(network, **self._options) if trainer.is_global_zero else None)
        self.rows.append({"epoch": epoch, **bits})
        pl_module.log_dict(bits, sync_dist=True)

    def table(self) -> pd.DataFrame:
        """``epoch``, from 0, ``model_bits``, ``data_bits``, ``total_bits``."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=["epoch", "model_bits", "data_bits", "total_bits"])

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint of the trainer keeps."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])

    def __reduce__(self) -> tuple[Any, ...]:
        # its class is made where lightning is; what a trainer hangs on a callback (its methods) does not travel
        return _restored, ({name: self.__dict__[name] for name in ("network", "every", "rows", "_options")},)


def lightning_callback(
    X: ArrayLike,
    y: ArrayLike,
    likelihood: Any,
    *,
    network: str = "",
    every: int = 1,
    prior: PriorLike = Gaussian(),  # noqa: B008
    quantizer: Grid | None = None,
) -> Any:
    """A callback for Lightning that logs ``model_bits``, ``data_bits`` and ``total_bits`` at the end of an epoch.

    Other callbacks can watch them: ``EarlyStopping("total_bits")`` stops when the message grows. Lightning logs single
    precision; the callback's ``table()`` has the numbers as they were measured.

    Parameters
    ----------
    X, y
        As for :func:`training_bits`; ``mdl.gather`` makes them of a ``DataLoader``.
    likelihood
        The loss, or one of :mod:`mdl.likelihoods`.
    network
        Name of the submodule that predicts, such as ``"net"``; by default the Lightning module's own ``forward`` does.
    every
        Epochs from one measurement to the next.
    prior, quantizer
        As for :func:`training_bits`.

    Returns
    -------
    lightning.pytorch.Callback
        An :class:`EpochLengths`, for ``Trainer(callbacks=[...])``. Every process must hold the whole module, as it does
        under DDP; strategies that cut it up are not for this.

    Raises
    ------
    MissingPackageError
        If lightning is not installed.
    """
    return _callback_class()(X, y, likelihood, network, every, prior=prior, quantizer=quantizer)


@functools.cache
def _callback_class() -> Any:
    base = optional("lightning.pytorch", "a callback").Callback
    return type("LengthCallback", (EpochLengths, base), {})


def _restored(state: dict[str, Any]) -> Any:
    made = _callback_class().__new__(_callback_class())
    made.__dict__.update(state)
    return made
