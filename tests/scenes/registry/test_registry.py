"""The registry: facts that fit together, scenes loaded from files that SciPy wrote as the registry says, other packages."""

import json
import re
import types

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from PIL import Image

from hsifeat import open_scene
from hsifeat.errors import SceneError
from hsifeat.scenes.readers import read_raster
from hsifeat.scenes.registry import REGISTRY, PublicScene
from hsifeat.scenes.registry import external as others
from hsifeat.scenes.registry.external import from_torchgeo
from hsifeat.scenes.registry.local_files import scene_folder

WANTED = [
    "indian-pines", "pavia-university", "pavia-centre", "salinas", "salinas-a", "ksc", "botswana", "houston-2013",
    "houston-2018", "augsburg", "berlin", "trento", "muufl", "whu-hi-longkou", "whu-hi-hanchuan", "whu-hi-honghu",
]  # fmt: skip
SPLITS = {"indian-pines", "pavia-university", "houston-2013", "augsburg", "berlin"}
DOWNLOADED = [name for name in WANTED if name != "indian-pines"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HSIFEAT_SCENES", str(tmp_path / "my scenes"))
    return tmp_path / "my scenes"


def test_the_scenes_of_the_issue_are_there():
    assert set(REGISTRY) == set(WANTED)
    assert {name for name, scene in REGISTRY.items() if scene.official_split} == SPLITS


@pytest.mark.parametrize("name", WANTED)
def test_facts_fit_together(name):
    facts = REGISTRY[name].summary()
    assert json.loads(json.dumps(facts)) == facts
    colours = list(facts["class_colours"].values())
    assert facts["classes"] == len(facts["class_names"]) == len(set(facts["class_names"].values())) == len(set(colours))
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)
    assert "#000000" not in colours, "pixels without a class are black"
    assert len(facts["wavelengths_nm"]) in {0, facts["bands"]}
    assert facts["range_nm"][0] < facts["range_nm"][1] and facts["gsd_m"] > 0
    assert facts["licence"] and facts["citation"] and "http" in facts["source"] + "http" * (name == "indian-pines")
    assert facts["checked"] is (name == "indian-pines") and all(len(why) > 20 for why in facts["unchecked"].values())
    for address in [file["url"] for file in facts["files"]] + [(facts["archive"] or {"url": ""})["url"]]:
        assert address == "" or re.match("https?://[a-z]", address)


