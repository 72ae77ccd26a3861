"""Extractions whose stores were made by commands: requests are answered at once, and no runner starts."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from affine import Affine

from hsifeat import open_features
from hsifeat.cache import catalogue
from hsifeat.errors import StoreError
from hsifeat.extraction import store_run
from hsifeat.runtime.events import Note, silent
from hsifeat.service import store_index
from hsifeat.service.jobs import extract_request
from hsifeat.service.jobs.extract_request import ExtractRequest
from hsifeat.service.jobs.lane import Lane
from hsifeat.service.jobs.records import LANES, JobKind
from hsifeat.service.jobs.request import JobContext
from hsifeat.service.problems import public_text
from hsifeat.store.location import as_location
from hsifeat.store.locks import write_lock
from tests.helpers.job_runners import EXTRACTION


def extract_by_command(cli, tmp_path, *options):
    """Extract the scene of `EXTRACTION` into the folder of the service, under a name of its own, and return the store."""
    scene, labels, store = (tmp_path / path for path in ("scenes/small.npy", "scenes/fields.npy", "stores/mine.zarr"))
    cli("extract", scene, "--axes", "rows,cols,bands", "--labels", labels, *options, "--out", store)
    return store


def test_a_store_of_a_command_answers_at_once(jobs, cli, tmp_path, backbone_folder):
    options = ("--timesteps", "0,300", "--layers", "up_blocks.2", "--tile", 32, "--halo", 8)
    store = extract_by_command(cli, tmp_path, "--backbone", backbone_folder, *options)
    key = json.loads((store / "zarr.json").read_text())["attributes"]["hsifeat"]["key"]
    answers = [jobs.submit(JobKind.EXTRACT, EXTRACTION, owner) for owner in ("ann", "bob")]
    assert {(answer.outcome, answer.job.state, answer.job.attempts) for answer in answers} == {("answered", "done", 0)}
    planes = ["t0/up_blocks.2", "t300/up_blocks.2"]
    expected = {"store": key, "name": "mine", "planes": planes, "labels": ["fields"]}
    assert [expected | {"scene": answer.job.result["scene"]} for answer in answers] == [
        answer.job.result for answer in answers
    ]
    assert len({answer.job.id for answer in answers}) == 1
    assert not Lane(jobs.service.context.database, LANES["extraction"]).has_work(), "so no runner starts"
    more = {**EXTRACTION, "options": {**EXTRACTION["options"], "timesteps": [0, 400]}}
    assert jobs.submit(JobKind.EXTRACT, more).outcome == "queued", "a plane is missing"
    next((store / "progress").glob("*/*/c/*/*/0")).unlink()
    assert jobs.submit(JobKind.EXTRACT, EXTRACTION).outcome == "queued", "a block is missing"


@pytest.mark.parametrize(
    ("found", "outcome"), [({}, "answered"), ({"labels": None}, "answered"), ({"bad_bands": "0"}, "queued")]
)
def test_a_store_is_found_by_the_values_of_its_scene(jobs, cli, tmp_path, monkeypatch, found, outcome):
    extract_by_command(cli, tmp_path, "--backbone", "context", "--layers", "mean-5")
    request = {"scene": {**EXTRACTION["scene"], **found}, "options": {"backbone": "context", "layers": ["mean-5"]}}
    with monkeypatch.context() as patch:
        patch.setattr(extract_request, "_MAX_LOOKED_UP_BYTES", 1000)
        assert ExtractRequest.from_options(request).find_result(jobs.service.context) is None, (
            "it takes too long to read"
        )
    assert jobs.submit(JobKind.EXTRACT, request).outcome == outcome


def test_a_job_adds_planes_to_the_store_of_a_command(jobs, cli, tmp_path):
    """Of two stores with one key, the list of stores could show only one."""
    store = extract_by_command(cli, tmp_path, "--backbone", "context", "--layers", "mean-5")
    for layers in (["mean-3"], ["mean-3", "mean-5"]):
        request = {**EXTRACTION, "options": {"backbone": "context", "layers": layers}}
        result = ExtractRequest.from_options(request).execute(jobs.service.context, None, silent)
        assert result["name"] == "mine"
    assert [plane.id.layer for plane in open_features(store).planes] == ["mean-3", "mean-5"]
    assert [path.name for path in store.parent.iterdir() if not path.name.startswith(".")] == ["mine.zarr"]


def test_a_file_that_is_named_twice_gives_two_bands(jobs, tmp_path):
    band = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    with rasterio.open(
        tmp_path / "scenes/b.tif", "w", width=4, height=3, count=1, dtype="uint8", transform=Affine.scale(2)
    ) as file:
        file.write(band)
    source = ExtractRequest.from_options({"scene": {"files": ["b.tif", "b.tif"]}}).scene
    np.testing.assert_array_equal(source.open(jobs.service.context).cube[:], np.moveaxis([band[0], band[0]], 0, 2))


def test_everybody_who_requests_a_scene_gets_the_notes_on_it(jobs, tmp_path, monkeypatch):
    """A note names fill values. The first request computes the features, and later requests find them."""
    cube = np.random.default_rng(0).normal(size=(24, 20, 4)).astype(np.float32)
    cube[:6, :6] = -9999
    np.save(tmp_path / "scenes/fill.npy", cube)
    monkeypatch.chdir(tmp_path)
    settings = jobs.service.context.settings.model_copy(update={"cache": "stores"})
    context = replace(jobs.service.context, settings=settings)
    request = ExtractRequest.from_options(
        {"scene": {"files": ["fill.npy"]}, "options": {"backbone": "context", "layers": ["mean-5"]}}
    )
    heard = [[], [], []]
    assert request.find_result(context, heard[0].append) is None
    result = request.execute(context, None, heard[0].append)
    assert request.execute(context, None, heard[1].append) == result
    assert request.find_result(context, heard[2].append) == result
    for events in heard:
        notes = [public_text(event.message) for event in events if isinstance(event, Note)]
        assert any("36 pixels are -9999" in note for note in notes)
        assert any("assumed the axes" in note for note in notes)
        assert not any("stores/" in note for note in notes), "folders of the service are left out, also relative ones"


CONTEXT = {"backbone": "context", "layers": ["mean-5"]}


def extract_file(context, name, labels=None, **options):
    """Extract a scene of the folder of scenes as the job of a client does."""
    scene = {"files": [name], "labels": labels}
    return ExtractRequest.from_options({"scene": scene, "options": {**CONTEXT, **options}}).execute(
        context, None, silent
    )


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def shared_scene(tmp_path):
    """Two people have copies of one scene, with other label maps and other georeferences."""
    cube = np.random.default_rng(0).random((4, 24, 20), np.float32)
    for person, west in (("ann", 1000), ("bob", 2000)):
        folder = tmp_path / "scenes" / person
        folder.mkdir()
        with rasterio.open(
            folder / "a.tif", "w", width=20, height=24, count=4, dtype="float32", crs="EPSG:32633",
            transform=Affine(2, 0, west, 0, -2, 9000),
        ) as file:  # fmt: skip
            file.write(cube)
        np.save(folder / "plots.npy", np.full((24, 20), 1 + (person == "bob"), np.uint8))
    return cube


@pytest.mark.parametrize(
    ("name", "labels", "difference"),
    [
        ("ann/a.tif", "bob/plots.npy", "label map 'plots'"),
        ("bob/a.tif", "ann/plots.npy", "georeference"),
        ("bob/a.tif", "bob/plots.npy", "georeference, label map 'plots'"),
    ],
)
def test_a_job_replaces_nothing_in_a_shared_store(jobs, tmp_path, shared_scene, name, labels, difference):
    context = jobs.service.context
    extract_file(context, "ann/a.tif", ["ann/plots.npy"])
    before = contents(tmp_path / "stores")
    with pytest.raises(StoreError, match=rf"other contents than this scene \({difference}\), and jobs replace nothing"):
        extract_file(context, name, [labels], layers=["mean-3"])
    assert contents(tmp_path / "stores") == before


def test_a_job_replaces_nothing_in_a_store_that_was_made_since_the_last_search(jobs, shared_scene, monkeypatch):
    monkeypatch.setattr(store_index, "_PAUSE_PER_SEARCH", 1e9)
    context = jobs.service.context
    assert context.stores.stores() == []
    extract_file(context, "ann/a.tif", ["ann/plots.npy"])
    with pytest.raises(StoreError, match="jobs replace nothing"):
        extract_file(context, "ann/a.tif", ["bob/plots.npy"])


def test_a_job_that_waits_for_a_store_replaces_nothing_in_it(jobs, shared_scene, monkeypatch):
    """Another job adds its label map while the job waits for the write lock."""
    context = jobs.service.context
    extract_file(context, "ann/a.tif")

    def lock_after_another_job(location, on_wait):
        monkeypatch.undo()
        extract_file(context, "ann/a.tif", ["ann/plots.npy"])
        return write_lock(location, on_wait)

    monkeypatch.setattr(store_run, "write_lock", lock_after_another_job)
    with pytest.raises(StoreError, match="jobs replace nothing"):
        extract_file(context, "ann/a.tif", ["bob/plots.npy"])


def test_people_add_label_maps_with_names_of_their_own(jobs, tmp_path, shared_scene):
    (tmp_path / "scenes/bob/plots.npy").rename(tmp_path / "scenes/bob/mine.npy")
    context = jobs.service.context
    stores = [
        extract_file(context, "ann/a.tif", labels)
        for labels in (["ann/plots.npy"], ["bob/mine.npy"], ["ann/plots.npy"])
    ]
    assert len({result["store"] for result in stores}) == 1
    labels = open_features(next((tmp_path / "stores").glob("*.zarr"))).scene.labels
    assert {name: set(np.unique(labels[name].classes)) for name in labels} == {"plots": {1}, "mine": {2}}


@pytest.mark.parametrize("change", ["layers", "labels"])
def test_a_job_changes_no_store_outside_the_cache_folder(jobs, cli, tmp_path, shared_scene, monkeypatch, change):
    """Without ``--cache``, the service offers every store of the catalogue for reading."""
    monkeypatch.setenv("HSIFEAT_CACHE", str(tmp_path / "cache"))
    settings = jobs.service.context.settings.model_copy(update={"cache": None})
    context = JobContext.of_settings(settings)
    scene = tmp_path / "scenes/ann/a.tif"
    cli("extract", scene, "--backbone", "context", "--layers", "mean-5", "--out", tmp_path / "own/mine.zarr")
    before = contents(tmp_path / "own")
    assert extract_file(context, "ann/a.tif")["name"] == "mine", "a complete store is read where it is"
    more = {"layers": ["mean-3"]} if change == "layers" else {"labels": ["ann/plots.npy"]}
    with pytest.raises(StoreError, match="mine has the recipe of this extraction, but lacks some"):
        extract_file(context, "ann/a.tif", **more)
    assert contents(tmp_path / "own") == before
    (tmp_path / "own/mine.zarr").rename(tmp_path / "cache/mine.zarr")
    catalogue.add_entry(open_features(tmp_path / "cache/mine.zarr").key, as_location(tmp_path / "cache/mine.zarr"))
    assert extract_file(JobContext.of_settings(settings), "ann/a.tif", **more)["name"] == "mine", (
        "as the message advises"
    )


def test_a_store_that_was_made_again_with_other_labels_is_no_answer(jobs, tmp_path, shared_scene):
    context = jobs.service.context
    source = {"files": ["ann/a.tif"], "labels": ["ann/plots.npy"]}
    request = ExtractRequest.from_options({"scene": source, "options": CONTEXT})
    finished = SimpleNamespace(result=request.execute(context, None, silent))
    assert request.is_still_valid(context, finished)
    extract_file(context, "ann/a.tif", layers=["mean-3"])
    assert request.is_still_valid(context, finished), "more planes change nothing for the first request"
    shutil.rmtree(next((tmp_path / "stores").glob("*.zarr")))
    extract_file(context, "ann/a.tif", ["bob/plots.npy"])
    assert not request.is_still_valid(context, finished)


def test_a_label_map_that_is_added_to_the_source_store_makes_another_request(jobs, tmp_path, shared_scene):
    context = jobs.service.context
    key = extract_file(context, "ann/a.tif")["store"]
    request = ExtractRequest.from_options({"scene": {"store": key}, "options": {**CONTEXT, "mantissa_bits": 5}})
    first = request.key(context)
    assert request.key(context) == first
    extract_file(context, "ann/a.tif", ["ann/plots.npy"])
    assert request.key(context) != first
    assert request.execute(context, None, silent)["labels"] == ["plots"]
