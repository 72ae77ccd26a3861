"""Seeded damages of everything that is kept on disk are found or harmless; `benchmarks/fuzz.py` runs many more."""

import pytest

from tests.helpers.fuzz import run_trials
from tests.helpers.fuzz_subjects import make_subjects

TRIALS = 40
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
