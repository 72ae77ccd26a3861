"""Files that are no models, or broken ones: one line each, and nothing of them is ever run."""

import json
import pickle
import shutil

import pytest
import torch

from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.backbones.weights import load_tensors
from hsifeat.errors import BackboneError
from tests.helpers.small import save_latent


class Evil:
    def __reduce__(self):
        return print, ("this was run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param({0: torch.ones(2)}, "holds more than tensors, 0 for one", id="names-that-are-numbers"),
        pytest.param({"a": 3}, "holds more than tensors, 'a' for one", id="a-number"),
        pytest.param({"a": torch.ones(2, dtype=torch.complex64)}, "a is no dense tensor of real numbers", id="complex"),
        pytest.param({"a": torch.eye(2).to_sparse()}, "a is no dense tensor of real numbers", id="sparse"),
        pytest.param(torch.ones(2), "holds a Tensor; the tensors of a network by their names", id="a-tensor"),
        pytest.param({"a": Evil()}, "hold more than tensors, which is never run", id="code"),
    ],
)
def test_a_file_that_is_more_or_less_than_named_tensors(tmp_path, capsys, content, message):
    torch.save(content, tmp_path / "w.bin")
    with pytest.raises(BackboneError, match=message) as raised:
        load_tensors(tmp_path / "w.bin")
    assert "\n" not in str(raised.value) and "weights_only" not in str(raised.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [pickle.dumps({"a": Evil()}), b"no pickle", b""])
def test_a_plain_pickle_or_none(tmp_path, capsys, content):
    (tmp_path / "w.bin").write_bytes(content)
    with pytest.raises(BackboneError) as raised:
        load_tensors(tmp_path / "w.bin")
    assert "\n" not in str(raised.value) and "weights_only" not in str(raised.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "changed",
    [{"norm_num_groups": 0}, {"attention_head_dim": 0}, {"block_out_channels": []}, {"in_channels": "three"}, {"in_channels": 0}, {"in_channels": True}, {"num_class_embeds": "x"}, {"num_class_embeds": 0},
     {"num_class_embeds": True}, {"norm_eps": float("nan")}, {"_use_default_values": 3}],
    ids=str,
)  # fmt: skip
def test_a_configuration_that_describes_no_network(backbone_folder, tmp_path, changed):
    shutil.copytree(backbone_folder, tmp_path / "b")
    file = tmp_path / "b" / "unet" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))
    with pytest.raises(BackboneError, match=r"config\.json") as raised:
        _ = open_backbone(tmp_path / "b").taps
    assert "\n" not in str(raised.value)


@pytest.fixture(scope="module")
def latent_folder(tmp_path_factory):
    save_latent(folder := tmp_path_factory.mktemp("latent") / "sd")
    return folder


@pytest.mark.parametrize("part", ["unet", "vae"])
@pytest.mark.parametrize("channels", [[], None, 3])
def test_a_latent_configuration_without_levels(latent_folder, tmp_path, part, channels):
    refuse_latent(latent_folder, tmp_path, part, {"block_out_channels": channels})


@pytest.mark.parametrize(
    "changed",
    [{"scaling_factor": "x"}, {"scaling_factor": None}, {"scaling_factor": float("inf")}, {"shift_factor": "x"}, {"in_channels": "3"}],
    ids=str,
)  # fmt: skip
def test_an_autoencoder_with_wrong_settings(latent_folder, tmp_path, changed):
    refuse_latent(latent_folder, tmp_path, "vae", changed)


def refuse_latent(folder, tmp_path, part, changed):
    """Open a copy with another configuration of one part: it is refused before anything is computed."""
    shutil.copytree(folder, tmp_path / "sd")
    file = tmp_path / "sd" / part / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))
    with pytest.raises(BackboneError, match=f"/{part}") as raised:
        _ = open_backbone(tmp_path / "sd").taps
    assert "\n" not in str(raised.value)


def test_a_schedule_that_can_not_be_built(backbone_folder, tmp_path):
    shutil.copytree(backbone_folder, tmp_path / "b")
    file = tmp_path / "b" / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "beta_schedule": "linear", "beta_start": "x"}))
    with pytest.raises(BackboneError, match="noise schedule") as raised:
        open_backbone(tmp_path / "b")
    assert "\n" not in str(raised.value)
