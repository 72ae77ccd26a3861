"""What changed since an older comparison, against SciPy and a bootstrap transcribed pixel by pixel; which are refused."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage, stats

from classifiers import compare
from classifiers.comparison.baseline import Baseline
from classifiers.comparison.changes import since
from classifiers.comparison.results.results_io import write_json
from classifiers.comparison.results.run import Entry, Run, RunResult
from classifiers.comparison.run_store import RunStore, draw_key, run_key
from classifiers.layout import Layout
from classifiers.metrics import score_predictions
from classifiers.splits import parse_split
from hsifeat.errors import HsifeatError
from hsifeat.scenes import Labels
from tests.helpers.comparisons import build
from tests.helpers.small import small_labels

SPLIT = "random:0.2"
NAMES = {1: "corn", 2: "wheat", 3: "woods", 4: "grass"}
LABELS = Labels("fields", small_labels(), NAMES)
SVM, FILM = Entry("", "spectra", "svm"), Entry("ip", "planes", "film")


def recorded(folder, wrong, *, seeds=4, labels=LABELS, split=SPLIT, draws_from=0, salt=0):
    """Record runs of entries that have a share of the pixels wrong: {entry: share}. Return them and the record."""
    record, results = RunStore(folder / "record"), []
    for seed in range(seeds):
        draw = parse_split(split).draw(labels, seed + draws_from)
        name = draw_key(draw, labels)
        record.add_draw(name, draw, labels)
        truth = record.read_draw(name)["truth"]
        for at, (entry, share) in enumerate(wrong.items()):
            random = np.random.default_rng([seed, at, salt])
            predicted = np.where(random.random(len(truth)) < share, truth % 4 + 1, truth)
            key = run_key(str(folder), Layout(()), {"name": entry.head, "entry": str(entry), "salt": salt}, name, seed)
            facts = score_predictions(truth, predicted), int(draw.train.sum()), len(truth), (), 0.1, 0.1
            results.append(RunResult(Run(entry, split, seed), *facts, key=key, draw=name))
            record.add(results[-1], predicted)
    return results, record


def older(folder, wrong, *, labels=LABELS, change=lambda result: result, **options):
    """Record runs and write their results.json."""
    results, _ = recorded(folder, wrong, labels=labels, **options)
    comparison = replace(build()[0], results=[change(r) for r in results], class_names=labels.class_names)
    write_json(comparison, folder / "results.json")
    return Baseline.read(folder / "results.json")


def stepped_down(p):
    """Transcribe Holm's procedure."""
    corrected, highest = [0.0] * len(p), 0.0
    for location, k in enumerate(sorted(range(len(p)), key=lambda k: p[k])):
        highest = max(highest, min(1.0, (len(p) - location) * p[k]))
        corrected[k] = highest
    return corrected


def drawn_differences(results, record, before, count=8_000):
    """Transcribe the bootstrap over seeds and fields, pixel by pixel and by other random numbers."""
    random, fields = np.random.default_rng(99), np.zeros(LABELS.classes.shape, int)
    for number in range(1, 5):
        regions, _ = ndimage.label(LABELS.classes == number, np.ones((3, 3)))
        fields += np.where(regions > 0, regions + fields.max(), 0)
    times = random.multinomial(fields.max(), np.full(fields.max(), 1 / fields.max()), count)
    gains = []
    for new, old in zip(results, before.results, strict=True):
        draw = record.read_draw(new.draw)
        weights = times[:, fields.flat[draw["test"]] - 1]
        predicted = record.read_predictions(new.key), before.predictions(old)
        gain = (predicted[0] == draw["truth"]).astype(int) - (predicted[1] == draw["truth"])
        gains.append(weights @ gain / weights.sum(axis=1))
    seeds = random.integers(0, len(gains), (count, len(gains)))
    return np.take_along_axis(np.stack(gains, axis=1), seeds, axis=1).mean(axis=1)


def test_a_change_is_judged_over_seeds_and_fields(tmp_path):
    before = older(tmp_path / "old", {SVM: 0.3, FILM: 0.3})
    results, record = recorded(tmp_path / "new", {SVM: 0.28, FILM: 0.2})
    changes = since(results, record, LABELS, before)
    assert [(c.entry, c.test, c.seeds) for c in changes] == [(SVM, "bootstrap", 4), (FILM, "bootstrap", 4)]
    for c in changes:
        old, new = ([r for r in of if r.run.entry == c.entry] for of in (before.results, results))
        assert c.before == pytest.approx(np.mean([r.scores.oa for r in old]))
        assert c.after == pytest.approx(np.mean([r.scores.oa for r in new]))
        gains = drawn_differences(new, record, replace(before, document={**before.document, "results": [r.to_json() for r in old]}))  # fmt: skip
        assert (c.low, c.high) == pytest.approx(tuple(np.quantile(gains, [0.025, 0.975])), abs=0.004)
        assert c.p == pytest.approx(2 * min(np.mean(gains <= 0), np.mean(gains >= 0)), abs=0.02)
    assert [c.p_holm for c in changes] == pytest.approx(stepped_down([c.p for c in changes]))
    assert changes[0].low < 0 < changes[0].high or changes[0].p_holm < 0.05
    said = f"film on planes of ip on {SPLIT}: OA {100 * changes[1].before:.1f} to {100 * changes[1].after:.1f} %, "
    assert (
        changes[1].verdict.startswith(said) and ": more than noise (bootstrap over 4 seeds and 5" in changes[1].verdict
    )
    assert "ground" not in changes[1].verdict


