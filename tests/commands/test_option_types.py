"""Parsers of option texts: only digits 0 to 9 count as digits, and numbers have a bounded length."""

import pytest
import typer

from classifiers.splits import separate_splits
from hsifeat.commands.config_options import text_parser
from hsifeat.commands.option_types import assignment, whole_number
from hsifeat.errors import SplitError
from hsifeat.extraction.config import ExtractionConfig


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
    with pytest.raises(typer.BadParameter, match="--class-label takes non-negative whole numbers"):
        whole_number(text, "--class-label")


def test_whole_numbers():
    assert [whole_number(text, "--batch") for text in ("0", "007", "9" * 18)] == [0, 7, 10**18 - 1]


@pytest.mark.parametrize("text", ["64,,32", ",64", "64,32,,", ",", "64, ,32"])
def test_empty_items_of_lists_are_refused(text):
    with pytest.raises(typer.BadParameter, match="with an empty item"):
        assignment(f"hidden={text}")
    with pytest.raises(typer.BadParameter, match=f"expected whole numbers.*; found '{text}'"):
        text_parser(ExtractionConfig, "timesteps")(text)
    with pytest.raises(SplitError, match="with an empty item"):
        separate_splits(text.replace("64", "random:0.1").replace("32", "official"))


def test_a_comma_may_follow_the_last_item():
    assert text_parser(ExtractionConfig, "timesteps")("10,20,") == (10, 20)
    assert separate_splits("random:0.1,official,") == ["random:0.1", "official"]


@pytest.mark.parametrize("command", ["export", "sweep"])
def test_no_plane_is_no_selection(command, store_path, tmp_path, cli):
    assert "with an empty item" in cli(command, store_path, "--planes", "", "--out", tmp_path / "x.npy", status=2)
    assert not (tmp_path / "x.npy").exists()


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
    name, parsed = assignment(f"some={text}")
    assert name == "some" and parsed == value and type(parsed) is type(value)
