"""Requests of clients for fits, maps and benchmarks, which use stores of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from classifiers.comparison.config import BenchConfig
from classifiers.fit_config import FitConfig
from hsifeat.base_config import Names, expected_error, option
from hsifeat.errors import HsifeatError
from hsifeat.runtime.events import Listener, Note
from hsifeat.service.jobs.records import JobKind, JobRecord, JobState
from hsifeat.service.jobs.request import JobContext, JobRequest, json_values
from hsifeat.service.jobs.results import clear_folder, write_archive
from hsifeat.service.jobs.stored import store_facts

if TYPE_CHECKING:
    from hsifeat.features.features import Features

MODEL, MAP, REPORT = "model", "map.tif", "report"


# Each store is opened before a request is answered.
_MAX_STORES = 200


def _check_count(stores: tuple[str, ...]) -> tuple[str, ...]:
    if len(stores) > _MAX_STORES:
        raise expected_error(f"at most {_MAX_STORES} different stores")
    return stores


class StoresRequest(JobRequest):
    """Base class of requests that use stores of one or several scenes."""

    stores: Annotated[
        Names,
        AfterValidator(_check_count),
        option("Keys of at most 200 stores, or at least the first 8 digits of each key."),
    ]

    def identity(self, context: JobContext) -> Any:
        """Return digests of the stores, and all options, as JSON values. See `JobRequest.identity`."""
        return [[store_facts(context.stores.find(key)) for key in self.stores], self._options(context)]

    def _options(self, context: JobContext) -> Any:  # noqa: ARG002  # subclasses need it
        return json_values(self, exclude={"stores", "priority"})

    def _open(self, context: JobContext) -> list[Features]:
        return [context.stores.open(context.stores.find(key)) for key in self.stores]


def _without_files(options: FitConfig | BenchConfig) -> FitConfig | BenchConfig:
    """Refuse splits that name files of the service's machine."""
    from classifiers.splits import reads_files

    splits = options.splits if isinstance(options, BenchConfig) else [options.split or ""]
    if named := [split for split in splits if reads_files(split)]:
        raise ValueError(
            f"{named[0]} names a file of this machine, which a service does not read: name scenes, as in scenes:A+B/C, or store a pair of "
            "label maps named train and test, and take the split official"
        )
    return options


class FitRequest(StoresRequest):
    """Request for a fitted model."""

    kind: ClassVar[JobKind] = JobKind.FIT

    options: Annotated[
        FitConfig, AfterValidator(_without_files), Field(description="Options of the fit.", default_factory=FitConfig)
    ]

    def execute(self, context: JobContext, job: JobRecord, listen: Listener) -> dict[str, Any]:
        """Fit a model, and return its scores as lines of text. See `JobRequest.execute`."""
        from classifiers.fit import fit_model

        options = {name: getattr(self.options, name) for name in FitConfig.model_fields}
        model = fit_model(self._open(context), **options, listen=listen)
        folder = clear_folder(context.result_folder(job))
        model.save(folder / MODEL)
        write_archive(folder / MODEL, folder / f"{MODEL}.zip")
        evaluation = model.evaluation
        return {
            "download": f"{MODEL}.zip",
            "train_pixels": model.train_pixels,
            "accuracy": None if evaluation is None else evaluation.scores.oa,
            "scores": model.describe(),
        }


class PredictRequest(StoresRequest):
    """Request for a map of a scene."""

    kind: ClassVar[JobKind] = JobKind.PREDICT

    model: Annotated[str, option("Identifier of the job that fitted the model.")]
    probabilities: Annotated[
        bool, option("Write the probability of each class instead of the most probable class.")
    ] = False
    smooth: Annotated[str | None, option("Smoothing rule of the map, or none.", default="the rule of the model")] = None

    def execute(self, context: JobContext, job: JobRecord, listen: Listener) -> dict[str, Any]:
        """Write the map as GeoTIFF, and return remarks on the map. See `JobRequest.execute`."""
        from classifiers.model import load_model
        from classifiers.predict import write_scene_map

        model = load_model(context.result_folder(self._fit(context)) / MODEL)
        folder = clear_folder(context.result_folder(job))
        notes = write_scene_map(
            self._open(context),
            model,
            folder / MAP,
            probabilities=self.probabilities,
            smooth=self.smooth,
            listen=listen,
        )
        for note in notes:
            listen(Note(note))
        return {"download": MAP, "notes": list(notes)}

    def _options(self, context: JobContext) -> Any:
        return [super()._options(context), self._fit(context).key]

    def _fit(self, context: JobContext) -> JobRecord:
        """Return the finished job that fitted the model."""
        return _finished_job(context, self.model, JobKind.FIT)


class BenchRequest(StoresRequest):
    """Request for a report that compares heads."""

    kind: ClassVar[JobKind] = JobKind.BENCH

    options: Annotated[
        BenchConfig,
        AfterValidator(_without_files),
        Field(description="Options of the benchmark.", default_factory=BenchConfig),
    ]
    compare: Annotated[
        str | None, option("Identifier of an earlier benchmark job. The report tests which scores have changed.")
    ] = None

    def execute(self, context: JobContext, job: JobRecord, listen: Listener) -> dict[str, Any]:
        """Write a report, and return its summary as lines of text. See `JobRequest.execute`."""
        from classifiers.comparison.compare import compare
        from classifiers.comparison.config import bench_command
        from classifiers.comparison.report.write import write_report
        from classifiers.comparison.results.summary_text import overview, verdict_lines
        from classifiers.comparison.workdir import JSON

        # The folder is not cleared: it contains the finished runs of an interrupted attempt, which are not repeated.
        out = context.result_folder(job) / REPORT
        earlier = self._earlier(context)
        comparison = compare(
            self._open(context),
            **{name: getattr(self.options, name) for name in BenchConfig.model_fields},
            out=out,
            baseline=None if earlier is None else context.result_folder(earlier) / REPORT / JSON,
            command=bench_command(
                self.options,
                [context.stores.find(key).location.name for key in self.stores],
                out.relative_to(out.parent),
            ),
            listen=listen,
        )
        write_report(comparison, out, listen=listen)
        write_archive(out, out.with_suffix(".zip"))
        return {
            "download": f"{REPORT}.zip",
            "overview": overview(comparison),
            "verdict": list(verdict_lines(comparison)),
        }

    def _options(self, context: JobContext) -> Any:
        earlier = self._earlier(context)
        return [super()._options(context), None if earlier is None else earlier.key]

    def _earlier(self, context: JobContext) -> JobRecord | None:
        return None if self.compare is None else _finished_job(context, self.compare, JobKind.BENCH)


def _finished_job(context: JobContext, job_id: str, kind: JobKind) -> JobRecord:
    job = context.database.job(job_id)
    if job is None or job.kind is not kind or job.state is not JobState.DONE:
        found = (
            f"no job {job_id!r}" if job is None else f"{job_id!r}, which is a {job.kind} job in the state {job.state}"
        )
        raise HsifeatError(f"expected the identifier of a {kind} job that is done; found {found}")
    return job
