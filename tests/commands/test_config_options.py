"""Command-line options derived from a config class."""

from typing import Annotated, Literal

import pytest
import typer
from typer.testing import CliRunner

from hsifeat.base_config import BaseConfig, Pair, Whole, WholeOrText, Wholes, option
from hsifeat.commands.config_options import with_options


class Oven(BaseConfig):
    """An option of each kind."""

    degrees: Annotated[Whole, option("Temperature in degrees.", metavar="DEG", ge=50)] = 180
    heat: Annotated[Literal["top", "both"], option("Where heat comes from.")] = "both"
    fan: Annotated[bool, option("Turn on the fan.", flags="--fan/--no-fan")] = False
    minutes: Annotated[Wholes | None, option("When to look.", metavar="N,N")] = None
    tray: Annotated[Pair, option("Where the tray is.", metavar="ROW,COL")] = (0, 0)
    program: Annotated[WholeOrText | None, option("A program.")] = None
    weight: Annotated[float | None, option("Weight in kilograms.", gt=0)] = None


taken = []
app = typer.Typer(rich_markup_mode="markdown")


@app.command()
@with_options(Oven, without=("weight",))
def bake(dish: str, options: dict[str, object], out: Annotated[str, typer.Option(help="Where to.")] = "table") -> None:
    """Bake a dish."""
    taken.append((dish, options, out))


def run(*arguments):
    taken.clear()
    ended = CliRunner().invoke(app, arguments, env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    return ended, taken[0] if taken else None


def test_options_that_were_set_are_given_as_plain_values():
    text = "pie --degrees 99 --heat top --no-fan --minutes 1,2 --tray -3,4 --program auto --out plate"
    assert run(*text.split())[1] == (
        "pie",
        {"degrees": 99, "heat": "top", "fan": False, "minutes": (1, 2), "tray": (-3, 4), "program": "auto"},
        "plate",
    )
    assert run("pie", "--program", "7")[1] == ("pie", {"program": 7}, "table")


def test_help_shows_defaults_and_leaves_out_what_is_left_out():
    text = run("--help")[0].output
    assert "Temperature in degrees. [default: 180]" in text and "DEG" in text
    assert "[default: both]" in text and "--no-fan" in text and "ROW,COL" in text and "--weight" not in text


@pytest.mark.parametrize(
    "arguments",
    ["--degrees 49", "--degrees ²", "--heat side", "--minutes a", "--minutes 1,,x", "--tray 1", "--tray 1,2,3", "--tray ²,1"],
)  # fmt: skip
def test_wrong_values_are_wrong_usage(arguments):
    ended, values = run("pie", *arguments.split())
    assert ended.exit_code == 2 and values is None and "Invalid value for" in ended.output
