"""SpectralDiff's classifier: the published size, whitened components, and a transcription of the transformer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from classifiers.heads.spectraldiff import SpectralDiffClassifier, neighbourhood_network
from classifiers.heads.torch.transformer import transformer_encoder
from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import HeadError

LAYOUT = Layout(tuple(ColumnGroup("patch", 150 * i, 150 * i + 150, t, "skips.0", 5) for i, t in enumerate((5, 100))))
QUICK = {"components": 4, "depth": 1, "width": 16, "heads": 2, "head_width": 4}


def test_the_published_size():
    network = neighbourhood_network(
        1200, 169, 16, transformer_encoder(64, depth=2, heads=20, head_width=64, mlp_width=8, dropout=0.0), 64
    )
    convolution = 1200 * 64 * 9 + 64 + 2 * 64
    layer = 2 * 64 + 64 * 3 * 1280 + (1280 * 64 + 64) + 2 * 64 + (64 * 8 + 8) + (8 * 64 + 64)
    classifier = (64 * 128 + 128) + 2 * 128 + (128 * 16 + 16)
    expected = convolution + 2 * layer + classifier + 64 + 170 * 64 + 1
    assert sum(p.numel() for p in network.parameters()) == expected
    assert network.eval()(torch.zeros(2, 1200, 13, 13)).shape == (2, 16)


def test_the_encoder_equals_that_of_torch():
    """With the usual width of attention heads, the encoder equals the encoder of torch.

    The biases of queries, keys and values are 0, because the encoder has none.
    """
    torch.manual_seed(0)
    ours = transformer_encoder(12, depth=1, heads=3, head_width=4, mlp_width=7, dropout=0.0)
    theirs = torch.nn.TransformerEncoderLayer(12, 3, 7, 0.0, "gelu", batch_first=True, norm_first=True)
    names = {
        "self_attn.in_proj_weight": "queries_keys_values.weight", "self_attn.out_proj": "output.0", "norm1": "attention_norm",
        "norm2": "perceptron.0", "linear1": "perceptron.1", "linear2": "perceptron.4",
    }  # fmt: skip
    state = ours[0].state_dict()
    for name, parameter in theirs.state_dict().items():
        base, _, leaf = name.rpartition(".")
        ours_name = names.get(name) or (f"{names[base]}.{leaf}" if base in names else None)
        parameter.copy_(torch.zeros_like(parameter) if ours_name is None else state[ours_name])
    x = torch.randn(5, 6, 12)
    torch.testing.assert_close(ours(x), theirs(x))


def test_components_are_white_and_shared_by_timesteps():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 300)) * np.tile([9, 1, 1, 3, 0.1, 1], 50), np.arange(300) % 2
    head = SpectralDiffClassifier(LAYOUT, **QUICK, epochs=1).fit(X, y)
    (maps,) = head._inputs(X)
    assert maps.shape == (300, 8, 5, 5)
    pixels = maps.reshape(300, 2, 4, 25).transpose(2, 0, 1, 3).reshape(4, -1)
    np.testing.assert_allclose(pixels @ pixels.T / pixels.shape[1], np.eye(4), atol=1e-6)


def test_a_distant_neighbour_at_one_timestep_can_tell_the_class():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 300)), np.arange(600) % 2
    X[:, 150:156] += 4 * y[:, None] - 2  # the corner of the patch at t 100
    head = SpectralDiffClassifier(
        LAYOUT, **QUICK | {"components": None, "head_width": 16}, epochs=12, learning_rate=3e-3
    )
    assert head.fit(X[:450], y[:450]).score(X[450:], y[450:]) > 0.9


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        pytest.param((ColumnGroup("spectra", 0, 9),), "spectraldiff needs planes, the table has spectra", id="none"),
        pytest.param(
            (ColumnGroup("patch", 0, 9, 0, "up", 3), ColumnGroup("patch", 9, 34, 0, "down", 5)),
            "spectraldiff takes patches of one size; the table has sides of 3 and 5 pixels",
            id="two sizes",
        ),
    ],
)
def test_unsuitable_tables_are_refused(groups, message):
    layout = Layout(groups)
    with pytest.raises(HeadError, match=message):
        SpectralDiffClassifier(layout).fit(np.random.default_rng(0).normal(size=(20, layout.width)), np.arange(20) % 2)
