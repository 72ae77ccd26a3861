"""The option ``--service`` of commands, and extraction on a service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hsifeat.client.remote_job import RemoteJob
    from hsifeat.commands.scene_options import SceneArguments

Service = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Address of a service (`hsifeat serve`) to use instead of this machine. Its token comes from the private token file, or from HSIFEAT_TOKEN if HSIFEAT_SERVICE is this address.",
    ),
]


def extract_on_service(
    service: str,
    scenes: Mapping[str, SceneArguments],
    options: Mapping[str, Any],
    *,
    preset: str | None,
    like: str | None,
) -> dict[str, str | Exception]:
    """Extract scenes on a service. An error in one scene does not end the extraction of the other scenes.

    Parameters
    ----------
    service : str
        Address of the service.
    scenes : mapping of str to SceneArguments
        Maps the name of each scene to its arguments. Local files are uploaded.
    options : mapping
        Options of the extraction that the user set.
    preset : str, optional
        Name of a preset. Options that are not set come from the preset.
    like : str, optional
        Key of a store of the service. Options that are not set, and the fitted projection, come from the store.

    Returns
    -------
    dict of str to str or Exception
        Maps the name of each scene to the address of its store, or to an error.
    """
    from hsifeat.client.connection import connect
    from hsifeat.commands import terminal
    from hsifeat.errors import HsifeatError

    connection = connect(service)
    jobs: dict[str, RemoteJob] = {}
    outcomes: dict[str, str | Exception] = dict.fromkeys(scenes, "")
    with terminal.progress() as listen:
        for name, scene in scenes.items():
            reading = {**scene.options, "companion": scene.companion}
            del reading["labels"]
            try:
                jobs[name] = connection.extract(
                    scene.files,
                    labels=[one if one[0] else one[1] for one in scene.labels],
                    reading={option: value for option, value in reading.items() if value is not None},
                    preset=preset,
                    like=like,
                    listen=listen,
                    **options,
                )
            except (HsifeatError, OSError) as error:
                outcomes[name] = error
        for name, job in jobs.items():
            try:
                outcomes[name] = connection.store_url(job.wait(listen).result["store"])
            except HsifeatError as error:
                outcomes[name] = error
    return outcomes


def service_rows(service: str) -> list[dict[str, Any]]:
    """List the stores of a service, as rows of the table of ``hsifeat cache ls``."""
    from hsifeat.client.connection import connect

    return connect(service).stores()
