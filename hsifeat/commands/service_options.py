"""The option ``--service`` of commands, and an extraction on a service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

Service = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Service of `hsifeat serve` to use instead of this machine. Its token comes from HSIFEAT_TOKEN or a private file.",
    ),
]


def extract_on_service(
    service: str,
    scenes: Sequence[str],
    reading: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    preset: str | None,
    like: str | None,
) -> None:
    """Extract scenes on a service, and print the addresses of the stores.

    Parameters
    ----------
    service : str
        Address of the service.
    scenes : sequence of str
        Names or paths of the scenes. Local files are uploaded.
    reading : mapping
        Keyword arguments of `hsifeat.open_scene`.
    options : mapping
        Options of the extraction that the user set.
    preset : str, optional
        Name of a preset.
    like : str, optional
        Key of a store of the service.
    """
    from hsifeat.client.connection import connect
    from hsifeat.commands import terminal

    connection = connect(service)
    reading = {name: value for name, value in reading.items() if value is not None}
    labels = reading.pop("labels", ())
    with terminal.progress() as listen:
        jobs = [
            connection.extract(
                scene, labels=labels, reading=dict(reading), preset=preset, like=like, listen=listen, **options
            )
            for scene in scenes
        ]
        for job in jobs:
            job.wait(listen)
    for job in jobs:
        terminal.say(f"store: {connection.store_url(job.result['store'])}")


def service_rows(service: str) -> list[dict[str, Any]]:
    """List the stores of a service, as rows of the table of ``hsifeat cache ls``."""
    from hsifeat.client.connection import connect

    return connect(service).stores()
