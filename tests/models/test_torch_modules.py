"""Modules of torch: what torch predicts, as many bits as scikit-learn's weights, and the module left as it was."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor

import mdl
from mdl.errors import DataError, MdlError, MessageError
from mdl.likelihoods import Bernoulli, Categorical, Gaussian, Poisson
from mdl.models import FeedForward, Function

torch = pytest.importorskip("torch")
nn = torch.nn

RNG = np.random.default_rng(4)
X = RNG.normal(size=(50, 6)).astype(np.float32)
THREE = np.digitize(X[:, 1], [-0.5, 0.5])
REAL = np.rint(10 * X[:, 0])


class Net(nn.Module):
    """A convolution, a batch norm with buffers, dropout, and two heads that share a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 3)
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(16, 3)
        self.twin = nn.Linear(16, 3)
        self.twin.weight = self.head.weight
        self.register_buffer("unsaved", torch.eye(3), persistent=False)

    def forward(self, x):
        hidden = self.drop(torch.relu(self.norm(self.conv(x[:, None, :])))).flatten(1)
        return self.head(hidden) + self.twin(hidden) @ self.unsaved


def net() -> Net:
    torch.manual_seed(0)
    module = Net()
    for _ in range(5):
        module(torch.from_numpy(X))  # the running means of the batch norm move
    return module


def sequential(estimator, activation) -> nn.Sequential:
    """The same weights as scikit-learn's, in torch."""
    steps = []
    for weight, bias in zip(estimator.coefs_, estimator.intercepts_, strict=True):
        layer = nn.Linear(*weight.shape).to(torch.from_numpy(weight).dtype)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weight.T.copy()))
            layer.bias.copy_(torch.from_numpy(bias))
        steps += [layer, activation(), nn.Dropout(0.3)]
    return nn.Sequential(nn.Sequential(*steps[:3]), *steps[3:-2])


@pytest.mark.parametrize(
    ("activation", "name"), [(nn.ReLU, "relu"), (nn.Tanh, "tanh"), (nn.Sigmoid, "logistic")], ids=lambda a: str(a)[-12:]
)
def test_a_perceptron_has_the_length_of_the_same_weights_in_scikit_learn_to_the_bit(activation, name) -> None:
    kind = {"hidden_layer_sizes": (5, 4), "activation": name, "max_iter": 40, "tol": 1.0, "random_state": 0}
    for estimator, y, loss in (
        (MLPClassifier(**kind).fit(X, THREE), THREE, nn.CrossEntropyLoss()),
        (MLPRegressor(**kind).fit(X, REAL), REAL, nn.MSELoss()),
    ):
        theirs, ours = mdl.wrap(estimator), mdl.wrap(sequential(estimator, activation), loss)
        assert isinstance(ours, FeedForward)
        for realised in (False, True):
            one, other = (mdl.two_part(m, X, y, mdl.Laplace(), realised=realised) for m in (theirs, ours))
            assert one == other
        assert mdl.encode_with_data(theirs, X, y) == mdl.encode_with_data(ours, X, y)


@pytest.mark.parametrize(
    ("loss", "outputs", "likelihood"),
    [
        (nn.CrossEntropyLoss(), 3, Categorical()),
        (nn.NLLLoss(), 3, Categorical()),
        (nn.functional.cross_entropy, 3, Categorical()),
        (nn.BCEWithLogitsLoss(), 1, Bernoulli()),
        (nn.MSELoss(), 1, Gaussian(0.5)),
        (nn.PoissonNLLLoss(), 1, Poisson()),
        (Categorical(3), 3, Categorical(3)),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_loss_is_the_likelihood_that_it_is_the_minus_ln_of(loss, outputs, likelihood) -> None:
    """The data take n times the mean loss, for every loss that says so itself."""
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(6, 4), nn.GELU(), nn.Linear(4, outputs))
    model = mdl.wrap(module, loss, precision=0.5)
    assert model.likelihood == likelihood
    predictions = model.predict(X)
    y = THREE if outputs == 3 else (THREE > 1).astype(int)
    nats = -model.likelihood.fit(predictions, y).log_prob(predictions, y).sum()
    logits = module.double()(torch.from_numpy(X).double()).detach()
    if outputs == 3:
        expected = nn.functional.cross_entropy(logits, torch.from_numpy(y), reduction="sum")
    elif likelihood == Bernoulli():
        expected = loss(logits[:, 0], torch.from_numpy(y).double()) * len(y)
    elif likelihood == Poisson():
        expected = loss(logits[:, 0], torch.from_numpy(y).double()) * len(y)  # y is 0 or 1: ln y! = 0
    else:
        scale = model.likelihood.fit(predictions, y).scale
        mean_square = float(loss(logits[:, 0], torch.from_numpy(y)))
        assert scale == pytest.approx((mean_square + 0.5**2 / 12) ** 0.5, rel=1e-2)
        return
    assert nats == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (nn.CrossEntropyLoss(label_smoothing=0.1), "label_smoothing"),
        (nn.CrossEntropyLoss(weight=torch.ones(3)), "weight"),
        (nn.BCEWithLogitsLoss(pos_weight=torch.ones(1)), "pos_weight"),
        (nn.PoissonNLLLoss(log_input=False), "log_input"),
        (nn.L1Loss(), "L1Loss"),
        (None, "none"),
    ],
    ids=str,
)
def test_a_loss_that_is_no_minus_ln_of_a_probability_is_refused(loss, said) -> None:
    with pytest.raises(MdlError, match=said):
        mdl.wrap(net(), loss)