BROKEN = [
    pytest.param({"wavelengths_nm": [1.0, 2.0]}, "2 wavelengths", id="wavelengths"),
    pytest.param({"cube": {"file": "other.mat"}}, r"no file other\.mat", id="file"),
    pytest.param({"classes": {1: "a", 2: "a"}}, "two classes with one name", id="names"),
    pytest.param({"classes": {0: "a"}}, "greater than 0", id="class-0"),
    pytest.param({"unchecked": {"colour": "no idea"}}, "unchecked names an unknown field", id="unchecked"),
    pytest.param({"files": [{"name": "a.mat", "sha256": "abc"}]}, "pattern", id="sum"),
    pytest.param({"licence": None}, "licence", id="licence"),
    pytest.param({"seen": True}, "not permitted", id="extra"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_wrong_facts_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        PublicScene(**{**REGISTRY["salinas-a"].model_dump(), **change})


def stand_in(monkeypatch, name, rows=12, cols=9, bands=5):
    """Make a registry scene small and write its files by SciPy; return cube, ground truth and split."""
    facts = REGISTRY[name]
    nm = tuple(np.linspace(*facts.range_nm, bands)) if facts.wavelengths_nm else ()
    left_out = len(facts.cube.dropped_bands)
    part = facts.cube.model_copy(update={"dropped_bands": tuple(range(bands, bands + left_out))})
    sizes = {"rows": rows, "cols": cols, "bands": bands}
    monkeypatch.setitem(REGISTRY, name, facts.model_copy(update={**sizes, "wavelengths_nm": nm, "cube": part}))
    rng = np.random.default_rng(0)
    cube = rng.integers(1, 999, (rows, cols, bands + left_out)).astype(np.uint16)
    numbers = sorted(facts.classes)
    truth = np.array([0, *numbers], np.uint8)[np.arange(rows * cols).reshape(rows, cols) % (len(numbers) + 1)]
    train = (np.indices((rows, cols)).sum(0) % 3 == 0) & (truth > 0)
    maps = {"ground-truth": truth, "train": truth * train, "test": truth * ~train}
    content = {file.name: {} for file in facts.files}

    def put(part, array):
        head, *rest = part.variable.split(".")
        held = content[part.file]
        if not rest:
            held[head] = array
            return
        held = held.setdefault(head, {})
        if rest == ["Lidar", "0", "z"]:
            cell = np.empty((1, 2), object)
            cell[0, 0], cell[0, 1] = {"z": array}, {"z": array}
            held["Lidar"] = cell
            return
        for step in rest[:-1]:
            held = held.setdefault(step, {})
        held[rest[-1]] = array

    put(facts.cube, cube)
    if facts.cube.wavelengths:
        put(types.SimpleNamespace(file=facts.cube.file, variable=facts.cube.wavelengths), np.linspace(400, 900, bands))
    for which, part in facts.labels.items():
        pixels = np.argwhere(maps[which]).astype(np.uint16) if part.listed_pixels_of else None
        unlabelled = np.where(maps[which] == 0, part.unlabelled, maps[which].astype(int))
        put(part, unlabelled if pixels is None else pixels)
    if facts.companion:
        put(facts.companion, rng.random((rows, cols, facts.companion.channels)).squeeze())
    scene_folder(facts).mkdir(parents=True)
    for file, variables in content.items():
        scipy.io.savemat(scene_folder(facts) / file, variables)
    return cube[..., : -left_out or None], maps


@pytest.mark.parametrize("name", DOWNLOADED)
def test_files_laid_out_as_the_registry_says_become_the_scene(name, monkeypatch):
    cube, maps = stand_in(monkeypatch, name)
    facts, scene = REGISTRY[name], open_scene(name)
    np.testing.assert_array_equal(np.asarray(scene.cube[:, :, :]), cube)
    assert set(scene.labels) == set(facts.labels)
    for which, labels in scene.labels.items():
        np.testing.assert_array_equal(labels.classes, maps[which])
        assert labels.class_names.items() <= facts.classes.items()
        assert labels.class_colours == facts.class_colours
    known = facts.labels["ground-truth"].labelled_pixels
    assert any(f"labelled pixels; the map that papers use has {known}" in note for note in scene.notes), (
        "a stand-in is not the known map"
    )
    assert (scene.wavelengths_nm is not None) is (bool(facts.wavelengths_nm) or name == "muufl")
    assert (scene.companion is None) is (facts.companion is None)
    if facts.companion:
        assert scene.companion.shape == (12, 9, facts.companion.channels) and scene.companion_factor == 1
    assert (scene.licence, scene.citation) == (facts.licence, facts.citation)


@pytest.mark.parametrize("name", DOWNLOADED)
def test_an_absent_scene_says_which_files_to_put_where(name, folder):
    with pytest.raises(SceneError) as caught:
        open_scene(name)
    message = str(caught.value)
    assert "\n" not in message and str(folder / name) in message and "http" in message
    assert all(file.name in message for file in REGISTRY[name].files if not file.optional)


def test_files_are_looked_for_in_the_cache_where_no_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("HSIFEAT_SCENES")
    assert scene_folder(REGISTRY["ksc"]) == tmp_path / "cache" / "scenes" / "ksc"


def test_a_scene_half_there_names_the_other_half(monkeypatch):
    stand_in(monkeypatch, "ksc")
    (scene_folder(REGISTRY["ksc"]) / "KSC_gt.mat").unlink()
    with pytest.raises(SceneError, match=r"put KSC_gt\.mat into"):
        open_scene("ksc")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        pytest.param("KSC.mat", {"KSC": np.ones((9, 12, 5))}, r"KSC is 9 x 12 x 5, but in ksc it is 12 x 9 x 5", id="turned"),
        pytest.param("KSC_gt.mat", {"KSC_gt": np.ones((12, 8))}, r"is 12 x 8, but in ksc it is 12 x 9", id="labels"),
        pytest.param("KSC_gt.mat", {"KSC_gt": np.full((12, 9), 14)}, r"classes \[14\], which ksc does not have", id="class"),
        pytest.param("KSC.mat", {"other": np.ones((12, 9, 5))}, "no variable 'KSC'", id="variable"),
        pytest.param("KSC.mat", b"MATLAB 5.0", "truncated", id="truncated"),
    ],
)  # fmt: skip
def test_files_that_hold_something_else_are_refused(monkeypatch, file, content, message):
    stand_in(monkeypatch, "ksc")
    path = scene_folder(REGISTRY["ksc"]) / file
    path.write_bytes(content) if isinstance(content, bytes) else scipy.io.savemat(path, content)
    with pytest.raises(SceneError, match=message):
        open_scene("ksc")


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        pytest.param([[0, 0]], "lists 1 pixels, of which 1 have no class", id="unlabelled"),
        pytest.param([[0, 1], [12, 0]], "lists 2 pixels, of which 1 have no class", id="outside"),
        pytest.param([[0, 1, 2]], r"is 1 x 3, but in augsburg it is n x 2", id="three-columns"),
    ],
)
def test_a_split_of_another_map_is_refused(monkeypatch, pixels, message):
    stand_in(monkeypatch, "augsburg")
    path = scene_folder(REGISTRY["augsburg"]) / "augsburg_index.mat"
    scipy.io.savemat(path, {"augsburg_train": np.array(pixels), "augsburg_test": np.array([[0, 1]])})
    with pytest.raises(SceneError, match=message):
        open_scene("augsburg")


def test_a_struct_without_the_cube_is_refused(monkeypatch):
    stand_in(monkeypatch, "muufl")
    path = scene_folder(REGISTRY["muufl"]) / "muufl_gulfport_campus_1_hsi_220_label.mat"
    scipy.io.savemat(path, {"hsi": {"info": 1}})
    with pytest.raises(SceneError, match=r"has no hsi\.Data"):
        open_scene("muufl")


