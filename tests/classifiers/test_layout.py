"""Layouts: consecutive column groups that round-trip through JSON."""

import pytest

from classifiers.layout import ColumnGroup, Layout


def test_layouts_round_trip_through_json_and_refuse_gaps():
    layout = Layout(
        (ColumnGroup("spectra", 0, 3), ColumnGroup("plane", 3, 8, t=5, layer="a.b"), ColumnGroup("mean", 8, 9, size=5))
    )
    assert Layout.from_json(layout.to_json()) == layout
    assert [str(g) for g in layout.spectral] == ["spectra", "spectra mean 5x5"]
    assert layout.columns(*layout.learned).tolist() == [3, 4, 5, 6, 7]
    with pytest.raises(ValueError, match="must follow each other"):
        Layout((ColumnGroup("spectra", 1, 3),))
