"""Exported tables, read back by the tools that they are for, against the store's raw arrays."""

import json
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
import zarr
from hypothesis import given
from hypothesis import strategies as st

from hsifeat.errors import HsifeatError
from hsifeat.features import export_table, export_writers
from hsifeat.features.export import export_features
from hsifeat.features.export_table import cut_ranges
from hsifeat.features.features import Features
from hsifeat.files import temporary_path
from hsifeat.runtime.events import Advanced, Finished, Started
from hsifeat.store.create import SceneArrays
from hsifeat.store.store import Store

ROWS, COLS, BANDS = 75, 53, 12
PLANES = ["t0/up_blocks.2", "t300/mid_block"]


@pytest.fixture
def folder(tmp_path):
    """A folder into which nothing else writes."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def raw(store_path):
    return zarr.open_group(store_path, mode="r")


@pytest.fixture
def wanted(raw, features):
    """The expected table for PLANES at the labelled pixels. The first plane needs no interpolation."""
    classes = raw["scene/labels/fields"][:]
    rows, cols = np.nonzero(classes)
    fine = raw["planes/t0000/up_blocks.2"][:].astype(np.float32)[rows, cols]
    coarse = features.sample(rows, cols, ["t300/mid_block"])
    return rows, cols, classes[rows, cols], np.concatenate([fine, coarse], axis=1)


@pytest.fixture(params=["whole", "small-blocks"])
def blocks(request, monkeypatch):
    """A table in one block, and in blocks smaller than a row of the scene."""
    if request.param == "small-blocks":
        monkeypatch.setattr(export_table, "_BLOCK_BYTES", 40 * (4 * 24 + export_table._PIXEL_BYTES))
    return request.param


def test_npy(features, wanted, blocks, tmp_path):
    rows, cols, classes, values = wanted
    files = export_features(features, tmp_path / "t.npy", planes=PLANES)
    assert [f.name for f in files] == ["t.npy", "t.pixels.csv", "t.columns.json"]
    found = np.load(files[0], allow_pickle=False)
    assert found.dtype == np.float32 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, values)
    pixels = np.genfromtxt(files[1], delimiter=",", names=True, dtype=int)
    assert pixels.dtype.names == ("row", "col", "class")
    for name, column in zip(pixels.dtype.names, (rows, cols, classes), strict=True):
        np.testing.assert_array_equal(pixels[name], column)
    facts = json.loads(files[2].read_text())
    assert facts["columns"][7:9] == ["t0/up_blocks.2[7]", "t300/mid_block[0]"]
    assert len(facts["columns"]) == 24
    assert facts["recipe_key"] == features.key and facts["labels"] == "fields"
    assert facts["class_names"] == {"1": "corn", "2": "wheat", "3": "woods", "4": "grass"}


def test_parquet(features, wanted, blocks, tmp_path):
    rows, cols, classes, values = wanted
    (path,) = export_features(features, tmp_path / "t.parquet", planes=PLANES, spectra=True)
    table = pq.read_table(path)
    assert table.column_names[:6] == ["row", "col", "class", "class_name", "band[0]", "band[1]"]
    assert table.column_names[-1] == "t300/mid_block[15]"
    for name, column in {"row": rows, "col": cols, "class": classes}.items():
        np.testing.assert_array_equal(table[name].to_numpy(), column)
    names = np.array(["", "corn", "wheat", "woods", "grass"])
    assert table["class_name"].to_pylist() == names[classes].tolist()
    assert {table.schema.field(n).type for n in table.column_names[4:]} == {pa.float32()}
    found = np.column_stack([table[name].to_numpy() for name in table.column_names[4 + BANDS :]])
    np.testing.assert_array_equal(found, values)
    spectra = np.column_stack([table[f"band[{b}]"].to_numpy() for b in range(BANDS)])
    np.testing.assert_array_equal(spectra, features.spectra(rows, cols))
    group_indices = pq.ParquetFile(path).metadata.num_row_groups
    assert group_indices == 1 if blocks == "whole" else group_indices > 20
    assert json.loads(table.schema.metadata[b"hsifeat"])["recipe_key"] == features.key


def test_mat(features, wanted, blocks, tmp_path):
    rows, cols, classes, values = wanted
    (path,) = export_features(features, tmp_path / "t.mat", planes=PLANES)
    found = scipy.io.loadmat(path)
    np.testing.assert_array_equal(found["X"], values)
    assert found["X"].dtype == np.float32
    for name, column in {"rows": rows, "cols": cols, "y": classes}.items():
        assert found[name].shape == (len(rows), 1)
        np.testing.assert_array_equal(found[name][:, 0], column)
    assert [str(c[0]) for c in found["classes"][:, 0]] == ["corn", "wheat", "woods", "grass"]
    assert found["class_numbers"].ravel().tolist() == [1, 2, 3, 4]
    assert str(found["columns"][8, 0][0]) == "t300/mid_block[0]"
    assert str(found["recipe_key"][0]) == features.key


def test_all_valid_pixels(features, raw, blocks, tmp_path):
    (path,) = export_features(features, tmp_path / "t.parquet", planes=["t0/up_blocks.2"], all_pixels=True)
    table = pq.read_table(path)
    assert table.num_rows == ROWS * COLS
    np.testing.assert_array_equal(table["row"].to_numpy(), np.repeat(np.arange(ROWS), COLS))
    np.testing.assert_array_equal(table["class"].to_numpy(), raw["scene/labels/fields"][:].ravel())
    assert table["class_name"][0].as_py() in {"corn", "wheat", "woods", "grass"}
    assert "unlabelled" in table["class_name"].to_pylist()
    np.testing.assert_array_equal(
        table["t0/up_blocks.2[3]"].to_numpy(), raw["planes/t0000/up_blocks.2"][:, :, 3].astype(np.float32).ravel()
    )


@pytest.fixture
def bare(features, scene, tmp_path):
    """A store without label maps and without planes, a corner of whose scene is empty."""
    valid = np.ones((ROWS, COLS), bool)
    valid[:10, :20] = False
    store = Store.create(tmp_path / "bare.zarr", features.store.manifest, SceneArrays(scene.cube, valid, {}))
    return Features(store)


def test_invalid_pixels_stay_out(bare, scene, tmp_path):
    values, pixels, _ = export_features(bare, tmp_path / "t.npy", all_pixels=True, spectra=True)
    assert np.load(values).shape == (ROWS * COLS - 200, BANDS)
    first = np.genfromtxt(pixels, delimiter=",", skip_header=1, dtype=int)[0]
    assert first.tolist() == [0, 20, 0]
    np.testing.assert_array_equal(np.load(values)[0], scene.cube[0, 20])
    bare.store.add_labels("ones", np.ones((ROWS, COLS), np.uint8), {})
    values, *_ = export_features(Features(bare.store), tmp_path / "t.npy", spectra=True)
    assert len(np.load(values)) == ROWS * COLS - 200


def test_a_mat_file_without_labels(bare, tmp_path):
    (path,) = export_features(bare, tmp_path / "t.mat", all_pixels=True, spectra=True)
    found = scipy.io.loadmat(path)
    assert found["X"].shape == (ROWS * COLS - 200, BANDS) and not found["y"].any()
    assert not found["classes"].size and not found["class_numbers"].size


@pytest.mark.parametrize("every", [False, True])
def test_no_read_is_larger_than_a_block(features, tmp_path, monkeypatch, every):
    most, asked = 100, []
    monkeypatch.setattr(export_table, "_BLOCK_BYTES", most * (4 * (24 + BANDS) + export_table._PIXEL_BYTES))
    for name in ("sample", "spectra"):
        read = getattr(Features, name)

        def counted(self, rows, cols, *arguments, read=read):
            asked.append(len(rows))
            return read(self, rows, cols, *arguments)

        monkeypatch.setattr(Features, name, counted)
    export_features(features, tmp_path / "t.npy", planes=PLANES, spectra=True, all_pixels=every)
    assert max(asked) <= most
    assert sum(asked) == 3 * len(np.load(tmp_path / "t.npy"))


def test_blocks_end_with_units_where_they_can(features):
    """A shard is then read only once. Each row has 10 pixels, and a block has room for slightly more pixels than a unit."""
    side = features.store.layout.unit_px
    counts = np.full(200, 10).cumsum()
    ends = np.append([0], counts[side - 1 :: side])
    assert all(stop in ends for _, stop in cut_ranges(ends, 10 * side + 5))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20), st.integers(1, 60))
def test_cuts_cover_everything_once(counts, most):
    ends = np.concatenate([[0], np.cumsum(counts)])
    found = list(cut_ranges(ends, most))
    assert [i for start, stop in found for i in range(start, stop)] == list(range(ends[-1]))
    assert all(0 < stop - start <= most for start, stop in found)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("all_pixels", "no", "^all_pixels is True or False; found 'no'$"),
        ("spectra", None, "^spectra is True or False; found None$"),
        ("out", 5, "^the file of a table is a path; found 5$"),
    ],
)
def test_options_of_other_types_are_refused(features, tmp_path, option, value, message):
    with pytest.raises(HsifeatError, match=message):
        export_features(features, **{"out": tmp_path / "x.npy", option: value})
    assert not (tmp_path / "x.npy").exists()


def test_progress_is_told(features, tmp_path, monkeypatch):
    monkeypatch.setattr(export_table, "_BLOCK_BYTES", 300 * (4 * 24 + export_table._PIXEL_BYTES))
    events = []
    export_features(features, tmp_path / "t.npy", planes=PLANES, listen=events.append)
    pixels = len(np.load(tmp_path / "t.npy"))
    assert events[0] == Started("export small", pixels, "pixels") and events[-1] == Finished("export small")
    done = [event.done for event in events if isinstance(event, Advanced)]
    assert done[-1] == pixels and done == sorted(done) and len(done) == len(events) - 2 > 3


@pytest.mark.parametrize("suffix", [".npy", ".parquet", ".mat"])
@pytest.mark.parametrize("wrong", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interruption_leaves_the_old_files(features, folder, monkeypatch, suffix, wrong):
    export_features(features, folder / f"t{suffix}", planes=PLANES)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(export_table, "_BLOCK_BYTES", 300 * (4 * 40 + export_table._PIXEL_BYTES))

    def stop(event):
        if isinstance(event, Advanced):
            raise wrong

    with pytest.raises((KeyboardInterrupt, OSError, HsifeatError)):
        export_features(features, folder / f"t{suffix}", planes=["t0/*"], listen=stop)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_full_disk_is_one_clear_message(features, folder, monkeypatch):
    """/dev/full is a disk that is always full: the temporary file is a link to it."""
    monkeypatch.setattr("hsifeat.files.uuid4", lambda: UUID(int=0))
    temporary_path(folder / "t.npy", "part").symlink_to("/dev/full")
    with pytest.raises(HsifeatError, match=r"the disk of .*t\.npy is full"):
        export_features(features, folder / "t.npy", planes=PLANES)
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        pytest.param("t.csv", {}, r"exported as \.npy, \.parquet, \.mat; found 't\.csv'", id="suffix"),
        pytest.param("no/t.npy", {}, "no such folder: ", id="folder"),
        pytest.param("d.npy", {}, "is a folder: name a file", id="a-folder"),
        pytest.param("t.npy", {"planes": ["t1/mid_block"]}, "no plane 't1/mid_block'; nearest", id="plane"),
        pytest.param(
            "t.npy", {"planes": []}, "no columns of small to export: select planes with `planes`", id="nothing"
        ),
        pytest.param("t.npy", {"labels": "soil"}, "no labels 'soil'; it holds: fields", id="labels"),
    ],
)
def test_wrong_requests_are_told_before_work(features, folder, monkeypatch, out, options, message):
    (folder / "d.npy").mkdir()
    monkeypatch.setattr(export_table.ExportTable, "blocks", lambda _: pytest.fail("work was spent"))
    with pytest.raises(HsifeatError, match=message):
        export_features(features, folder / out, **options)
    assert [path.name for path in folder.iterdir()] == ["d.npy"]


def test_stores_without_labels_say_what_to_do(bare, tmp_path):
    with pytest.raises(
        HsifeatError, match="bare holds no label map: export all valid pixels with `all_pixels=True`, or add labels"
    ):
        export_features(bare, tmp_path / "t.npy", spectra=True)
    bare.store.add_labels("none", np.zeros((ROWS, COLS), np.uint8), {})
    with pytest.raises(HsifeatError, match="bare has no labelled pixel"):
        export_features(Features(bare.store), tmp_path / "t.npy", spectra=True)


def test_too_much_for_mat_is_refused(features, tmp_path, monkeypatch):
    monkeypatch.setattr(export_writers, "_MAT_BYTES", 4 * 24 * 100)
    monkeypatch.setattr(export_table.ExportTable, "blocks", lambda _: pytest.fail("work was spent"))
    with pytest.raises(HsifeatError, match=r"t\.mat: \d+ pixels x 24 columns .* write \.npy or \.parquet"):
        export_features(features, tmp_path / "t.mat", planes=PLANES)


def test_the_command(cli, store_path, wanted, tmp_path):
    array, parquet = tmp_path / "t.npy", tmp_path / "t.parquet"
    printed = cli("export", store_path, "--out", array, "--planes", ",".join(PLANES), "--labels", "fields")
    assert printed.startswith(f"features of small: {array}, ") and printed.strip().endswith("t.columns.json")
    np.testing.assert_array_equal(np.load(array), wanted[-1])
    cli("export", store_path, "--out", parquet, "--planes", "t0/*", "--all", "--spectra")
    assert pq.read_metadata(parquet).num_rows == ROWS * COLS
    assert ".npy, .parquet, .mat; found 't.csv'" in cli("export", store_path, "--out", tmp_path / "t.csv", status=1)
    assert "with an empty item" in cli("export", store_path, "--out", array, "--planes", ",", status=2)
    assert "Missing option '--out'" in cli("export", store_path, status=2)
