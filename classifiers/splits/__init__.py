"""Splits of labelled pixels into training and test pixels, and the leakage of these splits.

Features of neighbouring pixels depend on the same surroundings. Under a random split, most test pixels therefore have
nearly the same features as a training pixel. Splits by whole blocks with a buffer reduce this leakage, and
`measure_leakage` quantifies it.
"""

from classifiers.splits.blocks import BlocksSplit
from classifiers.splits.cv import SplitCV
from classifiers.splits.distances import training_distances
from classifiers.splits.far import FarSplit
from classifiers.splits.grammar import (
    GRAMMAR,
    crosses_scenes,
    is_matched,
    parse_split,
    parse_split_kind,
    parse_split_question,
    reads_files,
    separate_splits,
)
from classifiers.splits.leakage import (
    Footprint,
    Leakage,
    describe_footprints,
    layout_footprints,
    leaking_pixels,
    measure_leakage,
    scene_footprints,
)
from classifiers.splits.mask import MaskSplit, OfficialSplit, merge_official_maps
from classifiers.splits.random import PerClassSplit, RandomSplit
from classifiers.splits.scenes import LeaveOneSceneOutSplit, ScenesSplit, find_scene
from classifiers.splits.split_draw import (
    CARRY_OVER,
    FILL_IN,
    Split,
    SplitDraw,
    SplitKind,
    SplitQuestion,
    limit_training_pixels,
)
from classifiers.splits.split_plot import make_split_map, write_split_plot

__all__ = [
    "CARRY_OVER",
    "FILL_IN",
    "GRAMMAR",
    "BlocksSplit",
    "FarSplit",
    "Footprint",
    "Leakage",
    "LeaveOneSceneOutSplit",
    "MaskSplit",
    "OfficialSplit",
    "PerClassSplit",
    "RandomSplit",
    "ScenesSplit",
    "Split",
    "SplitCV",
    "SplitDraw",
    "SplitKind",
    "SplitQuestion",
    "crosses_scenes",
    "describe_footprints",
    "find_scene",
    "is_matched",
    "layout_footprints",
    "leaking_pixels",
    "limit_training_pixels",
    "make_split_map",
    "measure_leakage",
    "merge_official_maps",
    "parse_split",
    "parse_split_kind",
    "parse_split_question",
    "reads_files",
    "scene_footprints",
    "separate_splits",
    "training_distances",
    "write_split_plot",
]
