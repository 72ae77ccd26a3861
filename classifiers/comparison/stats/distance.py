"""Overall accuracy by distance to the nearest training pixel, accuracy on leak-free test pixels, and leakage of each split.

If a test pixel is near a training pixel, the surroundings of both pixels overlap. Features with spatial context
therefore raise the accuracy most at such test pixels. Scores near the training pixels show how well a head fills in a
scene. Scores far from the training pixels show how well the head carries over to areas without labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.results.base_records import BenchEntry, Estimate
from classifiers.comparison.results.scores import DistanceScore, EntryDistances, PixelScore, RunResult, SplitSummary
from classifiers.comparison.run_records import RunRecords
from classifiers.comparison.sampling import Draws
from classifiers.comparison.stats.bootstrap import MIN_REGIONS, accuracy, bootstrap, interval
from classifiers.distance_bins import DistanceBin, distance_bins
from classifiers.splits import (
    Footprint,
    SplitDraw,
    describe_footprints,
    leaking_pixels,
    parse_split_question,
    training_distances,
)
from classifiers.splits.overlap import overlap_notes
from hsifeat.runtime.events import Advanced, Finished, Listener, Started, silent
from hsifeat.scenes import Labels
from hsifeat.scenes.labels.regions import label_regions

# Intervals need fewer resamples than corrected p-values.
_RESAMPLES = 2_000
# Number of points of a curve. All points have about the same number of test pixels.
_CURVE_POINTS = 12
_BASELINE_INPUT = "spectra"

Correct = list[NDArray[np.bool_]]


def assess_distances(
    runs: Sequence[RunResult],
    run_records: RunRecords,
    labels: Labels,
    draws: Draws,
    footprints: Mapping[str, tuple[frozenset[Footprint], ...]],
    ends_px: Sequence[int],
    *,
    listen: Listener = silent,
) -> tuple[list[RunResult], tuple[EntryDistances, ...], tuple[SplitSummary, ...]]:
    """Score the runs in bins of the distance to the nearest training pixel, and on the test pixels without leakage.

    A test pixel has no leakage if its features depend on no training pixel. The leakage of each split is measured, too.

    Parameters
    ----------
    runs : sequence of RunResult
        Runs of all entries, which were trained and tested on the pixels in `draws`.
    run_records : RunRecords
        Recorded predictions of the runs.
    labels : Labels
        True classes.
    draws : dict of (str, int) to SplitDraw
        Training and test pixels for each split and seed.
    footprints : mapping of str to tuple of frozenset of Footprint
        Footprints of each input in each scene. A footprint is the set of pixels that a feature depends on. The keys are
        `BenchEntry.columns`.
    ends_px : sequence of int
        Upper ends of the distance bins in pixels, ascending.
    listen : callable
        Callback for progress events.

    Returns
    -------
    runs : list of RunResult
        Copies of the runs in the same order, with `RunResult.distance_scores`.
    distances : tuple of EntryDistances
        Scores of each entry under each split, averaged over seeds. Test pixels in a scene without training pixels have
        no distance, and are in no bin. If no test pixel of a split has a distance, the split is left out, and its runs
        are unchanged.
    splits : tuple of SplitSummary
        Leakage and distances of each split, in the order of the first run of each split.
    """
    bins = distance_bins(ends_px)
    regions = label_regions(labels.classes)
    groups: dict[str, dict[BenchEntry, list[RunResult]]] = {}
    for run in runs:
        groups.setdefault(run.split, {}).setdefault(run.entry, []).append(run)
    scored: dict[tuple[BenchEntry, str, int], RunResult] = {}
    summaries, splits = [], []
    total = sum(map(len, groups.values()))
    listen(Started("distances", total, "entries"))
    for split, entries in groups.items():
        seeds = tuple(sorted({run.seed for entry_runs in entries.values() for run in entry_runs}))
        geometry = _Geometry.from_draws({seed: draws[split, seed] for seed in seeds}, labels, regions, footprints)
        first = draws[split, seeds[0]]
        splits.append(geometry.summarise(split, footprints, (*first.notes, *overlap_notes(labels, first))))
        if not any(located.any() for located in geometry.located):
            scored |= {(run.entry, run.split, run.seed): run for one in entries.values() for run in one}
            continue
        edges = geometry.curve_edges()
        correct = {
            entry: [run_records.read_predictions(run.key) == geometry.truth[run.seed] for run in _by_seed(entry_runs)]
            for entry, entry_runs in entries.items()
        }
        for entry, entry_runs in entries.items():
            baseline = BenchEntry(store="", inputs=_BASELINE_INPUT, head=entry.head)
            reference = correct.get(baseline) if entry != baseline else None
            counts = _Counts.from_geometry(geometry, bins, edges, entry.columns)
            summaries.append(counts.summarise(entry, split, correct[entry], reference))
            for index, run in enumerate(_by_seed(entry_runs)):
                values = counts.run_scores(index, correct[entry][index])
                scored[entry, split, run.seed] = run.model_copy(update={"distance_scores": values})
            listen(Advanced("distances", len(summaries), split))
    listen(Finished("distances"))
    return [scored[run.entry, run.split, run.seed] for run in runs], tuple(summaries), tuple(splits)


def _by_seed(runs: Sequence[RunResult]) -> list[RunResult]:
    return sorted(runs, key=lambda run: run.seed)


@dataclass(frozen=True, eq=False)
class _Geometry:
    """Test pixels of one split, for all its seeds.

    Attributes
    ----------
    truth : dict of int to (n,) integer array
        True class of the test pixels, by seed.
    distances : list of (n,) float64 array
        Distance of each test pixel to the nearest training pixel of its scene, for each seed. Infinite if there is none.
    regions : list of (n,) intp array
        Region of each test pixel, from 0, for each seed.
    region_count : int
        Number of regions that have test pixels.
    leaking : list of dict of str to (n,) bool array
        For each seed, a dict that maps values of `BenchEntry.columns` to arrays. An array states whether the features
        of each test pixel depend on a training pixel.
    """

    truth: dict[int, NDArray[np.integer]]
    distances: list[NDArray[np.float64]]
    regions: list[NDArray[np.intp]]
    region_count: int
    leaking: list[dict[str, NDArray[np.bool_]]]

    @cached_property
    def located(self) -> list[NDArray[np.bool_]]:
        """For each seed, whether each test pixel has a distance: whether its scene has training pixels."""
        return [np.isfinite(px) for px in self.distances]

    @classmethod
    def from_draws(
        cls,
        draws: Mapping[int, SplitDraw],
        labels: Labels,
        regions: NDArray[np.int32],
        footprints: Mapping[str, tuple[frozenset[Footprint], ...]],
    ) -> _Geometry:
        """Measure distances and leakage of the draws of a split. `draws` maps seeds to draws."""
        tests = [np.flatnonzero(draw.test) for draw in draws.values()]
        tested, codes = np.unique(np.concatenate([regions.flat[test] for test in tests]), return_inverse=True)
        leaking = []
        for draw in draws.values():
            by_footprint = {one: leaking_pixels(draw, one, labels.windows) for one in set(footprints.values())}
            leaking.append({columns: by_footprint[one] for columns, one in footprints.items()})
        return cls(
            truth={seed: labels.classes.flat[test] for seed, test in zip(draws, tests, strict=True)},
            distances=[training_distances(draw, labels.windows) for draw in draws.values()],
            regions=np.split(codes, np.cumsum([len(test) for test in tests])[:-1]),
            region_count=len(tested),
            leaking=leaking,
        )

    def summarise(
        self, split: str, footprints: Mapping[str, tuple[frozenset[Footprint], ...]], notes: Sequence[str]
    ) -> SplitSummary:
        """Average the leakage and the median distance over seeds. `notes` are remarks on the draw of the first seed."""
        return SplitSummary(
            split=split,
            question=parse_split_question(split) or "",
            leakage={
                columns: float(np.mean([np.mean(leaking[columns]) for leaking in self.leaking]))
                for columns in footprints
            },
            footprints={
                columns: describe_footprints(frozenset().union(*found)) for columns, found in footprints.items()
            },
            median_px=_finite(float(np.mean([np.median(px) for px in self.distances]))),
            min_px=_finite(float(min(px.min() for px in self.distances))),
            pixels_without_distance=float(np.mean([np.count_nonzero(~located) for located in self.located])),
            seeds_without_distance=sum(not located.all() for located in self.located),
            notes=tuple(notes),
        )

    def curve_edges(self) -> NDArray[np.float64]:
        """Return the ends of k distance ranges. Each range holds about the same number of test pixels.

        The ends are a (k + 1,) float64 array in ascending order, and the first end is 0. Test pixels without a distance
        are in no range.
        """
        known = [px[located] for px, located in zip(self.distances, self.located, strict=True)]
        shares = np.linspace(0, 1, _CURVE_POINTS + 1)[1:]
        return np.unique([0.0, *np.quantile(np.concatenate(known), shares, method="higher")])


@dataclass(frozen=True, eq=False)
class _Counts:
    """Groups of test pixels: one per distance bin, one per point of the distance curve, and one without leakage.

    Attributes
    ----------
    geometry : _Geometry
        The test pixels.
    bins, points : tuple of DistanceBin
        Distance bins, and the distance range of each point of the curve.
    members : sequence of tuple of (n,) intp arrays
        Three arrays for each seed, with group numbers of the test pixels. The first array has the distance bin of each
        pixel. The second array has the point of the distance curve. Both have `groups` for a pixel without a distance.
        The third array has the number of the group without leakage, or `groups` for a pixel with leakage.
    """

    geometry: _Geometry
    bins: tuple[DistanceBin, ...]
    points: tuple[DistanceBin, ...]
    members: Sequence[tuple[NDArray[np.intp], ...]]

    @classmethod
    def from_geometry(
        cls, geometry: _Geometry, bins: tuple[DistanceBin, ...], edges: NDArray[np.float64], columns: str
    ) -> _Counts:
        """Assign the test pixels to groups.

        `columns` names the input whose leakage counts, see `BenchEntry.columns`.
        """
        points = tuple(
            DistanceBin(low, high) for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        )
        ends = [one.high_px for one in bins if one.high_px is not None]
        members, none = [], len(bins) + len(points) + 1
        for distances, located, leaking in zip(geometry.distances, geometry.located, geometry.leaking, strict=True):
            in_bin = np.where(located, np.searchsorted(ends, distances), none)
            in_point = np.where(located, np.searchsorted(edges[1:], distances) + len(bins), none)
            leak_free = np.where(leaking[columns], none, none - 1)
            members.append((in_bin, in_point, leak_free))
        return cls(geometry, bins, points, members)

    @property
    def groups(self) -> int:
        """Number of groups: distance bins, points of the distance curve, and the group without leakage."""
        return len(self.bins) + len(self.points) + 1

    @cached_property
    def pixels(self) -> NDArray[np.float64]:
        """Number of test pixels by group, seed and region: (groups, seeds, regions) float64."""
        return self.count([np.ones(len(regions)) for regions in self.geometry.regions])

    def count(self, values: Sequence[NDArray[np.generic]]) -> NDArray[np.float64]:
        """Sum the values of test pixels by group, seed and region. Returns a (groups, seeds, regions) float64 array."""
        regions = self.geometry.region_count
        sums = np.empty((self.groups, len(values), regions))
        for seed, (value, members, region) in enumerate(zip(values, self.members, self.geometry.regions, strict=True)):
            total = np.zeros((self.groups + 1) * regions)
            for group in members:
                total += np.bincount(group * regions + region, weights=value, minlength=len(total))
            sums[:, seed] = total.reshape(-1, regions)[: self.groups]
        return sums

    def summarise(self, entry: BenchEntry, split: str, correct: Correct, reference: Correct | None) -> EntryDistances:
        """Average the accuracy of each group over seeds, and add intervals where they can be computed.

        For each seed, `correct` states which test pixels the entry classifies correctly. `reference` states the same for
        the baseline, which is the same head on spectra alone. `reference` is None if `entry` is the baseline, or if the
        baseline was not run.
        """
        sums = [self.count(correct)]
        sums += [sums[0] - self.count(reference)] if reference is not None else []
        # (1 or 2, groups, seeds, regions): number of correct pixels, and its difference from the baseline.
        parts = np.stack(sums)
        seeds = parts.shape[2]
        drawn = None
        if seeds > 1:
            statistic = accuracy(parts, self.pixels)
            drawn = bootstrap(statistic, seeds, [self.geometry.region_count], resamples=_RESAMPLES)
        totals = self.pixels.sum(axis=2)
        distances = self.count(self.geometry.distances).sum(axis=2)

        def estimate(part: int, group: int) -> Estimate | None:
            counted = totals[group] > 0
            if part >= len(parts) or not counted.any():
                return None
            values = parts[part, group, counted].sum(axis=1) / totals[group, counted]
            several = np.count_nonzero(counted) > 1
            regions = np.count_nonzero(self.pixels[group].any(axis=0))
            known = drawn is not None and several and regions >= MIN_REGIONS
            return Estimate.from_values(values, interval(drawn[part, group]) if known and drawn is not None else None)

        def facts(group: int) -> dict[str, object]:
            return {
                "test_pixels": float(totals[group].mean()),
                "seeds": int(np.count_nonzero(totals[group])),
                "oa": estimate(0, group),
                "gain": estimate(1, group),
            }

        scores = tuple(
            DistanceScore(
                low_px=one.low_px,
                high_px=one.high_px,
                mean_px=float(distances[group].sum() / totals[group].sum()) if totals[group].any() else None,
                **facts(group),
            )
            for group, one in enumerate((*self.bins, *self.points))
        )
        return EntryDistances(
            entry=entry,
            split=split,
            bins=scores[: len(self.bins)],
            curve=scores[len(self.bins) :],
            leak_free=PixelScore(**facts(self.groups - 1)),
        )

    def run_scores(self, seed: int, correct: NDArray[np.bool_]) -> dict[str, float]:
        """Return the pixel count and accuracy of a run, by distance bin and on the test pixels without leakage.

        The keys are columns of ``results.csv``, such as ``oa_leak_free``. Groups without test pixels have no accuracy.
        """
        scores: dict[str, float] = {}
        in_bin, _, leak_free = self.members[seed]
        named = [(one.key, in_bin == index) for index, one in enumerate(self.bins)]
        for name, mask in [*named, ("leak_free", leak_free < self.groups)]:
            scores[f"test_pixels_{name}"] = int(np.count_nonzero(mask))
            if mask.any():
                scores[f"oa_{name}"] = float(np.mean(correct[mask]))
        return scores


def _finite(distance_px: float) -> float | None:
    """Return a distance, or None if it is infinite because the training pixels are in other scenes."""
    return distance_px if np.isfinite(distance_px) else None
