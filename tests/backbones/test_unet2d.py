"""Pixel-space backbones against forwards of diffusers' U-Net and its scheduler."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, LDMPipeline, UNet2DModel, VQModel
from safetensors.torch import load_file

from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.backbones.taps import select_taps
from hsifeat.errors import BackboneError, HsifeatError
from hsifeat.extraction.extract import extract
from tests.helpers.small import save_unet
from tests.helpers.two_threads import Meeting, run_together


def plain_forward(network, images, t, layers):
    """Run the whole network with hooks of PyTorch, and without code of hsifeat."""
    taken = {}
    hooks = [
        network.get_submodule(name).register_forward_hook(
            lambda _m, _i, out, name=name: taken.__setitem__(name, (out[0] if isinstance(out, tuple) else out).clone())
        )
        for name in layers
    ]
    with torch.no_grad():
        network(images, torch.full((len(images),), t))
    for hook in hooks:
        hook.remove()
    return taken


@pytest.mark.parametrize("t", [0, 17, 999])
def test_every_tap_equals_a_full_forward(backbone_folder, t):
    backbone = open_backbone(backbone_folder)
    network = UNet2DModel.from_config(UNet2DModel.load_config(backbone_folder / "unet")).eval()
    network.load_state_dict(load_file(backbone_folder / "unet" / "diffusion_pytorch_model.safetensors"))
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    names = [tap.name for tap in backbone.taps]
    expected = plain_forward(network, images, t, names)
    together = backbone.forward_to(images, t, names)
    for tap in backbone.taps:
        torch.testing.assert_close(together[tap.name], expected[tap.name], rtol=1e-4, atol=1e-5)
        assert torch.equal(backbone.forward_to(images, t, [tap.name])[tap.name], together[tap.name])
        assert expected[tap.name].shape == (2, tap.channels, 32 // tap.stride, 32 // tap.stride)


def test_the_forward_stops_after_the_last_tap(backbone_folder):
    backbone = open_backbone(backbone_folder)
    backbone.to("cpu")
    reached = []
    backbone.network.up_blocks[2].register_forward_hook(lambda *_: reached.append("up_blocks.2"))
    images = torch.zeros(1, 3, 16, 16)
    backbone.forward_to(images, 5, ["up_blocks.1", "mid_block"])
    assert not reached
    backbone.forward_to(images, 5, ["up_blocks.2"])
    assert reached


def test_shares_grow_and_strides_are_the_networks(backbone_folder):
    taps = {tap.name: tap for tap in open_backbone(backbone_folder).taps}
    shares = [tap.share for tap in taps.values()]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert {n: taps[n].stride for n in ("conv_in", "mid_block", "up_blocks.0", "up_blocks.1", "up_blocks.2")} == {
        "conv_in": 1, "mid_block": 4, "up_blocks.0": 2, "up_blocks.1": 1, "up_blocks.2": 1,
    }  # fmt: skip


def test_output_blocks_are_numbered_as_in_guided_diffusion(tmp_path):
    # Three residual blocks and one more a level, attention at the three coarser ones: ADM-64 in small.
    save_unet(
        tmp_path / "adm",
        layers_per_block=3,
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownBlock2D", *["AttnDownBlock2D"] * 3),
        up_block_types=(*["AttnUpBlock2D"] * 3, "UpBlock2D"),
    )
    aliases = {tap.alias: tap.name for tap in open_backbone(tmp_path / "adm").taps if tap.alias}
    assert aliases["output_blocks.0"] == "up_blocks.0.attentions.0"
    assert aliases["output_blocks.10"] == "up_blocks.2.attentions.2"
    assert aliases["output_blocks.11"] == "up_blocks.2"
    assert aliases["output_blocks.15"] == "up_blocks.3.resnets.3"
    assert len(aliases) == 16


@pytest.mark.parametrize("t", [0, 1, 500, 999])
@pytest.mark.parametrize("schedule", ["linear", "squaredcos_cap_v2", "scaled_linear"])
def test_added_noise_equals_diffusers(tmp_path, schedule, t):
    save_unet(tmp_path / "b")
    scheduler = DDPMScheduler(beta_schedule=schedule, beta_end=0.015)
    scheduler.save_pretrained(tmp_path / "b" / "scheduler")
    clean, noise = torch.randn(2, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = scheduler.add_noise(clean, noise, torch.tensor([t, t]))
    assert torch.equal(open_backbone(tmp_path / "b").schedule.add_noise(clean, noise, t), expected)


def test_a_pipeline_folder_and_a_flat_one_have_the_same_digest(tmp_path):
    network = save_unet(tmp_path / "unet-inside")
    flat = tmp_path / "flat"
    network.save_pretrained(flat)
    scheduler = json.loads((tmp_path / "unet-inside" / "scheduler" / "scheduler_config.json").read_text())
    (flat / "scheduler_config.json").write_text(json.dumps(scheduler))
    assert open_backbone(flat).identity() == open_backbone(tmp_path / "unet-inside").identity()
    DDPMPipeline(unet=network, scheduler=DDPMScheduler.from_config(scheduler)).save_pretrained(tmp_path / "pipeline")
    assert open_backbone(tmp_path / "pipeline").identity() == open_backbone(flat).identity()


def test_identity_follows_content_alone(tmp_path, backbone_folder):
    shutil.copytree(backbone_folder, tmp_path / "elsewhere")
    assert open_backbone(tmp_path / "elsewhere").identity() == open_backbone(backbone_folder).identity()
    save_unet(tmp_path / "other", seed=1)
    assert (
        open_backbone(tmp_path / "other").identity()["weights"] != open_backbone(backbone_folder).identity()["weights"]
    )


def test_untrained_is_the_same_architecture_with_fresh_weights(backbone_folder):
    fresh, again = (open_backbone(f"untrained:{backbone_folder}") for _ in range(2))
    assert fresh.identity() == again.identity()
    trained = open_backbone(backbone_folder).identity()
    other = open_backbone(f"untrained:{backbone_folder}", seed=1).identity()
    assert len({fresh.identity()["weights"], trained["weights"], other["weights"]}) == 3
    assert fresh.identity()["architecture"] == trained["architecture"]
    state = torch.random.get_rng_state()
    open_backbone(f"untrained:{backbone_folder}").to("cpu")
    assert torch.equal(torch.random.get_rng_state(), state)


def test_random_weights_that_two_threads_draw_are_those_of_their_seeds(backbone_folder, monkeypatch):
    """Both begin to draw together, after the seeds are set, unless one waits for the other."""
    expected = [open_backbone(f"untrained:{backbone_folder}", seed=seed).weights_digest for seed in (0, 1)]
    backbones = [open_backbone(f"untrained:{backbone_folder}", seed=seed) for seed in (0, 1)]
    meeting = Meeting()
    for backbone in backbones:
        monkeypatch.setattr(backbone, "build", lambda build=backbone.build: (meeting.wait(), build())[1])
    assert run_together(*(lambda backbone=backbone: backbone.weights_digest for backbone in backbones)) == expected


@pytest.mark.parametrize("kept", [("vqvae",), ()], ids=["folder", "as-fetched-from-a-hub"])
def test_a_latent_model_with_a_pixel_models_denoiser_is_refused(tmp_path, kept):
    pipeline = LDMPipeline(
        vqvae=VQModel(block_out_channels=(8,), norm_num_groups=4, vq_embed_dim=3),
        unet=save_unet(tmp_path / "parts"),
        scheduler=DDIMScheduler(),
    )
    pipeline.save_pretrained(tmp_path / "ldm")
    if not kept:
        shutil.rmtree(tmp_path / "ldm" / "vqvae")
    with pytest.raises(BackboneError, match="is a latent diffusion model: .* the output of its vqvae") as refusal:
        open_backbone(tmp_path / "ldm")
    assert "\n" not in str(refusal.value)


def test_one_file_beside_its_configurations_is_the_folder(tmp_path, backbone_folder):
    shutil.copy(backbone_folder / "unet" / "config.json", tmp_path)
    shutil.copy(backbone_folder / "scheduler" / "scheduler_config.json", tmp_path)
    shutil.copy(backbone_folder / "unet" / "diffusion_pytorch_model.safetensors", tmp_path / "mine.safetensors")
    single, folder = open_backbone(tmp_path / "mine.safetensors"), open_backbone(backbone_folder)
    assert (single.name, single.source) == ("mine", str(tmp_path / "mine.safetensors"))
    assert single.identity() == folder.identity()
    images = torch.ones(1, 3, 8, 8)
    assert torch.equal(single.predict(images, 3), folder.predict(images, 3))
    torch.save(
        UNet2DModel.from_pretrained(backbone_folder / "unet", low_cpu_mem_usage=False).state_dict(),
        tmp_path / "old.bin",
    )
    assert open_backbone(tmp_path / "old.bin").identity() == folder.identity()
    assert torch.equal(open_backbone(tmp_path / "old.bin").predict(images, 3), folder.predict(images, 3))
    (tmp_path / "note.txt").write_text("hello")
    with pytest.raises(BackboneError, match="note.txt is not a file of weights"):
        open_backbone(tmp_path / "note.txt")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "maize"}, "tiny takes no prompt; leave out 'maize'"),
        ({"prompt": ""}, "tiny takes no prompt; leave out ''"),
        ({"upsample": 4}, "tiny takes no upsampling; leave out 4"),
    ],
)
def test_options_of_latent_models_are_refused(backbone_folder, options, message):
    with pytest.raises(BackboneError, match=message):
        open_backbone(backbone_folder, **options)


def test_a_projection_to_three_channels_is_refused_for_a_model_of_one(tmp_path, scene):
    save_unet(tmp_path / "one", channels=1)
    with pytest.raises(HsifeatError, match="the projection rgb gives 3 channels, but one takes 1") as refusal:
        extract(scene, backbone=tmp_path / "one", projection="rgb", tile=32, halo=8, out=tmp_path / "s.zarr")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "s.zarr").exists()


def test_unknown_layers_and_timesteps_are_refused(backbone_folder):
    backbone = open_backbone(backbone_folder)
    with pytest.raises(BackboneError, match=r"unknown layer 'up_block.1'; nearest: .*up_blocks\.1"):
        select_taps(backbone.taps, ["up_block.1"])
    with pytest.raises(BackboneError, match="timestep 1000 is out of range: .* 0 to 999"):
        backbone.schedule.check((0, 1000))
    for t in (1000, -1):
        with pytest.raises(BackboneError, match=f"timestep {t} is out of range: .* 0 to 999"):
            backbone.predict(torch.zeros(1, 3, 16, 16), t)
        with pytest.raises(BackboneError, match=f"timestep {t} is out of range: .* 0 to 999"):
            backbone.forward_to(torch.zeros(1, 3, 16, 16), t, ["mid_block"])


def test_float32_schedule_digest_is_stable(backbone_folder):
    schedule = open_backbone(backbone_folder).schedule
    assert schedule.timesteps == 1000
    assert schedule.alphas_cumprod.dtype == np.float32
    assert (np.diff(schedule.alphas_cumprod) < 0).all() and 0.999 < schedule.alphas_cumprod[0] < 1


def test_the_callers_precision_has_no_effect(backbone_folder):
    backbone = open_backbone(backbone_folder)
    images = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    expected = backbone.forward_to(images, 9, ["up_blocks.1"])["up_blocks.1"]
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = backbone.forward_to(images, 9, ["up_blocks.1"])["up_blocks.1"]
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(result, expected)
