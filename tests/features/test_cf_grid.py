"""Units of the coordinates of planes, against the units of the CRS as pyproj knows them."""

import pytest
from pyproj import CRS

from hsifeat.features.cf_grid import cell_centres
from hsifeat.scenes import Georeference


@pytest.mark.parametrize(
    ("epsg", "units"),
    [
        pytest.param(4326, "degrees_north", id="degrees"),
        pytest.param(4807, CRS.from_epsg(4807).axis_info[0].unit_name, id="grads"),
        pytest.param(32632, "metre", id="metres"),
    ],
)
def test_coordinates_state_the_unit_of_the_crs(epsg, units):
    georeference = Georeference(CRS.from_epsg(epsg).to_wkt(), (0.01, 0.0, 2.0, 0.0, -0.01, 53.0))
    assert cell_centres("y", 3, 1, georeference).attrs["units"] == units
