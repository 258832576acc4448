"""Modules of torch: a chain of dense layers as a feed-forward network, any other as a function of its tensors.

Nothing happens to the module itself: its tensors are copied, and what predicts is a copy in evaluation mode and double
precision, on the same device. Predictions in single precision would differ between machines by more than a reader of a
message can bear.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdl.errors import DataError, MdlError
from mdl.likelihoods import Likelihood
from mdl.models.feedforward import FeedForward
from mdl.models.functions import Function, without_prior
from mdl.models.protocol import as_array, count_rows
from mdl.weights import Weights

_BATCH = 1024  # rows predicted at a time
_ACTIVATIONS = {"ReLU": "relu", "Tanh": "tanh", "Sigmoid": "logistic"}
_SILENT = {"Identity", "Dropout"}  # in evaluation mode


def is_module(thing: object) -> bool:
    """Whether it is a module of torch, without importing torch: nobody has one who has not."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.nn.Module)


def from_module(module: Any, likelihood: Likelihood, free: Iterable[str] | None) -> FeedForward | Function:
    """The module as a :class:`FeedForward` if it is a chain of dense layers, else as a :class:`Function`.

    Parameters
    ----------
    module
        Of torch. Its parameters are coded once each, under the first of their names, and so are its buffers.
    likelihood
        What its predictions are parameters of.
    free
        Names of tensors that no prior speaks about; by default buffers of floats, and parameters with fewer than two
        dimensions (biases, gains).

    Raises
    ------
    MdlError
        If it has no parameters, or some without values (on the meta device, or lazy).
    """
    parameters = dict(module.named_parameters())
    if not parameters:
        raise MdlError(f"wrap: this {type(module).__name__} has no parameters")
    for name, tensor in parameters.items():
        if tensor.is_meta or type(tensor).__name__ == "UninitializedParameter":
            raise MdlError(f"wrap: parameter {name!r} of this {type(module).__name__} has no values yet")
    chain = None if free is not None else _chain(module)
    if chain is not None:
        return FeedForward(Weights(chain[0]), likelihood, chain[1])
    kept = module.state_dict().keys()
    buffers = {name: buffer for name, buffer in module.named_buffers() if name in kept}
    weights = Weights({name: _copied(tensor) for name, tensor in {**parameters, **buffers}.items()})
    told = [name for name in weights.floats if name in buffers]
    apart = tuple(free) if free is not None else tuple(dict.fromkeys([*without_prior(weights), *told]))
    return Function(weights, likelihood, _Predictor(module), apart, f"torch {type(module).__qualname__}")


def _copied(tensor: Any) -> Any:
    return tensor.detach().cpu().clone()


class _Predictor:
    """``(weights, X) -> predictions`` of a private copy of a module."""

    def __init__(self, module: Any) -> None:
        self._module = copy.deepcopy(module).eval().requires_grad_(False)
        device = next(self._module.parameters()).device
        self._device = "cpu" if device.type == "mps" else device  # which has no double precision
        self._module = self._module.double().to(self._device)

    def __call__(self, weights: Mapping[str, Any], X: Any) -> NDArray[Any]:
        import torch

        tensors = {name: self._tensor(weight) for name, weight in weights.items()}
        inputs = self._tensor(X)
        with torch.no_grad():
            outputs = [
                self._checked(torch.func.functional_call(self._module, tensors, (batch.to(self._device),)))
                for batch in torch.split(inputs, _BATCH)
            ]
        return np.concatenate(outputs)

    def _tensor(self, values: Any) -> Any:
        import torch

        if isinstance(values, torch.Tensor):
            tensor = values.detach()
        else:
            array = np.asarray(values)
            floats = array.dtype.name not in _EXACT
            tensor = torch.from_numpy(np.array(array, np.float64 if floats else array.dtype))
        return tensor.to(self._device, torch.float64 if tensor.is_floating_point() else tensor.dtype)

    @staticmethod
    def _checked(outputs: Any) -> NDArray[Any]:
        import torch

        if not isinstance(outputs, torch.Tensor):
            raise MdlError(
                f"predict: expected a tensor of predictions from the module, came {type(outputs).__name__}; wrap a "
                "module that returns its logits, means or log rates alone"
            )
        return as_array(outputs)


_EXACT = frozenset(["bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))])


# --- chains of dense layers -------------------------------------------------------------------------------------------


def _chain(module: Any) -> tuple[dict[str, Any], str] | None:
    """Tensors and activation of a feed-forward network, if the module is one."""
    steps = [step for step in _steps(module) if type(step).__name__ not in _SILENT]
    dense, between = steps[::2], steps[1::2]
    kinds = {type(step).__name__ for step in between}
    plain = {_module_of(step) for step in steps} == {"torch.nn.modules"}
    if not plain or len(steps) % 2 == 0 or {type(step).__name__ for step in dense} != {"Linear"}:
        return None
    if len(kinds) > 1 or not kinds <= _ACTIVATIONS.keys() or _is_tied_or_hooked(module, dense):
        return None
    tensors: dict[str, Any] = {}
    for k, layer in enumerate(dense):
        weight = Weights({"w": _copied(layer.weight)})["w"]
        bias = np.zeros(len(weight), weight.dtype) if layer.bias is None else _copied(layer.bias)
        tensors |= {f"layers.{k}.weight": np.ascontiguousarray(weight.T), f"layers.{k}.bias": bias}
    return tensors, _ACTIVATIONS[kinds.pop()] if kinds else "identity"


def _steps(module: Any) -> Iterator[Any]:
    """The modules that inputs pass, in order; those of nested ``Sequential``s one by one."""
    if type(module).__name__ == "Sequential" and _module_of(module) == "torch.nn.modules":
        for child in module:
            yield from _steps(child)
    else:
        yield module


def _module_of(thing: object) -> str:
    return type(thing).__module__.rpartition(".")[0]


def _is_tied_or_hooked(module: Any, dense: list[Any]) -> bool:
    tensors = [tensor for layer in dense for tensor in (layer.weight, layer.bias) if tensor is not None]
    hooked = any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    return hooked or len({id(tensor) for tensor in tensors}) < len(tensors)


def gather(loader: Iterable[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """All batches ``(X, y)`` of one pass over a ``DataLoader``, or any other iterable of them, as two arrays.

    A reader of a message needs the same X in the same order: gather once, and keep X, or set ``shuffle=False``.

    Raises
    ------
    DataError
        If there is no batch, or one is no pair of as many inputs as targets.

    Examples
    --------
    >>> X, y = gather([([[0.0], [1.0]], [0, 1]), ([[2.0]], [1])])
    >>> X.shape, y.tolist()
    ((3, 1), [0, 1, 1])
    """
    inputs, targets = [], []
    for k, batch in enumerate(loader):
        if not isinstance(batch, list | tuple) or len(batch) != 2 or count_rows(batch[0]) != count_rows(batch[1]):
            raise DataError(f"batch {k}: expected a pair of inputs and as many targets, got {type(batch).__name__}")
        inputs.append(as_array(batch[0]))
        targets.append(as_array(batch[1]))
    if not inputs:
        raise DataError("loader: expected at least one batch, got none")
    X, y = np.concatenate(inputs), np.concatenate(targets)
    return X, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
