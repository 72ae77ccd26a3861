"""Base class of requests for jobs. A request has the options of a job, and can execute the job."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from hsifeat import __version__
from hsifeat.base_config import BaseConfig, option
from hsifeat.runtime.events import Listener
from hsifeat.service.job_settings import JobSettings
from hsifeat.service.jobs.database import JobDatabase
from hsifeat.service.jobs.records import JobKind, JobRecord
from hsifeat.service.store_index import StoreIndex
from hsifeat.service.uploads.folder import UploadFolder


@dataclass(frozen=True)
class JobContext:
    """The folders, database, uploads and stores that requests use.

    Attributes
    ----------
    settings : JobSettings
        Folders and limits.
    database : JobDatabase
        Database of the jobs. A request may refer to the result of an earlier job.
    uploads : UploadFolder
        Uploaded files.
    stores : StoreIndex
        Stores of the service.
    """

    settings: JobSettings
    database: JobDatabase
    uploads: UploadFolder
    stores: StoreIndex

    @classmethod
    def of_settings(cls, settings: JobSettings, stores: StoreIndex | None = None) -> JobContext:
        """Open the database and the folder of uploads that the settings name.

        If `stores` is None, a new index of the stores is created.
        """
        return cls(
            settings,
            JobDatabase(settings.database_path),
            UploadFolder.of_settings(settings),
            stores or StoreIndex(settings.cache),
        )

    def result_folder(self, job: JobRecord) -> Path:
        """Return the folder for the results of a job. The folder need not exist."""
        return self.settings.results_folder / job.id


class JobRequest(BaseConfig):
    """Base class of requests. A request has the options of a job. Clients send requests as JSON."""

    kind: ClassVar[JobKind]

    priority: Annotated[
        Literal["low", "normal", "high"], option("Priority of the job; high needs the right to administer.")
    ] = "normal"

    @abstractmethod
    def identity(self, context: JobContext) -> Any:
        """Return everything that determines the result, as JSON values.

        Raises
        ------
        HsifeatError
            If an option is wrong, or if a file, store, model or upload does not exist.
        """

    @abstractmethod
    def execute(self, context: JobContext, job: JobRecord, listen: Listener) -> dict[str, Any]:
        """Do the work, and return a description of the result as JSON values.

        Parameters
        ----------
        context : JobContext
            Folders, database, uploads and stores.
        job : JobRecord
            The running job. Results are written to `JobContext.result_folder`.
        listen : callable
            Function that receives progress events.

        Raises
        ------
        HsifeatError
            If the work can't be done.
        """

    def key(self, context: JobContext) -> str:
        """Return the key of the request. Requests with equal keys have equal results.

        Raises
        ------
        HsifeatError
            If an option is wrong, or if a file, store, model or upload does not exist.
        """
        facts = json.dumps([__version__, self.kind, self.identity(context)], sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()

    def is_still_valid(self, context: JobContext, job: JobRecord) -> bool:
        """Return whether the result of `job` still exists. `job` is a finished job with the key of this request."""
        return context.result_folder(job).is_dir()

    def to_json(self) -> dict[str, Any]:
        """Return the options that the client set, as JSON values."""
        content: dict[str, Any] = json_values(self, exclude_unset=True)
        return content


def json_values(options: BaseConfig, **selection: Any) -> Any:
    """Return options as JSON values. `selection` is passed on to `pydantic.BaseModel.model_dump`."""
    return json.loads(json.dumps(options.model_dump(**selection)))
