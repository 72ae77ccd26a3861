"""Options and arguments that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Store = Annotated[
    str | None,
    typer.Argument(
        help="Path, address or name of a store, or the first digits of its key. [default: the store completed last]"
    ),
]
Stores = Annotated[
    list[str] | None,
    typer.Argument(
        help="Paths, addresses or names of stores, or the first digits of their keys. [default: the store completed last]"
    ),
]
Device = Annotated[str, typer.Option(help="Device to run the network on: auto, cpu or cuda.")]
Planes = Annotated[
    str | None,
    typer.Option(help="Planes to use, as timestep/layer, such as 't50/*,t100/up_blocks.2'. [default: all]"),
]
LabelName = Annotated[
    str | None, typer.Option(help="Name of a label map in the store. [default: the only label map of the store]")
]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of worker processes, which does not affect scores. [default: as many as cores and memory allow]",
    ),
]
