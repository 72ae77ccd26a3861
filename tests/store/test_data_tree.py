"""A store opens as a tree of xarray, because every array names its dimensions."""

import numpy as np
import pytest
import xarray as xr
import zarr


# zarr warns about files of a store that are no arrays.
@pytest.mark.filterwarnings("ignore:Object at .* is not recognized")
def test_a_store_opens_as_a_data_tree(store_path, features):
    tree = xr.open_datatree(store_path, engine="zarr", consolidated=False)
    np.testing.assert_array_equal(tree["scene/cube"].values, np.asarray(features.scene.cube[:]))
    assert set(tree["scene"].dims) == {"y", "x", "band"} and tree["scene/projection/weights"].dims[0] == "band"
    plane = features.planes[0]
    values = tree[f"planes/{plane.id.path}"].values
    np.testing.assert_array_equal(values, np.asarray(zarr.open(store_path, mode="r")[f"planes/{plane.id.path}"][:]))
    assert set(tree.children) == {"scene", "planes"}
    walked = [path for path, _ in zarr.open_group(store_path, mode="r").members(max_depth=None)]
    assert len(walked) > 10 and not any(path.startswith("progress") for path in walked)


def test_every_array_names_its_dimensions(store_path):
    for path in store_path.rglob("zarr.json"):
        node = zarr.open(path.parent, mode="r")
        if isinstance(node, zarr.Array):
            assert None not in (node.metadata.dimension_names or (None,)), path
