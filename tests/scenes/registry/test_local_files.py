"""Messages about public scenes whose files are absent."""

import pytest

from hsifeat import open_scene
from hsifeat.errors import SceneError
from hsifeat.scenes.registry import REGISTRY
from hsifeat.scenes.registry.local_files import scene_folder
from tests.helpers.registry_files import DOWNLOADED, write_scene_files

WANTED = [
    "indian-pines", "pavia-university", "pavia-centre", "salinas", "salinas-a", "ksc", "botswana", "houston-2013",
    "houston-2018", "augsburg", "berlin", "trento", "muufl", "whu-hi-longkou", "whu-hi-hanchuan", "whu-hi-honghu",
]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HSIFEAT_SCENES", str(tmp_path / "my scenes"))
    return tmp_path / "my scenes"


@pytest.mark.parametrize("name", DOWNLOADED)
def test_an_absent_scene_gives_instructions(name, folder):
    with pytest.raises(SceneError) as caught:
        open_scene(name)
    message = str(caught.value)
    assert "\n" not in message and str(folder / name) in message and "http" in message
    assert all(file.name in message for file in REGISTRY[name].files if not file.optional)


def test_the_default_folder_is_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("HSIFEAT_SCENES")
    assert scene_folder(REGISTRY["ksc"]) == tmp_path / "cache" / "scenes" / "ksc"


def test_an_incomplete_scene_names_the_missing_files(monkeypatch):
    write_scene_files(monkeypatch, "ksc")
    (scene_folder(REGISTRY["ksc"]) / "KSC_gt.mat").unlink()
    with pytest.raises(SceneError, match=r"put KSC_gt\.mat into"):
        open_scene("ksc")