def test_predictions_are_those_of_the_module_in_evaluation_mode_and_double_precision() -> None:
    module = net()
    expected = copy.deepcopy(module).double().eval()(torch.from_numpy(X).double()).detach().numpy()
    model = mdl.wrap(module, nn.CrossEntropyLoss())
    for inputs in (X, X.astype(np.float64), torch.from_numpy(X), X.tolist()):
        predictions = model.predict(inputs)
        assert predictions.dtype == np.float64
        np.testing.assert_allclose(predictions, expected, rtol=1e-12)


def test_many_rows_are_predicted_batch_by_batch() -> None:
    model = mdl.wrap(net(), nn.CrossEntropyLoss())
    many = np.tile(X, (50, 1))
    np.testing.assert_allclose(model.predict(many), np.tile(model.predict(X), (50, 1)), rtol=1e-12)


def test_tied_weights_and_buffers() -> None:
    model = mdl.wrap(net(), nn.CrossEntropyLoss())
    assert "twin.weight" not in model.weights
    assert {"conv.weight", "head.weight", "twin.bias", "norm.running_mean"} <= model.weights.keys()
    assert "unsaved" not in model.weights
    assert list(model.weights.integers) == ["norm.num_batches_tracked"]
    apart = {"conv.bias", "norm.weight", "norm.bias", "head.bias", "twin.bias", "norm.running_mean", "norm.running_var"}
    assert set(model.free) == apart
    changed = model.with_weights({**model.weights, "head.weight": np.zeros((3, 16), np.float32)})
    biases = model.weights["head.bias"].astype(float) + model.weights["twin.bias"].astype(float)
    np.testing.assert_allclose(changed.predict(X), np.tile(biases, (50, 1)))


def test_the_module_stays_as_it_was_and_the_model_as_it_is() -> None:
    module = net()
    assert module.training
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    model = mdl.wrap(module, nn.CrossEntropyLoss())
    predictions = model.predict(X)
    model.with_weights({name: np.zeros_like(w) for name, w in model.weights.items()}).predict(X)
    assert module.training
    assert all(parameter.requires_grad and parameter.dtype == torch.float32 for parameter in module.parameters())
    after = module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(model.predict(X), predictions)


def test_a_message_is_read_with_the_readers_own_module() -> None:
    model = mdl.wrap(net(), nn.CrossEntropyLoss())
    message = mdl.encode_with_data(model, X, THREE, mdl.Laplace(), quantizer=2.0**-5)
    realised = mdl.two_part(model, X, THREE, mdl.Laplace(), 2.0**-5, realised=True)
    assert 8 * len(message) == pytest.approx(realised.bits, rel=1e-12)  # a sum of nats
    decoded, y = mdl.decode_with_data(message, X, mdl.wrap(Net(), nn.MSELoss()))
    np.testing.assert_array_equal(y, THREE)
    assert decoded.likelihood == Categorical(3)
    np.testing.assert_array_equal(decoded.weights["head.weight"], np.rint(model.weights["head.weight"] * 32) / 32)
    assert mdl.decode(message) == decoded.weights


def test_a_reader_without_the_module_or_with_another_is_told_so() -> None:
    message = mdl.encode_with_data(mdl.wrap(net(), nn.CrossEntropyLoss()), X, THREE, quantizer=2.0**-4)
    with pytest.raises(MessageError, match=r"model=mdl\.wrap"):
        mdl.decode_with_data(message, X)
    other = nn.Sequential(nn.Linear(6, 4), nn.GELU(), nn.Linear(4, 3))
    with pytest.raises(MessageError, match=r"'torch Net'.*'torch Sequential'"):
        mdl.decode_with_data(message, X, mdl.wrap(other, nn.CrossEntropyLoss()))
    wider = Net()
    wider.head = nn.Linear(16, 4)
    with pytest.raises(MessageError, match=r"tensor .head.bias.: expected shape \(4,\), got \(3,\)"):
        mdl.decode_with_data(message, X, mdl.wrap(wider, nn.CrossEntropyLoss()))


