"""Lengths during training: those of two_part, in any loop, and in Lightning's."""

from __future__ import annotations

import pickle
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import mdl
from mdl import monitor
from mdl.errors import MdlError, MissingPackageError

X, Y = load_digits(n_class=3).data[:200] / 16.0, load_digits(n_class=3).target[:200]


@pytest.mark.parametrize("prior", [mdl.Gaussian(), mdl.Laplace()])
def test_bits_are_those_of_two_part_without_the_header(prior: Any) -> None:
    fitted = LogisticRegression().fit(X, Y)
    bits = mdl.training_bits(fitted, X, Y, prior=prior, quantizer=0.25)
    length = mdl.two_part(mdl.wrap(fitted), X, Y, prior=prior, quantizer=0.25)
    assert bits["total_bits"] == length.comparable.bits
    assert bits["data_bits"] == length.part_bits()["data"]
    assert bits["model_bits"] == pytest.approx(bits["total_bits"] - bits["data_bits"])
    assert list(bits) == ["model_bits", "data_bits", "total_bits"]


class FakeModule:
    """As much of a LightningModule as the callback asks for."""

    def __init__(self) -> None:
        self.logged: list[Any] = []

    def get_submodule(self, name: str) -> Any:
        assert name == "net"
        return LogisticRegression().fit(X, Y)

    def log_dict(self, values: Any, **options: Any) -> None:
        self.logged.append((values, options))


def fake_trainer(epoch: int, *, first: bool = True, told: Any = None) -> Any:
    strategy = SimpleNamespace(broadcast=lambda bits: told if bits is None else bits)
    return SimpleNamespace(current_epoch=epoch, is_global_zero=first, strategy=strategy)


def test_the_core_measures_every_so_many_epochs_and_goes_on_from_a_checkpoint() -> None:
    callback, module = monitor.EpochLengths(X, Y, None, "net", 2, quantizer=0.25), FakeModule()
    for epoch in range(4):
        callback.on_train_epoch_end(fake_trainer(epoch), module)
    expected = mdl.training_bits(LogisticRegression().fit(X, Y), X, Y, quantizer=0.25)
    assert module.logged == [(expected, {"sync_dist": True})] * 2
    assert callback.table()["epoch"].tolist() == [1, 3]
    assert callback.table()["total_bits"].tolist() == [expected["total_bits"]] * 2
    other = monitor.EpochLengths(X, Y, None, "net", 2)
    other.load_state_dict(pickle.loads(pickle.dumps(callback.state_dict())))  # noqa: S301
    assert other.table().equals(callback.table())


def test_other_processes_are_told_and_measure_nothing() -> None:
    callback, told = monitor.EpochLengths(None, None, None, "net", 1), {"total_bits": 3.0}
    module = FakeModule()
    callback.on_train_epoch_end(fake_trainer(0, first=False, told=told), module)
    assert module.logged == [(told, {"sync_dist": True})]


def test_an_epoch_is_the_least_that_is_waited_for() -> None:
    with pytest.raises(MdlError, match="every: expected at least one epoch, got 0"):
        monitor.EpochLengths(X, Y, None, "", 0)


def test_without_lightning_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor._callback_class.cache_clear()
    monkeypatch.setitem(sys.modules, "lightning.pytorch", None)
    with pytest.raises(MissingPackageError, match=r"description-length\[lightning\]"):
        mdl.lightning_callback(X, Y, None)


# --- in Lightning -----------------------------------------------------------------------------------------------------


def lightning_parts() -> tuple[Any, Any, Any]:
    """Lightning, torch, and a module to train."""
    torch = pytest.importorskip("torch")
    pl = pytest.importorskip("lightning.pytorch")

    class Net(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.net = torch.nn.Sequential(torch.nn.Linear(64, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
            self.modes: list[bool] = []

        def forward(self, x: Any) -> Any:
            return self.net(x)

        def training_step(self, batch: Any, _: int) -> Any:
            self.modes.append(self.training)
            return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.5)

    return pl, torch, Net


def trained(folder: Any, callbacks: Any, epochs: int, checkpoint: Any = None) -> tuple[Any, Any]:
    pl, torch, net = lightning_parts()
    data = torch.utils.data.TensorDataset(torch.tensor(X, dtype=torch.float32), torch.tensor(Y))
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, logger=False, callbacks=callbacks, default_root_dir=folder,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    module = net()
    trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=50), ckpt_path=checkpoint)
    return trainer, module


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("network", ["", "net"])
def test_lightning_logs_the_length_of_the_module_as_it_is(tmp_path: Any, network: str) -> None:
    _, torch, _ = lightning_parts()
    loss = torch.nn.CrossEntropyLoss()
    callback = mdl.lightning_callback(X, Y, loss, network=network, quantizer=2**-4)
    trainer, module = trained(tmp_path, [callback], 3)
    expected = mdl.training_bits(module.get_submodule(network), X, Y, loss, quantizer=2**-4)
    assert callback.rows[-1] == {"epoch": 2, **expected}
    assert len(callback.table()) == 3
    for name, bits in expected.items():
        assert float(trainer.callback_metrics[name]) == pytest.approx(bits, rel=1e-6)
    assert all(module.modes)
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
    assert callback.table()["data_bits"].is_monotonic_decreasing


@pytest.mark.filterwarnings("ignore")
def test_early_stopping_can_watch_the_total(tmp_path: Any) -> None:
    pl, torch, _ = lightning_parts()
    callback = mdl.lightning_callback(X, Y, torch.nn.CrossEntropyLoss(), network="net", quantizer=2**-4)
    stop = pl.callbacks.EarlyStopping("total_bits", patience=2, check_on_train_epoch_end=True)
    trained(tmp_path, [callback, stop], 200)
    totals = callback.table()["total_bits"]
    assert len(totals) < 200
    assert int(np.argmin(totals)) == len(totals) - 3
    assert float(stop.best_score) == pytest.approx(totals.min(), rel=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_a_callback_travels_and_resumes(tmp_path: Any) -> None:
    pl, torch, _ = lightning_parts()
    callback = mdl.lightning_callback(X, Y, torch.nn.CrossEntropyLoss(), network="net", quantizer=2**-4)
    trainer, _ = trained(tmp_path, [callback], 2)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    fresh = mdl.lightning_callback(X, Y, torch.nn.CrossEntropyLoss(), network="net", quantizer=2**-4)
    trained(tmp_path, [fresh], 4, tmp_path / "last.ckpt")
    assert fresh.rows[:2] == callback.rows
    assert fresh.table()["epoch"].tolist() == [0, 1, 2, 3]
    again = pickle.loads(pickle.dumps(callback))  # noqa: S301
    assert isinstance(again, pl.Callback)
    assert again.rows == callback.rows
