"""Latent backbones against the components of diffusers' own Stable Diffusion pipeline, called one by one."""

import json
from fractions import Fraction

import pytest
import torch
from torch.nn.functional import interpolate

from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.errors import BackboneError
from tests.helpers.latent_models import (
    WEIGHTS,
    change_tensors,
    embed,
    images,
    latents,
)
from tests.helpers.small import save_latent
from tests.helpers.two_threads import in_use


@pytest.mark.parametrize("upsample", [1, 8])
def test_encoding_is_the_mode_of_the_autoencoder_on_upsampled_tiles(pipeline, folder, upsample):
    backbone = open_backbone(folder, upsample=upsample)
    result = backbone.encode(images())
    with torch.no_grad():
        large = interpolate(images(), scale_factor=upsample, mode="bilinear", align_corners=False)
        expected = torch.cat([pipeline.vae.encode(one[None]).latent_dist.mode() for one in large])
    assert torch.equal(result, expected * pipeline.vae.config.scaling_factor)
    assert result.shape == (2, backbone.denoiser_channels, 16 * upsample // 8, 16 * upsample // 8)
    assert (backbone.channels, backbone.cell_px) == (3, Fraction(8, upsample))


def test_encoding_does_not_depend_on_the_batch_or_the_random_state(folder):
    backbone = open_backbone(folder)
    together = backbone.encode(images(3))
    torch.manual_seed(99)
    assert all(torch.equal(backbone.encode(one[None])[0], same) for one, same in zip(images(3), together, strict=True))


def test_the_autoencoders_shift_factor_is_applied(tmp_path):
    pipeline = save_latent(tmp_path / "b", vae={"shift_factor": 0.25, "scaling_factor": 1.5})
    with torch.no_grad():
        mode = torch.cat([pipeline.vae.encode(one[None]).latent_dist.mode() for one in images()])
    assert torch.equal(open_backbone(tmp_path / "b", upsample=1).encode(images()), (mode - 0.25) * 1.5)


def test_other_threads_wait_while_the_autoencoder_encodes_or_moves(folder, monkeypatch):
    backbone, waits = open_backbone(folder), []

    def watch(owner, name):
        method = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *values: (waits.append(in_use(backbone)), method(*values))[1])

    watch(backbone.encoder, "to")
    watch(backbone.encoder, "encode")
    backbone.to("cpu")
    backbone.encode(images(1))
    assert waits == [True, True]


