"""Texts about what a split tests, and about accuracy by distance to the nearest training pixel."""

from __future__ import annotations

from collections.abc import Sequence

from classifiers.comparison.results.base_records import Estimate
from classifiers.comparison.results.bench_results import BenchResults
from classifiers.comparison.results.scores import DistanceScore, EntryDistances
from classifiers.distance_bins import DistanceBin
from classifiers.splits import parse_split_question
from hsifeat.formatting import format_mean

_SMALLER_FOOTPRINT = (
    "to get one, also run the inputs spectra+window, or planes with smaller tiles, under a split with a buffer"
)
_WHOLE_SCENE = "to get one, also run the inputs spectra+window, or a context store without the layers reconstruction-*, under a split with a buffer"


def question_text(split: str, labels: str) -> str:
    """Return a text that says what a split tests and from how many labels, such as ``fill in from 80 labels``.

    Parameters
    ----------
    split : str
        The split, in the grammar of `parse_split`.
    labels : str
        Number of training pixels, or the range of this number over seeds; see `pixel_range`.

    Examples
    --------
    >>> question_text("per-class:5", "80"), question_text("far:12+16:0.1", "1,024"), question_text("mask:a.npy", "90")
    ('fill in from 80 labels', 'carry over from 1,024 labels', 'user-defined maps with 90 labels')
    """
    question = parse_split_question(split)
    return f"{question} from {labels} labels" if question else f"user-defined maps with {labels} labels"


def verdict_text(results: BenchResults, split: str) -> str:
    """State what a split tests, and which entries differ significantly under this split.

    The text has no full stop. If `BenchResults.verdicts` lacks the split, the text is empty.
    """
    verdict = results.verdicts.get(split)
    question = parse_split_question(split)
    return f"To {question}: {verdict.rstrip('.')}" if verdict and question else verdict or ""


def range_label(score: DistanceScore, pixel_size_m: float | None) -> str:
    """Format the distances of a score as a range in pixels. If `pixel_size_m` is not None, add the range in metres.

    >>> score = DistanceScore(low_px=4, high_px=9, mean_px=6, test_pixels=7, seeds=1)
    >>> range_label(score, None), range_label(score, 20.0)
    ('4\N{EN DASH}9 px', '4\N{EN DASH}9 px (80\N{EN DASH}180 m)')
    """
    text = str(DistanceBin(score.low_px, score.high_px))
    if pixel_size_m is None:
        return text
    low, high = score.low_px * pixel_size_m, (score.high_px or 0) * pixel_size_m
    return f"{text} (over {low:g} m)" if score.high_px is None else f"{text} ({low:g}\N{EN DASH}{high:g} m)"


def estimate_interval(estimate: Estimate, *, signed: bool = False) -> str:
    """Format the ends of the 95 % interval of an estimate in percent, such as ``41.0 to 47.5``.

    The text is empty if the estimate has no interval.
    """
    if estimate.interval is None:
        return ""
    sign = "+" if signed else ""
    return " to ".join(f"{100 * end:{sign}.1f}" for end in estimate.interval)


def leak_free_text(results: BenchResults, ranked: Sequence[EntryDistances], test_pixels: float) -> str:
    """State the accuracy that the best entry of a split reaches on leak-free test pixels.

    The features of a leak-free test pixel depend on no training pixel. If the best entry has no leak-free pixels, the
    text says why, and gives the accuracy of the best entry that has leak-free pixels. If no entry has leak-free pixels,
    the text gives the accuracy of the best entry on the test pixels farthest from training pixels. In this case, the text
    also recommends a split with a buffer, and inputs whose features depend on fewer pixels.

    Parameters
    ----------
    results : BenchResults
        Results of the benchmark.
    ranked : sequence of EntryDistances
        Scores of the entries under one split, the best entry first.
    test_pixels : float
        Number of all test pixels of the split, mean over seeds.
    """
    best = ranked[0]
    seeds = len({run.seed for run in results.runs if run.split == best.split})
    if best.leak_free.oa is not None:
        return f"under {best.split}, {_leak_free_score(best, best.leak_free.oa, test_pixels, seeds)}"
    footprints = next((split.footprints for split in results.splits if split.split == best.split), {})
    footprint = footprints.get(best.entry.columns, "pixels around a pixel")
    text = (
        f"under {best.split}, there is no score without leakage for {best.entry}: its features depend on {footprint}, which "
        "holds a training pixel for every test pixel"
    )
    for other in ranked:
        if other.leak_free.oa is not None:
            return f"{text}; {_leak_free_score(other, other.leak_free.oa, test_pixels, seeds)}"
    farthest = best.bins[-1]
    if farthest.oa is not None:
        text += (
            f"; it classifies {100 * farthest.oa.mean:.1f} % of the test pixels "
            f"{range_label(farthest, results.scene.pixel_size_m)} away from every training pixel correctly"
            f"{_in_parentheses(estimate_interval(farthest.oa))}"
        )
    return f"{text}; {_WHOLE_SCENE if 'whole scene' in footprint else _SMALLER_FOOTPRINT}"


