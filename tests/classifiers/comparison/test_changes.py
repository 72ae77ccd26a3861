"""Changes from a baseline report, against SciPy and a bootstrap transcribed pixel by pixel; which baselines are refused."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage, stats

from classifiers import compare
from classifiers.comparison.baseline import Baseline
from classifiers.comparison.changes import detect_changes
from classifiers.comparison.report.change_table import change_verdict
from classifiers.comparison.results.differences import EntryChange
from classifiers.comparison.results.results_io import write_json
from classifiers.comparison.run_records import RunRecords, run_key
from classifiers.layout import Layout
from classifiers.splits import parse_split
from hsifeat.errors import HsifeatError
from hsifeat.features.scene_set import SceneSet
from hsifeat.scenes import Labels
from tests.helpers.comparisons import build, entry, scored_run, with_runs
from tests.helpers.small import small_labels

SPLIT = "random:0.2"
NAMES = {1: "corn", 2: "wheat", 3: "woods", 4: "grass"}
LABELS = Labels("fields", small_labels(), NAMES)
SVM, FILM = entry("", "spectra", "svm"), entry("ip", "planes", "film")


def recorded(folder, wrong, *, seeds=4, labels=LABELS, split=SPLIT, draws_from=0, salt=0):
    """Record runs of entries. `wrong` maps each entry to the share of wrong pixels. Return the runs and their records."""
    run_records, runs = RunRecords(folder / "record"), []
    for seed in range(seeds):
        draw = parse_split(split).draw(labels, seed + draws_from)
        name = run_records.add_draw(draw, labels)
        truth = run_records.read_draw(name)["truth"]
        for index, (who, share) in enumerate(wrong.items()):
            random = np.random.default_rng([seed, index, salt])
            predicted = np.where(random.random(len(truth)) < share, truth % 4 + 1, truth)
            key = run_key(str(folder), Layout(()), {"name": who.head, "entry": str(who), "salt": salt}, name, seed)
            runs.append(scored_run(who, split, seed, truth, predicted, key=key, draw=name))
            run_records.add(runs[-1], predicted)
    return runs, run_records


def baseline(folder, wrong, *, labels=LABELS, change=lambda run: run, **options):
    """Record runs and write their results.json."""
    runs, _ = recorded(folder, wrong, labels=labels, **options)
    comparison = with_runs(build()[0], [change(run) for run in runs])
    write_json(comparison.model_copy(update={"class_names": labels.class_names}), folder / "results.json")
    return Baseline.read(folder / "results.json")


def stepped_down(p):
    """Transcribe Holm's procedure."""
    corrected, highest = [0.0] * len(p), 0.0
    for location, k in enumerate(sorted(range(len(p)), key=lambda k: p[k])):
        highest = max(highest, min(1.0, (len(p) - location) * p[k]))
        corrected[k] = highest
    return corrected


def drawn_differences(runs, run_records, baseline, old, count=8_000):
    """Transcribe the bootstrap over seeds and fields, pixel by pixel and by other random numbers."""
    random, fields = np.random.default_rng(99), np.zeros(LABELS.classes.shape, int)
    for number in range(1, 5):
        regions, _ = ndimage.label(LABELS.classes == number, np.ones((3, 3)))
        fields += np.where(regions > 0, regions + fields.max(), 0)
    times = random.multinomial(fields.max(), np.full(fields.max(), 1 / fields.max()), count)
    gains = []
    for new, run in zip(runs, old, strict=True):
        draw = run_records.read_draw(new.draw)
        weights = times[:, fields.flat[draw["test"]] - 1]
        predicted = run_records.read_predictions(new.key), baseline.predictions(run)
        gain = (predicted[0] == draw["truth"]).astype(int) - (predicted[1] == draw["truth"])
        gains.append(weights @ gain / weights.sum(axis=1))
    seeds = random.integers(0, len(gains), (count, len(gains)))
    return np.take_along_axis(np.stack(gains, axis=1), seeds, axis=1).mean(axis=1)


