"""Any function of weights and inputs; graphs of ONNX, which are one."""

from __future__ import annotations

import numpy as np
import pytest

import mdl
from mdl.errors import DataError, MdlError, MessageError, WeightsError
from mdl.likelihoods import Bernoulli, Categorical, Gaussian
from mdl.models import Model
from tests.models import graphs

RNG = np.random.default_rng(5)
X = RNG.normal(size=(80, 5)).astype(np.float32)
WEIGHTS = {"w": RNG.normal(size=5), "b": np.array(0.25)}
TWO = (X @ WEIGHTS["w"] > 0.1).astype(int)


def logits(weights, inputs):
    return inputs @ weights["w"] + weights["b"]


def test_a_function_has_the_length_that_its_numbers_say() -> None:
    """A step for every tensor, and the codes' own sums: no search, so that the sum can be done by hand."""
    model = mdl.wrap(logits, Bernoulli(), weights=WEIGHTS, free=["b"])
    assert isinstance(model, Model)
    length = mdl.two_part(model, X, TWO, mdl.Laplace(), 2.0**-4)
    quantised = mdl.decode(mdl.encode_with_data(model, X, TWO, mdl.Laplace(), 2.0**-4))
    np.testing.assert_array_equal(quantised["w"], np.rint(WEIGHTS["w"] * 16) / 16)
    z = logits(quantised, X)
    assert length.part("data") == pytest.approx(np.logaddexp(0.0, np.where(TWO == 1, -z, z)).sum(), rel=1e-3)
    assert length.part("weights") == pytest.approx(
        mdl.measure({"w": WEIGHTS["w"]}, mdl.Laplace(), 2.0**-4).part("weights")
    )


def test_its_message_is_read_with_the_function() -> None:
    model = mdl.wrap(logits, Bernoulli(), weights=WEIGHTS)
    message = mdl.encode_with_data(model, X, TWO)
    blank = mdl.wrap(logits, Bernoulli(), weights={"w": np.zeros(5), "b": np.array(0.0)})
    decoded, y = mdl.decode_with_data(message, X, blank)
    np.testing.assert_array_equal(y, TWO)
    assert mdl.decode(message) == decoded.weights
    other = mdl.wrap(lambda weights, X: X @ weights["w"], Bernoulli(), weights=WEIGHTS)
    with pytest.raises(MessageError, match=r"'function logits'.*'function <lambda>'"):
        mdl.decode_with_data(message, X, other)


def test_weights_may_lie_in_a_file_and_inputs_be_anything(tmp_path) -> None:
    mdl.save(WEIGHTS, tmp_path / "w.npz")
    words = ["a", "bcd", "ef"] * 10

    def of_words(weights, texts):
        return np.array([[len(text) * weights["w"][0]] for text in texts])

    model = mdl.wrap(of_words, Gaussian(1.0), weights=tmp_path / "w.npz")
    assert model.predict(words).shape == (30,)
    y = np.array([len(word) for word in words])
    message = mdl.encode_with_data(model, words, y)
    np.testing.assert_array_equal(mdl.decode_with_data(message, words, model)[1], y)
    with pytest.raises(MdlError, match="30"):
        mdl.two_part(model, words, y[:5])


def test_what_a_function_lacks_is_named(tmp_path) -> None:
    with pytest.raises(MdlError, match="weights="):
        mdl.wrap(logits, Bernoulli())
    with pytest.raises(MdlError, match="likelihood: expected"):
        mdl.wrap(logits, weights=WEIGHTS)
    with pytest.raises(DataError, match="'bias'"):
        mdl.wrap(logits, Bernoulli(), weights=WEIGHTS, free=["bias"])
    model = mdl.wrap(logits, Bernoulli(), weights=WEIGHTS)
    for tensors in ({"w": WEIGHTS["w"]}, {**WEIGHTS, "w": np.zeros(4)}, {**WEIGHTS, "v": np.zeros(4)}):
        with pytest.raises(DataError, match="expected shape"):
            model.with_weights(tensors)
    with pytest.raises(MdlError, match="goes with a function"):
        mdl.wrap(tmp_path / "model.safetensors", Bernoulli())


# --- graphs of ONNX ---------------------------------------------------------------------------------------------------

THREE = np.digitize(X[:, 0], [-0.5, 0.5])


@pytest.fixture
def graph(tmp_path):
    """Two dense layers, the second's weight a ``Constant``."""
    pytest.importorskip("onnxruntime")
    shapes = {"hidden.weight": (5, 4), "hidden.bias": 4, "out.weight": (4, 3), "out.bias": 3}
    tensors = {name: RNG.normal(size=shape) for name, shape in shapes.items()}
    return graphs.save(tmp_path / "model.onnx", tensors), tensors


def _forward(tensors, inputs):
    return (
        np.maximum(inputs @ tensors["hidden.weight"] + tensors["hidden.bias"], 0) @ tensors["out.weight"]
        + tensors["out.bias"]
    )


def test_a_graph_predicts_with_the_weights_that_it_is_given(graph) -> None:
    path, tensors = graph
    model = mdl.wrap(path, Categorical())
    assert set(model.weights) == set(tensors)  # the shape that it holds as int64 stays with the graph
    assert set(model.free) == {"hidden.bias", "out.bias"}
    np.testing.assert_allclose(model.predict(X), _forward(tensors, X), rtol=1e-4, atol=1e-5)
    doubled = {name: 2 * tensor for name, tensor in model.weights.items()}
    np.testing.assert_allclose(model.with_weights(doubled).predict(X), _forward(doubled, X), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(model.predict(X), _forward(tensors, X), rtol=1e-4, atol=1e-5)


def test_the_message_of_a_graph_is_read_with_the_graph(graph, tmp_path) -> None:
    path, tensors = graph
    message = mdl.encode_with_data(mdl.wrap(str(path), Categorical()), X, THREE, quantizer=2.0**-4)
    blank = graphs.save(tmp_path / "blank.onnx", {name: 0 * tensor for name, tensor in tensors.items()})
    decoded, y = mdl.decode_with_data(message, X, mdl.wrap(blank, Categorical(3)))
    np.testing.assert_array_equal(y, THREE)
    np.testing.assert_allclose(decoded.weights["out.weight"], np.rint(tensors["out.weight"] * 16) / 16)


def test_a_graph_of_fixed_size_runs_batch_by_batch(tmp_path, graph) -> None:
    _, tensors = graph
    model = mdl.wrap(graphs.save(tmp_path / "fixed.onnx", tensors, rows=20), Categorical())
    np.testing.assert_allclose(model.predict(X), _forward(tensors, X), rtol=1e-4, atol=1e-5)
    with pytest.raises(DataError, match="multiple of the graph's 20 rows"):
        model.predict(X[:30])


def test_what_a_graph_cannot_do_is_named(graph, tmp_path, monkeypatch) -> None:
    path, tensors = graph
    with pytest.raises(MdlError, match="onnxruntime refused"):
        mdl.wrap(path, Categorical()).predict(X[:, :3])
    two = graphs.save(tmp_path / "two.onnx", tensors, outputs=2)
    with pytest.raises(MdlError, match="one output, came 2"):
        mdl.wrap(two, Categorical())
    with pytest.raises(WeightsError, match="no such file"):
        mdl.wrap(tmp_path / "none.onnx", Categorical())
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(WeightsError, match=r"description-length\[onnxruntime\]"):
        mdl.wrap(path, Categorical())
