"""Metadata of a scene: as one line of text, and as JSON-compatible values, which `hsifeat scenes show` prints."""

from __future__ import annotations

from typing import Any

import numpy as np

from hsifeat.formatting import format_count, list_some
from hsifeat.scenes.nodata import distinct_values


def describe_scene(scene: Any) -> str:
    """Return size, bands and label maps of a `hsifeat.Scene` as one line of text. Its values are not read."""
    nm = () if scene.wavelengths_nm is None else dict.fromkeys(f"{one:.0f}" for one in scene.wavelengths_nm[[0, -1]])
    parts = [f"{scene.rows} x {scene.cols} pixels", format_count(scene.bands, "band")]
    parts += [f"{' to '.join(nm)} nm"] if nm else []
    parts += [f"labels {list_some(scene.labels)}"] if scene.labels else []
    return f"<Scene {scene.name}: {', '.join(parts)}>"


def summarise_scene(scene: Any) -> dict[str, Any]:
    """Return the metadata of a `hsifeat.Scene`. Its values are read to count its valid pixels and to compute its digest."""
    nm, georeference = scene.wavelengths_nm, scene.georeference
    return {
        "name": scene.name,
        "rows": scene.rows,
        "cols": scene.cols,
        "bands": scene.bands,
        "dtype": str(scene.cube.dtype),
        "wavelengths_nm": None if nm is None else [float(nm.min()), float(nm.max())],
        "fwhm_nm": None if scene.fwhm_nm is None else [float(scene.fwhm_nm.min()), float(scene.fwhm_nm.max())],
        "band_names": list(scene.band_names),
        "nodata": [value for value in distinct_values(scene.nodata) if np.isfinite(value)],
        "reflectance_scale": scene.scale,
        "crs": None if georeference is None else georeference.crs_name,
        "transform": None if georeference is None else list(georeference.transform),
        "pixel_size": None if georeference is None else list(georeference.pixel_size),
        "companion": None if scene.companion is None else list(map(int, scene.companion.shape)),
        "valid_pixels": int(scene.valid.sum()),
        "digest": scene.digest,
        "licence": scene.licence,
        "citation": scene.citation,
        "labels": {
            name: [
                {"class": c, "name": labels.class_names[c], "pixels": n, "colour": labels.class_colours[c]}
                for c, n in labels.counts.items()
            ]
            for name, labels in scene.labels.items()
        },
    }
