"""Network classes of other shapes, a spectral 3-D U-Net and a decoder per interval, open, list their layers and are tapped."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.commands.app import app
from hsifeat.errors import BackboneError
from hsifeat.extraction.extract import extract
from hsifeat.features.open_features import open_features
from hsifeat.types import Window
from tests.helpers.backbone_kinds import save_diffcrn
from tests.helpers.own_networks import ARGUMENTS, save
from tests.helpers.small import save_unet


@pytest.fixture
def noised():
    return torch.randn(2, 6, 16, 16, generator=torch.Generator().manual_seed(2))


def raw(network, noised, t, layer):
    """Return the output of a layer with a hook of PyTorch, and without code of hsifeat."""
    taken = []
    hook = network.get_submodule(layer).register_forward_hook(lambda _m, _i, out: taken.append(out.clone()))
    with torch.no_grad():
        predicted = network(noised, torch.full((len(noised),), t))[0]
    hook.remove()
    return taken[0], predicted


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_network_is_what_it_predicts_and_its_content(tmp_path, noised, name):
    network = save(name, tmp_path / "toy")
    backbone = open_backbone(tmp_path / "toy")
    with torch.no_grad():
        assert torch.equal(backbone.predict(noised, 400), network(noised, 400)[0])
    assert backbone.channels == 6
    identity = backbone.identity()
    assert json.loads(json.dumps(identity)) == identity and identity["architecture"]["class"] == name
    shutil.move(tmp_path / "toy", tmp_path / "moved")
    assert open_backbone(tmp_path / "moved").identity() == identity
    file = tmp_path / "moved" / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({key: tensor + 1 for key, tensor in load_file(file).items()}, file)
    assert open_backbone(tmp_path / "moved").identity()["weights"] != identity["weights"]
    fresh = open_backbone(f"untrained:{tmp_path / 'moved'}")
    assert fresh.identity()["architecture"] == identity["architecture"]
    assert fresh.predict(noised, 3).isfinite().all()
    with pytest.raises(BackboneError, match="moved takes no class label; leave out 1"):
        open_backbone(tmp_path / "moved", class_label=1)
    with pytest.raises(BackboneError, match="moved takes no prompt"):
        open_backbone(tmp_path / "moved", prompt="maize")


def test_bands_of_channels_are_channels(tmp_path, noised):
    """Of six bands, extended to eight, 2 channels have 8, 3 have 4, and 4 have 2; the skip connections join two maps."""
    network = save("SpectralUNet", tmp_path / "n")
    backbone = open_backbone(tmp_path / "n")
    blocks = {tap.name: (tap.channels, tap.stride) for tap in backbone.taps if tap.name.count(".") < 2}
    assert blocks == {
        "input_convolution": (16, 1), "down_blocks.0": (12, 1), "down_blocks.1": (8, 1), "skips.0": (16, 1),
        "up_blocks.0": (12, 1), "skips.1": (24, 1), "up_blocks.1": (16, 1), "output_convolution": (8, 1),
    }  # fmt: skip
    for layer in ("down_blocks.0", "skips.1", "up_blocks.1.first"):
        expected, _ = raw(network, noised, 300, layer)
        assert expected.ndim == 5
        expected = expected.numpy().reshape(2, -1, 16, 16)
        np.testing.assert_array_equal(backbone.forward_to(noised, 300, [layer])[layer].numpy(), expected)


def test_each_interval_has_its_decoder(tmp_path, noised):
    network = save("MultistageUNet", tmp_path / "n")
    backbone = open_backbone(tmp_path / "n")
    taps = {tap.name: tap for tap in backbone.taps}
    assert taps["mid_block"].intervals == () and (taps["mid_block"].channels, taps["mid_block"].stride) == (16, 2)
    for i, (width, interval) in enumerate(zip((8, 6, 4), ((0, 442), (442, 631), (631, 1000)), strict=True)):
        coarse, fine = (taps[f"decoders.{i}.up_blocks.{level}"] for level in (0, 1))
        assert (coarse.channels, fine.channels) == (2 * width, width)
        assert coarse.intervals == fine.intervals == (interval,)
    for t, interval in ((0, 0), (441, 0), (442, 1), (630, 1), (631, 2), (999, 2)):
        layer = f"decoders.{interval}.up_blocks.1"
        expected, predicted = raw(network, noised, t, layer)
        assert torch.equal(backbone.forward_to(noised, t, ["mid_block", layer])[layer], expected)
        assert torch.equal(backbone.predict(noised, t), predicted)
        other = f"decoders.{(interval + 1) % 3}.up_blocks.0"
        with pytest.raises(
            BackboneError, match=f"forward pass at timestep {t} does not reach the layer {other}"
        ) as refusal:
            backbone.forward_to(noised, t, ["mid_block", other])
        assert "\n" not in str(refusal.value)


def test_layers_are_listed_with_their_timesteps(tmp_path):
    save("MultistageUNet", tmp_path / "n")
    listed = CliRunner().invoke(app, ["layers", str(tmp_path / "n"), "--json"])
    assert listed.exit_code == 0, listed.output
    timesteps = {row["name"]: row["timesteps"] for row in json.loads(listed.output)}
    assert timesteps["mid_block"] == "all" and timesteps["decoders.1.up_blocks.0"] == "442 to 630"


def test_planes_come_from_the_decoder_of_their_timestep(tmp_path, scene):
    save("MultistageUNet", tmp_path / "n")
    options = {"backbone": tmp_path / "n", "tile": 32, "halo": 8}
    extract(scene, timesteps=[50, 500, 900], out=tmp_path / "s.zarr", **options)
    decoders = {50: 0, 500: 1, 900: 2}
    assert {(plane.id.t, plane.id.layer) for plane in open_features(tmp_path / "s.zarr").planes} == {
        (t, layer)
        for t, i in decoders.items()
        for layer in ("mid_block", f"decoders.{i}.up_blocks.0", f"decoders.{i}.up_blocks.1")
    }
    for layers, timesteps, message in (
        (["decoders.0.up_blocks.0"], [500, 900], "the layer decoders.0.up_blocks.0 at the timesteps 0 to 441 only; found 500, 900"),
        (["decoders.0.up_blocks.0"], [50, 900], "none of the layers decoders.0.up_blocks.0 at timestep 900: name a layer"),
    ):  # fmt: skip
        with pytest.raises(BackboneError, match=message) as refusal:
            extract(scene, timesteps=timesteps, layers=layers, out=tmp_path / "t.zarr", **options)
        assert "\n" not in str(refusal.value)


def test_planes_of_a_spectral_network(tmp_path, scene):
    save("SpectralUNet", tmp_path / "n")
    options = {"backbone": tmp_path / "n", "tile": 32, "halo": 8, "projection": "bands:0,2,4,6,8,10:percentiles=0-100"}
    extract(scene, timesteps=[499], layers=["skips.1"], out=tmp_path / "s.zarr", **options)
    (plane,) = open_features(tmp_path / "s.zarr").planes
    assert (plane.id.t, plane.id.layer, plane.channels, plane.stride) == (499, "skips.1", 24, 1)
    with pytest.raises(BackboneError, match="500"):
        extract(scene, timesteps=[500], layers=["skips.1"], out=tmp_path / "t.zarr", **options)


def test_an_unknown_class_is_refused_by_name(tmp_path):
    save_unet(tmp_path / "b")
    file = tmp_path / "b" / "unet" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "_class_name": "Transformer"}))
    with pytest.raises(
        BackboneError, match="holds a Transformer; allowed: UNet2DModel, RMSNormUNet2DModel, DiffCRN, SpectralUNet"
    ):
        open_backbone(tmp_path / "b")


@pytest.mark.parametrize(
    "change", [{"heads": 3}, {"patch_px": 0}, {"width": "wide"}, {"groups": None}, {"heads": [2]}], ids=str
)
def test_a_config_that_fits_no_network_is_refused(tmp_path, change):
    save_diffcrn(tmp_path / "d")
    file = tmp_path / "d" / "unet" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(BackboneError, match="config.json does not describe a DiffCRN: ") as refusal:
        _ = open_backbone(tmp_path / "d").taps
    assert "\n" not in str(refusal.value)


def test_tiles_of_whole_patches_give_the_same_planes_whatever_their_size(tmp_path, scene):
    save_diffcrn(tmp_path / "d")
    layers = ["spatial.0", "spectral.1"]
    planes = []
    for tile, halo in ((16, 0), (32, 8), (24, 4)):
        out = tmp_path / f"{tile}.zarr"
        extract(
            scene, backbone=tmp_path / "d", projection="pca:4", timesteps=[300], layers=layers, tile=tile, halo=halo,
            out=out,
        )  # fmt: skip
        features = open_features(out)
        planes.append([features.read(Window(0, 0, scene.rows, scene.cols), planes=[p]) for p in features.planes])
    for other in planes[1:]:
        for one, two in zip(planes[0], other, strict=True):
            np.testing.assert_allclose(one, two, rtol=2e-3, atol=2e-3)
