"""Extract the features of many scenes in one call, with one stream of tasks and a store for each scene."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from hsifeat.errors import HsifeatError, error_summary, raise_resource_error
from hsifeat.extraction.config import ExtractionConfig
from hsifeat.extraction.job import Job
from hsifeat.extraction.prepare import prepare
from hsifeat.extraction.resolve import resolve_config
from hsifeat.extraction.run import show_scene_notes
from hsifeat.extraction.store_run import StoreInUseError, StoreRun
from hsifeat.extraction.unit_task import UnitResult, UnitTask, compute_unit
from hsifeat.formatting import format_value
from hsifeat.runtime.events import Advanced, Finished, Listener, Note, Started, silent
from hsifeat.runtime.executor import Executor
from hsifeat.runtime.executor_plugins import check_executor, open_executor
from hsifeat.runtime.inline import InlineExecutor
from hsifeat.runtime.worker import release_worker
from hsifeat.scenes import Scene, open_scene
from hsifeat.scenes.band_matching import names_of_bands
from hsifeat.store.store import Store
from hsifeat.types import check_path, check_switches


@dataclass(frozen=True)
class SceneOutcome:
    """Result of `extract_scenes` for one scene.

    Attributes
    ----------
    name : str
        Name of the scene.
    store : Store or None
        The complete store; None if the extraction failed.
    existed : bool
        Whether the store was already complete, so that nothing was computed.
    error : HsifeatError or None
        Error of the extraction; None if the extraction succeeded. If this error replaces an exception of another
        library, the ``__cause__`` of the error is that exception.
    """

    name: str
    store: Store | None = None
    existed: bool = False
    error: HsifeatError | None = None


def extract_scenes(
    scenes: Sequence[Scene | str | Path],
    *,
    out: str | Path | None = None,
    preset: str | Path | None = None,
    like: Store | str | Path | None = None,
    shared_projection: bool = False,
    device: str = "auto",
    executor: Executor | str | None = None,
    listen: Listener = silent,
    **options: Any,
) -> list[SceneOutcome]:
    """Extract the features of many scenes, each into its own store, with the same options.

    An error in one scene does not end the extraction of the remaining scenes. Units (blocks) of all scenes form one
    stream of tasks, so that workers begin the next scene before the current scene is complete.

    Parameters
    ----------
    scenes : sequence of Scene, str or Path
        Scenes, or paths or names that `open_scene` accepts.
    out : str or Path, optional
        Folder or URL that contains the stores. Each store is named after its scene. [default: the cache folder]
    preset : str or Path, optional
        Preset from which unset options are taken; see `extract`.
    like : Store, str or Path, optional
        Store from which unset options are taken; see `extract`.
    shared_projection : bool
        Fit the projection on the first scene, and use it for all scenes. Bands are matched with the bands of the first scene by
        wavelength. Heads can then learn from all stores together. If the first scene fails, all scenes fail. [default: the
        projection is fitted on each scene]
    device : str
        ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU if there is one.
    executor : Executor or str, optional
        Runs the units (blocks) of the scenes; see `extract`.
    listen : callable
        Receives progress events, with one task for each scene.
    **options
        Options of the extraction, such as ``timesteps``; see `extract`.

    Returns
    -------
    list of SceneOutcome
        Results in the order of `scenes`.

    Raises
    ------
    HsifeatError
        If an option is wrong, or if two scenes have the same name.

    Examples
    --------
    >>> import numpy as np
    >>> import hsifeat
    >>> scenes = [hsifeat.Scene(name, np.random.default_rng(0).random((32, 32, 12), np.float32)) for name in ("a", "b")]
    >>> outcomes = hsifeat.extract_scenes([*scenes, "c.npy"], backbone="context", layers=["mean-5"], out="stores")
    >>> [(outcome.name, str(outcome.error or "done").split(":")[0]) for outcome in outcomes]
    [('a', 'done'), ('b', 'done'), ('c', 'no such file')]
    """
    check_executor(executor, listen)
    check_switches(shared_projection=shared_projection)
    if isinstance(scenes, str | Path) or not isinstance(scenes, Iterable):
        raise HsifeatError(f"extract_scenes takes a list of scenes or paths; found {format_value(scenes)}")
    openers: dict[str, Callable[[], Scene]] = {}
    for scene in scenes:
        if not isinstance(scene, Scene):
            check_path("each scene that is not a hsifeat.Scene", scene)
        name = scene_name(scene)
        if name in openers:
            raise HsifeatError(
                f"two scenes have the name {name!r}, and their stores too: extract them in separate calls"
            )
        openers[name] = _opener(scene)
    config = resolve_config(options, preset=preset, like=like, listen=listen)
    return extract_opened(
        openers,
        config,
        out=out,
        shared_projection=shared_projection,
        device=device,
        executor=executor,
        listen=listen,
    )


def extract_opened(
    openers: Mapping[str, Callable[[], Scene]],
    config: ExtractionConfig,
    *,
    out: str | Path | None,
    shared_projection: bool = False,
    device: str = "auto",
    executor: Executor | str | None = None,
    listen: Listener = silent,
) -> list[SceneOutcome]:
    """Extract the features of scenes that are opened one after the other; see `extract_scenes`.

    Parameters
    ----------
    openers : mapping of str to callable
        Maps the name of each scene to a function without arguments that opens the scene.
    config : ExtractionConfig
        Options of the extraction.
    out : str or Path, optional
        Folder or URL that contains the stores. None selects the cache folder.
    shared_projection : bool
        Fit the projection on the first scene, and use it for all scenes; see `extract_scenes`.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    executor : Executor or str, optional
        Runs the units (blocks) of the scenes; see `extract`.
    listen : callable
        Receives progress events.

    Returns
    -------
    list of SceneOutcome
        Results in the order of `openers`.
    """
    if len(openers) > 1 and not shared_projection and ":mask=" in str(config.projection):
        raise HsifeatError(
            f"the mask of `projection={config.projection}` belongs to one scene, and there are {len(openers)}: set `shared_projection`, or "
            "extract the scenes in separate calls"
        )
    with open_executor(executor, listen) as opened:
        pool = None if isinstance(opened, InlineExecutor) else opened
        with _Scenes(openers, config, out, device, pool, listen, shared_projection=shared_projection) as scenes:
            if pool is None:
                scenes.compute_here()
            else:
                try:
                    while scenes.waiting:
                        for task, result in pool.run(compute_scene_unit, scenes.tasks(), failed=scenes.fail_task):
                            scenes.add(task, result)
                finally:
                    release_worker()
            return [scenes.outcomes[name] for name in openers]


def scene_name(scene: Scene | str | Path) -> str:
    """Return the name for the store of a scene, such as ``ip`` for ``data/ip.mat``."""
    if not isinstance(scene, Scene) and Path(scene).name in {"", ".."}:
        scene = Path(scene).resolve()
    name = scene.name if isinstance(scene, Scene) else Path(scene).stem
    return re.sub(r"[^\w.-]+", "-", name).strip(".-")[:100] or "scene"


def store_path(out: str | Path | None, name: str) -> str | None:
    """Return the path or URL of a scene's store in the folder `out`; None if `out` is None."""
    return None if out is None else f"{str(out).rstrip('/')}/{name}.zarr"


