"""Settings of jobs and uploads: folders, limits and the device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from hsifeat.base_config import BaseConfig, Names, Whole, option
from hsifeat.files import cache_folder
from hsifeat.store.location import Location, as_location

MB, GB = 10**6, 10**9


class JobSettings(BaseConfig):
    """Options of the service that concern jobs and uploads."""

    cache: Annotated[
        str | None,
        option(
            "Folder or bucket whose stores are served.",
            metavar="DIR|URL",
            default="all stores that hsifeat cache ls lists",
        ),
    ] = None
    scenes: Annotated[
        Names | None,
        option(
            "Folders of the scenes that clients may extract, separated by commas.", metavar="DIR,DIR", default="none"
        ),
    ] = None
    backbones: Annotated[
        Names | None,
        option(
            "Folders of the backbones that clients may use, separated by commas.", metavar="DIR,DIR", default="none"
        ),
    ] = None
    backbone_names: Annotated[
        Names,
        option("Names of further backbones that clients may use.", metavar="NAME,NAME"),
    ] = ("natural32", "context")
    state: Annotated[
        str | None,
        option(
            "Folder for jobs, uploads, results and the audit log.",
            metavar="DIR",
            default="service, in the cache folder",
        ),
    ] = None
    device: Annotated[str, option("Device of extractions: auto, cpu or cuda.")] = "auto"
    dask: Annotated[
        str | None,
        option(
            "Dask cluster for extractions: tcp://HOST:PORT of its scheduler, or local:N for N workers on this machine.",
            metavar="ADDRESS|local:N",
            default="one process of this machine",
        ),
    ] = None
    queue_size: Annotated[Whole, option("Maximum number of waiting jobs.", ge=1)] = 100
    queue_size_each: Annotated[Whole, option("Maximum number of waiting jobs of one person.", ge=1)] = 20
    attempts: Annotated[
        Whole, option("Number of attempts after which a job fails, if its process dies each time.", ge=1)
    ] = 3
    scene_values: Annotated[Whole, option("Maximum number of values, rows x cols x bands, of a scene.", ge=1)] = 5 * GB
    cancel_seconds: Annotated[
        Whole, option("Time in seconds after which a cancelled job that does not react is killed.", unit="s", ge=0)
    ] = 10
    job_days: Annotated[
        Whole, option("Number of days after which finished jobs and their results are deleted.", unit="days", ge=1)
    ] = 30
    upload_gb: Annotated[Whole, option("Maximum size of one upload, in GB.", unit="GB", ge=1)] = 20
    uploads_gb: Annotated[Whole, option("Maximum size of all uploads together, in GB.", unit="GB", ge=1)] = 200
    upload_part_mb: Annotated[Whole, option("Maximum size of one part of an upload, in MB.", unit="MB", ge=1)] = 64
    upload_hours: Annotated[
        Whole, option("Number of hours after which an unused upload is deleted.", unit="h", ge=1)
    ] = 72

    def owns(self, location: Location) -> bool:
        """Return whether a store is in the cache folder or bucket of the service. Jobs change no other store."""
        cache = as_location(self.cache or cache_folder()).identity.rstrip("/")
        return location.identity.rpartition("/")[0] == cache and not location.read_only

    @property
    def state_folder(self) -> Path:
        """Folder for jobs, uploads, results, secrets and the audit log."""
        return Path(self.state) if self.state else cache_folder() / "service"

    @property
    def database_path(self) -> Path:
        """File of the database of jobs."""
        return self.state_folder / "jobs.sqlite"

    @property
    def results_folder(self) -> Path:
        """Folder with a subfolder of results for each job."""
        return self.state_folder / "results"

    @property
    def uploads_folder(self) -> Path:
        """Folder with a subfolder for each upload."""
        return self.state_folder / "uploads"
