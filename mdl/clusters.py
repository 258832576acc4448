"""Tasks on a cluster of Dask: workers that die are done without, and nothing waits for what cannot come.

This speaks to ``distributed`` itself: joblib's backend for Dask waits for ever for a task that the cluster gives up.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import operator
import pickle
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from mdl.errors import MdlError
from mdl.optional import optional

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

_SECONDS = 10  # for a scheduler to answer, and for a first worker to come


def results(
    function: Callable[[S, T], R], shared: S, tasks: Sequence[T], scheduler: str | None = None
) -> Generator[R, None, None]:
    """``function(shared, task)`` of every task, computed by the workers of a cluster, as they finish.

    The tasks of a worker that dies go to the others; one that several workers died of is given up.

    Parameters
    ----------
    function
        A function of a module that the workers can import.
    shared
        What all tasks need, such as the data: sent once.
    tasks
        One call each.
    scheduler
        Address of the cluster's scheduler, such as ``tcp://host:8786``. By default the one that this process's
        ``distributed.Client`` is connected to.

    Raises
    ------
    MdlError
        If ``distributed`` is not installed, the scheduler is not there or is lost on the way, there is no worker
        within ten seconds, the workers cannot import the function, or a task is given up. What the function raises
        passes through.
    """
    distributed = optional("distributed", "the backend dask")
    with contextlib.ExitStack() as stack:
        client = _connected(distributed, scheduler, stack)
        address = client.scheduler.address
        try:
            call = _sent(client, functools.partial(_unpacked, function, shared))
            futures = [client.submit(operator.call, call, pickle.dumps(task), pure=False) for task in tasks]
            for future in distributed.as_completed(futures, loop=client.loop):
                yield future.result()
        except distributed.KilledWorker as error:
            raise MdlError(f"cluster {address}: gave up a task that its workers died of: {_line(error)}") from error
        except CancelledError as error:
            raise MdlError(f"cluster {address}: lost, or told to stop, on the way: {_line(error)}") from error


def _unpacked(function: Callable[[S, T], R], shared: S, task: bytes) -> R:
    return function(shared, pickle.loads(task))  # noqa: S301 - what this process's own client has packed


def _sent(client: Any, call: Callable[[bytes], Any]) -> Any:
    """A future of the call: the result of a task, which unlike data is made again when the workers that hold it die.

    Packed as bytes, so that a worker that lacks a module says so; it would lose its scheduler over anything else.
    """
    packed = importlib.import_module("cloudpickle").dumps(call)
    with importlib.import_module("dask").config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}):
        sent = client.submit(pickle.loads, packed, pure=False)
    error = sent.exception()
    if error is not None:
        reason = _line(error)
        raise MdlError(f"cluster {client.scheduler.address}: its workers need what this process has: {reason}")
    return sent


def _connected(distributed: Any, scheduler: str | None, stack: contextlib.ExitStack) -> Any:
    """A client of its own for an address, closed with the stack, else the one that there is; with a worker."""
    try:
        if scheduler is None:
            client = distributed.get_client()
        else:
            client = stack.enter_context(distributed.Client(scheduler, timeout=_SECONDS, set_as_default=False))
    except (OSError, ValueError) as error:
        expected = "an address such as tcp://host:8786" + (", or an open Client" if scheduler is None else "")
        raise MdlError(f"scheduler: expected {expected}, got {scheduler!r}: {_line(error)}") from error
    try:
        client.wait_for_workers(1, timeout=_SECONDS)
    except TimeoutError as error:
        raise MdlError(f"cluster {client.scheduler.address}: expected workers, came none: {_line(error)}") from error
    return client


def _line(error: BaseException | None) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
