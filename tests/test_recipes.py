"""Named recipes: each reads, and says what the papers' tables say; a file of one's own is checked."""

import pytest

from hsifeat.errors import HsifeatError
from hsifeat.projection.rule import parse_projection
from hsifeat.recipes import open_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_reads_and_tells_its_source(name):
    recipe = open_recipe(name)
    assert recipe.title and recipe.source and recipe.differs
    assert {"backbone", "timesteps", "layers", "projection", "tile", "context"} <= recipe.options.keys()
    assert parse_projection(recipe.extract.projection)


def test_the_recipes_are_those_of_the_papers():
    assert recipe_names() == [
        "cleandift", "ddpm-segmentation", "dift", "geodiffnet-augsburg", "geodiffnet-berlin", "hyperfeatures",
    ]  # fmt: skip
    augsburg, berlin = (open_recipe(f"geodiffnet-{scene}").options for scene in ("augsburg", "berlin"))
    assert (augsburg["layers"], augsburg["timesteps"]) == (["output_blocks.10"], [0])
    assert (berlin["layers"], berlin["timesteps"]) == (["output_blocks.11"], [50])
    rule = parse_projection(augsburg["projection"])
    assert (rule.numbers, rule.joint, rule.percentiles, rule.gamma) == ((21, 11, 6), True, (0, 100), 0.4)
    assert parse_projection(berlin["projection"]).numbers == (40, 30, 15)
    segmentation = open_recipe("ddpm-segmentation").options
    assert segmentation["timesteps"] == [50, 150, 250] and segmentation["noise"] == "shared"
    assert segmentation["layers"] == [f"output_blocks.{i}" for i in (5, 6, 7, 8, 12)]
    hyper = open_recipe("hyperfeatures").options
    assert len(hyper["layers"]) == 12 and len(hyper["timesteps"]) == 11 and hyper["noise"] == "inversion:50"
    assert open_recipe("dift").options["draws"] == 8 and open_recipe("cleandift").options["noise"] == "none"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("title = ", "is no TOML"),
        ('title = "x"\nsource = "y"', "extract: Field required"),
        ('title = "x"\nsource = "y"\n[extract]\ntiles = 3', r"extract\.tiles: .*; allowed below extract: backbone, "),
        ('title = "x"\nsource = "y"\n[extract]\ntile = "wide"', r"extract\.tile: Input should be a valid integer"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path, content, message):
    (tmp_path / "mine.toml").write_text(content)
    with pytest.raises(HsifeatError, match=message) as raised:
        open_recipe(tmp_path / "mine.toml")
    assert "\n" not in str(raised.value)


def test_an_unknown_name_is_told():
    with pytest.raises(HsifeatError, match="no recipe 'geodiffnet'; .*geodiffnet-augsburg"):
        open_recipe("geodiffnet")
    with pytest.raises(HsifeatError, match="can't be read"):
        open_recipe("nowhere.toml")
