"""Key findings at the top of the page of a report, as sentences and as a dot plot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import inf, isfinite

from classifiers.comparison.report import figures
from classifiers.comparison.report.plot import Plot
from classifiers.comparison.results.bench_results import BenchResults, StoreSummary
from classifiers.comparison.results.differences import Contrast, ContrastTest
from classifiers.comparison.results.distance_text import leak_free_text, verdict_text
from classifiers.comparison.results.ranking import DISJOINT, LEAKS, RankedSplit, Ranking
from classifiers.comparison.results.scores import EntrySummary
from classifiers.comparison.results.summary_text import gap_text, interval_text, percent, planned_tests
from classifiers.splits import CARRY_OVER, FILL_IN, parse_split_question
from hsifeat.formatting import format_bytes, format_duration

_UNVISITED = ", like most pixels of a scene with few labelled areas"
_NO_BUFFER = ", because the split has no buffer, unlike blocks:12+4:0.1"
_RANDOM_MIXES = (
    "Under a random split, test pixels lie among training pixels, and features with spatial context cover both."
)
_TILE_CONTEXT = (
    "The value of a plane at a pixel depends on the spectra of all pixels in the model's input tile, including training pixels, "
    "but never on their classes."
)
_NO_DISJOINT_SPLIT = (
    "No split is known to be spatially disjoint, so these scores do not estimate the accuracy in unseen areas: also run "
    "blocks:12+4:0.1."
)
_FILL_IN = (
    "Two questions have two answers. To fill in a scene from labels scattered over it, read {}, where closeness to the labels is the "
    "point. To carry over to ground without labels, only test pixels away from the labels count."
)
MAX_DOTS = 24
# Largest number of splits whose leakage is listed. For more splits, only the largest and the smallest leakage are listed.
_MAX_SPLITS = 4


def key_findings(ranking: Ranking) -> list[tuple[str, str]]:
    """Return the key findings as pairs of a title and a text."""
    splits = ranking.splits
    findings = [
        (f"Planned contrasts · {question}", _planned_text(tests))
        for question, tests in planned_tests(ranking.results).items()
    ]
    findings += [("Missing for a planned contrast", str(missing)) for missing in ranking.results.missing_contrasts]
    findings += [
        (f"{split.question.capitalize()} · {split.name} · {split.kind}", _best_entry(ranking, index))
        for index, split in enumerate(splits)
    ]
    findings += [("Carry over without leakage", text)] if (text := _without_leakage(ranking)) else []
    if gap := _gap(ranking):
        findings.append(("Gap between splits", gap))
    findings += [("Leakage", leaks)] if (leaks := _leakage(splits)) else []
    findings += [("Cost", cost)] if (cost := _cost(ranking)) else []
    # The farther the test pixels lie from the training pixels, the more a split tells about ground without labels.
    disjoint_splits = sorted(
        (split for split in splits if split.kind == DISJOINT),
        key=lambda split: -_nearest_px(split) if split.geometry else 0,
    )
    fill_in = [split.name for split in splits if parse_split_question(split.name) == FILL_IN]
    advice = [
        *([_FILL_IN.format(" and ".join(fill_in))] if fill_in else []),
        _distances(disjoint_splits) if disjoint_splits else _NO_DISJOINT_SPLIT,
        *([] if ranking.first_index(LEAKS) is None else [_RANDOM_MIXES]),
    ]
    return [*findings, ("Which scores to trust", " ".join(advice))]


def contrast_table(results: BenchResults) -> tuple[list[str], list[tuple[Contrast, list[ContrastTest | None]]]]:
    """Return the columns (splits) and the rows of the table of planned contrasts.

    A row has a contrast and one test for each split. A test is None if the contrast was not tested under the split.
    """
    splits = list(dict.fromkeys(test.split for test in results.contrasts))
    by_contrast: dict[str, dict[str, ContrastTest]] = {}
    for test in results.contrasts:
        by_contrast.setdefault(str(test.contrast), {})[test.split] = test
    rows = [
        (next(iter(tests.values())).contrast, [tests.get(split) for split in splits]) for tests in by_contrast.values()
    ]
    return splits, rows


def overview_plot(ranking: Ranking) -> Plot:
    """Draw the overall accuracy (OA) of the first entries of the ranking, with a dot for each split.

    Whiskers are 95 % intervals where available, otherwise ± one standard deviation.
    """
    rows = [
        (
            str(row.entry),
            [
                figures.Dot(summary.oa.mean, *whisker(summary), hollow=split.kind == LEAKS)
                for summary, split in zip(row.cells, ranking.splits, strict=True)
                if summary
            ],
        )
        for row in ranking.rows[:MAX_DOTS]
    ]
    return figures.dot_plot(rows, "overall accuracy, %")


def whisker(summary: EntrySummary) -> tuple[float, float]:
    """Return the lower and upper end of the whisker of an entry in a dot plot of overall accuracy.

    The whisker is the 95 % interval, if the entry has one. Otherwise, the whisker is the mean ± one standard deviation.
    """
    return summary.oa.interval or (summary.oa.mean - summary.oa.sd, summary.oa.mean + summary.oa.sd)


def whisker_legend(ranking: Ranking) -> str:
    """Describe what the whiskers of the dot plot show, such as ``± standard deviation over seeds``."""
    cells = [summary for row in ranking.rows for summary in row.cells if summary]
    if all(summary.oa.interval for summary in cells):
        return "with 95 % intervals over seeds and regions"
    if any(summary.oa.interval for summary in cells):
        return "with 95 % intervals where available, else ± standard deviation over seeds"
    return (
        "± standard deviation over seeds"
        if max(summary.seeds for summary in cells) > 1
        else "one seed, without whiskers"
    )


def _planned_text(tests: Sequence[ContrastTest]) -> str:
    """Describe the significant contrasts, and state how many contrasts are not significant or can't be tested."""
    significant = [test.verdict for test in tests if test.significant]
    sentences = [f"{verdict[0].upper()}{verdict[1:]}." for verdict in significant]
    untested = sum(test.p_holm is None for test in tests)
    if unclear := len(tests) - len(significant) - untested:
        sentences.append(f"{unclear} of {len(tests)} tests show no significant difference; the table below has all.")
    if untested:
        sentences.append(f"{untested} of {len(tests)} contrasts can't be tested; the table below has the differences.")
    return " ".join(sentences)


