"""Scenes with odd numbers are shown, extracted and classified, or refused in one line; warnings, which are errors here, never arise."""

import numpy as np
import pytest

from tests.helpers.small import small_cube, small_labels

CUBE = small_cube(24, 20).astype(np.float64)


def with_value(value, *, dtype=np.float64, at=(slice(2, 4), 5)):
    """Return the small cube with a value in all bands of some pixels."""
    cube = CUBE.astype(dtype)
    cube[at] = value
    return cube


SCENES = {
    "1e300": with_value(1e300),
    "-1e300": with_value(-1e300),
    "largest float32": with_value(np.finfo(np.float32).max, dtype=np.float32),
    "infinite": with_value(np.inf, dtype=np.float32),
    "NaN": with_value(np.nan),
    "one NaN": with_value(np.nan, at=(3, 5, 1)),
    "subnormal": with_value(1e-310, at=...) + 1e-310 * CUBE,
    "constant band": with_value(7.0, at=(..., 2)),
    "int16": with_value(-(2**15), dtype=np.int16),
    "uint64": with_value(2**64 - 1, dtype=np.uint64),
    "float16": with_value(60000, dtype=np.float16),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENES)
def test_no_warning_of_a_library_reaches_the_user(cli, tmp_path, name):
    np.save(tmp_path / "s.npy", SCENES[name])
    np.save(tmp_path / "gt.npy", small_labels(24, 20))
    given = [tmp_path / "s.npy", "--labels", tmp_path / "gt.npy"]
    cli("scenes", "show", *given, "--out", tmp_path / "s.png")
    # Beside the largest values, others differ by less than rounding, so that there are no two significant components.
    projection = {"largest float32": "pca:1", "subnormal": "all"}.get(name, "pca:2")
    options = ["--backbone", "context", "--layers", "mean-3,profile-3", "--projection", projection]
    cli("extract", *given, *options, "--out", tmp_path / "s.zarr")
    fit = ["--head", "lda", "--inputs", "spectra+window+context", "--split", "random:0.5", "--smooth", "none"]
    cli("fit", tmp_path / "s.zarr", *fit, "--out", tmp_path / "m")
    cli("predict", tmp_path / "m", tmp_path / "s.zarr", "--out", tmp_path / "map.png")
    if np.isfinite(SCENES[name]).all():
        cli("extract", *given, "--nodata", "1e300", *options, "--out", tmp_path / "n.zarr")
