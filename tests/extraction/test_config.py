"""Types of what is given in Python: whole numbers of any type are taken, everything else is refused in one line."""

import numpy as np
import pytest

from hsifeat.errors import HsifeatError
from hsifeat.extraction.extract import extract
from hsifeat.extraction.prepare import prepare

NUMBERS = ["tile", "halo", "draws", "seed", "upsample", "batch"]
NO_NUMBERS = [True, np.True_, 16.0, np.float32(16), np.array([16]), "16", [16], b"16"]
WRONG = [
    *[(name, value, f"{name} is a whole number; found ") for name in NUMBERS for value in NO_NUMBERS],
    *[("class_label", value, "takes no class label; leave out ") for value in NO_NUMBERS],
    *[
        ("origin", value, "origin is a row and a column in whole numbers; found ")
        for value in [(True, 0), (-4.0, -4), -4, "-4,-4", (-4,), (1, 2, 3), (None, 0), np.zeros((2, 2)), np.zeros(2)]
    ],
    *[("timesteps", value, "timesteps are whole numbers; found ") for value in [3, True, 3.5, "300", [None], [[1]]]],
    *[("layers", value, "layers are names; found ") for value in [3, True, [3], [["mid_block"]], b"mid_block"]],
    *[(name, 3, f"{name} is a text; found 3") for name in ["stitch", "padding", "noise", "prompt", "dtype"]],
    ("projection", 3, "projection is a text or a fitted projection; found 3"),
    ("companion", 1, "companion is True or False; found 1"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG, ids=lambda part: " ".join(repr(part).split()))
def test_wrong_types_are_refused_and_leave_nothing(scene, backbone_folder, tmp_path, name, value, message):
    with pytest.raises(HsifeatError, match=message) as raised:
        extract(scene, backbone=backbone_folder, out=tmp_path / "s.zarr", **{name: value})
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "s.zarr").exists()


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.array])
def test_whole_numbers_of_any_type_are_one_recipe(scene, backbone_folder, tmp_path, kind):
    plain = {"tile": 32, "halo": 8, "draws": 2, "seed": 3, "batch": 4}
    jobs = [
        prepare(scene, backbone=backbone_folder, projection="pca:3", out=tmp_path / "s.zarr", **options)
        for options in (
            {**plain, "origin": (-8, -12), "timesteps": [1, 2]},
            {name: kind(value) for name, value in plain.items()}
            | {"origin": np.array([-8, -12]), "timesteps": np.arange(1, 3)},
        )
    ]
    assert jobs[0].recipe == jobs[1].recipe and jobs[0].recipe.key == jobs[1].recipe.key
    assert jobs[0].extractor.batch == jobs[1].extractor.batch == 4