def test_noise_is_told_and_so_is_what_stayed_the_same(tmp_path):
    before = older(tmp_path / "old", {SVM: 0.3, FILM: 0.2})
    same, _ = recorded(tmp_path / "same", {SVM: 0.3, FILM: 0.2})
    svm, film = since(same, RunStore(tmp_path / "same" / "record"), LABELS, before)
    for c in (svm, film):
        assert (c.low, c.high, c.p) == (0, 0, 1) and ": the same, OA " in c.verdict
    results, record = recorded(tmp_path / "new", {SVM: 0.3, FILM: 0.2}, salt=1)
    svm, film = since(results, record, LABELS, before)
    assert all("can't be told from noise" in c.verdict and c.low < 0 < c.high for c in (svm, film))


def test_runs_that_are_the_very_same_are_no_tests_to_correct_for(tmp_path):
    before = older(tmp_path / "old", {SVM: 0.3, FILM: 0.3})
    results, record = recorded(tmp_path / "old", {FILM: 0.3}, salt=1)
    again = [r for r in before.results if r.run.entry == SVM]
    svm, film = since([*again, *results], record, LABELS, before)
    assert (svm.p, svm.p_holm) == (1, None) and ": the same, OA " in svm.verdict
    assert film.p_holm == film.p < 1


def test_the_only_store_that_is_left_on_each_side_is_the_same_under_another_name(tmp_path):
    kept, old, new = (Entry(store, "planes", "svm") for store in ("kept", "old", "new"))
    before = older(tmp_path / "old", {kept: 0.3, old: 0.3, SVM: 0.3})
    results, record = recorded(tmp_path / "new", {new: 0.2, kept: 0.3, SVM: 0.3})
    found = {c.entry: c for c in since(results, record, LABELS, before)}
    assert found.keys() == {new, kept, SVM}
    assert (found[new].store_before, found[kept].store_before) == ("old", "")
    assert found[new].verdict.startswith(f"svm on planes of new on {SPLIT} (old before, new after): OA 7")


def test_more_stores_than_one_are_not_guessed_at(tmp_path):
    a, b, c = (Entry(store, "planes", "svm") for store in "abc")
    before = older(tmp_path / "old", {a: 0.3})
    results, record = recorded(tmp_path / "new", {b: 0.3, c: 0.3})
    assert {change.entry: change.verdict for change in since(results, record, LABELS, before)} == {
        a: f"svm on planes of a on {SPLIT}: only in the older comparison",
        b: f"svm on planes of b on {SPLIT}: only in the newer comparison",
        c: f"svm on planes of c on {SPLIT}: only in the newer comparison",
    }


def test_what_is_gone_keeps_the_name_of_its_store(tmp_path):
    before = older(tmp_path / "old", {Entry("old", "planes", head): 0.3 for head in ("svm", "lda")})
    results, record = recorded(tmp_path / "new", {Entry("new", "planes", "svm"): 0.3})
    _, gone = since(results, record, LABELS, before)
    assert (gone.entry.store, gone.before is None, gone.after) == ("old", False, None)


def damage(name):
    """Make the older predictions something that must not be used."""

    def missing(file):
        file.unlink()

    def pickled(file):
        np.save(file, np.array([print], object), allow_pickle=True)

    def short(file):
        np.save(file, np.load(file)[:-1])

    def torn(file):
        file.write_bytes(file.read_bytes()[:-1])

    return {"missing": missing, "pickled": pickled, "short": short, "torn": torn}[name]


@pytest.mark.parametrize("how", ["missing", "pickled", "short", "torn", "path"])
def test_without_the_older_predictions_it_is_a_t_test_over_seeds_which_says_so(tmp_path, how):
    outside = lambda r: replace(r, key=f"../predictions/{r.key}")  # noqa: E731
    before = older(tmp_path / "old", {SVM: 0.3, FILM: 0.3}, change=outside if how == "path" else lambda r: r)
    if how != "path":
        for file in (tmp_path / "old" / "record" / "predictions").iterdir():
            damage(how)(file)
    results, record = recorded(tmp_path / "new", {SVM: 0.29, FILM: 0.1})
    changes = since(results, record, LABELS, before)
    for c in changes:
        old, new = ([r.scores.oa for r in of if r.run.entry == c.entry] for of in (before.results, results))
        assert (c.test, c.seeds, c.low, c.high) == ("paired", 4, None, None)
        assert c.p == pytest.approx(stats.ttest_rel(new, old).pvalue)
        assert c.verdict.endswith("this is over seeds only and says nothing of other ground")
        assert "since the older report lacks recorded predictions" in c.verdict
    assert [c.p_holm for c in changes] == pytest.approx(stepped_down([c.p for c in changes]))
    assert "more than the noise of seeds (t-test paired over 4 seeds" in changes[1].verdict