def test_a_registry_scene_takes_no_options_of_files():
    with pytest.raises(SceneError, match="leave out the options that say how to read a file"):
        open_scene("indian-pines", variable="x")


def test_the_official_split_of_indian_pines_in_the_usual_order(data_folder, folder):
    """The mapping of classes that makes the split's maps agree with the usual one is the only one."""
    source = data_folder / "indian_pines_official_split"
    (folder / "indian-pines").mkdir(parents=True)
    for file in REGISTRY["indian-pines"].files:
        (folder / "indian-pines" / file.name).symlink_to(source / file.name)
    scene = open_scene("indian-pines")
    assert scene.notes == ()
    usual = np.asarray(read_raster(source / "Indian_pines_gt.mat", 2).array)
    for which, file in (("train", "Hong_IndianTR123_temp123.tif"), ("test", "Hong_IndianTE123_temp123.tif")):
        with Image.open(source / file) as image:
            own = np.asarray(image)
        np.testing.assert_array_equal(own > 0, scene.labels[which].classes > 0)
        pairs = np.zeros((17, 17), int)
        np.add.at(pairs, (own.ravel(), usual.ravel()), 1)
        # Whatever is labelled in both maps is of one class only: the mapping can be read off.
        likeliest = {number: int(pairs[number, 1:].argmax()) + 1 for number in range(1, 17)}
        assert (np.count_nonzero(pairs[1:, 1:], axis=1) == 1).all()
        assert likeliest == REGISTRY["indian-pines"].labels[which].class_numbers
        both = (own > 0) & (usual > 0)
        np.testing.assert_array_equal(scene.labels[which].classes[both], usual[both])
    assert not ((scene.labels["train"].classes > 0) & (scene.labels["test"].classes > 0)).any()
    counts = scene.labels["train"].counts
    assert {number for number, count in counts.items() if count == 15} == {1, 7, 9} and sum(counts.values()) == 695


def fake_package(**functions):
    module = types.ModuleType("rs_fusion_datasets")
    module.__dict__.update(functions)
    return module


@pytest.fixture
def installed(monkeypatch):
    def install(**functions):
        monkeypatch.setitem(__import__("sys").modules, "rs_fusion_datasets", fake_package(**functions))
        monkeypatch.setattr(others, "find_spec", lambda name: name == "rs_fusion_datasets")

    return install


def fused(maps):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, (6, 4))
    info = {"label_name": {1: "trees", 2: np.str_("roads")}, "wavelength": np.linspace(400, 900, 5), "license": "MIT"}
    cube, height = rng.random((5, 6, 4)), rng.random((1, 6, 4))
    return truth, cube, (cube, height, *[scipy.sparse.coo_array(truth)] * maps, info)


@pytest.mark.parametrize(
    ("name", "maps", "names", "known"),
    [
        ("muufl", 1, ["ground-truth"], True),
        ("trento", 1, ["ground-truth"], False),
        ("houston2013", 2, ["train", "test"], True),
        ("berlin_ouc", 3, ["train", "test", "ground-truth"], False),
    ],
)
def test_a_scene_of_rs_fusion_datasets(installed, name, maps, names, known):
    truth, cube, given = fused(maps)
    installed(**{f"fetch_{name}": lambda: given})
    scene = open_scene(f"rs-fusion-datasets:{name}")
    np.testing.assert_array_equal(scene.cube, cube.transpose(1, 2, 0))
    assert scene.companion.shape == (6, 4, 1) and scene.licence == "MIT" and list(scene.labels) == names
    np.testing.assert_array_equal(scene.labels[names[0]].classes, truth)
    assert scene.labels[names[0]].class_names == {1: "trees", 2: "roads"}
    assert (scene.wavelengths_nm is not None) is known, "evenly spaced numbers are no wavelengths"


def test_rs_fusion_datasets_wrong(installed):
    with pytest.raises(SceneError, match="pip install rs-fusion-datasets"):
        open_scene("rs-fusion-datasets:trento")
    with pytest.raises(SceneError, match="no scene 'trent'; nearest: trento"):
        open_scene("rs-fusion-datasets:trent")

    def offline():
        raise OSError("no network")

    installed(fetch_trento=offline)
    with pytest.raises(SceneError, match="failed to load trento: OSError: no network"):
        open_scene("rs-fusion-datasets:trento")


def test_a_sample_of_torchgeo():
    import torch

    image = torch.rand(4, 6, 5)
    sample = {"image": image, "wavelength": torch.tensor([0.45, 0.55, 0.65, 0.8]), "mask": torch.ones(1, 6, 5).long()}
    scene = from_torchgeo(sample, "patch")
    np.testing.assert_array_equal(scene.cube, image.permute(1, 2, 0).numpy())
    np.testing.assert_allclose(scene.wavelengths_nm, [450, 550, 650, 800], rtol=1e-6)
    assert scene.labels["mask"].counts == {1: 30}
    with pytest.raises(SceneError, match="must have an image; found mask"):
        from_torchgeo({"mask": 1}, "x")
