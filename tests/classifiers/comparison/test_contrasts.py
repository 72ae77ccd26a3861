"""Planned contrasts follow from the stores and inputs, and a missing twin comes with the command that makes it."""

import shlex

import numpy as np
import pytest

import hsifeat
from classifiers import compare
from classifiers.comparison.contrasts import StoreOrigin, missing_contrasts, plan_contrasts
from classifiers.comparison.report.findings import key_findings
from classifiers.comparison.results.ranking import rank
from classifiers.comparison.results.summary_frame import summary_notes
from classifiers.comparison.results.summary_text import verdict_lines
from hsifeat.scenes import Scene
from tests.helpers.comparisons import entry
from tests.helpers.context_stores import write_context_store
from tests.helpers.small import small_cube

RECIPE = {
    "scene": "s",
    "backbone": {"weights": "w", "architecture": {"layers": 2}},
    "noise": {"policy": "field", "seed": 0},
}


def origin(source, *, planes=("t0/a",), weights="w", seed=0, architecture=2):
    backbone = {"weights": weights, "architecture": {"layers": architecture}}
    recipe = {**RECIPE, "backbone": backbone, "noise": {"policy": "field", "seed": seed}}
    return StoreOrigin("ip.zarr", source, recipe, frozenset(planes), "ip.zarr/scene")


ORIGINS = {
    "ip": origin("net"),
    "twin": origin("untrained:net", weights="r", seed=3),
}


def planned(entries, origins=ORIGINS):
    return {(c.question, str(c)) for c in plan_contrasts(entries, origins)}


def test_contrasts_are_of_the_same_input_and_averaged_over_heads():
    inputs = [("", "spectra"), ("ip", "planes"), ("twin", "planes"), ("", "context"), ("ip", "spectra+planes+means")]
    entries = [entry(store, features, head) for head in ("lda", "svm") for store, features in inputs]
    assert planned([*entries, entry("twin", "spectra+planes+means", "svm")]) == {
        ("training", "planes of ip against planes of twin, mean of 2 heads"),
        ("planes", "planes of ip against context, mean of 2 heads"),
        ("training", "spectra+planes+means of ip against spectra+planes+means of twin, svm"),
    }
    assert planned([e for e in entries if e.store != "ip"]) == set(), "neither twin nor context ask on their own"


def test_context_as_a_word_of_the_input_is_the_rival():
    features = ["spectra+planes+window", "spectra+context+window", "context+planes", "context", "planes", "spectra"]
    entries = [entry("ip" if "planes" in name else "", name, "lda") for name in features]
    assert planned(entries) == {
        ("planes", "spectra+planes+window of ip against spectra+context+window, lda"),
        ("planes", "planes of ip against context, lda"),
        ("added", "context+planes of ip against context, lda"),
    }


@pytest.mark.parametrize(
    "other",
    [
        origin("untrained:net", weights="r", planes=("t0/b",)),
        origin("untrained:net", weights="r", architecture=3),
        origin("net", weights="r"),
    ],
    ids=["other planes", "another network", "trained otherwise"],
)
def test_what_differs_in_more_than_the_weights_is_no_twin(other):
    entries = [entry(store, "planes", "lda") for store in ("ip", "other")]
    origins = {"ip": ORIGINS["ip"], "other": other}
    assert not [c for c in plan_contrasts(entries, origins) if c.question == "training"]
    assert "training" in {m.question for m in missing_contrasts(entries, origins) if m.store == "ip"}


def test_what_is_missing_is_said_with_a_command():
    entries = [entry("ip", "planes", "lda")]
    twin, context = missing_contrasts(entries, ORIGINS)
    assert str(twin) == (
        "the untrained twin of ip is missing, so the report can't tell what training adds; add the store that this command "
        "makes: `hsifeat extract ip.zarr/scene --like ip.zarr --backbone untrained:net --out ip-untrained.zarr`"
    )
    assert context.command == "hsifeat extract ip.zarr/scene --backbone context --out ip-context.zarr"
    entries += [entry("twin", "planes", "lda"), entry("", "spectra+context", "lda")]
    assert missing_contrasts(entries, ORIGINS) == ()
    assert missing_contrasts([entry("", "spectra", "lda")], ORIGINS) == ()
    assert missing_contrasts([entry("twin", "planes", "lda"), entry("", "context", "lda")], ORIGINS) == ()


