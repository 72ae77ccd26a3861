"""The side of a pixel in metres, against the units of coordinate reference systems as pyproj knows them."""

import pytest
from pyproj import CRS

from hsifeat.scenes.georeference import Georeference


@pytest.mark.parametrize(
    ("code", "transform", "size_m"),
    [
        pytest.param(32616, (20.0, 0.0, 5e5, 0.0, -20.0, 4e6), 20, id="metres"),
        pytest.param(32616, (12.0, 16.0, 5e5, 16.0, -12.0, 4e6), 20, id="rotated"),
        pytest.param(2278, (10.0, 0.0, 3e6, 0.0, -10.0, 1.38e7), 10 * 1200 / 3937, id="US survey feet"),
        pytest.param(32616, (20.0, 0.0, 5e5, 0.0, -30.0, 4e6), None, id="not square"),
        pytest.param(3857, (10.0, 0.0, 1.2e6, 0.0, -10.0, 5.9e6), None, id="Web Mercator at 47 degrees north"),
        pytest.param(3857, (10.0, 0.0, 1.2e6, 0.0, -10.0, 5e5), 10, id="Web Mercator near the equator"),
        pytest.param(4326, (0.001, 0.0, 8.0, 0.0, -0.001, 50.0), None, id="degrees"),
        pytest.param(None, (20.0, 0.0, 5e5, 0.0, -20.0, 4e6), None, id="no CRS"),
    ],
)
def test_the_side_of_a_pixel_in_metres(code, transform, size_m):
    georeference = Georeference(None if code is None else CRS.from_epsg(code).to_wkt(), transform)
    assert georeference.pixel_size_m == (None if size_m is None else pytest.approx(size_m))
