"""The default layers of several networks, and the strides of planes over a finer model input."""

from types import SimpleNamespace

import pytest

from hsifeat.errors import BackboneError
from hsifeat.extraction.layers import plane_strides
from hsifeat.types import Tap


def network(**strides):
    taps = [Tap(name.replace("__", "."), "", 8, stride, 0.5) for name, stride in strides.items()]
    return SimpleNamespace(name="toy", taps=taps)


UNET = network(
    down_blocks__0=1, down_blocks__1=2, mid_block=4, up_blocks__0=4, up_blocks__0__resnets__0=4, up_blocks__1=2
)


def names(strides):
    return {tap.name: stride for tap, stride in strides.items()}


def test_the_middle_and_decoder_blocks_are_the_default():
    assert names(plane_strides(UNET, None, 1)) == {"mid_block": 4, "up_blocks.0": 4, "up_blocks.1": 2}


def test_numbered_blocks_are_the_default_of_a_network_without_a_decoder():
    assert list(names(plane_strides(network(spatial__0=1, spatial__1=1, fusion=1), None, 1))) == [
        "spatial.0",
        "spatial.1",
    ]


@pytest.mark.parametrize(
    ("strides", "expected"),
    [
        pytest.param(
            {"enter": 1, "down": 2, "down__conv": 2, "middle": 4, "up": 2, "up__conv": 2, "leave": 1},
            ["middle", "up", "leave"],
            id="names-of-its-own",
        ),
        pytest.param(
            {"encoder__0": 1, "encoder__1": 2, "bridge": 4, "decoder__0": 2, "decoder__0__conv": 2, "decoder__1": 1, "head": 1},
            ["bridge", "decoder.0", "decoder.1"],
            id="numbered-decoder",
        ),
        pytest.param(
            {"net__enter": 1, "net__down": 2, "net__up": 1, "net": 1}, ["net.down", "net.up"], id="within-a-wrapper"
        ),
        pytest.param({"enter": 1, "middle": 1, "leave": 1}, ["enter", "middle", "leave"], id="one-resolution"),
        pytest.param({"enter": 1, "down": 2, "deep": 4}, ["enter", "down", "deep"], id="encoder-only"),
        pytest.param({"only": 1}, ["only"], id="one-layer"),
    ],
)  # fmt: skip
def test_the_middle_and_what_follows_is_the_default_of_a_network_with_other_names(strides, expected):
    assert list(names(plane_strides(network(**strides), None, 1))) == expected


@pytest.mark.parametrize(("factor", "strides"), [(1, (4, 2)), (2, (2, 1)), (4, (1, 1)), (8, (1, 1))])
def test_strides_count_scene_pixels_and_a_finer_layer_is_averaged(factor, strides):
    assert tuple(plane_strides(UNET, ["up_blocks.0", "up_blocks.1"], factor).values()) == strides


def test_a_stride_that_does_not_fit_is_refused_where_it_was_requested_and_left_out_otherwise():
    odd = network(mid_block=4, up_blocks__0=6)
    assert names(plane_strides(odd, None, 6)) == {"up_blocks.0": 1}
    with pytest.raises(
        BackboneError, match="mid_block has a stride of 4 px of the companion image, but a scene pixel is 6 px"
    ):
        plane_strides(odd, ["mid_block"], 6)
