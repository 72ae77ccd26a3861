"""Description files: which changes make them out of date, and what damages and a full cache folder do."""

import json
import os
import time
from fractions import Fraction

import pytest

from hsifeat.backbones import description_file
from hsifeat.backbones.description import BackboneDescription
from hsifeat.backbones.description_file import DescriptionFile
from hsifeat.seals import seal_json
from hsifeat.types import Tap

DESCRIPTION = BackboneDescription(
    name="tiny",
    source="/models/tiny",
    channels=3,
    denoiser_channels=4,
    cell_px=Fraction(8, 3),
    taps=[Tap("mid_block", "", 16, 4, 0.1 + 0.2), Tap("up_blocks.0", "output_blocks.0", 16, 4, None)],
    alphas_cumprod=[0.9998999834060669, 0.1],
    prediction="epsilon",
    projection_file=None,
    outputs={"weights": "ab", "architecture": {"heads": [1, 2]}},
)


@pytest.fixture
def model(tmp_path):
    """A folder with two files, the second of which is too large to be digested."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "weights.bin").write_bytes(b"0123456789")
    return folder


@pytest.fixture(autouse=True)
def _settled(monkeypatch):
    """Digest only files of at most 5 bytes, and treat all changes as old enough to be complete."""
    monkeypatch.setattr(description_file, "_MAX_DIGESTED_BYTES", 5)
    monkeypatch.setattr(description_file, "_SETTLED_S", -1)


def find(folder, plugin="open", argument="", **options):
    names = ("config.json", "weights.bin", "training.json")
    return DescriptionFile.find(plugin, argument, options, [folder / name for name in names])


def keep(folder, **options):
    find(folder, **options).write(DESCRIPTION)


def test_a_description_is_read_as_it_was_written(model):
    assert find(model).read() is None
    keep(model)
    read = find(model).read()
    assert read == DESCRIPTION and read.taps == DESCRIPTION.taps and read.cell_px == Fraction(8, 3)
    assert read.schedule.timesteps == 2 and read.identity() == DESCRIPTION.outputs
    assert read.schedule.alphas_cumprod.tolist() == [0.9998999834060669, 0.10000000149011612]


def test_plugins_arguments_and_options_have_separate_descriptions(model):
    keep(model, class_label=1)
    assert find(model, class_label=1).read() == DESCRIPTION
    assert find(model, class_label=2).read() is None and find(model, class_label="1").read() is None
    assert find(model, plugin="other", class_label=1).read() is None
    assert find(model, argument="other", class_label=1).read() is None


def rewrite_with_the_same_size_and_time(folder):
    file = folder / "weights.bin"
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    time.sleep(0.02)  # the clock of the file system has steps of some milliseconds
    file.write_bytes(b"012345678X")
    os.utime(file, ns=times)


def replace_with_the_same_size_and_time(folder):
    file, other = folder / "weights.bin", folder / "other"
    other.write_bytes(b"012345678X")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "config.json").write_text("[]"),
        lambda folder: (folder / "config.json").unlink(),
        lambda folder: (folder / "weights.bin").write_bytes(b"0123456789X"),
        rewrite_with_the_same_size_and_time,
        replace_with_the_same_size_and_time,
        lambda folder: (folder / "training.json").mkdir(),
    ],
    ids=["edited", "deleted", "longer", "rewritten", "replaced", "new"],
)
def test_a_changed_file_makes_it_out_of_date(model, change):
    keep(model)
    change(model)
    assert find(model).read() is None


def test_so_does_another_version_of_a_library_or_of_the_code(model, monkeypatch):
    keep(model)
    known = description_file._code()
    assert {"hsifeat", "torch", "diffusers", "modules"} <= set(known)
    for name in known:
        monkeypatch.setattr(description_file, "_code", lambda name=name: {**known, name: "other"})
        assert find(model).read() is None
    monkeypatch.undo()


def test_a_model_that_changes_while_it_is_described_is_not_kept(model, monkeypatch):
    file = find(model)
    (model / "config.json").write_text("[]")
    file.write(DESCRIPTION)
    assert not file.path.exists()
    # Soon after a change, another change of a large file could leave its state as it is.
    monkeypatch.setattr(description_file, "_SETTLED_S", 60)
    keep(model)
    assert find(model).read() is None
    (model / "weights.bin").write_bytes(b"0123")
    keep(model)
    assert find(model).read() == DESCRIPTION


def test_damaged_files_are_ignored(model):
    keep(model)
    file = find(model)
    content = json.loads(file.path.read_text())
    damages = [
        "", "[]", json.dumps(content).replace("mid_block", "mid_blocc"),
        seal_json({"state": file.state}, file.path.name),
        seal_json({"state": file.state, "description": {**content["description"], "channels": 0}}, file.path.name),
        seal_json({"state": file.state, "description": {**content["description"], "taps": [{}]}}, file.path.name),
        seal_json(content, "another.json"),
    ]  # fmt: skip
    for damaged in damages:
        file.path.write_text(damaged)
        assert file.read() is None, damaged
    keep(model)
    assert file.read() == DESCRIPTION


def test_a_cache_folder_that_is_no_folder_does_no_harm(model, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HSIFEAT_CACHE", str(tmp_path / "file"))
    keep(model)
    assert find(model).read() is None
