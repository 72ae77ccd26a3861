"""Results of a benchmark as sentences, as a table for the terminal, and as formatted numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median

from classifiers.comparison.results.base_records import LEVEL, BenchEntry, Estimate
from classifiers.comparison.results.bench_results import BenchResults
from classifiers.comparison.results.differences import ContrastTest, SplitGap
from classifiers.comparison.results.distance_text import distance_remarks, question_text, verdict_text
from classifiers.comparison.results.scores import CurvePoint, EntrySummary, SplitSummary
from classifiers.scene_scores import describe_scenes
from classifiers.splits import CARRY_OVER, FILL_IN, parse_split_question
from hsifeat.formatting import format_mean

_NOT_TRAINED = (
    "not trained, because all features are constant on the training pixels: {}. The most frequent class of the training "
    "pixels is scored instead"
)


def overview(results: BenchResults) -> list[dict[str, str]]:
    """Return the table that the terminal shows, one row per entry.

    A row has the head, the input, the store, the overall accuracy (OA) in percent under each split, and the median fitting
    time over all runs in seconds. If class probabilities were smoothed, a row also has, under each split, OA after smoothing and
    the difference from OA without smoothing.
    """
    rows: dict[BenchEntry, dict[str, str]] = {}
    for summary in results.summary:
        entry = summary.entry
        row = rows.setdefault(entry, {"head": entry.head, "input": entry.inputs, "store": entry.store})
        row[f"OA {summary.split}"] = f"{100 * summary.oa.mean:.1f} ± {100 * summary.oa.sd:.1f}"
        if summary.smoothed_oa is not None and summary.smoothing_gain is not None:
            gain = f"({100 * summary.smoothing_gain.mean:+.1f})"
            row[f"smoothed {summary.split}"] = f"{100 * summary.smoothed_oa.mean:.1f} {gain}"
    for entry, row in rows.items():
        row["fit, s"] = f"{median(run.fit_seconds for run in results.runs if run.entry == entry):.2g}"
    return list(rows.values())


def split_remarks(results: BenchResults) -> list[str]:
    """Return lines of text about each split, the gap between splits, and the reduction of column groups.

    The lines of a split state what the split tests, its seeds, its numbers of pixels, the classes left out, and its
    leakage. For the best entry, they also state the accuracy by distance to the nearest training pixel, and the accuracy
    on leak-free test pixels. The features of a leak-free test pixel depend on no training pixel.
    """
    first = {summary.split: summary for summary in reversed(results.summary)}
    scenes = scene_lines(results)
    geometry = {split.split: split for split in results.splits}
    lines = []
    for split, summary in reversed(first.items()):
        lines.append(
            f"{split}, {question_text(split, format_mean(summary.train_pixels))}: mean ± sd of {summary.seeds} seeds, "
            f"{format_mean(summary.train_pixels)} training and {format_mean(summary.test_pixels)} test "
            f"pixels, classes left out: {left_out_text(summary, results.class_names)}"
        )
        if split in geometry:
            lines.append(f"  leakage: {leakage_text(geometry[split])}")
            lines += [f"  with seed 0: {note}" for note in geometry[split].notes]
        if repeated := repeated_draw_text(results, split):
            lines.append(f"  {repeated}")
        if constant := constant_text(results, split):
            lines.append(f"  {constant}")
        lines += scenes.get(split, [])
        lines += [f"  {remark}" for remark in distance_remarks(results, split, summary.test_pixels)]
    remarks = (constant_points_text(results.curves), gap_text(results), reduction_text(results))
    return [*lines, *filter(None, remarks)]


def scene_lines(results: BenchResults) -> dict[str, list[str]]:
    """Return one line for each split: the accuracy of the best entry under this split, scene by scene.

    If there is only one scene, the result is empty.
    """
    lines: dict[str, list[str]] = {}
    for split in dict.fromkeys(summary.split for summary in results.summary):
        best = max((one for one in results.summary if one.split == split), key=lambda one: one.oa.mean)
        if best.scenes:
            means = [(one.scene, one.scores["oa"].mean, one.test_pixels) for one in best.scenes]
            lines[split] = [f"  OA of {best.entry} by test scene: {describe_scenes(means)}"]
    return lines


def reduction_text(results: BenchResults) -> str:
    """State that the principal components of the columns were fitted on a sample of all pixels, without their labels.

    If the principal components were fitted on training pixels only, the text is empty.
    """
    if results.provenance.config is None or results.provenance.config.reduction == "train":
        return ""
    where = "the scenes that have training pixels" if results.scenes else "the scene"
    return (
        f"reduction: principal components are fitted on a sample of all pixels of {where}, test pixels included, without "
        "their labels; heads that do not reduce column groups use training pixels alone"
    )


def planned_tests(results: BenchResults) -> dict[str, list[ContrastTest]]:
    """Return the statistical tests of planned contrasts, grouped by the question that the split of a test answers.

    The keys are ``fill in``, ``carry over`` and ``other splits``. A key without tests is omitted.
    """
    tests: dict[str, list[ContrastTest]] = {FILL_IN: [], CARRY_OVER: [], "other splits": []}
    for test in results.contrasts:
        tests[parse_split_question(test.split) or "other splits"].append(test)
    return {question: found for question, found in tests.items() if found}


def verdict_lines(results: BenchResults) -> list[str]:
    """Return sentences about differences between entries.

    The first sentences state the results of planned contrasts. The next ones name planned contrasts
    that can't be tested because a store is missing. The last ones state for each split which entries differ significantly.
    """
    planned = [test.verdict for tests in planned_tests(results).values() for test in tests]
    missing = [str(contrast) for contrast in results.missing_contrasts]
    verdicts = [verdict_text(results, split) for split in results.verdicts]
    explored = [f"Exploratory: {verdict}" if planned else verdict for verdict in verdicts]
    return [*(f"{line[0].upper()}{line[1:]}" for line in (*planned, *missing)), *explored]


def repeated_draw_text(results: BenchResults, split: str) -> str:
    """Return a remark on a split whose seeds all have the same training and test pixels; empty for other splits.

    A split by a mask or by named scenes is an example. Only the head depends on its seeds.
    """
    runs = [run for run in results.runs if run.split == split]
    seeds, draws = len({run.seed for run in runs}), {run.draw for run in runs}
    if seeds == 1 or len(draws) > 1 or not all(draws):
        return ""
    return (
        f"all {seeds} seeds have the same training and test pixels: standard deviations, intervals and tests say nothing about "
        "other training pixels"
    )


def constant_text(results: BenchResults, split: str) -> str:
    """Return a remark on the entries that could not be trained under a split; empty if there are none."""
    seeds: dict[str, list[int]] = {}
    for run in results.runs:
        if run.split == split and run.constant:
            seeds.setdefault(str(run.entry), []).append(run.seed)
    if not seeds:
        return ""
    entries = "; ".join(f"{entry} (seeds {', '.join(map(str, numbers))})" for entry, numbers in seeds.items())
    return _NOT_TRAINED.format(entries)


def constant_points_text(points: Iterable[CurvePoint]) -> str:
    """Return a remark on the points of learning curves for which the head could not be trained; empty if there are none."""
    places: dict[str, list[str]] = {}
    for point in points:
        if point.constant:
            seeds = ", ".join(map(str, point.constant))
            places.setdefault(f"{point.entry} under {point.split}", []).append(f"{point.per_class} (seeds {seeds})")
    if not places:
        return ""
    entries = "; ".join(f"{name}, per class {', '.join(limits)}" for name, limits in places.items())
    return f"points of learning curves that were {_NOT_TRAINED.format(entries)}"


def left_out_text(summary: EntrySummary, class_names: Mapping[int, str]) -> str:
    """List the classes that are left out of the averages.

    If a class is left out under some seeds only, the number of these seeds follows the name of the class. If seeds
    differ in the number of scored classes, the text also lists the numbers of scored classes.
    """
    names = [
        class_names.get(number, f"class {number}")
        + (f" (under {seeds} of {summary.seeds} seeds)" if seeds < summary.seeds else "")
        for number, seeds in summary.left_out.items()
    ]
    counts = (
        f"; AA is over {' or '.join(map(str, summary.class_counts))} classes" if len(summary.class_counts) > 1 else ""
    )
    return (", ".join(names) or "none") + counts


def leakage_text(split: SplitSummary) -> str:
    """Describe the leakage of a split and the distance between test and training pixels.

    Leakage is the share of test pixels whose features depend on a training pixel.

    >>> leakage_text(SplitSummary(
    ...     split="random:0.1", leakage={"spectra": 0.0, "planes of ip": 1.0}, footprints={}, median_px=1.41, min_px=1.0
    ... ))
    'the features of 100.0% (planes of ip), 0.0% (spectra) of the test pixels depend on a training pixel; the nearest training pixel is 1.4 px away (median), at least 1.0 px'
    """
    shares: dict[str, list[str]] = {}
    for columns, share in sorted(split.leakage.items(), key=lambda item: -item[1]):
        shares.setdefault(f"{share:.1%}", []).append(columns)
    text = ", ".join(f"{share} ({', '.join(columns)})" for share, columns in shares.items())
    where = f"the nearest training pixel is {distance_range_text(split)}"
    return f"the features of {text} of the test pixels depend on a training pixel; {where}"


def distance_range_text(split: SplitSummary) -> str:
    """State the median and the minimum of the distances from test pixels to their nearest training pixels."""
    if split.min_px is None:
        return "in another scene"
    least = f"at least {split.min_px:.1f} px"
    return (
        f"in another scene (median), {least}"
        if split.median_px is None
        else f"{split.median_px:.1f} px away (median), {least}"
    )


def gap_text(results: BenchResults) -> str:
    """State the gap in overall accuracy between the first random and the first disjoint split.

    The text has the range of the gap over all entries, and the gap of the entry that is best under the disjoint split.
    If the benchmark lacks a random or a disjoint split, the text is empty.
    """
    gaps = {gap.entry: gap for gap in results.gaps}
    if not gaps:
        return ""
    disjoint = next(iter(gaps.values())).disjoint
    cells = [summary for summary in results.summary if summary.split == disjoint and summary.entry in gaps]
    gap = gaps[max(cells, key=lambda summary: summary.oa.mean).entry]
    points = f"{100 * abs(gap.difference):.1f} points {_comparative(gap.difference)}"
    interval = _gap_interval(gap)
    if len(gaps) == 1:
        return f"The OA of {gap.entry} under {gap.random} is {points} than under {disjoint}{interval}"
    spread = _spread([100 * gap.difference for gap in gaps.values()])
    return (
        f"OA under {gap.random} is {spread} than under {disjoint} for the same entry; for {gap.entry}, the best under "
        f"{disjoint}, it is {points}{interval}"
    )


def _spread(points: list[float]) -> str:
    low, high = min(points), max(points)
    if low < 0 < high:
        return f"from {-low:.1f} points lower to {high:.1f} points higher (median {median(points):+.1f})"
    near, far = sorted(map(abs, (low, high)))
    return f"{near:.1f} to {far:.1f} (median {abs(median(points)):.1f}) points {_comparative(low + high)}"


def _gap_interval(gap: SplitGap) -> str:
    """Format the interval of a gap in percentage points.

    The sign is chosen such that the gap is positive.
    """
    if gap.low is None or gap.high is None:
        return ""
    low, high = (gap.low, gap.high) if gap.difference >= 0 else (-gap.high, -gap.low)
    return f" ({interval_text(low, high)})"


def interval_text(low: float, high: float, number: str = "+.1f") -> str:
    """Format a confidence interval of a share, or of a difference of shares, in percent.

    Parameters
    ----------
    low, high : float
        Bounds of the interval, from -1 to 1.
    number : str
        Python format of each bound, such as ``.1f``, or ``+.1f`` with a sign.

    Examples
    --------
    >>> interval_text(-0.012, 0.034), interval_text(0.81, 0.9, ".1f")
    ('95 % interval -1.2 to +3.4', '95 % interval 81.0 to 90.0')
    """
    return f"{100 * LEVEL:g} % interval {100 * low:{number}} to {100 * high:{number}}"


def _comparative(difference: float) -> str:
    return "lower" if difference < 0 else "higher"


def percent(score: Estimate, seeds: int, digits: int = 2) -> str:
    """Format a score in percent, with its standard deviation if there are several seeds.

    Parameters
    ----------
    score : Estimate
        Mean and standard deviation, from 0 to 1.
    seeds : int
        Number of seeds.
    digits : int
        Number of decimals.
    """
    sd = f"\u00a0±\u00a0{100 * score.sd:.{digits}f}" if seeds > 1 else ""
    return f"{100 * score.mean:.{digits}f}{sd}"


def pixel_range(bounds: tuple[float, float]) -> str:
    """Format a range of mean numbers of pixels. If both bounds are equal, the text is a single number.

    >>> pixel_range((1200.0, 1200.0)), pixel_range((5.0, 7.5))
    ('1,200', '5 to 7.5')
    """
    low, high = (format_mean(pixels) for pixels in bounds)
    return low if low == high else f"{low} to {high}"


def p_value(value: float | None) -> str:
    """Format a p-value.

    >>> p_value(0.0004), p_value(0.0312), p_value(None)
    ('< 0.001', '0.031', 'n/a')
    """
    if value is None:
        return "n/a"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
