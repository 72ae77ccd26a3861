"""Units of imported planes: each block is placed once, and gaps are filled across the edges of units."""

from __future__ import annotations

import numpy as np
import pytest

from hsifeat.extraction.plan import Step
from hsifeat.imports.feature_map import FeatureMap
from hsifeat.imports.import_extractor import ImportExtractor
from hsifeat.imports.placed_features import CopiedFeatures, fill_gaps
from hsifeat.store.plane_layout import UNIT_PX, PlaneSpec
from hsifeat.types import PlaneId
from tests.helpers.georeferenced import blank_scene

PLANE = PlaneId(0, "f")


@pytest.fixture
def blocks(monkeypatch):
    """The windows of the blocks that were placed."""
    placed, place = [], CopiedFeatures._place
    monkeypatch.setattr(CopiedFeatures, "_place", lambda self, block: placed.append(block) or place(self, block))
    return placed


def import_units(rows, cols, stride, gaps):
    """Import random features unit by unit. Return the features, with gaps, and the imported plane."""
    values = np.random.default_rng(0).normal(size=(rows // stride, cols // stride, 2)).astype(np.float32)
    values[gaps] = np.nan
    scene = blank_scene(rows, cols)
    placed = CopiedFeatures(FeatureMap(PLANE, "f.npy", values), rows, cols, stride)
    extractor = ImportExtractor(scene, {PLANE: placed}, UNIT_PX, {})
    plane = PlaneSpec(PLANE, stride, 2, "float32")
    compute, result = extractor.step_computer(), np.zeros_like(values)
    for unit in extractor.layout.units:
        result[extractor.layout.slices(unit, stride)] = compute(Step(unit, 0, (plane,))).blocks[plane]
    return values, result


@pytest.mark.parametrize(("stride", "cols"), [(1, 300), (2, 768), (4, 1536), (8, 3072)])
def test_each_block_is_placed_once(blocks, stride, cols):
    gaps = np.s_[5:9, 3:7]  # within a unit
    values, result = import_units(512, cols, stride, gaps)
    np.testing.assert_array_equal(result, np.nan_to_num(values) if stride == 1 else fill_gaps(values))
    assert len(blocks) == len(set(blocks)) == -(-512 // stride // 64) * -(-cols // stride // 64)


def test_gaps_are_filled_from_cells_of_other_units():
    gaps = np.s_[25:35, 30:70]  # across the edges of units of 32 cells
    values, result = import_units(256, 320, 4, gaps)
    np.testing.assert_array_equal(result, fill_gaps(values))
