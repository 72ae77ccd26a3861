"""Label maps and metadata of a scene with several stores: equal ones, or an error that names the difference."""

from dataclasses import replace

import numpy as np
import pytest

import hsifeat
from classifiers.fit import fit_model
from classifiers.multi_scene import select_labels
from hsifeat.errors import StoreError
from hsifeat.features.stack import open_stack
from hsifeat.scenes.georeference import Georeference


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, ""),
        (
            "pixels",
            r"'fields' of a and b differ at 3 pixels: extract the scene into the store with the outdated map again",
        ),
        ("names", "'fields' of a and b name classes differently"),
    ],
)
def test_different_label_maps_of_one_name_are_refused(scene, tmp_path, change, message):
    fields = scene.labels["fields"]
    classes, names = fields.classes.copy(), dict(fields.class_names)
    if change == "pixels":
        classes[3, 10:13] = 0
    elif change == "names":
        names[1], names[2] = names[2], names[1]
    other = replace(scene, labels={"fields": hsifeat.Labels("fields", classes, names)})
    for name, one, layer in (("a", scene, "mean-3"), ("b", other, "mean-5")):
        hsifeat.extract(one, backbone="context", layers=[layer], out=tmp_path / f"{name}.zarr")
    stack = open_stack([tmp_path / "a.zarr", tmp_path / "b.zarr"])
    if not message:
        np.testing.assert_array_equal(stack.labels("fields").classes, fields.classes)
        return
    with pytest.raises(StoreError, match=message):
        stack.labels("fields")
    hsifeat.extract(scene, backbone="context", layers=["mean-5"], out=tmp_path / "b.zarr")
    np.testing.assert_array_equal(
        open_stack([tmp_path / "a.zarr", tmp_path / "b.zarr"]).labels().classes, fields.classes
    )


