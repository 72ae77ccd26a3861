"""Models on a hub: a commit is required, only needed files are downloaded, and cached models open without network."""

import re
import shutil
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from hsifeat.backbones.hub import HubModel
from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.errors import BackboneError
from tests.helpers.small import save_latent, save_unet

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def offline_hub(tmp_path, monkeypatch, backbone_folder):
    """A hub client without network, whose cache holds one model as the client itself lays it out."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    snapshot = cache / "models--somebody--small-ddpm" / "snapshots" / COMMIT
    shutil.copytree(backbone_folder, snapshot)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return cache


@pytest.mark.usefixtures("offline_hub")
def test_model_opens_from_the_clients_cache_and_is_the_folder_it_copies(backbone_folder):
    backbone = open_backbone(f"somebody/small-ddpm@{COMMIT}")
    assert backbone.identity() == open_backbone(backbone_folder).identity()
    assert (backbone.name, backbone.source) == ("somebody-small-ddpm", f"somebody/small-ddpm@{COMMIT}")
    fresh = open_backbone(f"untrained:somebody/small-ddpm@{COMMIT}")
    assert fresh.source == f"untrained:somebody/small-ddpm@{COMMIT}"
    assert fresh.identity() != backbone.identity()


@pytest.fixture
def remote_hub(tmp_path, monkeypatch):
    """A folder in place of a repository. The client copies files that match its patterns to a second folder."""
    import huggingface_hub

    remote, here = tmp_path / "remote", tmp_path / "here"

    def download(name, *, revision, allow_patterns, local_files_only):
        assert not local_files_only
        for file in sorted(remote.rglob("*")):
            path = file.relative_to(remote)
            if file.is_file() and any(fnmatch(str(path), pattern) for pattern in allow_patterns):
                (here / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, here / path)
        return str(here)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_given, **_options: None)
    return remote, here


@pytest.mark.parametrize(("save", "options"), [(save_unet, {}), (save_latent, {"prompt": "a pin"})])
def test_only_what_the_model_consists_of_is_downloaded_and_only_once(remote_hub, save, options, monkeypatch):
    remote, here = remote_hub
    save(remote)
    for extra in ("v1-pruned.safetensors", "unet/diffusion_pytorch_model.bin", "safety_checker/model.safetensors"):
        (remote / extra).parent.mkdir(exist_ok=True)
        (remote / extra).write_bytes(b"large")
    (remote / "projection.safetensors").write_bytes(b"small")
    backbone = open_backbone(f"somebody/model@{COMMIT}", **options)
    for extra in ("v1-pruned.safetensors", "unet/diffusion_pytorch_model.bin", "safety_checker/model.safetensors"):
        assert not (here / extra).exists()
    assert backbone.source == f"somebody/model@{COMMIT}"
    assert backbone.identity() == open_backbone(remote, **options).identity()
    assert (here / "projection.safetensors").exists()
    requests = []
    monkeypatch.setattr(HfApi, "model_info", lambda *_given, **_options: requests.append(1))
    assert open_backbone(f"somebody/model@{COMMIT}", **options).identity() == backbone.identity()
    assert not requests, "nothing can have changed"
    next(here.rglob("*.safetensors")).unlink()
    assert open_backbone(f"somebody/model@{COMMIT}", **options).identity() == backbone.identity()
    assert requests == [1], "a file was missing"


@pytest.mark.parametrize("save", [save_unet, save_latent], ids=["pixels", "latent"])
def test_older_weights_are_downloaded_where_there_are_no_others(remote_hub, save):
    remote, here = remote_hub
    save(remote)
    weights = open_backbone(remote).identity()["weights"]
    older = {"diffusion_pytorch_model": "diffusion_pytorch_model.bin", "model": "pytorch_model.bin"}
    files = list(remote.rglob("*.safetensors"))
    for file in files:
        torch.save(load_file(file), file.with_name(older[file.stem]))
        file.unlink()
    backbone = open_backbone(f"somebody/model@{COMMIT}")
    backbone.to("cpu")
    assert backbone.identity()["weights"] == weights
    assert len(list(here.rglob("*.bin"))) == len(files)


@pytest.mark.parametrize("given", ["somebody/small-ddpm", "somebody/small-ddpm@main", "somebody/small-ddpm@0123abc"])
@pytest.mark.usefixtures("offline_hub")
def test_a_model_without_a_commit_is_refused_with_the_reason(given):
    with pytest.raises(BackboneError, match="can be replaced at any time") as refusal:
        open_backbone(given)
    assert "somebody/small-ddpm@<40 hexadecimal digits>" in str(refusal.value)


@pytest.mark.usefixtures("offline_hub")
def test_an_unavailable_model_without_network_is_one_clear_line():
    with pytest.raises(BackboneError, match=f"nobody/nothing@{COMMIT} can't be fetched") as refusal:
        open_backbone(f"nobody/nothing@{COMMIT}")
    assert "\n" not in str(refusal.value)


def test_an_unreachable_hub_gets_one_request(tmp_path, monkeypatch, caplog, capfd):
    """A client that is not told to be offline, on a machine without network."""
    from huggingface_hub import HfApi, constants

    def unreachable(*_given, **_options):
        raise ConnectionError("no route")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(HfApi, "model_info", unreachable)
    monkeypatch.setattr(HfApi, "list_repo_tree", lambda *_given, **_options: pytest.fail("asked again"))
    with pytest.raises(BackboneError, match="can't be fetched"):
        open_backbone(f"nobody/nothing@{COMMIT}")
    assert not caplog.records and capfd.readouterr().err == ""


def test_folder_that_exists_is_a_folder(tmp_path, monkeypatch, backbone_folder):
    shutil.copytree(backbone_folder, tmp_path / "models" / "mine")
    monkeypatch.chdir(tmp_path)
    assert open_backbone("models/mine").source == str(tmp_path / "models" / "mine")


@given(
    st.text("0123456789abcdef", min_size=40, max_size=40), st.from_regex(r"\A[A-Za-z][\w.-]{0,9}/[A-Za-z][\w.-]{0,9}\Z")
)
def test_parsed_names_round_trip(commit, name):
    model = HubModel.parse(f"{name}@{commit}")
    assert model == HubModel(name, commit)
    assert HubModel.parse(str(model)) == model


@pytest.mark.parametrize("given", ["/a/b", "a/b/c", "model", "../up/model", "C:\\models", "a/b/@x"])
def test_paths_are_not_taken_for_models(given):
    assert HubModel.parse(given) is None


def test_path_type_is_kept_for_folders():
    with pytest.raises(BackboneError, match="no such file or folder"):
        open_backbone(Path("/nowhere/at/all"))


@pytest.mark.parametrize(
    "text",
    ["models/x.pt", "models/x.safetensors", "./models", "../models/x", "/no/where", "~/models", "a/b/c", "x.bin", "models", "nosuch:a/b.pt"],
)  # fmt: skip
@pytest.mark.parametrize("before", ["", "untrained:"])
def test_a_path_that_does_not_exist_is_refused_as_a_path(tmp_path, monkeypatch, before, text):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BackboneError, match=f"^no such file or folder: {re.escape(text)} ") as refusal:
        open_backbone(before + text)
    assert "commit" not in str(refusal.value)


def test_a_name_that_is_too_long_for_a_file():
    with pytest.raises(BackboneError, match="can't be looked up: File name too long"):
        open_backbone("x" * 5000)


def test_names_with_dots_are_still_models():
    with pytest.raises(BackboneError, match="a model on a hub is named with its commit, lab/net-2.1@"):
        open_backbone("lab/net-2.1")
