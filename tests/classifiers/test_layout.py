"""Layouts: consecutive column groups that round-trip through JSON."""

import pytest

from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import HeadError


def test_layouts_round_trip_through_json_and_refuse_gaps():
    layout = Layout(
        (ColumnGroup("spectra", 0, 3), ColumnGroup("plane", 3, 8, t=5, layer="a.b"), ColumnGroup("mean", 8, 9, size=5))
    )
    assert Layout.from_json(layout.to_json()) == layout
    assert [str(g) for g in layout.spectral] == ["spectra", "spectra mean 5x5"]
    assert layout.columns(*layout.learned).tolist() == [3, 4, 5, 6, 7]
    with pytest.raises(ValueError, match="must follow each other"):
        Layout((ColumnGroup("spectra", 1, 3),))


def test_context_is_neither_spectral_nor_learned():
    layout = Layout(
        (
            ColumnGroup("spectra", 0, 3),
            ColumnGroup("context", 3, 6, t=0, layer="mean-25"),
            ColumnGroup("context", 6, 8, t=0, layer="2:profile-3"),
            ColumnGroup("plane", 8, 9, t=50, layer="up.1"),
        )
    )
    assert [str(g) for g in layout.context] == ["t0/mean-25", "t0/2:profile-3"]
    assert [g.family for g in layout.context] == ["mean-25", "2:profile"]
    assert [str(g) for g in layout.learned] == ["t50/up.1"]
    assert [str(g) for g in layout.spectral] == ["spectra"]
    assert layout.stored == layout.context + layout.learned
    assert Layout.from_json(layout.to_json()) == layout


def test_a_kind_of_columns_that_no_head_knows_is_refused():
    with pytest.raises(HeadError, match="the kind of columns is one of spectra, context, plane, .*; found 'planes'"):
        ColumnGroup("planes", 30, 70)
