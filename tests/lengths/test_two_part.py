"""Two-part codes: what is sent is what is measured, decodes in another process, and beats what it should beat."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

import mdl
from mdl import priors
from mdl.codes import families
from mdl.errors import DataError, MdlError, MessageError, PlatformError, PriorError, QuantizationError, WeightsError
from mdl.length import LN2
from mdl.trials import Trials, default_step

SLACK_BITS = 64


def _standard(loader):
    X, y = loader(return_X_y=True)
    return StandardScaler().fit_transform(X), y


CANCER, DIABETES, DIGITS = map(_standard, (load_breast_cancer, load_diabetes, load_digits))
SOME = DIGITS[0][:400], DIGITS[1][:400]
COUNTS = DIABETES[0], DIABETES[1] // 25
PERCEPTRON = MLPClassifier(8, solver="lbfgs", alpha=10.0, max_iter=2000, random_state=0)
MODELS = {
    "logistic": (mdl.wrap(LogisticRegression(C=0.1).fit(*CANCER)), *CANCER),
    "ridge": (mdl.wrap(Ridge(1.0).fit(*DIABETES)), *DIABETES),
    "poisson": (mdl.wrap(PoissonRegressor().fit(*COUNTS)), *COUNTS),
    "mlp": (mdl.wrap(PERCEPTRON.fit(*SOME)), *SOME),
}
PRIORS = {**priors.BY_NAME, **{name: families.BY_NAME[name] for name in ("kt", "two-level", "elias-delta", "log-star")}}
DECODE = """
import sys, json, numpy as np, mdl
model, y = mdl.decode_with_data(open(sys.argv[1], "rb").read(), np.load(sys.argv[2]))
np.savez(sys.argv[3], y=y, **model.weights)
"""


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_realised_is_never_longer_than_ideal(name, prior) -> None:
    trials = Trials(*MODELS[name])
    found = trials.on(2**-3, prior)
    data, realised = found.realise()
    assert realised.realised
    assert realised.bits == pytest.approx(8 * len(data), abs=1e-6)
    assert realised.bits <= found.ideal().bits * 1.0002 + SLACK_BITS
    for part, bits in found.ideal().part_bits().items():  # what is charged to one is not another's
        assert realised.part_bits()[part] <= bits * 1.0002 + 24.0  # padding; less than the 32 bits of a checksum


@pytest.mark.parametrize("name", MODELS)
def test_a_second_process_decodes_labels_and_weights_exactly(name, tmp_path) -> None:
    model, X, y = MODELS[name]
    trials = Trials(model, X, y)
    found = trials.search(mdl.Gaussian())
    data, realised = found.realise()
    assert mdl.two_part(model, X, y, realised=True) == realised
    assert 8 * len(data) == pytest.approx(realised.bits)
    (tmp_path / "m.mdl").write_bytes(data)
    np.save(tmp_path / "X.npy", X)
    files = [str(tmp_path / part) for part in ("m.mdl", "X.npy", "out.npz")]
    subprocess.run([sys.executable, "-c", DECODE, *files], check=True)
    read = np.load(tmp_path / "out.npz")
    np.testing.assert_array_equal(read["y"], y)
    for tensor, expected in found.scheme.quantized(found.tensors).items():
        np.testing.assert_array_equal(read[tensor], expected)


def test_text_labels_come_back() -> None:
    X, y = CANCER
    names = np.where(y == 1, "benign", "malignant")
    model = mdl.wrap(LogisticRegression(C=0.1).fit(X, names))
    _, read = mdl.decode_with_data(mdl.encode_with_data(model, X, names), X)
    np.testing.assert_array_equal(read, names)


def test_ideal_data_part_is_the_likelihood_of_the_quantised_model() -> None:
    model, X, y = MODELS["logistic"]
    found = Trials(model, X, y).on(0.25, mdl.Gaussian())
    quantised = model.with_weights(found.scheme.quantized(found.tensors))
    nats = -quantised.likelihood.log_prob(quantised.predict(X), y).sum()
    assert found.ideal().part("data") == pytest.approx(nats, rel=1e-4)


def test_the_model_part_is_minus_log_mass_summed() -> None:
    w = np.random.default_rng(0).normal(0, 0.3, 500)
    length = mdl.measure({"w": w}, prior=mdl.Gaussian(scale=0.25), step=2**-5)
    k = np.rint(w * 32)
    oracle = -sum(math.log(0.5 * (math.erf((c + 0.5) / 32 / 0.25 / 2**0.5) - math.erf((c - 0.5) / 32 / 0.25 / 2**0.5)))
                  for c in k)  # fmt: skip
    assert length.part("weights") == pytest.approx(oracle, rel=1e-9)


def test_everything_that_a_reader_needs_is_charged() -> None:
    parts = mdl.two_part(*MODELS["ridge"]).part_bits()
    assert {"weights", "intercepts", "quantizer", "prior", "support", "choice", "likelihood", "data", "header"} == set(
        parts
    )
    assert all(bits > 0 for bits in parts.values())


@pytest.mark.parametrize("prior", [mdl.Gaussian(), mdl.StudentT(), mdl.Mixture()], ids=["gaussian", "t", "mixture"])
def test_the_search_finds_no_worse_a_step_than_any_power_of_two(prior) -> None:
    trials = Trials(*MODELS["logistic"])
    best = trials.search(prior).ideal().comparable.nats
    for octave in range(-8, 3):
        assert best <= trials.on(2.0**octave, prior).ideal().comparable.nats + 1e-9


def test_a_scale_for_the_model_or_one_a_tensor_whichever_is_shorter() -> None:
    rng = np.random.default_rng(0)
    alike = {"a": rng.normal(0, 1.0, 300), "b": rng.normal(0, 1.0, 300)}
    apart = {"a": rng.normal(0, 1.0, 300), "b": rng.normal(0, 8.0, 300)}
    one, each = mdl.measure(alike, step=0.25), mdl.measure(apart, step=0.25)
    assert one.part("prior") < 0.7 * each.part("prior")
    alone = [mdl.measure({k: v}, step=0.25).part("weights") for k, v in apart.items()]
    assert each.part("weights") == pytest.approx(sum(alone))


def test_fixed_parameters_are_kept_and_charged_in_full() -> None:
    w = {"w": np.linspace(-1, 1, 65)}
    open_, fixed = mdl.measure(w, mdl.Gaussian(), 0.125), mdl.measure(w, mdl.Gaussian(scale=0.1), 0.125)
    assert fixed.part_bits()["prior"] > 60 > open_.part_bits()["prior"]
    assert open_ < fixed


def test_one_step_a_tensor() -> None:
    w = {"a": np.array([0.3, 0.6]), "b": np.array([3.0, 6.4])}
    read = mdl.decode(mdl.encode(w, step={"a": 0.25, "b": 2.0}))
    assert read["a"].tolist() == [0.25, 0.5]
    assert read["b"].tolist() == [4.0, 6.0]  # ties go to the even multiple


def test_integer_tensors_are_kept_exactly() -> None:
    w = {"w": np.float32([0.5, 1.0]), "ids": np.arange(-3, 4), "flags": np.array([True, False])}
    read = mdl.decode(mdl.encode(w, step=0.5))
    assert {k: (v.dtype, v.tolist()) for k, v in read.items()} == {k: (v.dtype, v.tolist()) for k, v in w.items()}


@pytest.mark.parametrize(
    "array", [[], 0.5, [0.0, 0.0], [0.7] * 9, [[[1.0]]]], ids=["empty", "scalar", "zero", "constant", "deep"]
)
@pytest.mark.parametrize("prior", priors.BY_NAME.values(), ids=priors.BY_NAME)
def test_odd_tensors_have_a_meaning(array, prior) -> None:
    w = {"w": np.array(array)}
    assert mdl.measure(w, prior, 0.25).bits >= 0
    np.testing.assert_array_equal(mdl.decode(mdl.encode(w, prior, 0.25))["w"], np.rint(w["w"] * 4) / 4)


def test_default_step_is_about_a_sixteenth_of_the_rms() -> None:
    assert default_step(mdl.Weights({"w": np.full(10, 1.0)})) == 2**-4
    assert default_step(mdl.Weights({"w": np.zeros(3)})) == 1.0


@pytest.mark.parametrize(
    ("weights", "arguments", "error", "said"),
    [
        ({"w": [1.0, np.nan]}, {}, WeightsError, "tensor 'w': 1 of 2 values"),
        ({"w": np.array([object()])}, {}, WeightsError, "tensor 'w'"),
        ({"w": [1.0]}, {"step": 0.0}, QuantizationError, "step"),
        ({"w": [1.0]}, {"step": -1.0}, QuantizationError, "step"),
        ({"w": [1.0]}, {"step": math.nan}, QuantizationError, "step"),
        ({"w": [1.0]}, {"step": 1e-30}, QuantizationError, "tensor 'w'.*2\\^31"),
        ({"w": [1.0]}, {"step": {"v": 1.0}}, QuantizationError, "'w'"),
        ({"w": [1e6]}, {"step": mdl.FloatFormat("float16")}, QuantizationError, "tensor 'w'.*65504"),
        ({"w": [3.0]}, {"step": 0.5, "prior": mdl.Uniform(scale=1.0)}, PriorError, "no mass"),
        ({"w": np.array([2**40])}, {}, WeightsError, "32 bits"),
        ({"": [1.0]}, {}, WeightsError, "name"),
    ],
)  # fmt: skip
def test_bad_weights_and_grids_are_refused_by_name(weights, arguments, error, said) -> None:
    with pytest.raises(error, match=said):
        mdl.encode(weights, **arguments)
    with pytest.raises(error, match=said):
        mdl.measure(weights, **arguments)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda X, y: (X[:-1], y), MdlError, "targets"),
        (lambda X, y: (X[:, :-1], y), DataError, "shape"),
        (lambda X, y: (np.where(X > 2, np.inf, X), y), DataError, "infinite"),
        (lambda X, y: (X, y + 1), DataError, "whole numbers"),
        (lambda X, y: (X, y.astype(str)), DataError, "numbers"),
        (lambda X, y: (X, y[:, None]), DataError, "shape"),
    ],
    ids=["count", "features", "infinite", "labels", "text", "2-d"],
)
def test_bad_data_are_refused(change, error, said) -> None:
    model, X, y = MODELS["logistic"]
    with pytest.raises(error, match=said):
        mdl.two_part(model, *change(X, y))


def test_other_inputs_do_not_decode() -> None:
    model, X, y = MODELS["logistic"]
    data = mdl.encode_with_data(model, X, y)
    with pytest.raises(PlatformError, match="other inputs"):
        mdl.decode_with_data(data, X + 0.01)
    with pytest.raises(MessageError, match="569 labels"):
        mdl.decode_with_data(data, X[:-1])
    with pytest.raises(MessageError, match="weights only"):
        mdl.decode_with_data(mdl.encode(model.weights), X)


def test_weights_of_a_labelled_message_need_no_inputs() -> None:
    model, X, y = MODELS["logistic"]
    assert list(mdl.decode(mdl.encode_with_data(model, X, y))) == list(model.weights)


def test_json_of_a_length_is_json() -> None:
    length = mdl.measure({"w": [0.5]})
    read = json.loads(json.dumps(length.as_dict()))
    assert read["total_bits"] == pytest.approx(length.nats / LN2)
