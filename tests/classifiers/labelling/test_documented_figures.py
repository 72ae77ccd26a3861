"""The page on labelling has the same numbers as its benchmark."""

import json
from itertools import product
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[3]


def test_the_page_has_the_means_and_gains_of_the_benchmark():
    measured = json.loads((ROOT / "benchmarks" / "results" / "labelling.json").read_text())["indian-pines"]
    page = " ".join((ROOT / "docs" / "user" / "labelling.md").read_text(encoding="utf-8").split())
    at = [measured["labels"].index(count) for count in (20, 40, 60, 80)]
    for side, name in (("random", "random clicks"), ("segment", "superpixels"), ("suggestion", "suggestions")):
        curves = np.array(measured["curves"][side])
        assert len(curves) == 10
        np.testing.assert_allclose(curves.mean(axis=0), measured["mean"][side], atol=0.006)
        assert f"{name} | " + " | ".join(f"{curves.mean(axis=0)[k]:.1f}" for k in at) in page
    gains = np.array(measured["curves"]["suggestion"])[:, -1] - np.array(measured["curves"]["random"])[:, -1]
    low, high = measured["gain_over_random"]["suggestion"]["interval"]
    assert (
        f"**{gains.mean():.1f} points** more than random clicks (95 % interval {low:.1f} to {high:.1f}; better in {(gains > 0).sum()} of 10 runs)"
        in page
    )
    mean = measured["mean"]
    equal = next(n for n, oa in zip(measured["labels"], mean["suggestion"], strict=True) if oa >= mean["random"][-1])
    assert f"reach with {equal} labels what random clicks reach with 80" in page


def test_the_page_has_the_scores_the_study_and_the_times_of_the_benchmark():
    results = json.loads((ROOT / "benchmarks" / "results" / "labelling.json").read_text())
    page = (ROOT / "docs" / "user" / "labelling.md").read_text(encoding="utf-8")
    for side, name in (("random", "random clicks"), ("suggestion", "suggestions")):
        scores, curves = results["indian-pines"]["scores"][side], results["indian-pines"]["curves"][side]
        pairs = [(score, curve[-1]) for score, curve in zip(scores, curves, strict=True)]
        means = np.mean([(score["oa"], oa) for score, oa in pairs], axis=0)
        inside = sum(score["interval"][0] <= oa <= score["interval"][1] for score, oa in pairs)
        assert f"| {name} | {means[0]:.1f} % | {means[1]:.1f} % | {inside} of 10 runs |" in page
    study = results["study"]
    for side in study["houston"]["mean"]:
        cells = [
            f"{study[scene]['mean'][side][study[scene]['labels'].index(n)]:.1f}"
            for scene in ("houston", "indian-pines")
            for n in (40, 80)
        ]
        assert f" | {' | '.join(cells)} |\n" in page
    for name in ("map_in_view", "map_in_full_resolution", "suggest_5", "score"):
        times = [f"{results['times'][size]['cpu_seconds'][name]:.2f}" for size in ("145x145", "1000x1000")]
        assert f" | {' | '.join(times)} |\n" in page


def test_the_pages_have_the_times_of_the_benchmark_of_the_workbench():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "user" / "workbench.md").read_text(encoding="utf-8")
    for record in json.loads((ROOT / "benchmarks" / "results" / "workbench.json").read_text()):
        assert f"`{record['command'].removeprefix('.venv/bin/python ')}`" in page
        cells = [record.get(name, "-") for name in ("first_map_ms", "median_ms", "p95_ms", "maps", "full_resolution_s")]
        row = f"| {record['scene'].partition(', ')[2]} | `{record['inputs']}` | {' | '.join(map(str, cells))} |"
        assert row in page
        assert ("--no-planes" in record["command"]) == ("planes" not in record["inputs"])
        if record["inputs"] == "spectra+window+context":  # the suited ones
            assert f"{record['median_ms'] / 1000:.2f} s" in readme


def test_the_story_of_the_workbench_was_told_on_whole_scenes():
    story = json.loads((ROOT / "benchmarks" / "results" / "workbench_story.json").read_text())
    assert story["scenes"] == {"indian-pines": [145, 145], "landsat_multiband": [443, 489]}
    told = {(one["scene"], one["by"]) for one in story["stories"]}
    assert told == set(product(story["scenes"], ("mouse", "keyboard", "touch"))) and story["clicks_per_class"] == 5
    assert all(len(one["seconds_until"]) == 8 for one in story["stories"])
    assert story["gdal_lays_the_maps_over_the_geotiff"] is True
    assert story["console_messages"] == story["requests_that_leave_the_service"] == []
    assert {(one["scene"], one["width"]) for one in story["axe"]} == set(product(story["scenes"], (1280, 768, 390)))
    assert all(one["serious"] == [] and one["overflow_px"] <= 0 and one["rules_passed"] > 20 for one in story["axe"])
    page = (ROOT / "docs" / "user" / "workbench.md").read_text(encoding="utf-8")
    assert f"`{story['command'].removeprefix('.venv/bin/python ')}`" in page
