"""Folders of networks that are damaged, incomplete or of another class are refused in one line."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.errors import BackboneError
from tests.helpers.small import save_unet


def _drop_weights(folder):
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()


def _truncate(folder):
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _missing_key(folder):
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    tensors.pop("conv_in.weight")
    save_file(tensors, file)


def _other_shape(folder):
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "conv_in.weight": tensors["conv_in.weight"][:4].clone()}, file)


def _further_key(folder):
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({**load_file(file), "conv_in.gain": torch.ones(1)}, file)


def _pickle(folder):
    import os

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(folder / "evil"),)

    _drop_weights(folder)
    torch.save({"a": Evil()}, folder / "unet" / "diffusion_pytorch_model.bin")


def _other_class(folder):
    config = json.loads((folder / "unet" / "config.json").read_text())
    (folder / "unet" / "config.json").write_text(json.dumps({**config, "_class_name": "UNet3D"}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(lambda f: shutil.rmtree(f), "no such file or folder: ", id="no-folder"),
        pytest.param(lambda f: shutil.rmtree(f / "unet"), "has no config.json", id="no-network"),
        pytest.param(lambda f: shutil.rmtree(f / "scheduler"), "has no scheduler_config.json", id="no-schedule"),
        pytest.param(_drop_weights, "holds no weights", id="no-weights"),
        pytest.param(_truncate, "may be truncated", id="truncated"),
        pytest.param(_missing_key, "does not fit its config.json: missing keys: conv_in.weight", id="missing-key"),
        pytest.param(_further_key, "does not fit its config.json: unexpected keys: conv_in.gain", id="further-key"),
        pytest.param(_other_shape, r"does not fit its config.json: .*conv_in.weight", id="other-shape"),
        pytest.param(_pickle, "may be truncated,? or contain (objects other|more) than tensors", id="pickle"),
        pytest.param(
            _other_class, "holds a UNet3D; allowed: UNet2DModel, RMSNormUNet2DModel, DiffCRN", id="other-class"
        ),
        pytest.param(lambda f: (f / "unet" / "config.json").write_text("{"), "can't be read", id="broken-json"),
    ],
)
def test_damaged_folders_are_refused(tmp_path, damage, message):
    folder = tmp_path / "b"
    save_unet(folder)
    damage(folder)
    with pytest.raises(BackboneError, match=message) as refusal:
        backbone = open_backbone(folder)
        backbone.identity()
        backbone.to("cpu")
    assert "\n" not in str(refusal.value)
    assert not (folder / "evil").exists()


@pytest.mark.parametrize("name", ["ScoreSdeVeScheduler", "FlowMatchEulerDiscreteScheduler"])
def test_schedules_without_betas_are_refused(tmp_path, name):
    import diffusers

    save_unet(tmp_path / "b")
    getattr(diffusers, name)().save_pretrained(tmp_path / "b" / "scheduler")
    with pytest.raises(BackboneError, match=f"the schedule is a {name}, which has no betas"):
        open_backbone(tmp_path / "b")


def test_a_config_that_fits_no_network_is_refused(tmp_path):
    save_unet(tmp_path / "b")
    file = tmp_path / "b" / "unet" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "block_out_channels": [8]}))
    with pytest.raises(BackboneError, match="does not describe a UNet2DModel"):
        _ = open_backbone(tmp_path / "b").taps
