"""Components of latent models: weights in current and older formats, and damaged or unsuitable folders."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.errors import BackboneError
from tests.helpers.latent_models import (
    WEIGHTS,
    change_tensors,
    drop_tensor,
    edit,
    embed,
    images,
    latents,
    reshape_tensor,
    truncate,
)
from tests.helpers.small import save_latent


def test_weights_of_the_same_architecture_drop_in(pipeline, copied, tmp_path):
    other = save_latent(tmp_path / "other", seed=8)
    shutil.copy(tmp_path / "other" / "unet" / WEIGHTS, copied / "unet" / WEIGHTS)
    with torch.no_grad():
        text = embed(pipeline, "").expand(2, -1, -1)
        expected = other.unet(latents(), 261, encoder_hidden_states=text).sample
    torch.testing.assert_close(open_backbone(copied).predict(latents(), 261), expected, rtol=1e-4, atol=1e-5)


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


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(lambda f: shutil.rmtree(f / "vae"), "has no vae/config.json", id="no-vae"),
        pytest.param(lambda f: shutil.rmtree(f / "scheduler"), "has no scheduler_config.json", id="no-schedule"),
        pytest.param(lambda f: (f / "unet" / WEIGHTS).unlink(), "unet holds no weights", id="no-unet-weights"),
        pytest.param(lambda f: (f / "vae" / WEIGHTS).unlink(), "vae holds no weights", id="no-vae-weights"),
        pytest.param(truncate("unet", WEIGHTS), "unet.* may be truncated", id="truncated-unet"),
        pytest.param(truncate("vae", WEIGHTS), "vae.* may be truncated", id="truncated-vae"),
        pytest.param(drop_tensor("unet", WEIGHTS), "unet.*missing keys: conv_in.bias", id="missing-unet-key"),
        pytest.param(reshape_tensor("vae", WEIGHTS), "vae.*does not fit its config", id="vae-shape"),
        pytest.param(
            lambda f: edit(f / "unet" / "config.json", block_out_channels=[8]),
            "does not describe a UNet2DCond|does not fit",
            id="config",
        ),
        pytest.param(
            lambda f: edit(f / "unet" / "config.json", time_cond_proj_dim=16),
            "time_cond_proj_dim is 16",
            id="consistency",
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
        pytest.param(lambda f: (f / "vae" / "config.json").write_text("[]"), "is not a JSON object", id="vae-json"),
    ],
)
def test_damaged_components_are_refused_in_one_line(copied, damage, message):
    damage(copied)
    with pytest.raises(BackboneError, match=message) as refusal:
        backbone = open_backbone(copied)
        backbone.identity()
        backbone.to("cpu")
    assert "\n" not in str(refusal.value)
