"""Smoothing rules: post-processing of class probabilities over the scene."""

from classifiers.registered_smoothing import NO_SMOOTHING, smoothing_names
from classifiers.smoothing.guide import SceneGuide
from classifiers.smoothing.rule import ProbabilityTile, SmoothingRule
from classifiers.smoothing.rules import parse_smoothing
from classifiers.smoothing.tiles import check_memory, parse_scene_smoothing, smooth_blocks, smoothing_bytes

__all__ = [
    "NO_SMOOTHING",
    "ProbabilityTile",
    "SceneGuide",
    "SmoothingRule",
    "check_memory",
    "parse_scene_smoothing",
    "parse_smoothing",
    "smooth_blocks",
    "smoothing_bytes",
    "smoothing_names",
]
