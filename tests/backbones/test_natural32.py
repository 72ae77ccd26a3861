"""The backbone of the package: it opens by name, equals diffusers' own network, and is what an extraction uses by default."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel
from safetensors import safe_open

import hsifeat
from hsifeat.backbones import natural32
from hsifeat.backbones.open_backbone import list_backbones, open_backbone
from hsifeat.errors import BackboneError
from hsifeat.presets import preset_options
from hsifeat.scenes import Scene
from tests.helpers.small import small_cube

FOLDER = Path(natural32.__file__).parent
WEIGHTS = FOLDER / "unet" / "diffusion_pytorch_model.safetensors"


def test_the_weights_are_half_precision_and_fit_into_the_package():
    assert WEIGHTS.stat().st_size <= 15e6
    with safe_open(WEIGHTS, framework="np") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F16"}  # noqa: SIM118
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "hsifeat pretrain" in card and "CIFAR-10" in card
    images = re.findall(r"\]\((.+\.png)\)", card)
    assert set(images) == {file.name for file in FOLDER.glob("*.png")} == {"loss.png", "samples.png"}
    assert all((FOLDER / name).stat().st_size <= 100e3 for name in images)


def test_it_opens_by_name_and_equals_diffusers_network():
    backbone = open_backbone("natural32")
    assert (backbone.name, backbone.source, backbone.channels) == ("natural32", "natural32", 3)
    assert "natural32" in {row["source"] for row in list_backbones()}
    network = UNet2DModel.from_pretrained(FOLDER / "unet", low_cpu_mem_usage=False).float().eval()
    noisy = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = network(noisy, 50).sample
    torch.testing.assert_close(backbone.predict(noisy, 50), wanted, rtol=1e-5, atol=1e-5)
    with pytest.raises(BackboneError, match="natural32 takes no argument; found 'large'"):
        open_backbone("natural32:large")


def test_it_denoises_better_than_its_untrained_twin():
    """From a smooth image with noise, the trained network predicts the noise with less than half the error."""
    clean = torch.linspace(-1, 1, 32)[None, None, :, None].expand(1, 3, 32, 32)
    noise = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    backbone, twin = open_backbone("natural32"), open_backbone("untrained:natural32")
    noisy = backbone.schedule.add_noise(clean, noise, 100)
    errors = [float((one.predict(noisy, 100) - noise).square().mean()) for one in (backbone, twin)]
    assert errors[0] < 0.5 * errors[1]
    assert twin.source == "untrained:natural32" and twin.identity() != backbone.identity()


@pytest.mark.parametrize("options", [{}, {"backbone": "natural32"}])
def test_it_is_the_default_with_the_options_of_its_preset(options, tmp_path):
    store = hsifeat.extract(Scene("small", small_cube(rows=24, cols=24)), out=tmp_path / "s.zarr", **options)
    preset = preset_options("natural32", "extract")
    assert {(plane.id.t, plane.id.layer) for plane in store.planes} == {
        (t, layer) for t in preset["timesteps"] for layer in preset["layers"]
    }
    assert np.isfinite(store.plane(store.planes[0].id)[:]).all()
