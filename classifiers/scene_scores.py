"""Scores of a head, separately for each scene that has test pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from classifiers.metrics import score_predictions
from hsifeat.scenes import Labels

_MAX_LISTED = 8


class SceneScore(BaseModel):
    """Scores of a head on the test pixels of one scene."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scene: str = Field(description="name of the scene")
    test_pixels: int = Field(description="number of test pixels in the scene")
    scores: dict[str, float] = Field(description="metrics over these pixels, such as oa")

    def __str__(self) -> str:
        return f"{self.scene} {self.scores['oa']:.1%} of {self.test_pixels}"


def describe_scenes(scores: Sequence[SceneScore]) -> str:
    """List the overall accuracy of each scene. If there are more than eight scenes, only the worst scene and the best scene are named.

    >>> scores = [SceneScore(scene=f"s{n}", test_pixels=9, scores={"oa": n / 10}) for n in range(9)]
    >>> describe_scenes(scores[1:3])
    's1 10.0% of 9, s2 20.0% of 9'
    >>> describe_scenes(scores)
    '9 scenes from 0.0% (s0) to 80.0% (s8)'
    """
    if len(scores) <= _MAX_LISTED:
        return ", ".join(map(str, scores))
    worst, *_, best = sorted(scores, key=lambda score: score.scores["oa"])
    return (
        f"{len(scores)} scenes from {worst.scores['oa']:.1%} ({worst.scene}) to {best.scores['oa']:.1%} ({best.scene})"
    )


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
