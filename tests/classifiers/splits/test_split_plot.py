"""Plots of splits: every kind of pixel with its count, in colours for every eye."""

import numpy as np
import pytest

from classifiers.splits import (
    make_split_map,
    parse_split,
    write_split_plot,
)
from classifiers.splits.split_plot import COLOURS, NAMES
from hsifeat.errors import SplitError
from hsifeat.scenes import Labels


@pytest.fixture
def split():
    labels = Labels("fields", np.repeat(np.repeat([[1, 0], [2, 1], [1, 2]], 10, axis=0), 15, axis=1))
    return parse_split("blocks:5+2:0.3").draw(labels, 0), labels


def test_the_split_map_of_a_draw(split):
    draw, labels = split
    sides = make_split_map(draw, labels)
    assert ((sides == 0) == (labels.classes == 0)).all()
    assert ((sides == 1) == draw.train).all() and ((sides == 2) == draw.test).all()
    assert (sides == 3).sum() == (labels.classes != 0).sum() - draw.train.sum() - draw.test.sum() > 0


def test_the_plot_shows_every_kind_of_pixel_and_a_legend(split, tmp_path):
    from PIL import Image

    draw, labels = split
    write_split_plot(tmp_path / "split.png", draw, labels, "blocks:5+2:0.3 $x$")
    shown = np.asarray(Image.open(tmp_path / "split.png").convert("RGB")).astype(int)
    sides = make_split_map(draw, labels)
    for side, colour in COLOURS.items():
        here = (shown == [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).all(axis=2)
        # The picture is 30 x 30 px at 35 dots each; the rest is a patch of the legend.
        assert here.sum() == pytest.approx((sides == side).sum() * 35**2, rel=0.06, abs=900)
        assert here.any()
    with pytest.raises(SplitError, match=r"written as \.png; found 'split\.pdf'"):
        write_split_plot(tmp_path / "split.pdf", draw, labels)


# Machado, Oliveira, Fernandes 2009: how a dichromat sees linear RGB.
DICHROMATS = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    "grey": [[0.2126, 0.7152, 0.0722]] * 3,
    "all": np.eye(3),
}


@pytest.mark.parametrize("eyes", DICHROMATS)
def test_the_colours_are_distinct_for_colour_blind_eyes(eyes):
    def lab(colour):
        srgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        linear = np.clip(np.array(DICHROMATS[eyes]) @ linear, 0, 1)
        xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
        ratio = xyz / [0.9505, 1, 1.089]
        f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
        return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

    colours = [lab(COLOURS[side]) for side in NAMES]
    apart = [np.linalg.norm(a - b) for i, a in enumerate(colours) for b in colours[:i]]
    assert min(apart) > (12 if eyes == "grey" else 20), "CIE76 differences; 2.3 is just noticeable"