def _best_entry(ranking: Ranking, index: int) -> str:
    ranked = ranking.ranked(index)
    row, first = ranked[0]
    seeds = f"over {first.seeds} seeds" if first.seeds > 1 else "with one seed, so without a standard deviation"
    verdict = verdict_text(ranking.results, ranking.splits[index].name)
    text = f"{verdict}. OA of {row.entry}:" if verdict else f"{row.entry} is best: OA"
    text += f" {percent(first.oa, first.seeds)}\u00a0%"
    if first.oa.interval:
        low, high = first.oa.interval
        text += f" ({interval_text(low, high, '.1f')})"
    text += f", kappa {first.scores['kappa'].mean:.3f}, {seeds}."
    if len(ranked) > 1 and not verdict:
        follower, second = ranked[1]
        lead = first.oa.mean - second.oa.mean
        text += f" {follower.entry} follows {100 * lead:.2f} points behind"
        small = first.seeds > 1 and lead < max(first.oa.sd, second.oa.sd)
        text += ", less than the standard deviation over seeds: this is no ranking." if small else "."
    return text


def _without_leakage(ranking: Ranking) -> str:
    """Describe the accuracy of the best entry on the test pixels whose features depend on no training pixel.

    The text has one sentence for each split that tests on areas without training pixels (``carry over``).
    """
    by_key = {(one.entry, one.split): one for one in ranking.results.distances}
    texts = []
    for index, split in enumerate(ranking.splits):
        ranked = ranking.ranked(index)
        found = [by_key[row.entry, split.name] for row, _ in ranked if (row.entry, split.name) in by_key]
        if found and parse_split_question(split.name) == CARRY_OVER:
            text = leak_free_text(ranking.results, found, ranked[0][1].test_pixels)
            texts.append(f"{text[0].upper()}{text[1:]}.")
    return " ".join(texts)


def _leakage(splits: Sequence[RankedSplit]) -> str:
    """State for each split the leakage of the input that leaks most.

    Leakage is the share of test pixels whose features depend on a training pixel.
    """
    shares = [
        (max(split.geometry.leakage.values()), split.name)
        for split in splits
        if split.geometry and split.geometry.leakage
    ]
    if not shares:
        return ""
    if len(shares) > _MAX_SPLITS:
        shares = [max(shares), min(shares)]
    listed = ", ".join(f"{100 * share:.1f}\u00a0% under {name}" for share, name in shares)
    return (
        f"Test pixels whose features depend on a training pixel, for the input that leaks most: {listed}; the table of splits "
        f"lists every input. {_TILE_CONTEXT}"
    )


