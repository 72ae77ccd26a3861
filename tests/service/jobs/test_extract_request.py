"""Extractions whose stores were made by commands: requests are answered at once, and no runner starts."""

import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from affine import Affine

from hsifeat import open_features
from hsifeat.runtime.events import Note, silent
from hsifeat.service.jobs import extract_request
from hsifeat.service.jobs.extract_request import ExtractRequest
from hsifeat.service.jobs.lane import Lane
from hsifeat.service.jobs.records import LANES, JobKind
from hsifeat.service.problems import public_text
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
    assert [answer.job.result for answer in answers] == [{"store": key, "name": "mine", "planes": planes}] * 2
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