def test_a_change_is_tested_over_seeds_and_regions(tmp_path):
    before = baseline(tmp_path / "old", {SVM: 0.3, FILM: 0.3})
    runs, run_records = recorded(tmp_path / "new", {SVM: 0.28, FILM: 0.2})
    changes = detect_changes(runs, run_records, LABELS, before)
    assert [(c.entry, c.test, c.seeds) for c in changes] == [(SVM, "bootstrap", 4), (FILM, "bootstrap", 4)]
    for c in changes:
        old, new = ([r for r in of if r.entry == c.entry] for of in (before.runs, runs))
        assert c.before == pytest.approx(np.mean([r.oa for r in old]))
        assert c.after == pytest.approx(np.mean([r.oa for r in new]))
        gains = drawn_differences(new, run_records, before, old)
        assert (c.low, c.high) == pytest.approx(tuple(np.quantile(gains, [0.025, 0.975])), abs=0.004)
        assert c.p == pytest.approx(2 * min(np.mean(gains <= 0), np.mean(gains >= 0)), abs=0.02)
    assert [c.p_holm for c in changes] == pytest.approx(stepped_down([c.p for c in changes]))
    assert changes[0].low < 0 < changes[0].high or changes[0].p_holm < 0.05
    start = f"film on planes of ip under {SPLIT}: OA {100 * changes[1].before:.1f} to {100 * changes[1].after:.1f} %, "
    assert changes[1].verdict.startswith(start) and ": beyond noise (bootstrap over 4 seeds and 5" in changes[1].verdict
    assert "ground" not in changes[1].verdict


def test_noise_and_unchanged_scores_are_recognised(tmp_path):
    before = baseline(tmp_path / "old", {SVM: 0.3, FILM: 0.2})
    same, _ = recorded(tmp_path / "same", {SVM: 0.3, FILM: 0.2})
    svm, film = detect_changes(same, RunRecords(tmp_path / "same" / "record"), LABELS, before)
    for c in (svm, film):
        assert (c.low, c.high, c.p) == (0, 0, 1) and ": unchanged, OA " in c.verdict
    runs, run_records = recorded(tmp_path / "new", {SVM: 0.3, FILM: 0.2}, salt=1)
    svm, film = detect_changes(runs, run_records, LABELS, before)
    assert all(": within noise" in c.verdict and c.low < 0 < c.high for c in (svm, film))


def test_identical_runs_do_not_count_as_tests(tmp_path):
    before = baseline(tmp_path / "old", {SVM: 0.3, FILM: 0.3})
    runs, run_records = recorded(tmp_path / "old", {FILM: 0.3}, salt=1)
    again = [r for r in before.runs if r.entry == SVM]
    svm, film = detect_changes([*again, *runs], run_records, LABELS, before)
    assert (svm.p, svm.p_holm) == (1, None) and ": unchanged, OA " in svm.verdict
    assert film.p_holm == film.p < 1


def test_the_only_unmatched_store_of_each_report_is_taken_for_renamed(tmp_path):
    kept, old, new = (entry(store, "planes", "svm") for store in ("kept", "old", "new"))
    before = baseline(tmp_path / "old", {kept: 0.3, old: 0.3, SVM: 0.3})
    runs, run_records = recorded(tmp_path / "new", {new: 0.2, kept: 0.3, SVM: 0.3})
    found = {c.entry: c for c in detect_changes(runs, run_records, LABELS, before)}
    assert found.keys() == {new, kept, SVM}
    assert (found[new].store_before, found[kept].store_before) == ("old", "")
    assert found[new].verdict.startswith(f"svm on planes of new under {SPLIT} (old before, new after): OA 7")


def test_several_unmatched_stores_are_not_paired(tmp_path):
    a, b, c = (entry(store, "planes", "svm") for store in "abc")
    before = baseline(tmp_path / "old", {a: 0.3})
    runs, run_records = recorded(tmp_path / "new", {b: 0.3, c: 0.3})
    assert {change.entry: change.verdict for change in detect_changes(runs, run_records, LABELS, before)} == {
        a: f"svm on planes of a under {SPLIT}: only in the baseline",
        b: f"svm on planes of b under {SPLIT}: only in this report",
        c: f"svm on planes of c under {SPLIT}: only in this report",
    }


def test_a_missing_entry_keeps_the_name_of_its_store(tmp_path):
    before = baseline(tmp_path / "old", {entry("old", "planes", head): 0.3 for head in ("svm", "lda")})
    runs, run_records = recorded(tmp_path / "new", {entry("new", "planes", "svm"): 0.3})
    _, gone = detect_changes(runs, run_records, LABELS, before)
    assert (gone.entry.store, gone.before is None, gone.after) == ("old", False, None)


