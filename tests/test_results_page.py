"""Pages of the documentation and texts of the package have the numbers of the result files."""

import json
import sys
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from classifiers import fit_model, make_head
from classifiers.defaults import DEFAULT_HEAD, DEFAULT_SMOOTHING
from classifiers.input_sets import WORTH_OF_CONTEXT
from hsifeat.context.layer_names import parse_layers
from hsifeat.extraction.context_extractor import RECONSTRUCTION_LIMIT_BYTES
from tests.helpers.extraction import prepare

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def results():
    return json.loads((ROOT / "benchmarks" / "results" / "worth.json").read_text())


def test_the_page_is_what_its_script_writes(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    from results_page import FILES, PAGE, page

    written = page(*(json.loads(file.read_text()) for file in FILES))
    assert PAGE.read_text(encoding="utf-8") == written and "@" not in written


def test_the_card_of_natural32_is_what_its_script_writes(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    from natural32_card import CARD, RESULT, card

    content = json.loads(RESULT.read_text())
    assert CARD.read_text(encoding="utf-8") == card(content)
    # A draw counts far away if it has enough test pixels there.
    for scores in content["scores"].values():
        for values in scores.values():
            assert all(sum(one is not None for one in by_draw) >= 30 for by_draw in values.values())


def test_the_card_of_natural32_has_the_gains_over_the_twin():
    content = json.loads((ROOT / "benchmarks" / "results" / "natural32.json").read_text())
    card = (ROOT / "hsifeat" / "backbones" / "natural32" / "README.md").read_text(encoding="utf-8")
    for scores in content["scores"].values():
        pair = [scores[f"spectra+window+natural32{twin}"] for twin in ("", " untrained")]
        for regime in ("per-class:5", "per-class:20", "blocks:12+0:0.1", "blocks:12+0:0.1, over 16 px"):
            planes, twin = (100 * np.array([one for one in by[regime] if one is not None]) for by in pair)
            interval = stats.ttest_rel(planes, twin).confidence_interval()
            gain = f"{(planes - twin).mean():+.1f} [{interval.low:.1f}, {interval.high:.1f}]"
            assert f" | {gain} | " in card


def test_the_study_has_the_default_of_today(results):
    default = results["default"]
    assert default == f"{DEFAULT_HEAD} spectra+window+context reduction=scene smooth={DEFAULT_SMOOTHING}"
    for scene in ("indian-pines", "houston", "pavia-reduced"):
        for regime in ("per-class:5", "per-class:20"):
            assert len(results["fits"][scene][regime][default]) >= 10


def test_the_defaults_are_the_choice_of_the_study():
    content = json.loads((ROOT / "benchmarks" / "results" / "choices.json").read_text())
    choice, fit = content["choices"]["all scenes"], signature(fit_model).parameters
    assert {name: choice[name] for name in ("head", "reduction", "smooth")} == {
        name: fit[name].default for name in ("head", "reduction", "smooth")
    }
    names = ("spectral_components", "context_components", "shrinkage")
    params = make_head(choice["head"]).get_params()
    assert {name: choice[name] for name in names} == {name: params[name] for name in names}
    assert choice["inputs"] == "spectra+window+context" and not choice["deviations"]
    forms = {"plain": "profile-{}", "rebuilt": "reconstruction-{}", "averaged": "reconstruction-{}-mean-9"}
    profiles = [forms[kind].format(px) for kind in choice["profiles"].split() for px in choice["profile_sizes"].split()]
    means = [f"mean-{px}" for px in choice["means"].split()]
    assert [layer.name for layer in parse_layers(None)] == [*means, *profiles]
    # Landsat takes no part in any choice, so the choice of its other scenes is that of all three scenes.
    entries = content["entries"]["landsat"]
    assert entries["choice of other scenes"] == entries["first round"] != entries["choice of all scenes"]
    for by_regime in content["apart"].values():
        for by_entry in by_regime.values():
            assert all(len(draws) >= 10 for draws in by_entry.values())


def test_accuracies_on_the_page_and_in_the_readme_are_rounded_once(results):
    lines = (ROOT / "docs" / "user" / "results.md").read_text(encoding="utf-8").splitlines()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    cells = {}
    for scene in ("indian-pines", "houston", "pavia-reduced", "landsat"):
        for regime in ("per-class:5", "per-class:20"):
            for inputs in ("spectra", "context", "spectra+window", "spectra+window+context"):
                cells[scene, regime, inputs] = _of_draws(
                    results["fits"][scene][regime][f"lda {inputs} reduction=scene smooth=none"]
                )
            cells[scene, regime, "default"] = _of_draws(results["fits"][scene][regime][results["default"]])
            row = [cells[scene, regime, inputs] for inputs in ("spectra", "default")]
            assert f" | {regime.removeprefix('per-class:')} | {' | '.join(row)} |" in readme
    scenes = ("indian-pines", "houston", "pavia-reduced")
    columns = [*((one, "per-class:5") for one in scenes), *((one, "per-class:20") for one in scenes)]
    columns += [("landsat", "per-class:5"), ("landsat", "per-class:20")]
    for inputs in ("spectra", "context", "spectra+window", "spectra+window+context"):
        assert f"| `lda` on {inputs} | {' | '.join(cells[*column, inputs] for column in columns)} |" in lines
    for scene, name in (("indian-pines", "Indian Pines"), ("houston", "Houston")):
        for regime in ("per-class:5", "per-class:20"):
            fresh = _of_draws(results["confirmation"][scene][regime])
            assert f"| {name}, {regime.removeprefix('per-class:')} | {fresh} |" in lines


def test_what_the_page_says_of_context_and_heads_follows_from_the_draws(results):
    heads = ("svm", "logistic", "random-forest", "lightgbm", "mlp", "film")
    for scene in ("indian-pines", "houston", "pavia-reduced"):
        means = {name: np.mean(list(draws.values())) for name, draws in results["fits"][scene]["per-class:5"].items()}
        full, window, context = (
            means[f"lda {one} reduction=scene smooth=none"]
            for one in ("spectra+window+context", "spectra+window", "context")
        )
        others = [means[f"{head} spectra+window+context reduction=scene smooth=none"] for head in heads]
        assert full - window > max(others) - full
        assert (full > context) == (scene != "houston")


def test_the_page_on_heads_has_the_worth_of_a_reduction_on_the_scene(results):
    gains = []
    for scene in ("indian-pines", "pavia-reduced", "houston"):
        entries = results["fits"][scene]["per-class:5"]
        names = (f"lda spectra+window+context reduction={one} smooth=none" for one in ("scene", "train"))
        scene_wide, train = (np.array(list(entries[name].values())) for name in names)
        gains.append(f"{(scene_wide - train).mean():+.1f}")
    page = (ROOT / "docs" / "user" / "fit.md").read_text(encoding="utf-8")
    assert "{} points on Indian Pines, {} on reduced Pavia and {} on Houston".format(*gains) in page


def test_the_page_on_heads_has_the_default_components():
    params = make_head(DEFAULT_HEAD).get_params()
    page = (ROOT / "docs" / "user" / "fit.md").read_text(encoding="utf-8")
    context, spectral = params["context_components"], params["spectral_components"]
    assert (
        f"families have {context} by default, and the spectra and the window means of `{DEFAULT_HEAD}` {spectral}"
        in page
    )


def test_the_page_on_backbones_has_the_largest_scene_for_reconstruction(scene, tmp_path):
    needed = prepare(scene, backbone="context", out=tmp_path / "s.zarr").extractor.reconstruction_bytes()
    millions = RECONSTRUCTION_LIMIT_BYTES / (needed / (scene.rows * scene.cols)) / 1e6
    page = (ROOT / "docs" / "user" / "backbones.md").read_text(encoding="utf-8")
    assert f"(about {millions:.0f} million pixels by default)" in page


def test_the_remark_on_context_has_the_accuracies_of_the_study(results):
    oa = {
        row["entry"]: row["oa"]
        for row in results["summary"]
        if row["scene"] == "indian-pines" and row["regime"] == "per-class:5"
    }
    with_context, with_planes, window = (
        oa[f"lda spectra+window{words} reduction=scene smooth=none"] for words in ("+context", "+planes", "")
    )
    said = f"gave {with_context:.0f} % on Indian Pines with one, {with_planes:.0f} % with planes of natural32, and {window:.0f} %"
    assert said in WORTH_OF_CONTEXT


def test_the_tables_of_fit_have_the_accuracies_of_their_files():
    lines = (ROOT / "docs" / "user" / "fit.md").read_text(encoding="utf-8").splitlines()
    tuning, heads = (
        json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())["heads"]
        for name in ("tuning", "heads")
    )
    for one in tuning:
        start = f"| {one['split']} | `{one['head']}` | {_spread(one['defaults'])} | {_spread(one['tuned'])} |"
        assert any(line.startswith(start) for line in lines), start
    gains = {
        (one["split"], one["head"]): float(_spread(one["tuned"])[:4]) - float(_spread(one["defaults"])[:4])
        for one in tuning
    }
    assert f"tuning gains up to {max(gains.values()):.1f} points." in "\n".join(lines)
    assert not any(gain for (split, _), gain in gains.items() if split == "blocks:12+4:0.3")
    chosen = next(one["chosen"] for one in tuning if (one["head"], one["split"]) == ("lda", "random:0.1"))
    count = sum(params["spectral_components"] is None for params in chosen)
    assert f"tuning chose all bands in {count} of {len(chosen)} draws" in "\n".join(lines)
    splits = dict.fromkeys(one["split"] for one in heads)
    for head, inputs in dict.fromkeys((one["head"], one["input"]) for one in heads):
        row = {one["split"]: one["oa"] for one in heads if (one["head"], one["input"]) == (head, inputs)}
        start = f"| `{head}` | {inputs} | " + " | ".join(_spread(row[split]) for split in splits)
        assert any(line.startswith(start) for line in lines), start


def test_the_memory_of_context_is_the_measured_one():
    runs = json.loads((ROOT / "benchmarks" / "results" / "memory.json").read_text())["runs"]
    small, large = (runs[f"{side} x {side}"]["context"]["peak_mib"] for side in (512, 4096))
    page = (ROOT / "docs" / "user" / "backbones.md").read_text(encoding="utf-8")
    assert f"({large:.0f} MiB for 4,096 x 4,096 pixels of 50 bands, {small:.0f} MiB for 512 x 512;" in page


def _of_draws(draws):
    values = list(draws.values())
    return f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"


def _spread(value):
    return f"{value['mean']:.1f} ± {value['sd']:.1f}"