def test_other_draws_are_compared_by_welchs_test(tmp_path):
    before = older(tmp_path / "old", {SVM: 0.3})
    results, record = recorded(tmp_path / "new", {SVM: 0.3}, draws_from=7)
    (change,) = since(results, record, LABELS, before)
    old, new = ([r.scores.oa for r in of] for of in (before.results, results))
    assert change.test == "Welch" and change.p == pytest.approx(stats.ttest_ind(new, old, equal_var=False).pvalue)
    assert "(Welch's t-test over 4 seeds, since the draws are others; Holm-corrected p " in change.verdict
    assert change.verdict.endswith("says nothing of other ground")


def test_few_fields_leave_a_t_test(tmp_path):
    few = Labels("fields", np.repeat([[1] * 40, [0] * 40, [2] * 40], 10, axis=0), {1: "corn", 2: "wheat"})
    before = older(tmp_path / "old", {SVM: 0.3}, labels=few)
    results, record = recorded(tmp_path / "new", {SVM: 0.2}, labels=few)
    (change,) = since(results, record, few, before)
    assert change.test == "paired" and "since the test pixels lie in fewer than 10 fields" in change.verdict


def test_one_seed_cannot_tell_a_change(tmp_path):
    before = older(tmp_path / "old", {SVM: 0.3}, seeds=1)
    results, record = recorded(tmp_path / "new", {SVM: 0.1}, seeds=1)
    (change,) = since(results, record, LABELS, before)
    assert change.p is None and change.verdict.endswith("; one seed can't tell whether that is more than noise")


def test_seeds_that_only_one_has_are_left_out(tmp_path):
    before = older(tmp_path / "old", {SVM: 0.3}, seeds=2)
    results, record = recorded(tmp_path / "new", {SVM: 0.2}, seeds=4)
    (change,) = since(results, record, LABELS, before)
    assert (change.test, change.seeds) == ("bootstrap", 2)
    assert change.after == pytest.approx(np.mean([r.scores.oa for r in results[:2]]))


@pytest.fixture
def report(tmp_path, features):
    """Give a function that writes an older report of the small store, with its document changed."""

    def write(labels=LABELS, **changes):
        older(tmp_path, {SVM: 0.3}, labels=labels)
        document = json.loads((tmp_path / "results.json").read_text())
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
    report().check(features, features.labels())
    without_digest = [{**report().document["stores"][0], "recipe": {}}]
    report(stores=without_digest).check(features, features.labels())


def test_another_scene_is_refused(report, features):
    stores = report().document["stores"]
    other = [{**stores[0], "recipe": {**features.recipe, "scene": "ab" * 32}}]
    with pytest.raises(
        HsifeatError, match=f"is of another scene than small: digest {'ab' * 6} before, [0-9a-f]{{12}} now"
    ):
        report(stores=other).check(features, features.labels())
    scene = {**report().document["scene"], "name": "pavia", "rows": 610}
    with pytest.raises(
        HsifeatError, match="scene than small: name pavia before, small now; rows 610 before, 75 now; give"
    ):
        report(stores=[{**stores[0], "recipe": {}}], scene=scene).check(features, features.labels())


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
    with pytest.raises(HsifeatError, match=rf"is of other labels \(fields\) than those of small \(fields\): {differ}"):
        report(class_names={str(k): v for k, v in names.items()}).check(features, features.labels())


def test_other_labels_of_the_same_classes_are_refused(report, features):
    classes = LABELS.classes.copy()
    classes[classes == 1] = 2
    classes[0, 0] = 1
    other = replace(LABELS, classes=classes)
    with pytest.raises(HsifeatError, match=r"\d+ of \d+ test pixels had another class before"):
        report(labels=other).check(features, features.labels())


def packed(**arrays):
    data = io.BytesIO()
    np.savez_compressed(data, **arrays)
    return data.getvalue()


def lying(pixels):
    """An archive whose array says that it has so many values and has one."""
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
def test_draws_that_are_none_are_not_believed(report, features, tmp_path, content):
    before = report()
    for file in (tmp_path / "record" / "draws").iterdir():
        file.write_bytes(content)
    before.check(features, features.labels())


def test_a_wrong_older_report_is_told_before_anything_runs(report, store_path, tmp_path):
    report(class_names={"1": "corn"})
    with pytest.raises(HsifeatError, match="is of other labels"):
        compare(store_path, heads=["lda"], inputs=["spectra"], older=tmp_path / "results.json", out=tmp_path / "none")
    (tmp_path / "old.json").write_text('{"schema_version": 2, "scene": {}}')
    with pytest.raises(
        HsifeatError, match=r"old.json is no comparison that hsifeat bench wrote: scene.name: Field required"
    ):
        compare(store_path, heads=["lda"], older=tmp_path / "old.json", out=tmp_path / "none")
    assert not (tmp_path / "none").exists()
