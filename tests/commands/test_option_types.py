"""Texts of options: digits are 0 to 9, and numbers are of a size that means something."""

import pytest
import typer

from hsifeat.commands.option_types import assignment, corner, whole_number


@pytest.mark.parametrize(
    "text",
    [
        "²",
        "٣",
        "③",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1_0",
        "1.0",
        "1e3",
        "",
        "x",
        "9" * 19,
        pytest.param("9" * 5000, id="5000-digits"),
        "1\n",
    ],
)
def test_what_is_no_whole_number(text):
    with pytest.raises(typer.BadParameter, match="--class-label takes whole numbers from 0"):
        whole_number(text, "--class-label")


def test_whole_numbers():
    assert [whole_number(text, "--batch") for text in ("0", "007", "9" * 18)] == [0, 7, 10**18 - 1]


@pytest.mark.parametrize(
    "text", ["²,1", "٣,٣", "1", "1,2,3", "1.0,2", "--1,2", pytest.param("9" * 5000 + ",1", id="5000-digits"), ""]
)
def test_what_is_no_corner(text):
    with pytest.raises(typer.BadParameter, match="--origin takes ROW,COL in whole numbers"):
        corner(text)


def test_corners():
    assert corner(" -20, 26") == (-20, 26)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("none", None),
        ("None", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("10", 10),
        ("-1", -1),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("64,32", (64, 32)),
        ("64,", (64,)),
        ("[64, 32]", (64, 32)),
        ("0.5, none,a", (0.5, None, "a")),
        ('{"1": 2.5, "corn": 1}', {1: 2.5, "corn": 1}),
        ("balanced", "balanced"),
        ('"7"', "7"),
        ("a=b", "a=b"),
        ("", ""),
        ("{1", "{1"),
    ],
)
def test_values_of_parameters(text, value):
    name, found = assignment(f"some={text}")
    assert name == "some" and found == value and type(found) is type(value)