def test_of_any_other_shape_and_kind_of_inputs() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(5, 3)

        def forward(self, ids):
            return self.embed(ids).mean(1)

    ids = RNG.integers(0, 5, (40, 7))
    y = RNG.integers(0, 3, 40)
    model = mdl.wrap(Tokens(), nn.CrossEntropyLoss())
    assert model.free == ()
    message = mdl.encode_with_data(model, ids, torch.from_numpy(y), quantizer=0.25)
    np.testing.assert_array_equal(mdl.decode_with_data(message, ids, model)[1], y)
    images = mdl.wrap(nn.Sequential(nn.Flatten(), nn.Linear(12, 1)), nn.BCEWithLogitsLoss())
    assert images.predict(np.zeros((4, 3, 2, 2))).shape == (4,)


def test_a_chain_is_recognised_only_where_it_is_one() -> None:
    def kind(*steps):
        return type(mdl.wrap(nn.Sequential(*steps), nn.CrossEntropyLoss()))

    layer, hooked = nn.Linear(6, 6), nn.Linear(6, 6)
    hooked.register_forward_hook(lambda module, inputs, output: 2 * output)
    assert kind(nn.Linear(6, 3, bias=False)) is FeedForward
    assert kind(nn.Linear(6, 4), nn.Identity(), nn.Tanh(), nn.Linear(4, 3)) is FeedForward
    assert kind(nn.Linear(6, 4), nn.Linear(4, 3)) is Function
    assert kind(nn.Linear(6, 4), nn.Tanh()) is Function
    assert kind(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)) is Function
    assert kind(layer, nn.Tanh(), layer) is Function
    assert kind(hooked, nn.Tanh(), nn.Linear(6, 3)) is Function
    chosen = mdl.wrap(nn.Sequential(nn.Linear(6, 3)), nn.CrossEntropyLoss(), free=())
    assert isinstance(chosen, Function)
    assert chosen.free == ()


def test_a_chain_predicts_what_torch_predicts() -> None:
    module = nn.Sequential(nn.Linear(6, 4, bias=False), nn.Dropout(0.9), nn.Sigmoid(), nn.Linear(4, 3)).to(
        torch.bfloat16
    )
    expected = copy.deepcopy(module).double().eval()(torch.from_numpy(X).double()).detach().numpy()
    np.testing.assert_allclose(mdl.wrap(module, nn.CrossEntropyLoss()).predict(X), expected, rtol=1e-12)


def test_batches_of_a_loader_become_arrays() -> None:
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(THREE))
    inputs, y = mdl.gather(torch.utils.data.DataLoader(data, batch_size=16, shuffle=True))
    order = [int(np.flatnonzero((row == X).all(axis=1))[0]) for row in inputs]
    assert sorted(order) == list(range(50))
    np.testing.assert_array_equal(y, THREE[order])
    column = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(REAL)[:, None])
    assert mdl.gather(torch.utils.data.DataLoader(column))[1].shape == (50,)


@pytest.mark.parametrize("batches", [[], [X], [(X, THREE, THREE)], [(X, THREE[:3])]], ids=["none", "X", "3", "short"])
def test_what_are_no_batches_is_refused(batches) -> None:
    with pytest.raises(DataError, match="expected"):
        mdl.gather(batches)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (nn.ReLU(), "no parameters"),
        (nn.Linear(2, 2, device="meta"), "no values"),
        (nn.LazyLinear(2), "no values"),
    ],
    ids=["none", "meta", "lazy"],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_modules_without_weights_are_refused(module, said) -> None:
    with pytest.raises(MdlError, match=said):
        mdl.wrap(module, nn.CrossEntropyLoss())


def test_a_module_that_fails_is_named_with_what_it_was_given() -> None:
    model = mdl.wrap(net(), nn.CrossEntropyLoss())
    with pytest.raises(MdlError, match=r"torch Net failed on X, ndarray of shape \(50, 2\): RuntimeError: "):
        model.predict(X[:, :2])
    with pytest.raises(DataError, match="made 3 of 150 predictions NaN"):
        model.predict(np.where(np.arange(50)[:, None] == 7, np.nan, X))


def test_outputs_that_are_no_tensor_are_named() -> None:
    class Two(nn.Linear):
        def forward(self, x):
            return super().forward(x), x

    with pytest.raises(MdlError, match="came tuple"):
        mdl.wrap(Two(6, 3), nn.CrossEntropyLoss()).predict(X)


def test_the_certificate_takes_an_open_number_of_classes() -> None:
    model = mdl.wrap(nn.Sequential(nn.Flatten(), nn.Linear(6, 3)), nn.CrossEntropyLoss())
    assert 0.0 < mdl.certify(model, X, THREE).bound <= 1.0