def _leak_free_score(found: EntryDistances, oa: Estimate, test_pixels: float, seeds: int) -> str:
    known, total = (format_mean(number) for number in (found.leak_free.test_pixels, test_pixels))
    pixels = f"all {total}" if known == total else f"{known} of {total}"
    means = f" (means over {seeds} seeds)" if seeds > 1 else ""
    text = (
        f"the features of {pixels} test pixels{means} depend on no training pixel; {found.entry} classifies {100 * oa.mean:.1f} % "
        f"of them correctly{_in_parentheses(estimate_interval(oa))}"
    )
    gain = found.leak_free.gain
    if gain is None:
        return text
    points = f"{100 * gain.mean:+.1f} points{_in_parentheses(estimate_interval(gain, signed=True))}"
    return f"{text}, {points} from spectra alone on the same pixels"


def _in_parentheses(interval: str) -> str:
    return f" (95 % interval {interval})" if interval else ""


def distance_text(found: EntryDistances, pixel_size_m: float | None) -> str:
    """List the overall accuracy of an entry for each range of distances to the nearest training pixel.

    If the gain over spectra alone is known, it stands in parentheses after the accuracy.
    """
    cells = []
    for score in found.bins:
        if score.oa is None:
            continue
        gain = "" if score.gain is None else f" ({100 * score.gain.mean:+.1f} from spectra)"
        cells.append(f"{range_label(score, pixel_size_m)} {100 * score.oa.mean:.1f}{gain}")
    return f"OA of {found.entry} in percent under {found.split}, by distance to the nearest training pixel: {', '.join(cells)}"


def distance_remarks(results: BenchResults, split: str, test_pixels: float) -> list[str]:
    """Return texts about the best entry of a split: `distance_text`, `leak_free_text`, and `without_distance_text`.

    Empty texts are left out. If the split has no scores by distance, the list is empty.

    Parameters
    ----------
    results : BenchResults
        Results of the benchmark.
    split : str
        The split, in the grammar of `parse_split`.
    test_pixels : float
        Number of all test pixels of the split, mean over seeds.
    """
    oa = {summary.entry: summary.oa.mean for summary in results.summary if summary.split == split}
    found = [one for one in results.distances if one.split == split]
    if not found:
        return []
    ranked = sorted(found, key=lambda one: -oa[one.entry])
    texts = [
        distance_text(ranked[0], results.scene.pixel_size_m),
        leak_free_text(results, ranked, test_pixels),
        without_distance_text(results, split, test_pixels),
    ]
    return list(filter(None, texts))


def without_distance_text(results: BenchResults, split: str, test_pixels: float) -> str:
    """State how many test pixels are in no range of distances, because their scene has no training pixels.

    Parameters
    ----------
    results : BenchResults
        Results of the benchmark.
    split : str
        The split, in the grammar of `parse_split`.
    test_pixels : float
        Number of all test pixels of the split, mean over seeds.

    Returns
    -------
    str
        The text. If there are no such test pixels, it is empty.
    """
    geometry = next((one for one in results.splits if one.split == split), None)
    if geometry is None or not geometry.seeds_without_distance:
        return ""
    seeds = len({run.seed for run in results.runs if run.split == split})
    known, total = format_mean(geometry.pixels_without_distance), format_mean(test_pixels)
    means = f" (means over {seeds} seeds)" if seeds > 1 else ""
    when = f" under {geometry.seeds_without_distance} of {seeds} seeds" if seeds > 1 else ""
    return (
        f"under {split}, {known} of {total} test pixels{means} are in no range of distances, because their scenes have no "
        f"training pixels{when}"
    )
