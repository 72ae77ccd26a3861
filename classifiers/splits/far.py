"""Splits whose test pixels are far from the training pixels: ``far:PX+DISTANCE:F``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from classifiers.splits.blocks import draw_blocks
from classifiers.splits.distances import drop_near
from classifiers.splits.split_draw import CARRY_OVER, SplitDraw, SplitKind, SplitQuestion, class_mask, fraction_text
from hsifeat.errors import SplitError
from hsifeat.scenes import Labels
from hsifeat.scenes.scene_blocks import count_values


@dataclass(frozen=True)
class FarSplit:
    """``far:PX+DISTANCE:F``: train on whole square blocks, and test only on pixels far from these blocks.

    Blocks are drawn as for `BlocksSplit` without a buffer. All labelled pixels of the drawn blocks are training pixels.
    Test pixels are the labelled pixels whose Euclidean distance from every training pixel exceeds `distance_px`. A
    class without test pixels is used for training but not scored. A class without training pixels is not scored either.

    Attributes
    ----------
    block_px : int
        Side PX of a block in pixels.
    distance_px : int
        DISTANCE in pixels. Labelled pixels up to this Euclidean distance from a training pixel are not test pixels.
        Distances are measured between pixel centres.
    fraction : float
        Fraction F of the labelled pixels to draw for training.

    Examples
    --------
    >>> FarSplit(12, 16, 0.1).text
    'far:12+16:0.1'
    """

    block_px: int
    distance_px: int
    fraction: float
    kind: ClassVar[SplitKind] = "disjoint"
    question: ClassVar[SplitQuestion] = CARRY_OVER

    @property
    def text(self) -> str:
        """The split in the grammar of `parse_split`."""
        return f"far:{self.block_px}+{self.distance_px}:{fraction_text(self.fraction)}"

    def draw(self, labels: Labels, seed: int) -> SplitDraw:
        """Draw training blocks at random. The test pixels are the labelled pixels far from all training pixels.

        Raises
        ------
        SplitError
            If fewer than two classes have both training pixels and test pixels.
        """
        training, _ = draw_blocks(labels, self.block_px, 0, self.fraction, seed)
        train = training & (labels.classes != 0)
        trained = _classes(labels, train)
        others = class_mask(labels, trained) & ~train
        test = drop_near(others, train, self.distance_px, labels.windows)
        tested = _classes(labels, test)
        if len(tested) < 2:
            raise SplitError(
                f"{self.text}: only {len(tested)} of {len(labels.counts)} classes have training pixels and pixels more than "
                f"{self.distance_px} px away from every training pixel, at least two are needed: use a smaller distance, "
                "larger blocks or a smaller fraction"
            )
        left_out = tuple(sorted(set(labels.counts) - tested))
        return SplitDraw.from_masks(train, test, left_out, tuple(self._notes(labels, train, others, test)))

    def _notes(
        self, labels: Labels, train: NDArray[np.bool_], others: NDArray[np.bool_], test: NDArray[np.bool_]
    ) -> list[str]:
        trained, tested = (int(np.count_nonzero(mask)) for mask in (train, test))
        near = int(np.count_nonzero(others)) - tested
        counts = (
            f"{trained} training pixels; {tested} test pixels lie more than {self.distance_px} px away from every training "
            f"pixel, and {near} nearer pixels are left out of the score"
        )
        untested = sorted(_classes(labels, train) - _classes(labels, test))
        names = ", ".join(labels.class_names[number] for number in untested)
        return [counts] + (
            [f"classes that are trained but have no test pixels that far away: {names}"] if names else []
        )


def _classes(labels: Labels, mask: NDArray[np.bool_]) -> set[int]:
    return set(count_values(np.where(mask, labels.classes, 0))) - {0}
