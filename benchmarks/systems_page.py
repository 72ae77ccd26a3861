"""Write the tables of ``docs/user/systems.md`` from the results of ``systems.py`` and ``systems_commands.py``.

``.venv/bin/python benchmarks/systems_page.py`` replaces the text between the comments ``<!-- table: NAME -->`` and ``<!--
end -->``. A test compares the page with the output of this script.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "user" / "systems.md"
RESULTS = ROOT / "benchmarks" / "results"
RIVAL, SPECTRA, TWIN = "rival", "spectra", ", untrained twin"
NAMES = {RIVAL: "classical rival, no network", SPECTRA: "spectra alone, no network"}


def page(text: str, result: dict[str, Any], commands: dict[str, Any]) -> str:
    """Return the text of the page with the tables for the contents of ``systems.json`` and ``systems_commands.json``."""
    tables = {"commands": _commands(commands), "scores": _scores(result), "differences": _differences(result)}
    for name, lines in tables.items():
        mark = f"<!-- table: {name} -->"
        block = "\n".join([mark, "", *lines, "", "<!-- end -->"])
        text, count = re.subn(rf"{mark}\n.*?<!-- end -->", lambda _, block=block: block, text, flags=re.DOTALL)
        if count != 1:
            raise ValueError(f"{PAGE} has {count} tables named {name}")
    return text


def _commands(result: dict[str, Any]) -> list[str]:
    sections = result["sections"]
    splits = [score["split"] for score in next(iter(sections.values()))["scores"]]
    lines = [
        "| system | training, CPU minutes | the other commands, CPU minutes |" + "".join(f" `{s}` |" for s in splits)
    ]
    lines.append("| --- | --- | --- |" + " --- |" * len(splits))
    for name, section in sections.items():
        minutes = {True: 0.0, False: 0.0}
        for one in section["commands"]:
            minutes[one["command"].startswith("hsifeat pretrain ")] += one["cpu_seconds"] / 60
        oa = {score["split"]: f"{100 * score['oa']:.1f}" for score in section["scores"]}
        training = f"{minutes[True]:.1f}" if minutes[True] else ""
        lines.append(f"| {name} | {training} | {minutes[False]:.1f} | {' | '.join(oa.get(s, '') for s in splits)} |")
    return lines


def _scores(result: dict[str, Any]) -> list[str]:
    splits = list(next(iter(result["oa"].values())))
    lines = ["| system | head and inputs | network | steps |" + "".join(f" `{split}` |" for split in splits)]
    lines.append("| --- | --- | --- | --- |" + " --- |" * len(splits))
    for entry, scores in result["oa"].items():
        facts = result["systems"][entry]
        cells = [
            NAMES.get(entry, entry),
            f"`{facts['head']}` on {facts['inputs']}",
            facts["network"] or "none",
            str(facts.get("steps", "")),
            *(_score(scores.get(split)) for split in splits),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _differences(result: dict[str, Any]) -> list[str]:
    splits = list(next(iter(result["oa"].values())))
    lines = ["| difference of |" + "".join(f" `{split}` |" for split in splits), "| --- |" + " --- |" * len(splits)]
    for name, gains in result["differences"].items():
        entry, _, other = name.partition(" - ")
        if not entry.endswith(TWIN) and any(gains.values()):
            what = "its untrained twin" if other.endswith(TWIN) else NAMES[other].partition(",")[0]
            cells = [_gain(gains.get(split)) for split in splits]
            lines.append(f"| {NAMES.get(entry, entry).partition(',')[0]} to {what} | {' | '.join(cells)} |")
    return lines


def _score(score: dict[str, Any] | None) -> str:
    return "" if score is None else f"{score['mean']:.1f} ± {score['sd']:.1f} ({score['draws']})"


def _gain(gain: dict[str, Any] | None) -> str:
    return "" if gain is None else f"{gain['mean']:+.1f} ({gain['interval'][0]:+.1f} to {gain['interval'][1]:+.1f})"


def main() -> None:
    """Write the tables."""
    result, commands = (json.loads((RESULTS / name).read_text()) for name in ("systems.json", "systems_commands.json"))
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), result, commands), encoding="utf-8")


if __name__ == "__main__":
    main()
