"""Per-pixel normalisation: a reference in NumPy, and tiles with enough halo equal one pass over the whole image."""

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel

import hsifeat
from hsifeat.backbones.networks.rms_unet import PixelRMSNorm, RMSNormUNet2DModel
from hsifeat.errors import BackboneError
from hsifeat.presets import preset_options
from hsifeat.projection import Projection
from hsifeat.scenes import Scene

# The levels and blocks of natural32, with fewer channels.
PRESET = preset_options("natural32-rms", "extract")
LAYERS, HALO, CORE, T = PRESET["layers"], PRESET["halo"], 64, 20
ARGUMENTS = {
    "in_channels": 3,
    "out_channels": 3,
    "layers_per_block": 1,
    "block_out_channels": [4] * 4,
    "down_block_types": ["DownBlock2D"] * 4,
    "up_block_types": ["UpBlock2D"] * 4,
    "norm_num_groups": 2,
    "attention_head_dim": 2,
    "add_attention": False,
}


def build(network_class, dtype=torch.float64):
    torch.manual_seed(0)
    return network_class(**ARGUMENTS).eval().requires_grad_(False).to(dtype)


def planes(network, image):
    """Return the outputs of the layers for an image (1, 3, rows, cols)."""
    outputs = {}
    hooks = [
        network.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: outputs.update({name: out}))
        for name in LAYERS
    ]
    network(image, T)
    for hook in hooks:
        hook.remove()
    return outputs


def uneven_image(rows, cols):
    """Return noise (1, 3, rows, cols) whose deviation grows from one side to the other."""
    return np.random.default_rng(0).standard_normal((1, 3, rows, cols)) * np.linspace(0.1, 3, cols)


def test_norm_equals_its_formula():
    maps = np.random.default_rng(0).standard_normal((2, 5, 4, 3))
    norm = PixelRMSNorm(5).double()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    weight, bias = (p.detach().numpy()[:, None, None] for p in (norm.weight, norm.bias))
    wanted = weight * maps / np.sqrt(np.mean(maps**2, 1, keepdims=True) + 1e-5) + bias
    np.testing.assert_allclose(norm(torch.from_numpy(maps)).detach(), wanted, rtol=1e-12)


@pytest.mark.parametrize(("layer", "radius"), [("up_blocks.0", 110), ("up_blocks.1", 126)])
def test_the_halo_covers_the_measured_receptive_field(layer, radius):
    """The gradient of a cell is 0 beyond the radius, and is not 0 at the radius."""
    rows = 3 * HALO
    strip = torch.randn(1, 3, rows, 8, dtype=torch.float64).requires_grad_()
    output = planes(build(RMSNormUNet2DModel), strip)[layer]
    stride = rows // output.shape[2]
    middle = output.shape[2] // 2
    (gradient,) = torch.autograd.grad(output[0, :, middle].sum(), strip)
    reached = np.flatnonzero(gradient[0].abs().sum((0, 2)).numpy())
    before, after = middle * stride - reached.min(), reached.max() - (middle + 1) * stride + 1
    assert max(before, after) == radius <= HALO


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_a_tile_with_the_halo_of_the_receptive_field_equals_one_pass(dtype, limit):
    side, at = CORE + 2 * HALO + 16, HALO + 8
    image = torch.from_numpy(uneven_image(side, side)).to(dtype)
    tile = image[..., at - HALO : at + CORE + HALO, at - HALO : at + CORE + HALO]

    def largest_difference(network_class):
        network = build(network_class, dtype)
        differences = []
        tile_planes = planes(network, tile)
        for name, whole in planes(network, image).items():
            stride = side // whole.shape[2]
            start, count, halo = at // stride, CORE // stride, HALO // stride
            core = tile_planes[name][..., halo : halo + count, halo : halo + count]
            same = whole[..., start : start + count, start : start + count]
            differences.append(float((core - same).abs().max() / whole.std()))
        return max(differences)

    assert largest_difference(RMSNormUNet2DModel) <= limit
    assert largest_difference(UNet2DModel) > 1e-2  # group norm


@pytest.mark.parametrize(
    ("network_class", "least", "limit"), [(RMSNormUNet2DModel, 0, 1e-5), (UNet2DModel, 1e-2, np.inf)]
)
def test_stored_planes_of_tiles_equal_one_pass_over_the_padded_scene(tmp_path, network_class, least, limit):
    """Four tiles with cores of 64 px; the reference is diffusers' forward pass in float64. Group norm fails."""
    rows, cols = CORE + 8, CORE + 16
    image = uneven_image(rows, cols).astype(np.float32)
    network = build(network_class, torch.float32)
    network.save_pretrained(tmp_path / "unet")
    DDPMScheduler(beta_schedule="squaredcos_cap_v2").save_pretrained(tmp_path / "scheduler")
    store = hsifeat.extract(
        Scene("uneven", image[0].transpose(1, 2, 0)),
        backbone=tmp_path,
        timesteps=[T],
        layers=LAYERS,
        projection=Projection("same", np.eye(3, dtype=np.float32), np.zeros(3, np.float32), clip=False),
        tile=CORE + 2 * HALO,
        halo=HALO,
        noise="none",
        dtype="float32",
        out=tmp_path / "s.zarr",
    )
    padded = np.pad(image.astype(np.float64), [(0, 0), (0, 0), (HALO, HALO), (HALO, HALO)], mode="reflect")
    for name, whole in planes(network.double(), torch.from_numpy(padded)).items():
        stride = padded.shape[2] // whole.shape[2]
        near, wanted = HALO // stride, whole[0].permute(1, 2, 0).numpy()
        wanted = wanted[near : near + rows // stride, near : near + cols // stride]
        stored = next(store.plane(plane.id)[:] for plane in store.planes if plane.id.layer == name)
        assert least <= np.abs(stored - wanted).max() / wanted.std() <= limit


def test_a_timestep_is_embedded_alike_for_any_number_of_tiles():
    """To the last bit. Otherwise, float32 features of tiles differ from those of one pass by over 1e-5 deviations."""
    torch.manual_seed(0)
    width = {"block_out_channels": [32, 64, 128, 128], "norm_num_groups": 32}  # of natural32
    network, embeddings = RMSNormUNet2DModel(**{**ARGUMENTS, **width}).eval().requires_grad_(False), []
    layers = [network.time_embedding, *(m.time_emb_proj for m in network.modules() if hasattr(m, "time_emb_proj"))]
    for layer in layers:
        layer.register_forward_hook(lambda _module, _inputs, output: embeddings.append(output))
    network(torch.zeros(4, 3, 16, 16), T)
    network(torch.zeros(1, 3, 16, 16), T)
    assert len(embeddings) == 2 * len(layers)
    for several, one in zip(embeddings[: len(layers)], embeddings[len(layers) :], strict=True):
        assert torch.equal(several, one.expand_as(several))


def test_several_timesteps_equal_single_ones():
    images, network = torch.randn(2, 3, 16, 16, dtype=torch.float64), build(RMSNormUNet2DModel)
    several = network(images, torch.tensor([3, 700])).sample
    single = [network(image[None], t).sample for image, t in zip(images, (3, 700), strict=True)]
    torch.testing.assert_close(several, torch.cat(single), rtol=0, atol=1e-12)


def test_attention_is_refused():
    with pytest.raises(BackboneError, match="has no attention: set add_attention to false"):
        RMSNormUNet2DModel(**{**ARGUMENTS, "add_attention": True})
