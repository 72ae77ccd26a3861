"""Run the commands of ``docs/user/systems.md`` as the page states them, and record their processor times and scores.

``.venv/bin/python benchmarks/systems_commands.py`` takes the first block of commands of each section in `SECTIONS`, and
runs it in an empty folder below ``build/systems_commands``. The results are written to
``benchmarks/results/systems_commands.json``. These commands are for two CPU cores: they train a network, fit a head, and
end with a score and a map. ``--only SECTION`` runs one section. If a command of a section fails, the section has the error
and no scores. The other sections of the page need published weights, which are not in this package.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from scoring import RESULTS, ROOT, about_run

PAGE = ROOT / "docs" / "user" / "systems.md"
RESULT = RESULTS / "systems_commands.json"
FOLDER = ROOT / "build" / "systems_commands"
SECTIONS = ("MTMSD", "DiffCRN", "DSTC", "Multi-stage framework", "SpectralDiff")


def main() -> None:
    """Parse the command line, and run the sections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=SECTIONS, action="append", help="one section; can be repeated")
    text = PAGE.read_text(encoding="utf-8")
    for section in parser.parse_args().only or SECTIONS:
        folder = FOLDER / section
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        runs: list[dict[str, Any]] = []
        for command in commands_of(text, section):
            runs.append(run(command, folder))
            print(runs[-1], flush=True)
            if "error" in runs[-1]:
                break
        sections = json.loads(RESULT.read_text())["sections"] if RESULT.exists() else {}
        about = about_run(("torch", "diffusers", "scikit-learn"))
        entry = {"commit": about["commit"], "scores": scores_in(folder), "commands": runs}
        ordered = {name: one for name in SECTIONS if (one := entry if name == section else sections.get(name))}
        about["command"] = ".venv/bin/python benchmarks/systems_commands.py"
        RESULT.write_text(json.dumps({**about, "sections": ordered}, indent=1) + "\n")


def commands_of(page: str, section: str) -> list[str]:
    """Return the commands of the first block of code in a section of a page in Markdown."""
    body = page.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    block = re.search(r"^(?: {4}hsifeat .*\n)+", body, re.MULTILINE)
    return [] if block is None else [line.strip() for line in block[0].splitlines()]


def run(command: str, folder: Path) -> dict[str, Any]:
    """Run a command, and return its processor seconds, wall seconds and, if it failed, the last line of its messages."""
    environment = {**os.environ, "HSIFEAT_CACHE": str(folder / ".cache")}
    words = shlex.split(command)
    start, before = time.perf_counter(), os.times()
    done = subprocess.run(
        [str(ROOT / ".venv" / "bin" / words[0]), *words[1:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    error = {} if done.returncode == 0 else {"error": (done.stderr or done.stdout).strip().splitlines()[-1]}
    return {
        "command": command,
        "cpu_seconds": round(cpu, 1),
        "wall_seconds": round(time.perf_counter() - start, 1),
        **error,
    }


def scores_in(folder: Path) -> list[dict[str, Any]]:
    """Return the split and the scores of the model that the commands saved in a folder."""
    for path in sorted(folder.glob("*/model.json")):
        scores = json.loads(path.read_text())["meta"]["card"]["scores"]
        return [{name: score[name] for name in ("split", "oa", "aa", "kappa", "unsmoothed_oa")} for score in scores]
    return []


if __name__ == "__main__":
    main()
