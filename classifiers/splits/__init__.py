"""Splits of labelled pixels into training and test: one grammar, its rules, what they leak, and their pictures.

Features of neighbouring pixels share context, so under a random split most test pixels have been seen, nearly, in
training. Only splits by whole blocks with a buffer keep the two apart; how far apart, `leakage` measures.
"""

from classifiers.splits.blocks import BlocksSplit
from classifiers.splits.cv import BoundSplit
from classifiers.splits.draw import Draw, Split, thin
from classifiers.splits.grammar import GRAMMAR, kind_of, parse_split, separate
from classifiers.splits.leakage import Context, Leakage, contexts_of, leakage
from classifiers.splits.mask import MaskSplit, OfficialSplit, both_sides
from classifiers.splits.random import PerClassSplit, RandomSplit
from classifiers.splits.split_plot import draw_sides, write_split_picture

__all__ = [
    "GRAMMAR",
    "BlocksSplit",
    "BoundSplit",
    "Context",
    "Draw",
    "Leakage",
    "MaskSplit",
    "OfficialSplit",
    "PerClassSplit",
    "RandomSplit",
    "Split",
    "both_sides",
    "contexts_of",
    "draw_sides",
    "kind_of",
    "leakage",
    "parse_split",
    "separate",
    "thin",
    "write_split_picture",
]
