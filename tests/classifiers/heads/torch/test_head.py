"""Properties of all torch heads: divergence is reported, precision is as documented, and memory is bounded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from classifiers.fit import fit_model
from classifiers.heads.registry import make_head
from classifiers.heads.torch import batches as torch_rows
from classifiers.heads.torch import training as torch_training
from classifiers.heads.torch.training import training_listener
from hsifeat.errors import HeadError
from hsifeat.runtime.events import Advanced, Finished, Note, Started
from tests.helpers.heads import NETWORKS, quick, toy

NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")


@contextmanager
def linear_dtypes() -> Iterator[dict[bool, set[torch.dtype]]]:
    """Collect the dtypes that linear layers return, by whether they are learning."""
    seen: dict[bool, set[torch.dtype]] = {True: set(), False: set()}

    def look(module: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        if isinstance(module, torch.nn.Linear):
            seen[module.training].add(output.dtype)

    handle = torch.nn.modules.module.register_module_forward_hook(look)
    try:
        yield seen
    finally:
        handle.remove()


@pytest.mark.parametrize("name", NETWORKS)
def test_divergence_is_reported(name):
    with pytest.raises(
        HeadError, match=r"^training diverged in epoch \d+: lower learning_rate \(1e\+06\) or weight_decay \(\S+\)$"
    ):
        quick(name, learning_rate=1e6).fit(*toy())


@pytest.mark.parametrize(
    ("where", "validation_fraction"), [("row_losses", 0), ("row_losses", 0.5), ("_validation_loss", 0.5)]
)
def test_a_loss_that_is_not_finite_is_reported_at_once(monkeypatch, where, validation_fraction):
    """The gradient of such a loss, and so every weight, is finite."""
    does = getattr(torch_training, where)
    monkeypatch.setattr(torch_training, where, lambda *given: does(*given) + float("inf"))
    with pytest.raises(HeadError, match=r"diverged in epoch 1: lower learning_rate \(0\.01\)"):
        quick("mlp", validation_fraction=validation_fraction).fit(*toy())


def test_a_weight_that_is_not_finite_is_reported_at_once(monkeypatch):
    """A weight becomes NaN after the last of the three steps of the third epoch, so no loss of this epoch shows the NaN."""
    step, done = torch.optim.AdamW.step, []

    def spoil(self, *args, **kwargs):
        step(self, *args, **kwargs)
        done.append(1)
        if len(done) == 9:
            with torch.no_grad():
                self.param_groups[0]["params"][-1].fill_(float("nan"))

    monkeypatch.setattr(torch.optim.AdamW, "step", spoil)
    with pytest.raises(HeadError, match="diverged in epoch 3:"):
        quick("mlp", validation_fraction=0).fit(*toy())


@pytest.mark.parametrize("name", NETWORKS)
def test_reduced_precision_in_training_never_reaches_predictions(name, monkeypatch):
    """As on a GPU, products in training are computed in bfloat16, and probabilities in float64.

    There are few rows, because bfloat16 is slow on a CPU.
    """
    monkeypatch.setattr(torch_training, "matrix_dtype", lambda _: torch.bfloat16)
    X, y = toy(12)
    narrow = {"hidden": (4,)} if "hidden" in quick(name).get_params() else {}
    with linear_dtypes() as seen:
        head = quick(name, epochs=1, validation_fraction=0.34, **narrow).fit(X, y)
        found = head.predict_proba(X)
    assert head.validation_rows_ == 4
    assert seen[True] == {torch.bfloat16}
    assert torch.float64 in seen[False]
    assert {value.dtype for value in head.weights_.values()} <= {np.dtype("f4"), np.dtype("i8")}
    assert found.shape == (12, 4)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_cpu_trains_in_full_precision(name):
    with linear_dtypes() as seen:
        quick(name, epochs=1).fit(*toy(16)).predict_proba(toy(16)[0])
    assert seen == {True: {torch.float32}, False: {torch.float64}}


@pytest.mark.parametrize("name", NETWORKS)
def test_rows_are_prepared_and_predicted_in_bounded_parts(name, monkeypatch):
    X, y = toy(100)
    head = quick(name, epochs=1).fit(X, y)
    whole, asked, does = head.predict_proba(X), [], head._inputs
    monkeypatch.setattr(torch_training, "INFERENCE_ROWS", 7)
    monkeypatch.setattr(head, "_inputs", lambda rows: asked.append(len(rows)) or does(rows), raising=False)
    np.testing.assert_allclose(head.predict_proba(X), whole, atol=2e-6)
    assert asked == [7] * 14 + [2], "once for all members of an ensemble"


def test_a_fit_emits_events(features):
    heard = []
    model = fit_model(features, "mlp", inputs="spectra", params={"epochs": 3, "device": "cpu"}, listen=heard.append)
    assert Started("training", 3, "epochs") in heard
    assert [event.done for event in heard if isinstance(event, Advanced)] == [1, 2, 3]
    assert heard[-1] == Finished("training")
    assert model.head.validation_rows_ == sum(np.bincount(features.labels().classes.ravel())[1:] // 10)


def test_a_fit_without_validation_rows_emits_one_note():
    X, y = toy(120)
    for params, rows, notes in (
        ({"members": 2}, 0, 1),
        ({"validation_fraction": 0.1}, 12, 0),
        ({"validation_fraction": 0}, 0, 0),
    ):
        heard = []
        with training_listener(heard.append):
            head = quick("mlp", epochs=2, **params).fit(X, y)
        assert head.validation_rows_ == rows
        told = [event.message for event in heard if isinstance(event, Note)]
        assert len(told) == notes
        assert all(re.match("120 training rows of 4 classes are too few .* all 2 epochs were run", one) for one in told)
    with pytest.raises(HeadError, match=r"validation_fraction is 0\.01, which is less than a row of any class"):
        quick("mlp", validation_fraction=0.01).fit(X, y)
    with pytest.raises(
        HeadError, match="validation_fraction of the head mlp is 1; allowed: a number from 0 below 1, or none"
    ):
        quick("mlp", validation_fraction=1).fit(X, y)


@pytest.mark.parametrize("name", NETWORKS)
def test_invalid_network_parameters_are_refused(name):
    with pytest.raises(HeadError, match="has no parameter 'warm_start'"):
        make_head(name, warm_start=True)
    widths = {"hidden": (8, 0), "bottleneck": 0, "channels": 0}
    for param in widths.keys() & quick(name).get_params():
        with pytest.raises(HeadError, match="allowed: .*a whole number from 1"):
            quick(name).set_params(**{param: widths[param]}).fit(*toy())


@NEEDS_CUDA
@pytest.mark.parametrize("name", NETWORKS)
def test_a_gpu_predicts_what_a_cpu_does(name, monkeypatch):
    """The same weights give the same probabilities, and a fit in mixed precision is as good as a fit on a CPU.

    The weights do not depend on whether the rows stay in the memory of the GPU.
    """
    X, y = toy(320)
    new, truth = toy(400, seed=1)
    heads = []
    for resident in (torch_rows.RESIDENT_BYTES, 0):
        monkeypatch.setattr(torch_rows, "RESIDENT_BYTES", resident)
        with linear_dtypes() as seen:
            heads.append(quick(name, device="cuda").fit(X, y))
        assert seen[True] == {torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32}
    for key, value in heads[0].weights_.items():
        np.testing.assert_array_equal(heads[1].weights_[key], value)
    on_gpu = heads[0].predict_proba(new)
    np.testing.assert_allclose(on_gpu, heads[0].set_params(device="cpu").predict_proba(new), rtol=1e-6, atol=1e-9)
    on_cpu = quick(name, device="cpu").fit(X, y).predict(new)
    assert np.mean(heads[0].predict(new) == on_cpu) > 0.95
    assert np.mean(on_gpu.argmax(axis=1) == truth) > 0.9
