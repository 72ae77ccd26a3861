"""Latent backbones against the components of diffusers' own Stable Diffusion pipeline, called one by one."""

import json
import shutil
from fractions import Fraction

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import interpolate

from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.errors import BackboneError
from tests.helpers.small import save_latent

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def pipeline_and_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("latent") / "small-sd"
    return save_latent(folder, seed=3), folder


@pytest.fixture
def pipeline(pipeline_and_folder):
    return pipeline_and_folder[0]


@pytest.fixture
def folder(pipeline_and_folder):
    """The model's folder, to be read only."""
    return pipeline_and_folder[1]


@pytest.fixture
def copied(folder, tmp_path):
    """A copy of the model's folder, to be changed."""
    return shutil.copytree(folder, tmp_path / "sd")


def images(count=2, side=16):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def latents(count=2, side=16):
    return torch.randn(count, 4, side, side, generator=torch.Generator().manual_seed(2))


def embed(pipeline, prompt):
    with torch.no_grad():
        return pipeline.encode_prompt(prompt, "cpu", 1, do_classifier_free_guidance=False)[0]


def edit(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def change_tensors(file, change):
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


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
        assert torch.equal(result[tap.name], features[tap.name])
        assert features[tap.name].shape == (2, tap.channels, 16 // tap.stride, 16 // tap.stride)
    assert torch.equal(backbone.predict(latents(), t), end)


def test_another_prompt_gives_other_planes(folder):
    maps = [open_backbone(folder, prompt=p).forward_to(latents(), 9, ["up_blocks.1"]) for p in ("", "a pin")]
    assert not torch.equal(*(result["up_blocks.1"] for result in maps))


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


def test_weights_of_the_same_architecture_drop_in(pipeline, copied, tmp_path):
    other = save_latent(tmp_path / "other", seed=8)
    shutil.copy(tmp_path / "other" / "unet" / WEIGHTS, copied / "unet" / WEIGHTS)
    with torch.no_grad():
        text = embed(pipeline, "").expand(2, -1, -1)
        expected = other.unet(latents(), 261, encoder_hidden_states=text).sample
    assert torch.equal(open_backbone(copied).predict(latents(), 261), expected)


def test_embedding_in_a_file_stands_for_the_text_encoder(pipeline, folder, copied):
    expected = open_backbone(folder, prompt="a pin").forward_to(latents(), 9, ["mid_block"])["mid_block"]
    shutil.rmtree(copied / "text_encoder")
    shutil.rmtree(copied / "tokenizer")
    with pytest.raises(BackboneError, match="has neither text_encoder/ nor prompt.safetensors"):
        open_backbone(copied)
    save_file({"embedding": embed(pipeline, "a pin")}, copied / "prompt.safetensors", metadata={"prompt": "a pin"})
    for prompt in (None, "a pin"):
        backbone = open_backbone(copied, prompt=prompt)
        assert torch.equal(backbone.forward_to(latents(), 9, ["mid_block"])["mid_block"], expected)
        assert backbone.identity()["conditioning"]["prompt"] == "a pin"
    with pytest.raises(BackboneError, match="only the prompt 'a pin' in prompt.safetensors; leave out 'a tin'"):
        open_backbone(copied, prompt="a tin")


def test_folders_of_older_diffusers_releases_open(pipeline, copied):
    """Half precision, attention and text layers under their former names, pickles of tensors, a vocabulary in two files."""
    former = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def rename(tensors):
        names = {name: name for name in tensors}
        for new, old in former.items():
            names = {name: renamed.replace(new, old) for name, renamed in names.items()}
        return {names[name]: tensor.half() for name, tensor in tensors.items()}

    change_tensors(copied / "vae" / WEIGHTS, rename)
    assert any("query" in name for name in load_file(copied / "vae" / WEIGHTS))
    halves = {name: tensor.half() for name, tensor in load_file(copied / "unet" / WEIGHTS).items()}
    torch.save(halves, copied / "unet" / "diffusion_pytorch_model.bin")
    (copied / "unet" / WEIGHTS).unlink()
    texts = load_file(copied / "text_encoder" / "model.safetensors")
    position = {"text_model.embeddings.position_ids": torch.arange(12)[None]}
    torch.save(
        {f"text_model.{n}": t for n, t in texts.items()} | position, copied / "text_encoder" / "pytorch_model.bin"
    )
    (copied / "text_encoder" / "model.safetensors").unlink()
    vocabulary = json.loads((copied / "tokenizer" / "tokenizer.json").read_text())["model"]
    (copied / "tokenizer" / "tokenizer.json").unlink()
    (copied / "tokenizer" / "vocab.json").write_text(json.dumps(vocabulary["vocab"]))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in vocabulary["merges"]]
    (copied / "tokenizer" / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    backbone = open_backbone(copied, prompt="a pin in it", upsample=1)
    assert torch.equal(backbone.embedding, embed(pipeline, "a pin in it"))
    result = backbone.predict(backbone.encode(images()), 9)
    assert result.dtype == torch.float32
    for network in (vae := pipeline.vae, unet := pipeline.unet):
        assert all(tensor.dtype == torch.float32 for tensor in network.state_dict().values())
    rounded = {name: t.half().float() for name, t in vae.state_dict().items()}
    assert all(torch.equal(rounded[name], tensor) for name, tensor in backbone.encoder.state_dict().items())
    rounded = {name: t.half().float() for name, t in unet.state_dict().items()}
    assert all(torch.equal(rounded[name], tensor) for name, tensor in backbone.network.state_dict().items())


def test_untrained_is_a_fresh_denoiser_behind_the_same_autoencoder(folder):
    fresh, again = (open_backbone(f"untrained:{folder}", seed=5) for _ in range(2))
    trained = open_backbone(folder)
    assert fresh.identity() == again.identity()
    assert fresh.identity() == {**trained.identity(), "weights": fresh.identity()["weights"]}
    assert fresh.identity()["weights"] != trained.identity()["weights"]
    assert torch.equal(fresh.encode(images()), trained.encode(images()))
    assert fresh.source == f"untrained:{folder}" and fresh.name == "small-sd-untrained"


def test_loading_is_silent_and_restores_the_settings_of_transformers(folder, capfd):
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled(), logging.get_verbosity()
    open_backbone(folder).to("cpu")
    assert (logging.is_progress_bar_enabled(), logging.get_verbosity()) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_label": 1}, "small-sd takes no class label; leave out 1"),
        ({"upsample": 3}, "upsampled by 1, 2, 4, 8 .*; found 3"),
        (
            {"prompt": "a b c d e f g h i j k l"},
            "the prompt has 14 tokens with those of its beginning and end, but small-sd takes 12",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(folder, options, message):
    with pytest.raises(BackboneError, match=message):
        open_backbone(folder, **options).identity()


def test_a_tokenizer_of_another_model_is_refused(copied):
    file = copied / "tokenizer" / "tokenizer.json"
    content = json.loads(file.read_text())
    content["model"]["vocab"]["a</w>"] = 700
    file.write_text(json.dumps(content))
    with pytest.raises(BackboneError, match="has more tokens than the text encoder beside it"):
        open_backbone(copied, prompt="a").identity()


def test_pixel_space_takes_no_prompt_and_upsamples_nothing(backbone_folder):
    for options in ({"prompt": ""}, {"prompt": "a pin"}, {"upsample": 4}):
        with pytest.raises(BackboneError, match="leave out") as refusal:
            open_backbone(backbone_folder, **options)
        assert "\n" not in str(refusal.value)


def test_images_without_a_whole_number_of_cells_are_refused(folder):
    with pytest.raises(BackboneError, match="12 x 12 pixels is not a whole number of latent cells of 8 pixels"):
        open_backbone(folder, upsample=1).encode(images(1, 12))


def _truncate(*parts):
    def damage(folder):
        file = folder.joinpath(*parts)
        file.write_bytes(file.read_bytes()[:-100])

    return damage


def _drop_tensor(*parts):
    return lambda f: change_tensors(f.joinpath(*parts), lambda tensors: dict(sorted(tensors.items())[1:]))


def _reshape_tensor(*parts):
    def reshape(tensors):
        return {name: torch.zeros(3) if i == 0 else t for i, (name, t) in enumerate(sorted(tensors.items()))}

    return lambda f: change_tensors(f.joinpath(*parts), reshape)


def _stored_prompt(embedding, **options):
    def damage(folder):
        shutil.rmtree(folder / "text_encoder")
        save_file({"embedding": embedding}, folder / "prompt.safetensors", **options)

    return damage


TEXT = ("text_encoder", "model.safetensors")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(lambda f: shutil.rmtree(f / "vae"), "has no vae/config.json", id="no-vae"),
        pytest.param(lambda f: shutil.rmtree(f / "scheduler"), "has no scheduler_config.json", id="no-schedule"),
        pytest.param(lambda f: shutil.rmtree(f / "text_encoder"), "has neither text_encoder/ nor", id="no-text"),
        pytest.param(lambda f: shutil.rmtree(f / "tokenizer"), "holds no tokenizer", id="no-tokenizer"),
        pytest.param(lambda f: (f / "tokenizer" / "tokenizer.json").unlink(), "holds no tokenizer", id="no-vocabulary"),
        pytest.param(lambda f: (f / "tokenizer" / "tokenizer.json").write_text("{"), "can't be used", id="vocabulary"),
        pytest.param(lambda f: (f / "unet" / WEIGHTS).unlink(), "unet holds no weights", id="no-unet-weights"),
        pytest.param(lambda f: (f / "vae" / WEIGHTS).unlink(), "vae holds no weights", id="no-vae-weights"),
        pytest.param(lambda f: f.joinpath(*TEXT).unlink(), "text_encoder holds no weights", id="no-text-weights"),
        pytest.param(_truncate("unet", WEIGHTS), "unet.* may be truncated", id="truncated-unet"),
        pytest.param(_truncate("vae", WEIGHTS), "vae.* may be truncated", id="truncated-vae"),
        pytest.param(_truncate(*TEXT), "text_encoder.* may be truncated", id="truncated-text"),
        pytest.param(_drop_tensor("unet", WEIGHTS), "unet.*missing keys: conv_in.bias", id="missing-unet-key"),
        pytest.param(_drop_tensor(*TEXT), "text_encoder.*missing keys: embeddings.pos", id="missing-text-key"),
        pytest.param(_reshape_tensor("vae", WEIGHTS), "vae.*does not fit its config", id="vae-shape"),
        pytest.param(
            lambda f: edit(f / "unet" / "config.json", block_out_channels=[8]),
            "does not describe a UNet2DCond|does not fit",
            id="config",
        ),
        pytest.param(
            lambda f: edit(f / "unet" / "config.json", in_channels=9), "takes 9 channels, but", id="inpainting"
        ),
        pytest.param(
            lambda f: edit(f / "unet" / "config.json", addition_embed_type="text_time"),
            "addition_embed_type is 'text_time'",
            id="xl",
        ),
        pytest.param(
            lambda f: edit(f / "unet" / "config.json", cross_attention_dim=[16, 16, 16]),
            "cross_attention_dim is",
            id="widths",
        ),
        pytest.param(
            lambda f: edit(f / "vae" / "config.json", _class_name="VQModel"),
            "holds a VQModel; it must be a diffusers AutoencoderKL",
            id="vq",
        ),
        pytest.param(
            lambda f: edit(f / "vae" / "config.json", latents_mean=[0] * 4), "latents_mean", id="latents-mean"
        ),
        pytest.param(lambda f: edit(f / "vae" / "config.json", in_channels=1), "3 channels", id="vae-channels"),
        pytest.param(lambda f: edit(f / "text_encoder" / "config.json", model_type="t5"), "holds a t5", id="t5"),
        pytest.param(
            lambda f: edit(f / "text_encoder" / "config.json", hidden_size=32),
            "32 channels per token, .* takes 16",
            id="width",
        ),
        pytest.param(lambda f: (f / "vae" / "config.json").write_text("[]"), "is not a JSON object", id="vae-json"),
        pytest.param(
            _stored_prompt(torch.zeros(1, 12, 16)), "without the metadata entry prompt", id="stored-prompt-without-text"
        ),
        pytest.param(
            _stored_prompt(torch.zeros(12, 8), metadata={"prompt": ""}),
            r"shape \(12, 8\) with the",
            id="stored-prompt-shape",
        ),
        pytest.param(
            lambda f: (shutil.rmtree(f / "text_encoder"), (f / "prompt.safetensors").write_bytes(b"123")),
            "may be truncated",
            id="stored-prompt-damaged",
        ),
    ],
)
def test_damaged_folders_are_refused_in_one_line(copied, damage, message):
    damage(copied)
    with pytest.raises(BackboneError, match=message) as refusal:
        backbone = open_backbone(copied)
        backbone.identity()
        backbone.to("cpu")
    assert "\n" not in str(refusal.value)


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
