"""Stores of one scene are never taken as stores of two scenes."""

from dataclasses import replace

import numpy as np
import pytest

import hsifeat
from classifiers.comparison.stores import open_alternatives
from classifiers.fit import fit_model
from classifiers.table import PixelTable
from hsifeat.commands.context_store import open_with_context
from hsifeat.commands.prediction_inputs import open_inputs
from hsifeat.errors import StoreError
from hsifeat.features.distinct_scenes import check_distinct
from hsifeat.features.scene_features import SceneFeatures
from hsifeat.features.scene_set import open_scenes

ROWS, COLS, BANDS = 9, 11, 6
NM = np.linspace(450.0, 700.0, BANDS)


def scene_of(cube, name="field", mask=None, nm=NM):
    labels = np.random.default_rng(5).integers(1, 3, cube.shape[:2]).astype(np.uint8)
    scene = hsifeat.Scene(name, cube, wavelengths_nm=nm, mask=mask)
    return scene.with_labels(hsifeat.Labels("gt", labels, {1: "a", 2: "b"}))


@pytest.fixture
def cube():
    return np.random.default_rng(3).random((ROWS, COLS, BANDS)).astype(np.float32)


def imported(scene, path, missing=()):
    """Import one plane of random values, without features in the cells `missing`."""
    values = np.random.default_rng(1).normal(size=(*scene.cube.shape[:2], 2)).astype(np.float32)
    for cell in missing:
        values[cell] = np.nan
    return hsifeat.import_planes(scene, {"embedding": values}, window=1, out=path).location.path


def test_a_year_with_a_gap_is_not_another_scene(cube, tmp_path):
    scene = scene_of(cube)
    stores = [imported(scene, tmp_path / "e23.zarr"), imported(scene, tmp_path / "e24.zarr", [(0, 0)])]
    advice = "differ in its valid pixels.* need the same valid pixels: extract the other stores from .*e24.zarr/scene"
    with pytest.raises(StoreError, match=advice):
        fit_model(stores, "lda", split="scenes:e23/e24")
    with pytest.raises(StoreError, match=advice):
        open_alternatives(stores)
    with pytest.raises(StoreError, match=advice):
        open_with_context(list(map(str, stores)), ["context"], print)
    # Each store is mapped by itself, so nothing is tested on its training pixels.
    assert len(open_inputs(None, list(map(str, stores)), print)) == 2
    again = imported(hsifeat.open_scene(f"{stores[1]}/scene"), tmp_path / "again.zarr")
    assert open_scenes([again, stores[1]]).scene_names == ("field",)


def test_joined_tables_are_of_different_scenes(cube, backbone_folder, tmp_path):
    """Tables of two pixel-list stores of one scene, or of two copies of it, were joined as two scenes."""
    scene = scene_of(cube)
    pixels, parts = np.argwhere(np.ones((ROWS, COLS))), []
    options = {"backbone": backbone_folder, "timesteps": [0], "layers": ["mid_block"], "tile": 16}
    for name, some in (("p", pixels[:30]), ("q", pixels[50:])):
        listed = hsifeat.extract(scene, pixels=some, **options, out=tmp_path / f"{name}.zarr")
        classes = np.zeros((ROWS, COLS), int)
        classes[tuple(some.T)] = 1
        parts.append(PixelTable.from_store(listed, labels=hsifeat.Labels("listed", classes)))
    copies = [imported(scene, tmp_path / "e23.zarr"), imported(scene, tmp_path / "e24.zarr", [(0, 0)])]
    tables = [PixelTable.from_store(copy) for copy in copies]
    for two in (parts, tables, [tables[0][:40], tables[1][30:]]):
        with pytest.raises(
            StoreError, match=r"two tables are of one scene \(field\), so that pixels would count twice"
        ):
            PixelTable.concatenate(two)
    other = PixelTable.from_store(imported(scene_of(cube * 2, "other"), tmp_path / "other.zarr"))
    assert len(PixelTable.concatenate([tables[0], other]).scene_digests) == 2