def stores_of(tmp_path, *scenes):
    """Extract copies of one scene into stores of their own."""
    layers = ("mean-3", "mean-5")
    return [
        hsifeat.extract(one, backbone="context", layers=[layer], out=tmp_path / f"{layer}.zarr").location.path
        for one, layer in zip(scenes, layers, strict=True)
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_label_maps_of_all_stores_are_found_whatever_their_order(scene, tmp_path, order):
    fields = scene.labels["fields"]
    bare = replace(scene, labels={})
    halves = [np.where(np.arange(fields.classes.shape[0])[:, None] % 2 == odd, fields.classes, 0) for odd in (0, 1)]
    maps = [
        replace(fields, name=name, classes=classes) for name, classes in zip(("train", "test"), halves, strict=True)
    ]
    stores = stores_of(tmp_path, *(bare.with_labels(one) for one in maps))[::order]
    stack = open_stack(stores)
    with pytest.raises(StoreError, match="2 label maps; it holds: "):
        stack.labels()
    np.testing.assert_array_equal(stack.labels("test").classes, halves[1])
    np.testing.assert_array_equal(select_labels(stack).classes, fields.classes)
    model = fit_model(stores, head="lda", split="official", smooth="none")
    assert model.train_pixels == np.count_nonzero(halves[0])


def test_official_maps_that_differ_between_stores_are_refused(scene, tmp_path):
    fields = scene.labels["fields"]
    train, test = (np.where(fields.classes % 2 == odd, fields.classes, 0) for odd in (0, 1))
    one = replace(scene, labels={}).with_labels(replace(fields, name="train", classes=train))
    stores = stores_of(
        tmp_path,
        one.with_labels(replace(fields, name="test", classes=test)),
        one.with_labels(replace(fields, name="test", classes=np.where(np.arange(53) < 20, test, 0))),
    )
    with pytest.raises(StoreError, match="the label maps 'test' of mean-3 and mean-5 differ at"):
        fit_model(stores, head="lda", split="official", smooth="none")


GEOREFERENCE = Georeference("EPSG:32633", (2.0, 0.0, 1000.0, 0.0, -2.0, 9000.0))


@pytest.mark.parametrize(
    ("metadata", "difference"),
    [
        ({}, ""),
        ({"georeference": None}, ""),
        ({"wavelengths_nm": None}, ""),
        ({"wavelengths_nm": np.linspace(400, 900, 12) * (1 + 1e-12)}, ""),
        ({"georeference": replace(GEOREFERENCE, transform=(2, 0, 1000 + 1e-9, 0, -2, 9000))}, ""),
        ({"georeference": replace(GEOREFERENCE, crs="urn:ogc:def:crs:EPSG::32633")}, ""),
        ({"georeference": replace(GEOREFERENCE, crs="EPSG:32632")}, "another georeference"),
        ({"georeference": replace(GEOREFERENCE, transform=(2, 0, 1002, 0, -2, 9000))}, "another georeference"),
        ({"wavelengths_nm": np.linspace(400, 1000, 12)}, "other wavelengths"),
    ],
)
def test_copies_of_a_scene_with_other_metadata_are_refused_together(scene, tmp_path, metadata, difference):
    one = replace(scene, georeference=GEOREFERENCE, wavelengths_nm=np.linspace(400, 900, 12))
    stores = stores_of(tmp_path, one, replace(one, **metadata))
    if not difference:
        assert len(open_stack(stores).planes) == 2
        return
    with pytest.raises(StoreError, match=f"mean-5 has {difference} than mean-3.*extract the scene into the store"):
        open_stack(stores)
    stores_of(tmp_path, one, one)
    assert len(open_stack(stores).planes) == 2, "as the message advises"


def test_the_second_and_third_store_are_compared_too(scene, tmp_path):
    """The first store has no georeference."""
    stores = []
    for layer, west in (("mean-3", None), ("mean-5", 0.0), ("mean-7", 2.0)):
        place = None if west is None else Georeference("EPSG:32633", (2.0, 0.0, west, 0.0, -2.0, 9000.0))
        one = replace(scene, georeference=place)
        hsifeat.extract(one, backbone="context", layers=[layer], out=tmp_path / f"{layer}.zarr")
        stores.append(tmp_path / f"{layer}.zarr")
    assert len(open_stack(stores[:2]).planes) == 2
    with pytest.raises(StoreError, match="mean-7 has another georeference than mean-5"):
        open_stack(stores)


def test_labels_of_the_second_store_are_exported(scene, tmp_path):
    bare = replace(scene, labels={})
    stores = stores_of(tmp_path, bare, scene)
    hsifeat.export_features(stores, tmp_path / "t.npy", all_pixels=True)
    pixels = np.load(tmp_path / "t.npy")
    table = hsifeat.open_features(stores[1]).labels("fields").classes
    assert len(pixels) == np.count_nonzero(hsifeat.open_features(stores[0]).valid) and (table > 0).any()
    written = next(file for file in tmp_path.glob("t*pixels*"))
    assert sorted(set(np.genfromtxt(written, delimiter=",", names=True, dtype=None, encoding=None)["class"])) == sorted(
        set(np.unique(table))
    )


def test_maps_that_nobody_asked_for_may_differ(scene, tmp_path):
    groups = []
    for name, cube in (("one", scene.cube[:]), ("two", scene.cube[:][::-1])):
        stores = []
        for layer, number in (("mean-3", 1), ("mean-5", 2)):
            crop = np.zeros(scene.labels["fields"].classes.shape, np.uint8)
            crop[:4] = number
            one = (
                hsifeat.Scene(name, cube).with_labels(scene.labels["fields"]).with_labels(hsifeat.Labels("crop", crop))
            )
            out = tmp_path / f"{name}-{layer}.zarr"
            like = {} if name == "one" else {"like": tmp_path / f"one-{layer}.zarr"}
            hsifeat.extract(one, backbone="context", layers=[layer], **like, out=out)
            stores.append(out)
        groups += stores
    model = fit_model(groups, head="lda", labels="fields", smooth="none")
    assert model.train_pixels == 2 * np.count_nonzero(scene.labels["fields"].classes)


def test_a_store_with_fewer_valid_pixels_is_told_apart_with_advice(scene, tmp_path):
    values = np.asarray(scene.cube)[..., :2].astype(np.float32)
    values[:5] = np.nan
    np.save(tmp_path / "values.npy", values)
    imported = hsifeat.import_planes(scene, {"own": tmp_path / "values.npy"}, out=tmp_path / "own.zarr").location.path
    hsifeat.extract(scene, backbone="context", layers=["mean-3"], out=tmp_path / "context.zarr")
    options = {"head": "lda", "inputs": "spectra+context+planes", "smooth": "none"}
    with pytest.raises(StoreError, match=f"need the same valid pixels: extract the other stores from {imported}/scene"):
        fit_model([imported, tmp_path / "context.zarr"], **options)
    context = hsifeat.extract(
        hsifeat.open_scene(f"{imported}/scene"), backbone="context", layers=["mean-3"], out=tmp_path / "c.zarr"
    )
    assert fit_model([imported, context], **options).train_pixels > 0
