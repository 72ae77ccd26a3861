"""Options of an extraction: what is refused, what enters the recipe, and that one is declared in one place."""

import subprocess
from inspect import getdoc, signature

import numpy as np
import pytest

import hsifeat
from hsifeat.base_config import config_table
from hsifeat.commands.extract import extract as extract_command
from hsifeat.errors import HsifeatError
from hsifeat.extraction.config import ExtractionConfig, InRecipe, options_in_recipe
from hsifeat.extraction.extract import extract
from tests.helpers.extraction import prepare

NUMBERS = ["tile", "halo", "draws", "seed", "upsample", "batch"]
NO_NUMBERS = [True, np.True_, 16.0, np.float32(16), np.array([16]), [16], b"16"]


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        *[(name, [*NO_NUMBERS, "16"], "a whole number") for name in NUMBERS],
        ("class_label", NO_NUMBERS, "a whole number or text"),
        ("origin", [(True, 0), (-4.0, -4), -4, "-4,-4", (-4,), (1, 2, 3), (None, 0), np.zeros((2, 2))], "two whole numbers"),
        ("timesteps", [3, True, 3.5, [None], [[1]], []], "one whole number or more"),
        ("timesteps", ["300", "auto", "auto:x"], "whole numbers, or auto:N such as auto:5"),
        ("layers", [3, True, [3], [["mid_block"]], b"mid_block", []], "one name or more"),
        ("noise", [3], "text"),
        ("prompt", [3], "text"),
        ("stitch", [3, "window"], "core, mean, hann or whole"),
        ("padding", [3, "black"], "reflect or zero"),
        ("dtype", [3, "float64"], "float16 or float32"),
        ("projection", [3], "text or a fitted Projection"),
        ("companion", [1], "True or False"),
        ("backbone", [3, True], "a name, a path or a Backbone"),
        ("tile", [0], "at least 1"),
        ("batch", [0], "at least 1, or auto"),
        ("seed", [-1], "at least 0"),
        ("seed", [2**32], "at most 4294967295"),
    ],
)  # fmt: skip
def test_wrong_values_are_refused_in_one_line(name, values, words):
    for value in values:
        with pytest.raises(HsifeatError, match=f"^{name}: expected {words}; found ") as raised:
            ExtractionConfig.from_options({name: value})
        assert "\n" not in str(raised.value)


def test_a_wrong_value_leaves_nothing(scene, backbone_folder, tmp_path):
    with pytest.raises(HsifeatError, match="tile: expected"):
        extract(scene, backbone=backbone_folder, tile="wide", out=tmp_path / "s.zarr")
    assert not list(tmp_path.iterdir())


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


# Another value for each option that is marked to be in the recipe.
OTHERS = {
    "tile": 48, "halo": 4, "stitch": "hann", "padding": "zero", "origin": (-4, -8), "noise": "inversion:10", "draws": 3,
    "seed": 7, "dtype": "float32", "mantissa_bits": 4,
}  # fmt: skip


@pytest.mark.parametrize("as_tuple", [False, True])
def test_pixels_do_not_change_with_the_array_of_the_caller(as_tuple):
    places = np.array([[5, 6], [1, 2]])
    config = ExtractionConfig(pixels=(places[:, 0], places[:, 1]) if as_tuple else places)
    places[0] = 9
    np.testing.assert_array_equal(np.transpose(config.pixels) if as_tuple else config.pixels, [[5, 6], [1, 2]])


def test_all_bits_of_float16_are_the_default():
    assert ExtractionConfig(mantissa_bits=10).mantissa_bits is None
    assert ExtractionConfig(mantissa_bits=9).mantissa_bits == 9


def test_each_option_in_the_recipe_changes_exactly_its_field_and_is_read_back():
    marks = {
        name: mark.path(name)
        for name, field in ExtractionConfig.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, InRecipe)
    }
    assert marks.keys() == OTHERS.keys()
    usual = ExtractionConfig().recipe_fields()
    for name, value in OTHERS.items():
        fields = ExtractionConfig.from_options({name: value}).recipe_fields()
        section, _, field = marks[name].partition(".")
        stored = list(value) if isinstance(value, tuple) else value
        assert fields.pop(section) == {**usual[section], field: stored}
        assert fields == {other: part for other, part in usual.items() if other != section}
    # float32 has no bits to drop.
    everything = ExtractionConfig.from_options({name: OTHERS[name] for name in OTHERS if name != "mantissa_bits"})
    recipe = {**everything.recipe_fields(), "backbone": {"conditioning": {"class_label": 3}, "upsample": 4}}
    assert ExtractionConfig.from_options(options_in_recipe(recipe)) == everything.with_values(class_label=3, upsample=4)


def test_options_without_effect_are_refused_if_set_and_left_out_of_the_recipe_otherwise():
    for options, conflicts in (
        ({"pixels": "fields"}, {"halo": 8, "stitch": "hann", "origin": (0, 0)}),
        ({"stitch": "whole"}, {"tile": 8, "halo": 8, "origin": (0, 0)}),
    ):
        base = ExtractionConfig.from_options(conflicts)
        inherited = ExtractionConfig.merged(base, options)
        inherited.check_conflicts()
        assert inherited.recipe_fields() == ExtractionConfig.from_options(options).recipe_fields()
        for name, value in conflicts.items():
            if name not in options:
                with pytest.raises(
                    HsifeatError, match=f"no effect with `(pixels|stitch='whole')`: `{name}`; leave out"
                ):
                    ExtractionConfig.from_options({**options, name: value}).check_conflicts()


def test_an_option_that_had_no_effect_is_not_read_back():
    whole = ExtractionConfig.from_options({"stitch": "whole"}).recipe_fields()
    assert not {"tile", "halo", "origin"} & options_in_recipe({**whole, "backbone": {}}).keys()
    pixels = {
        **ExtractionConfig.from_options({"pixels": "fields", "tile": 8}).recipe_fields(),
        "backbone": {},
        "pixels": {},
    }
    options = options_in_recipe(pixels)
    assert options["tile"] == 8 and not {"halo", "stitch"} & options.keys()


def test_command_and_function_take_every_option():
    options = set(ExtractionConfig.model_fields)
    assert {f"option_{name}" for name in options} < set(signature(extract_command).parameters)
    parameters = signature(extract).parameters
    assert [name for name in parameters if name in options] == list(ExtractionConfig.model_fields), "in the same order"
    document = getdoc(extract)
    for row in config_table(ExtractionConfig):
        assert f"\n{row.name} : " in document and row.help.endswith("."), row.name


def test_an_option_is_written_once():
    """Only the config and the signature of `extract` declare `padding`."""
    lines = subprocess.run(
        ["git", "grep", "-nw", "padding", "--", "hsifeat/*.py"], capture_output=True, text=True
    ).stdout
    declared = [line for line in lines.splitlines() if " padding: " in line and "model_input" not in line]
    assert len(declared) == 2, declared


def test_the_public_name():
    assert hsifeat.ExtractionConfig is ExtractionConfig
