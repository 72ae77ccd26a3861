"""Jobs and uploads of a running service: submission, runners, and deletion of old results."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from functools import partial

from hsifeat.errors import HsifeatError
from hsifeat.service.job_settings import JobSettings
from hsifeat.service.jobs.extract_request import ExtractRequest
from hsifeat.service.jobs.queue import JobQueue, NotOwnerError, Submission
from hsifeat.service.jobs.records import JobRecord, JobState, Priority
from hsifeat.service.jobs.request import JobContext, JobRequest
from hsifeat.service.jobs.supervisor import Supervisor
from hsifeat.service.store_index import StoreIndex
from hsifeat.service.uploads.upload import Upload

_DAY_S = 24 * 3600.0


class JobService:
    """Jobs and uploads of a running service.

    Parameters
    ----------
    settings : JobSettings
        Folders and limits.
    stores : StoreIndex, optional
        The stores that clients can read. [default: a new index]

    Attributes
    ----------
    context : JobContext
        Database, uploads and folders.
    queue : JobQueue
        Queue of the jobs.
    supervisor : Supervisor
        Starts the runners, which execute the jobs in other processes.
    """

    def __init__(self, settings: JobSettings, stores: StoreIndex | None = None) -> None:
        self.context = JobContext.of_settings(settings, stores)
        self.queue = JobQueue(
            self.context.database, queue_size=settings.queue_size, queue_size_each=settings.queue_size_each
        )
        self.supervisor = Supervisor(settings, self.context.database, self.delete_old)

    def submit(self, request: JobRequest, owner: str, *, admin: bool) -> Submission:
        """Check a request, and return the job that answers it.

        If an unfinished job has an equal request, this job is returned. If a finished job has an equal request, and its
        result still exists, the finished job is returned. If `ExtractRequest.find_result` finds the result, a finished job
        with this result is returned. Otherwise, a new job is queued.

        Parameters
        ----------
        request : JobRequest
            The request.
        owner : str
            Name of the person who submits the request.
        admin : bool
            Whether the person may use the high priority and the uploads of other people.

        Raises
        ------
        HsifeatError
            If an option is wrong. If the person may not use the priority. If a file, store, model or upload does not exist
            or is not allowed. If the queue is full.
        """
        if request.priority == "high" and not admin:
            raise NotOwnerError("the priority high needs the right to administer: use normal or low")
        if isinstance(request, ExtractRequest) and request.scene.upload is not None:
            self.upload(request.scene.upload, owner, admin=admin)
        return self.queue.submit(
            request.kind,
            request.key(self.context),
            request.to_json(),
            owner=owner,
            priority=Priority(request.priority),
            still_valid=lambda job: request.is_still_valid(self.context, job),
            # Other results are always made by jobs.
            find_result=partial(request.find_result, self.context) if isinstance(request, ExtractRequest) else None,
        )

    def job(self, job_id: str) -> JobRecord:
        """Return a job. If it made a store, clients can read the store from now on.

        Raises
        ------
        UnknownJobError
            If there is no such job.
        """
        job = self.queue.job(job_id)
        if "store" in job.result:
            with suppress(HsifeatError, OSError):  # The bucket can't be reached; the job can be shown.
                self.context.stores.refresh(job.finished)
        return job

    def latest(self, request: JobRequest) -> JobRecord | None:
        """Return the latest job whose request equals `request`.

        Return None if there is no such job, if this job was cancelled, or if its result no longer exists.

        Raises
        ------
        HsifeatError
            If an option is wrong, or if a file, store, model or upload does not exist.
        """
        job = next(iter(self.queue.jobs(key=request.key(self.context), count=1)), None)
        if job is None or job.state is JobState.CANCELLED:
            return None
        if job.state is JobState.DONE and not request.is_still_valid(self.context, job):
            return None
        return job

    def upload(self, upload_id: str, owner: str, *, admin: bool) -> Upload:
        """Return an upload of a person.

        Parameters
        ----------
        upload_id : str
            Identifier of the upload.
        owner : str
            Name of the person.
        admin : bool
            Whether the person may use the uploads of other people.

        Raises
        ------
        UnknownUploadError
            If there is no such upload.
        NotOwnerError
            If the upload belongs to another person, and `admin` is False.
        """
        upload = self.context.uploads.get(upload_id)
        if upload.manifest.owner != owner and not admin:
            raise NotOwnerError(f"upload {upload_id} belongs to another person")
        return upload

    def delete_old(self) -> None:
        """Delete old jobs with their results, and expired uploads.

        A job is old if it ended more than `JobSettings.job_days` days ago. Uploads that unfinished jobs need are not
        deleted.
        """
        settings = self.context.settings
        self.queue.delete_old(time.time() - settings.job_days * _DAY_S)
        for folder in settings.results_folder.glob("*"):
            if self.context.database.job(folder.name) is None:
                shutil.rmtree(folder, ignore_errors=True)
        unfinished = self.queue.jobs(states=(JobState.QUEUED, JobState.RUNNING), count=-1)
        used = {str(job.request["scene"]["upload"]) for job in unfinished if "upload" in job.request.get("scene", {})}
        self.context.uploads.delete_expired(used)
