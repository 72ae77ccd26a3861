"""The training loop: weights, early stopping, mix-up and focal loss, ensembles, against slow transcriptions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from classifiers.heads.torch.batches import DeviceRows, split_validation
from classifiers.heads.torch.head import jensen_shannon
from classifiers.heads.torch.losses import MixUp, mix, row_losses
from classifiers.heads.torch.training import TrainingOptions, infer, train, training_listener
from hsifeat.errors import HeadError
from hsifeat.runtime.events import Advanced, Finished, Started
from tests.helpers.heads import quick, toy
from tests.helpers.two_threads import Meeting, run_together

CPU = torch.device("cpu")


def plain(epochs: int = 30, **facts) -> TrainingOptions:
    return TrainingOptions(epochs, 1000, 1e-2, 0.0, patience=9, validation_fraction=0, **facts)


def test_a_row_of_weight_three_trains_like_three_rows():
    X, y = toy(60, classes=2)
    thrice = np.r_[np.arange(60), np.flatnonzero(y), np.flatnonzero(y)]
    states = []
    for rows, weight in ((np.arange(60), np.where(y, 3.0, 1.0)), (thrice, None)):
        build = lambda: torch.nn.Linear(X.shape[1], 2)  # noqa: E731
        states.append(train(build, (X[rows],), y[rows], plain(), weight=weight, seed=0, device=CPU).weights)
    for name, value in states[0].items():
        np.testing.assert_allclose(value, states[1][name], rtol=1e-3, atol=1e-4)


def test_an_odd_number_of_rows_in_batches_of_two_leaves_no_single_row():
    """Batch norm refuses a batch of one row."""
    X, y = toy(7, classes=2)
    build = lambda: torch.nn.Sequential(torch.nn.Linear(X.shape[1], 2), torch.nn.BatchNorm1d(2))  # noqa: E731
    options = TrainingOptions(2, 2, 1e-2, 0.0, patience=9, validation_fraction=0)
    assert train(build, (X,), y, options, seed=0, device=CPU).epochs == 2


def test_the_validation_part_is_stratified():
    codes = np.repeat([0, 1, 2], [400, 300, 7])
    for fraction, counts in ((None, [40, 30, 0]), (0.1, [40, 30, 0]), (0.2, [80, 60, 1]), (0, [0, 0, 0])):
        fitted, validation = split_validation(codes, fraction, seed=0)
        assert np.bincount(codes[validation], minlength=3).tolist() == counts
        assert sorted([*fitted, *validation]) == list(range(707))
        assert (np.diff(fitted) > 0).all() and (np.diff(validation) > 0).all()
    assert split_validation(codes, 0.1, seed=1)[1].tolist() != split_validation(codes, 0.1, seed=0)[1].tolist()


def test_small_tables_have_validation_rows_only_on_request():
    """By default, validation rows need at least 100 rows per class."""
    for rows, usual in ((100, 30), (99, 0)):
        codes = np.repeat([0, 1, 2], rows)
        assert len(split_validation(codes, None, seed=0)[1]) == usual
        assert len(split_validation(codes, 0.1, seed=0)[1]) == 3 * (rows // 10)
    with pytest.raises(HeadError, match=r"0\.1, which is less than a row of any class \(the largest has 9 rows\)"):
        split_validation(np.repeat([0, 1], [9, 5]), 0.1, seed=0)


def test_early_stopping_stops_and_keeps_the_best_epoch():
    """Labels are noise, so the validation loss soon rises. The kept weights have the lowest reported loss."""
    rng = np.random.default_rng(0)
    X, codes = rng.normal(size=(200, 30)).astype(np.float32), rng.integers(0, 2, 200)
    weight = rng.uniform(0.5, 2, 200)
    training = TrainingOptions(200, 32, 1e-2, 0.0, patience=5, validation_fraction=0.2)

    def build() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(30, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))

    seen = []
    with training_listener(seen.append):
        trained = train(build, (X,), codes, training, weight=weight, seed=3, device=CPU)
    assert seen[0] == Started("training", 200, "epochs")
    assert seen[-1] == Finished("training")
    losses = [float(e.detail.removeprefix("validation loss ")) for e in seen if isinstance(e, Advanced)]
    assert trained.epochs == len(losses) == int(np.argmin(losses)) + 1 + 5 < 200
    network = build()
    network.load_state_dict({k: torch.tensor(v) for k, v in trained.weights.items()})
    held_out = split_validation(codes, 0.2, seed=3)[1]
    assert trained.validation_rows == len(held_out)
    with torch.no_grad():
        logits = network(torch.tensor(X[held_out])).numpy().astype(np.float64)
    each = [np.log(np.exp(row).sum()) - row[code] for row, code in zip(logits, codes[held_out], strict=True)]
    assert np.average(each, weights=weight[held_out]) == pytest.approx(min(losses), abs=6e-4)


def weights_of(head):
    return np.concatenate([value.ravel() for _, value in sorted(head.weights_.items())])


@pytest.mark.parametrize("params", [{"random_state": 1}, {"random_state": 1, "epochs": 3}])
def test_fits_of_two_threads_depend_on_their_seeds_alone(params):
    """Both trainings begin together, after the seeds are set, unless one waits for the other."""
    X, y = toy()
    expected = [weights_of(quick("mlp", **own).fit(X, y)) for own in ({"random_state": 0}, params)]
    before, meeting = torch.get_rng_state(), Meeting()

    def fit(own):
        with training_listener(meeting.wait):
            return weights_of(quick("mlp", **own).fit(X, y))

    found = run_together(lambda: fit({"random_state": 0}), lambda: fit(params))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_thread_that_begins_during_a_fit_uses_all_threads_of_torch():
    usual, counts = torch.get_num_threads(), []
    torch.set_num_threads(3)
    try:

        def count(event):
            if isinstance(event, Advanced):
                counts.append([torch.get_num_threads(), *run_together(torch.get_num_threads)])

        with training_listener(count):
            quick("mlp", epochs=1).fit(*toy())
        assert counts == [[1, 3]]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(usual)


def test_events_stop_after_the_block():
    seen = []
    with training_listener(seen.append):
        pass
    quick("mlp", epochs=1).fit(*toy())
    assert not seen


def test_rows_on_a_cpu_are_not_copied():
    X, codes = np.zeros((5, 3), np.float32), np.arange(5)
    rows = DeviceRows((X, np.ones(5)), codes, CPU)
    X[4] = 7
    (inputs,), target, weight = rows[torch.tensor([4, 1])]
    assert inputs.tolist() == [[7, 7, 7], [0, 0, 0]]
    assert target.tolist() == [4, 1]
    assert weight.tolist() == [1, 1]


def test_large_tables_stay_in_memory_and_small_ones_move_to_the_device():
    """The device is torch's ``meta``, which holds no values; a table of zeros that nobody touches takes no memory either."""
    device = torch.device("meta")
    for count, home in ((100, "meta"), (2**28 + 1, "cpu")):
        rows = DeviceRows(
            (np.zeros((count, 1), np.float32), np.zeros(count, np.float32)), np.zeros(count, np.int64), device
        )
        assert rows.home.type == home
        assert {x.device.type for x in rows._tensors} == {home}
        (inputs,), target, weight = rows[torch.arange(5)]
        assert {(x.device.type, len(x)) for x in (inputs, target, weight)} == {("meta", 5)}


