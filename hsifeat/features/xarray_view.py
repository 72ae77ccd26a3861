"""Open the arrays of a store as lazy dask arrays, and a whole store as a lazy xarray dataset."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hsifeat.features.cf_grid import cell_centres, grid_mapping, grid_mapping_name
from hsifeat.features.stored_array import StoredArray
from hsifeat.features.stored_scene import georeference_of
from hsifeat.store.manifest import Manifest
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.store.store import Store

if TYPE_CHECKING:
    import dask.array
    import xarray
    import zarr


def to_dask(array: zarr.Array[Any]) -> dask.array.Array:
    """Return an array of a store as a lazy dask array with one task per shard. Shape and dtype stay the same."""
    import dask.array

    lazy: dask.array.Array = dask.array.from_array(  # type: ignore[no-untyped-call]
        StoredArray(array), chunks=array.shards or array.chunks, asarray=False
    )
    return lazy


def to_xarray(
    store: Store,
    planes: Iterable[PlaneSpec],
    plane_coordinates: Mapping[str, xarray.Variable],
    bands: Sequence[int] | None = None,
) -> xarray.Dataset:
    """Open a store as an xarray dataset of lazy variables, with one dask task per shard.

    Parameters
    ----------
    store : Store
        Store to open.
    planes : iterable of PlaneSpec
        Planes to include.
    plane_coordinates : mapping of str to xarray.Variable
        Coordinates of the axes of the planes.
    bands : sequence of int, optional
        Indices of the bands to include, in this order. [default: all]

    Returns
    -------
    xarray.Dataset
        Dataset with these variables:

        - ``spectra`` (y, x, band): the values in the scene's file, without scaling, also at pixels without data;
        - ``valid`` (y, x): bool mask of the valid pixels;
        - ``labels_<name>`` (y, x): class numbers of each label map, 0 at the invalid pixels;
        - one variable per plane in its stored dtype, such as ``t50_up_blocks_2`` (y_s4, x_s4, channel_up_blocks.2) for
          stride 4, and (y, x, channel_up_blocks.2) for stride 1. If the
          store has features at a list of pixels only, the axes are (pixel, part, channel_up_blocks.2). Part 0 has the value
          at the pixel, and part 1 has the mean over a window around the pixel.

        Coordinates of spatial axes are the centres of cells, in units of the CRS. If the scene has no georeference or a
        rotated grid, these coordinates are in pixels of the scene. With a georeference, ``spatial_ref`` is the grid mapping
        of the scene, and ``spatial_ref_s4`` is the grid mapping of planes with stride 4. The attributes of grid mappings are
        the CRS as WKT and GDAL's ``GeoTransform``. The coordinates of the axis ``pixel`` are the ``row`` and ``col`` of each
        listed pixel. If the wavelengths of the scene are known, they are coordinates of the axis ``band``, in nm. Names and
        attributes follow the CF conventions, so that `xarray.Dataset.to_netcdf` can write the dataset.
    """
    import xarray

    scene, georeference = store.manifest.scene, georeference_of(store)
    spectra = store.scene_array("cube")
    described = {"long_name": "values of the scene, as delivered", "ancillary_variables": "valid"}
    variables = {"spectra": _variable(spectra, ("y", "x", "band"), described)}
    coordinates = {
        axis: cell_centres(axis, cells, 1, georeference) for axis, cells in (("y", scene.rows), ("x", scene.cols))
    }
    if georeference is not None:
        coordinates["spatial_ref"] = grid_mapping(georeference, 1)
    if scene.wavelengths_nm is not None:
        attributes = {
            "standard_name": "radiation_wavelength",
            "long_name": "centre wavelength of the band",
            "units": "nm",
        }
        coordinates["wavelength"] = xarray.Variable("band", np.asarray(scene.wavelengths_nm, np.float64), attributes)
    variables["valid"] = _valid(store.scene_array("valid"))
    for name in store.labels:
        variables[_free_name(f"labels_{name}", variables)] = _labels(
            store.label_array(name), name, variables["valid"].data
        )
    for plane in planes:
        array = store.plane(plane.id)
        metadata: Any = array.metadata
        # A plane of stride 1 has the axes of the scene, so that masks and labels of the scene apply to it.
        dims = tuple({"y_s1": "y", "x_s1": "x"}.get(dim, dim) for dim in metadata.dimension_names)
        variables[_free_name(f"t{plane.id.t}_{plane.id.layer}", variables)] = _plane(array, dims, plane)
    coordinates |= plane_coordinates
    for variable in variables.values():
        # A plane of listed pixels has no grid, and therefore no grid mapping.
        mapping = grid_mapping_name(variable.attrs.get("stride", 1))
        if mapping in coordinates and str(variable.dims[0]).startswith("y"):
            variable.attrs["grid_mapping"] = mapping
    dataset = xarray.Dataset(variables, coordinates, _attributes(store.manifest))
    return dataset if bands is None else dataset.isel(band=list(bands))


def _variable(array: zarr.Array[Any], dims: tuple[str, ...], attributes: dict[str, Any]) -> xarray.Variable:
    import xarray

    return xarray.Variable(dims, to_dask(array), attributes)


def _plane(array: zarr.Array[Any], dims: tuple[str, ...], plane: PlaneSpec) -> xarray.Variable:
    attributes = {
        "long_name": f"output of {plane.id.layer} at timestep {plane.id.t}",
        "t": plane.id.t,
        "layer": plane.id.layer,
        "stride": plane.stride,
    }
    variable = _variable(array, dims, attributes)
    # NetCDF has no float16; float32 represents all float16 values exactly.
    variable.encoding["dtype"] = "float32"
    return variable


def _valid(array: zarr.Array[Any]) -> xarray.Variable:
    attributes = {"long_name": "whether the pixel is valid", **_flags({0: "empty", 1: "valid"}, np.dtype("int8"))}
    return _variable(array, ("y", "x"), attributes)


def _labels(array: zarr.Array[Any], name: str, valid: dask.array.Array) -> xarray.Variable:
    import dask.array
    import xarray

    attributes: dict[str, Any] = array.attrs.asdict()
    names = {int(number): text for number, text in attributes.get("class_names", {}).items()}
    flags = _flags({0: "unlabelled", **names}, array.dtype)
    # Names in `flag_meanings` have no blanks. NetCDF attributes can't be objects, so the names are also kept as JSON.
    flags |= {key: json.dumps(attributes[key]) for key in ("class_names", "class_colours") if attributes.get(key)}
    classes = to_dask(array)
    aligned = valid.rechunk(classes.chunks)  # type: ignore[no-untyped-call]
    known = dask.array.where(aligned, classes, np.zeros((), array.dtype))
    return xarray.Variable(("y", "x"), known, {"long_name": f"label map {name}", **flags})


def _flags(names: dict[int, str], dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return the attributes ``flag_values`` and ``flag_meanings`` that name class numbers (CF section 3.5).

    Blanks and special characters in names become underscores.
    """
    numbers = sorted(names)
    meanings = (re.sub(r"[^\w.+@-]+", "_", names[number]).strip("_") or f"class_{number}" for number in numbers)
    return {"flag_values": np.asarray(numbers, dtype), "flag_meanings": " ".join(meanings)}


def _attributes(manifest: Manifest) -> dict[str, str]:
    scene, provenance = manifest.scene, manifest.provenance
    attributes = {
        "Conventions": "CF-1.11",
        "title": f"Diffusion features of {scene.name}",
        "source": f"backbone {provenance.get('backbone', 'unknown')}, hsifeat {provenance.get('hsifeat', 'unknown')}",
        "history": f"{provenance.get('created', 'at an unknown time')}: hsifeat extract, recipe {manifest.key}",
        "recipe_key": manifest.key,
        "licence": scene.licence,
        "citation": scene.citation,
    }
    return {name: text for name, text in attributes.items() if text}


def _free_name(text: str, names: Container[str]) -> str:
    """Return `text` as a variable name that CF section 2.3 allows and that is not in `names`.

    Special characters become underscores, and underscores are appended to a name that is already in `names`.
    """
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    while name in names:
        name += "_"
    return name
