"""Seeded damages of everything that is kept on disk are found or harmless; `benchmarks/fuzz.py` runs many more."""

import hashlib
import json
import re
import time
from contextlib import suppress

import pytest

from hsifeat.seals import SealError
from tests.helpers.fuzz import Subject, run_trials
from tests.helpers.fuzz_subjects import make_subjects

# 500 trials in all, of a sequence that the program continues.
TRIALS = 31
# These trials take longer. `tests/extraction/test_repair.py` makes more repairs.
FEWER = {"store repaired": 10, "store sealed again and repaired": 10}
NAMES = [
    "store", "store verified", "store sealed again", "store repaired", "store sealed again and repaired",
    "model lda", "model lightgbm", "model svm", "model lda sealed again",
    "model lightgbm sealed again", "model svm sealed again", "recorded runs", "report", "backbone", "checkpoint", "kept tables", "catalogue",
    "labels", "columns", "description",
]  # fmt: skip


@pytest.fixture(scope="module")
def subjects(store_path, backbone_folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HSIFEAT_CACHE", str(tmp_path_factory.mktemp("cache")))
        made = make_subjects(store_path, backbone_folder, tmp_path_factory.mktemp("fuzz"), patch)
        yield {subject.name: subject for subject in made}


@pytest.mark.parametrize("name", NAMES)
def test_damages_are_found_or_harmless(subjects, tmp_path, name):
    trials = FEWER.get(name, TRIALS)
    tally = run_trials(subjects[name], range(trials), tmp_path)
    assert tally.faults == []
    assert sum(tally.outcomes.values()) == trials
    assert set(subjects) == set(NAMES)


def test_there_are_five_hundred_trials():
    assert sum(FEWER.get(name, TRIALS) for name in NAMES) >= 500


def test_a_trial_without_an_end_is_a_fault_with_a_name(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_text("3")

    def wait_if_damaged(folder):
        while not (folder / "x.txt").exists() or (folder / "x.txt").read_text() != "3":
            with suppress(Exception):
                time.sleep(0.01)
        return 3

    tally = run_trials(Subject("waiter", tmp_path / "a", wait_if_damaged), range(4), tmp_path / "b", limit_s=0.1)
    assert tally.faults and all(
        "no end within 0.1 s" in fault and fault.startswith("waiter ") for fault in tally.faults
    )


def test_a_checksum_without_a_name_misses_exchanged_files(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    for name in ("x", "y"):
        content = name.encode() * 99
        (folder / f"{name}.bin").write_bytes(hashlib.sha256(content).digest() + content)

    def read(copy):
        try:
            values = [(copy / f"{name}.bin").read_bytes() for name in ("x", "y")]
        except OSError as error:
            raise SealError("missing") from error
        if any(hashlib.sha256(value[32:]).digest() != value[:32] for value in values):
            raise SealError("damaged")
        return values

    faults = run_trials(Subject("reader", folder, read), range(40), tmp_path / "place").faults
    assert {re.search(r"\((\w+)", fault)[1] for fault in faults} >= {"exchange", "overwrite"}
    assert all(
        re.search(r"\((exchange|overwrite|swap|duplicate) .*other values, and no error", fault) for fault in faults
    )


def test_a_folder_that_leads_out_is_a_fault_of_what_follows_it(tmp_path):
    """A trial detects that files outside of the folder change, because damaged links and paths in JSON lead to these files."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "x.txt").write_text("3")
    (folder / "y.json").write_text('{"file": "x.txt", "known": {"x.txt": 3}}')

    def follow(copy):
        paths = [*copy.rglob("*")]
        with suppress(Exception):
            content = json.loads((copy / "b" / "y.json").read_bytes())
            paths += [copy / name for name in (content.get("file"), *content.get("known", []))]
        for path in paths:
            if path.resolve().name in {"notes.txt", "new.txt"}:
                with suppress(OSError):
                    path.write_text("4")

    tally = run_trials(Subject("follower", tmp_path / "a", follow), range(40), tmp_path / "place")
    assert {fault.rpartition(": ")[2] for fault in tally.faults} == {"something outside was changed"}
    assert {"link" in fault for fault in tally.faults} == {True, False}
    kept = Subject("kept", tmp_path / "a", follow, is_handed_over=False)
    assert run_trials(kept, range(40), tmp_path / "other").faults == []