def damage(name):
    """Return a function that damages the file with the predictions of the baseline, in the way that `name` states."""

    def missing(file):
        file.unlink()

    def pickled(file):
        np.save(file, np.array([print], object), allow_pickle=True)

    def short(file):
        np.save(file, np.load(file)[:-1])

    def torn(file):
        file.write_bytes(file.read_bytes()[:-100])  # beyond the seal

    return {"missing": missing, "pickled": pickled, "short": short, "torn": torn}[name]


@pytest.mark.parametrize("how", ["missing", "pickled", "short", "torn", "path"])
def test_without_the_predictions_of_the_baseline_a_t_test_over_seeds_is_used(tmp_path, how):
    outside = lambda r: r.model_copy(update={"key": f"../predictions/{r.key}"})  # noqa: E731
    before = baseline(tmp_path / "old", {SVM: 0.3, FILM: 0.3}, change=outside if how == "path" else lambda r: r)
    if how != "path":
        for file in (tmp_path / "old" / "record" / "predictions").iterdir():
            damage(how)(file)
    runs, run_records = recorded(tmp_path / "new", {SVM: 0.29, FILM: 0.1})
    changes = detect_changes(runs, run_records, LABELS, before)
    for c in changes:
        old, new = ([r.oa for r in of if r.entry == c.entry] for of in (before.runs, runs))
        assert (c.test, c.seeds, c.low, c.high) == ("paired", 4, None, None)
        assert c.p == pytest.approx(stats.ttest_rel(new, old).pvalue)
        assert c.verdict.endswith("this does not generalise to unseen areas")
        assert "since the baseline lacks recorded predictions" in c.verdict
    assert [c.p_holm for c in changes] == pytest.approx(stepped_down([c.p for c in changes]))
    assert "beyond the variation over seeds (paired t-test over 4 seeds" in changes[1].verdict


def test_other_draws_are_compared_by_welchs_test(tmp_path):
    before = baseline(tmp_path / "old", {SVM: 0.3})
    runs, run_records = recorded(tmp_path / "new", {SVM: 0.3}, draws_from=7)
    (change,) = detect_changes(runs, run_records, LABELS, before)
    old, new = ([r.oa for r in of] for of in (before.runs, runs))
    assert change.test == "Welch" and change.p == pytest.approx(stats.ttest_ind(new, old, equal_var=False).pvalue)
    assert "(Welch's t-test over 4 seeds, since the draws differ; Holm-corrected p " in change.verdict
    assert change.verdict.endswith("does not generalise to unseen areas")


def test_few_regions_leave_a_t_test(tmp_path):
    few = Labels("fields", np.repeat([[1] * 40, [0] * 40, [2] * 40], 10, axis=0), {1: "corn", 2: "wheat"})
    before = baseline(tmp_path / "old", {SVM: 0.3}, labels=few)
    runs, run_records = recorded(tmp_path / "new", {SVM: 0.2}, labels=few)
    (change,) = detect_changes(runs, run_records, few, before)
    assert change.test == "paired" and "since the test pixels lie in fewer than 10 regions" in change.verdict


def test_one_seed_is_not_tested(tmp_path):
    before = baseline(tmp_path / "old", {SVM: 0.3}, seeds=1)
    runs, run_records = recorded(tmp_path / "new", {SVM: 0.1}, seeds=1)
    (change,) = detect_changes(runs, run_records, LABELS, before)
    assert change.p is None and change.verdict.endswith("; not testable with one draw")


def test_seeds_with_one_draw_are_not_tested_over_seeds(tmp_path):
    """A mask gives the same pixels for every seed, and `lda` the same classes: a t-test over copies would have p = 0."""
    few = Labels("fields", np.repeat([[1] * 40, [0] * 40, [2] * 40], 10, axis=0), {1: "corn", 2: "wheat"})
    np.save(tmp_path / "train.npy", (np.arange(40) < 20) * (few.classes > 0))
    options = {"labels": few, "split": f"mask:{tmp_path / 'train.npy'}"}
    before = baseline(tmp_path / "old", {SVM: 0.3}, **options)
    runs, run_records = recorded(tmp_path / "new", {SVM: 0.2}, **options)
    assert len({run.draw for run in runs}) == 1 and len(runs) == 4
    (change,) = detect_changes(runs, run_records, few, before)
    assert change.p is None and change.verdict.endswith("; not testable with one draw")


