"""Options and arguments that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Store = Annotated[str | None, typer.Argument(help="Path, name or key prefix; the one completed last if left out.")]
Stores = Annotated[list[str] | None, typer.Argument(help="Paths, names or key prefixes; by default the last store.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything that is drawn.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Planes = Annotated[str | None, typer.Option(help="Planes, e.g. 't50/*,t100/up_blocks.2'; all by default.")]
LabelName = Annotated[str | None, typer.Option(help="Name of a label map in the store.")]
