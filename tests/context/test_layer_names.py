"""Names of context layers."""

import pytest

from hsifeat.context.backbone import ContextBackbone
from hsifeat.context.layer_names import parse_layer, parse_layers
from hsifeat.errors import BackboneError


def test_names_are_parsed_and_written_alike():
    names = [tap.name for tap in ContextBackbone().taps]
    assert [parse_layer(name).name for name in names] == names
    assert [layer.name for layer in parse_layers(None)] == names[:-4]
    assert [layer.name for layer in parse_layers(["mean-3", "mean-3"])] == ["mean-3"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mean-4", "odd numbers"),
        ("mean-1", "odd numbers"),
        ("mean-257", "odd numbers"),
        ("profile-3-mean-1", "odd numbers"),
        ("mean-3-mean-5", "only profile-K and reconstruction-K"),
        ("median-3", "unknown layer 'median-3'"),
        ("mean", "unknown layer"),
        ("../mean-3", "unknown layer"),
    ],
)
def test_other_names_are_refused(name, message):
    with pytest.raises(BackboneError, match=message):
        parse_layer(name)
