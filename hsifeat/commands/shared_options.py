"""Options and arguments that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Store = Annotated[
    str | None, typer.Argument(help="Path, URL, name or key prefix of a store. [default: the store completed last]")
]
Stores = Annotated[
    list[str] | None,
    typer.Argument(help="Paths, URLs, names or key prefixes of stores. [default: the store completed last]"),
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all random numbers.")]
Device = Annotated[str, typer.Option(help="Device of the network: auto, cpu or cuda.")]
Planes = Annotated[str | None, typer.Option(help="Planes, such as 't50/*,t100/up_blocks.2'. [default: all]")]
LabelName = Annotated[str | None, typer.Option(help="Name of a label map in the store. [default: the only one]")]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of worker processes. Scores do not depend on it. [default: as many as cores and memory allow]",
    ),
]
