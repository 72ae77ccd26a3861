"""The documentation agrees with the code: commands, options, names, files and numbers."""

import ast
import itertools
import json
import math
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from scipy import stats

import classifiers
import hsifeat
from hsifeat.commands.app import app

ROOT = Path(__file__).parents[1]
USER = sorted((ROOT / "docs" / "user").glob("*.md"))
DEVELOPER = sorted((ROOT / "docs" / "developer").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs" / "index.md", *USER, *DEVELOPER]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)

# Parts of paths that stand for any name.
PLACEHOLDER = re.compile(r"NAME|KIND|FORMAT")
# `main` takes these before any command sees them.
GLOBAL_OPTIONS = {"--debug", "--help", "--version"}


def commands(command, path=()):
    """Return the options of every command by the words that call it."""
    options = {path: {option for p in command.params for option in [*p.opts, *p.secondary_opts] if option[:2] == "--"}}
    for name, below in getattr(command, "commands", {}).items():
        options |= commands(below, (*path, name))
    return options


COMMANDS = commands(typer.main.get_command(app))
OPTIONS = set().union(*COMMANDS.values()) | GLOBAL_OPTIONS


def examples(text):
    """Return the command lines that begin with `hsifeat` in blocks of code and in the text."""
    lines = re.findall(r"^ {4}(?:\.venv/bin/)?(hsifeat .*)$", text, re.MULTILINE)
    return lines + re.findall(r"`(hsifeat [^`]*)`", text)


def python_blocks(text):
    return [ast.parse(block) for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]


@every_page
def test_every_command_has_its_options(page):
    for line in examples(page.read_text(encoding="utf-8")):
        words = shlex.split(line, comments=True)[1:]
        path = next((p for n in (3, 2) if (p := tuple(words[:n])) in COMMANDS), tuple(words[:1]))
        if path in {(), ("--help",)}:
            continue
        assert path in COMMANDS, f"{line}: no such command"
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= COMMANDS[path] | GLOBAL_OPTIONS, line


@every_page
def test_every_option_in_the_text_exists(page):
    text = page.read_text(encoding="utf-8")
    mentioned = set(re.findall(r"`(--[a-z][a-z-]+)", text))
    assert mentioned <= OPTIONS


@every_page
def test_every_file_that_is_named_exists(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:hsifeat|classifiers|tests|benchmarks|docs)/[\w./*-]*)`", text)
    missing = [path for path in named if not PLACEHOLDER.search(path) and not list(ROOT.glob(path.rstrip("/")))]
    assert not missing


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "index.md", *USER], ids=lambda page: page.stem)
def test_users_need_the_public_names_alone(page):
    exports = {"hsifeat": set(hsifeat.__all__), "classifiers": set(classifiers.__all__)}
    for block in python_blocks(page.read_text(encoding="utf-8")):
        for node in ast.walk(block):
            if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] in exports:
                assert node.module in exports, f"{page.name} sends users to {node.module}"
                assert {alias.name for alias in node.names} <= exports[node.module]
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in exports:
                assert node.attr in exports[node.value.id], f"{page.name}: {node.value.id}.{node.attr} is not public"


def test_the_table_of_the_readme_is_the_study_of_few_labels():
    study = json.loads((ROOT / "benchmarks" / "results" / "worth.json").read_text())
    measured = {
        (row["scene"], row["regime"], row["entry"]): f"{row['oa']:.1f} ± {row['sd']:.1f}" for row in study["summary"]
    }
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    spectra = "lda spectra reduction=scene smooth=none"
    scenes = {
        "Indian Pines": "indian-pines",
        "Houston": "houston",
        "reduced Pavia": "pavia-reduced",
        "Landsat": "landsat",
    }
    for name, scene in scenes.items():
        for labels in (5, 20):
            numbers = " | ".join(measured[scene, f"per-class:{labels}", entry] for entry in (spectra, study["default"]))
            assert re.search(rf"^\| {name} .* \| {labels} \| {re.escape(numbers)} \|$", readme, re.MULTILINE)
    first, second = (measured["indian-pines", "per-class:5", entry].split()[0] for entry in (study["default"], spectra))
    assert f"classifies {first} % of" in readme and f"reach {second} % with" in readme


def test_the_tables_of_systems_are_those_that_their_script_writes(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    from systems_page import PAGE, page

    text, results = PAGE.read_text(encoding="utf-8"), ROOT / "benchmarks" / "results"
    files = (json.loads((results / name).read_text()) for name in ("systems.json", "systems_commands.json"))
    assert page(text, *files) == text


def test_what_fewer_bits_save_is_what_the_benchmark_measured():
    measured = json.loads((ROOT / "benchmarks" / "results" / "compact.json").read_text())
    page = " ".join((ROOT / "docs" / "user" / "cache.md").read_text(encoding="utf-8").split())
    saved = [one["bits-4"]["saved"] for one in measured["bytes"]["indian-pines"].values()]
    changes = {
        head: [one for name, one in measured["differences"].items() if re.match(f"indian-pines, .*, {head},", name)]
        for head in ("lda", "mlp")
    }
    lda, mlp = (max(abs(one["bits-4"]["mean"]) for one in changes[head]) for head in ("lda", "mlp"))
    intervals = [one["bits-4"]["interval"] for by in changes.values() for one in by]
    assert len(intervals) == 12 and all(low <= 0 <= high for low, high in intervals)
    assert f"{100 * min(saved):.0f} to {100 * max(saved):.0f} % of the bytes of planes" in page
    assert f"over 10 draws changed by at most {lda:.2f} points for `lda` and {mlp:.2f} for `mlp`" in page
    far = measured["differences"]["indian-pines, context, mlp, far:12+16:0.1"]["int8"]
    assert f"context loses {-far['mean']:.2f} points far from the labels" in page


def test_the_capacity_of_clusters_is_that_of_the_benchmark():
    entries = json.loads((ROOT / "benchmarks" / "results" / "scale.json").read_text())
    measured = {part: entry["measured"] for part, entry in entries.items()}
    page = (ROOT / "docs" / "user" / "cluster.md").read_text(encoding="utf-8")
    for row in measured["capacity"]:
        seconds, size = row["core_seconds_per_megapixel"], row["plane_mb_per_megapixel"]
        hours = f"{seconds / 36:.1f} | {seconds / 360:.2f}"
        assert f"| `{row['backbone']}` | {row['planes']} | {seconds:.1f} | {size:.1f} | {hours} | {size:.0f} |" in page
    for row in measured["simulation"]:
        load = f"{100 * row['scheduler_load']:.0f} % | {100 * row['worker_idle_share']:.0f} %"
        rates = row["units_per_second"], row["store_requests_per_second"]
        assert f"| {row['unit_seconds']:.0f} | {rates[0]:.1f} | {load} | {rates[1]:.0f} |" in page
    text, tiny, throughput = " ".join(page.split()), measured["tiny"], measured["throughput"]
    milliseconds = tiny["cpu_ms_per_task"]
    assert f"takes {milliseconds:.1f} ms of processor time" in text
    assert (
        f"measured with {tiny['tasks']:,} empty tasks. Their memory grew by only {tiny['memory_growth_mb']:.1f} MB"
        in text
    )
    assert f"1,000 workers are busy if a unit takes at least {math.ceil(milliseconds)} seconds" in text
    assert f"makes {sum(measured['requests'].values()):.0f} requests to the store for a unit" in text
    ddpm, light = throughput["ddpm"], throughput["natural32"]
    assert f"{ddpm['speedup']:.2f} times as fast as one with the network of ddpm-cifar10" in text
    client, workers = (light["2_workers"][f"{name}_cpu_seconds"] for name in ("client", "worker"))
    assert f"and {light['speedup']:.2f} times as fast with `natural32`" in text
    assert f"take {client:.1f} of {client + workers:.1f} CPU seconds" in text
    assert f"Scheduling takes {100 * measured['overhead']['share']:.1f} % of the time" in text
    ratios = [f"{row['dask_s'] / row['one_process_s']:.1f}" for row in measured["lightgbm"]]
    rows = [f"{row['rows']:,}" for row in measured["lightgbm"]]
    assert f"{ratios[0]}, {ratios[1]} and {ratios[2]} times as fast as its Dask estimator" in text
    assert f"for {rows[0]}, {rows[1]} and {rows[2]} rows of 100 columns" in text


def test_the_capacity_of_the_service_is_that_of_the_benchmark():
    measured = json.loads((ROOT / "benchmarks" / "results" / "serve.json").read_text())
    page = " ".join((ROOT / "docs" / "user" / "serve.md").read_text(encoding="utf-8").split())
    many, one, shards = measured["many_readers"], measured["one_reader"], measured["shards"]
    assert f"{many['readers']} clients | {many['requests']:,} samples" in page and many["errors"] == 0
    assert f"p50 {many['p50_ms'] / 1000:.1f} s, p99 {many['p99_ms'] / 1000:.1f} s" in page
    assert f"from {many['start_mb']} to at most {many['peak_mb']} MB" in page
    assert f"p50 {one['p50_ms']:.0f} ms, p99 {one['p99_ms']:.0f} ms" in page
    assert f"its load was {measured['load_at_start']:.1f} at the start" in page
    equal = measured["equal_requests"]
    assert f"{equal['extractions']} extraction; {equal['outcomes']['joined']} requests joined it" in page
    for store, of_store in shards.items():
        speeds = [f"{of_store[server]['mb_per_s']:.0f} MB/s" for server in ("service", "nginx")]
        size = f"shards of `{store}`, {1000 * of_store['mean_shard_mb']:.0f} kB on average"
        assert f"{size} | {speeds[0]}; nginx: {speeds[1]}" in page


def test_the_kills_of_the_service_are_those_of_the_benchmark():
    measured = json.loads((ROOT / "benchmarks" / "results" / "serve_kills.json").read_text())
    page = " ".join((ROOT / "docs" / "user" / "jobs.md").read_text(encoding="utf-8").split())
    hits = measured["kills_of_running_jobs"]
    of_service, of_runner = (hits[place] + hits["service and runner"] for place in ("service", "runner"))
    assert f"{sum(hits.values())} kills in the middle of an extraction, of which {of_service} hit the service" in page
    assert f"and {of_runner} its process for jobs. All {measured['jobs']} jobs were done in the end" in page
    assert set(measured["states"]) == {"done"} and not measured["faults"]


def test_the_gains_in_the_documents_are_those_of_the_study_of_natural32():
    study = json.loads((ROOT / "benchmarks" / "results" / "natural32.json").read_text())["differences"]["indian-pines"]
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    twin = "spectra+window+natural32 - spectra+window+natural32 untrained"
    for pair, regime, unit in (
        (twin, "per-class:5", " points on Indian Pines with 5 labels per class"),
        (twin, "blocks:12+0:0.1, over 16 px", " points over 16 px from all labels"),
        ("spectra+window+natural32 - spectra+window", "per-class:5", " points with 5 labels per class"),
        ("spectra+window+context+natural32 - spectra+window+context", "per-class:5", ""),
    ):
        low, high = (f"{end:.1f}" for end in study[pair][regime]["interval"])
        assert f"{abs(round(study[pair][regime]['mean'], 1)):.1f} [{low}, {high}]{unit}" in readme


def test_the_gain_of_suggestions_in_the_readme_is_that_of_the_study():
    study = json.loads((ROOT / "benchmarks" / "results" / "labelling.json").read_text())["indian-pines"]
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    suggested, random = (study["mean"][way][study["labels"].index(80)] for way in ("suggestion", "random"))
    gain = study["gain_over_random"]["suggestion"]
    low, high = (f"{end:.1f}" for end in gain["interval"])
    assert f"map that is {suggested:.1f} % right after 80 labels, and {random:.1f} % after 80 random clicks" in readme
    assert f"{gain['at_the_end']:.1f} [{low}, {high}] points more" in readme


def members(cls):
    """Return the attributes and methods of a class: those in its body, and its annotations."""
    return set(dir(cls)) | {name for base in cls.__mro__ for name in getattr(base, "__annotations__", {})}


def variables():
    """Return the classes of variables that occur in examples, by the names of the variables."""
    from classifiers.comparison.results.comparison import Comparison
    from classifiers.model import Model
    from hsifeat.timesteps.result import TimestepRanking

    return {
        "comparison": Comparison,
        "features": hsifeat.Features,
        "model": Model,
        "ranking": TimestepRanking,
        "scene": hsifeat.Scene,
        "table": classifiers.PixelTable,
    }


def test_examples_use_members_that_exist():
    classes = variables()
    for page in PAGES:
        for block in python_blocks(page.read_text(encoding="utf-8")):
            for node in ast.walk(block):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in classes:
                    cls = classes[node.value.id]
                    assert node.attr in members(cls), f"{page.name}: {cls.__name__} has no {node.attr}"


def test_the_speed_of_extraction_is_that_of_the_benchmark():
    measured = json.loads((ROOT / "benchmarks" / "results" / "extraction.json").read_text())
    page = (ROOT / "docs" / "developer" / "performance.md").read_text(encoding="utf-8")
    for name in ("ddpm", "mtmsd", "natural32", "adm64"):
        row = measured[name]
        ratios = ("published_over_ceiling", "bare_over_ceiling", "extract_over_ceiling", "extract_over_bare")
        numbers = [f"{row[ratio]:.2f}" for ratio in ratios] + [f"{row['passes_per_second']:.1f}"]
        assert f"| {row['gflop_per_pass']:.1f} | {' | '.join(numbers)} |" in page
    text = " ".join(page.split())
    usual, windows = measured["usual_over_ours"], measured["windows"]
    assert f"{usual['time']:.1f} times less processor time, {usual['feature_bytes']:.0f} times fewer bytes" in text
    assert f"{windows['windows_over_tiles']} times less processor time" in text
    assert f"take {measured['heads']['anew_over_cache']:.0f} times less time" in text
    ddpm = measured["ddpm"]
    assert (
        f"forward passes take {100 * ddpm['cpu_seconds_by_stage']['forward'] / ddpm['extract_seconds']['cpu']:.1f} %"
        in text
    )
    start = json.loads((ROOT / "benchmarks" / "results" / "startup.json").read_text())["cpu_seconds"]
    assert f"takes {start['layers, first time']:.1f} s of processor time, of which importing PyTorch takes" in text
    ways = json.loads((ROOT / "benchmarks" / "results" / "accelerators.json").read_text())["hsifeat_over"]
    assert f"`torch.compile` with weights as constants is {100 * (1 / ways['torch.compile'] - 1):.0f} % slower" in text
    assert f"{100 * (1 / ways['OpenVINO'] - 1):.0f} % slower; the largest differences" in text
    assert f"and {start['layers, again']:.1f} s afterwards; `hsifeat info` takes {start['info']:.1f} s" in text


@pytest.mark.parametrize(
    ("page", "result"), [("backbones", "natural32"), ("pretrain", "scene_trained_mtmsd"), ("systems", "systems")]
)
def test_gains_of_networks_in_the_text_are_measured(page, result):
    measured = json.loads((ROOT / "benchmarks" / "results" / f"{result}.json").read_text())
    gains = set()
    if result == "scene_trained_mtmsd":
        for split in measured["oa"].values():
            for columns in split.values():
                scores = {name: 100 * np.array(one["each"]) for name, one in columns.items()}
                for one, other in itertools.permutations(scores.values(), 2):
                    interval = stats.ttest_rel(one, other).confidence_interval()
                    gains.add((f"{(one - other).mean():.1f}", f"{interval.low:.1f}", f"{interval.high:.1f}"))
    else:
        pairs = measured["differences"].values()
        for splits in pairs if result == "systems" else (one for scene in pairs for one in scene.values()):
            gains |= {
                tuple(f"{one:.1f}" for one in (gain["mean"], *gain["interval"])) for gain in splits.values() if gain
            }
    text = (ROOT / "docs" / "user" / f"{page}.md").read_text(encoding="utf-8")
    said = set(re.findall(r"(-?\d+\.\d) \[(-?\d+\.\d), (-?\d+\.\d)\]", text))
    assert len(said) >= 3 and said <= gains
