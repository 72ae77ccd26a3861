"""Weights in shards, variants and parts of a pipeline give the network and the digest that one file gives."""

import json
import re
import shutil

import pytest
import torch
from diffusers import UNet2DModel

from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.errors import BackboneError
from tests.helpers.latent_models import edit
from tests.helpers.small import save_latent, save_unet


def saved(backbone_folder, folder, **options):
    """Save the small U-Net once more with diffusers."""
    shutil.copytree(backbone_folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    network = UNet2DModel.from_pretrained(backbone_folder / "unet", low_cpu_mem_usage=False)
    network.save_pretrained(folder / "unet", **options)
    return folder


def test_shards_are_the_network_of_one_file(backbone_folder, tmp_path):
    folder = saved(backbone_folder, tmp_path / "sharded", max_shard_size="30KB")
    assert len(list((folder / "unet").glob("*-of-*.safetensors"))) > 1
    one, sharded = open_backbone(backbone_folder), open_backbone(folder)
    assert sharded.identity() == one.identity()
    assert all(torch.equal(a, b) for a, b in zip(one.network.parameters(), sharded.network.parameters(), strict=True))


@pytest.mark.parametrize("options", [{}, {"max_shard_size": "30KB"}], ids=["file", "shards"])
def test_the_only_variant_is_loaded_as_by_diffusers(backbone_folder, tmp_path, options):
    folder = saved(backbone_folder, tmp_path / "m", variant="fp16", **options)
    expected = UNet2DModel.from_pretrained(folder / "unet", variant="fp16", low_cpu_mem_usage=False)
    loaded = open_backbone(folder).network
    assert all(torch.equal(a, b) for a, b in zip(expected.parameters(), loaded.parameters(), strict=True))


def test_several_variants_are_a_question_that_naming_a_file_answers(backbone_folder, tmp_path):
    folder = saved(backbone_folder, tmp_path / "m", variant="fp16")
    file = folder / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    shutil.copy(file, folder / "unet" / "diffusion_pytorch_model.ema.safetensors")
    with pytest.raises(BackboneError, match="in 2 variants, ema, fp16: name the file of one of them"):
        open_backbone(folder).identity()
    assert open_backbone(file).identity() == open_backbone(backbone_folder).identity()


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"a": "../../secret.safetensors"}, "does not list the shards"),
        ({}, "does not list the shards"),
        ([1], "does not list the shards"),
        ({"a": "diffusion_pytorch_model-00001-of-00002.safetensors"}, "lacks diffusion_pytorch_model-00001-of-00002"),
    ],
)
def test_an_index_that_lists_other_files_is_refused(backbone_folder, tmp_path, weight_map, message):
    folder = tmp_path / "m"
    shutil.copytree(backbone_folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(BackboneError, match=message):
        open_backbone(folder).identity()


def test_the_parts_of_a_latent_model_may_be_sharded(tmp_path):
    pipeline = save_latent(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "sharded")
    for part in ("unet", "vae"):
        (tmp_path / "sharded" / part / "diffusion_pytorch_model.safetensors").unlink()
        getattr(pipeline, part).save_pretrained(tmp_path / "sharded" / part, max_shard_size="30KB")
        assert (tmp_path / "sharded" / part / "diffusion_pytorch_model.safetensors.index.json").exists()
    one, sharded = open_backbone(tmp_path / "one"), open_backbone(tmp_path / "sharded")
    assert sharded.identity() == one.identity()
    assert all(torch.equal(a, b) for a, b in zip(one.network.parameters(), sharded.network.parameters(), strict=True))


@pytest.mark.parametrize(
    ("save", "part", "changes"),
    [
        pytest.param(save_unet, "unet", {"norm_eps": 0.1}, id="unet"),
        pytest.param(save_latent, "unet", {"norm_eps": 0.1}, id="latent-unet"),
        pytest.param(save_latent, "vae", {"scaling_factor": 0.5}, id="autoencoder"),
        pytest.param(save_latent, "text_encoder", {"layer_norm_eps": 0.1}, id="text-encoder"),
    ],
)
def test_settings_that_change_after_the_identity_was_read_are_refused(save, part, changes, tmp_path):
    """The weights fit the changed settings, too."""
    save(tmp_path / "m")
    backbone, file = open_backbone(tmp_path / "m"), tmp_path / "m" / part / "config.json"
    backbone.identity()
    edit(file, **changes)
    with pytest.raises(BackboneError, match=f"^{re.escape(str(file))} was replaced since the backbone was opened"):
        backbone.to("cpu")
