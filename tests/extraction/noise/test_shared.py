"""The noise policy ``shared`` against ``torch.randn`` and diffusers' ``add_noise``."""

import numpy as np
import pytest
import torch

import hsifeat
from hsifeat.backbones.unet2d import UNet2DBackbone
from hsifeat.scenes import Scene


@pytest.mark.parametrize("draws", [1, 2])
def test_noise_is_what_torch_draws_after_manual_seed(extract_plane, reference, draws):
    generator = torch.manual_seed(3)
    noises = [torch.randn(1, 3, 32, 32, generator=generator) for _ in range(draws)]
    plane = extract_plane(50, noise="shared", seed=3, draws=draws)
    np.testing.assert_allclose(plane, reference.mean_features(noises, 50), rtol=1e-4, atol=1e-5)


def test_all_tiles_of_a_constant_scene_are_the_same(backbone_folder, tmp_path, monkeypatch):
    """With the policy ``field``, the tiles of a constant scene differ."""
    flat = Scene("flat", np.full((64, 48, 12), 7, np.uint16) + np.arange(12, dtype=np.uint16))
    inputs = []
    forward_to = UNet2DBackbone.forward_to
    monkeypatch.setattr(
        UNet2DBackbone,
        "forward_to",
        lambda self, x, t, layers: (inputs.append(x.clone()), forward_to(self, x, t, layers))[1],
    )
    options = {"tile": 32, "halo": 8, "layers": ["up_blocks.0"], "timesteps": [100], "backbone": backbone_folder}
    hsifeat.extract(flat, noise="shared", out=tmp_path / "s.zarr", **options)
    assert all(torch.equal(x, inputs[0][:1].expand_as(x)) for x in inputs)
    inputs.clear()
    hsifeat.extract(flat, out=tmp_path / "f.zarr", **options)
    assert not torch.equal(inputs[0][0], inputs[0][1])
