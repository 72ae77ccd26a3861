"""Configurations of diffusers folders. Equal networks have one identity, others differ, and damaged configurations have none."""

import json
import shutil
from itertools import combinations

import diffusers
import pytest

from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.errors import BackboneError
from tests.helpers.small import save_latent, save_unet

# Settings of `config.json`; which of them build the same network is left to diffusers.
WRITTEN = [
    {},
    {"_name_or_path": "elsewhere", "_diffusers_version": "0.1"},
    {"_use_default_values": []},
    {"_use_default_values": ["norm_eps"]},
    {"norm_eps": 0.5},
    {"norm_eps": 0.5, "_use_default_values": ["norm_eps"]},
    {"norm_eps": 0.5, "_use_default_values": ["act_fn"]},
    {"act_fn": "gelu"},
    {"not_a_setting": 3},
]


def written(folder, location, part, changed):
    """Copy a model, change the configuration of a part, and return the folder."""
    shutil.copytree(folder, location)
    file = location / part / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))
    return location


def built(folder, part):
    """Return the settings that diffusers records for the network that it built."""
    config = json.loads((folder / part / "config.json").read_text())
    network = getattr(diffusers, config["_class_name"]).from_config(config)
    assert network.conv_norm_out.eps == network.config.get("norm_eps", 1e-6)
    given = network.config.items()
    return {name: value for name, value in given if not name.startswith("_") and name != "not_a_setting"}


@pytest.mark.parametrize(("save", "part"), [(save_unet, "unet"), (save_latent, "unet")], ids=["pixels", "latent"])
def test_one_identity_for_one_network(tmp_path, save, part):
    save(tmp_path / "b")
    folders = [written(tmp_path / "b", tmp_path / str(i), part, changed) for i, changed in enumerate(WRITTEN)]
    networks = [built(folder, part) for folder in folders]
    identities = [open_backbone(folder).identity() for folder in folders]
    for i, j in combinations(range(len(folders)), 2):
        assert (identities[i] == identities[j]) == (networks[i] == networks[j]), (WRITTEN[i], WRITTEN[j])
    assert sum(network == networks[0] for network in networks) == 6


def test_a_default_that_is_left_out_is_the_default(tmp_path):
    save_unet(tmp_path / "b")
    file = tmp_path / "b" / "unet" / "config.json"
    before = open_backbone(tmp_path / "b").identity()
    kept = {name: value for name, value in json.loads(file.read_text()).items() if name not in {"norm_eps", "act_fn"}}
    file.write_text(json.dumps(kept))
    assert open_backbone(tmp_path / "b").identity() == before


def test_what_an_autoencoder_leaves_to_its_defaults_is_not_computed_with(tmp_path):
    save_latent(tmp_path / "b", vae={"scaling_factor": 0.5})
    strange = {"scaling_factor": "x", "_use_default_values": ["scaling_factor"]}
    folder = written(tmp_path / "b", tmp_path / "c", "vae", strange)
    default = written(tmp_path / "b", tmp_path / "d", "vae", {"scaling_factor": 0.18215})
    assert open_backbone(folder).identity() == open_backbone(default).identity()
    assert open_backbone(folder).identity() != open_backbone(tmp_path / "b").identity()


def test_notes_of_transformers_play_no_part(tmp_path):
    save_latent(tmp_path / "b")
    folder = written(tmp_path / "b", tmp_path / "c", "text_encoder", {"_commit_hash": "abc", "_name_or_path": "x"})
    strange = written(tmp_path / "b", tmp_path / "d", "text_encoder", {"further": {"deep": 1}})
    noted = written(tmp_path / "b", tmp_path / "e", "text_encoder", {"further": {"deep": 1, "_commit_hash": "abc"}})
    assert open_backbone(strange).identity() == open_backbone(noted).identity()
    assert open_backbone(folder).identity() == open_backbone(tmp_path / "b").identity()


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
    with pytest.raises(BackboneError, match=r"config\.json") as refusal:
        _ = open_backbone(tmp_path / "b").taps
    assert "\n" not in str(refusal.value)


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
    with pytest.raises(BackboneError, match=f"/{part}") as refusal:
        _ = open_backbone(tmp_path / "sd").taps
    assert "\n" not in str(refusal.value)


def test_a_schedule_that_can_not_be_built(backbone_folder, tmp_path):
    shutil.copytree(backbone_folder, tmp_path / "b")
    file = tmp_path / "b" / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "beta_schedule": "linear", "beta_start": "x"}))
    with pytest.raises(BackboneError, match="noise schedule") as refusal:
        open_backbone(tmp_path / "b")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        ("unet", {"layers_per_block": 10**9}),
        ("unet", {"layers_per_block": -(10**9)}),
        ("unet", {"block_out_channels": [8, 16, 0]}),
        ("unet", {"block_out_channels": [8] * 10**5}),
        ("unet", {"block_out_channels": [8, 16, 10**12]}),
        ("unet", {"in_channels": 10**12}),
        ("unet", {"norm_num_groups": 0}),
        ("unet", {"num_class_embeds": 10**18}),
        ("unet", {"block_out_channels": [2**20, 2**20, 2**20]}),
        ("scheduler", {"num_train_timesteps": 10**9}),
        ("scheduler", {"num_train_timesteps": 0}),
        ("scheduler", {"num_train_timesteps": "1000"}),
        ("scheduler", {"trained_betas": [0.1] * 10**6}),
        ("scheduler", {"trained_betas": {"a": 1}}),
        ("scheduler", {"beta_schedule": "linear", "beta_start": "x"}),
    ],
    ids=str,
)
def test_numbers_that_would_fill_the_memory_or_take_forever_are_refused(tmp_path, backbone_folder, part, changed):
    name = "config.json" if part == "unet" else "scheduler_config.json"
    shutil.copytree(backbone_folder, tmp_path / "m")
    file = tmp_path / "m" / part / name
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))
    with pytest.raises(BackboneError) as refused:
        backbone = open_backbone(tmp_path / "m")
        backbone.taps  # noqa: B018
        backbone.to("cpu")
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500
    with pytest.raises(BackboneError):
        open_backbone(f"untrained:{tmp_path / 'm'}").to("cpu")