def test_the_scene_of_the_command_has_the_valid_pixels_of_the_store(tmp_path):
    cube = small_cube()
    cube[:5, :7] = 0
    store = hsifeat.extract(
        Scene("masked", cube, nodata=(0.0,)), backbone="context", layers=["mean-3"], out=tmp_path / "s.zarr"
    )
    named = StoreOrigin.of_store(hsifeat.open_features(store)).scene
    np.testing.assert_array_equal(hsifeat.open_scene(named).valid, (cube != 0).any(axis=2))


def test_planes_are_compared_with_the_planes_of_a_context_store(features, tmp_path):
    context = write_context_store(tmp_path / "ctx.zarr", features)
    inputs = ["spectra+context", "spectra+planes", "spectra+context+planes"]
    options = {"heads": ["lda"], "splits": ["per-class:3", "blocks:9+1:0.3"], "seeds": 2, "planes": ["t0/mid_block"]}
    found = compare([features, context], **options, inputs=inputs, sweep=False, out=tmp_path / "report")
    assert [m.question for m in found.missing_contrasts] == ["training"]
    assert [(test.split, test.contrast.question, str(test.contrast)) for test in found.contrasts] == [
        (split, *planned)
        for split in ("per-class:3", "blocks:9+1:0.3")
        for planned in (
            ("planes", "spectra+planes of small against spectra+context, lda"),
            ("added", "spectra+context+planes of small against spectra+context, lda"),
        )
    ]
    for test in found.contrasts:
        ((first, second),) = test.contrast.pairs
        oa = {who: [r.oa for r in found.runs if (r.entry, r.split) == (who, test.split)] for who in (first, second)}
        assert test.difference == pytest.approx(sum(oa[first]) / 2 - sum(oa[second]) / 2)


def test_the_command_makes_the_twin_and_the_report_answers_the_question_first(store_path, tmp_path, cli):
    options = {
        "heads": ["lda"],
        "splits": ["per-class:3", "blocks:9+1:0.3"],
        "seeds": 2,
        "inputs": ["spectra", "planes"],
    }
    options |= {"planes": ["t0/mid_block"], "sweep": False}
    notes = []
    alone = compare(store_path, **options, out=tmp_path / "alone", listen=lambda event: notes.append(str(event)))
    twin, context = alone.missing_contrasts
    assert alone.contrasts == () and (twin.question, context.question) == ("training", "planes")
    assert any(str(twin) in note for note in notes), "said before the run"
    assert any(line.lower().startswith("the untrained twin of small is missing") for line in summary_notes(alone))
    assert ("Missing for a planned contrast", str(twin)) in key_findings(rank(alone))

    program, *words = shlex.split(twin.command)
    assert program == "hsifeat"
    words[-1] = str(tmp_path / "twin.zarr")
    cli(*words)
    assert (
        hsifeat.open_features(tmp_path / "twin.zarr").recipe["scene"]
        == hsifeat.open_features(store_path).recipe["scene"]
    )
    notes.clear()
    both = compare(
        [store_path, tmp_path / "twin.zarr"],
        **options,
        out=tmp_path / "both",
        listen=lambda event: notes.append(str(event)),
    )
    assert any("planned contrast: planes of small against planes of twin, lda" in note for note in notes)
    assert [m.question for m in both.missing_contrasts] == ["planes"]
    tests = {test.split: test for test in both.contrasts}
    assert list(tests) == ["per-class:3", "blocks:9+1:0.3"]
    for split, test in tests.items():
        oa = {
            store: [r.oa for r in both.runs if (r.entry.store, r.split) == (store, split)]
            for store in ("small", "twin")
        }
        assert test.difference == pytest.approx(sum(oa["small"]) / 2 - sum(oa["twin"]) / 2)
    first, second, *_ = verdict_lines(both)
    assert first.startswith("Fill in (per-class:3): ") and second.startswith("Carry over (blocks:9+1:0.3): ")
    titles = [title for title, _ in key_findings(rank(both))]
    assert titles[:3] == [
        "Planned contrasts · fill in", "Planned contrasts · carry over", "Missing for a planned contrast"
    ]  # fmt: skip
    untested = [
        test.model_copy(update={"low": None, "high": None, "p": None, "p_holm": None}) for test in both.contrasts
    ]
    found = dict(key_findings(rank(both.model_copy(update={"contrasts": tuple(untested)}))))
    assert found["Planned contrasts · carry over"] == (
        "1 of 1 contrasts can't be tested; the table below has the differences."
    )
