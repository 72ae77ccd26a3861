"""Measure the CPU seconds of commands that have little or nothing to compute: the median of three runs of each command.

``.venv/bin/python benchmarks/startup.py`` computes the stores and the report of ``make demo`` in a temporary folder, and
writes ``benchmarks/results/startup.json`` in about five minutes. The seconds are user and system time of the process and
its children, because wall time depends on other programs. ``import torch`` is the time of Python and PyTorch alone.
``label`` is measured until it prints its address. ``layers, first time`` has an empty cache folder, and lists the layers of
a model folder with a plain ``UNet2DModel``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from scoring import RESULTS, ROOT, about_run
from service_process import PROGRAM


def main() -> None:
    """Time all commands, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with TemporaryDirectory() as text:
        folder = Path(text)
        os.environ["HSIFEAT_CACHE"] = str(folder / "cache")
        measures = commands(folder)
        seconds = {name: [measure() for _ in range(options.runs)] for name, measure in measures.items()}
    content = {
        **about_run(("torch", "diffusers", "scikit-learn")),
        "runs": options.runs,
        "cpu_seconds": {name: round(statistics.median(values), 2) for name, values in seconds.items()},
        "all_cpu_seconds": {name: [round(value, 2) for value in values] for name, values in seconds.items()},
    }
    (RESULTS / "startup.json").write_text(json.dumps(content, indent=1) + "\n")
    for name, value in content["cpu_seconds"].items():
        print(f"{value:6.2f} s {name}")


def commands(folder: Path) -> dict[str, Callable[[], float]]:
    """Return a dict that maps the name of each command to a function. The function runs the command once, and returns its CPU seconds."""
    model = folder / "model"
    for part in ("unet", "scheduler"):
        shutil.copytree(ROOT / "hsifeat" / "backbones" / "natural32" / part, model / part)
    natural, untrained, context = (str(folder / f"{name}.zarr") for name in ("natural32", "untrained", "context"))
    extract = ("extract", "indian-pines", "--out", natural)
    bench = ("bench", natural, untrained, context, "--heads", "lda", "--curve", "5,20", "--out", str(folder / "report"))
    fit = ("fit", context, "--split", "per-class:5", "--out", str(folder / "fitted"))

    def first_layers() -> float:
        with TemporaryDirectory() as empty:
            return run("layers", str(model), cache=empty)

    measures: dict[str, Callable[[], float]] = {"--help": lambda: run("--help"), "info": lambda: run("info")}
    measures["import torch"] = lambda: cpu_seconds([sys.executable, "-c", "import torch"])
    run("extract", "indian-pines", "--preset", "natural32", "--backbone", "untrained:natural32", "--out", untrained)
    measures["layers, first time"] = first_layers
    for name, arguments in (
        ("layers, again", ("layers", str(model))),
        ("extract, finished store of natural32", extract),
        ("extract, finished store of context", ("extract", "indian-pines", "--backbone", "context", "--out", context)),
        ("fit, samples kept", fit),
        ("predict", ("predict", str(folder / "fitted"), context, "--out", str(folder / "map.png"))),
        ("bench, finished report", bench),
    ):
        run(*arguments)  # What is kept for the next time is not part of the measurement.
        measures[name] = lambda arguments=arguments: run(*arguments)
    measures["label, until its address"] = lambda: label(context)
    return measures


def run(*arguments: str, cache: str = "") -> float:
    """Run a command of hsifeat, and return its CPU seconds. `cache` is the cache folder; if empty, the cache folder of this process is used."""
    return cpu_seconds([str(PROGRAM), *arguments], cache)


def cpu_seconds(command: list[str], cache: str = "") -> float:
    """Run a program, and return its CPU seconds. If the program fails, exit with its message."""
    before = children_seconds()
    environment = os.environ | ({"HSIFEAT_CACHE": cache} if cache else {})
    process = subprocess.run(command, check=False, capture_output=True, env=environment, text=True)
    if process.returncode:
        raise SystemExit(f"{shlex.join(command)} failed: {process.stderr.strip() or process.stdout.strip()}")
    return children_seconds() - before


def children_seconds() -> float:
    """Return the CPU seconds of all processes that this process has started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def label(store: str) -> float:
    """Start `hsifeat label`, and return its CPU seconds when it prints its address."""
    command = [PROGRAM, "label", store, "--no-planes", "--no-open", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            line = next((line for line in process.stdout or [] if "label at" in line), "")
            times = psutil.Process(process.pid).cpu_times()
        finally:
            process.send_signal(signal.SIGINT)
    if not line:
        raise SystemExit("hsifeat label printed no address")
    return float(times.user + times.system + times.children_user + times.children_system)


if __name__ == "__main__":
    start = time.monotonic()
    main()
    print(f"{time.monotonic() - start:.0f} s in all")