class _Scenes:
    """Scenes that are extracted together, with the open stores and the results of finished scenes."""

    def __init__(
        self,
        openers: Mapping[str, Callable[[], Scene]],
        config: ExtractionConfig,
        out: str | Path | None,
        device: str,
        executor: Executor | None,
        listen: Listener,
        *,
        shared_projection: bool,
    ) -> None:
        self._openers, self._config, self._out, self._device = openers, config, out, device
        self._shared_projection = shared_projection
        self._executor, self._listen = executor, listen
        self._source: Any = None
        self._checked = False
        self._runs: dict[str, StoreRun] = {}
        self.waiting = list(openers)
        """Names of the scenes that have not begun."""
        self.outcomes: dict[str, SceneOutcome] = {}

    def __enter__(self) -> Self:
        self._listen(Started("scenes", len(self._openers), "scenes"))
        return self

    def __exit__(self, *_: object) -> None:
        for run in self._runs.values():
            run.close()

    def compute_here(self) -> None:
        """Extract the scenes one after the other in this process."""
        for name in self._openers:
            try:
                run = self._begin(name)
                run.compute_here()
                self._finish(name)
            except Exception as error:  # noqa: BLE001  # see `extract_scenes`
                self._fail(name, error)

    def tasks(self) -> Iterator[UnitTask]:
        """Yield the units (blocks) of all waiting scenes.

        A scene is opened after the last unit of the previous scene was yielded. If another process writes to the store
        of the scene while other scenes of this run are open, the scene stays in `waiting`. If no other scene is open,
        this run waits for the other process. Therefore, two runs of the same scenes in different orders do not wait for
        each other.
        """
        names, self.waiting = self.waiting, []
        for name in names:
            try:
                run = self._begin(name, wait=not self._runs)
                if not run.units:
                    self._finish(name)
            except StoreInUseError:
                self.waiting.append(name)
                continue
            except Exception as error:  # noqa: BLE001  # see `extract_scenes`
                self._fail(name, error)
                continue
            for task in run.tasks():
                if name in self.outcomes:  # A unit of the scene failed.
                    break
                yield task

    def add(self, task: UnitTask, result: UnitResult) -> None:
        """Record the result of a task, and complete the scene's store after its last unit."""
        for name, run in list(self._runs.items()):
            if run.owns(task):
                try:
                    run.add(task, result)
                    if not run.units:
                        self._finish(name)
                except Exception as error:  # noqa: BLE001  # see `extract_scenes`
                    self._fail(name, error)

    def fail_task(self, task: UnitTask, error: HsifeatError) -> None:
        """End the extraction of the scene whose task failed."""
        for name, run in list(self._runs.items()):
            if run.owns(task):
                self._fail(name, error)

    def _begin(self, name: str, *, wait: bool = True) -> StoreRun:
        first = next(iter(self._openers))
        if self._shared_projection and first in self.outcomes and self.outcomes[first].error:
            raise HsifeatError(f"the projection is fitted on the first scene, {first}, which failed")
        scene = self._openers[name]()
        out = store_path(self._out, name)
        job = prepare(scene, self._config, out=out, device=self._device, source=self._source, listen=self._listen)
        self._source = job.extractor.source
        if self._shared_projection and name == first:
            self._config = with_projection_of(job, self._config)
        show_scene_notes(job, self._listen)
        run = StoreRun(
            job, self._listen, name=f"extract {name}", executor=self._executor, check=not self._checked, wait=wait
        )
        self._runs[name] = run.open()
        self._checked = self._checked or bool(run.units)
        return run

    def _finish(self, name: str) -> None:
        run = self._runs[name]
        store = run.finish()
        self._end(SceneOutcome(name, store, run.was_complete))

    def _fail(self, name: str, error: Exception) -> None:
        problem = _scene_error(error)
        self._listen(Note(f"{name}: failed: {problem}"))
        self._end(SceneOutcome(name, error=problem))

    def _end(self, outcome: SceneOutcome) -> None:
        if (run := self._runs.pop(outcome.name, None)) is not None:
            run.close()
        self.outcomes[outcome.name] = outcome
        self._listen(Advanced("scenes", len(self.outcomes), outcome.name))
        if len(self.outcomes) == len(self._openers):
            self._listen(Finished("scenes"))


