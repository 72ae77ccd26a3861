"""Seeded damages of everything that is kept on disk are found or harmless; `benchmarks/fuzz.py` runs many more."""

import time
from contextlib import suppress

import pytest

from tests.helpers.fuzz import Subject, run_trials
from tests.helpers.fuzz_subjects import make_subjects

# 500 trials in all, of a sequence that the program continues.
TRIALS = 31
FEWER = {"store verified": 10}  # `tests/store/test_verify.py` makes more.
NAMES = [
    "store", "store verified", "store sealed again", "model lda", "model lightgbm", "model svm", "model lda sealed again",
    "model lightgbm sealed again", "model svm sealed again", "recorded runs", "report", "backbone", "kept tables", "catalogue",
    "labels", "columns", "description",
]  # fmt: skip


@pytest.fixture(scope="module")
def subjects(store_path, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HSIFEAT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield {subject.name: subject for subject in make_subjects(store_path, tmp_path_factory.mktemp("fuzz"), patch)}


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
