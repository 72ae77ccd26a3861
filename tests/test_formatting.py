"""Sizes and durations in text: exact where they are parsed, short where they are written. Settings of figures in threads."""

import io
import unicodedata
from fractions import Fraction
from types import SimpleNamespace

import matplotlib as mpl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from hsifeat.formatting import (
    escape_formula,
    format_bytes,
    format_duration,
    format_seconds,
    installed_fallbacks,
    literal_figure_text,
    parse_bytes,
    save_png,
)
from tests.helpers.two_threads import Meeting, run_together


@given(
    st.integers(0, 10**6),
    st.integers(0, 999),
    st.sampled_from(["", "B", "kB", "MB", "GB", "TB", "kiB", "MiB", "GiB", "TiB", "gb", "gib"]),
    st.sampled_from(["", " "]),
)
def test_parsed_sizes_are_those_of_exact_arithmetic(whole, thousandths, unit, space):
    base = 1024 if "i" in unit else 1000
    factor = base ** ("kmgt".index(unit[0].lower()) + 1) if unit not in {"", "B"} else 1
    if not unit and whole:
        with pytest.raises(ValueError, match="a number and a unit"):
            parse_bytes(f"{whole}{space}")
        return
    assert parse_bytes(f"{whole}{space}{unit}") == whole * factor
    if not unit:
        return
    exact = Fraction(whole * 1000 + thousandths, 1000) * factor
    # dask multiplies in double precision.
    assert parse_bytes(f"{whole}.{thousandths:03}{space}{unit}") == pytest.approx(int(exact), rel=1e-15, abs=1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "GB",
        "-1GB",
        ".5GB",
        "1,5GB",
        "nan",
        "inf",
        "much",
        "200",
        "1e300GB",
        "1" + "0" * 400 + "GB",
        "\N{ARABIC-INDIC DIGIT THREE}GB",
    ],
)
def test_other_text_is_no_size(text):
    with pytest.raises(ValueError, match=r"number|unit|at most 8 EiB"):
        parse_bytes(text)


@pytest.mark.parametrize(
    "name", ["=1", " =1", "\t=1", "\n@x", "\ufeff=1", "\u200b+1", "\uff1dcmd", "\u3000\uff0b1", "-1", "\xad@a"]
)
def test_every_start_of_a_formula_is_escaped(name):
    escaped = escape_formula(name)
    assert escaped[0] == "'" and unicodedata.normalize("NFKC", escaped).lstrip("'\ufeff\u200b\xad \t\n")[0] in "=+-@"
    assert escape_formula("a" + name) == "a" + name


def test_written_sizes_and_durations():
    assert [format_bytes(size) for size in (0, 999, 1_500_000, 2 * 10**12)] == [
        "0 Bytes",
        "999 Bytes",
        "1.5 MB",
        "2.0 TB",
    ]
    assert [format_duration(s) for s in (0.31, 59.96, 61, 3600, 270_000)] == [
        "0.3 seconds", "1 minute", "1 minute and 1 second", "1 hour", "3 days and 3 hours",
    ]  # fmt: skip
    assert {format_duration(s) for s in (1e20, 1e300, float("inf"), float("nan"))} == {"more than 1,000 years"}
    assert [format_seconds(s) for s in (0.126, 12.34, 123.4)] == ["0.13", "12.3", "123"]


def test_figures_that_two_threads_draw_have_their_own_settings():
    before, meeting = dict(mpl.rcParams), Meeting()

    def draw(size):
        with literal_figure_text(**{"font.size": size}):
            meeting.wait()
            settings = mpl.rcParams["font.size"], mpl.rcParams["text.parse_math"]
            meeting.wait()  # before the first block restores the settings
            return settings

    assert run_together(lambda: draw(5), lambda: draw(7)) == [(5, False), (7, False)]
    assert dict(mpl.rcParams) == before


def test_figures_fall_back_to_installed_fonts(monkeypatch):
    before = list(mpl.rcParams["font.family"])
    fonts = [SimpleNamespace(name=name) for name in ("WenQuanYi Micro Hei", "Other", "Noto Sans CJK JP")]
    monkeypatch.setattr(fontManager, "ttflist", fonts)
    installed_fallbacks.cache_clear()
    try:
        with literal_figure_text():
            assert list(mpl.rcParams["font.family"]) == [*before, "Noto Sans CJK JP", "WenQuanYi Micro Hei"]
    finally:
        installed_fallbacks.cache_clear()
    assert list(mpl.rcParams["font.family"]) == before


def test_other_warnings_than_those_on_letters_are_shown():
    """A figure without margins: matplotlib warns that its layout is impossible."""
    with literal_figure_text():
        figure = Figure(figsize=(0.1, 0.1), layout="constrained")
        figure.subplots().set_title("corn")
        with pytest.warns(UserWarning, match="constrained_layout not applied"):
            assert save_png(figure, io.BytesIO(), "x.png") == ()
