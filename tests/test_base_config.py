"""Option sets: whole numbers of any type become ints, everything else is refused in one line."""

from typing import Annotated, Literal

import numpy as np
import pytest

from hsifeat.base_config import BaseConfig, Names, Pair, Whole, WholeOrText, Wholes, config_table, option
from hsifeat.errors import HsifeatError


class Oven(BaseConfig):
    """An option of each kind."""

    degrees: Annotated[Whole, option("Temperature in degrees Celsius.", unit="°C", ge=50, le=250)] = 180
    heat: Annotated[Literal["top", "both"], option("Where heat comes from.")] = "both"
    fan: Annotated[bool, option("Turn on the fan.", flags="--fan/--no-fan")] = False
    dishes: Annotated[Names | None, option("What is baked.", metavar="DISH,…", default="nothing")] = None
    minutes: Annotated[Wholes, option("When to look.")] = (10, 20)
    tray: Annotated[Pair, option("Row and column of the tray.")] = (0, 0)
    program: Annotated[WholeOrText | None, option("A program.")] = None
    weight: Annotated[float | None, option("Weight in kilograms.", unit="kg", gt=0)] = None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *[({"degrees": value}, r"degrees: expected a whole number; found ") for value in (True, np.True_, 99.0, "99", [99], np.array([99]))],
        ({"degrees": 20}, "degrees: expected at least 50; found 20$"),
        ({"degrees": np.int16(251)}, "degrees: expected at most 250; found"),
        ({"heat": "side"}, "heat: expected top or both; found 'side'$"),
        ({"heat": 3}, "heat: expected top or both; found 3$"),
        ({"fan": 1}, "fan: expected True or False; found 1$"),
        *[({"dishes": value}, "dishes: expected one name or more; found ") for value in (3, [], ["a", 1], b"a")],
        *[({"minutes": value}, "minutes: expected one whole number or more; found ") for value in (3, [], "300", [[1]], [1, "2"])],
        *[({"tray": value}, "tray: expected two whole numbers; found ") for value in (3, (1,), (1, 2, 3), "12", (True, 0), np.zeros((2, 2)))],
        ({"program": 2.5}, "program: expected a whole number or text; found 2.5$"),
        ({"weight": -1}, "weight: expected more than 0.0; found -1$"),
        ({"weight": "much"}, "weight: expected a number; found 'much'$"),
        ({"degree": 99}, "degree: unknown option; nearest: degrees"),
        ({"degrees": np.zeros((40, 40))}, "degrees: expected a whole number; found array"),
    ],
)  # fmt: skip
def test_wrong_values_are_refused_in_one_line(options, message):
    with pytest.raises(HsifeatError, match=message) as raised:
        Oven.from_options(options)
    assert "\n" not in str(raised.value)
    with pytest.raises(HsifeatError) as directly:
        Oven(**options)
    assert str(directly.value) == str(raised.value)


def test_a_config_within_another_reports_the_whole_path():
    class Kitchen(BaseConfig):
        oven: Annotated[Oven, option("The oven.")]

    with pytest.raises(HsifeatError, match=r"^oven.degrees: expected at least 50; found 20$"):
        Kitchen(oven={"degrees": 20})


def test_numbers_of_any_type_become_plain_values():
    kinds = {"degrees": np.uint8(200), "minutes": np.arange(3), "tray": np.array([1, -2]), "dishes": "pie", "weight": 3}
    config = Oven.from_options({**kinds, "program": np.int64(4), "fan": None})
    assert (config.degrees, config.minutes, config.tray, config.dishes) == (200, (0, 1, 2), (1, -2), ("pie",))
    assert config.program == 4 and type(config.program) is int and type(config.degrees) is int
    assert config.model_fields_set == {*kinds, "program"}


def test_repeated_values_of_a_list_count_once():
    """Oracle: NumPy's first positions of distinct values."""
    for numbers in ([5, 5, 3], [2], [1, 9, 1, 9]):
        first = np.sort(np.unique(numbers, return_index=True)[1])
        assert Oven(degrees=99, minutes=numbers).minutes == tuple(np.array(numbers)[first])
    assert Oven(degrees=99, dishes=["pie", "bread", "pie"]).dishes == ("pie", "bread")


def test_merging_keeps_what_was_set_explicitly_apart():
    base = Oven.from_options({"degrees": 99, "fan": True})
    merged = Oven.merged(base, {"fan": False, "tray": None}, inherited_from="the preset pie")
    assert (merged.degrees, merged.fan, merged.heat) == (99, False, "both")
    assert (
        merged.model_fields_set == {"fan"} and merged.inherited_from == "the preset pie" and base.inherited_from == ""
    )


def test_the_source_begins_a_message():
    with pytest.raises(HsifeatError, match="^the preset pie: bake.heat: expected top or both"):
        Oven.from_options({"heat": 1}, source="the preset pie: bake.")


def test_the_table_of_options():
    rows = {row.name: row for row in config_table(Oven)}
    assert (rows["degrees"].values, rows["degrees"].default, rows["degrees"].unit) == ("whole number", "180", "°C")
    assert (rows["heat"].flag, rows["heat"].values) == ("--heat", "top | both")
    assert (rows["fan"].flag, rows["fan"].default) == ("--fan/--no-fan", "no")
    assert (rows["dishes"].values, rows["dishes"].default) == ("DISH,…", "nothing")
    assert rows["minutes"].default == "10,20" and rows["weight"].help == "Weight in kilograms."