class Counting(torch.nn.Linear):
    """Records the number of rows of each forward pass outside of training."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            self.asked.append(len(x))
        return super().forward(x)


def test_rows_are_validated_and_predicted_in_bounded_parts():
    asked: list[int] = []

    def build() -> Counting:
        network = Counting(3, 2)
        network.asked = asked
        return network

    X, codes = np.random.default_rng(0).normal(size=(20_000, 3)).astype(np.float32), np.arange(20_000) % 2
    training = TrainingOptions(1, 1000, 1e-2, 0.0, patience=1, validation_fraction=0.5)
    trained = train(build, (X,), codes, training, seed=0, device=CPU)
    assert sum(asked) == trained.validation_rows == 10_000
    assert max(asked) <= 5000
    asked.clear()
    (found,) = infer(build, [trained.weights], lambda rows: (X[rows],), len(X), CPU)
    assert sum(asked) == 20_000
    assert max(asked) <= 5000
    scores = np.exp(X @ trained.weights["weight"].T.astype(np.float64) + trained.weights["bias"])
    np.testing.assert_allclose(found, scores / scores.sum(axis=1, keepdims=True), rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_loss_equals_its_formula(gamma):
    rng = np.random.default_rng(0)
    logits, target = 4 * rng.normal(size=(40, 5)), rng.integers(0, 5, 40)
    expected = []
    for row, code in zip(logits, target, strict=True):
        p = np.exp(row[code]) / sum(np.exp(value) for value in row)
        expected.append(-((1 - p) ** gamma) * np.log(p))
    found = row_losses(torch.tensor(logits), torch.tensor(target), gamma)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_focal_loss_of_a_confident_row_has_a_finite_gradient():
    logits = torch.tensor([[500.0, -500.0]], requires_grad=True)
    row_losses(logits, torch.tensor([0]), 0.5).sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_mixing_and_label_weights_equal_their_formulas():
    rng = np.random.default_rng(0)
    spectra, planes, partner = rng.normal(size=(6, 4)), rng.normal(size=(6, 3, 2)), rng.permutation(6)
    lambdas = [0.3, 0.8]
    mixed = mix([torch.tensor(spectra), torch.tensor(planes)], torch.tensor(partner), lambdas)
    for values, original, one in zip(mixed, (spectra, planes), lambdas, strict=True):
        for i in range(6):
            expected = one * original[i] + (1 - one) * original[partner[i]]
            np.testing.assert_allclose(values[i], expected, rtol=1e-12)
    share = 0.2  # of the planes, as in the code for Augsburg
    assert MixUp((0.25, 0.25), (1 - share, share)).label_weight(lambdas) == pytest.approx(0.2 * 0.8 + 0.8 * 0.3)


def test_each_input_has_its_own_strength():
    torch.manual_seed(0)
    drawn = np.array([MixUp((0.0, 0.2, 5.0), (0.5, 0.5, 0.0)).draw() for _ in range(4000)])
    assert (drawn[:, 0] == 1).all()
    for column, a in ((1, 0.2), (2, 5.0)):
        assert drawn[:, column].mean() == pytest.approx(0.5, abs=0.03)
        assert drawn[:, column].var() == pytest.approx(1 / (4 * (2 * a + 1)), rel=0.1)  # of Beta(a, a)


def test_one_step_under_mix_up_follows_the_mixed_loss(monkeypatch):
    """One full batch by plain gradient descent, against gradients taken by differences."""
    monkeypatch.setattr(MixUp, "draw", lambda self: [0.7])
    monkeypatch.setattr(torch.optim, "AdamW", lambda p, lr, **_: torch.optim.SGD(p, lr))
    monkeypatch.setattr(torch, "randperm", lambda n: torch.arange(n).roll(1))
    rng = np.random.default_rng(0)
    X, codes, weight = rng.normal(size=(8, 3)).astype(np.float32), np.arange(8) % 2, rng.uniform(1, 2, 8)

    def build() -> torch.nn.Module:
        layer = torch.nn.Linear(3, 2, bias=False)
        torch.nn.init.zeros_(layer.weight)
        return layer

    training = plain(1, mixup=MixUp((1.0,), (0.5,)))  # the label's lambda is 0.35, half of the input's
    found = train(build, (X,), codes, training, weight=weight, seed=0, device=CPU).weights["weight"]

    order = np.roll(np.arange(8), 1)  # of the batch, and again of the partners within it
    a, b = order, np.roll(order, 1)

    def loss(matrix: np.ndarray) -> float:
        total = 0.0
        for i, j in zip(a, b, strict=True):
            scores = matrix @ (0.7 * X[i].astype(np.float64) + 0.3 * X[j])
            log_p = scores - np.log(np.exp(scores).sum())
            total -= 0.35 * weight[i] * log_p[codes[i]] + 0.65 * weight[j] * log_p[codes[j]]
        return total / weight.sum()

    for at in np.ndindex(2, 3):
        step = np.zeros((2, 3))
        step[at] = 1e-5
        gradient = (loss(step) - loss(-step)) / 2e-5
        assert found[at] == pytest.approx(-1e-2 * gradient, rel=1e-4)


def test_uncertainty_equals_its_formula():
    votes = np.random.default_rng(0).dirichlet([0.3] * 4, size=(3, 20))
    votes[:, 0] = [0.5, 0.5, 0, 0]  # all agree, and some classes are impossible
    votes[:, 1] = np.eye(4)[:3]  # each member is certain of another class

    def entropy(p: np.ndarray) -> float:
        return -sum(x * np.log(x) for x in p if x > 0)

    expected = [entropy(votes[:, i].mean(axis=0)) - np.mean([entropy(p) for p in votes[:, i]]) for i in range(20)]
    found = jensen_shannon(votes)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert found[0] == 0
    assert found[1] == pytest.approx(np.log(3))


@pytest.mark.parametrize("vote", ["mean", "majority"])
def test_an_ensemble_votes(vote):
    X, y = toy(80, apart=0.1)
    new, _ = toy(200, seed=1, apart=0.1)
    head = quick("mlp", members=12, vote=vote, epochs=4).fit(X, y)
    assert head.epochs_ == 48
    votes = []
    for member in range(12):
        one = quick("mlp", epochs=4).fit(X, y)
        one.weights_ = {k.split("/")[1]: v for k, v in head.weights_.items() if k.startswith(f"{member}/")}
        votes.append(one.predict_proba(new))
    expected = np.zeros_like(votes[0])
    for p in votes:
        for i, row in enumerate(p):
            expected[i] += row / 12 if vote == "mean" else np.arange(4) == row.argmax()
    np.testing.assert_allclose(head.predict_proba(new), expected if vote == "mean" else expected / 12, rtol=1e-12)
    np.testing.assert_allclose(head.uncertainty(new), jensen_shannon(np.array(votes)), atol=1e-12)
    assert all(np.abs(a - b).max() > 1e-3 for a, b in pairwise(votes))


def test_the_first_member_is_the_single_network():
    X, y = toy()
    one, many = quick("mlp", epochs=2).fit(X, y), quick("mlp", epochs=2, members=2).fit(X, y)
    for name, value in one.weights_.items():
        np.testing.assert_array_equal(many.weights_[f"0/{name}"], value)


def test_invalid_ensemble_parameters_are_refused():
    X, y = toy()
    with pytest.raises(HeadError, match="a single network has no uncertainty between members; fit with members=2"):
        quick("mlp", epochs=1).fit(X, y).uncertainty(X)
    with pytest.raises(HeadError, match="members of the head mlp is 0; allowed: a whole number from 1"):
        quick("mlp", members=0).fit(X, y)
    with pytest.raises(HeadError, match="vote of the head mlp is 'mode'; allowed: mean, or majority"):
        quick("mlp", vote="mode").fit(X, y)
    with pytest.raises(HeadError, match=r"mixup_planes of the head film is -0\.1; allowed: 0, or a number from 0\.001"):
        quick("film", mixup_planes=-0.1).fit(X, y)
    with pytest.raises(HeadError, match="mixup_plane_share of the head film is 2; allowed: a number from 0 to 1"):
        quick("film", mixup_planes=0.1, mixup_plane_share=2).fit(X, y)
    with pytest.raises(HeadError, match="focal_gamma of the head film is -1; allowed: a number from 0"):
        quick("film", focal_gamma=-1).fit(X, y)