@pytest.mark.parametrize(("prompt", "t"), [(None, 0), ("a pin in it", 999)])
def test_every_tap_and_the_prediction_equal_a_full_forward(pipeline, folder, prompt, t):
    backbone = open_backbone(folder, prompt=prompt)
    names = [tap.name for tap in backbone.taps]
    features = {}
    hooks = [
        pipeline.unet.get_submodule(name).register_forward_hook(
            lambda _m, _i, out, name=name: features.__setitem__(
                name, (out[0] if isinstance(out, tuple) else out).clone()
            )
        )
        for name in names
    ]
    with torch.no_grad():
        text = embed(pipeline, prompt or "").expand(2, -1, -1)
        end = pipeline.unet(latents(), torch.tensor([t, t]), encoder_hidden_states=text).sample
    for hook in hooks:
        hook.remove()
    result = backbone.forward_to(latents(), t, names)
    assert len(names) > 30
    for tap in backbone.taps:
        torch.testing.assert_close(result[tap.name], features[tap.name], rtol=1e-4, atol=1e-5)
        assert features[tap.name].shape == (2, tap.channels, 16 // tap.stride, 16 // tap.stride)
    torch.testing.assert_close(backbone.predict(latents(), t), end, rtol=1e-4, atol=1e-5)


def test_noise_is_added_as_by_the_models_own_scheduler(pipeline, folder):
    clean, noise = latents(), latents().flip(0)
    schedule = open_backbone(folder).schedule
    for t in (0, 50, 999):
        expected = pipeline.scheduler.add_noise(clean, noise, torch.tensor([t, t]))
        assert torch.equal(schedule.add_noise(clean, noise, t), expected)


@pytest.mark.parametrize(("upsample", "strides"), [(8, [1, 4, 2, 1, 1]), (2, [4, 16, 8, 4, 4])])
def test_strides_count_scene_pixels(folder, upsample, strides):
    backbone = open_backbone(folder, upsample=upsample)
    taps = {tap.name: tap for tap in backbone.taps}
    names = ["conv_in", "mid_block", "up_blocks.0", "up_blocks.1", "up_blocks.2"]
    assert [taps[name].stride for name in names] == strides
    result = backbone.forward_to(backbone.encode(images(1, 32)), 5, names)
    assert [32 // result[name].shape[-1] for name in names] == strides
    assert (
        taps["up_blocks.0"].alias == "output_blocks.1" and taps["up_blocks.2.attentions.1"].alias == "output_blocks.5"
    )


def test_layers_finer_than_the_scene_are_left_out(tmp_path):
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    save_latent(tmp_path / "b", vae={"block_out_channels": (8, 8), **blocks})
    backbone = open_backbone(tmp_path / "b")
    assert backbone.cell_px == Fraction(1, 4)
    assert {tap.stride for tap in backbone.taps} == {1}
    result = backbone.forward_to(backbone.encode(images(1, 8)), 5, ["mid_block"])["mid_block"]
    assert result.shape[-1] == 8


def test_identity_follows_content_alone_and_all_of_it(folder, copied, pipeline):
    same = open_backbone(folder).identity()
    json.dumps(same)
    assert open_backbone(copied).identity() == same == open_backbone(folder, prompt="", upsample=8).identity()
    assert same["conditioning"]["prompt"] == "" and same["upsample"] == 8 and same["prediction"] == "epsilon"
    prompted = open_backbone(folder, prompt="a pin").identity()
    assert prompted["conditioning"]["prompt"] == "a pin"
    assert prompted["conditioning"]["embedding"] != same["conditioning"]["embedding"]
    assert open_backbone(folder, upsample=4).identity() == {**same, "upsample": 4}
    for file, where in (
        (copied / "unet" / WEIGHTS, ("weights",)),
        (copied / "vae" / WEIGHTS, ("encoder", "weights")),
        (copied / "text_encoder" / "model.safetensors", ("conditioning", "embedding")),
    ):
        before = open_backbone(copied).identity()
        change_tensors(file, lambda tensors: {name: tensor * 1.5 for name, tensor in tensors.items()})
        after = open_backbone(copied).identity()
        for name in where[:-1]:
            before, after = before[name], after[name]
        assert after.pop(where[-1]) != before.pop(where[-1]) and after == before


def test_velocity_prediction_is_read_from_the_scheduler(tmp_path):
    save_latent(tmp_path / "b", scheduler={"prediction_type": "v_prediction"})
    backbone = open_backbone(tmp_path / "b")
    assert backbone.schedule.prediction == backbone.identity()["prediction"] == "v_prediction"


def test_untrained_is_a_fresh_denoiser_behind_the_same_autoencoder(folder):
    fresh, again = (open_backbone(f"untrained:{folder}", seed=5) for _ in range(2))
    trained = open_backbone(folder)
    assert fresh.identity() == again.identity()
    assert fresh.identity() == {**trained.identity(), "weights": fresh.identity()["weights"]}
    assert fresh.identity()["weights"] != trained.identity()["weights"]
    assert torch.equal(fresh.encode(images()), trained.encode(images()))
    assert fresh.source == f"untrained:{folder}" and fresh.name == "small-sd-untrained"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_label": 1}, "small-sd takes no class label; leave out 1"),
        ({"upsample": 3}, "upsampled by 1, 2, 4, 8 .*; found 3"),
        (
            {"prompt": "a b c d e f g h i j k l"},
            "the prompt has 14 tokens, including the start and end tokens, but small-sd takes 12",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(folder, options, message):
    with pytest.raises(BackboneError, match=message):
        open_backbone(folder, **options).identity()


def test_pixel_space_takes_no_prompt_and_upsamples_nothing(backbone_folder):
    for options in ({"prompt": ""}, {"prompt": "a pin"}, {"upsample": 4}):
        with pytest.raises(BackboneError, match="leave out") as refusal:
            open_backbone(backbone_folder, **options)
        assert "\n" not in str(refusal.value)


def test_images_without_a_whole_number_of_cells_are_refused(folder):
    with pytest.raises(BackboneError, match="12 x 12 pixels is not a whole number of latent cells of 8 pixels"):
        open_backbone(folder, upsample=1).encode(images(1, 12))


@pytest.mark.parametrize(("noise", "upsample"), [("none", 4), ("field", 8)])
def test_extracted_planes_equal_those_of_the_pipelines_components(pipeline, folder, scene, tmp_path, noise, upsample):
    """The core of the scene's second tile of the second row, computed by diffusers' own autoencoder and U-Net."""
    import hsifeat
    from hsifeat.extraction.noise.noise_field import noise_field
    from hsifeat.projection import fit_projection
    from hsifeat.types import Window

    t, layers, cell = 261, ["mid_block", "up_blocks.1"], 8 // upsample
    store = hsifeat.extract(
        scene, backbone=open_backbone(folder, upsample=upsample, prompt="a pin"), timesteps=[t], layers=layers, noise=noise,
        seed=4, tile=32, halo=8, dtype="float32", device="cpu", out=tmp_path / "s.zarr",
    )  # fmt: skip
    channels = fit_projection("rgb", scene).apply(scene.cube[8:40, 8:40])
    image = torch.from_numpy(channels.transpose(2, 0, 1).copy())[None]
    with torch.no_grad():
        large = interpolate(image, scale_factor=upsample, mode="bilinear", align_corners=False)
        noisy = pipeline.vae.encode(large).latent_dist.mode() * pipeline.vae.config.scaling_factor
        if noise == "field":
            field = noise_field(Window(8 // cell, 8 // cell, 32 // cell, 32 // cell), 4, seed=4)
            noisy = pipeline.scheduler.add_noise(noisy, torch.from_numpy(field)[None], torch.tensor([t]))
        features = {}
        hooks = [
            pipeline.unet.get_submodule(name).register_forward_hook(
                lambda _m, _i, out, name=name: features.__setitem__(name, out[0] if len(out) == 1 else out)
            )
            for name in layers
        ]
        pipeline.unet(noisy, t, encoder_hidden_states=embed(pipeline, "a pin"))
        for hook in hooks:
            hook.remove()
    for name, stride in zip(layers, (4 * cell, cell), strict=True):
        (plane,) = [p for p in store.planes if p.id.layer == name]
        assert plane.stride == stride
        expected = features[name].reshape(-1, 32 // stride, 32 // stride)[
            :, 8 // stride : 24 // stride, 8 // stride : 24 // stride
        ]
        result = store.read(plane.id, Window(16 // stride, 16 // stride, 16 // stride, 16 // stride))
        torch.testing.assert_close(torch.from_numpy(result).permute(2, 0, 1), expected, rtol=1e-4, atol=1e-4)
