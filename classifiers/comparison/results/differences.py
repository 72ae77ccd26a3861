"""Records of differences in overall accuracy between splits, entries, inputs and reports, and of their tests."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from classifiers.comparison.results.base_records import BenchEntry, Record, is_significant
from hsifeat.formatting import format_mean


class SplitGap(Record):
    """Difference in overall accuracy (OA) of an entry between a random and a spatially disjoint split."""

    entry: BenchEntry
    random: str = Field(description="the first random split")
    disjoint: str = Field(description="the first spatially disjoint split")
    difference: float = Field(description="mean OA under `random` minus mean OA under `disjoint`")
    low: float | None = Field(
        None,
        description="lower end of the 95 % interval of the difference, by a bootstrap over "
        "the seeds of both splits together, and over the regions of each split",
    )
    high: float | None = Field(None, description="upper end of the 95 % interval")


class EntryPair(Record):
    """Test of the difference in overall accuracy between two entries under one split."""

    split: str
    first: BenchEntry
    second: BenchEntry
    difference: float = Field(description="OA of `first` minus OA of `second`, mean over seeds")
    low: float | None = Field(
        description="lower end of the 95 % interval of the difference, by a bootstrap over seeds and regions"
    )
    high: float | None = Field(description="upper end of the 95 % interval")
    p: float | None = Field(description="two-sided p-value of no difference, by the same bootstrap")
    p_holm: float | None = Field(description="p after a Holm correction for all pairs of the split")
    mcnemar_p: float | None = Field(description="p-value of McNemar's exact test on the test pixels of seed 0")
    mcnemar_p_holm: float | None = Field(description="mcnemar_p after a Holm correction for all pairs of the split")
    verdict: str = Field(description="the result as a sentence")

    @property
    def significant(self) -> bool:
        """Whether the entries differ significantly (5 % level, corrected for all pairs of the split)."""
        return is_significant(self.p_holm)


class Contrast(Record):
    """Planned contrast: a comparison of two inputs that is declared before the first run.

    A pair has two entries of one head, one entry for each input. There is one pair for each head that has both entries.

    >>> trained, twin = (BenchEntry(store=store, inputs="planes", head="lda") for store in ("ip", "ip-untrained"))
    >>> print(Contrast(question="training", pairs=((trained, twin),)))
    planes of ip against planes of ip-untrained, lda
    """

    question: Literal["training", "planes", "added"] = Field(
        description="training: planes of a trained network against planes of the same network with random weights; planes: "
        "planes of a trained network against context features; added: planes together with context features against context "
        "features alone"
    )
    pairs: tuple[tuple[BenchEntry, BenchEntry], ...] = Field(description="both entries of each head")

    def __str__(self) -> str:
        (first, second), heads = self.pairs[0], [pair[0].head for pair in self.pairs]
        mean = f"mean of {len(heads)} heads" if len(heads) > 1 else heads[0]
        return f"{first.columns} against {second.columns}, {mean}"


class ContrastTest(Record):
    """Test of a planned contrast under one split."""

    contrast: Contrast
    split: str
    difference: float = Field(
        description="OA of the first entry of a pair minus OA of the second, mean over seeds and pairs"
    )
    low: float | None = Field(
        description="lower end of the 95 % interval of the difference, by a bootstrap over seeds and regions"
    )
    high: float | None = Field(description="upper end of the 95 % interval")
    p: float | None = Field(description="two-sided p-value of no difference, by the same bootstrap")
    p_holm: float | None = Field(description="p after a Holm correction for the planned contrasts of the split only")
    verdict: str = Field(description="the result as a sentence")

    @property
    def significant(self) -> bool:
        """Whether the inputs differ significantly (5 % level, corrected for all planned contrasts of the split)."""
        return is_significant(self.p_holm)


class MissingContrast(Record):
    """Planned contrast that can't be tested because a store is missing."""

    question: Literal["training", "planes"] = Field(description="as in `Contrast`")
    store: str = Field(description="store of the trained network")
    command: str = Field(description="command that extracts the missing store")

    def __str__(self) -> str:
        lacking = (
            f"the untrained twin of {self.store} is missing, so the report can't tell what training adds"
            if self.question == "training"
            else f"context features are missing, so the report can't tell what the planes of {self.store} add to them"
        )
        return f"{lacking}; add the store that this command makes: `{self.command}`"


class EntryChange(Record):
    """Change of the overall accuracy (OA) of an entry under a split, from the baseline report to the new report."""

    entry: BenchEntry
    split: str
    before: float | None = Field(
        description="mean OA in the baseline over the compared seeds: those with the same training and test pixels in both reports "
        "(for a bootstrap, also recorded predictions), or all seeds of each report if there are fewer than two of them; null if the baseline lacks the "
        "entry"
    )
    after: float | None = Field(
        description="mean OA in the new report over the compared seeds, see before; null if the new report lacks the entry"
    )
    test: Literal["bootstrap", "paired", "Welch", ""] = Field(
        description="bootstrap over seeds and regions, paired t-test over seeds, or Welch's t-test over seeds; empty if untested"
    )
    seeds: int = Field(
        description="number of compared seeds; if seeds_before is not null, the number of seeds of after"
    )
    p: float | None = Field(description="two-sided p-value of no change")
    p_holm: float | None = Field(
        description="p after a Holm correction for the tests of all changes; identical runs do not count as tests"
    )
    verdict: str = Field(description="the result as a sentence")
    low: float | None = Field(None, description="lower end of the 95 % bootstrap interval of after - before")
    high: float | None = Field(None, description="upper end of the 95 % interval")
    store_before: str = Field("", description="name of the entry's store in the baseline, if it differs")
    seeds_before: int | None = Field(None, description="number of seeds of before, if it differs")
    train_pixels: float | None = Field(
        None,
        description="mean number of training pixels over the compared seeds of the new report; null if it does not differ",
    )
    train_pixels_before: float | None = Field(
        None,
        description="mean number of training pixels over the compared seeds of the baseline; null if it does not differ",
    )

    @property
    def significant(self) -> bool:
        """Whether the change is significant (5 % level, with a Holm correction for the tests of all changes)."""
        return is_significant(self.p_holm)

    @property
    def pixels_text(self) -> str:
        """Text of the numbers of training pixels, such as ``63 training pixels before, 667 now``; empty if they do not differ."""
        if self.train_pixels is None or self.train_pixels_before is None:
            return ""
        before, now = format_mean(self.train_pixels_before), format_mean(self.train_pixels)
        if before == now:
            before, now = f"{self.train_pixels_before:,.2f}", f"{self.train_pixels:,.2f}"
        return f"{before} training pixels before, {now} now"

    @property
    def unchanged(self) -> bool:
        """Whether the mean OA is the same in both reports, and p is 1.

        A bootstrap interval must be [0, 0]. After Welch's test, the result is False.
        """
        equal = self.p == 1 and self.before == self.after
        return equal and self.test != "Welch" and not self.low and not self.high
