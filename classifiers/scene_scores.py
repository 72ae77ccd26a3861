"""Scores of a head, separately for each scene that has test pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from classifiers.metrics import score_predictions
from hsifeat.formatting import format_mean
from hsifeat.scenes import Labels

_MAX_LISTED = 8


class SceneScore(BaseModel):
    """Scores of a head on the test pixels of one scene."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scene: str = Field(description="name of the scene")
    test_pixels: int = Field(description="number of test pixels in the scene")
    scores: dict[str, float] = Field(description="metrics over these pixels, such as oa")

    def __str__(self) -> str:
        return describe_scenes([self.overall])

    @property
    def overall(self) -> tuple[str, float, float]:
        """Name of the scene, overall accuracy, and number of test pixels."""
        return self.scene, self.scores["oa"], self.test_pixels


def describe_scenes(scores: Sequence[tuple[str, float, float]]) -> str:
    """List the overall accuracy of each scene. If there are more than eight scenes, only the worst scene and the best scene are named.

    Parameters
    ----------
    scores : sequence of (str, float, float)
        Name, overall accuracy and number of test pixels of each scene. The number may be a mean over seeds.

    Examples
    --------
    >>> scores = [(f"s{n}", n / 10, 9.5) for n in range(9)]
    >>> describe_scenes(scores[1:3])
    's1 10.0% of 9.5, s2 20.0% of 9.5'
    >>> describe_scenes(scores)
    '9 scenes from 0.0% (s0) to 80.0% (s8)'
    """
    if len(scores) <= _MAX_LISTED:
        return ", ".join(f"{scene} {accuracy:.1%} of {format_mean(pixels)}" for scene, accuracy, pixels in scores)
    (worst, low, _), *_, (best, high, _) = sorted(scores, key=lambda score: score[1])
    return f"{len(scores)} scenes from {low:.1%} ({worst}) to {high:.1%} ({best})"


def score_scenes(
    labels: Labels, rows: NDArray[np.integer], truth: NDArray[np.integer], predicted: NDArray[np.integer]
) -> tuple[SceneScore, ...]:
    """Score predicted classes separately for each scene that has test pixels.

    Parameters
    ----------
    labels : Labels
        Label map of the scenes. If the map covers only one scene, the result is empty.
    rows : (n,) integer array
        Row of each test pixel in the label map.
    truth, predicted : (n,) integer arrays
        True and predicted class of each test pixel.

    Examples
    --------
    >>> from hsifeat.scenes.label_map import ScenePart
    >>> from hsifeat.types import Window
    >>> parts = (ScenePart(("north",), Window(0, 0, 1, 2)), ScenePart(("south",), Window(1, 0, 1, 2)))
    >>> labels = Labels("gt", np.array([[1, 2], [2, 1]]), parts=parts)
    >>> scores = score_scenes(labels, np.array([0, 0, 1, 1]), np.array([1, 2, 2, 1]), np.array([1, 2, 2, 2]))
    >>> [str(score) for score in scores]
    ['north 100.0% of 2', 'south 50.0% of 2']
    """
    scores = []
    for part in labels.parts:
        inside = (rows >= part.window.row) & (rows < part.window.row + part.window.rows)
        if inside.any():
            overall = score_predictions(truth[inside], predicted[inside]).overall
            scores.append(SceneScore(scene=part.names[0], test_pixels=int(inside.sum()), scores=overall))
    return tuple(scores)
