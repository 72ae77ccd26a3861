"""Options of a store are applied to another scene."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

import hsifeat
from hsifeat import ExtractionConfig, prepare
from hsifeat.errors import HsifeatError, ProjectionError, StoreError
from hsifeat.extraction.extract_scenes import with_projection_of
from hsifeat.extraction.resolve import resolve_config
from hsifeat.extraction.stored_config import stored_projection
from hsifeat.scenes import Scene
from hsifeat.store.recipe import differences
from hsifeat.store.store import Store
from tests.helpers.small import save_unet, small_cube


@pytest.fixture(scope="module")
def other():
    """A scene of another place, with higher values and another shape. A projection fitted on it would differ."""
    return Scene("other", small_cube(rows=40, cols=61, seed=5) * 2, np.linspace(450, 900, 12), {})


@pytest.fixture(scope="module")
def first(scene, backbone_folder, tmp_path_factory):
    """A store for which no option has its default value."""
    return hsifeat.extract(
        scene, backbone=backbone_folder, timesteps=[10, 250], layers=["mid_block", "up_blocks.1"], projection="pca:3",
        tile=48, halo=8, seed=3, dtype="float32", batch=5, out=tmp_path_factory.mktemp("like") / "first.zarr",
    )  # fmt: skip


def differing(store, like):
    return [name for name, _, _ in differences(like.manifest.recipe, store.manifest.recipe)]


def names(store):
    return [str(plane.id) for plane in store.planes]


def projection(store):
    """The arrays of the projection, as another reader of Zarr reads them."""
    import zarr

    group = zarr.open_group(str(store.location), mode="r")
    return {name: np.asarray(group[f"scene/projection/{name}"]).tobytes() for name in ("weights", "offset")}


def test_only_the_scene_differs(other, first, tmp_path):
    store = hsifeat.extract(other, like=first, out=tmp_path / "o.zarr")
    assert differing(store, first) == ["scene"]
    assert projection(store) == projection(first)
    assert [(p.id, p.stride, p.channels, p.dtype) for p in store.planes] == [
        (p.id, p.stride, p.channels, p.dtype) for p in first.planes
    ]
    assert store.manifest.batch == 5
    fitted = hsifeat.extract(
        other, like=first, projection="pca:3", timesteps=[10], layers=["mid_block"], out=tmp_path / "f.zarr"
    )
    assert projection(fitted) != projection(first), "fitted anew, it is another one: the test tells them apart"
    assert differing(fitted, first) == ["projection.digest", "scene"]


def test_the_same_scene_like_itself_gives_the_same_values(scene, first, tmp_path):
    store = hsifeat.extract(scene, like=str(first.location), out=tmp_path / "same.zarr")
    assert store.key == first.key
    for plane in first.planes:
        np.testing.assert_array_equal(store.plane(plane.id)[:], first.plane(plane.id)[:])


def test_a_clipping_projection_is_recognised(other, store_path, tmp_path):
    store = hsifeat.extract(other, like=store_path, timesteps=[0], out=tmp_path / "o.zarr")
    assert differing(store, Store.open(store_path)) == ["scene"]
    assert projection(store) == projection(Store.open(store_path))


@pytest.mark.parametrize("gamma", ["0.45454545454545453", "0.00001"])
def test_a_gamma_of_any_digits_is_applied_to_another_scene(scene, other, backbone_folder, tmp_path, gamma):
    options = {"timesteps": [0], "layers": ["mid_block"], "tile": 32, "halo": 8, "projection": f"rgb:gamma={gamma}"}
    first = hsifeat.extract(scene, backbone=backbone_folder, out=tmp_path / "first.zarr", **options)
    assert stored_projection(first).gamma == float(gamma)
    store = hsifeat.extract(other, like=first, out=tmp_path / "o.zarr")
    assert differing(store, first) == ["scene"]


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ({"tile": 32}, ["tiling.tile_px"]),
        ({"halo": 12}, ["tiling.halo_px"]),
        ({"seed": 4}, ["noise.seed"]),
        ({"dtype": "float16"}, ["precision.stored"]),
        ({"projection": "rgb"}, ["projection.digest", "projection.spec"]),
        ({"timesteps": [40]}, []),
        ({"layers": ["up_blocks.0"]}, []),
        ({"batch": 2}, []),
    ],
)
def test_what_is_given_overrides(other, first, tmp_path, option, field):
    option = {"timesteps": [10], "layers": ["mid_block"]} | option
    store = hsifeat.extract(other, like=first, out=tmp_path / "o.zarr", **option)
    assert differing(store, first) == sorted([*field, "scene"])
    assert names(store) == [f"t{option['timesteps'][0]}/{option['layers'][0]}"]
    assert store.manifest.batch == option.get("batch", 5)


def test_another_backbone_overrides(other, first, tmp_path):
    save_unet(tmp_path / "second", seed=8)
    store = hsifeat.extract(other, backbone=tmp_path / "second", like=first, timesteps=[10], out=tmp_path / "o.zarr")
    assert differing(store, first) == ["backbone.weights", "scene"]


def test_a_backbone_that_changed_since_is_refused(scene, other, tmp_path):
    """A store with the weights of now would not be comparable with the store that `like` names."""
    save_unet(tmp_path / "net", seed=1)
    options = {"timesteps": [10], "layers": ["mid_block"], "tile": 32, "halo": 8}
    store = hsifeat.extract(scene, backbone=tmp_path / "net", **options, out=tmp_path / "s.zarr")
    shutil.move(tmp_path / "net", tmp_path / "moved")
    save_unet(tmp_path / "net", seed=2)
    with pytest.raises(
        HsifeatError, match=r"other weights \(sha256 .* changed since: name a backbone with the former weights"
    ):
        hsifeat.extract(other, like=store, out=tmp_path / "o.zarr")
    for folder, noted in (("moved", False), ("net", True)):
        notes = []
        prepare(other, resolve_config({"backbone": tmp_path / folder}, like=store), listen=notes.append)
        assert any("a model can't use features of both stores" in str(note) for note in notes) == noted


def test_another_number_of_bands_is_refused(first, tmp_path):
    few = Scene("few", small_cube(bands=7), None, {})
    with pytest.raises(
        ProjectionError,
        match=r"pca:3:clip=2.5 was fitted for 12 bands; few has 7: choose another projection with `projection`",
    ):
        hsifeat.extract(few, like=first, out=tmp_path / "few.zarr")
    assert list(tmp_path.iterdir()) == []
    assert hsifeat.extract(few, like=first, projection="rgb", timesteps=[10], out=tmp_path / "few.zarr").planes


def test_a_missing_store_or_backbone_is_named(other, scene, tmp_path):
    with pytest.raises(StoreError, match="no store at or named 'nowhere'"):
        hsifeat.extract(other, like="nowhere", out=tmp_path / "o.zarr")
    folder = tmp_path / "backbone"
    save_unet(folder)
    options = {"timesteps": [0], "layers": ["mid_block"], "tile": 32, "halo": 8}
    store = hsifeat.extract(scene, backbone=folder, out=tmp_path / "s.zarr", **options)
    moved = shutil.move(folder, tmp_path / "moved")
    with pytest.raises(HsifeatError, match="backbone"):
        hsifeat.extract(other, like=store, out=tmp_path / "o.zarr")
    assert not (tmp_path / "o.zarr").exists()
    assert differing(hsifeat.extract(other, like=store, backbone=moved, out=tmp_path / "o.zarr"), store) == ["scene"]


def test_on_the_command_line(other, first, tmp_path, cli):
    np.save(tmp_path / "other.npy", other.cube)
    command = ["extract", tmp_path / "other.npy", "--like", first.location.path, "--out", tmp_path / "o.zarr"]
    cli(*command, "--timesteps", "250")
    store = Store.open(tmp_path / "o.zarr")
    assert differing(store, first) == ["scene"] and names(store) == ["t250/mid_block", "t250/up_blocks.1"]
    cli(*command)
    assert names(Store.open(tmp_path / "o.zarr")) == names(first)


@pytest.mark.parametrize("unknown", ["the scene of the projection", "other", None])
def test_a_note_says_that_bands_are_taken_in_their_order(scene, other, unknown):
    """As where several scenes are opened together: wavelengths of only one scene can't be matched."""
    nm, config = np.linspace(450, 900, 12), ExtractionConfig(backbone="context", layers=("mean-5",))
    first = prepare(replace(scene, wavelengths_nm=None if unknown and unknown != "other" else nm), config)
    job = prepare(replace(other, wavelengths_nm=None if unknown == "other" else nm), with_projection_of(first, config))
    notes = [note for note in job.extractor.scene.notes if "in their order" in note]
    assert notes == [f"other: its bands are taken in their order, because the wavelengths of {unknown} are unknown"] * (
        unknown is not None
    )
