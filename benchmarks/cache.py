"""Measure the cache: bytes on disk, codecs, reading of pixels and of whole planes, and the cost of writing.

``.venv/bin/python benchmarks/cache.py [SECTION ...]`` writes ``benchmarks/results/cache.json``. If only some sections run,
the script replaces only their results in the file. The alternatives of a section run in turn within one process, and the
median time of each alternative is recorded. Times depend on the machine; only ratios of times can be compared between
machines.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cache_codecs
import cache_reading
import cache_sizes
import cache_writing
from cache_bench import ROOT, Bench, about_cache_run

RESULT = ROOT / "benchmarks" / "results" / "cache.json"
SECTIONS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "sizes": cache_sizes.measure,
    "codecs": cache_codecs.measure,
    "points": cache_reading.points,
    "dense": cache_reading.dense,
    "writing": cache_writing.measure,
}


def main() -> None:
    """Run the sections named on the command line, write the result and print a summary."""
    parser = argparse.ArgumentParser(description="Measure the cache.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; by default all")
    parser.add_argument("--quick", action="store_true", help="a short run with small networks that writes no result")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"unknown section {min(unknown)!r}; allowed: {', '.join(SECTIONS)}")
    selected = [name for name in SECTIONS if name in options.sections or not options.sections]
    content = {} if options.quick or not RESULT.exists() else json.loads(RESULT.read_text())
    about = about_cache_run()
    for name in selected:
        with tempfile.TemporaryDirectory(prefix="hsifeat-cache-") as folder:
            os.environ["HSIFEAT_CACHE"] = str(Path(folder) / "cache")
            start = time.perf_counter()
            values = SECTIONS[name](Bench(Path(folder), options.quick))
            took = round(time.perf_counter() - start, 1)
        content[name] = {"measured": {"date": about["date"], "commit": about["commit"], "took_seconds": took}, **values}
        print(f"{name}: {took} s")
    sections = {name: content[name] for name in SECTIONS if name in content}
    content = {**about, "claims": claims(sections), **sections}
    if not options.quick:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(content, indent=1) + "\n")
        print(f"wrote {RESULT.relative_to(ROOT)}")
    print("\n".join(summary(content)))


def claims(sections: dict[str, Any]) -> list[dict[str, Any]]:
    """List the claims about the cache with their measured values, for the measured sections."""
    rows = []

    def claim(text: str, measured: float, *, holds: bool) -> None:
        rows.append({"claim": text, "measured": measured, "holds": holds})

    if sizes := sections.get("sizes"):
        ratio = sizes["ratio"]
        claim("at least 44 times fewer bytes on disk than the full-size float32 layout", ratio, holds=ratio >= 44)
        share = sizes["values_equal_to_oracle"] / sizes["values"]
        claim("stored values are the float32 taps rounded once to float16, bit for bit", share, holds=share == 1)
    for name in ("points", "dense"):
        if section := sections.get(name):
            equal = section["values_equal"]
            claim(f"{name}: every way of reading gives the same values", float(equal), holds=equal)
    if points := sections.get("points"):
        for way, row in points["ways"].items():
            if way.startswith("Features"):
                times = row["times_faster"]
                least = 50 if "keep" in way else 5
                claim(f"{way} takes at most 1/{least} of vindex's time", times, holds=times >= least)
    if writing := sections.get("writing"):
        added = writing["default_tiling"]["added_percent"]
        claim(
            "writing adds at most 5 % to the wall time of an extraction with the default tiling",
            added,
            holds=added <= 5,
        )
    return rows


def summary(content: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a summary of all results."""
    if sizes := content.get("sizes"):
        yield f"\nsizes: {sizes['published_bytes']:,} bytes -> {sizes['on_disk_bytes']:,}: {sizes['ratio']} times fewer"
    for name, source in content.get("codecs", {}).get("planes", {}).items():
        yield f"\ncodecs on {name} ({source['raw_bytes'] / 1e6:.1f} MB){'':12}ratio  write MB/s  read MB/s"
        for codec, row in source["codecs"].items():
            lossy = f"  lossy: {row['max_relative_error']:.2g} at most" if row["lossy"] else ""
            yield f"  {codec:48}{row['ratio']:8.3f}{row['write_mb_s']:12.0f}{row['read_mb_s']:11.0f}{lossy}"
    for name in ("points", "dense"):
        if section := content.get(name):
            yield f"\n{name} of a plane {tuple(section['plane'])}{'':20}seconds  times faster"
            for way, row in section["ways"].items():
                speed = f"{row['gb_s']:8.2f} GB/s" if "gb_s" in row else ""
                yield f"  {way:44}{row['seconds']:10.4f}{row['times_faster']:12.2f}{speed}"
    if writing := content.get("writing"):
        yield "\nwriting"
        for tiling in ("default_tiling", "every_cell_kept"):
            row = writing[tiling]
            yield f"  {tiling:44}{row['seconds_with']} s with, {row['seconds_without']} without: {row['added_percent']} % more"
    yield "\nclaims"
    for row in content["claims"]:
        yield f"  {'holds' if row['holds'] else 'FAILS'}  {row['claim']}: {row['measured']:.4g}"


if __name__ == "__main__":
    main()
