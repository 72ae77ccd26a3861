"""Layouts: units partition planes, and the arrays that Zarr makes have the shapes that a layout says."""

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from hsifeat.store import plane_layout as layouts
from hsifeat.store.plane_layout import PixelListLayout, PlaneSpec, SceneLayout, codec, size_bytes
from hsifeat.types import PlaneId

STRIDES = st.sampled_from([1, 2, 4, 8, 16])
LAYOUTS = st.builds(
    SceneLayout, st.integers(1, 300), st.integers(1, 300), st.sampled_from([16, 48, 128, 512])
) | st.builds(PixelListLayout, st.integers(1, 2000), st.just(48), st.sampled_from([4, 64, 512]))


@given(LAYOUTS, STRIDES)
def test_units_partition_every_plane(layout, stride):
    """Each cell of a plane lies in exactly one unit, and in the shard that Zarr would write it to."""
    plane = PlaneSpec(PlaneId(50, "mid_block"), stride, 3, "float16")
    counts = np.zeros(layout.cells(plane, layout.extent)[:2], int)
    shard = layout.shard(plane)
    for unit in layout.units:
        slices = layout.slices(unit, stride)
        counts[slices] += 1
        assert [s.start for s in slices[:1]] == [unit.index[0] * shard[0]]
        assert slices[1].start == unit.index[1] * shard[1]
        assert counts[slices].shape == layout.cells(plane, unit.window)[:2]
    assert (counts == 1).all()
    assert {unit.index for unit in layout.units} == set(np.ndindex(layout.unit_grid))


@given(LAYOUTS, STRIDES)
def test_chunks_divide_shards(layout, stride):
    plane = PlaneSpec(PlaneId(50, "mid_block"), stride, 3, "float16")
    assert all(side % part == 0 for side, part in zip(layout.shard(plane), layout.chunk(plane), strict=True))


@pytest.mark.parametrize("layout", [SceneLayout(75, 53, 128), PixelListLayout(700, 48)], ids=["scene", "pixels"])
def test_size_is_that_of_the_array(layout):
    plane = PlaneSpec(PlaneId(50, "mid_block"), 4, 3, "float16")
    array = zarr.create_array(
        {}, shape=layout.cells(plane, layout.extent), shards=layout.shard(plane), chunks=layout.chunk(plane),
        dtype=plane.dtype, compressors=codec(),
    )  # fmt: skip
    assert size_bytes(layout, plane, layout.extent) == array.nbytes
    assert layout.describe()


def test_dimension_names_differ_where_axes_differ():
    layout, planes = SceneLayout(75, 53, 128), [PlaneSpec(PlaneId(0, "a"), stride, 3, "float16") for stride in (1, 4)]
    first, second = (layout.dimension_names(plane) for plane in planes)
    assert not set(first[:2]) & set(second[:2])
    assert first[2] == second[2]


def test_shards_of_the_cube_follow_the_units():
    assert SceneLayout(75, 53, 96).cube_shard_px == 96
    assert PixelListLayout(9, 48).cube_shard_px == layouts.SCENE_SHARD_PX
