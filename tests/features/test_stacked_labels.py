"""Label maps of a scene with several stores: one map, or an error that names the difference."""

import numpy as np
import pytest

import hsifeat
from hsifeat.errors import StoreError
from hsifeat.features.stack import open_stack


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
    other = scene.with_labels(hsifeat.Labels("fields", classes, names))
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