def test_copies_of_a_scene_are_recognised(cube, tmp_path):
    copies = {
        "dtype": (cube.astype(np.float64), NM),
        "order of bands": (cube[..., ::-1], NM[::-1]),
        "bands": (cube[..., 1:], NM[1:]),
    }
    one = imported(scene_of(cube), tmp_path / "one.zarr")
    for difference, (copy, nm) in copies.items():
        two = imported(scene_of(copy, "copy", nm=nm), tmp_path / f"{difference}.zarr")
        for pair in ([one, two], [two, one]):
            with pytest.raises(StoreError, match=f"hold the same scene, but differ in its {difference}, so that"):
                open_scenes(pair)


def test_an_import_and_context_with_the_bands_of_another_scene_have_a_way_out(cube, tmp_path):
    first, second = scene_of(cube), scene_of(np.flip(cube, (0, 2)) * 2, "second", nm=NM[::-1])
    stores = {name: imported(scene, tmp_path / f"{name}.zarr") for name, scene in (("a", first), ("b", second))}
    like = {}
    for name, scene in (("ca", first), ("cb", second)):
        stores[name] = hsifeat.extract(
            scene, backbone="context", layers=["mean-3"], **like, out=tmp_path / f"{name}.zarr"
        )
        like = {"like": stores[name]}
    with pytest.raises(StoreError, match=r"order of bands: .* from .*cb.zarr/scene, or import them with this scene"):
        open_scenes([*stores.values()])
    stores["b"] = imported(hsifeat.open_scene(tmp_path / "cb.zarr/scene"), tmp_path / "b2.zarr")
    assert open_scenes([*stores.values()]).scene_names == ("field", "second")


def groups_of(*scenes):
    return [[SceneFeatures(scene)] for scene in scenes]


def halves(cube):
    left = np.zeros(cube.shape[:2], bool)
    left[:, :5] = True
    return scene_of(cube, mask=left), scene_of(cube, mask=~left)


def of_two_dtypes(cube, nm=NM):
    return scene_of(cube), scene_of(cube.astype(np.float64), nm=nm)


@pytest.mark.parametrize(
    "two",
    [
        lambda cube: of_two_dtypes(np.ones_like(cube)),
        lambda cube: of_two_dtypes(np.where(cube[..., :1] > 0.5, 1, cube[0, 0])),
        halves,
        lambda cube: (scene_of(cube), scene_of(cube * 2)),
        lambda cube: (scene_of(cube), scene_of(cube.swapaxes(0, 1))),
        lambda cube: (scene_of(cube), scene_of(cube[..., ::-1])),
        lambda cube: of_two_dtypes(cube, NM + 3000),
    ],
    ids=["one spectrum", "two spectra", "halves", "other values", "other shape", "other bands", "other wavelengths"],
)
def test_scenes_without_common_spectra_stay_distinct(cube, two):
    one, other = two(cube)
    assert one.digest != other.digest and (one.valid.all() or (one.valid != other.valid).all())
    check_distinct(groups_of(one, other))


def test_few_common_pixels_are_found_in_a_large_scene():
    cube = np.random.default_rng(0).random((150, 170, 2)).astype(np.float32)
    masks = np.zeros((2, 150, 170), bool)
    masks[0, :76], masks[1, 75:] = True, True  # one row in common
    with pytest.raises(StoreError, match="valid pixels: extract the other stores from the scene of field, or"):
        check_distinct(groups_of(*(scene_of(cube, mask=mask, nm=None) for mask in masks)))
    masks[1, 75] = False
    check_distinct(groups_of(*(scene_of(cube, mask=mask, nm=None) for mask in masks)))


def test_tiles_are_told_apart_by_one_pixel_each(cube, monkeypatch):
    rng, tiles = np.random.default_rng(7), []
    for number in range(18):
        mask = rng.random((ROWS, COLS)) < 0.9
        tile = rng.random(cube.shape).astype(np.float32)
        tile[0] = 0  # filled edges are equal in all tiles
        tiles.append(scene_of(tile, f"tile{number}", mask))
    reads = []
    read_scene = SceneFeatures.read_scene
    monkeypatch.setattr(
        SceneFeatures, "read_scene", lambda self, window: (reads.append(1), read_scene(self, window))[1]
    )
    check_distinct(groups_of(*(replace(tile, mask=None) for tile in tiles)))
    assert len(reads) == 18
    reads.clear()
    check_distinct(groups_of(*tiles))
    assert len(reads) <= 36
