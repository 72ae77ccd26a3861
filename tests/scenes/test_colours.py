"""Default class colours stay apart for colour-blind eyes; false colours."""

from itertools import combinations, product

import numpy as np
import pytest

from hsifeat.scenes.colours import default_colours, false_colour, rgb_bands

# Machado, Oliveira, Fernandes 2009, severity 1: how a dichromat sees linear RGB.
EYES = {
    "any": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def lab(colour, eyes):
    """Return the CIE L*a*b* coordinates under D65 of an sRGB colour, as seen with normal or deficient colour vision."""
    srgb = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(EYES[eyes]) @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    ratio = xyz / [0.9505, 1, 1.089]
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])


def ciede2000(one, other):
    """Sharma, Wu, Dalal 2005, equations 2 to 22, of two L*a*b* colours."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    c7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    g = (1 - np.sqrt(c7 / (c7 + 25**7))) / 2
    c1, c2 = np.hypot((1 + g) * a1, b1), np.hypot((1 + g) * a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, (1 + g) * a1)) % 360, np.degrees(np.arctan2(b2, (1 + g) * a2)) % 360
    turn = 0 if c1 * c2 == 0 else (h2 - h1 + 180) % 360 - 180
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    mean_h = h1 + h2 if c1 * c2 == 0 else h1 + turn / 2
    t = 1 - 0.17 * cos(mean_h - 30) + 0.24 * cos(2 * mean_h) + 0.32 * cos(3 * mean_h + 6) - 0.2 * cos(4 * mean_h - 63)
    lightness = (l2 - l1) / (1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2))
    chroma = (c2 - c1) / (1 + 0.045 * mean_c)
    hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * mean_c * t)
    blue = np.exp(-(((mean_h % 360 - 275) / 25) ** 2))
    rotation = -2 * np.sqrt(mean_c**7 / (mean_c**7 + 25**7)) * np.sin(np.radians(60 * blue))
    return np.sqrt(lightness**2 + chroma**2 + hue**2 + rotation * chroma * hue)


def cos(degrees):
    return np.cos(np.radians(degrees))


def test_ciede2000_agrees_with_published_values():
    published = {
        ((50, 2.6772, -79.7751), (50, 0, -82.7485)): 2.0425,
        ((50, 2.49, -0.001), (50, -2.49, 0.0009)): 7.1792,
        ((50, 2.5, 0), (73, 25, -18)): 27.1492,
        ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619)): 2.0373,
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514)): 0.9082,
    }
    for pair, difference in published.items():
        assert ciede2000(*pair) == pytest.approx(difference, abs=1e-4)


@pytest.mark.parametrize(("eyes", "least"), [("any", 20), ("protanopia", 16), ("deuteranopia", 16)])
def test_sixteen_classes_stay_apart_for_colour_blind_eyes(eyes, least):
    classes = [lab(colour, eyes) for colour in default_colours(range(1, 17)).values()]
    grounds = [lab(colour, eyes) for colour in ("#000000", "#e9e6df")]
    assert min(ciede2000(a, b) for a, b in combinations(classes, 2)) > least
    assert min(ciede2000(a, b) for a, b in product(classes, grounds)) > least


def test_rgb_bands_and_false_colours():
    nm = np.array([696.5, 686.9, 640.1, 551.0, 700.0, 459.0])
    assert rgb_bands(6, nm) == (2, 3, 5)
    picture = false_colour(np.random.default_rng(0).random((9, 8, 6)), nm, np.eye(9, 8, dtype=bool))
    assert picture.shape == (9, 8, 3) and not picture[0, 1].any()
    colours = default_colours(range(1, 101))
    assert len(set(colours.values())) == 100
