"""Network classes of other shapes, a spectral 3-D U-Net and a decoder per interval, open, list their layers and are tapped."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.backbones.taps import select_taps
from hsifeat.commands.app import app
from hsifeat.errors import BackboneError
from hsifeat.extraction.extract import extract
from hsifeat.features.open_features import open_features
from hsifeat.types import Window
from tests.helpers.backbone_kinds import save_diffcrn
from tests.helpers.small import save_unet
from tests.helpers.toy_networks import TOYS, register, save


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    register(monkeypatch)


@pytest.fixture
def noised():
    return torch.randn(2, 6, 16, 16, generator=torch.Generator().manual_seed(2))


def raw(network, noised, t, layer):
    """The oracle: a layer's output by PyTorch's own hook and nothing of ours."""
    taken = []
    hook = network.get_submodule(layer).register_forward_hook(lambda _m, _i, out: taken.append(out.clone()))
    with torch.no_grad():
        predicted = network(noised, torch.full((len(noised),), t))[0]
    hook.remove()
    return taken[0], predicted


@pytest.mark.parametrize("name", TOYS)
def test_a_toy_is_what_it_predicts_and_its_content(tmp_path, noised, name):
    network = save(name, tmp_path / "toy")
    backbone = open_backbone(tmp_path / "toy")
    with torch.no_grad():
        assert torch.equal(backbone.predict(noised, 700), network(noised, 700)[0])
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
    network = save("SpectralToy", tmp_path / "toy")
    backbone = open_backbone(tmp_path / "toy")
    # Three channels at six bands, and six at three.
    assert [(tap.name, tap.channels, tap.stride) for tap in backbone.taps] == [
        ("enter", 18, 1),
        ("down", 18, 1),
        ("up", 18, 1),
        ("leave", 6, 1),
    ]
    for layer in ("enter", "down", "up"):
        expected, _ = raw(network, noised, 300, layer)
        assert expected.ndim == 5
        expected = expected.numpy().reshape(2, -1, 16, 16)
        np.testing.assert_array_equal(backbone.forward_to(noised, 300, [layer])[layer].numpy(), expected)


def test_each_interval_has_its_decoder(tmp_path, noised):
    network = save("StagedToy", tmp_path / "toy")
    backbone = open_backbone(tmp_path / "toy")
    widths = {tap.name: (tap.channels, tap.stride) for tap in backbone.taps}
    assert widths == {
        "encoder": (8, 2),
        **{f"decoders.{i}.{j}": (w, 1) for i, w in enumerate((8, 6, 4)) for j in (0, 1)},
        **{f"decoders.{i}{end}": (6, 1) for i in range(3) for end in ("", ".2")},
    }
    for t, interval in ((0, 0), (441, 0), (442, 1), (630, 1), (631, 2), (999, 2)):
        layer = f"decoders.{interval}.0"
        expected, predicted = raw(network, noised, t, layer)
        assert torch.equal(backbone.forward_to(noised, t, ["encoder", layer])[layer], expected)
        assert torch.equal(backbone.predict(noised, t), predicted)
        other = f"decoders.{(interval + 1) % 3}.0"
        with pytest.raises(
            BackboneError, match=f"forward pass at timestep {t} does not reach the layer {other}"
        ) as refusal:
            backbone.forward_to(noised, t, ["encoder", other])
        assert "\n" not in str(refusal.value)
    # Nobody asked for these: the names of layers there are do not depend on t.
    assert select_taps(backbone.taps, ["decoders.2"])


def test_layers_of_all_decoders_are_listed(tmp_path):
    save("StagedToy", tmp_path / "toy")
    listed = CliRunner().invoke(app, ["layers", str(tmp_path / "toy"), "--json"])
    assert listed.exit_code == 0, listed.output
    assert {f"decoders.{i}" for i in range(3)} < {row["name"] for row in json.loads(listed.output)}


@pytest.mark.parametrize(("name", "layer"), [("SpectralToy", "down"), ("StagedToy", "decoders.1.0")])
def test_planes_of_a_toy(tmp_path, scene, name, layer):
    save(name, tmp_path / "toy")
    extract(scene, backbone=tmp_path / "toy", timesteps=[500], layers=[layer], tile=32, halo=8, out=tmp_path / "s.zarr")
    (plane,) = open_features(tmp_path / "s.zarr").planes
    assert (plane.id.t, plane.id.layer, plane.channels) == (500, layer, 18 if name == "SpectralToy" else 6)


def test_a_layer_of_another_interval_ends_an_extraction_in_one_line(tmp_path, scene):
    save("StagedToy", tmp_path / "toy")
    with pytest.raises(BackboneError, match="at timestep 999 does not reach the layer decoders.0") as refusal:
        extract(
            scene, backbone=tmp_path / "toy", timesteps=[999], layers=["decoders.0"], tile=32, halo=8,
            out=tmp_path / "s.zarr",
        )  # fmt: skip
    assert "\n" not in str(refusal.value)


def test_an_unknown_class_is_refused_by_name(tmp_path):
    save_unet(tmp_path / "b")
    file = tmp_path / "b" / "unet" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "_class_name": "Transformer"}))
    with pytest.raises(BackboneError, match="holds a Transformer; allowed: UNet2DModel, RMSNormUNet2DModel, DiffCRN"):
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
