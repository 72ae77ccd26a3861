"""Reduced columns of a scene: equal to the columns that a head reads from the store, computed once, and checked."""

import shutil

import numpy as np
import pytest
import zarr

import hsifeat
from classifiers import PixelTable, make_head
from classifiers.labelling import scene_columns
from classifiers.labelling.pixel_order import STEPS
from classifiers.labelling.scene_columns import open_scene_columns, quick_heads
from hsifeat.errors import HsifeatError
from hsifeat.scenes import Labels
from tests.helpers.fuzz_subjects import reseal_store


def every_pixel(features, **options):
    """A table of all pixels of a scene."""
    everywhere = Labels("everywhere", np.indices(features.shape[:2]).sum(axis=0) % 2 + 1)
    return PixelTable.from_store(features, labels=everywhere, sample=True, **options)


def test_columns_are_what_the_head_reduces(columns, context):
    table = every_pixel(context, window=5)
    assert table.layout == columns.layout
    head = make_head("lda", table.layout).fit(table.X, table.y, unlabelled=table.unlabelled)
    order = table.rows * 53 + table.cols
    np.testing.assert_array_equal(head.reducer_.transform(table.X), columns.values[columns.row_of_pixel[order]])
    np.testing.assert_array_equal(columns.reducer.transform(table.X), head.reducer_.transform(table.X))
    assert columns.mask.all()


def test_the_arrays_from_which_the_cache_is_filled_can_not_be_changed(columns, context):
    for array in (context.valid, columns.values, columns.pixels, columns.guide, columns.mask, columns.row_of_pixel):
        with pytest.raises(ValueError, match="read-only"):
            array[:1] = 0


def test_the_pixels_of_each_coarse_grid_come_first(columns):
    rows, cols = np.divmod(columns.pixels, 53)
    for step in STEPS:
        count = columns.row_counts[step]
        np.testing.assert_array_equal((rows % step == 0) & (cols % step == 0), np.arange(len(rows)) < count)
        assert count == len(range(0, 75, step)) * len(range(0, 53, step))


def test_planes_of_diffusion_models_join_the_context_on_request(stack):
    kinds = {group.kind for group in open_scene_columns(stack).layout}
    assert kinds == {"spectra", "mean", "context"}
    joined = open_scene_columns(stack, inputs="spectra+window+context+planes").layout
    assert {group.kind for group in joined} == kinds | {"plane"}
    few = open_scene_columns(stack, inputs="spectra+planes", planes=["t0/mid_block"])
    assert [str(group) for group in few.layout] == ["spectra", "t0/mid_block"]


def test_columns_are_computed_once_and_again_if_they_are_damaged(context, monkeypatch):
    first = open_scene_columns(context)
    file = first.kept.folder / "values.npy"
    assert file.is_relative_to(context.kept_folder)
    before, values = file.stat().st_mtime_ns, np.array(first.values)
    events = []
    again = open_scene_columns(context, listen=events.append)
    assert not events
    np.testing.assert_array_equal(again.values, values)
    content = bytearray(file.read_bytes())
    content[-1000] ^= 1
    file.write_bytes(content)
    repaired = open_scene_columns(context, listen=events.append)
    assert [type(event).__name__ for event in events[:: len(events) - 1]] == ["Started", "Finished"]
    assert (repaired.kept.folder / "values.npy").stat().st_mtime_ns > before
    np.testing.assert_array_equal(repaired.values, values)
    (first.kept.folder / "gain.npy").rename(first.kept.folder / "mean.npy")
    np.testing.assert_array_equal(open_scene_columns(context).values, values)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(scene_columns, "read_columns", stop)
    with pytest.raises(KeyboardInterrupt):
        open_scene_columns(context, "logistic")
    folders = [path.name for path in context.kept_folder.iterdir() if path.is_dir()]
    assert folders == [first.kept.folder.name]


def test_columns_are_deleted_with_their_store(context, tmp_path):
    from hsifeat.cache.sample_cache import delete_orphans

    size = sum(file.stat().st_size for file in open_scene_columns(context).kept.folder.iterdir())
    assert delete_orphans({context.key}) == 0
    assert delete_orphans(set()) >= size
    assert not context.kept_folder.exists()


def test_slow_heads_and_missing_planes_are_refused(context):
    with pytest.raises(HsifeatError, match=f"{', '.join(quick_heads())}; found 'film'"):
        open_scene_columns(context, "film")
    with pytest.raises(HsifeatError, match="needs planes of a diffusion model"):
        open_scene_columns(context, inputs="spectra+planes")


def test_other_features_have_other_columns(context, store_path):
    plain = hsifeat.open_features(store_path)
    assert plain.fingerprint([]) == context.fingerprint([])
    assert plain.fingerprint() != context.fingerprint()
    assert plain.fingerprint(["t0/mid_block"]) != plain.fingerprint(["t300/mid_block"])
    assert plain.fingerprint([]) != plain.with_bands([1, 0]).fingerprint([])


def test_a_store_with_another_cube_and_the_same_key_has_other_columns(store_path, tmp_path):
    features = hsifeat.open_features(store_path)
    shutil.copytree(store_path, tmp_path / "other.zarr")
    zarr.open_array(tmp_path / "other.zarr" / "scene" / "cube")[:20] = 5
    reseal_store(tmp_path / "other.zarr")
    other = hsifeat.open_features(tmp_path / "other.zarr")
    assert other.key == features.key and other.fingerprint([]) != features.fingerprint([])
    changed, own = (open_scene_columns(one, inputs="spectra").values for one in (other, features))
    assert not np.array_equal(changed, own)  # another number of components, too