def test_seeds_that_only_one_has_are_left_out(tmp_path):
    before = baseline(tmp_path / "old", {SVM: 0.3}, seeds=2)
    runs, run_records = recorded(tmp_path / "new", {SVM: 0.2}, seeds=4)
    (change,) = detect_changes(runs, run_records, LABELS, before)
    assert (change.test, change.seeds) == ("bootstrap", 2)
    assert change.after == pytest.approx(np.mean([r.oa for r in runs[:2]]))
    assert f" to {100 * np.mean([r.oa for r in runs[:2]]):.1f} % over the 2 compared seeds, " in change.verdict
    schema = EntryChange.model_json_schema()["properties"]
    assert all("over the compared seeds" in schema[side]["description"] for side in ("before", "after"))


def test_other_numbers_of_training_pixels_are_stated(tmp_path):
    """A split that was thinned to match another one had 63 training pixels, and the same split 667 without the other one."""
    before = baseline(
        tmp_path / "old", {SVM: 0.3}, change=lambda run: run.model_copy(update={"train_pixels": 63 + run.seed})
    )
    runs, run_records = recorded(tmp_path / "new", {SVM: 0.2}, draws_from=7)
    runs = [run.model_copy(update={"train_pixels": 667}) for run in runs]
    (change,) = detect_changes(runs, run_records, LABELS, before)
    assert (change.train_pixels_before, change.train_pixels) == (64.5, 667)
    assert "points with other training pixels (64 training pixels before, 667 now): beyond" in change.verdict
    assert change_verdict(change).endswith("; 64 training pixels before, 667 now")
    (change,) = detect_changes(
        runs,
        run_records,
        LABELS,
        baseline(tmp_path / "same", {SVM: 0.3}, change=lambda run: run.model_copy(update={"train_pixels": 667})),
    )
    assert (
        EntryChange.pixels_text.fget(change.model_copy(update={"train_pixels": 64.5, "train_pixels_before": 64.25}))
        == "64.25 training pixels before, 64.50 now"
    )
    assert change.train_pixels is None and "training pixels" not in change.verdict + change_verdict(change)


@pytest.mark.parametrize(("old_seeds", "new_seeds"), [(3, 4), (1, 4), (4, 2)])
def test_reports_of_other_draws_and_other_numbers_of_seeds_state_both(tmp_path, old_seeds, new_seeds):
    before = baseline(tmp_path / "old", {SVM: 0.3}, seeds=old_seeds)
    runs, run_records = recorded(tmp_path / "new", {SVM: 0.2}, seeds=new_seeds, draws_from=7)
    (change,) = detect_changes(runs, run_records, LABELS, before)
    assert (change.seeds_before, change.seeds) == (old_seeds, new_seeds)
    assert change.before == pytest.approx(np.mean([r.oa for r in before.runs]))
    assert change.after == pytest.approx(np.mean([r.oa for r in runs]))
    tested = f"(Welch's t-test over {old_seeds} seeds before and {new_seeds} after, since the draws differ; "
    assert (tested in change.verdict) is (old_seeds > 1)


@pytest.fixture
def report(tmp_path, features):
    """Give a function that writes a baseline report on the small store, with its document changed."""

    def write(labels=LABELS, **changes):
        baseline(tmp_path, {SVM: 0.3}, labels=labels)
        document = json.loads((tmp_path / "results.json").read_text())
        del document["seal"]  # as the schema asks of those who edit the file
        scene = {
            **document["scene"],
            "name": features.scene.name,
            "rows": 75,
            "cols": 53,
            "bands": 12,
            "labels": "fields",
        }
        stores = [{**document["stores"][0], "recipe": features.recipe}]
        (tmp_path / "results.json").write_text(json.dumps({**document, "scene": scene, "stores": stores, **changes}))
        return Baseline.read(tmp_path / "results.json")

    return write