def _distances(splits: Sequence[RankedSplit]) -> str:
    """Recommend the scores under the first of `splits`, and state the distances from test to training pixels.

    All `splits` are disjoint.
    """
    distances = [
        (
            f"{_nearest_px(split):.1f} px or more from every training pixel"
            + (_NO_BUFFER if _nearest_px(split) <= 1 else "" if index else _UNVISITED)
            if isfinite(_nearest_px(split))
            else "in other scenes than the training pixels"
        )
        if split.geometry
        else "in other blocks than the training pixels"
        for index, split in enumerate(splits)
    ]
    text = f"Trust the column of {splits[0].name}: its test pixels lie {distances[0]}."
    others = [f"Those of {split.name} lie {where}." for split, where in zip(splits[1:], distances[1:], strict=True)]
    return " ".join([text, *others])


def _nearest_px(split: RankedSplit) -> float:
    """Return the smallest distance from a test pixel to a training pixel; infinite if they are in different scenes."""
    return inf if split.geometry is None or split.geometry.min_px is None else split.geometry.min_px


def _gap(ranking: Ranking) -> str:
    if not ranking.results.gaps:
        return ""
    text, names = f"{gap_text(ranking.results)}.", [split.name for split in ranking.splits]
    random, disjoint = (
        names.index(name) for name in (ranking.results.gaps[0].random, ranking.results.gaps[0].disjoint)
    )
    count, first, second = len(ranking.results.gaps), ranking.splits[random], ranking.splits[disjoint]
    winner = ranking.ranked(random)[0][0]
    place = next((i for i, (row, _) in enumerate(ranking.ranked(disjoint), 1) if row is winner), None)
    if count > 1 and place:
        text += (
            " The same entry is best under both."
            if place == 1
            else f" The best entry under {first.name} is number {place} of {count} under {second.name}."
        )
    return text + _class_differences(ranking, first, second)


def _class_differences(ranking: Ranking, first: RankedSplit, second: RankedSplit) -> str:
    """List the classes that, for at least one seed, exactly one of the two splits leaves out."""
    runs = ranking.results.runs
    left_out = [
        {(run.seed, number) for run in runs if run.split == split.name for number in run.left_out}
        for split in (first, second)
    ]
    counts = Counter(number for _, number in left_out[0] ^ left_out[1])
    if not counts:
        return ""
    seeds = len(second.seeds)
    names = ", ".join(
        ranking.class_names[number] + (f" (under {count} of {seeds} seeds)" if count < seeds else "")
        for number, count in sorted(counts.items())
    )
    return f" The classes that are averaged differ: {names} scored under one of the splits only."


def _cost(ranking: Ranking) -> str:
    """Describe the time and memory that the cached features cost.

    If the extraction times are known, the text also states how long it would take to compute the planes again for each
    run.
    """
    stores = ranking.results.stores
    runs = [run for run in ranking.results.runs if run.entry.store]
    if not any(store.planes for store in stores) or not runs:
        return ""
    text = " ".join(map(_store_cost, stores)) if not ranking.results.scenes else _total_cost(stores)
    spent = sum(run.fit_seconds + run.predict_seconds for run in runs)
    text += (
        f" All {len(runs):,} runs on planes then took {format_duration(spent)} to fit and predict, without the model"
    )
    seconds = {store.name: store.extraction_seconds for store in stores if store.extraction_seconds is not None}
    if not seconds or any(run.entry.store not in seconds for run in runs):
        return f"{text}."
    repeated = sum(seconds[run.entry.store] for run in runs)
    return f"{text}; computing the planes anew for each run would have taken {format_duration(repeated)}."


def _total_cost(stores: Sequence[StoreSummary]) -> str:
    """Describe the size and time of the stores of several scenes together."""
    text = f"The planes of {len(stores)} stores take {format_bytes(sum(store.size_bytes for store in stores))} before compression"
    seconds = [store.extraction_seconds for store in stores]
    known = [value for value in seconds if value is not None]
    return text + (f", and took {format_duration(sum(known))} to extract." if len(known) == len(stores) else ".")


def _store_cost(store: StoreSummary) -> str:
    text = f"The planes of {store.name} take {format_bytes(store.size_bytes)} before compression"
    if store.bytes_on_disk is not None:
        text += f"; on disk the whole store takes {format_bytes(store.bytes_on_disk)}"
    if store.extraction_seconds is not None:
        text += (
            f". Extracting them once took {format_duration(store.extraction_seconds)} on {' and '.join(store.devices)}"
        )
    return f"{text}."
