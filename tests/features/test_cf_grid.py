"""Units of the coordinates of planes, against the units of the CRS as pyproj knows them."""

import pytest
from pyproj import CRS

from hsifeat.features.cf_grid import cell_centres
from hsifeat.scenes import Georeference


@pytest.mark.parametrize(
    ("wkt", "units"),
    [
        pytest.param(CRS.from_epsg(4326).to_wkt(), "degrees_north", id="degrees"),
        pytest.param(CRS.from_epsg(4326).to_wkt("WKT1_ESRI"), "degrees_north", id="degrees-in-wkt-of-esri"),
        pytest.param(CRS.from_epsg(4807).to_wkt(), CRS.from_epsg(4807).axis_info[0].unit_name, id="grads"),
        pytest.param(CRS.from_epsg(32632).to_wkt(), "metre", id="metres"),
    ],
)
def test_coordinates_state_the_unit_of_the_crs(wkt, units):
    georeference = Georeference(wkt, (0.01, 0.0, 2.0, 0.0, -0.01, 53.0))
    assert cell_centres("y", 3, 1, georeference).attrs["units"] == units