def test_the_same_scene_and_labels_are_accepted(report, features):
    report().check(SceneSet([features]), features.labels())
    without_digest = [{**json.loads(report().results.stores[0].model_dump_json()), "recipe": {}}]
    report(stores=without_digest).check(SceneSet([features]), features.labels())


def test_another_scene_is_refused(report, features):
    stores = json.loads(report().results.model_dump_json())["stores"]
    other = [{**stores[0], "recipe": {**features.recipe, "scene": "ab" * 32}}]
    with pytest.raises(
        HsifeatError, match=f"and small are of different scenes: digest {'ab' * 6} before, [0-9a-f]{{12}} now"
    ):
        report(stores=other).check(SceneSet([features]), features.labels())
    scene = {**report().results.scene.model_dump(), "name": "pavia", "rows": 610}
    with pytest.raises(
        HsifeatError, match="different scenes: name pavia before, small now; rows 610 before, 75 now; pass `baseline`"
    ):
        report(stores=[{**stores[0], "recipe": {}}], scene=scene).check(SceneSet([features]), features.labels())


@pytest.mark.parametrize(
    ("names", "differ"),
    [
        pytest.param({**NAMES, 3: "forest"}, "class 3 forest before, woods now;", id="name"),
        pytest.param({**NAMES, 5: "road"}, "class 5 road before, none now;", id="class"),
        pytest.param(
            dict.fromkeys(range(1, 7), "x"),
            "class 1 x before, corn now; class 2 x before, wheat now; class 3 x before, woods now; and 3 more;",
            id="many",
        ),
    ],
)
def test_other_classes_are_refused(report, features, names, differ):
    with pytest.raises(HsifeatError, match=rf"and small have different labels \(fields and fields\): {differ}"):
        report(class_names={str(k): v for k, v in names.items()}).check(SceneSet([features]), features.labels())


def test_other_labels_of_the_same_classes_are_refused(report, features):
    classes = LABELS.classes.copy()
    classes[classes == 1] = 2
    classes[0, 0] = 1
    other = replace(LABELS, classes=classes)
    with pytest.raises(HsifeatError, match=r"\d+ of \d+ test pixels had another class before"):
        report(labels=other).check(SceneSet([features]), features.labels())


def packed(**arrays):
    data = io.BytesIO()
    np.savez_compressed(data, **arrays)
    return data.getvalue()


def lying(pixels):
    """Return an archive with arrays whose headers state `pixels` values, although the arrays hold one value."""
    data, header = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (pixels,)})
    with zipfile.ZipFile(data, "w") as archive:
        for name in ("test.npy", "truth.npy"):
            archive.writestr(name, header.getvalue() + bytes(8))
    return data.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"no archive", id="text"),
        pytest.param(packed(test=np.array([print], object), truth=np.array([1])), id="pickled"),
        pytest.param(packed(test=np.array([1])), id="no truth"),
        pytest.param(packed(test=np.array([10**9]), truth=np.array([1])), id="outside"),
        pytest.param(packed(test=np.array([-1]), truth=np.array([1])), id="negative"),
        pytest.param(packed(test=np.zeros(10**6, int), truth=np.zeros(10**6, int)), id="too large"),
        pytest.param(lying(2**60), id="lying"),
    ],
)
def test_damaged_or_forged_draws_are_ignored(report, features, tmp_path, content):
    before = report()
    for file in (tmp_path / "record" / "draws").iterdir():
        file.write_bytes(content)
    before.check(SceneSet([features]), features.labels())


def test_a_wrong_baseline_is_refused_before_anything_runs(report, store_path, tmp_path):
    report(class_names={"1": "corn"})
    with pytest.raises(HsifeatError, match="have different labels"):
        compare(
            store_path,
            heads=["lda"],
            inputs=["spectra"],
            baseline=tmp_path / "results.json",
            out=tmp_path / "none",
            sweep=False,
        )
    (tmp_path / "old.json").write_text('{"schema_version": 1, "scene": {}}')
    with pytest.raises(
        HsifeatError, match=r"old.json is not a results.json of hsifeat bench: scene.name: Field required"
    ):
        compare(store_path, heads=["lda"], baseline=tmp_path / "old.json", out=tmp_path / "none", sweep=False)
    assert not (tmp_path / "none").exists()
