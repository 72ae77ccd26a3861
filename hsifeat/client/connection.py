"""Connection to a service: its stores, jobs and uploads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsifeat.client.companion_files import named_files, rename_files
from hsifeat.client.remote_job import RemoteJob
from hsifeat.client.transport import Transport
from hsifeat.client.uploading import upload_files
from hsifeat.errors import HsifeatError, allowed_names
from hsifeat.runtime.events import Listener, silent
from hsifeat.scenes.scene_checks import check_type
from hsifeat.types import check_path

if TYPE_CHECKING:
    from hsifeat.features.features import Features

PathLike = str | Path
_FILTERS = {"state", "kind", "owner", "before", "count"}
LabelSource = PathLike | tuple[str, PathLike]


def connect(url: str, token: str | None = None) -> Connection:
    """Connect to a service that ``hsifeat serve`` runs.

    The caller's token file maps addresses of services to tokens. It is the file that the environment variable
    ``HSIFEAT_TOKEN_FILE`` names, or ``tokens.json`` in the folder of the user's configuration.

    The token in the environment variable ``HSIFEAT_TOKEN`` is used only for the service whose address is in
    ``HSIFEAT_SERVICE``. If ``HSIFEAT_SERVICE`` is not set, this token is used only for services on this machine.

    Parameters
    ----------
    url : str
        Address of the service, such as ``https://gpu.example.org``.
    token : str, optional
        Token of the caller. [default: the token for `url` in the caller's token file, else the token in ``HSIFEAT_TOKEN``]

    Returns
    -------
    Connection
        The connection. No request is sent yet.

    Raises
    ------
    HsifeatError
        If `url` is not an HTTP or HTTPS address. If the token file is damaged, or other users can read it. If
        ``HSIFEAT_SERVICE`` is not an address of a service.

    Examples
    --------
    >>> import hsifeat
    >>> service = hsifeat.connect("http://127.0.0.1:8765", token="secret")
    >>> service
    <Connection http://127.0.0.1:8765>
    """
    return Connection(Transport(url, token))


class Connection:
    """Connection to a service; see `connect`.

    Parameters
    ----------
    transport : Transport
        Sends requests to the service.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def __repr__(self) -> str:
        return f"<Connection {self._transport.url}>"

    def stores(self, search: str = "") -> list[dict[str, Any]]:
        """List the stores of the service.

        Parameters
        ----------
        search : str
            Words separated by spaces. A store is listed if each word occurs in its name, scene, backbone or key.

        Returns
        -------
        list of dict
            Key, name, scene and other properties of each store, as JSON values.
        """
        found: list[dict[str, Any]] = []
        options = {"search": search, "limit": 500}
        while True:
            page = self._transport.json("GET", "/stores", params=options)
            found += page["stores"]
            if page["next"] is None:
                return found
            options["after"] = page["next"]

    def store_url(self, key: str) -> str:
        """Return the address of a store, for use with ``hsifeat fit`` and `hsifeat.open_features`.

        Parameters
        ----------
        key : str
            Key of the store, its first digits, or its address.

        Raises
        ------
        HsifeatError
            If `key` is neither digits of a key nor the address of a store of this service. If the service has no store with
            these digits, or several.
        """
        key = self._key(key)
        full_key = self._transport.json("GET", f"/stores/{key}")["key"] if len(key) < 64 else key
        return f"{self._transport.url}/stores/{full_key}.zarr"

    def open(self, key: str) -> Features:
        """Open the features of a store. Values are downloaded on first use, and kept in the cache of this machine.

        Parameters
        ----------
        key : str
            Key of the store, its first digits, or its address.

        Raises
        ------
        HsifeatError
            See `store_url`.
        StoreError
            If the service has no such store.
        """
        from hsifeat.features.open_features import open_features
        from hsifeat.store.remote_location import WebLocation

        return open_features(WebLocation(self.store_url(key), self._transport.token))

    def extract(
        self,
        scene: PathLike | Sequence[PathLike],
        *,
        labels: PathLike | Sequence[LabelSource] = (),
        reading: dict[str, Any] | None = None,
        preset: str | None = None,
        like: str | None = None,
        priority: str = "normal",
        listen: Listener = silent,
        **options: Any,
    ) -> RemoteJob:
        """Request the features of a scene.

        Parameters
        ----------
        scene : str, Path or sequence of these
            Name of a public scene, local files, or files in a folder of ``hsifeat serve --scenes``. Local files are
            uploaded.
        labels : str, Path or sequence of str, Path or tuple
            Label maps as ``FILE`` or ``FILE:VARIABLE``. If the scene is read from local files, the label maps must be
            local files, too. A tuple ``(NAME, FILE)`` uploads the file as NAME with the suffix of FILE; other files keep their
            names.
        reading : dict, optional
            Options for reading the scene, such as ``variable`` and ``axes``; see `hsifeat.open_scene`. If the scene is read
            from local files, the file of ``companion`` must be local, too.
        preset : str, optional
            Name of a preset. Options that are not set come from the preset.
        like : str, optional
            Key or address of a store of the service. Options that are not set, and the fitted projection, come from the store.
        priority : {"low", "normal", "high"}
            Priority of the job.
        listen : callable
            Callback for the progress of the upload.
        **options
            Options of `hsifeat.extract`. A backbone is a name, or a path in a folder of ``hsifeat serve --backbones``.

        Returns
        -------
        RemoteJob
            The job. If the service already has the features, the job is complete at once.

        Raises
        ------
        HsifeatError
            If an option is wrong or has no effect, such as NAME for a file that is not uploaded; nothing is uploaded in this
            case. If the service refuses the request.
        """
        like = None if like is None else self._key(like)
        _check_options(options, preset, like)
        sources = [scene] if isinstance(scene, PathLike) or not isinstance(scene, Iterable) else list(scene)
        label_maps = [labels] if isinstance(labels, PathLike) or not isinstance(labels, Iterable) else list(labels)
        for source in sources:
            check_path("each file of a scene", source)
        for label in label_maps:
            named = isinstance(label, tuple) and len(label) == 2 and isinstance(label[0], str)
            check_path("a label map", label[1] if isinstance(label, tuple) and named else label)
        reading = dict(reading or {})
        if "labels" in reading:
            raise HsifeatError("reading: give label maps as `labels`, so that they are uploaded with the scene")
        companion = reading.pop("companion", None)
        request = {
            "scene": {**self._scene(sources, label_maps, listen, companion), **reading},
            "options": options,
            "preset": preset,
            "like": like,
            "priority": priority,
        }
        return self._submit("/extractions", request)

    def fit(self, stores: str | Sequence[str], *, priority: str = "normal", **options: Any) -> RemoteJob:
        """Request a fitted model. `RemoteJob.download` downloads the model.

        Parameters
        ----------
        stores : str or sequence of str
            Keys or addresses of stores of one scene.
        priority : {"low", "normal", "high"}
            Priority of the job.
        **options
            Options of `hsifeat.fit_model`.
        """
        return self._analyse("/fits", stores, priority, options)

    def predict(
        self, model: RemoteJob | str, stores: str | Sequence[str], *, priority: str = "normal", **options: Any
    ) -> RemoteJob:
        """Request a map of a scene from a fitted model. `RemoteJob.download` downloads the map.

        Parameters
        ----------
        model : RemoteJob or str
            The job that fitted the model, or the identifier of this job.
        stores : str or sequence of str
            Keys or addresses of the stores of the scene.
        priority : {"low", "normal", "high"}
            Priority of the job.
        **options
            ``probabilities`` and ``smooth``; see ``hsifeat predict``.
        """
        model_id = model.id if isinstance(model, RemoteJob) else model
        return self._submit(
            "/predictions", {"stores": self._keys(stores), "model": model_id, "priority": priority, **options}
        )

    def bench(self, stores: str | Sequence[str], *, priority: str = "normal", **options: Any) -> RemoteJob:
        """Request a report that compares heads. `RemoteJob.download` downloads the report.

        Parameters
        ----------
        stores : str or sequence of str
            Keys or addresses of stores of one scene.
        priority : {"low", "normal", "high"}
            Priority of the job.
        **options
            Options of `classifiers.compare`.
        """
        return self._analyse("/benches", stores, priority, options)

    def job(self, job_id: str) -> RemoteJob:
        """Return a job by its identifier."""
        return RemoteJob(self._transport, self._transport.json("GET", f"/jobs/{job_id}"))

    def jobs(self, **filters: Any) -> list[RemoteJob]:
        """List jobs, latest first. The filters are ``state``, ``kind``, ``owner``, ``before`` and ``count``.

        ``before`` is the identifier of a job, and selects older jobs. ``count`` is the maximum number of jobs, 50 by
        default.

        Raises
        ------
        HsifeatError
            If a filter is unknown.
        """
        if unknown := set(filters) - _FILTERS:
            raise HsifeatError(f"no filter of jobs is named {min(unknown)!r}; {allowed_names(sorted(_FILTERS))}")
        return [RemoteJob(self._transport, state) for state in self._transport.json("GET", "/jobs", params=filters)]

    def upload(self, paths: Sequence[PathLike], *, listen: Listener = silent) -> str:
        """Upload local files, and return the identifier of the upload."""
        local = [Path(path) for path in paths]
        return upload_files(self._transport, [(path.name, path) for path in local], listen)

    def _key(self, store: str) -> str:
        """Return the key of a store, or its first digits, from its key or its address."""
        check_type(store, str, "a store of a service is named by its key or its address")
        start = f"{self._transport.url}/stores/"
        key = store.removeprefix(start).rstrip("/").removesuffix(".zarr") if store.startswith(start) else store
        if not re.fullmatch("[0-9a-f]{1,64}", key):
            raise HsifeatError(
                f"{store!r} is no store of this service: give its key, which `stores()` lists, or its address "
                f"{start}KEY.zarr"
            )
        return key

    def _keys(self, stores: str | Sequence[str]) -> list[str]:
        named = stores if isinstance(stores, Iterable) and not isinstance(stores, str) else [stores]
        return [self._key(store) for store in named]

    def _analyse(self, path: str, stores: str | Sequence[str], priority: str, options: dict[str, Any]) -> RemoteJob:
        return self._submit(path, {"stores": self._keys(stores), "options": options, "priority": priority})

    def _submit(self, path: str, request: dict[str, Any]) -> RemoteJob:
        content = {name: _plain(value) for name, value in request.items() if value is not None}
        return RemoteJob(self._transport, self._transport.json("POST", path, json=content)["job"])

    def _scene(
        self,
        sources: list[PathLike],
        labels: Sequence[LabelSource],
        listen: Listener,
        companion: PathLike | None = None,
    ) -> dict[str, Any]:
        """Describe a scene for the service. Local files are uploaded first."""
        from hsifeat.scenes.registry.public_scenes import REGISTRY

        uploaded: dict[Path, str] = {}

        def add(path: Path, new_stem: str = "") -> str:
            files = named_files(path, listen)
            for name, file in rename_files(files, new_stem) if new_stem else files:
                uploaded.setdefault(file, name)
            return uploaded[files[0][1]]

        def add_source(source: PathLike, new_stem: str) -> str:
            file, colon, variable = str(source).partition(":")
            return f"{add(Path(file), new_stem)}{colon}{variable}"

        names = [str(source) for source in sources]
        maps = [label if isinstance(label, tuple) else ("", label) for label in labels]
        described: dict[str, Any] = {
            "labels": [str(source) for _, source in maps],
            "companion": companion and str(companion),
        }
        is_public = len(names) == 1 and names[0] in REGISTRY
        if is_public or not all(Path(name).exists() for name in names):
            if named := next((label for label in labels if isinstance(label, tuple)), None):
                raise HsifeatError(
                    f"the label map {str(named[1])!r} can't be named {named[0]!r}: only uploaded files can be named, and the scene is not "
                    "uploaded, so its label maps are files of the service and keep their names"
                )
            described |= {"name": names[0]} if is_public else {"files": names}
        else:
            described["files"] = [add(Path(name)) for name in names]
            described["labels"] = [add_source(source, name) for name, source in maps]
            described["companion"] = companion and add_source(companion, "companion")
            files = [(name, path) for path, name in uploaded.items()]
            described["upload"] = upload_files(self._transport, files, listen)
        return {name: value for name, value in described.items() if value}


def _check_options(options: dict[str, Any], preset: str | None, like: str | None) -> None:
    """Raise `HsifeatError` for options that the service would refuse after the upload of the scene."""
    from hsifeat.extraction.config import ExtractionConfig
    from hsifeat.extraction.prepare import check_options
    from hsifeat.extraction.resolve import resolve_config
    from hsifeat.presets import preset_names

    if like is None and preset in {None, *preset_names()}:
        check_options(resolve_config(options, preset=preset))
    else:  # Only the service knows the other options.
        ExtractionConfig.from_options(options)


def _plain(value: Any) -> Any:
    """Convert the value of an option to a JSON value. NumPy numbers and arrays become numbers and lists."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value
