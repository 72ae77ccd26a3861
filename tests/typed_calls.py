"""Calls of the public API that mypy checks in `make check`: right ones pass, and each marked one must be an error.

An unused ``type: ignore`` is an error in this file, see ``pyproject.toml``. Nothing here is run.
"""

import numpy as np

import hsifeat


def right(scene: hsifeat.Scene) -> hsifeat.Store:
    """Options in their own types."""
    config = hsifeat.ExtractionConfig(timesteps=(0, 50), padding="zero", tile=32)
    job = hsifeat.prepare(scene, config, out="s.zarr")
    hsifeat.run(job, listen=print)
    features = hsifeat.open_features("s.zarr")
    values: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = features.sample([0], [1])
    hsifeat.fit_model(features, "svm", inputs="planes").scores(values)  # type: ignore[attr-defined]
    return hsifeat.extract("x", padding="zero", stitch="hann", origin=(-4, -8), batch="auto", dtype="float32")


def wrong() -> None:
    """A literal that is not allowed, an unknown option, and a value of another type."""
    hsifeat.extract("x", padding="black")  # type: ignore[arg-type]
    hsifeat.extract("x", tiles=32)  # type: ignore[arg-type]
    hsifeat.extract("x", origin=3)  # type: ignore[arg-type]
    hsifeat.nothing("x")  # type: ignore[attr-defined]