def with_projection_of(job: Job, config: ExtractionConfig) -> ExtractionConfig:
    """Return the options `config` with the fitted projection of a job.

    The projection includes the wavelengths of the job's scene, so that the bands of other scenes can be matched with them.
    """
    projection = job.extractor.projection
    if projection is None:
        return config
    scene = job.extractor.scene
    if config.companion:
        return config.with_values(projection=replace(projection, wavelengths_nm=None, band_names=(), scale=None))
    nm, names = scene.wavelengths_nm, names_of_bands(scene)
    return config.with_values(projection=replace(projection, wavelengths_nm=nm, band_names=names, scale=scene.scale))


def compute_scene_unit(task: UnitTask) -> UnitResult:
    """Compute a unit (one block of a scene) like `compute_unit`, but raise every error as a `HsifeatError`.

    Such an error ends the extraction of one scene only.
    """
    try:
        return compute_unit(task)
    except HsifeatError:
        raise
    except Exception as error:
        raise _scene_error(error) from error


def _scene_error(error: Exception) -> HsifeatError:
    """Return an error as a `HsifeatError` whose cause is the original error."""
    if isinstance(error, HsifeatError):
        return error
    try:
        raise_resource_error(error)
    except HsifeatError as resource_error:
        return resource_error
    summary = error_summary(error)
    problem = HsifeatError(summary if isinstance(error, OSError) else f"{type(error).__name__}: {summary}")
    problem.__cause__ = error
    return problem


def _opener(scene: Scene | str | Path) -> Callable[[], Scene]:
    return lambda: scene if isinstance(scene, Scene) else open_scene(scene if isinstance(scene, str) else Path(scene))
