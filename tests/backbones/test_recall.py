"""Recalled backbones: a finished store needs no network, and changed weights are noticed before and while a network opens."""

import shutil
from pathlib import Path

import pytest

from hsifeat.backbones import recall
from hsifeat.backbones.recall import keep_description, recall_source
from hsifeat.errors import BackboneError, RecipeMismatchError
from hsifeat.extraction.run import run
from hsifeat.projection import fit_projection
from tests.helpers.backbone_kinds import nudge
from tests.helpers.executors import InThisProcess
from tests.helpers.extraction import prepare

OPTIONS = {"timesteps": [0], "layers": ["mid_block"], "tile": 32, "halo": 8}


@pytest.fixture
def model(backbone_folder, tmp_path):
    return shutil.copytree(backbone_folder, tmp_path / "model")


@pytest.fixture
def opened(monkeypatch):
    """The sources that were opened with their networks."""
    sources, plain = [], recall.call_plugin

    def call(plugin, argument, options, name):
        sources.extend([name] if plugin.files else [])
        return plain(plugin, argument, options, name)

    monkeypatch.setattr(recall, "call_plugin", call)
    return sources


def test_a_finished_store_needs_no_network_until_the_weights_change(scene, model, tmp_path, opened):
    out = tmp_path / "s.zarr"
    for source in (str(model), f"untrained:{model}"):
        store = run(prepare(scene, backbone=source, out=out, **OPTIONS))
        assert opened == [source]
        job = prepare(scene, backbone=source, out=out, **OPTIONS)
        assert run(job).key == store.key == job.recipe.key
        assert opened.pop() == source and not opened
        shutil.rmtree(out)
    run(prepare(scene, backbone=model, out=out, **OPTIONS))
    nudge(model / "unet" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(RecipeMismatchError, match="backbone.weights"):
        run(prepare(scene, backbone=model, out=out, **OPTIONS))


def test_more_planes_of_a_finished_store_are_those_of_a_new_one(scene, model, tmp_path, opened):
    grown, whole = tmp_path / "grown.zarr", tmp_path / "whole.zarr"
    run(prepare(scene, backbone=model, out=grown, **OPTIONS))
    both = {**OPTIONS, "layers": ["mid_block", "up_blocks.0"]}
    opened.clear()
    job = prepare(scene, backbone=model, out=grown, **both)
    assert not opened
    first, second = run(job), run(prepare(scene, backbone=model, out=whole, **both))
    assert opened and first.planes == second.planes
    for plane in first.planes:
        assert (first.plane(plane.id)[:] == second.plane(plane.id)[:]).all()


def test_weights_that_change_between_preparing_and_running_are_an_error(scene, model, tmp_path):
    keep_description(recall_source(model))
    job = prepare(scene, backbone=model, out=tmp_path / "s.zarr", **OPTIONS)
    nudge(model / "unet" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(BackboneError, match="files of model changed while they were read: run the command again"):
        run(job)
    assert not (tmp_path / "s.zarr").exists()
    run(prepare(scene, backbone=model, out=tmp_path / "s.zarr", **OPTIONS))


def test_a_description_serves_relative_and_absolute_paths_from_any_folder(scene, model, tmp_path, monkeypatch):
    fit_projection("pca:3", scene).save(model / "projection.safetensors")
    monkeypatch.chdir(model.parent)
    first = run(prepare(scene, backbone=model.name, out=tmp_path / "relative.zarr", **OPTIONS))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    second = run(prepare(scene, backbone=model, out=tmp_path / "absolute.zarr", **OPTIONS))
    assert first.key == second.key
    (plane,) = first.planes
    assert (first.plane(plane.id)[:] == second.plane(plane.id)[:]).all()


@pytest.mark.parametrize("executor", [None, InThisProcess()], ids=["here", "workers"])
@pytest.mark.parametrize("source", ["./model", "untrained:model", Path("natural32")], ids=str)
def test_a_job_runs_in_another_working_directory(scene, model, tmp_path, monkeypatch, source, executor):
    folder = shutil.copytree(model, tmp_path / "natural32") if isinstance(source, Path) else model
    monkeypatch.chdir(tmp_path)
    jobs = [prepare(scene, backbone=source, out=tmp_path / "0.zarr", **OPTIONS)]
    keep_description(jobs[0].extractor.source)
    jobs.append(prepare(scene, backbone=source, out=tmp_path / "1.zarr", **OPTIONS))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    stores = [run(job, executor=executor) for job in jobs]
    prefix = "untrained:" if str(source).startswith("untrained:") else ""
    expected = prepare(scene, backbone=f"{prefix}{folder}", **OPTIONS)
    assert [store.key for store in stores] == [expected.recipe.key] * 2
    assert {store.manifest.provenance["backbone_source"] for store in stores} == {f"{prefix}{folder}"}


def test_a_description_does_not_hide_wrong_options(model):
    keep_description(recall_source(model))
    with pytest.raises(BackboneError, match="takes no class label"):
        recall_source(model, class_label=3)
    with pytest.raises(BackboneError, match="takes no prompt"):
        recall_source(model, prompt="maize")
